"""The only place for connections as aiohttp has them: their messages, their end, their timing."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
from collections.abc import Callable
from types import GenericAlias, TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from ws_asyncio._websocket import WebSocket
from wscore import Cause, CloseReason, ConnectionClosed

from .errors import (
    ClientConnectionResetError,
    ServerTimeoutError,
    WebSocketError,
    WSMessageTypeError,
)

__all__ = [
    "ClientWSTimeout",
    "ClientWebSocketResponse",
    "JSONBytesEncoder",
    "JSONDecoder",
    "JSONEncoder",
    "WSCloseCode",
    "WSMessage",
    "WSMsgType",
]

JSONEncoder: TypeAlias = Callable[[Any], str]
JSONBytesEncoder: TypeAlias = Callable[[Any], bytes]
JSONDecoder: TypeAlias = Callable[[str], Any]


class WSCloseCode(enum.IntEnum):
    """Close codes (RFC 6455 section 7.4.1 and the IANA registry)."""

    OK = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL_CLOSURE = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


class WSMsgType(enum.IntEnum):
    """What kind of message was received: opcodes of RFC 6455 section 5.2, and aiohttp's own."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    PING = 0x9
    PONG = 0xA
    CLOSE = 0x8
    CLOSING = 0x100
    CLOSED = 0x101
    ERROR = 0x102

    text = TEXT
    binary = BINARY
    ping = PING
    pong = PONG
    close = CLOSE
    closing = CLOSING
    closed = CLOSED
    error = ERROR


class WSMessage(NamedTuple):
    """What ``receive()`` returns.

    :ivar type: what kind of message it is.
    :ivar data: str for TEXT (bytes with ``decode_text=False``), bytes for BINARY, PING and PONG,
        the close code for CLOSE (0 if the peer gave none), the exception for ERROR, else None.
        Any, since it depends on ``type``.
    :ivar extra: the reason for CLOSE; empty for TEXT and BINARY; else None.
    """

    type: WSMsgType
    data: Any
    extra: str | None

    @property
    def tp(self) -> WSMsgType:
        """``type``, as aiohttp 0.16 spelt it."""
        return self.type

    def json(self, *, loads: Callable[[Any], Any] = json.loads) -> Any:
        """The data as JSON.

        :param loads: what decodes it; whatever it raises is raised.
        """
        return loads(self.data)


_CLOSING: Final = WSMessage(WSMsgType.CLOSING, None, None)
_CLOSED: Final = WSMessage(WSMsgType.CLOSED, None, None)
_ENDS: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)


@dataclasses.dataclass(frozen=True, slots=True)
class ClientWSTimeout:
    """Timeouts of a connection.

    :ivar ws_receive: seconds that ``receive()`` waits for a message; None: for ever.
    :ivar ws_close: seconds that ``close()`` waits for the peer; None: for ever.
    """

    ws_receive: float | None = None
    ws_close: float | None = None


class ClientWebSocketResponse:
    """A connection; :meth:`ClientSession.ws_connect` makes them.

    Any number of tasks may send, one at a time may receive. Cancelling never corrupts the stream.
    """

    @classmethod
    def __class_getitem__(cls, decode_text: object) -> GenericAlias:
        # aiohttp's is generic, by a type variable with a default, which needs Python 3.13.
        return GenericAlias(cls, decode_text)

    def __init__(
        self,
        websocket: WebSocket,
        protocol: str | None,
        timeout: ClientWSTimeout,
        autoclose: bool,
        autoping: bool,
        *,
        heartbeat: float | None = None,
        compress: int = 0,
        client_notakeover: bool = False,
        decode_text: bool = True,
    ) -> None:
        self._websocket: Final = websocket
        self._protocol: Final = protocol
        self._timeout: Final = timeout
        self._autoclose: Final = autoclose
        self._autoping: Final = autoping
        self._heartbeat: Final = heartbeat
        self._compress: Final = compress
        self._client_notakeover: Final = client_notakeover
        self._decode_text: Final = decode_text
        self._waiting = False
        # The peer's Close frame was received, and close() is the caller's to do.
        self._closing = False
        self._closed = False
        self._close_code: int | None = None
        self._exception: BaseException | None = None
        # close() was called while it was closed, or closing.
        self._closed_again = False
        # The end is met, and nothing more is waited for.
        self._is_over = False
        # When the first message was dropped, since it crossed the peer's Close frame.
        self._dropping_since: float | None = None

    # -- facts

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called, the peer's Close frame received, or the end met."""
        self._notice_silence()
        return self._closed

    @property
    def close_code(self) -> int | None:
        """The peer's close code (1005 if it gave none), ours for a failure, or 1006; else None.

        1006, too, when ``receive()`` timed out or was cancelled.
        """
        self._notice_silence()
        return self._close_code

    @property
    def protocol(self) -> str | None:
        """The negotiated subprotocol."""
        return self._protocol

    @property
    def compress(self) -> int:
        """The window of our compressor, as a power of two; 0: no compression is negotiated."""
        return self._compress

    @property
    def client_notakeover(self) -> bool:
        """Whether each of our messages is compressed by itself."""
        return self._client_notakeover

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows, such as ``"peername"``; Any, as for asyncio's transports.

        :param default: what to return if it does not, or the connection is closed.
        """
        self._notice_silence()
        transport = None if self._is_over else self._websocket._transport
        return default if transport is None else transport.get_extra_info(name, default)

    def exception(self) -> BaseException | None:
        """What ended the connection, unless either side just closed it."""
        self._notice_silence()
        return self._exception

    # -- sending

    async def ping(self, message: bytes = b"") -> None:
        """Send a ping; the pong is not waited for.

        :param message: at most 125 bytes.
        :raises ClientConnectionResetError: the connection is closing or closed.
        :raises TypeError, ValueError: such a ping cannot be sent.
        """
        websocket = self._websocket
        connection = websocket._connection
        try:
            # The same payload may be on its way many times, since nobody waits for it.
            connection.forget_ping(connection.ping(message, now=websocket._now()))
        except ConnectionClosed as closed:
            self._drop(closed)
        websocket._settle()

    async def pong(self, message: bytes = b"") -> None:
        """Send a pong.

        :param message: at most 125 bytes.
        :raises ClientConnectionResetError: the connection is closing or closed.
        :raises TypeError, ValueError: such a pong cannot be sent.
        """
        try:
            await self._websocket.pong(message)
        except ConnectionClosed as closed:
            self._drop(closed)

    async def send_frame(
        self, message: bytes, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        """Send a message of this type.

        :param message: the payload; of TEXT in UTF-8.
        :param opcode: TEXT, BINARY, PING or PONG.
        :param compress: as for :meth:`send_str`.
        :raises ClientConnectionResetError: the connection is closing or closed.
        :raises ValueError: another opcode; or text that is not UTF-8.
        """
        match opcode:
            case WSMsgType.TEXT:
                await self.send_str(bytes(message).decode(), compress)
            case WSMsgType.BINARY:
                await self.send_bytes(message, compress)
            case WSMsgType.PING:
                await self.ping(message)
            case WSMsgType.PONG:
                await self.pong(message)
            case _:
                raise ValueError(
                    f"opcode is {opcode!r}; it must be TEXT, BINARY, PING or PONG: use close() to "
                    "close, and no fragments"
                )

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send a text message; wait while the send buffer is full.

        :param compress: of no use here: if compression is negotiated, every message is compressed.
        :raises ClientConnectionResetError: the connection is closing or closed.
        :raises TypeError: it is no str.
        """
        if not isinstance(data, str):
            raise TypeError(f"data must be a str, not {type(data).__name__}")
        await self._send(data)

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
        """Send a binary message; wait while the send buffer is full.

        :param compress: as for :meth:`send_str`.
        :raises ClientConnectionResetError: the connection is closing or closed.
        :raises TypeError: it is not bytes-like.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        await self._send(data)

    async def send_json(
        self, data: Any, compress: int | None = None, *, dumps: JSONEncoder = json.dumps
    ) -> None:
        """Send JSON as a text message.

        :param data: Any, since it is whatever ``dumps`` takes.
        :param compress: as for :meth:`send_str`.
        :param dumps: what encodes it; whatever it raises is raised.
        """
        await self.send_str(dumps(data), compress=compress)

    async def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: JSONBytesEncoder
    ) -> None:
        """Send JSON as a binary message, by an encoder that gives bytes.

        :param data: Any, since it is whatever ``dumps`` takes.
        :param compress: as for :meth:`send_str`.
        :param dumps: what encodes it; whatever it raises is raised.
        """
        await self.send_bytes(dumps(data), compress=compress)

    async def _send(self, message: str | bytes | bytearray | memoryview) -> None:
        try:
            await self._websocket.send(message)
        except ConnectionClosed as closed:
            self._drop(closed)

    def _drop(self, closed: ConnectionClosed) -> None:
        """What was to be sent crossed the peer's Close frame.

        aiohttp does not look at what it received before its program does, and sends until then.
        Programs answer a message without expecting that its sender has closed; but those that
        only send have to learn of it some time.

        :raises ClientConnectionResetError: the program knows, or should by now.
        """
        now = self._websocket._now()
        if not self.closed and closed.reason.cause is Cause.PEER_CLOSED:
            if self._dropping_since is None:
                self._dropping_since = now
            if now - self._dropping_since < _DROPPING:
                return
        raise ClientConnectionResetError(f"nothing can be sent: {closed}") from closed

    # -- receiving

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Receive what comes next: a message, or CLOSE, ERROR and CLOSED at the end.

        CLOSE is the peer's, CLOSING says that another task closes; ERROR carries what went wrong.
        Then it is CLOSED for ever. Timed out or cancelled, it has taken nothing, and the
        connection goes on; ``close_code`` is 1006 until the end says better, as with aiohttp.

        :param timeout: seconds; None and 0: ``ws_receive``.
        :raises TimeoutError: nothing came in time.
        :raises RuntimeError: another task is receiving.
        """
        if self._waiting:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        if self.closed:
            return _CLOSED
        if self._closing:
            await self.close()
            return _CLOSED
        self._waiting = True
        try:
            async with asyncio.timeout(timeout or self._timeout.ws_receive or None):
                return await self._take()
        except ConnectionClosed as closed:
            return await self._meet_end(closed.reason)
        except (TimeoutError, asyncio.CancelledError):
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
            raise
        finally:
            self._waiting = False

    async def receive_str(self, *, timeout: float | None = None) -> str:
        """Receive a text message; bytes with ``decode_text=False``.

        :param timeout: as for :meth:`receive`.
        :raises WSMessageTypeError: it is something else, such as the end.
        """
        text: str = await self._receive_as(WSMsgType.TEXT, timeout)
        return text

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Receive a binary message.

        :param timeout: as for :meth:`receive`.
        :raises WSMessageTypeError: it is something else, such as the end.
        """
        data: bytes = await self._receive_as(WSMsgType.BINARY, timeout)
        return data

    async def receive_json(
        self, *, loads: JSONDecoder = json.loads, timeout: float | None = None
    ) -> Any:
        """Receive a text message and decode it; Any, since it is whatever ``loads`` gives.

        :param loads: what decodes it; whatever it raises is raised.
        :param timeout: as for :meth:`receive`.
        :raises WSMessageTypeError: it is something else, such as the end.
        """
        return loads(await self.receive_str(timeout=timeout))

    def __aiter__(self) -> Self:
        """Receive until the end, whatever it is: look at ``close_code`` and ``exception()``."""
        return self

    async def __anext__(self) -> WSMessage:
        message = await self.receive()
        if message.type in _ENDS:
            raise StopAsyncIteration
        return message

    async def _receive_as(self, kind: WSMsgType, timeout: float | None) -> Any:
        message = await self.receive(timeout)
        if message.type is not kind:
            raise WSMessageTypeError(
                f"Received message {message.type}: {message.data!r}, which is not "
                f"WSMsgType.{kind.name}"
            )
        return message.data

    async def _take(self) -> WSMessage:
        websocket, connection = self._websocket, self._websocket._connection
        if not self._autoping:
            await websocket._until(lambda: connection.can_take_control or connection.can_receive)
            if (frame := connection.take_control()) is not None:
                return WSMessage(WSMsgType(frame.opcode), frame.payload, "")
        message = await websocket.recv()
        if isinstance(message, bytes):
            return WSMessage(WSMsgType.BINARY, message, "")
        data = message if self._decode_text else message.encode()
        return WSMessage(WSMsgType.TEXT, data, "")

    # -- the end

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close the connection and wait for the peer's Close frame, ``ws_close`` at most.

        If it does not come in time, ``close_code`` is 1006 and ``exception()`` tells. Cancelled,
        the connection is ended at once. After a ``receive()`` that timed out or was cancelled it
        returns at once, as aiohttp's, and the connection goes on closing by itself.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param message: the reason; cut at a character to 123 bytes of UTF-8.
        :returns: False if it was closed already.
        :raises ValueError, TypeError: such a code must not be sent; the connection goes on.
        """
        if self.closed:
            self._closed_again = True
            return False
        websocket, connection = self._websocket, self._websocket._connection
        reason = message if isinstance(message, str) else bytes(message).decode(errors="replace")
        began = websocket._now()
        connection.close(code, reason, now=began)
        self._closed = True
        websocket._settle()
        # After a receive() that waited in vain, aiohttp does not wait again. The core does.
        given_up = self._close_code == WSCloseCode.ABNORMAL_CLOSURE
        try:
            await websocket._until(lambda: given_up or websocket._gone or self._is_agreed)
        except asyncio.CancelledError:
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
            websocket.abort()
            raise
        finally:
            self._is_over = True
        if not given_up:
            self._note_close(websocket._now() - began)
        # When both Close frames are exchanged, aiohttp does not wait for the server to end TCP.
        # What has not left yet may be ours: then, as without agreement, the core ends it in time.
        if self._is_agreed and not websocket._in_flight:
            websocket.abort()
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def _is_agreed(self) -> bool:
        reason = self._websocket.close_reason
        return reason is not None and reason.clean

    def _note_close(self, took: float) -> None:
        """Our own close ended: with the peer's, too late, or otherwise."""
        reason = self._websocket.close_reason
        assert reason is not None
        if reason.close_received is not None:
            self._close_code = reason.close_received.code
            return
        self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        if took >= self._websocket._connection.config.close_timeout:
            self._exception = TimeoutError(f"no Close frame came within {took:.3g} s")
        else:
            self._exception = ClientConnectionResetError(f"no Close frame came: {reason}")

    async def _meet_end(self, reason: CloseReason) -> WSMessage:
        """There is no message left: what is there to receive instead?"""
        match reason.cause:
            case Cause.PEER_CLOSED:
                self._closing = True
                self._close_code = reason.code
                if self._autoclose:
                    await self.close()
                # aiohttp has 0 where there is no code.
                code = 0 if reason.code == _NO_CODE else reason.code
                return WSMessage(WSMsgType.CLOSE, code, reason.reason)
            case Cause.PROTOCOL_ERROR | Cause.INVALID_DATA | Cause.TOO_BIG:
                code = WSCloseCode(reason.code)
                return self._end(code, WebSocketError(code, reason.reason))
            case Cause.PING_TIMEOUT:
                self._notice_silence()
                assert self._exception is not None
                return WSMessage(WSMsgType.ERROR, self._exception, None)
            case Cause.CLOSED:
                # Two that close at once leave aiohttp's receive() nothing to tell.
                return _CLOSED if self._closed_again else _CLOSING
        error = ClientConnectionResetError(str(reason))
        error.__cause__ = reason.error
        self._end(WSCloseCode.ABNORMAL_CLOSURE, error)
        return _CLOSED

    def _notice_silence(self) -> None:
        """The heartbeat ends a connection though nobody receives."""
        reason = self._websocket.close_reason
        if not self._closed and reason is not None and reason.cause is Cause.PING_TIMEOUT:
            assert self._heartbeat is not None
            text = f"No PONG received after {self._heartbeat / 2} seconds"
            self._end(WSCloseCode.ABNORMAL_CLOSURE, ServerTimeoutError(text))
            # To say anything would be in vain.
            self._websocket.abort()

    def _end(self, code: int, error: Exception) -> WSMessage:
        self._closed = self._is_over = True
        self._close_code = code
        self._exception = error
        return WSMessage(WSMsgType.ERROR, error, None)


_NO_CODE: Final = 1005
"""What a Close frame without a code means (RFC 6455 section 7.1.5)."""

_DROPPING: Final = 10.0
"""Seconds: as long as most servers, aiohttp's among them, wait for the answer to a Close frame."""
