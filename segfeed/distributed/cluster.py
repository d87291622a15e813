"""Which workers train together: the cluster as TF_CONFIG describes it, and what its workers tell each other."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import selectors
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

from segfeed.distributed.rendezvous import Rendezvous, Waiting
from segfeed.errors import WorkerError

PATIENCE = 300  # seconds to wait for the other workers
ADDRESS = re.compile(r"(\[[\w:.%]+\]|[^\[\]:/\s]+):([0-9]{1,5})")  # an IPv6 address is in brackets


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
            only_workers = list(config["cluster"]) == ["worker"] and task.get("type") == "worker"
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise WorkerError(f"TF_CONFIG cannot be read ({error!r}). It looks like {example}.") from None
        if not only_workers:
            raise WorkerError(f"TF_CONFIG: there are only workers, as in {example}.")
        for address in spec.addresses:
            match = ADDRESS.fullmatch(address)
            if not match or not 0 < int(match[2]) < 2**16:
                raise WorkerError(
                    f"TF_CONFIG: {address!r} is no address. It looks like host:port or [IPv6]:port, with a port from 1 "
                    f"to 65535."
                )
        if not 0 <= spec.rank < len(addresses):
            raise WorkerError(f"TF_CONFIG: index is {spec.rank}, and there are {len(addresses)} workers, from 0.")
        if len(set(spec.addresses)) < len(spec.addresses):
            raise WorkerError(f"TF_CONFIG names an address twice: {', '.join(spec.addresses)}.")
        return spec


class Workers:
    """The workers of a cluster, which meet when the context is entered and stay connected until it is left.

    `infos` are then the infos of all, what JSON can hold, by rank. To enter takes at most `seconds`, and raises
    WorkerError as `Rendezvous.meet` does; TensorFlow itself would wait for a missing worker without a word. An
    exception that leaves the context is told to the other workers.
    """

    def __init__(self, spec: ClusterSpec, info: dict[str, Any], seconds: float = PATIENCE):
        self.infos = [info]
        self._spec, self._seconds = spec, seconds
        self._rendezvous = Rendezvous(*spec, seconds)
        self._heard: dict[int, Any] = {}  # infos of others, by rank, that no `all_gather` has returned yet

    def __enter__(self) -> Workers:
        try:
            self._rendezvous.meet()
            self.infos = self._all_gather(self.infos[0], self._rendezvous.until)
            self._rendezvous.stop()
            for channel in self._rendezvous.channels.values():
                channel.keep_alive()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error:
            own = f"worker {self._spec.rank} stopped: {str(error) or type(error).__name__}"
            for channel in self._rendezvous.channels.values():
                channel.until = time.monotonic() + 1
                with contextlib.suppress(OSError):
                    channel.send({"stop": str(error) if isinstance(error, WorkerError) else own})
        self._rendezvous.close()

    def all_gather(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        """The infos of all workers, by rank. It waits without a limit, as long as the others live.

        Raises WorkerError when another worker stops, with its reason, or is gone.
        """
        return self._all_gather(info, math.inf)

    def check(self) -> None:
        """Raise WorkerError, as `all_gather` does, if another worker has stopped or is gone; it waits for nothing."""
        for rank, channel in self._rendezvous.channels.items():
            if channel.has_news():
                self._hear(rank)

    def _all_gather(self, info: dict[str, Any], until: float) -> list[dict[str, Any]]:
        if self._spec.rank != 0:  # worker 0 collects and sends all to all
            self._send({"info": info})
            return self._receive(until)[0]
        infos = self._receive(until) | {0: info}
        self._send({"info": [infos[rank] for rank in sorted(infos)]})
        return [infos[rank] for rank in sorted(infos)]

    def _send(self, message: dict[str, Any]) -> None:
        for rank, channel in self._rendezvous.channels.items():
            try:
                channel.send(message)
            except OSError:
                raise self._gone(rank) from None

    def _receive(self, until: float) -> dict[int, Any]:
        """What each of the workers with a channel says, by rank."""
        channels, waiting = self._rendezvous.channels, Waiting()
        with selectors.DefaultSelector() as selector:
            for rank, channel in channels.items():
                selector.register(channel.connection, selectors.EVENT_READ, rank)
            while silent := sorted(channels.keys() - self._heard.keys()):
                names = ", ".join(f"{rank} ({self._spec.addresses[rank]})" for rank in silent)
                if time.monotonic() >= until:
                    raise WorkerError(
                        f"worker {names} came, and did not reach all others within {self._seconds:g} s. "
                        f"Its own output says which."
                    )
                waiting.say(names)
                for key, _ in selector.select(min(1, max(0, until - time.monotonic()))):
                    self._hear(key.data)
        infos, self._heard = self._heard, {}
        return infos

    def _hear(self, rank: int) -> None:
        try:
            message = self._rendezvous.channels[rank].receive()
        except (OSError, ValueError):
            raise self._gone(rank) from None
        if "stop" in message:
            raise WorkerError(message["stop"])
        self._heard[rank] = message["info"]

    def _gone(self, rank: int) -> WorkerError:
        return WorkerError(
            f"worker {rank} ({self._spec.addresses[rank]}) is gone. Its own output says why. Start all workers again."
        )


def rendezvous(spec: ClusterSpec, info: dict[str, Any], seconds: float = PATIENCE) -> list[dict[str, Any]]:
    """Block until all workers have met, at most `seconds`; return the `info` of each, what JSON can hold, by rank.

    Raises WorkerError as `Rendezvous.meet` does.
    """
    with Workers(spec, info, seconds) as workers:
        return workers.infos


def differences(infos: Sequence[dict[str, Any]]) -> list[str]:
    """Where the infos of workers differ from that of worker 0, in words."""
    found = []
    for rank, info in enumerate(infos):
        for key in infos[0] | info:
            first, other = infos[0].get(key), info.get(key)
            if first != other:
                found.append(f"{key} is {first} for worker 0 and {other} for worker {rank}")
    return found
