"""The only place that knows what bytes travel on, and how each is read, written and ended.

Most often that is a plain socket of our own, read by whoever receives and written by whoever
sends: anyio only says when. On asyncio its streams cost several turns of the loop a message.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskGroup

from wscore import Connection

__all__ = ["Carrier", "Wire", "abort", "as_sockets", "carrier_of", "detached"]

Wire: TypeAlias = ByteStream | socket.socket
"""What a connection can run on: any stream, or a plain socket that nobody else has."""

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

    def __init__(self, wire: Any, connection: Connection, now: Callable[[], float]) -> None:
        self._wire: Final = wire
        self._connection: Final = connection
        self._now: Final = now
        self.is_writing = False
        self.write_ended = False
        self.addresses: tuple[Any, Any] = _addresses_of(wire)

    def write_now(self) -> bool:
        """Write what goes without waiting; whether that was everything."""
        return False

    def write_alone(self, frame: bytes, now: float) -> bool:
        """The same with all that is to be written: a frame, which is shown already."""
        return False

    async def write(self) -> None:
        """Write some of it. Cancelled, nobody knows how much, and the connection is over."""
        data = b"".join(self._connection.data_to_send())
        self.is_writing = True
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            await self._wire.send(chunk)
            self._connection.data_sent(len(chunk), now=self._now())
        self.is_writing = False

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection.

        Returns what :meth:`wscore.Connection.receive_data` says: whether there is nothing to
        settle but who receives.
        """
        try:
            data = await self._wire.receive(min(CHUNK, self._connection.want_read))
        except anyio.EndOfStream:
            data = b""
        return self._connection.receive_data(data, now=self._now())

    def interrupt_read(self) -> None:
        """Let whoever waits in :meth:`read` come back, if anybody may."""

    async def end_write(self) -> None:
        """Say that nothing more will be written, where the stream can."""
        self.write_ended = True
        # TLS cannot end one side alone.
        with suppress(Exception):
            await self._wire.send_eof()

    async def close(self) -> None:
        """Close the stream; with TLS the peer has a say in how long that takes."""
        await self._wire.aclose()

    async def abort(self) -> None:
        """Close the stream at once; harmless again."""
        await abort(self._wire)


class SocketCarrier(Carrier):
    """A plain socket: read by whoever receives, written by whoever sends.

    Between two points where it may be cancelled a system call moves some bytes, or none: there
    is nothing to lose count of.
    """

    is_shared = True

    def __init__(
        self, sock: socket.socket, connection: Connection, now: Callable[[], float]
    ) -> None:
        super().__init__(sock, connection, now)
        self._socket: Final = sock
        self._is_awaited = False

    def write_now(self) -> bool:
        connection = self._connection
        while buffers := connection.data_to_send():
            try:
                sent = self._socket.send(buffers[0])
            except BlockingIOError:
                return False
            connection.data_sent(sent, now=self._now())
        return True

    def write_alone(self, frame: bytes, now: float) -> bool:
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            return False
        self._connection.data_sent(sent, now=now)
        return sent == len(frame)

    async def write(self) -> None:
        with suppress(anyio.ClosedResourceError):
            await anyio.wait_writable(self._socket)
        if self._socket.fileno() >= 0:
            self.write_now()

    def interrupt_read(self) -> None:
        # It is not closing: this is what wakes a task that waits for a socket, at a fraction of
        # the cost of a scope to be cancelled around every wait.
        if self._is_awaited:
            anyio.notify_closing(self._socket)

    async def read(self) -> bool:
        self._is_awaited = True
        try:
            await anyio.wait_readable(self._socket)
        except anyio.ClosedResourceError:
            return False
        finally:
            self._is_awaited = False
        connection = self._connection
        size = connection.want_read
        if not size or self._socket.fileno() < 0:
            return False
        landing = connection.receive_buffer()
        buffer = _scratch.buffer[:size] if landing is None else landing
        try:
            received = self._socket.recv_into(buffer)
        except BlockingIOError:
            return False
        now = self._now()
        if landing is None or not received:
            return connection.receive_data(buffer[:received], now=now)
        connection.received(received, now=now)
        return False

    async def end_write(self) -> None:
        self.write_ended = True
        self._socket.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        await self.abort()


def carrier_of(wire: Wire, connection: Connection, now: Callable[[], float]) -> Carrier:
    """What carries a connection over this."""
    if isinstance(wire, socket.socket):
        return SocketCarrier(wire, connection, now)
    return Carrier(wire, connection, now)


async def abort(wire: Wire) -> None:
    """Close it at once, whatever it says; harmless again."""
    if isinstance(wire, socket.socket):
        if wire.fileno() >= 0:
            anyio.notify_closing(wire)
            wire.close()
    else:
        with suppress(Exception):
            await anyio.aclose_forcefully(wire)


async def detached(stream: ByteStream) -> Wire:
    """The socket of a stream that anyio has just connected, or else the stream.

    Only of one on which the other side does not speak first: what is read already stays behind.
    """
    if _WINDOWS:
        return stream
    try:
        raw = stream.extra(SocketAttribute.raw_socket)
        number = os.dup(raw.fileno())
        try:
            sock = socket.socket(fileno=number)
        except BaseException:
            os.close(number)
            raise
        sock.setblocking(False)
    except BaseException:
        await abort(stream)
        raise
    try:
        await anyio.aclose_forcefully(stream)
    except BaseException:
        sock.close()
        raise
    return sock


class SocketListener(Listener[socket.socket]):
    """Accepts plain sockets, in place of a listener that anyio has just made."""

    def __init__(self, listener: Listener[Any]) -> None:
        self._listener: Final = listener
        self._socket: Final[socket.socket] = listener.extra(SocketAttribute.raw_socket)

    @property
    def extra_attributes(self) -> Any:
        """Those of anyio's."""
        return self._listener.extra_attributes

    async def serve(
        self, handler: Callable[[socket.socket], Any], task_group: TaskGroup | None = None
    ) -> None:
        """Accept for ever, and run the handler with each socket, in the task group.

        :raises anyio.ClosedResourceError: the listener is closed.
        """
        assert task_group is not None
        while True:
            if self._socket.fileno() < 0:
                raise anyio.ClosedResourceError
            await anyio.wait_readable(self._socket)
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                continue
            sock.setblocking(False)
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                # What is sent is meant to go out (RFC 9293 section 3.7.4: Nagle waits for more).
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task_group.start_soon(handler, sock)

    async def aclose(self) -> None:
        """Stop accepting."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
        await self._listener.aclose()


def as_sockets(listener: Listener[Any]) -> Listener[Any]:
    """What accepts plain sockets, where a listener of anyio can be had that way."""
    return listener if _WINDOWS else SocketListener(listener)


_WINDOWS = sys.platform == "win32"
"""There a socket does not say when it is ready, without a thread to ask it."""


def _addresses_of(wire: Wire) -> tuple[Any, Any]:
    # The peer may be gone already, or the stream closed.
    with suppress(OSError):
        if isinstance(wire, socket.socket):
            return wire.getsockname(), wire.getpeername()
        extra = wire.extra
        here, there = SocketAttribute.local_address, SocketAttribute.remote_address
        return extra(here, None), extra(there, None)
    return None, None


class _Scratch(threading.local):
    """What all sockets of a thread are read into, since the core copies what it keeps."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_SCRATCH_SIZE))


_scratch = _Scratch()
