"""The only place where a connection of this library looks like asyncwebsockets' ``Websocket``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from math import inf
from socket import socket
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError

from ws_anyio import WebSocket, connect
from ws_anyio._accept import log
from wscore import (
    CloseBy,
    CloseCode,
    CloseReason,
    Config,
    Connection,
    ConnectionClosed,
    HandshakeError,
    answer_request,
)

from ._events import Asking, Filter, HeaderPairs, accepted, ending, to_headers, translated
from ._home import home

__all__ = ["CONFIG", "ByteMessage", "ClientWebsocket", "Filter", "Websocket", "WebsocketClosed"]

CONFIG = Config(
    open_timeout=inf,
    send_timeout=inf,
    ping_interval=inf,
    max_message_size=inf,
    max_fragments=inf,
    # The original says no as soon as the server does, and has no place for its explanation.
    max_body_size=0,
    # Iterating gives them.
    show_pings=True,
)
"""Every policy of this package. Assign another one to change it for connections made from then on.

As the original it has no timeout, no limit and no keepalive. It does have a ``close_timeout``,
since TCP is not cut off behind a Close frame: so long may the peer take to answer it, behind the
back of whoever closed."""

ByteMessage = BytesMessage
"""What the original's manual calls :class:`wsproto.events.BytesMessage`."""


class WebsocketClosed(ConnectionClosed, LocalProtocolError, anyio.ClosedResourceError):
    """Sending on a connection that is closing or closed.

    Whoever catches wsproto's LocalProtocolError, as the original raises it, catches this.

    :ivar reason: who ended the connection, and why.
    """


class Websocket:
    """A WebSocket connection as asyncwebsockets has it, of either role.

    Made by the functions of this package, or by hand: ``Websocket()``, then :meth:`start_client`
    or :meth:`start_server`. Its pings are answered whether or not anybody iterates. It has tasks
    of its own: whoever does not use ``async with open_...`` has to :meth:`close` it.
    """

    def __init__(self) -> None:
        self._websocket: WebSocket | None = None
        self._sock: ByteStream | None = None
        # A message was begun by send(final=False).
        self._in_message = False
        # When the program last learned something of the peer; inf once it knows of the end.
        self._informed = inf

    @property
    def raw_socket(self) -> socket:
        """The socket under the stream.

        :raises LocalProtocolError: not started.
        :raises anyio.TypedAttributeLookupError: the stream has none.
        """
        if self._sock is None:
            raise _not_started()
        return self._sock.extra(SocketAttribute.raw_socket)

    async def start_client(
        self,
        sock: ByteStream,
        addr: Sequence[object],
        path: str,
        headers: HeaderPairs | None = None,
        subprotocols: Sequence[str] | None = None,
    ) -> AcceptConnection:
        """Be the client on a connected stream; it belongs to the connection from then on.

        Bounded by ``CONFIG.open_timeout``. Cancelled, it leaves nothing behind.

        :param addr: a pair whose first is sent as Host, without a port; or that alone.
        :param path: path and query.
        :param headers: pairs of str or bytes, or a mapping of str, to add to the request.
        :param subprotocols: to offer, in order of preference.
        :returns: what the server answered.
        :raises ConnectionError: the server refused; its second argument is a RejectConnection.
        :raises RemoteProtocolError: the answer is malformed.
        :raises anyio.EndOfStream, anyio.BrokenResourceError: the stream ended.
        :raises TimeoutError: ``CONFIG.open_timeout``, in seconds, has passed.
        :raises ValueError, TypeError: an argument cannot be right; nothing was sent.
        :raises LocalProtocolError: started already.
        """
        self._begin(sock)
        host = addr if isinstance(addr, str) else str(addr[0])
        # Of IPv6, a zone means nothing to another machine (RFC 6874 section 4).
        host = f"[{host.partition('%')[0]}]" if ":" in host else host
        with translated():
            self._websocket = websocket = await connect(
                f"ws://{host}/{path.removeprefix('/')}",
                headers=to_headers(headers),
                stream=sock,
                task_group=await home(),
                config=CONFIG.replace(subprotocols=tuple(subprotocols or ())),
            )
        self._informed = websocket._now()
        assert websocket.response is not None
        return accepted(websocket.response, websocket.subprotocol)

    async def start_server(self, sock: ByteStream, filter: Filter | None = None) -> Request:  # noqa: A002
        """Be the server on a connected stream; it belongs to the connection from then on.

        Bounded by ``CONFIG.open_timeout``, with the filter. Cancelled, it leaves nothing behind.

        :param filter: says who may connect, and how; None: everybody, with the first subprotocol
            offered. What it raises is raised here, and the client gets 500.
        :returns: the client's request.
        :raises ConnectionError: the request was refused; its second argument is a
            RejectConnection.
        :raises RemoteProtocolError: it is malformed.
        :raises anyio.EndOfStream, anyio.BrokenResourceError: the stream ended.
        :raises TimeoutError: ``CONFIG.open_timeout``, in seconds, has passed.
        :raises LocalProtocolError: the filter returned what cannot be answered; or started
            already.
        """
        self._begin(sock)
        asking = Asking(filter)
        group = await home()
        websocket = WebSocket(Connection.server(CONFIG, now=anyio.current_time()))
        group.start_soon(websocket._carry_until_cancelled, sock)
        with translated(asking):
            try:
                await answer_request(websocket, asking, log)
            except HandshakeError:
                # The adapter's accept() would wait for the client to take notice.
                await _until_written(websocket)
                raise
            except BaseException:
                websocket.abort()
                raise
        self._websocket = websocket
        self._informed = anyio.current_time()
        assert asking.request is not None
        return asking.request

    async def send(self, data: str | bytes, final: bool = True) -> None:
        """Send a message, or a part of one; wait while the send buffer is full.

        Returns when it is queued, not when the peer has it. Cancelled while it waits, nothing was
        sent. What crosses the peer's Close frame is dropped, until the program has come upon that
        by iterating, or ``close_timeout`` has passed since it last received anything.

        :param data: str is sent as text, bytes-like as binary.
        :param final: False: more of the message follows, with the next send.
        :raises WebsocketClosed: the connection is closing or closed.
        :raises anyio.BrokenResourceError: its stream ended or failed.
        :raises TypeError: not str or bytes, or not what the message began with; nothing was sent.
        :raises LocalProtocolError: not started.
        """
        websocket = self._started()
        if not isinstance(data, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"data must be str or bytes, not {type(data).__name__}")
        try:
            if final and not self._in_message:
                await websocket.send(data)
            else:
                await self._send_part(websocket, data, final)
        except ConnectionClosed as closed:
            if self._has_crossed(closed.reason):
                return
            if closed.reason.by is CloseBy.TRANSPORT:
                raise anyio.BrokenResourceError from closed
            raise WebsocketClosed(closed.reason) from closed

    async def _send_part(self, websocket: WebSocket, data: str | bytes, final: bool) -> None:
        # The adapter's send() takes all parts at once; here each comes from a call of its own.
        async with websocket._send_turn:
            await websocket._until_can_send_part()
            try:
                websocket._connection.send_part(data, final=final, now=websocket._now())
                self._in_message = not final
            finally:
                websocket._settle()

    def _has_crossed(self, reason: CloseReason) -> bool:
        # The original does not look at what it received before its program iterates, and sends
        # until then; programs answer a message without expecting that its sender has closed.
        known = anyio.current_time() - self._informed
        return reason.by is CloseBy.PEER and 0 <= known < CONFIG.close_timeout

    async def close(self, code: int = 1006, reason: str = "Connection closed") -> None:
        """Close the connection: return when that is said, and do not wait for the peer's answer.

        What was sent before goes out first, within ``close_timeout``. The closing handshake goes
        on without the caller. Harmless if the connection is closing, closed or was never started.

        :param code: 1000-1003, 1007-1014 or 3000-4999. 1005, 1006 and 1015, which must not be
            sent (RFC 6455 section 7.4.1), become 1000.
        :param reason: cut at a character to 123 bytes of UTF-8; None: none.
        :raises ValueError, TypeError: another code; the reason is not text.
        """
        websocket = self._websocket
        if websocket is None:
            return
        code = CloseCode.NORMAL_CLOSURE if code in _NEVER_SENT else code
        connection = websocket._connection
        connection.close(code, reason if reason is not None else "", now=websocket._now())
        websocket._settle()
        await _until_written(websocket)
        # The original ends TCP now, and who speaks to it may wait for that. Only our side of it
        # is ended here (TLS has none), lest unread bytes reset what was written.
        assert self._sock is not None
        with suppress(Exception):
            await self._sock.send_eof()

    async def next_event(self) -> Event:
        """The next event: a whole message, a ping or pong, or how the connection was closed.

        Cancelled, it has taken nothing.

        :returns: TextMessage, BytesMessage; Ping, which is answered already, Pong; or, when there
            is nothing more, CloseConnection with the peer's code, or the one for which this side
            closed or failed the connection.
        :raises anyio.EndOfStream: the stream ended without a Close frame.
        :raises anyio.BrokenResourceError: the stream failed.
        :raises wscore.ConcurrencyError: another task is receiving.
        :raises LocalProtocolError: not started.
        """
        websocket = self._started()
        connection = websocket._connection
        with websocket._receiving:
            await websocket._until(lambda: connection.can_take_control or connection.can_receive)
        self._informed = websocket._now()
        if (frame := connection.take_control()) is not None:
            return _CONTROLS[frame.opcode](frame.payload)
        try:
            message = await websocket.recv()
        except ConnectionClosed as closed:
            self._informed = inf
            return ending(closed)
        return TextMessage(message) if isinstance(message, str) else BytesMessage(message)

    # By this name programs use it, since the release has none of the manual's.
    _next_event = next_event

    def __aiter__(self) -> AsyncIterator[Event]:
        """Receive messages, pings and pongs until either side has closed, with any code.

        :raises anyio.EndOfStream: the stream ended without a Close frame.
        :raises anyio.BrokenResourceError: the stream failed.
        """
        return self

    async def __anext__(self) -> Event:
        event = await self.next_event()
        if isinstance(event, CloseConnection):
            raise StopAsyncIteration
        return event

    send_message = send

    def _begin(self, sock: ByteStream) -> None:
        if self._sock is not None:
            raise LocalProtocolError("this Websocket is started already: make another one")
        self._sock = sock

    def _started(self) -> WebSocket:
        if self._websocket is None:
            raise _not_started()
        return self._websocket


ClientWebsocket = Websocket
"""What the original's manual calls :class:`Websocket`."""


_CONTROLS: Final = {9: Ping, 10: Pong}
"""By opcode (RFC 6455 section 5.2)."""

_NEVER_SENT: Final = (
    CloseCode.NO_STATUS_RCVD,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
)


async def _until_written(websocket: WebSocket) -> None:
    connection = websocket._connection
    await websocket._until(lambda: not connection.want_write)


def _not_started() -> LocalProtocolError:
    return LocalProtocolError("this Websocket is not open: start_client() or start_server() first")
