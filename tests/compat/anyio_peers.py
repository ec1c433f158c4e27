"""The only place for how tests of drop-in modules run on anyio, and for the peers they play."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from tests.adapters.rawpeers import Frame, frames_of
from tests.adapters.runtimes.on_anyio import BACKENDS, run
from tests.wscore.rawpeer import CLOSE, frame
from trio.testing import MockClock
from wsproto.utilities import generate_accept_token

PATIENCE = 1e6
"""In virtual seconds, which cost nothing."""

Test = Callable[..., Awaitable[None]]


def on_both(test: Test) -> Callable[..., None]:
    """Run an ``async def`` test on each backend; fail if it leaves a socket."""

    @pytest.mark.parametrize("backend", BACKENDS)
    @functools.wraps(test)
    def on_backend(backend: str, **arguments: Any) -> None:
        run(functools.partial(test, **arguments), backend=backend)

    signature = inspect.signature(test)
    backend = inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), backend]
    # For pytest, which looks at it to see what fixtures a test wants.
    setattr(on_backend, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
    runs: Callable[..., None] = on_backend
    return runs


def in_virtual_time(test: Test) -> Callable[..., None]:
    """Run an ``async def`` test on trio, with a clock that jumps whenever all are waiting."""

    @functools.wraps(test)
    def on_trio(**arguments: Any) -> None:
        async def patiently() -> None:
            with anyio.fail_after(PATIENCE):
                await test(**arguments)

        clock = MockClock(autojump_threshold=0)
        anyio.run(patiently, backend="trio", backend_options={"clock": clock})

    return on_trio


class RawPeer:
    """The other side of a connection, played by hand over a stream.

    :param masked: whether it is the client (RFC 6455 section 5.1).
    """

    def __init__(self, stream: ByteStream, *, masked: bool) -> None:
        self.stream = stream
        self._masked = masked
        self._unread = b""
        self._frames: list[Frame] = []

    async def send(self, head: int, payload: bytes = b"") -> None:
        """Send one frame."""
        await self.stream.send(frame(head, payload, masked=self._masked))

    async def read(self) -> Frame:
        """The next frame.

        :raises anyio.EndOfStream: there is none.
        """
        while not self._frames:
            found, self._unread = frames_of(self._unread + await self.stream.receive())
            self._frames += found
        return self._frames.pop(0)

    async def read_close(self) -> tuple[int, str]:
        """Code and reason of the Close frame that comes next."""
        head, payload = await self.read()
        assert head == CLOSE
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def read_to_end(self) -> list[Frame]:
        """Every frame until the stream ends, with no half frame at its end."""
        frames: list[Frame] = []
        with suppress(anyio.EndOfStream):
            while True:
                frames.append(await self.read())
        assert self._unread == b""
        return frames


async def read_head(stream: ByteStream) -> str:
    """The head of a request or response."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive(1)
    return head.decode()


def header(head: str, name: str) -> str:
    """The value of a header, which must be there once."""
    lines = [line.partition(": ") for line in head.split("\r\n")]
    [value] = [value for key, _, value in lines if key.lower() == name.lower()]
    return value


async def shake_as_server(stream: ByteStream, extra: str = "") -> str:
    """Accept the request that comes, which is returned, with these headers besides."""
    request = await read_head(stream)
    token = generate_accept_token(header(request, "Sec-WebSocket-Key").encode()).decode()
    await stream.send(
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {token}\r\n{extra}\r\n"
        ).encode()
    )
    return request


async def send_request(stream: ByteStream, extra: str = "") -> None:
    """Ask for a WebSocket, with these headers besides."""
    await stream.send(
        (
            "GET /chat?q=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        ).encode()
    )


async def shake_as_client(stream: ByteStream, extra: str = "") -> str:
    """Ask for a WebSocket; returns the answer."""
    await send_request(stream, extra)
    return await read_head(stream)


@asynccontextmanager
async def listening(
    handler: Callable[[SocketStream], Awaitable[object]], host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """The port of a server that does this with each connection; what it raises fails the test."""
    async with (
        await anyio.create_tcp_listener(local_host=host) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, handler)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def until(ready: Callable[[], bool]) -> None:
    """Let others run until it is so; for what nobody announces."""
    while not ready():
        await anyio.wait_all_tasks_blocked()
