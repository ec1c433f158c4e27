"""The only place for the connection: its state, what changes it, and what follows from time.

The core is a place where nothing happens by itself. Every member of :class:`Connection` is of one
kind:

- *inputs* say what the transport and the clock did; they never raise because of the peer;
- *commands* say what the application wants; they raise what their caller did wrong;
- *takes* hand over what was received;
- *outputs* are levels that may be looked at late, twice, or once for ten commands;
- *polls* answer None for "not yet", a value for "here", and raise for "never";
- *facts* are there to be read.

The rule for whoever drives a connection: after any input, command or take, **settle**: write
what :meth:`~Connection.data_to_send` shows, obey :attr:`~Connection.transport`, re-arm the
:attr:`~Connection.deadline`, and wake whoever can go on.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable, Sequence
from typing import Final, NoReturn

from . import _deflate
from ._close import (
    FAILURES,
    Cause,
    CloseBy,
    CloseCode,
    CloseFrame,
    CloseReason,
    Failure,
    check_close_code,
    cut_reason,
    decode_close,
    encode_close,
)
from ._config import Config, Overflow
from ._deflate import Deflater, Inflater, Negotiated
from ._errors import (
    BadHandshake,
    ConnectionClosed,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidState,
    OpenTimeout,
    SendBufferFull,
)
from ._frames import CLOSE, OPCODE, PING
from ._handshake import ClientHandshake, ServerHandshake
from ._http import Accept, Request, Response
from ._inbox import Inbox, Message, Part
from ._outbox import Outbox, Prepared
from ._pings import MAX_PAYLOAD, ControlFrame, Controls, Latency, Ping, Pings
from ._stats import Stats
from ._timers import Timer, Timers

__all__ = ["Connection", "Role", "State", "Transport"]

INF = math.inf


class Role(enum.Enum):
    """Which side of the connection this is."""

    CLIENT = "client"
    SERVER = "server"


class State(enum.Enum):
    """The state of a connection (RFC 6455 section 4.1 and 7.1)."""

    CONNECTING = "connecting"
    """The opening handshake is under way."""
    OPEN = "open"
    """Messages can be sent and received."""
    CLOSING = "closing"
    """The connection is closed or failed on this side or the other; what has to be said is said,
    and what the peer still says is read and dropped."""
    CLOSED = "closed"
    """Nothing more comes or goes; the transport is to be ended."""


class Transport(enum.Enum):
    """What to do with the transport."""

    KEEP = "keep"
    """Read and write as the other outputs say."""
    END_WRITE = "end_write"
    """Half-close it where it can (not TLS), and read on: everything is written."""
    CLOSE = "close"
    """Close it."""
    ABORT = "abort"
    """Close it without waiting for anything."""


# Looked at with every message: an attribute of an enumeration takes several times as long.
_CONNECTING: Final = State.CONNECTING
_OPEN: Final = State.OPEN
_CLOSING: Final = State.CLOSING
_CLOSED: Final = State.CLOSED
_KEEP: Final = Transport.KEEP

TRANSITIONS: Final[dict[tuple[State, State], tuple[str, ...]]] = {
    (State.CONNECTING, State.OPEN): ("handshake accepted", "handshake done by somebody else"),
    (State.CONNECTING, State.CLOSING): ("request refused",),
    (State.CONNECTING, State.CLOSED): (
        "open_timeout",
        "handshake rejected or malformed",
        "end of stream or transport lost",
        "closed or aborted",
    ),
    (State.OPEN, State.CLOSING): (
        "close()",
        "the peer's Close frame",
        "a violation, a limit, a timeout",
    ),
    (State.OPEN, State.CLOSED): (
        "end of stream",
        "transport lost",
        "abort()",
        "send_timeout",
    ),
    (State.CLOSING, State.CLOSED): (
        "both Close frames exchanged (server)",
        "end of stream",
        "transport lost",
        "abort()",
        "close_timeout or send_timeout",
    ),
}
"""Every change of state, and what causes it; the diagram in the documentation is drawn from it."""


class Connection:
    """One WebSocket connection, without I/O, clock, thread or logger.

    Made by :meth:`client`, :meth:`server` or :meth:`upgraded`. Times (``now``, ``deadline``) are
    seconds of any one monotonic clock. A connection is not thread-safe: one thread at a time.

    :ivar config: the policy of this connection.
    :ivar role: client or server.
    :ivar state: see :class:`State`.
    :ivar stats: counters of what passed.
    :ivar request: the request as it was sent or received; None before that, and if somebody else
        did the handshake.
    :ivar response: the response as it was sent or received; None before that, and if somebody
        else did the handshake.
    :ivar subprotocol: the negotiated subprotocol, or None.
    """

    __slots__ = (
        *("config", "role", "state", "stats", "request", "response", "subprotocol"),
        *("_handshake", "_open_error", "_inbox", "_outbox", "_timers", "_pings", "_controls"),
        *("_writing", "_keepalive", "_awaiting", "_slept", "_heard", "_timed_message"),
        *("_reason", "_close_frame", "_close_sent", "_close_received", "_end_noted", "_close_by"),
        *(
            "_failing",
            "_peer_ended",
            "_gone",
            "_received",
            "_send_timeout",
            "_idles",
            "__weakref__",
        ),
    )

    # ---------------------------------------------------------------------------- start

    def __init__(self, role: Role, config: Config, now: float) -> None:
        """Not public: use :meth:`client`, :meth:`server` or :meth:`upgraded`."""
        self.config = config
        self.role = role
        self.state = _CONNECTING
        self.stats = Stats()
        self.request: Request | None = None
        self.response: Response | None = None
        self.subprotocol: str | None = None
        self._handshake: ClientHandshake | ServerHandshake | None = None
        self._open_error: HandshakeError | None = None
        self._inbox: Inbox | None = None
        self._outbox = Outbox(config, self.stats, masked=role is Role.CLIENT)
        self._timers = Timers()
        self._pings = Pings(config.entropy)
        self._controls = Controls(config.max_pong_buffer)
        # Bytes wait to be written, and the SEND timer runs.
        self._writing = False
        # The latest keepalive ping; whether a sign of life is awaited since it left; whether its
        # deadline was once met late; when the peer was last heard.
        self._keepalive: Ping | None = None
        self._awaiting = False
        self._slept = False
        self._heard = now
        self._timed_message = 0
        self._received = 0
        # Looked at with every message.
        self._send_timeout = config.send_timeout
        self._idles = config.idle_timeout != INF
        # How it ends.
        self._reason: CloseReason | None = None
        self._close_frame: CloseFrame | None = None
        self._close_sent: CloseFrame | None = None
        self._close_received: CloseFrame | None = None
        self._end_noted = False
        self._close_by = INF
        self._failing = False
        self._peer_ended = False
        self._gone: Transport | None = None
        self._timers.start(Timer.OPEN, now + config.open_timeout)

    @classmethod
    def client(cls, request: Request, config: Config | None = None, *, now: float) -> Connection:
        """The client's side; the request is ready in :meth:`data_to_send`.

        Make it before looking up the server's name: ``open_timeout`` counts from here.

        :raises ValueError, TypeError: the request cannot be sent (RFC 6455 section 4.1).
        """
        self = cls(Role.CLIENT, config or Config(), now)
        self._handshake = handshake = ClientHandshake(request, self.config)
        self.request = handshake.request
        self._outbox.put_raw(handshake.data)
        return self

    @classmethod
    def server(cls, config: Config | None = None, *, now: float) -> Connection:
        """The server's side, waiting for a request; ``open_timeout`` counts from here."""
        self = cls(Role.SERVER, config or Config(), now)
        self._handshake = ServerHandshake(self.config)
        return self

    @classmethod
    def upgraded(
        cls,
        role: Role,
        config: Config | None = None,
        *,
        subprotocol: str | None = None,
        extensions: str = "",
        leftover: bytes = b"",
        now: float,
    ) -> Connection:
        """A connection whose handshake somebody else did: an HTTP server, HTTP/2, a test.

        :param subprotocol: what was agreed on, or None.
        :param extensions: the *response's* Sec-WebSocket-Extensions, read as strictly as our own.
        :param leftover: bytes that came behind the head.
        :raises ValueError: the extensions are not what ``config`` can do.
        """
        self = cls(role, config or Config(), now)
        read = _deflate.confirm if role is Role.CLIENT else _deflate.confirm_own
        negotiated = read(extensions, self.config.deflate)
        self._become_open(subprotocol, negotiated, leftover, now)
        return self

    # --------------------------------------------------------------------------- inputs

    def receive_data(self, data: bytes | bytearray | memoryview, *, now: float) -> bool:
        """These bytes came in; ``b""`` means that the peer ended its side.

        The data is borrowed for the call: what has to be kept is copied. Never raises because of
        what is in it. More than :attr:`want_read` asked for is accepted, and held.

        :returns: True if messages can be taken and every other output is as it was before: all
            there is to settle is to wake whoever receives. False says nothing.
        """
        if self.state is _CLOSED or self._peer_ended:
            return False
        size = len(data)
        if not size:
            self._peer_ended = True
            self._receive_end(now)
            return False
        self.stats.bytes_received += size
        self._heard = now
        awaiting = self._awaiting
        if awaiting:
            self._note_life()
        inbox = self._inbox
        if self.state is _CONNECTING:
            self._receive_handshake(data, now)
        elif inbox is not None and self._close_received is None:
            if not inbox.feed(data):
                self._advance(now)
                return False
            if self._idles:
                self._note_received(inbox, now)
            elif not awaiting:
                return not inbox.full
            if self._awaiting:
                self._time_pong(now)
        return False

    def receive_buffer(self) -> memoryview | None:
        """Where the next bytes may be read into, or None: read anywhere, call ``receive_data``.

        Offered while the payload of a large message is arriving, by the compiled codec only: the
        message is then never copied. Valid until anything else of the connection is called.
        """
        inbox = self._inbox
        if inbox is None or not inbox.lands or self.state is not _OPEN or self._peer_ended:
            return None
        return inbox.receive_buffer()

    def received(self, size: int, *, now: float) -> None:
        """``size`` bytes, at least one, were read into :meth:`receive_buffer`.

        :raises InvalidState: no buffer is offered.
        :raises ValueError: more than fits into it.
        """
        if self.state is _CLOSED:
            return
        if self.receive_buffer() is None:
            raise InvalidState(
                f"{size} bytes cannot have been read into receive_buffer(): it offers none; "
                "pass what was read to receive_data()"
            )
        inbox = self._the_inbox()
        inbox.received(size)
        self.stats.bytes_received += size
        self._heard = now
        if self._awaiting:
            self._note_life()
        self._advance(now)

    def data_sent(self, size: int, *, now: float) -> None:
        """The first ``size`` bytes of :meth:`data_to_send` have left.

        :raises ValueError: more than was shown.
        """
        if self.state is _CLOSED:
            return
        outbox = self._outbox
        for mark in outbox.left(size):
            if isinstance(mark, Ping):
                self._note_ping_left(mark, now)
            else:
                self._close_sent = self._close_frame
        if not outbox.waiting:
            self._writing = False
            self._timers.send_by = INF
        elif size and self._writing:
            self._timers.send_by = now + self._send_timeout
        if self.state is _CLOSING:
            self._finish_closing()

    def sent_alone(self, frame: bytes, size: int, *, now: float) -> None:
        """The message was sent whose frame :meth:`frame_alone` has just given.

        :param size: how many of its bytes have left. The rest waits, as if :meth:`data_to_send`
            had shown it.
        :raises ValueError: more than there are.
        """
        if not self._outbox.sent_alone(frame, size):
            self._writing = True
            self._timers.send_by = now + self._send_timeout

    def transport_lost(self, error: BaseException | None = None, *, now: float) -> None:
        """Reading or writing failed, or the transport is gone for another reason.

        :param error: what failed, if anything did: the cause of what is raised from now on. Its
            traceback is taken off: the connection would be held by the frames in it, and they by
            the connection.
        """
        if error is not None:
            error.__traceback__ = None
        if self.state is _CLOSED:
            self._timers.stop_all()
            return
        if self._is_rejected():
            self._conclude_rejection(now)
            return
        text = "the transport was lost" if error is None else f"the transport was lost: {error!r}"
        if self.state is _CONNECTING:
            if self.role is Role.CLIENT and error is not None and not self.stats.bytes_sent:
                assert self.request is not None
                text = f"no transport to {self.request.host}: {error!r}"
            self._open_error = HandshakeInterrupted(f"{text}, before the connection was open")
            self._open_error.__cause__ = error
        self._note_reason(Failure(Cause.TRANSPORT_ERROR, text), error)
        self._become_closed(Transport.ABORT)

    def handle_timeout(self, *, now: float) -> None:
        """Time has passed. Early and repeated calls are harmless.

        Every consequence of time is in this method.
        """
        while (due := self._timers.take_due(now)) is not None:
            timer, when = due
            config = self.config
            match timer:
                case Timer.OPEN if self._is_rejected():
                    self._conclude_rejection(now)
                case Timer.OPEN:
                    self._open_error = OpenTimeout(config.open_timeout)
                    self._note_reason(Failure(Cause.OPEN_TIMEOUT, str(self._open_error)))
                    self._become_closed(Transport.ABORT)
                case Timer.CLOSE:
                    self._become_closed(Transport.ABORT)
                case Timer.SEND:
                    # The connection is dead though no ping could be written.
                    text = f"no byte could be written for {config.send_timeout:g} s"
                    self._note_reason(Failure(Cause.SEND_TIMEOUT, text))
                    self._become_closed(Transport.ABORT)
                case Timer.FAIL:
                    self._meet_end(now)
                case Timer.PONG:
                    if now - when > config.sleep_tolerance and not self._slept:
                        self._slept = True
                        self._timers.start(Timer.PONG, now + config.ping_timeout)
                    else:
                        text = "keepalive ping timeout"
                        self._fail(Failure(Cause.PING_TIMEOUT, text), now)
                case Timer.MESSAGE:
                    text = f"a message took longer than {config.message_timeout:g} s to arrive"
                    self._fail(Failure(Cause.MESSAGE_TIMEOUT, text), now)
                case Timer.IDLE:
                    text = f"no message for {config.idle_timeout:g} s"
                    self._fail(Failure(Cause.IDLE_TIMEOUT, text), now, flush=True)
                case _:
                    assert timer is Timer.PING
                    ping_at = self._heard + config.ping_interval if config.ping_if_silent else now
                    if ping_at <= now:
                        self._send_keepalive(now)
                        ping_at = now + config.ping_interval
                    self._timers.start(Timer.PING, ping_at)

    # ------------------------------------------------------------------------- commands

    def respond(self, answer: Accept | Response | None = None, *, now: float) -> None:
        """Answer the request that :meth:`poll_request` gave (servers; RFC 6455 section 4.2.2).

        :param answer: :class:`~wscore.Accept`; None to accept with the first of our
            ``subprotocols`` that the client offers, if any; or a :class:`~wscore.Response` to
            refuse with. With ``plain_http``, what is no good handshake is refused all the same.
        :raises InvalidState: there is no request to answer.
        :raises ConnectionClosed: it is refused already, or the connection ended meanwhile.
        :raises ValueError, TypeError: the answer cannot be sent; another one can.
        """
        if self.state in (_CLOSING, _CLOSED):
            self._raise_not_open()
        handshake = self._handshake
        if not isinstance(handshake, ServerHandshake) or self.request is None:
            raise InvalidState("there is no request to respond to")
        if isinstance(answer, Response):
            data = handshake.refuse(answer)
            assert handshake.response is not None
            error = HandshakeRefused(handshake.response)
            failure = Failure(Cause.REJECTED, f"refused with HTTP {answer.status}")
            self._refuse(data, error, failure, now)
        elif handshake.refusal is not None:
            self._refuse_bad(handshake.refusal, handshake, now)
        else:
            data = handshake.accept(answer)
            self.response = handshake.response
            self._outbox.put_raw(data)
            self._become_open(handshake.subprotocol, handshake.negotiated, handshake.leftover, now)
        self._note_writing(now)

    def send(
        self,
        message: str | bytes | bytearray | memoryview | Prepared,
        *,
        compress: bool | None = None,
        key: Hashable | None = None,
        now: float,
    ) -> bool:
        """Queue a message: str is sent as text, anything bytes-like as binary.

        Wait for :attr:`can_send` first; what happens otherwise is ``overflow``'s to say.

        :param compress: True or False to decide for this message; None: by its size.
        :param key: with ``overflow="replace"``: a queued message with the same key, not yet
            begun, is replaced by this one, in its place.
        :returns: False if ``overflow`` dropped this message, else True.
        :raises InvalidState: the connection is not open yet.
        :raises ConnectionClosed: it is closing or closed; or ``overflow="close"`` closed it now.
        :raises SendBufferFull: ``overflow`` is ``"raise"``, or ``"replace"`` without a key.
        :raises TypeError, ValueError: not a message; text that is no Unicode; a stray ``key``.
        """
        if self.state is not _OPEN:
            self._raise_not_open()
        outbox = self._outbox
        if key is None and outbox.put_plain(message):
            if self._idles:
                self._note_message(now)
            if not self._writing:
                self._writing = True
                self._timers.send_by = now + self._send_timeout
            return True
        try:
            accepted = outbox.put(message, compress, key)
        except SendBufferFull as error:
            if self.config.overflow is not Overflow.CLOSE:
                raise
            self._fail(Failure(Cause.OVERFLOW, "the peer reads too slowly"), now)
            raise ConnectionClosed(self._current_reason()) from error
        if accepted and self._idles:
            self._note_message(now)
        if not self._writing:
            self._note_writing(now)
        return accepted

    def send_behind(self, message: object) -> bool:
        """Queue a message behind others that wait to be written; False if there is more to it.

        What :meth:`send` would do with the message alone, in the common case and at less cost: no
        output is another one afterwards. False, nothing was done.
        """
        if not self._writing or self._idles or self.state is not _OPEN:
            return False
        return self._outbox.put_behind(message)

    def offer(
        self, message: str | bytes | bytearray | memoryview | Prepared, *, now: float
    ) -> bool:
        """Send a message if nobody has to wait for that, as a broadcast does.

        :returns: False if it was not taken: the connection is not open, its send buffer is over
            the mark, or ``overflow`` dropped the message or closed the connection.
        :raises TypeError, ValueError: not a message; text that is no Unicode.
        """
        waits = self.config.overflow is Overflow.WAIT
        if self.state is not _OPEN or (waits and not self.can_send):
            return False
        try:
            return self.send(message, now=now)
        except (SendBufferFull, ConnectionClosed):
            return False

    def send_part(
        self, data: str | bytes | bytearray | memoryview, *, final: bool, now: float
    ) -> None:
        """Queue the next part of a message; the first begins it, the ``final`` one ends it.

        Wait for :attr:`can_send_part` first. Each part is sent as a frame (RFC 6455 section
        5.4). Messages that :meth:`send` queues meanwhile wait until this one ends; pings and
        pongs go between. If it cannot be ended, :meth:`fail` the connection: a message cannot be
        taken back.

        :raises InvalidState: the connection is not open yet.
        :raises ConnectionClosed: it is closing or closed.
        :raises TypeError, ValueError: not a part, or not of the type of the parts before.
        """
        if self.state is not _OPEN:
            self._raise_not_open()
        self._outbox.put_part(data, final=final)
        self._note_message(now)
        self._note_writing(now)

    def ping(self, payload: bytes | bytearray | memoryview | None = None, *, now: float) -> Ping:
        """Send a ping ahead of queued data; :meth:`poll_pong` says when it is answered.

        :param payload: at most 125 bytes, unlike those in flight; None: four random bytes.
        :raises InvalidState: the connection is not open yet.
        :raises ConnectionClosed: it is closing or closed.
        :raises ValueError: the payload is too long, or a ping with it is in flight.
        :raises TypeError: the payload is not bytes-like.
        """
        if self.state is not _OPEN:
            self._raise_not_open()
        ping = self._pings.add(None if payload is None else _to_bytes(payload), now)
        self._outbox.put_ping(ping)
        self._note_writing(now)
        return ping

    def forget_ping(self, ping: Ping) -> None:
        """Nobody waits for this ping any more: its payload may be used again."""
        self._pings.forget(ping)

    def pong(self, payload: bytes | bytearray | memoryview = b"", *, now: float) -> None:
        """Send a pong that nobody asked for: a one-way heartbeat (RFC 6455 section 5.5.3).

        :raises InvalidState: the connection is not open yet.
        :raises ConnectionClosed: it is closing or closed.
        :raises ValueError: the payload is longer than 125 bytes.
        :raises TypeError: the payload is not bytes-like.
        """
        if self.state is not _OPEN:
            self._raise_not_open()
        payload = _to_bytes(payload)
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"a pong carries at most {MAX_PAYLOAD} bytes, not {len(payload)}")
        self._outbox.put_pong(payload)
        self._note_writing(now)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "", *, now: float) -> None:
        """Close the connection, behind everything sent so far (RFC 6455 section 7.1.2).

        What was received and not taken is dropped, unless ``keep_unread``. Harmless if the
        connection is closing or closed already: the first cause stands. Before it is open, the
        handshake is given up.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text.
        """
        check_close_code(code)
        if not isinstance(reason, str):
            raise TypeError(f"a close reason must be a str, not {type(reason).__name__}")
        reason = cut_reason(reason)
        if self.state is _CONNECTING:
            self._give_up("closed", Cause.CLOSED)
        elif self.state is _OPEN:
            if self._end_is_due():
                self._meet_end(now)
                return
            self._reason = CloseReason(code, reason, CloseBy.LOCAL, Cause.CLOSED)
            self._the_inbox().drop(keep_queue=self.config.keep_unread)
            self._become_closing(CloseFrame(code, reason), now, flush=True)

    def fail(self, cause: Cause, *, now: float) -> None:
        """The application's own code failed: close with 1011.

        :param cause: HANDLER_ERROR, behind everything sent so far; or SEND_INTERRUPTED, when a
            message sent in parts cannot be ended: what is queued is dropped.
        :raises ValueError: any other cause.
        :raises InvalidState: the connection is not open yet.
        """
        texts = {Cause.HANDLER_ERROR: "internal error", Cause.SEND_INTERRUPTED: "send interrupted"}
        if cause not in texts:
            raise ValueError(f"cause is {cause}; it must be HANDLER_ERROR or SEND_INTERRUPTED")
        if self.state is _CONNECTING:
            self._raise_not_open()
        if self.state is _OPEN:
            flush = cause is Cause.HANDLER_ERROR
            self._fail(Failure(cause, texts[cause]), now, flush=flush)

    def abort(self, *, now: float) -> None:
        """End the connection at once: nothing is said, what is queued is dropped and counted."""
        if self.state is _CONNECTING:
            self._give_up("aborted", Cause.ABORTED)
        elif self.state is not _CLOSED:
            if self.state is _OPEN:
                self._note_reason(Failure(Cause.ABORTED, ""))
                self._the_inbox().drop(keep_queue=self.config.keep_unread)
            self._become_closed(Transport.ABORT)

    # ---------------------------------------------------------------------------- takes

    def take_message(self, *, now: float) -> Message | None:
        """The next message, or None if there is none yet.

        What was received can be taken after the peer closed, after the end of the stream and
        after a failure; then ConnectionClosed says that there will never be one.

        :raises ConnectionClosed: there will never be another message.
        :raises InvalidState: the first message is being taken in parts.
        """
        inbox = self._inbox
        if inbox is None:
            self._check_more_comes(now)
            return None
        if inbox.streaming:
            raise InvalidState("the first message is being taken in parts: see discard_rest()")
        full = inbox.full
        message = inbox.take()
        if message is None:
            self._check_more_comes(now)
            return None
        if full and not inbox.full:
            self._advance(now)
        return message

    def take_ready(self) -> Message | None:
        """The next message, if taking it changes nothing else; else None: ask take_message.

        What :meth:`take_message` would give, in the common case and at less cost: no output is
        another one afterwards, so there is nothing to settle.
        """
        inbox = self._inbox
        return None if inbox is None else inbox.take_ready()

    def put_back(self, message: Message) -> None:
        """The message that was taken last will be the next one to take: who took it could not
        hand it over. If what was received is dropped by now, it is unread, too.
        """
        self._the_inbox().put_back(message)

    def take_part(self, *, now: float) -> Part | None:
        """What has arrived of the next message, or None if nothing has yet.

        Text comes cut between characters. What is taken does not count for ``max_queue_bytes``
        any more; ``max_message_size`` still counts the whole message.

        :raises ConnectionClosed: there will never be another part.
        """
        inbox = self._inbox
        if inbox is None:
            self._check_more_comes(now)
            return None
        blocked = inbox.blocked
        part = inbox.take_part()
        if part is None:
            self._check_more_comes(now)
            return None
        if blocked and not inbox.blocked:
            self._advance(now)
        return part

    def take_control(self) -> ControlFrame | None:
        """The peer's next ping or pong; None: not yet, or not next.

        There are some with ``answer_pings=False``, when a ping is for the caller to answer, by
        :meth:`pong`, and with ``show_pings=True``. They wait behind the messages that came before
        them, unless looking ahead found them, and are there, too, when the connection has ended.
        """
        inbox = self._inbox
        return None if inbox is None else self._controls.take(inbox.taken)

    def discard_rest(self, *, now: float) -> None:
        """Nobody wants the rest of the message that is being taken in parts; harmless else."""
        if self._inbox is not None:
            self._inbox.discard_rest()
            self._advance(now)

    # -------------------------------------------------------------------------- outputs

    def data_to_send(self) -> Sequence[bytes | memoryview]:
        """Buffers to write, in order; empty if there is nothing.

        What was shown stays shown, and is frozen, until :meth:`data_sent` takes it off the front.
        """
        return () if self.state is _CLOSED else self._outbox.show()

    def frame_alone(self, message: object) -> bytes | None:
        """The frame of a message that can be written at once; None if there is more to it.

        For what :meth:`send` and :meth:`data_to_send` would do with the message, in the common
        case and at less cost: nothing waits to be written, and none that came with the one that
        this may be the answer to. Nothing has changed yet: write the frame, and say with
        :meth:`sent_alone` how far that went, before anything else is asked of the connection.
        """
        if self._writing or self._idles or self.state is not _OPEN:
            return None
        inbox = self._inbox
        assert inbox is not None
        if inbox.queue or inbox.end is not None:
            return None
        return self._outbox.frame_alone(message)

    @property
    def want_write(self) -> bool:
        """Whether :meth:`data_to_send` has anything."""
        outbox = self._outbox
        return outbox.waiting and self.state is not _CLOSED and outbox.want_write

    @property
    def want_read(self) -> int:
        """How many bytes the next read may bring; 0: do not read."""
        state, inbox = self.state, self._inbox
        if state is _CLOSED or self._peer_ended:
            return 0
        if state is _OPEN and inbox is not None:
            return inbox.want_read
        if state is _CONNECTING and self._handshake is not None:
            held = self._handshake.held
            if self.role is Role.SERVER and self.request is not None:
                # What is behind the head waits for respond(), as behind a full queue.
                full = held >= self.config.control_look_ahead
                return 0 if full else max(0, self.config.read_size - held)
            return max(1, self.config.read_size - held)
        return self.config.read_size

    @property
    def can_send(self) -> bool:
        """Whether the connection is open and its send buffer below the mark."""
        return self.state is _OPEN and self._outbox.can_send

    @property
    def can_send_part(self) -> bool:
        """The same for :meth:`send_part`: messages that wait for this one's end do not count."""
        return self.state is _OPEN and self._outbox.can_send_part

    @property
    def can_receive(self) -> bool:
        """Whether :meth:`take_message` would not give None: a message is there, or the end."""
        inbox = self._inbox
        if self.state is _OPEN and inbox is not None:
            return bool(inbox.queue) or (inbox.end is not None and not inbox.waiting)
        return self.state is not _CONNECTING

    @property
    def in_batch(self) -> bool:
        """Whether messages wait to be taken, and nothing ends behind them.

        Answers to them may wait for each other, to be written together.
        """
        inbox = self._inbox
        return inbox is not None and bool(inbox.queue) and inbox.end is None

    @property
    def may_hold(self) -> bool:
        """Whether what is sent may wait for more, to be written together: no end is known that
        might come first, and drop it.
        """
        inbox = self._inbox
        return inbox is not None and inbox.end is None

    @property
    def can_take_control(self) -> bool:
        """Whether :meth:`take_control` would give one."""
        return self._inbox is not None and self._controls.ready(self._inbox.taken)

    @property
    def can_receive_part(self) -> bool:
        """Whether :meth:`take_part` would not give None: a part is there, or the end."""
        return self.can_receive or (self._inbox is not None and self._inbox.part_ready)

    @property
    def deadline(self) -> float:
        """When to call :meth:`handle_timeout` at the latest; ``inf``: never."""
        return self._timers.earliest

    @property
    def transport(self) -> Transport:
        """What to do with the transport: a level, KEEP until something else is to be done."""
        if self._gone is not None:
            return self._gone
        if self._failing and not self._outbox.want_write:
            return Transport.END_WRITE
        return _KEEP

    # ---------------------------------------------------------------------------- polls

    def poll_request(self) -> Request | None:
        """The request to :meth:`respond` to (servers).

        :raises HandshakeError: it never came, or was refused for what is wrong with it.
        """
        if self.request is None or self._open_error is not None:
            self._raise_open_error()
        return self.request

    def poll_open(self) -> bool | None:
        """True once the connection is, or was, open.

        :raises HandshakeError: it will never be.
        """
        self._raise_open_error()
        return None if self._inbox is None else True

    def poll_pong(self, ping: Ping) -> float | None:
        """The ping's round-trip time in seconds.

        :raises ConnectionClosed: the connection closed before it was answered.
        """
        if ping.round_trip is None and self.state is not _OPEN:
            raise ConnectionClosed(self._current_reason())
        return ping.round_trip

    def poll_close(self) -> CloseReason | None:
        """Why the connection ended, once it is CLOSED."""
        return self._current_reason() if self.state is _CLOSED else None

    # ---------------------------------------------------------------------------- facts

    @property
    def close_reason(self) -> CloseReason | None:
        """Why the connection is ending or ended, as far as it is known; None while it is not."""
        return None if self._reason is None else self._current_reason()

    @property
    def latency(self) -> Latency | None:
        """Round-trip time of the last ping, and smoothed, in seconds; None before the first."""
        return self._pings.latency

    def __repr__(self) -> str:
        return f"<{self.role.value} Connection {self.state.value}>"

    # ------------------------------------- changes of state: the only places that assign it

    def _become_open(
        self,
        subprotocol: str | None,
        negotiated: Negotiated | None,
        leftover: bytes,
        now: float,
    ) -> None:
        config = self.config
        client = self.role is Role.CLIENT
        self.state = _OPEN
        self.subprotocol = subprotocol
        self._handshake = None
        inflater = None
        deflate = config.deflate
        if negotiated is not None and deflate is not None:
            ours = negotiated.client_max_window_bits, negotiated.client_no_context_takeover
            theirs = negotiated.server_max_window_bits, negotiated.server_no_context_takeover
            if not client:
                ours, theirs = theirs, ours
            self._outbox.use_deflate(Deflater(*ours, deflate), ours[0], deflate.threshold)
            inflater = Inflater(*theirs)
        self._inbox = Inbox(config, self.stats, masked=not client, inflater=inflater)
        self._timers.stop(Timer.OPEN)
        self._timers.start(Timer.PING, now + config.ping_interval)
        self._timers.start(Timer.IDLE, now + config.idle_timeout)
        if leftover:
            self._inbox.feed(leftover)
            self._advance(now)

    def _become_closing(
        self, frame: CloseFrame | None, now: float, *, flush: bool, deadline: float = INF
    ) -> None:
        """Say what has to be said, with a Close frame if it was open, by an absolute deadline."""
        self.state = _CLOSING
        self._timers.stop_all(but_send=True)
        self._awaiting = False
        self._timers.start(Timer.CLOSE, min(deadline, now + self.config.close_timeout))
        if frame is not None:
            self._close_frame = frame
            if self._close_received is None:
                self._close_received = self._the_inbox().close
            end_outbox = self._outbox.finish if flush else self._outbox.fail
            end_outbox(encode_close(frame))
        self._note_writing(now)
        self._finish_closing()

    def _become_closed(self, transport: Transport) -> None:
        """Nothing more happens; what was received before may still be taken.

        A transport may be slow to close (TLS waits for its peer): the deadline that was in force
        goes on, and makes CLOSE an ABORT.
        """
        timers = self._timers
        deadlines = {_CONNECTING: timers.when(Timer.OPEN), _OPEN: self._close_by}
        deadline = deadlines.get(self.state, timers.when(Timer.CLOSE))
        timers.stop_all()
        if transport is Transport.CLOSE:
            timers.start(Timer.CLOSE, deadline)
        self.state = _CLOSED
        self._gone = transport
        self._handshake = None
        self._outbox.drop()
        if self._inbox is not None:
            self._inbox.finish()

    # -------------------------------------------------------------------------- closing

    def _finish_closing(self) -> None:
        """CLOSING ends when all is written and the peer has ended, or may be left to end.

        The server ends the TCP connection first (RFC 6455 section 7.1.1). It may do so at once
        when both Close frames are exchanged: nothing unread can then reset the connection.
        """
        if self._outbox.want_write:
            return
        # Our Close frame was the last to be written.
        exchanged = self._close_received is not None
        if self._peer_ended or (exchanged and self.role is Role.SERVER):
            self._become_closed(Transport.CLOSE)

    def _fail(
        self, failure: Failure, now: float, *, flush: bool = False, deadline: float = INF
    ) -> None:
        """Fail the connection (RFC 6455 section 7.1.7); with ``flush``, only close it."""
        if self._end_is_due() and failure is not self._the_inbox().end:
            # What was found first takes effect first.
            self._meet_end(now)
            return
        self._note_reason(failure)
        frame = CloseFrame(FAILURES[failure.cause][1], cut_reason(failure.text))
        self._failing = not flush
        self._the_inbox().finish()
        self._become_closing(frame, now, flush=flush, deadline=deadline)

    def _note_reason(self, failure: Failure, error: BaseException | None = None) -> None:
        """The first cause wins; a violation that waits in the inbox came first."""
        if self._end_is_due():
            end = self._the_inbox().end
            assert end is not None
            failure, error = end, None
        if self._reason is None:
            by, code = FAILURES[failure.cause]
            self._reason = CloseReason(code, failure.text, by, failure.cause, error=error)

    def _end_is_due(self) -> bool:
        """Whether a violation or end of stream waits in the inbox."""
        return self.state is _OPEN and self._the_inbox().end is not None

    def _note_end(self, now: float) -> None:
        """A violation or end of stream was found: it waits behind the messages ahead of it.

        A violation waits for the answer to the last of them, too: else it would be luck whether
        that still gets out. There is no such hope when the peer is gone.
        """
        self._end_noted = True
        self._close_by = now + self.config.close_timeout
        self._timers.stop(Timer.MESSAGE)
        inbox = self._the_inbox()
        assert inbox.end is not None
        if inbox.waiting or (inbox.answering and inbox.end.cause is not Cause.EOF):
            self._timers.start(Timer.FAIL, now + self.config.fail_delay)
        else:
            self._meet_end(now)

    def _meet_end(self, now: float) -> None:
        """The violation or end of stream takes effect."""
        end = self._the_inbox().end
        assert end is not None
        if end.cause is Cause.EOF:
            self._note_reason(end)
            self._become_closed(Transport.CLOSE)
        else:
            self._fail(end, now, deadline=self._close_by)

    def _current_reason(self) -> CloseReason:
        reason = self._reason
        assert reason is not None
        sent, received = self._close_sent, self._close_received
        unsent = self._outbox.lost
        unread = 0 if self._inbox is None else self._inbox.lost
        known = reason.close_sent, reason.close_received, reason.unsent, reason.unread
        if known != (sent, received, unsent, unread):
            code, text, by, cause = reason.code, reason.reason, reason.by, reason.cause
            self._reason = reason = CloseReason(
                code, text, by, cause, sent, received, unsent, unread, reason.error
            )
        return reason

    def _raise_not_open(self) -> NoReturn:
        if self.state is _CONNECTING:
            raise InvalidState("the connection is not open yet: wait for poll_open()")
        raise ConnectionClosed(self._current_reason())

    # ------------------------------------------------------------------------ handshake

    def _receive_handshake(self, data: bytes | bytearray | memoryview, now: float) -> None:
        handshake = self._handshake
        assert handshake is not None
        handshake.receive(data)
        if isinstance(handshake, ServerHandshake):
            self.request = handshake.request
            if handshake.refusal is not None and handshake.request is None:
                self._refuse_bad(handshake.refusal, handshake, now)
        elif handshake.done:
            self._conclude(handshake, now)

    def _refuse_bad(self, refusal: Response, handshake: ServerHandshake, now: float) -> None:
        data = handshake.refuse(refusal)
        error = BadHandshake(handshake.problem, handshake.response)
        self._refuse(data, error, Failure(Cause.BAD_HANDSHAKE, handshake.problem), now)

    def _refuse(self, data: bytes, error: HandshakeError, failure: Failure, now: float) -> None:
        """Send an error response, then end the transport as after a failure."""
        assert isinstance(self._handshake, ServerHandshake)
        self.response = self._handshake.response
        self._open_error = error
        self._note_reason(failure)
        self._failing = True
        self._outbox.put_raw(data)
        self._become_closing(None, now, flush=True, deadline=self._timers.when(Timer.OPEN))

    def _conclude(self, handshake: ClientHandshake, now: float) -> None:
        self.response = handshake.response
        error = handshake.error
        if error is None:
            self._become_open(handshake.subprotocol, handshake.negotiated, handshake.leftover, now)
            return
        self._open_error = error
        rejected = isinstance(error, HandshakeRejected)
        interrupted = Cause.EOF if isinstance(error, HandshakeInterrupted) else Cause.BAD_HANDSHAKE
        cause = Cause.PEER_REJECTED if rejected else interrupted
        self._note_reason(Failure(cause, str(error)))
        self._become_closed(Transport.CLOSE)

    def _is_rejected(self) -> bool:
        """Whether the server has said no, and only the rest of its explanation is awaited."""
        handshake = self._handshake
        return isinstance(handshake, ClientHandshake) and handshake.response is not None

    def _conclude_rejection(self, now: float) -> None:
        """The explanation will never be complete: what was said already stands."""
        assert isinstance(self._handshake, ClientHandshake)
        self._handshake.eof()
        self._conclude(self._handshake, now)
        self._become_closed(Transport.ABORT)

    def _give_up(self, what: str, cause: Cause) -> None:
        text = f"{what} before the connection was open"
        self._open_error = HandshakeInterrupted(text)
        self._reason = CloseReason(CloseCode.ABNORMAL_CLOSURE, text, CloseBy.LOCAL, cause)
        self._become_closed(Transport.ABORT)

    def _raise_open_error(self) -> None:
        if self._open_error is not None:
            raise self._open_error

    # ------------------------------------------------------------------------ receiving

    def _receive_end(self, now: float) -> None:
        """The peer ended its side of the transport."""
        if self.state is _CLOSING:
            self._finish_closing()
        elif self.state is _OPEN:
            inbox = self._the_inbox()
            if inbox.end is None:
                inbox.end = Failure(Cause.EOF, "the stream ended without a Close frame")
                self._note_end(now)
        elif isinstance(self._handshake, ClientHandshake):
            self._handshake.eof()
            self._conclude(self._handshake, now)
        else:
            assert self._handshake is not None
            text = self._handshake.eof()
            self._open_error = HandshakeInterrupted(text)
            self._note_reason(Failure(Cause.EOF, text))
            self._become_closed(Transport.CLOSE)

    def _advance(self, now: float) -> None:
        """Decode what the inbox may take, and act on what comes with it.

        Control frames may come when it is OPEN no more: those that are looked for in order alone
        are found when what is in front of them is taken.
        """
        inbox = self._the_inbox()
        for head, payload, place in inbox.advance():
            opcode = head & OPCODE
            if opcode == CLOSE:
                self._receive_close(payload, now)
            else:
                self._receive_ping_or_pong(ControlFrame(opcode, payload), place, now)
        if self.state is _OPEN:
            if self._idles:
                self._note_received(inbox, now)
            if inbox.end is not None:
                if not self._end_noted:
                    self._note_end(now)
            elif self.config.message_timeout != INF:
                self._time_message(now)
            if self._awaiting:
                self._time_pong(now)
        elif self.state is _CLOSING and inbox.close is not None:
            self._close_received = inbox.close
            self._finish_closing()

    def _receive_ping_or_pong(self, frame: ControlFrame, place: int, now: float) -> None:
        if self.config.show_pings or not self.config.answer_pings:
            self._controls.put(place, frame)
        if frame.opcode != PING:
            self._pings.answer(frame.payload, now)
            return
        self.stats.pings_received += 1
        if self.config.answer_pings and self.state is _OPEN:
            self._outbox.put_pong(frame.payload)
            self._note_writing(now)

    def _receive_close(self, payload: bytes, now: float) -> None:
        """The peer's Close frame, in order or found by looking ahead: it waits for nothing."""
        if self.state is not _OPEN:
            return
        frame = decode_close(payload)
        assert isinstance(frame, CloseFrame), "a bad one is the decoder's failure"
        self._close_received = frame
        self._reason = CloseReason(frame.code, frame.reason, CloseBy.PEER, Cause.PEER_CLOSED)
        self._the_inbox().finish()
        self._become_closing(frame, now, flush=True)

    def _check_more_comes(self, now: float) -> None:
        """Nothing can be taken: not yet, or never? If only the end is left, it takes effect."""
        if self.state is _CONNECTING:
            return
        if self.state is _OPEN:
            inbox = self._the_inbox()
            inbox.answering = False
            if inbox.end is None:
                return
            self._meet_end(now)
        raise ConnectionClosed(self._current_reason())

    def _note_received(self, inbox: Inbox, now: float) -> None:
        # An empty message has no bytes, and a message that arrives for long is no idleness.
        stats = self.stats
        received = stats.messages_received + stats.payload_bytes_received + inbox.landed
        if received != self._received:
            self._received = received
            self._note_message(now)

    def _note_message(self, now: float) -> None:
        """An application message passed."""
        if self._idles:
            self._timers.start(Timer.IDLE, now + self.config.idle_timeout)

    def _time_message(self, now: float) -> None:
        """The MESSAGE timer runs from a message's first byte; not while we do not read on."""
        inbox = self._the_inbox()
        if not inbox.in_message:
            self._timers.stop(Timer.MESSAGE)
        elif self._timed_message != inbox.begun or self._timers.when(Timer.MESSAGE) == INF:
            self._timed_message = inbox.begun
            self._timers.start(Timer.MESSAGE, now + self.config.message_timeout)

    def _the_inbox(self) -> Inbox:
        assert self._inbox is not None
        return self._inbox

    # -------------------------------------------------------------------------- sending

    def _note_writing(self, now: float) -> None:
        """Bytes wait: the transport has to take some within ``send_timeout``."""
        if not self._writing and self._outbox.want_write:
            self._writing = True
            self._timers.send_by = now + self._send_timeout

    # ------------------------------------------------------------------------- liveness

    def _send_keepalive(self, now: float) -> None:
        """One keepalive ping unanswered at a time, as long as answers are read and must come.

        Otherwise another one goes each time the last has left: that the peer is gone shows only
        when something is written, and what is between wants to see that the connection lives.
        """
        ping = self._keepalive
        waits = self.want_read > 0 and self.config.ping_timeout < INF
        if self._awaiting and (waits or ping is None or ping.left is None):
            return
        if ping is not None:
            self._pings.forget(ping)
        self._keepalive = ping = self._pings.add(None, now, keepalive=True)
        self._awaiting = True
        self._slept = False
        self._outbox.put_ping(ping)
        self._note_writing(now)

    def _note_ping_left(self, ping: Ping, now: float) -> None:
        """The peer's time starts when the ping's last byte has left."""
        ping.left = now
        if self._awaiting:
            self._time_pong(now)

    def _note_life(self) -> None:
        """Any byte received since the keepalive ping left is a sign of life."""
        if self._keepalive is not None and self._keepalive.left is not None:
            self._awaiting = False
            self._timers.stop(Timer.PONG)

    def _time_pong(self, now: float) -> None:
        """The PONG timer runs from when the keepalive ping left, or from when we read again.

        While we do not read, the peer's silence is our own doing. Reading can only stop before
        the timer runs: what stops it is bytes, and they are a sign of life.
        """
        left = self._keepalive is not None and self._keepalive.left is not None
        if left and self.want_read and self._timers.when(Timer.PONG) == INF:
            self._timers.start(Timer.PONG, now + self.config.ping_timeout)


def _to_bytes(payload: bytes | bytearray | memoryview) -> bytes:
    # memoryview refuses a number, of which bytes() would make that many zeros.
    return bytes(memoryview(payload))
