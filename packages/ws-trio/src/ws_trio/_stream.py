"""The only place that knows which streams there are, and how each is read, written and ended."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, Final

import trio

from wscore import Connection

__all__ = ["Carrier", "SocketCarrier", "carrier_of"]

CHUNK = 64 * 1024
"""Bytes that are read or written at a time where a buffer has to be made for it."""

_SCRATCH_SIZE = 256 * 1024


class Carrier:
    """Any stream: read and written by the connection's own tasks.

    :ivar is_shared: whether any task may read, not only the connection's own.
    :ivar is_writing: whether bytes are on their way, and must not be sent again.
    :ivar write_ended: whether the end of what is written was said.
    :ivar addresses: this side's address and the other's, where the stream has any.
    """

    is_shared = False

    def __init__(self, stream: trio.abc.Stream, connection: Connection) -> None:
        self.stream: Final = stream
        self.connection: Final = connection
        self.is_writing = False
        self.write_ended = False
        self.addresses: tuple[Any, Any] = _addresses_of(stream)

    def write_now(self) -> bool:
        """Write what goes without waiting; whether that was everything."""
        return False

    def write_alone(self, frame: bytes, now: float) -> bool:
        """The same with all that is to be written: a frame, which is shown already."""
        return False

    async def write(self) -> None:
        """Write some of it. Cancelled, nobody knows how much: abort the connection."""
        data = b"".join(self.connection.data_to_send())
        self.is_writing = True
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            await self.stream.send_all(chunk)
            self.connection.data_sent(len(chunk), now=trio.current_time())
        self.is_writing = False

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection.

        Returns what :meth:`wscore.Connection.receive_data` says: whether there is nothing to
        settle but who receives.
        """
        data = await self.stream.receive_some(min(CHUNK, self.connection.want_read))
        return self.connection.receive_data(data, now=trio.current_time())

    def interrupt_read(self) -> None:
        """Let whoever waits in :meth:`read` come back, if anybody may."""

    async def end_write(self) -> None:
        """Say that nothing more will be written, where the stream can."""
        self.write_ended = True
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()

    async def abort(self) -> None:
        """Close the stream at once; harmless again."""
        with trio.CancelScope(shield=True), suppress(Exception):
            await trio.aclose_forcefully(self.stream)


class SocketCarrier(Carrier):
    """A plain socket: read by whoever receives, written by whoever sends.

    Between two points where it may be cancelled a system call moves some bytes, or none: there
    is nothing to lose count of.
    """

    is_shared = True

    def __init__(self, stream: trio.SocketStream, connection: Connection) -> None:
        super().__init__(stream, connection)
        self._trio_socket: Final = stream.socket
        # Another object for the same socket, whose calls never wait.
        self._socket: Final = socket.socket(fileno=stream.socket.fileno())
        self._closed = False
        self._is_awaited = False

    def write_now(self) -> bool:
        connection = self.connection
        while buffers := connection.data_to_send():
            try:
                sent = self._socket.sendmsg(buffers[:_MAX_BUFFERS])
            except BlockingIOError:
                return False
            connection.data_sent(sent, now=trio.current_time())
        return True

    def write_alone(self, frame: bytes, now: float) -> bool:
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            return False
        self.connection.data_sent(sent, now=now)
        return sent == len(frame)

    async def write(self) -> None:
        with suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._trio_socket)
        if not self._closed:
            self.write_now()

    def interrupt_read(self) -> None:
        # It is not closing: this is what wakes a task that waits for a socket, at a fraction of
        # the cost of a scope to be cancelled around every wait.
        if self._is_awaited:
            trio.lowlevel.notify_closing(self._trio_socket)

    async def read(self) -> bool:
        self._is_awaited = True
        try:
            await trio.lowlevel.wait_readable(self._trio_socket)
        except trio.ClosedResourceError:
            if self._trio_socket.fileno() < 0:
                raise
            return False
        finally:
            self._is_awaited = False
        connection = self.connection
        size = connection.want_read
        if not size or self._closed:
            return False
        landing = connection.receive_buffer()
        buffer = _scratch.buffer[:size] if landing is None else landing
        try:
            received = self._socket.recv_into(buffer)
        except BlockingIOError:
            return False
        now = trio.current_time()
        if landing is None or not received:
            return connection.receive_data(buffer[:received], now=now)
        connection.received(received, now=now)
        return False

    async def end_write(self) -> None:
        self.write_ended = True
        self._socket.shutdown(socket.SHUT_WR)

    async def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._socket.detach()
        await super().abort()


def carrier_of(stream: trio.abc.Stream, connection: Connection) -> Carrier:
    """What carries a connection over this stream."""
    # One that is closed has no socket left; reading it says so.
    if isinstance(stream, trio.SocketStream) and stream.socket.fileno() >= 0:
        return SocketCarrier(stream, connection)
    return Carrier(stream, connection)


def _addresses_of(stream: trio.abc.Stream) -> tuple[Any, Any]:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return None, None
    try:
        return stream.socket.getsockname(), stream.socket.getpeername()
    except OSError:
        # The peer is gone already.
        return None, None


_MAX_BUFFERS = 64
"""Buffers that one system call takes; every system takes that many (IOV_MAX)."""


class _Scratch(threading.local):
    """What all sockets of a thread are read into, since the core copies what it keeps."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_SCRATCH_SIZE))


_scratch = _Scratch()
