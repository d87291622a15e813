"""How the workers of a cluster find each other: each listens, each visits each of the others, and all prove a key."""

from __future__ import annotations

import contextlib
import errno
import hmac
import ipaddress
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from segfeed.distributed.channel import Channel, WrongKeyError
from segfeed.errors import WorkerError

VISIT = 5  # seconds in which a visitor must prove that it is a worker
VISITORS = 100  # that may try at the same time; with one more the oldest is cut off
OF_ANOTHER_MACHINE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Rendezvous:
    """Connect every worker with every other, so that all know that TensorFlow will be able to.

    The key is made from all addresses and from the environment variable SEGFEED_SECRET. Who visits without it
    learns nothing, and cannot hold up the others: a thread of its own attends to it, for at most `VISIT` seconds.
    """

    def __init__(self, addresses: Sequence[str], rank: int, seconds: float):
        self._addresses, self._rank, self._seconds = addresses, rank, seconds
        self.until = time.monotonic() + seconds
        secret = os.fsencode(os.environ.get("SEGFEED_SECRET", ""))
        self._key = hmac.digest(secret, json.dumps(addresses).encode(), "sha256")
        self._changed = threading.Condition()  # held to change what follows
        self._ended = False
        self._error: WorkerError | None = None
        self._listeners: list[socket.socket] = []
        self._accepting: list[threading.Thread] = []
        self._visitors: dict[socket.socket, None] = {}  # that have proved nothing yet, the oldest first
        self._life = secrets.token_hex(8)  # tells a worker from the one that was started again in its place
        self._came: dict[int, Channel] = {}
        self._visited: dict[int, Channel] = {}
        self._problems: dict[int, str] = {}
        self._refused = ""

    @property
    def channels(self) -> dict[int, Channel]:
        """By rank: of worker 0 to all that came, and of the others to worker 0."""
        with self._changed:
            return dict(self._came) if self._rank == 0 else {r: c for r, c in self._visited.items() if r == 0}

    def meet(self) -> None:
        """Block until each worker has visited this one and was visited; never longer than the given seconds.

        A worker that stops meanwhile may be started again.

        Raises WorkerError for a port that is taken, an address that this machine does not have, another program
        or another key at an address, and a worker that does not come in time.
        """
        others = [rank for rank in range(len(self._addresses)) if rank != self._rank]
        if others:
            self._start(self._listen)
        waiting = Waiting()
        with self._changed:
            while missing := [rank for rank in others if not self._has_met(rank)]:
                if self._error:
                    raise self._error
                self._forget_the_stopped()
                if time.monotonic() >= self.until:
                    raise self._late(missing)
                waiting.say(self._named(missing))
                self._changed.wait(min(1, max(0, self.until - time.monotonic())))

    def _has_met(self, rank: int) -> bool:
        """Whether it came and was visited, and is the same at both ends."""
        came, visited = self._came.get(rank), self._visited.get(rank)
        return came is not None and visited is not None and came.life == visited.life

    def _forget_the_stopped(self) -> None:
        """Visit them anew, and let them come anew: where this worker visits, nothing is said before all have met."""
        for rank, visited in [item for item in self._visited.items() if item[1].has_news()]:
            for channels in (self._came, self._visited):
                if rank in channels and channels[rank].life == visited.life:
                    channels.pop(rank).connection.close()
            self._start(self._visit, rank)

    def stop(self) -> None:
        """Attend to no visitor any more. The port stays taken, for TensorFlow, until `close`."""
        with self._changed:
            self._ended = True
            for visitor in self._visitors:
                _cut(visitor)

    def close(self) -> None:
        self.stop()
        for thread in self._accepting:
            thread.join()  # the port of a listener is free only when nobody waits at it
        for channel in (*self._came.values(), *self._visited.values()):
            channel.connection.close()
        for listener in self._listeners:
            listener.close()

    def _named(self, ranks: Iterable[int]) -> str:
        return ", ".join(f"{rank} ({self._addresses[rank]}{self._problems.get(rank, '')})" for rank in ranks)

    def _late(self, missing: Sequence[int]) -> WorkerError:
        mine = self._addresses[self._rank]
        if not self._listeners:
            return WorkerError(f"the host of {mine}, this worker, is not found within {self._seconds:g} s: correct it.")
        own = sorted({listener.getsockname()[0] for listener in self._listeners})
        apart = {_host_and_port(self._addresses[rank])[0] for rank in missing} - {_host_and_port(mine)[0]}
        hint = self._refused
        if apart and all(ipaddress.ip_address(address).is_loopback for address in own):
            hint += (
                f" This worker, {mine}, listens at {' and '.join(own)}, which no other machine can reach: for workers "
                f"on other machines give its address in the network."
            )
        return WorkerError(
            f"worker {self._named(missing)} did not come within {self._seconds:g} s. Start it, or see why it stopped, "
            f"and whether this machine and that one can reach each other at these addresses.{hint}"
        )

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        """Run in a thread that nobody waits for: a look-up of a name may take longer than there is time."""

        def run() -> None:
            try:
                target(*arguments)
            except WorkerError as error:
                with self._changed:
                    self._error = self._error or error
                    self._changed.notify_all()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _add(self, channels: dict[int, Channel], rank: int, channel: Channel) -> bool:
        """Whether the worker is taken up, which it is not after the end."""
        with self._changed:
            if not self._ended:
                channels[rank] = channel
                self._changed.notify_all()
            return not self._ended

    # --- To be visited ---------------------------------------------------------------------------

    def _listen(self) -> None:
        """At the addresses of this worker's host and at no other."""
        mine = f"{self._addresses[self._rank]} is the address of this worker by TF_CONFIG"
        host, port = _host_and_port(self._addresses[self._rank])
        try:
            places = dict.fromkeys(place[::4] for place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            raise WorkerError(f"{mine}, and its host is not found ({error}): correct it, or give an IP.") from None
        with self._changed:
            for family, place in places if not self._ended else ():
                if ipaddress.ip_address(str(place[0])).is_unspecified:
                    continue  # 0.0.0.0 would be all addresses
                try:
                    self._listeners.append(socket.create_server(place, family=family, backlog=VISITORS))
                except OSError as error:
                    if error.errno not in OF_ANOTHER_MACHINE:
                        raise WorkerError(
                            f"port {port} of this worker cannot be opened ({error.strerror}): end the program that "
                            f"uses it, or give another port in TF_CONFIG, the same for all workers."
                        ) from None
            if not self._listeners:
                raise WorkerError(
                    f"{mine}, and this machine has no such one ({', '.join(str(place[0]) for _, place in places)}). "
                    f"If index {self._rank} is right, give an address that this machine has and that the others reach. "
                    f"A container has it in the network of its host."
                )
            self._accepting = [self._start(self._accept, listener) for listener in self._listeners]
        for rank in range(len(self._addresses)):
            if rank != self._rank:
                self._start(self._visit, rank)

    def _accept(self, listener: socket.socket) -> None:
        listener.settimeout(0.2)
        while not self._ended:
            try:
                visitor, (host, *_) = listener.accept()
                with self._changed:
                    self._visitors[visitor] = None
                    if len(self._visitors) > VISITORS:
                        oldest = next(iter(self._visitors))
                        del self._visitors[oldest]
                        _cut(oldest)
                self._start(self._attend, visitor, host)
            except TimeoutError:
                continue
            except (OSError, RuntimeError):  # too many open files or threads, or the visitor is gone
                time.sleep(0.05)

    def _attend(self, visitor: socket.socket, host: str) -> None:
        stays = False
        try:
            channel = Channel(visitor, self._key, False, min(self.until, time.monotonic() + VISIT))
            try:
                rank, channel.life = channel.receive(64)
            except WrongKeyError:
                self._refused = f" A visitor from {host} was refused: it has another TF_CONFIG or SEGFEED_SECRET."
                return channel.refuse()
            channel.send([self._rank, self._life])
            stays = self._add(self._came, rank, channel)
        except (OSError, ValueError):
            pass  # no worker, or one that will come again
        finally:
            with self._changed:
                self._visitors.pop(visitor, None)
            if not stays:
                visitor.close()

    # --- To visit --------------------------------------------------------------------------------

    def _visit(self, rank: int) -> None:
        address = self._addresses[rank]
        while not self._ended and time.monotonic() < self.until:
            try:
                connection = socket.create_connection(_host_and_port(address), VISIT)
            except (OSError, UnicodeError) as error:
                self._problems[rank] = f": {error}"
                time.sleep(0.1)
                continue
            stays = False
            try:
                if connection.getsockname() == connection.getpeername():  # where nobody listens yet, on this machine
                    raise ConnectionRefusedError("the connection has reached itself")
                channel = Channel(connection, self._key, True, min(self.until, time.monotonic() + VISIT))
                channel.send([self._rank, self._life])
                answered, channel.life = channel.receive(64)
                if answered != rank:
                    raise WorkerError(f"at {address} worker {answered} answers and not {rank}: correct TF_CONFIG.")
                self._problems[rank] = ": it answers, and does not connect to this worker"
                stays = self._add(self._visited, rank, channel)
                return
            except OSError as error:
                self._problems[rank] = f": {error}"
                time.sleep(0.1)
            except WrongKeyError:
                time.sleep(min(1, max(0, self.until - time.monotonic())))  # so that it can visit and learn the same
                raise WorkerError(
                    f"the worker at {address} has another TF_CONFIG or SEGFEED_SECRET: give all workers the same "
                    f"addresses in the same order, and the same secret or none."
                ) from None
            except ValueError:
                raise WorkerError(
                    f"what answers at {address} is no worker of this version of segfeed: correct TF_CONFIG, end that "
                    f"program, or install the same version on all machines."
                ) from None
            finally:
                if not stays:
                    connection.close()


class Waiting:
    """Say once, after 5 s, who is waited for."""

    def __init__(self) -> None:
        self._after: float = time.monotonic() + 5

    def say(self, names: str) -> None:
        if time.monotonic() > self._after:
            print(f"Waiting for worker {names}.", flush=True)
            self._after = float("inf")


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _cut(visitor: socket.socket) -> None:
    """Wake the thread that waits for a visitor; that closes the connection."""
    with contextlib.suppress(OSError):
        visitor.shutdown(socket.SHUT_RDWR)
