"""The only place for peers played by hand on a socket: they read, write and vanish when told to.

Frames are built and parsed by wsproto, which shares nothing with what is tested here.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar, Unpack

from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    TextMessage,
)
from wsproto.utilities import generate_accept_token

from ws_asyncio import Server, WebSocket, connect, serve
from wscore import ConfigOptions

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""A good request, with the key of RFC 6455 section 1.3."""

VIOLATION = bytes((0x83, 0x80, 0, 0, 0, 0))
"""A client's frame with a reserved opcode (RFC 6455 section 5.2)."""

AnyEvent = TypeVar("AnyEvent", bound=Event)

_BUFFER = 16 * 1024
"""Bytes that the kernel is asked to hold for a peer, so that it fills up soon."""


class Peer:
    """One end of a TCP connection, in no hurry: it reads only when told to.

    :ivar raw: every byte that it has read behind the handshake.
    """

    def __init__(self, sock: socket.socket, role: ConnectionType) -> None:
        sock.setblocking(False)
        self.raw = b""
        self._sock = sock
        self._frames = Frames(role)
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def dial(cls, port: int) -> Self:
        """A client's end, before the handshake."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(sock, ConnectionType.CLIENT)

    @classmethod
    async def accept(cls, listener: socket.socket) -> Self:
        """A server's end, before the handshake."""
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        return cls(sock, ConnectionType.SERVER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    # -- the handshake

    async def upgrade(self) -> None:
        """Open the connection as a client."""
        await self.write(REQUEST)
        head = await self.read_head()
        assert head.startswith(b"HTTP/1.1 101 "), head

    async def answer(self) -> bytes:
        """Open the connection as a server; return the request's head."""
        head = await self.read_head()
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
        assert key is not None
        token = generate_accept_token(key[1])
        await self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
        )
        return head

    async def read_head(self) -> bytes:
        """Read a request's or response's head and nothing behind it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = await self._loop.sock_recv(self._sock, 1)
            assert byte, head
            head += byte
        return head

    # -- bytes

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def read(self) -> bytes:
        """Some bytes; none at the end of the stream."""
        data = await self._loop.sock_recv(self._sock, 65536)
        self.raw += data
        return data

    async def read_to_end(self) -> bytes:
        """Everything up to the end of the stream, a reset included."""
        data = b""
        try:
            while piece := await self.read():
                data += piece
        except ConnectionResetError:
            pass
        return data

    # -- frames

    async def send(self, event: Event) -> None:
        await self.write(self._frames.send(event))

    async def events(self) -> AsyncIterator[Event]:
        """What the other side says, up to the end of the stream."""
        while True:
            while self._events:
                yield self._events.popleft()
            if not (data := await self.read()):
                return
            self._frames.receive_data(data)
            self._events.extend(self._frames.events())

    async def receive(self, kind: type[AnyEvent]) -> AnyEvent:
        """The next event, which is of this kind; of a message all of it."""
        parts: list[str] | list[bytes] = []
        async for event in self.events():
            assert isinstance(event, kind), event
            if not isinstance(event, Message):
                return event
            parts.append(event.data)
            if event.message_finished:
                joined = "".join(parts) if kind is TextMessage else b"".join(parts)  # type: ignore[arg-type]
                return kind(data=joined)  # type: ignore[call-arg]
        raise AssertionError(f"the stream ended before a {kind.__name__}")

    async def answer_close(self) -> CloseConnection:
        """Read up to the other side's Close frame, and answer it."""
        async for event in self.events():
            if isinstance(event, CloseConnection):
                await self.send(event.response())
                return event
        raise AssertionError("the stream ended without a Close frame")

    # -- ways to go

    def end(self) -> None:
        """End this side of the stream (FIN), and keep on reading."""
        self._sock.shutdown(socket.SHUT_WR)

    def say_and_reset(self, *events: Event) -> None:
        """Say something that the other side's kernel takes at once, and vanish with a RST."""
        # Else it could wait until what was said before is acknowledged.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b"".join(map(self._frames.send, events))
        assert self._sock.send(data) == len(data)
        self.reset()

    def reset(self) -> None:
        """Vanish with a RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[socket.socket, int]]:
    """A listening socket and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        # Inherited by what it accepts.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        yield listener, listener.getsockname()[1]


@asynccontextmanager
async def client_and_peer(
    **policy: Unpack[ConfigOptions],
) -> AsyncIterator[tuple[WebSocket, Peer]]:
    """Our client, and the server's end of its connection."""
    async with listening() as (listener, port):
        connecting = asyncio.create_task(_connected(port, **policy))
        with await Peer.accept(listener) as peer:
            await peer.answer()
            websocket = await connecting
            try:
                yield websocket, peer
            finally:
                websocket.abort()
                await websocket.wait_closed()


async def _connected(port: int, **policy: Unpack[ConfigOptions]) -> WebSocket:
    return await connect(f"ws://127.0.0.1:{port}/", **policy)


@asynccontextmanager
async def server_and_peer(
    handler: Callable[[WebSocket], Awaitable[object]], **policy: Unpack[ConfigOptions]
) -> AsyncIterator[tuple[Server, Peer]]:
    """Our server, and the client's end of a connection to it."""
    async with serve(handler, "127.0.0.1", 0, **policy) as server:
        with await Peer.dial(server.port) as peer:
            await peer.upgrade()
            yield server, peer


@asynccontextmanager
async def both_ends(**policy: Unpack[ConfigOptions]) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """The client's and the server's end of a connection of ours."""
    met: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        met.set_result(websocket)
        await websocket.wait_closed()

    async with (
        serve(handler, "127.0.0.1", 0, **policy) as server,
        connect(f"ws://127.0.0.1:{server.port}/", **policy) as client,
    ):
        yield client, await met


async def echo(websocket: WebSocket) -> None:
    """A handler that sends back what it receives."""
    async for message in websocket:
        await websocket.send(message)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    while not condition():  # noqa: ASYNC110  (nobody sets an event)
        await asyncio.sleep(0.001)


async def turns(count: int = 10) -> None:
    """Let everybody run who can."""
    for _ in range(count):
        await asyncio.sleep(0)


__all__ = [
    "REQUEST",
    "VIOLATION",
    "BytesMessage",
    "CloseConnection",
    "Peer",
    "Ping",
    "Pong",
    "TextMessage",
    "both_ends",
    "client_and_peer",
    "echo",
    "listening",
    "server_and_peer",
    "turns",
    "until",
]
