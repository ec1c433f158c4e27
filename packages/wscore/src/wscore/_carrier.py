"""The only place that decides how the bytes of a connection are read and written, piece by piece,
where whoever receives reads and whoever sends writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Protocol

from ._connection import Connection

__all__ = ["Carrier", "SocketCarrier", "StreamCarrier", "receive_rest", "send_some"]


class Carrier(Protocol):
    """What carries a connection: a :class:`StreamCarrier` or a :class:`SocketCarrier`.

    It belongs to the thread of the connection's event loop, and to the tasks of the connection,
    but for what says otherwise.

    :ivar is_shared: whether any task may read, not only the connection's own.
    :ivar is_writing: whether bytes are on their way, and must not be sent again.
    :ivar write_ended: whether the end of what is written was said.
    :ivar addresses: this side's address and the other's, where there are any.
    """

    is_shared: bool
    is_writing: bool
    write_ended: bool
    addresses: tuple[Any, Any]

    def write_now(self) -> bool:
        """Write what goes without waiting; whether that was everything. Any task.

        :raises OSError: it cannot be written.
        """
        ...

    def write_alone(self, frame: bytes, now: float) -> bool:
        """The same with what :meth:`Connection.frame_alone` gave, of which the connection is told
        in any case. Any task.

        :param now: the time, in seconds.
        :raises OSError: it cannot be written.
        """
        ...

    async def write(self) -> None:
        """Write some of it. Cancelled, nobody knows how much: abort the connection.

        :raises Exception: whatever the stream does; it is broken.
        """
        ...

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection. Any task, if it is shared.

        Returns what :meth:`wscore.Connection.receive_data` says: whether there is nothing to
        settle but who receives. Cancelled, what was read by then has been handed over.

        :raises Exception: whatever the stream does; it is broken.
        """
        ...

    def interrupt_read(self) -> None:
        """Let whoever waits in :meth:`read` come back, if it is shared. Any task."""
        ...

    def read_rest(self) -> None:
        """Hand to the connection what was received before the stream failed, as far as that can
        be had without waiting. Any task.
        """
        ...

    async def end_write(self) -> None:
        """Say that nothing more will be written, where that can be said; note it in any case.

        :raises Exception: whatever the stream does; it is broken.
        """
        ...

    async def close(self) -> None:
        """Close it; with TLS the peer has a say in how long that takes.

        :raises Exception: whatever the stream does.
        """
        ...

    async def abort(self) -> None:
        """Close it at once, whatever it says; harmless again. Not to be stopped by cancelling."""
        ...


class Stream(Protocol):
    """What a :class:`StreamCarrier` needs of a runtime: for a subclass to define."""

    async def _send(self, data: bytes, /) -> None:
        """Write all of it."""
        ...

    async def _receive(self, size: int, /) -> bytes | bytearray:
        """Wait for bytes, at least one and so many at most; none at the end of the stream."""
        ...


class StreamCarrier(Carrier, Stream):
    """Any stream: read and written by the connection's own tasks.

    :param now: the clock, in seconds.
    :param addresses: this side's and the other's, None for each that there is not.
    """

    def __init__(
        self, connection: Connection, now: Callable[[], float], addresses: tuple[Any, Any]
    ) -> None:
        self._connection: Final = connection
        self._now: Final = now
        self.is_shared = False
        self.is_writing = False
        self.write_ended = False
        self.addresses = addresses

    def write_now(self) -> bool:
        """Nothing goes without waiting."""
        return False

    def write_alone(self, frame: bytes, now: float) -> bool:
        """Nothing goes without waiting."""
        self._connection.sent_alone(frame, 0, now=now)
        return False

    async def write(self) -> None:
        """Write some of it. Cancelled, nobody knows how much: abort the connection."""
        connection = self._connection
        data = b"".join(connection.data_to_send())
        self.is_writing = True
        for start in range(0, len(data), _CHUNK):
            chunk = data[start : start + _CHUNK]
            await self._send(chunk)
            connection.data_sent(len(chunk), now=self._now())
        self.is_writing = False

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection."""
        connection = self._connection
        data = await self._receive(min(_CHUNK, connection.want_read))
        return connection.receive_data(data, now=self._now())

    def interrupt_read(self) -> None:
        """Whoever waits is the connection's own task, which has nothing else to do."""
        return

    def read_rest(self) -> None:
        """Nothing: a stream gives nothing without waiting, and nothing at all once it failed."""
        return


class HasNumber(Protocol):
    """What the system knows by a number; it is negative once that is closed."""

    def fileno(self) -> int: ...


class Socket(HasNumber, Protocol):
    """A socket of the standard library, or what behaves like one."""

    def send(self, data: bytes | memoryview, /) -> int: ...

    def recv_into(self, buffer: memoryview, /) -> int: ...


class Scratch(Protocol):
    """What all sockets of a thread are read into, since the core copies what it keeps."""

    @property
    def buffer(self) -> memoryview: ...


class Readiness(Protocol):
    """What a :class:`SocketCarrier` needs of a runtime: for a subclass to bind."""

    _scratch: ClassVar[Scratch]
    """A ``threading.local``: its buffer, of what a read may bring, is another in each thread."""

    _closed_error: ClassVar[type[Exception]]
    """What waiting raises if the socket was said to be closing."""

    @staticmethod
    def _wait_readable(sock: HasNumber, /) -> Awaitable[object]:
        """Wait until it can be read from."""
        ...

    @staticmethod
    def _wait_writable(sock: HasNumber, /) -> Awaitable[object]:
        """Wait until it can be written to."""
        ...

    @staticmethod
    def _notify_closing(sock: HasNumber, /) -> object:
        """Say that it is closing: whoever waits for it comes back with ``_closed_error``."""
        ...

    async def _close(self) -> None:
        """Close the socket, whatever it says; called once."""
        ...


class SocketCarrier(Carrier, Readiness):
    """A plain socket: read by whoever receives, written by whoever sends.

    Between two points where it may be cancelled a system call moves some bytes, or none: there
    is nothing to lose count of.

    :param sock: one whose calls never wait.
    :param now: the clock, in seconds.
    :param addresses: this side's and the other's, None for each that there is not.
    :param awaited: what the runtime waits for, if that is another object for the same socket.
    """

    def __init__(
        self,
        sock: Socket,
        connection: Connection,
        now: Callable[[], float],
        addresses: tuple[Any, Any],
        *,
        awaited: HasNumber | None = None,
    ) -> None:
        self._socket: Final = sock
        self._awaited: Final[HasNumber] = awaited or sock
        self._connection: Final = connection
        self._now: Final = now
        self._is_awaited = False
        self._closed = False
        self.is_shared = True
        self.is_writing = False
        self.write_ended = False
        self.addresses = addresses

    def write_now(self) -> bool:
        """Write what goes without waiting; whether that was everything."""
        connection = self._connection
        while buffers := connection.data_to_send():
            try:
                sent = send_some(self._socket, buffers)
            except BlockingIOError:
                return False
            connection.data_sent(sent, now=self._now())
        return True

    def write_alone(self, frame: bytes, now: float) -> bool:
        """The same with what :meth:`Connection.frame_alone` gave."""
        sent = 0
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            pass
        finally:
            self._connection.sent_alone(frame, sent, now=now)
        return sent == len(frame)

    async def write(self) -> None:
        """Wait until some of it goes, and write that."""
        with suppress(self._closed_error):
            await self._wait_writable(self._awaited)
        if not self._closed:
            self.write_now()

    async def read(self) -> bool:
        """Wait for something to read, and hand it to the connection."""
        self._is_awaited = True
        try:
            await self._wait_readable(self._awaited)
        except self._closed_error:
            # Interrupted, or closed by us. By whoever else has it: that is a failure.
            if not self._closed and self._awaited.fileno() < 0:
                raise
            return False
        finally:
            self._is_awaited = False
        return self._take_in()

    def _take_in(self) -> bool:
        """Read what there is, and hand it to the connection."""
        connection = self._connection
        size = connection.want_read
        if not size or self._closed:
            return False
        landing = connection.receive_buffer()
        buffer = self._scratch.buffer[:size] if landing is None else landing
        try:
            received = self._socket.recv_into(buffer)
        except BlockingIOError:
            return False
        failure: OSError | None = None
        if connection.want_write:
            # What was read may be the end of it; and is true all the same if that fails.
            try:
                self.write_now()
            except OSError as error:
                failure = error
        now = self._now()
        only_messages = False
        if landing is None or not received:
            only_messages = connection.receive_data(buffer[:received], now=now)
        else:
            connection.received(received, now=now)
        if failure is not None:
            raise failure
        return only_messages

    def interrupt_read(self) -> None:
        """Let whoever waits in :meth:`read` come back."""
        # It is not closing: this is what wakes a task that waits for a socket, at a fraction of
        # the cost of a scope to be cancelled around every wait.
        if self._is_awaited:
            self._notify_closing(self._awaited)

    def read_rest(self) -> None:
        """Hand to the connection what the system received before the socket failed."""
        # If somebody else has closed it, its number may be another socket's by now.
        if self._awaited.fileno() >= 0:
            receive = self._socket.recv_into
            receive_rest(self._connection, receive, self._scratch.buffer, now=self._now())

    async def close(self) -> None:
        """Close it: there is nothing that would take time."""
        await self.abort()

    async def abort(self) -> None:
        """Close it at once, whatever it says; harmless again."""
        if not self._closed:
            self._closed = True
            await self._close()


def send_some(sock: Socket, buffers: Sequence[bytes | memoryview]) -> int:
    """Send what :meth:`Connection.data_to_send` shows, as far as one system call goes.

    For any thread that may write to the connection.

    :param sock: a socket, which need not have ``sendmsg``; one that does not wait, if that is
        wanted.
    :param buffers: at least one.
    :returns: how many bytes were sent.
    :raises OSError: as ``send`` of the socket does.
    """
    if len(buffers) == 1:
        return sock.send(buffers[0])
    # On Windows there is no such call.
    send_together = getattr(sock, "sendmsg", None)
    if send_together is None:
        return sock.send(b"".join(buffers))
    sent: int = send_together(buffers[:_MAX_BUFFERS])
    return sent


def receive_rest(
    connection: Connection,
    receive: Callable[[memoryview], int],
    scratch: memoryview,
    *,
    now: float,
) -> None:
    """Hand to the connection what a socket received before writing to it failed.

    For whoever is about to say :meth:`Connection.transport_lost`. A peer that has said goodbye and
    does not read on resets the connection. Then writing fails at once, but what came before the
    reset can still be read where the system keeps it, as Linux does (RFC 9293 section 3.10.7.4
    would have it flushed): the last messages, and the Close frame that says why.

    Only as much as the connection wants is read, and 4 MiB at most. The end of the stream is not
    told, nor what reading raises: the reason is what failed first, unless a Close frame came.

    :param receive: reads into a buffer without waiting, as ``recv_into`` of a socket does. The
        caller knows that the socket is still its own.
    :param scratch: a buffer for that, since what is kept is copied.
    :param now: the time, in seconds.
    """
    left = _MAX_REST
    with suppress(OSError):
        while size := min(connection.want_read, left):
            received = receive(scratch[:size])
            if not received:
                break
            connection.receive_data(scratch[:received], now=now)
            left -= received


_MAX_REST = 4 * 1024 * 1024
"""Bytes that are read at one go of a socket that has failed, while everybody waits. Messages are
wanted as far as the receive queue goes, which is less by default; pings would be for ever."""

_MAX_BUFFERS = 64
"""Buffers that one system call takes; every system takes that many (IOV_MAX)."""

_CHUNK = 64 * 1024
"""Bytes that are read or written at a time where a buffer has to be made for it."""
