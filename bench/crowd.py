"""The only place for many clients at once: the same load on every server, of one cheap process.

Clients by hand, with blocking in one place only, so that what they cost is the same whoever serves
them. Every wait has an end: see :class:`Crowd`.
"""

from __future__ import annotations

import base64
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final, Self

READ: Final = 65536
HEAD_END: Final = b"\r\n\r\n"

WAVE: Final = 50
"""How many open at a time: below the backlog of every server here."""

PER_ADDRESS: Final = 2500
"""How many connect from one address: each has some 28,000 ports (ip_local_port_range)."""

RESET: Final = struct.pack("ii", 1, 0)
"""What SO_LINGER takes for closing at once, so that no port waits for a minute (TIME_WAIT)."""

FIN: Final = 0x80
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class Stalled(Exception):
    """Nothing came for too long."""


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client; what the mask is makes no difference to who removes it."""
    key = b"\x37\xfa\x21\x3d"
    size = len(payload)
    head = bytes([FIN | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 2**16:
        head += bytes([0x80 | 126]) + size.to_bytes(2)
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8)
    stream = key * (size // 4 + 1)
    mixed = int.from_bytes(payload) ^ int.from_bytes(stream[:size])
    return head + key + mixed.to_bytes(size)


class Member:
    """A client of a crowd.

    :ivar opened: whether the opening handshake is done.
    :ivar ended: whether the server has closed the connection.
    :ivar begun: when it last sent something.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock: Final = sock
        self.opened = False
        self.ended = False
        self.begun = 0.0
        self._data = b""

    def send(self, data: bytes) -> None:
        """Send what is small enough for the socket's buffer."""
        self.begun = time.perf_counter()
        self.sock.sendall(data)

    def read(self) -> int:
        """Read what there is; how many messages that completes."""
        try:
            data = self.sock.recv(READ)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return 0
        self._data += data
        if not self.opened:
            self._open()
        return self._frames() if self.opened else 0

    def _open(self) -> None:
        head, end, rest = self._data.partition(HEAD_END)
        if end:
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"the server refused: {head.splitlines()[0].decode()}")
            self.opened = True
            self._data = rest

    def _frames(self) -> int:
        messages = 0
        while len(self._data) >= 2:
            head, size = self._data[0], self._data[1]
            begin = 2
            if size >= 126:
                begin += 2 if size == 126 else 8
                size = int.from_bytes(self._data[2:begin])
            if len(self._data) < begin + size:
                break
            payload = self._data[begin : begin + size]
            self._data = self._data[begin + size :]
            if head & 0xF == PING:
                self.sock.sendall(masked(PONG, payload))
            elif head & 0xF < CLOSE and head & FIN:
                messages += 1
        return messages


class RawMember(Member):
    """A client of raw sockets, where so many bytes are a message."""

    def __init__(self, sock: socket.socket, size: int) -> None:
        super().__init__(sock)
        self.opened = True
        self._size: Final = size
        self._unread = 0

    def _frames(self) -> int:
        self._unread += len(self._data)
        self._data = b""
        messages, self._unread = divmod(self._unread, self._size)
        return messages


class Crowd:
    """Clients of one server.

    :param port: where it listens on 127.0.0.1.
    :param size: bytes of the messages that will be sent.
    :param raw: whether the server knows bytes only.
    :param deflate: whether to offer compression, which is never used.
    :param patience: seconds after which a server that does not answer has stalled.
    """

    def __init__(
        self,
        port: int,
        *,
        size: int = 16,
        raw: bool = False,
        deflate: bool = False,
        patience: float = 30.0,
    ) -> None:
        self.members: Final[list[Member]] = []
        self._port: Final = port
        self._raw: Final = raw
        self._size: Final = size
        self._patience: Final = patience
        self._message: Final = bytes(size) if raw else masked(2, bytes(size))
        self._request: Final = _request(port, deflate=deflate)
        self._selector: Final = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            member.sock.close()
        self._selector.close()

    def open(self, count: int) -> None:
        """Let so many more connect.

        :raises Stalled: they cannot.
        """
        for begin in range(0, count, WAVE):
            wave = [self._connect() for _ in range(min(WAVE, count - begin))]
            if self._raw:
                continue
            waiting = set(wave)
            for member in wave:
                member.send(self._request)
            for member, _ in self._reads():
                if member.ended:
                    raise ConnectionError("the server closed a connection that was just opened")
                if member.opened:
                    waiting.discard(member)
                if not waiting:
                    break

    def exchange(self, count: int) -> list[float]:
        """Have so many messages echoed, one of each client at a time; seconds each of them took.

        :raises Stalled: an echo did not come.
        """
        latencies: list[float] = []
        unsent = count
        for member in self.members[:count]:
            member.send(self._message)
            unsent -= 1
        for member, messages in self._reads():
            for _ in range(messages):
                latencies.append(time.perf_counter() - member.begun)
                if unsent > 0:
                    member.send(self._message)
                    unsent -= 1
            if len(latencies) >= count:
                break
        return latencies

    def hear(self, rounds: int) -> None:
        """Have the server send a message to everybody, so many times, one after the other.

        :raises Stalled: somebody got nothing.
        """
        for _ in range(rounds):
            self.members[0].send(self._message)
            missing = len(self.members)
            for _, messages in self._reads():
                missing -= messages
                if missing <= 0:
                    break

    def close(self) -> None:
        """Close all connections, with a closing handshake.

        :raises Stalled: the server does not close its side.
        """
        farewell = masked(CLOSE, (1000).to_bytes(2))
        waiting = set(self.members)
        for member in waiting:
            if self._raw:
                member.sock.shutdown(socket.SHUT_WR)
            else:
                member.send(farewell)
        if waiting:
            for member, _ in self._reads():
                if member.ended:
                    waiting.discard(member)
                if not waiting:
                    break
        for member in self.members:
            member.sock.close()
        self.members.clear()

    def _connect(self) -> Member:
        source = f"127.0.0.{1 + len(self.members) // PER_ADDRESS}"
        sock = socket.create_connection(
            ("127.0.0.1", self._port), self._patience, source_address=(source, 0)
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        sock.setblocking(False)
        member = RawMember(sock, self._size) if self._raw else Member(sock)
        self._selector.register(sock, selectors.EVENT_READ, member)
        self.members.append(member)
        return member

    def _reads(self) -> Iterator[tuple[Member, int]]:
        """Each read of each client, as it comes, until nobody asks any more."""
        end = time.monotonic() + self._patience
        while True:
            ready = self._selector.select(end - time.monotonic())
            if not ready or time.monotonic() > end:
                raise Stalled(f"nothing within {self._patience:g} s")
            for key, _ in ready:
                member: Member = key.data
                messages = member.read()
                if member.ended:
                    self._selector.unregister(member.sock)
                yield member, messages


def _request(port: int, *, deflate: bool) -> bytes:
    lines = [
        "GET / HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if deflate:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
    return "\r\n".join([*lines, "", ""]).encode()
