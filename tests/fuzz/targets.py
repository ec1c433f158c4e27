"""The only place for what is fuzzed: targets that take bytes and raise if the core is wrong.

What a peer sends raises nothing, means the same in every slicing, is held within the bounds, and
ends the connection with a reason. An input begins with bytes that choose the circumstances, since
a fuzzer finds those as it finds everything else; the rest is what the peer sends.
"""

from __future__ import annotations

import enum
import gc
import math
import re
import types
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import h11
from tests.wscore.rawpeer import BINARY, CLOSE, FIN, REQUEST, RSV1, TEXT, RawPeer, frame
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from wscore import (
    BadHandshake,
    Cause,
    CloseFrame,
    Config,
    Connection,
    ConnectionClosed,
    Deflate,
    HandshakeError,
    Message,
    Request,
    Role,
    State,
    Transport,
)

NONCE: Final = b"the sample nonce"
"""The key of RFC 6455 section 1.3 before base64: with it an answer can stand in a file."""

SUBPROTOCOLS: Final = ("chat", "superchat")

ANY_WINDOW: Final = Deflate(server_max_window_bits=15, client_max_window_bits=15, threshold=0)
"""What goes along with everything that can be negotiated."""

DEFLATE: Final = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"

PROTOCOL_ERROR: Final = 1002

_CONTROL_FRAME: Final = 2 + 4 + 125
_OBJECTS: Final = 1024
"""Bytes of texts about a failure and the like, which are no data of the peer's (arbitrary)."""


def entropy(size: int) -> bytes:
    """The same in every run, so that an input is all that an outcome depends on."""
    return (NONCE * (size // len(NONCE) + 1))[:size]


def limits(*, tight: bool, compression: Deflate | None) -> Config:
    """The defaults, or limits that a short input reaches."""
    config = Config(compression=compression, subprotocols=SUBPROTOCOLS, entropy=entropy)
    if not tight:
        return config
    return config.replace(
        max_message_size=300,
        max_fragment_size=200,
        max_fragments=4,
        max_queue=3,
        max_queue_bytes=250,
        control_look_ahead=50,
        read_size=1024,
        max_send_buffer=700,
        max_pong_buffer=200,
        max_head_size=400,
        max_header_line=120,
        max_headers=9,
        max_body_size=20,
    )


MANY: Final = 64
"""Pieces, more than which tell nothing new (arbitrary)."""


class Slicing(NamedTuple):
    """Where a stream is cut: a first piece, then pieces of at least ``step``; 0 cuts nowhere."""

    first: int
    step: int

    def pieces(self, data: bytes) -> list[bytes]:
        if not self.step:
            return [data] if data else []
        # A long input in single bytes takes longer than it finds.
        step = max(self.step, len(data) // MANY)
        ends = [0, *range(self.first or step, len(data), step), len(data)]
        return [data[start:end] for start, end in pairwise(ends) if start < end]


WHOLE: Final = Slicing(0, 0)


class Circumstances(NamedTuple):
    """What an input's first byte chooses, bit by bit from the lowest.

    :ivar server: ours is the server's side.
    :ivar compressed: permessage-deflate is agreed on, or known to ours.
    :ivar tight: the limits are such that a short input reaches them.
    :ivar in_parts: messages are taken in parts.
    :ivar late: messages are taken only when nothing is read without that.
    :ivar deaf: the peer reads nothing of what ours writes.
    :ivar ends: the peer ends its side when it has sent everything.
    :ivar closes: ours closes when the peer has sent everything.
    """

    server: bool
    compressed: bool
    tight: bool
    in_parts: bool
    late: bool
    deaf: bool
    ends: bool
    closes: bool

    @classmethod
    def chosen_by(cls, byte: int) -> Circumstances:
        return cls(*(bool(byte >> bit & 1) for bit in range(8)))


def circumstances(chosen: bytes) -> tuple[Circumstances, Slicing, bytes]:
    """What the first three bytes choose, and the rest; missing bytes are zeros."""
    flags, first, step = chosen[:3].ljust(3, b"\0")
    # One byte at a time finds most, so that is what a zero means.
    return Circumstances.chosen_by(flags), Slicing(first, step or 1), chosen[3:]


# ------------------------------------------------------------------------- what is held


def held(connection: Connection) -> int:
    """Bytes of data that the connection holds, wherever in it they are."""
    skipped = (type, enum.Enum, types.ModuleType, types.FunctionType, Config, re.Pattern)
    seen: set[int] = set()
    size = 0
    todo: list[object] = [connection]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, skipped):
            continue
        seen.add(id(thing))
        if isinstance(thing, (bytes, bytearray)):
            size += len(thing)
        elif isinstance(thing, str):
            size += len(thing.encode("utf-8", "surrogatepass"))
        elif not isinstance(thing, (int, float)):
            todo += gc.get_referents(thing)
    return size


def bound(connection: Connection) -> float:
    """The most that it may hold, with the heads that it keeps and the windows of DEFLATE."""
    config = connection.config
    heads = 2 * (config.max_head_size + config.max_body_size)
    # Of each head there are the bytes, and the values that were read from it; of the peer's
    # window what zlib has of it is zlib's.
    windows = 0 if config.deflate is None else 1 << 15
    opening = 2 * heads if connection.request is not None or _is_opening(connection) else 0
    return config.memory_bound + opening + windows + _OBJECTS


def _is_opening(connection: Connection) -> bool:
    return connection.state is State.CONNECTING


def check_levels(connection: Connection) -> None:
    """What can be read at any time stays within its bounds and agrees with the rest."""
    config, stats = connection.config, connection.stats
    assert 0 <= connection.want_read <= config.read_size
    assert stats.queue_high_water <= config.queue_marks[0]
    assert stats.queue_bytes_high_water < config.queue_byte_marks[0] + config.max_message_size
    assert connection.want_write is bool(connection.data_to_send())
    # The pongs that are shown, those behind them, our ping and our Close frame; the heads.
    pongs = 2 * (config.max_pong_buffer + _CONTROL_FRAME)
    heads = 0 if connection.request is None and connection.response is None else 2048
    assert stats.send_buffer_high_water <= pongs + 2 * _CONTROL_FRAME + heads
    reason = connection.close_reason
    assert (reason is None) is (connection.state in (State.CONNECTING, State.OPEN))
    if connection.state is State.CLOSED:
        assert not connection.want_write
        assert connection.want_read == 0
    else:
        assert connection.poll_close() is None


# ------------------------------------------------------------------------ what comes of it


@dataclass(frozen=True)
class Outcome:
    """What came of an input: what may not depend on how it was sliced.

    :ivar opening: how the opening handshake ended: True, or its error; None if it did not.
    :ivar reason: code, text, who and why; None if the connection goes on.
    :ivar unread: messages that began and that nobody got.
    :ivar close: the peer's Close frame.
    :ivar state: where all of that leaves the connection.
    """

    messages: tuple[Message, ...]
    opening: object
    reason: tuple[object, ...] | None
    unread: int
    close: CloseFrame | None
    state: State
    request: Request | None
    response: object
    subprotocol: str | None

    @property
    def cause(self) -> object:
        return self.reason and self.reason[3]


class Play:
    """One connection, all that a peer sends it, and what came of it.

    :ivar looked_ahead: it may have seen a Close frame before what is in front of it.
    """

    def __init__(self, peer: RawPeer, how: Circumstances) -> None:
        self.peer = peer
        self.connection = peer.connection
        self.how = how
        self.messages: list[Message] = []
        self.looked_ahead = False
        self._parts: list[Message] = []

    def run(self, pieces: list[bytes]) -> Outcome:
        """Send the pieces; then let everything end that can."""
        for piece in pieces:
            self.send(piece)
        if self.how.ends:
            self.peer.end()
        self.settle(take=True)
        if self.how.closes and self.connection.state is not State.CONNECTING:
            self.connection.close(4000, "enough", now=self.peer.now)
            self.settle(take=True)
        check_levels(self.connection)
        outcome = self.outcome()
        self.finish()
        return outcome

    def send(self, data: bytes) -> None:
        """As a transport would: never more than is wanted."""
        connection = self.connection
        while data:
            if not connection.want_read:
                self.settle(take=True)
            room = connection.want_read
            if not room:
                assert connection.state is State.CLOSED
                return
            self.peer.send_raw(data[:room])
            data = data[room:]
            self.settle(take=not self.how.late)

    def settle(self, *, take: bool) -> None:
        """What whoever drives a connection does after an input."""
        connection = self.connection
        check_levels(connection)
        waits = connection.role is Role.SERVER and connection.state is State.CONNECTING
        if waits and connection.request is not None:
            connection.respond(None, now=self.peer.now)
        self.looked_ahead |= connection.stats.read_pauses > 0
        if take:
            self.take()
        if not self.how.deaf:
            self.peer.read_raw()

    def take(self) -> None:
        """Everything that is there."""
        if not self.how.in_parts:
            self.messages += self.peer.take_all()
            return
        # Who takes in parts paces the peer by bytes, whether the queue is full or not.
        self.looked_ahead |= self.how.tight
        try:
            while (part := self.connection.take_part(now=self.peer.now)) is not None:
                self._parts.append(part.data)
                if part.final:
                    self.messages.append(_joined(self._parts))
                    self._parts = []
        except ConnectionClosed:
            assert self.connection.can_receive_part

    def outcome(self) -> Outcome:
        connection = self.connection
        opening: object
        try:
            opening = connection.poll_open()
        except HandshakeError as error:
            opening = (type(error), str(error))
        config = connection.config
        server = connection.role is Role.SERVER
        head = connection.request if server else connection.response
        assert head is None or len(list(head.headers.pairs())) <= config.max_headers
        most = config.max_message_size
        for message in self.messages:
            assert len(message.encode() if isinstance(message, str) else message) <= most
        reason = connection.close_reason
        return Outcome(
            messages=tuple(self.messages),
            opening=opening,
            reason=(reason.code, reason.reason, reason.by, reason.cause) if reason else None,
            unread=reason.unread if reason else 0,
            close=reason.close_received if reason else None,
            state=connection.state,
            request=connection.request,
            response=connection.response,
            subprotocol=connection.subprotocol,
        )

    def finish(self) -> None:
        """The peer is silent from now on: time alone ends the connection, for a known reason."""
        connection, peer = self.connection, self.peer
        first = connection.close_reason
        assert peer.time_of(peer.is_closed) < math.inf
        while connection.deadline < math.inf:
            peer.wait(connection.deadline - peer.now)
        assert connection.state is State.CLOSED
        assert connection.transport is Transport.ABORT
        check_levels(connection)
        last = connection.close_reason
        assert last is not None
        assert last == connection.poll_close()
        assert str(last)
        if first is not None:
            assert (first.code, first.cause, first.by) == (last.code, last.cause, last.by)
        taken = len(self.messages)
        self.take()
        assert len(self.messages) == taken
        assert connection.can_receive


def _joined(parts: list[Message]) -> Message:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes))


def check_slicing(
    make: Callable[[], RawPeer], how: Circumstances, slicing: Slicing, data: bytes
) -> tuple[Play, Outcome]:
    """Play the data whole and sliced; it must come to the same."""
    plays = []
    outcomes = []
    for way in (WHOLE, slicing):
        play = Play(make(), how)
        outcomes.append(play.run(way.pieces(data)))
        plays.append(play)
    whole, sliced = outcomes
    check_bound(make(), slicing.pieces(data))
    assert whole.messages == sliced.messages
    if any(play.looked_ahead for play in plays):
        # Behind a full queue only control frames are looked for: whether a Close frame is seen
        # before a violation in front of it depends on what else has come by then.
        assert (whole.reason is None) is (sliced.reason is None)
        return plays[0], whole
    if how.compressed and whole.reason != sliced.reason:
        # zlib gives nothing of a piece that is corrupt further on. Which of two rules is broken
        # first, in a message that breaks both, cannot be told then.
        assert {whole.cause, sliced.cause} <= {Cause.INVALID_DATA, Cause.TOO_BIG}
        whole, sliced = replace(whole, reason=None), replace(sliced, reason=None)
    assert whole == sliced
    return plays[0], outcomes[0]


def _is_about_a_close_frame(reason: tuple[object, ...] | None) -> bool:
    return reason is not None and str(reason[1]).startswith("Close frame ")


def check_bound(peer: RawPeer, pieces: list[bytes]) -> None:
    """Nobody takes anything and nobody reads: what is held is at its most."""
    connection = peer.connection
    # To look at what is held takes longer than all else: at some of the pieces is enough.
    every = len(pieces) // 2 + 1
    for number, piece in enumerate(pieces):
        room = connection.want_read
        if not room:
            break
        peer.send_raw(piece[:room])
        check_levels(connection)
        if number % every == 0:
            assert held(connection) <= bound(connection)
        if connection.role is Role.SERVER and connection.request is not None:
            if connection.state is State.CONNECTING:
                connection.respond(None, now=peer.now)
    assert held(connection) <= bound(connection)


# ------------------------------------------------------------------------------- the heads


def response_head(chosen: bytes) -> None:
    """A server's answer to our request, and what comes behind it."""
    how, slicing, data = circumstances(chosen)
    config = limits(tight=how.tight, compression=ANY_WINDOW if how.compressed else None)

    def make() -> RawPeer:
        request = Request("/chat", "example.com")
        peer = RawPeer(Connection.client(request, config, now=0.0))
        peer.read_raw()
        return peer

    play, outcome = check_slicing(make, how, slicing, data)
    if outcome.opening is True:
        response = play.connection.response
        assert response is not None
        assert response.status == 101
        assert response.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert outcome.subprotocol in (None, *SUBPROTOCOLS)


def request_head(chosen: bytes) -> None:
    """A client's request, and what comes behind it; every request that is good is accepted."""
    how, slicing, data = circumstances(chosen)
    config = limits(tight=how.tight, compression=ANY_WINDOW if how.compressed else None)

    def make() -> RawPeer:
        return RawPeer(Connection.server(config, now=0.0))

    check_slicing(make, how, slicing, data)
    check_answer(make(), data)


def check_answer(peer: RawPeer, data: bytes) -> None:
    """What we answer is HTTP to somebody else, and says what we did."""
    connection = peer.connection
    while data and connection.state is State.CONNECTING and connection.request is None:
        room = connection.want_read
        peer.send_raw(data[:room])
        data = data[room:]
    if connection.state is State.CONNECTING and connection.request is not None:
        connection.respond(None, now=peer.now)
    answer = peer.read_raw()
    if connection.response is None:
        assert answer == b""
        return
    client = h11.Connection(h11.CLIENT)
    upgrade = [("Host", "example.com"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    client.send(h11.Request(method="GET", target="/", headers=upgrade))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    event = client.next_event()
    assert isinstance(event, (h11.Response, h11.InformationalResponse))
    assert event.status_code == connection.response.status
    assert event.status_code in (101, 400, 414, 426, 431)
    assert (event.status_code == 101) is (connection.request is not None)


# ------------------------------------------------------------------------------ the frames


def frames(chosen: bytes) -> None:
    """What a peer sends when the connection is open."""
    how, slicing, data = circumstances(chosen)
    config = limits(tight=how.tight, compression=ANY_WINDOW if how.compressed else None)
    role = Role.SERVER if how.server else Role.CLIENT

    def make() -> RawPeer:
        return RawPeer.opened(config, role, extensions=DEFLATE if how.compressed else "")

    _, outcome = check_slicing(make, how, slicing, data)
    if not how.compressed:
        check_against_wsproto(outcome, data, how)


class Verdict(NamedTuple):
    """What wsproto finds: the messages in front of the end, and the Close frame or violation."""

    messages: list[Message]
    close: int | None
    violation: int | None


def ask_wsproto(data: bytes, *, masked: bool) -> Verdict:
    protocol = FrameProtocol(client=not masked, extensions=[])
    protocol.receive_bytes(data)
    messages: list[Message] = []
    parts: list[Message] = []
    try:
        for each in protocol.received_frames():
            payload = each.payload
            if isinstance(payload, tuple):
                return Verdict(messages, int(payload[0]), None)
            if each.opcode.iscontrol():
                continue
            parts.append(payload if isinstance(payload, str) else bytes(payload))
            if each.message_finished:
                messages.append(_joined(parts))
                parts = []
    except ParseFailed as error:
        return Verdict(messages, None, int(error.code))
    return Verdict(messages, None, None)


def check_against_wsproto(outcome: Outcome, data: bytes, how: Circumstances) -> None:
    """The messages in front of the first violation agree, and so does the violation.

    The differences are those that the tests of frames name: close code 1014, and that wsproto
    finds a violation only with the bytes behind it. Our limits are not its own.
    """
    theirs = ask_wsproto(data, masked=how.server)
    ours = list(outcome.messages)
    cause = outcome.cause
    if cause is Cause.TOO_BIG:
        assert ours == theirs.messages[: len(ours)]
        return
    assert ours == theirs.messages
    if how.tight:
        # A Close frame may have been seen before the violation in front of it.
        return
    if cause in (Cause.PROTOCOL_ERROR, Cause.INVALID_DATA):
        found = theirs.violation
        if found is None:
            found = ask_wsproto(data + bytes(16), masked=how.server).violation
        assert outcome.reason is not None
        # It sees code 1014 before what is wrong with the reason behind it.
        may_be_1014 = _is_about_a_close_frame(outcome.reason) and found == PROTOCOL_ERROR
        assert found == outcome.reason[0] or may_be_1014
    elif cause is Cause.PEER_CLOSED:
        assert outcome.reason is not None
        code = outcome.reason[0]
        assert theirs.close == code or (code == 1014 and theirs.violation == PROTOCOL_ERROR)
    else:
        assert theirs[1:] == (None, None)


# ------------------------------------------------------------- permessage-deflate's parameters


_SIMPLE = re.compile(
    r"permessage-deflate((?:; (?:(?:server|client)_no_context_takeover"
    r"|(?:server|client)_max_window_bits=(?:[89]|1[0-5])))*)"
)
"""A response of RFC 7692 section 7.1 as it is usually written."""

_NOT_IN_A_FIELD = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def parameters(chosen: bytes) -> None:
    """Sec-WebSocket-Extensions: of a request to our server, of a response to our client."""
    flags, windows = chosen[:2].ljust(2, b"\0")
    deflate = Deflate(
        server_max_window_bits=8 + (windows & 7),
        client_max_window_bits=8 + (windows >> 3 & 7),
        server_no_context_takeover=bool(flags & 2),
        client_no_context_takeover=bool(flags & 4),
        threshold=0,
    )
    # What a field may not hold is a matter of heads, which have a target of their own.
    value = _NOT_IN_A_FIELD.sub("", chosen[2:].decode("latin-1"))[:4000].strip(" \t")
    config = limits(tight=False, compression=deflate)
    if flags & 1:
        check_response_value(value, deflate, config)
    else:
        check_offer_value(value, deflate, config)


def check_offer_value(value: str, deflate: Deflate, config: Config) -> None:
    """An offer is accepted or passed over, never refused (RFC 7692 section 5)."""
    peer = RawPeer(Connection.server(config, now=0.0))
    line = f"Sec-WebSocket-Extensions: {value}\r\n\r\n".encode("latin-1")
    peer.send_raw(REQUEST[:-2] + line)
    peer.connection.respond(None, now=0.0)
    assert peer.connection.state is State.OPEN
    peer.read_raw()
    response = peer.connection.response
    assert response is not None
    answer = response.headers.get("Sec-WebSocket-Extensions", "")
    if answer:
        agreed = simple_parameters(answer)
        bits = agreed.get("server_max_window_bits") or 15
        assert bits <= deflate.server_max_window_bits
        assert "client_max_window_bits" not in agreed or "client_max_window_bits" in value
        assert not deflate.server_no_context_takeover or "server_no_context_takeover" in agreed
    client = RawPeer.opened(
        limits(tight=False, compression=ANY_WINDOW), Role.CLIENT, extensions=answer
    )
    check_exchange(peer, client)
    check_exchange(client, peer)


def check_response_value(value: str, deflate: Deflate, config: Config) -> None:
    """A response that our offer does not allow fails the connection; another one works."""
    peer = RawPeer(Connection.client(Request("/chat", "example.com"), config, now=0.0))
    peer.read_raw()
    head = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        f"Sec-WebSocket-Extensions: {value}\r\n\r\n"
    )
    peer.send_raw(head.encode("latin-1"))
    try:
        opened = peer.connection.poll_open()
    except BadHandshake:
        assert not is_allowed(value, deflate)
        return
    assert opened is True
    assert is_allowed(value, deflate) or not _SIMPLE.fullmatch(value)
    any_window = limits(tight=False, compression=ANY_WINDOW)
    server = RawPeer.opened(any_window, Role.SERVER, extensions=value)
    check_exchange(peer, server)
    check_exchange(server, peer)


def simple_parameters(value: str) -> dict[str, int]:
    """The parameters in a response of the usual kind; a flag's value is 0."""
    match = _SIMPLE.fullmatch(value)
    assert match is not None
    pairs = [text.partition("=")[::2] for text in match[1].split("; ")[1:]]
    values = {name: int(number or 0) for name, number in pairs}
    assert len(values) == len(pairs)
    return values


def is_allowed(value: str, deflate: Deflate) -> bool:
    """Whether this is a response of the usual kind that an offer of ``deflate`` allows."""
    try:
        agreed = simple_parameters(value)
    except AssertionError:
        return False
    forgets = "server_no_context_takeover" in agreed or not deflate.server_no_context_takeover
    bits = agreed.get("server_max_window_bits", 15)
    return forgets and bits <= deflate.server_max_window_bits


def check_exchange(sender: RawPeer, receiver: RawPeer) -> None:
    """What one side compresses by the agreement the other side reads by it."""
    # Longer than the smallest window, and alike, so that the second refers to the first.
    messages = ["é" * 400 + str(list(range(300))), "é" * 400 + str(list(range(300)))]
    for message in messages:
        sender.connection.send(message, compress=True, now=0.0)
    receiver.send_raw(sender.read_raw())
    assert receiver.take_all() == messages


# --------------------------------------------------------------------------- deflated payloads


class Agreement(NamedTuple):
    """How the payloads of an input are compressed and carried.

    :ivar bits: the peer's window.
    :ivar forgets: the peer compresses each message by itself.
    :ivar fragment: bytes of a fragment; 0 puts each message into one frame.
    """

    server: bool
    text: bool
    tight: bool
    bits: int
    forgets: bool
    fragment: int

    @property
    def extensions(self) -> str:
        peer = "client" if self.server else "server"
        forgets = f"; {peer}_no_context_takeover" if self.forgets else ""
        return f"permessage-deflate; {peer}_max_window_bits={self.bits}{forgets}"


def agreement(chosen: bytes) -> tuple[Agreement, Slicing, bytes]:
    """What the first four bytes choose, and the rest."""
    flags, fragment, first, step = chosen[:4].ljust(4, b"\0")
    agreed = Agreement(
        server=bool(flags & 1),
        text=bool(flags & 2),
        tight=bool(flags & 4),
        bits=8 + (flags >> 3 & 7),
        forgets=bool(flags & 64),
        fragment=fragment,
    )
    return agreed, Slicing(first, step or 1), chosen[4:]


SEPARATOR: Final = b"\x00\x00\xff\xff"
"""Between the messages of an input: what ends a block that is flushed, cut off by each sender."""


_OUTPUT_IN_ONE: Final = 64 * 1024
"""Bytes that a message may have lest they be taken from zlib in several pieces."""


def deflated(chosen: bytes) -> None:
    """Compressed messages whose payload is anything."""
    agreed, slicing, rest = agreement(chosen)
    config = limits(tight=agreed.tight, compression=ANY_WINDOW)
    # Too many fragments are a matter of frames.
    config = config.replace(max_fragments=math.inf, max_fragment_size=math.inf)
    role = Role.SERVER if agreed.server else Role.CLIENT
    payloads = rest.split(SEPARATOR)
    stream = b"".join(in_frames(payload, agreed) for payload in payloads)
    stream += frame(CLOSE, masked=agreed.server)

    def make() -> RawPeer:
        return RawPeer.opened(config, role, extensions=agreed.extensions)

    how = Circumstances.chosen_by(0)._replace(compressed=True)
    _, outcome = check_slicing(make, how, slicing, stream)
    check_against_zlib(outcome, payloads, agreed, config)
    check_echo(outcome, agreed)


def in_frames(payload: bytes, agreed: Agreement) -> bytes:
    """A compressed message in one frame, or in fragments of which only the first has RSV1."""
    pieces = Slicing(0, agreed.fragment).pieces(payload) or [b""]
    head = RSV1 | (TEXT if agreed.text else BINARY)
    data = b""
    for number, piece in enumerate(pieces):
        fin = FIN if number == len(pieces) - 1 else 0
        data += frame(fin | (0 if number else head), piece, masked=agreed.server)
    return data


def inflated_by_zlib(
    payloads: list[bytes], agreed: Agreement, limit: int
) -> Iterator[bytes | None]:
    """Each message by zlib alone, one byte more than the limit at most; None if it refuses.

    Ends at a block with BFINAL=1, which is the end for zlib and not for RFC 7692.
    """
    inflater = zlib.decompressobj(-agreed.bits)
    for payload in payloads:
        if agreed.forgets:
            inflater = zlib.decompressobj(-agreed.bits)
        try:
            message = inflater.decompress(payload, limit + 1)
            if len(message) <= limit:
                # What would come behind what is too much is not judged.
                message += inflater.decompress(SEPARATOR, limit + 1)
        except zlib.error:
            yield None
            return
        if inflater.eof:
            return
        yield message


def check_against_zlib(
    outcome: Outcome, payloads: list[bytes], agreed: Agreement, config: Config
) -> None:
    """What we say was sent is what zlib says, and what we refuse is refused for a reason."""
    limit = int(config.max_message_size)
    cause = outcome.cause
    assert cause in (Cause.PEER_CLOSED, Cause.INVALID_DATA, Cause.TOO_BIG)
    assert (cause is Cause.PEER_CLOSED) is (len(outcome.messages) == len(payloads))
    assert outcome.unread <= len(payloads)
    theirs = inflated_by_zlib(payloads, agreed, limit)
    ours = [text.encode() if isinstance(text, str) else text for text in outcome.messages]
    for message in ours:
        assert len(message) <= limit
        expected = next(theirs, message)
        assert message == expected
    if "is corrupt" in str(outcome.reason):
        # Behind so much output the two of us may have cut it in other places.
        refused = next(theirs, None)
        assert refused is None or len(refused) >= _OUTPUT_IN_ONE
    if cause is Cause.TOO_BIG:
        refused = next(theirs, bytes(limit + 1))
        # zlib may have read on, into what breaks a rule, without more output.
        assert refused is None or len(refused) > limit


def check_echo(outcome: Outcome, agreed: Agreement) -> None:
    """What was received goes the same way once more, compressed by us."""
    role, other = Role.SERVER, Role.CLIENT
    if not agreed.server:
        role, other = other, role
    config = limits(tight=False, compression=ANY_WINDOW)
    receiver = RawPeer.opened(config, role, extensions=agreed.extensions)
    sender = RawPeer.opened(config, other, extensions=agreed.extensions)
    for message in outcome.messages:
        sender.connection.send(message, compress=True, now=0.0)
        receiver.send_raw(sender.read_raw())
        assert receiver.take_all() == [message]


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "response_head": response_head,
    "request_head": request_head,
    "frames": frames,
    "parameters": parameters,
    "deflated": deflated,
}
"""Every target by its name, which is that of its folder in the corpus."""
