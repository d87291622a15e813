"""Which workers train together: the cluster as TF_CONFIG describes it, and a rendezvous of all of them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from segfeed.errors import WorkerError

PATIENCE = 300  # seconds to wait for the other workers


class ClusterSpec(NamedTuple):
    """The addresses of all workers, and which of them this process is, by TF_CONFIG."""

    addresses: list[str]
    rank: int

    @classmethod
    def read(cls) -> ClusterSpec:
        """Alone where TF_CONFIG is not set; WorkerError when it cannot be understood."""
        text = os.environ.get("TF_CONFIG", "")
        if not text:
            return cls(["localhost:0"], 0)
        example = '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'
        try:
            config = json.loads(text)
            addresses, task = config["cluster"]["worker"], config["task"]
            spec = cls([str(address) for address in addresses], int(task["index"]))
            ports = [int(address.rpartition(":")[2]) for address in spec.addresses]
        except (ValueError, KeyError, TypeError) as error:
            raise WorkerError(f"TF_CONFIG cannot be read ({error!r}). It looks like {example}.") from None
        if list(config["cluster"]) != ["worker"] or task.get("type") != "worker" or not all(ports):
            raise WorkerError(f"TF_CONFIG: there are only workers, each host:port, as in {example}.")
        if not 0 <= spec.rank < len(addresses):
            raise WorkerError(f"TF_CONFIG: index is {spec.rank}, and there are {len(addresses)} workers, from 0.")
        if len(set(addresses)) < len(addresses):
            raise WorkerError(f"TF_CONFIG names an address twice: {', '.join(addresses)}.")
        return spec


def rendezvous(spec: ClusterSpec, info: dict[str, Any], seconds: float = PATIENCE) -> list[dict[str, Any]]:
    """Block until all workers connect; return the `info` of each, what JSON can hold, by rank.

    Raises WorkerError for a taken port, for an address at which something else answers, and when a worker
    does not come in time. TensorFlow itself would wait for a missing worker without a word.
    """
    if len(spec.addresses) == 1:
        return [info]
    mine = json.dumps([spec.rank, info]).encode() + b"\n"
    port = spec.addresses[spec.rank].rpartition(":")[2]
    try:
        listener = socket.create_server(("", int(port)))
    except OSError as error:
        raise WorkerError(
            f"port {port} of this worker cannot be opened ({error.strerror}): end the program that uses it, or give "
            f"another port in TF_CONFIG, the same for all workers."
        ) from None
    listener.settimeout(0.2)
    visits, met = set(), threading.Event()

    def receive() -> None:
        while not met.is_set():
            with contextlib.suppress(OSError, ValueError), listener.accept()[0] as visitor:
                visitor.settimeout(10)
                rank, _ = _line(visitor)
                visitor.sendall(mine)
                visits.add(rank)

    receiver = threading.Thread(target=receive, daemon=True)
    receiver.start()
    try:
        others = [rank for rank in range(len(spec.addresses)) if rank != spec.rank]
        infos, problems, begun, told = {spec.rank: info}, {}, time.monotonic(), False
        while missing := [rank for rank in others if rank not in infos or rank not in visits]:
            for rank in missing:
                try:
                    infos[rank] = infos.get(rank) or _visit(spec, rank, mine)
                except OSError as error:
                    problems[rank] = f": {error}"
            names = ", ".join(f"{rank} ({spec.addresses[rank]}{problems.get(rank, '')})" for rank in missing)
            waited = time.monotonic() - begun
            if waited > seconds:
                raise WorkerError(
                    f"worker {names} did not come within {seconds:g} s. Start it, or see why it stopped, and whether "
                    f"this machine and that one can reach each other at these addresses."
                )
            if waited > 5 and not told:
                print(f"Waiting for worker {names}.", flush=True)
                told = True
            time.sleep(0.1)
    finally:  # the port is TensorFlow's from here on
        met.set()
        receiver.join()
        listener.close()
    return [infos[rank] for rank in range(len(spec.addresses))]


def _visit(spec: ClusterSpec, rank: int, mine: bytes) -> dict[str, Any]:
    """The info of a worker; OSError when it is not there yet."""
    address = spec.addresses[rank]
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(mine)
            answered, info = _line(connection)
    except ValueError:
        raise WorkerError(f"what answers at {address} is no worker of this program: correct TF_CONFIG.") from None
    if answered != rank:
        raise WorkerError(f"at {address} worker {answered} answers and not {rank}: TF_CONFIG differs between them.")
    return info


def _line(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Rank and info that a worker sends; ValueError for anything else that a stranger may send."""
    with connection.makefile("rb") as file:
        try:
            rank, info = json.loads(file.readline(2**24))
            return int(rank), dict(info)
        except (TypeError, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None


def differences(infos: Sequence[dict[str, Any]]) -> list[str]:
    """Where the infos of workers differ from that of worker 0, in words."""
    found = []
    for rank, info in enumerate(infos):
        for key in infos[0] | info:
            first, other = infos[0].get(key), info.get(key)
            if first != other:
                found.append(f"{key} is {first} for worker 0 and {other} for worker {rank}")
    return found
