"""The only place that knows what bytes travel on, and how each is read, written and ended.

Most often that is a plain socket of our own, read by whoever receives and written by whoever
sends: anyio only says when, or asyncio's own loop. Streams of anyio's cost several turns of that a
message.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskGroup
from anyio.lowlevel import current_token

from wscore import Arrival, Carrier, Connection, SocketCarrier, StreamCarrier

__all__ = ["OnSocket", "OnStream", "Wire", "abort", "as_sockets", "carrier_of", "detached"]

Wire: TypeAlias = ByteStream | socket.socket
"""What a connection can run on: any stream, or a plain socket that nobody else has."""


class OnStream(StreamCarrier):
    """Any stream of anyio."""

    def __init__(
        self, stream: ByteStream, connection: Connection, now: Callable[[], float]
    ) -> None:
        super().__init__(connection, now, _addresses_of(stream))
        self._stream: Final = stream

    async def _send(self, data: bytes, /) -> None:
        await self._stream.send(data)

    async def _receive(self, size: int, /) -> bytes:
        try:
            return await self._stream.receive(size)
        except anyio.EndOfStream:
            return b""

    async def end_write(self) -> None:
        """Say that nothing more will be written, where the stream can."""
        self.write_ended = True
        # TLS cannot end one side alone.
        with suppress(Exception):
            await self._stream.send_eof()

    async def close(self) -> None:
        """Close the stream; with TLS the peer has a say in how long that takes."""
        await self._stream.aclose()

    async def abort(self) -> None:
        """Close the stream at once; harmless again."""
        await abort(self._stream)


class _Scratch(threading.local):
    """What all sockets of a thread are read into, since the core copies what it keeps."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(256 * 1024))


class OnSocket(SocketCarrier):
    """A plain socket of our own, which anyio only says of when it is ready."""

    _scratch = _Scratch()
    _closed_error = anyio.ClosedResourceError
    _wait_readable = staticmethod(anyio.wait_readable)
    _wait_writable = staticmethod(anyio.wait_writable)
    _notify_closing = staticmethod(anyio.notify_closing)

    def __init__(
        self, sock: socket.socket, connection: Connection, now: Callable[[], float]
    ) -> None:
        super().__init__(sock, connection, now, _addresses_of(sock))
        # The backend's own, without the way to it that anyio looks for in each call.
        self._wait_readable = current_token().backend_class.wait_readable
        self._own: Final = sock

    async def end_write(self) -> None:
        """Say that nothing more will be written."""
        self.write_ended = True
        self._own.shutdown(socket.SHUT_WR)

    async def _close(self) -> None:
        await abort(self._own)


class OnLoop(OnSocket):
    """The same on asyncio, whose loop is told once for many reads: by anyio it is for each.

    As long as something can be read, the loop says so each turn. So it is read at once.
    """

    def __init__(
        self,
        sock: socket.socket,
        connection: Connection,
        now: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(sock, connection, now)
        self._loop: Final = loop
        self._number: Final = sock.fileno()
        self._watched = False
        # Who reads, and what is told it.
        self._arrival: Final = _Arrival(loop)
        self._only_messages = False
        self._error: Exception | None = None

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection."""
        if not self._watched:
            self._loop.add_reader(self._number, self._on_readable)
            self._watched = True
        self._only_messages = False
        await self._arrival
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._only_messages

    def _on_readable(self) -> None:
        if not self._arrival.is_awaited:
            # Nobody reads for now.
            self._unwatch()
            return
        try:
            self._only_messages = self._take_in()
        except Exception as error:  # noqa: BLE001  (for whoever reads, who else would wait on)
            self._error = error
        self._arrival.wake_here()

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._number)

    def interrupt_read(self) -> None:
        """Let whoever waits in :meth:`read` come back."""
        self._arrival.wake()

    async def _close(self) -> None:
        self._unwatch()
        self.interrupt_read()
        await super()._close()


class _Arrival(Arrival):
    """Something that can be read."""

    __slots__ = ()

    _current_task = staticmethod(asyncio.current_task)
    _cancelled_error = asyncio.CancelledError


def carrier_of(wire: Wire, connection: Connection, now: Callable[[], float]) -> Carrier:
    """What carries a connection over this."""
    if not isinstance(wire, socket.socket):
        return OnStream(wire, connection, now)
    loop = _loop()
    if loop is None or wire.fileno() < 0:
        return OnSocket(wire, connection, now)
    return OnLoop(wire, connection, now, loop)


def _loop() -> asyncio.AbstractEventLoop | None:
    """The one that anyio runs on, if it is asyncio's and watches sockets, as some do not."""
    loop = current_token().native_token
    if not isinstance(loop, asyncio.AbstractEventLoop):
        return None
    watches = type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader
    return loop if watches else None


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
