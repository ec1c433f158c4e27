"""The only place that knows which streams there are, and how each is read, written and ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import trio

from wscore import Carrier, Connection, SocketCarrier, StreamCarrier

__all__ = ["OnSocket", "OnStream", "carrier_of"]


class OnStream(StreamCarrier):
    """Any stream of trio."""

    def __init__(
        self, stream: trio.abc.Stream, connection: Connection, now: Callable[[], float]
    ) -> None:
        under = stream
        while isinstance(under, trio.SSLStream):
            under = under.transport_stream
        sock = under.socket if isinstance(under, trio.SocketStream) else None
        super().__init__(connection, now, _addresses_of(sock))
        self._stream: Final = stream

    async def _send(self, data: bytes, /) -> None:
        await self._stream.send_all(data)

    async def _receive(self, size: int, /) -> bytes | bytearray:
        return await self._stream.receive_some(size)

    async def end_write(self) -> None:
        """Say that nothing more will be written, where the stream can."""
        self.write_ended = True
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def close(self) -> None:
        """Close the stream; with TLS the peer has a say in how long that takes."""
        await self._stream.aclose()

    async def abort(self) -> None:
        """Close the stream at once; harmless again."""
        with trio.CancelScope(shield=True), suppress(Exception):
            await trio.aclose_forcefully(self._stream)


class _Scratch(threading.local):
    """What all sockets of a thread are read into, since the core copies what it keeps."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(256 * 1024))


class OnSocket(SocketCarrier):
    """A plain socket of trio's, which trio only says of when it is ready."""

    _scratch = _Scratch()
    _closed_error = trio.ClosedResourceError
    _wait_readable = staticmethod(trio.lowlevel.wait_readable)
    _wait_writable = staticmethod(trio.lowlevel.wait_writable)
    _notify_closing = staticmethod(trio.lowlevel.notify_closing)

    def __init__(
        self, stream: trio.SocketStream, connection: Connection, now: Callable[[], float]
    ) -> None:
        self._stream: Final = stream
        # Another object for the same socket, whose calls never wait.
        self._same: Final = socket.socket(fileno=stream.socket.fileno())
        super().__init__(
            self._same,
            connection,
            now,
            _addresses_of(self._same),
            awaited=stream.socket,
        )

    async def end_write(self) -> None:
        """Say that nothing more will be written."""
        self.write_ended = True
        self._same.shutdown(socket.SHUT_WR)

    async def _close(self) -> None:
        self._same.detach()
        # What the stream's own method does, too, but for a checkpoint.
        with suppress(OSError):
            self._stream.socket.close()


def carrier_of(
    stream: trio.abc.Stream, connection: Connection, now: Callable[[], float]
) -> Carrier:
    """What carries a connection over this stream."""
    # One that is closed has no socket left; reading it says so.
    if isinstance(stream, trio.SocketStream) and stream.socket.fileno() >= 0:
        return OnSocket(stream, connection, now)
    return OnStream(stream, connection, now)


def _addresses_of(sock: socket.socket | trio.socket.SocketType | None) -> tuple[Any, Any]:
    if sock is None:
        return None, None
    try:
        return sock.getsockname(), sock.getpeername()
    except OSError:
        # The peer is gone already.
        return None, None
