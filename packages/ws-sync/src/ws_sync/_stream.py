"""The only place that knows what bytes travel on: a plain socket, or TLS over one; never waits."""

from __future__ import annotations

import mmap
import socket
import ssl as tls
import threading
import time
from contextlib import suppress
from typing import Any, Final

from wscore import Connection, receive_rest, send_some

__all__ = ["SecureStream", "Stream"]

CHUNK = 64 * 1024
"""Bytes that are encrypted or decrypted at a time."""


class Stream:
    """A plain socket.

    :ivar addresses: this side's address and the other's, as the socket gives them.
    :ivar sock: what to wait for.
    """

    has_buffered = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock: Final = sock
        self.addresses: tuple[Any, Any] = (None, None)
        # The peer may be gone already.
        with suppress(OSError):
            self.addresses = sock.getsockname(), sock.getpeername()
        # What is sent is meant to go out (RFC 9293 section 3.7.4: Nagle waits for more).
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, connection: Connection) -> bool:
        """Write what goes; whether that was everything.

        :raises OSError: it cannot be written.
        """
        while buffers := connection.data_to_send():
            try:
                sent = send_some(self.sock, buffers)
            except BlockingIOError:
                return False
            connection.data_sent(sent, now=time.monotonic())
        return True

    def write_alone(self, frame: bytes, connection: Connection, now: float) -> bool:
        """The same with what :meth:`wscore.Connection.frame_alone` gave; the connection is told
        of that in any case.

        What cannot be written is left to :meth:`write`.
        """
        sent, failure = 0, None
        try:
            sent = self.sock.send(frame)
        except BlockingIOError:
            pass
        except OSError as error:
            failure = error
        connection.sent_alone(frame, sent, now=now)
        if failure is not None:
            # To write again would meet another one: this has been told once and for all.
            self.lose(connection, failure)
        return sent == len(frame)

    def read(self, connection: Connection) -> bool:
        """Read what is there, once, as much as the connection wants.

        Returns what :meth:`wscore.Connection.receive_data` says: whether there is nothing to
        settle but who receives.

        :raises OSError: it cannot be read.
        """
        size = connection.want_read
        if not size:
            return False
        landing = connection.receive_buffer()
        buffer = _scratch.buffer[:size] if landing is None else landing
        try:
            received = self.sock.recv_into(buffer)
        except BlockingIOError:
            return False
        now = time.monotonic()
        if landing is None or not received:
            return connection.receive_data(buffer[:received], now=now)
        connection.received(received, now=now)
        return False

    def lose(self, connection: Connection, error: OSError) -> None:
        """Reading or writing has failed; of the peer's last words nothing is lost for that."""
        now = time.monotonic()
        receive_rest(connection, self.sock.recv_into, _scratch.buffer, now=now)
        connection.transport_lost(error, now=now)

    def end_write(self) -> None:
        """Say that nothing more will be written."""
        # A peer that has just reset the connection leaves nothing to end.
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def shut(self) -> None:
        """End it in both directions; whoever waits for the socket wakes up."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class SecureStream(Stream):
    """TLS over a socket (RFC 8446), by way of buffers: it never waits either.

    :ivar has_buffered: whether there may be something to read that the socket does not announce.
    """

    def __init__(
        self, sock: socket.socket, context: tls.SSLContext, *, server_hostname: str | None
    ) -> None:
        super().__init__(sock)
        self._incoming: Final = tls.MemoryBIO()
        self._outgoing: Final = tls.MemoryBIO()
        self._tls: Final = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        # Encrypted, and not yet taken by the socket; and how much of the connection's it is.
        self._encrypted = memoryview(b"")
        self._unsent = 0

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done. If not, the peer's turn comes first.

        :raises OSError: it fails; the certificate is not to be trusted, for one.
        """
        while True:
            try:
                self._tls.do_handshake()
            except tls.SSLWantReadError:
                self._flush()
                if not self._fill():
                    return False
            else:
                self._flush()
                # The peer's first words may have come with the end of its handshake.
                self.has_buffered = True
                return True
            finally:
                # The alert that tells the peer what is wrong.
                with suppress(OSError):
                    self._flush()

    @property
    def is_blocked(self) -> bool:
        """Whether the socket has not taken everything."""
        return bool(self._encrypted)

    def write(self, connection: Connection) -> bool:
        while self._flush():
            if self._unsent:
                connection.data_sent(self._unsent, now=time.monotonic())
                self._unsent = 0
            buffers = connection.data_to_send()
            if not buffers:
                return True
            data = b"".join(buffers)[:CHUNK]
            self._unsent = self._tls.write(data)
        return False

    def write_alone(self, frame: bytes, connection: Connection, now: float) -> bool:
        connection.sent_alone(frame, 0, now=now)
        return False

    def read(self, connection: Connection) -> bool:
        self._fill()
        self.has_buffered = True
        while size := connection.want_read:
            try:
                data = self._tls.read(min(size, CHUNK))
            except tls.SSLWantReadError:
                self.has_buffered = False
                break
            except (tls.SSLZeroReturnError, tls.SSLEOFError):
                # With or without close_notify: what the frames say is what counts.
                data = b""
                self.has_buffered = False
            connection.receive_data(data, now=time.monotonic())
            if not data:
                break
        return False

    def lose(self, connection: Connection, error: OSError) -> None:
        """Reading or writing has failed; what is left is encrypted, and lost with it."""
        connection.transport_lost(error, now=time.monotonic())

    def end_write(self) -> None:
        """Nothing: TLS cannot end one side alone."""

    def shut(self) -> None:
        # Ours is said; the peer's is not waited for (RFC 8446 section 6.1).
        with suppress(OSError):
            self._tls.unwrap()
        with suppress(OSError):
            self._flush()
        super().shut()

    def _fill(self) -> bool:
        """Take what the socket has; whether there was anything, its end for one."""
        scratch = _scratch.buffer
        try:
            received = self.sock.recv_into(scratch[:CHUNK])
        except BlockingIOError:
            return False
        if received:
            self._incoming.write(scratch[:received])
        else:
            self._incoming.write_eof()
        return True

    def _flush(self) -> bool:
        """Give the socket what is encrypted; whether it took everything."""
        while True:
            if not self._encrypted:
                self._encrypted = memoryview(self._outgoing.read())
                if not self._encrypted:
                    return True
            try:
                sent = self.sock.send(self._encrypted)
            except BlockingIOError:
                return False
            self._encrypted = self._encrypted[sent:]


class _Scratch(threading.local):
    """What all sockets of a thread are read into, since the core copies what it keeps.

    Mapped, so that a thread whose messages are small takes up no more than these.
    """

    def __init__(self) -> None:
        self.buffer = memoryview(mmap.mmap(-1, 256 * 1024))


_scratch = _Scratch()
