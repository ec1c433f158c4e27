"""The only place for getting to a stream: names, addresses and TLS, all within a deadline."""

from __future__ import annotations

import errno
import math
import queue
import socket
import ssl as tls
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from ._stream import SecureStream, Stream
from ._waiting import my_waker, remaining
from ._websocket import WebSocket

__all__ = [
    "dial",
    "dial_unix",
    "in_background",
    "make_stream",
    "receive",
    "send",
    "within_open_timeout",
]

T = TypeVar("T")

Addresses = Sequence[tuple[int, int, int, str, Any]]
"""What :func:`socket.getaddrinfo` finds."""


@contextmanager
def within_open_timeout(websocket: WebSocket) -> Iterator[None]:
    """Get as far as a stream; what goes wrong on the way is the connection's to tell."""
    connection = websocket._connection
    deadline = connection.deadline
    try:
        yield
    except (OSError, UnicodeError) as error:
        # TimeoutError is one, too: the deadline's, or the network's own.
        if time.monotonic() >= deadline:
            connection.handle_timeout(now=time.monotonic())
        websocket._lose(error)


def dial(host: str, port: int, deadline: float) -> socket.socket:
    """A socket that is connected to the host; its addresses are tried one after the other.

    :raises OSError: it cannot be reached, or not in time.
    """
    addresses = _look_up(host, port, deadline)
    error: OSError = OSError(f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        # One that does not answer leaves the others their share.
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as failure:
            error = failure
            continue
        try:
            _connect(sock, address, time.monotonic() + share)
        except BaseException as failure:
            sock.close()
            if not isinstance(failure, OSError):
                raise
            error = failure
        else:
            return sock
    raise error


def dial_unix(path: str, deadline: float) -> socket.socket:
    """A socket that is connected to the Unix socket of that path.

    :raises OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        _connect(sock, path, deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _look_up(host: str, port: int, deadline: float) -> Addresses:
    def look_up(flags: int = 0) -> Addresses:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)

    try:
        # An address needs no resolver.
        return look_up(socket.AI_NUMERICHOST)
    except OSError:
        return in_background(look_up, deadline)


def in_background(
    function: Callable[[], T], deadline: float, discard: Callable[[T], object] = id
) -> T:
    """Call what waits in ways of its own; what takes too long is left behind in its thread.

    :param discard: takes what it returns too late.
    :raises TimeoutError: it took too long.
    """
    done: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
    late = threading.Event()

    def run() -> None:
        try:
            result = function()
        except Exception as error:  # noqa: BLE001  (raised where it is waited for)
            done.put((None, error))
            return
        done.put((result, None))
        if late.is_set():
            discard(result)

    threading.Thread(target=run, name="ws_sync opening", daemon=True).start()
    try:
        result, error = done.get(timeout=remaining(deadline))
    except queue.Empty:
        late.set()
        raise TimeoutError("it was not done in time") from None
    if error is not None:
        raise error
    return cast("T", result)


def send(sock: socket.socket, data: bytes, deadline: float) -> None:
    """Send all of it.

    :raises OSError: it cannot be sent, or not in time.
    """
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            _wait(sock, deadline, write=True)


def receive(sock: socket.socket, deadline: float) -> bytes:
    """Receive some bytes; ``b""`` at the end.

    :raises OSError: there is nothing to receive any more, or not in time.
    """
    while True:
        try:
            return sock.recv(4096)
        except BlockingIOError:
            _wait(sock, deadline, write=False)


def _connect(sock: socket.socket, address: Any, deadline: float) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        _wait(sock, deadline, write=True)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, f"{errno.errorcode.get(code, code)} for {address}")


def make_stream(
    sock: socket.socket,
    context: tls.SSLContext | None,
    deadline: float,
    *,
    server_hostname: str | None = None,
) -> Stream:
    """The stream over a connected socket; the socket is closed if there will be none.

    :param context: for TLS.
    :param server_hostname: the server's name, on a client.
    :raises OSError: the TLS handshake fails, or takes too long.
    """
    try:
        if context is None:
            return Stream(sock)
        stream = SecureStream(sock, context, server_hostname=server_hostname)
        while not stream.shake():
            _wait(sock, deadline, write=stream.is_blocked)
        return stream
    except BaseException:
        sock.close()
        raise


def _wait(sock: socket.socket, deadline: float, *, write: bool) -> None:
    while not my_waker().wait(deadline, sock, write=write):
        if time.monotonic() >= deadline < math.inf:
            raise TimeoutError("the other side did not answer in time")
