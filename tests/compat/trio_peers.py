"""The only place for what tests of the drop-in modules on trio share: runs, and peers by hand."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1

import trio
import trio.testing
from tests.adapters.rawpeers import Frame, frames_of
from tests.wscore.rawpeer import REQUEST, frame

Test = Callable[[], Awaitable[None]]

_PATIENCE = 20.0
"""In seconds: a test that takes longer hangs."""


def in_no_time(test: Test) -> Callable[[], None]:
    """Run a test on a clock that jumps ahead whenever everybody waits; streams in memory only."""

    def wrapped() -> None:
        trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


def on_loopback(test: Test) -> Callable[[], None]:
    """Run a test that uses sockets."""

    async def in_time() -> None:
        with trio.fail_after(_PATIENCE):
            await test()

    def wrapped() -> None:
        trio.run(in_time)

    wrapped.__name__, wrapped.__doc__ = test.__name__, test.__doc__
    return wrapped


@asynccontextmanager
async def background() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks end with the block."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


async def seconds_of(call: Callable[[], Awaitable[object]]) -> float:
    """How long it takes."""
    began = trio.current_time()
    await call()
    return trio.current_time() - began


async def is_stuck(call: Callable[[], Awaitable[object]], seconds: float = 1000.0) -> bool:
    """Whether it takes longer than that, on a clock that jumps."""
    with trio.move_on_after(seconds) as scope:
        await call()
    return scope.cancelled_caught


class RawPeer:
    """The other side of a connection, written by hand.

    :ivar head: what it was sent as a head, of a request or a response.
    """

    def __init__(self, stream: trio.abc.Stream, *, client: bool) -> None:
        self.stream = stream
        self.head = b""
        self._client = client
        self._data = b""
        self._frames: list[Frame] = []

    async def shake(self, *headers: str) -> None:
        """Do its side of the handshake; ``headers`` are a server's to add."""
        if self._client:
            await self.stream.send_all(REQUEST)
            await self.read_head()
            return
        await self.read_head()
        key = next(
            line.split(b": ")[1]
            for line in self.head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        )
        accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        await self.answer(
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept.decode()}",
            *headers,
        )

    async def answer(self, *lines: str, body: str = "") -> None:
        """Send a head, and a body."""
        await self.stream.send_all("\r\n".join([*lines, "", body]).encode())

    async def read_head(self) -> bytes:
        """Read up to the end of a head."""
        while b"\r\n\r\n" not in self._data:
            data = await self.stream.receive_some()
            assert data, f"the stream ended in a head: {self._data!r}"
            self._data += data
        self.head, _, self._data = self._data.partition(b"\r\n\r\n")
        return self.head

    async def send(self, *frames: tuple[int, bytes]) -> None:
        """Send frames, all at once: each with its first byte and its payload."""
        await self.stream.send_all(
            b"".join(frame(head, payload, masked=self._client) for head, payload in frames)
        )

    async def read(self) -> Frame | None:
        """The next frame; None at the end of the stream."""
        while not self._frames:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._frames, self._data = frames_of(self._data + data)
        return self._frames.pop(0)

    async def read_all(self) -> list[Frame]:
        """Every frame up to the end of the stream."""
        found = []
        while (each := await self.read()) is not None:
            found.append(each)
        return found
