"""Messages between two programs that have the same key. Each proves that it has the key and does not show it."""

from __future__ import annotations

import hmac
import json
import math
import secrets
import selectors
import socket
import time
from typing import Any

HELLO = b"segfeed2"  # how each side begins
NONCE, TAG = 32, 32  # bytes
GONE_AFTER = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # 30 s + 6 × 10 s


class WrongKeyError(ValueError):
    """The program at the other end has another key."""


class Channel:
    """A connection whose messages are JSON and carry an HMAC-SHA-256.

    The HMAC covers the nonces of both sides, the side of the sender and the number of the message, so that a
    message is of no use in another connection. JSON is parsed only after its HMAC is verified. Each method raises
    OSError when the connection breaks or `until`, a time of the monotonic clock, is over.
    """

    def __init__(self, connection: socket.socket, key: bytes, visitor: bool, until: float):
        """Exchange the nonces, the visitor's first; ValueError when the other end is another kind of program."""
        self.connection, self.until = connection, until
        self.life = ""  # what a worker at the other end calls itself, another word after each start
        self._mine, self._theirs = (b"visitor", b"host") if visitor else (b"host", b"visitor")
        self._sent = self._received = 0
        nonces = b""
        for is_mine in (visitor, not visitor):
            if is_mine:
                nonce = secrets.token_bytes(NONCE)
                self._write(HELLO + nonce)
            elif self._read(len(HELLO)) != HELLO:
                raise ValueError("the other end does not begin as a worker does")
            else:
                nonce = self._read(NONCE)
            nonces += nonce
        self._key = hmac.digest(key, nonces, "sha256")

    def send(self, message: Any) -> None:
        body = json.dumps(message).encode()
        self._write(len(body).to_bytes(4) + body + self._tag(self._mine, self._sent, body))
        self._sent += 1

    def receive(self, most: int = 2**30) -> Any:
        """A message of at most `most` bytes; WrongKeyError when its HMAC is not that of the key."""
        size = int.from_bytes(self._read(4))
        if size > most:
            raise ValueError(f"a message of {size} bytes, expected at most {most}")
        body = self._read(size)
        if not hmac.compare_digest(self._read(TAG), self._tag(self._theirs, self._received, body)):
            raise WrongKeyError("the other end has another key")
        self._received += 1
        return json.loads(body)

    def refuse(self) -> None:
        """Answer a message with a wrong HMAC by another, so that the sender learns of it."""
        self._write(bytes(4 + TAG))

    def has_news(self) -> bool:
        """Whether something waits to be read: a message, or the end of the connection."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return bool(selector.select(0))

    def keep_alive(self) -> None:
        """From here on wait without limit, and let the system notice within 90 s when the other machine is gone."""
        self.until = math.inf
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in GONE_AFTER.items():
            if hasattr(socket, name):  # TCP_KEEPIDLE is called TCP_KEEPALIVE on macOS
                self.connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _tag(self, side: bytes, number: int, body: bytes) -> bytes:
        return hmac.digest(self._key, b"%s %d %s" % (side, number, body), "sha256")

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._limit()
            part = self.connection.recv(min(size - len(data), 2**16))
            if not part:
                raise ConnectionResetError("it closed the connection")
            data += part
        return bytes(data)

    def _write(self, data: bytes) -> None:
        self._limit()
        self.connection.sendall(data)

    def _limit(self) -> None:
        """What is left of the time is the limit of the next call of the socket."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.connection.settimeout(None if math.isinf(left) else left)
