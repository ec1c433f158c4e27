"""Every number of Config is honoured, and every rule of the policy table holds.

First the numbers, measured from outside: each field at its default and at other values. Then the
rules, a section for each row; the rows about time and ends have modules of their own:
test_keepalive ("liveness") and test_closing ("closing", "cause", "pending messages", "codes and
reasons").
"""

from __future__ import annotations

import math
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASK,
    PING,
    PONG,
    REQUEST,
    RESERVED,
    RSV1,
    TEXT,
    RawPeer,
    close_payload,
    frame,
    reason_of,
)

from wscore import (
    Cause,
    CloseCode,
    Config,
    Connection,
    ConnectionClosed,
    ControlFrame,
    Deflate,
    HandshakeRejected,
    OpenTimeout,
    Overflow,
    Prepared,
    Request,
    Response,
    Role,
    SendBufferFull,
    State,
    Transport,
    codec,
)
from wscore.testing import Pair

NEVER = math.inf
KIB = 1024
MIB = 1024 * 1024

HEADER = 10
"""Bytes of the header of a server's frame whose length takes eight bytes (section 5.2)."""

BOTH_ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)


# ---------------------------------------------------------------------------- the numbers


def largest(accepted: Callable[[int], bool], top: int) -> float:
    """The largest number that is accepted, by bisection; ``inf`` if even ``top`` is."""
    if accepted(top):
        return NEVER
    low, high = 0, top
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return low


def opening_time(config: Config) -> float:
    peer = RawPeer(Connection.server(config, now=0.0))
    return peer.time_of(peer.is_closed)


def closing_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.wait(1.0)
    peer.connection.close(now=1.0)
    peer.read()
    return peer.time_of(peer.is_closed) - 1.0


def failing_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)
    return peer.time_of(peer.is_over)


def sending_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.connection.send("stuck", now=0.0)
    return peer.time_of(peer.is_over)


def idle_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    return peer.time_of(peer.is_over)


def message_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.send(TEXT, b"begun")
    return peer.time_of(peer.is_over)


def time_between_pings(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.time_of(lambda: peer.connection.want_write)
    first = peer.now
    [(_, payload)] = peer.read()
    peer.send(PONG, payload)
    return peer.time_of(lambda: peer.connection.want_write) - first


def spares_pings(config: Config) -> bool:
    """Whether what the peer sends is as good as its answer to a ping."""
    peer = RawPeer.opened(config)
    peer.wait(15.0)
    peer.send(PONG)
    peer.wait(19.0)
    return peer.read() == []


def unanswered_time(config: Config) -> float:
    peer = RawPeer.opened(config)
    left = peer.time_of(lambda: peer.connection.want_write)
    peer.read()
    return peer.time_of(peer.is_over) - left


def latest_for_a_pong(config: Config) -> float:
    """How late a deadline may be handled, in quarters of a second, and still count."""

    def fails(quarters: int) -> bool:
        peer = RawPeer.opened(config)
        peer.wait(16.0)
        peer.read()
        peer.connection.handle_timeout(now=32.0 + quarters / 4)
        return peer.is_over()

    return largest(fails, 100) / 4


def message_size(config: Config) -> float:
    def accepted(size: int) -> bool:
        peer = RawPeer.opened(config)
        peer.send(FIN | BINARY, announced=size)
        return peer.is_open()

    return largest(accepted, 1 << 40)


def fragment_size(config: Config) -> float:
    def accepted(size: int) -> bool:
        peer = RawPeer.opened(config)
        peer.send(BINARY, announced=size)
        return peer.is_open()

    return largest(accepted, 1 << 40)


def fragments(config: Config) -> float:
    peer = RawPeer.opened(config)
    peer.send(BINARY)
    peer.send_raw(peer.frame(CONTINUATION) * 300_000)
    return peer.connection.stats.frames_received


def messages_queued(config: Config) -> int:
    peer = RawPeer.opened(config)
    peer.send_raw(peer.frame(FIN | TEXT, b"x") * 100)
    return peer.connection.stats.messages_received


def bytes_queued(config: Config) -> int:
    peer = RawPeer.opened(config)
    peer.send_raw(peer.frame(FIN | BINARY, bytes(64)) * 20_000)
    return peer.connection.stats.message_bytes_received


def bytes_looked_ahead(config: Config) -> int:
    peer = RawPeer.opened(config)
    peer.send(FIN | BINARY)
    held = 0
    while peer.connection.want_read:
        peer.send(FIN | BINARY, bytes(58))
        held += 64
    return held


def bytes_of_a_read(config: Config) -> int:
    return RawPeer.opened(config).connection.want_read


def is_kept(config: Config) -> bool:
    peer = RawPeer.opened(config)
    peer.send(FIN | TEXT, b"unread")
    peer.connection.close(now=0.0)
    return peer.take_all() == ["unread"]


def parts_of_two_fragments(config: Config) -> list[str]:
    peer = RawPeer.opened(config)
    peer.send(TEXT, b"a")
    peer.send(FIN | CONTINUATION, b"b")
    parts: list[str] = []
    while peer.connection.can_receive_part:
        part = peer.connection.take_part(now=0.0)
        assert part is not None
        parts.append(str(part.data))
    return parts


def is_answered(config: Config) -> bool:
    peer = RawPeer.opened(config)
    peer.send(PING, b"?")
    return peer.read() == [(PONG, b"?")]


def is_shown(config: Config) -> bool:
    peer = RawPeer.opened(config)
    peer.send(PING, b"?")
    return peer.connection.can_take_control


def send_marks(config: Config) -> tuple[float, float]:
    """Bytes buffered from which sending is to stop, and down to which it may go on."""

    def may_go_on(rest: int) -> bool:
        peer = RawPeer.opened(config)
        peer.connection.send(bytes(100_000), now=0.0)
        peer.read_raw(100_000 + HEADER - rest)
        return peer.connection.can_send

    def may_send(size: int) -> bool:
        connection = RawPeer.opened(config).connection
        connection.send(bytes(size), now=0.0)
        # What is shown counts with its header.
        connection.data_to_send()
        connection.data_sent(0, now=0.0)
        return connection.can_send

    full = bytes(int(largest(may_send, 100_000)) + 1)
    return len(frame(FIN | BINARY, full, masked=False)), largest(may_go_on, 100_000)


def overflow(config: Config) -> str:
    """The name of what happens to a message that comes above the high mark."""
    connection = RawPeer.opened(config).connection
    connection.send(bytes(100_000), now=0.0)
    try:
        accepted = connection.send(b"x", now=0.0)
    except ConnectionClosed:
        return "close"
    except SendBufferFull:
        try:
            connection.send(b"x", key="latest", now=0.0)
        except (ValueError, SendBufferFull) as error:
            return "raise" if isinstance(error, ValueError) else "replace"
        raise
    if not accepted:
        return "drop_newest"
    return "drop_oldest" if connection.stats.messages_dropped else "wait"


def bytes_of_pongs(config: Config) -> int:
    peer = RawPeer.opened(config)
    peer.send_raw(peer.frame(PING, bytes(62)) * 1000)
    return len(peer.read_raw())


def offered_subprotocols(config: Config) -> tuple[str, ...]:
    connection = Connection.client(Request("/", "example.com"), config, now=0.0)
    assert connection.request is not None
    return connection.request.subprotocols


def pages_let_in(config: Config) -> tuple[str | None, ...]:
    """Of three: none, a good one, another."""

    def is_let_in(origin: str | None) -> bool:
        headers = {} if origin is None else {"Origin": origin}
        pair = Pair(server=config, request=Request("/", "example.com", headers))
        pair.settle()
        return pair.server.state is State.OPEN

    return tuple(filter(is_let_in, (None, "https://good.example", "https://example.com")))


def answer_to_plain_http(config: Config) -> int:
    """What a hook's 200 to a request that is no handshake becomes."""
    peer = RawPeer(Connection.server(config, now=0.0))
    peer.send_raw(b"GET /health HTTP/1.1\r\nHost: example.com\r\n\r\n")
    if peer.connection.state is State.CONNECTING:
        peer.connection.respond(Response(200), now=0.0)
    assert peer.connection.response is not None
    return peer.connection.response.status


def agreed_extension(config: Config) -> str | None:
    response = Pair.opened(config, config).client.response
    assert response is not None
    return response.headers.get("Sec-WebSocket-Extensions")


def accepts_head(config: Config, *lines: bytes) -> bool:
    peer = RawPeer(Connection.server(config, now=0.0))
    peer.send_raw(REQUEST[:-2] + b"".join(b"%b\r\n" % line for line in lines) + b"\r\n")
    return peer.connection.request is not None


def head_size(config: Config) -> float:
    def accepted(size: int) -> bool:
        # A line holds 100 bytes; the last one fills up.
        full, rest = divmod(size - len(REQUEST), 100)
        lines = [b"x: %b" % bytes([0x79] * 95)] * (full - 1)
        return accepts_head(config, *lines, b"x: %b" % bytes([0x79] * (95 + rest)))

    start = len(REQUEST) + 100
    return start + largest(lambda size: accepted(start + size), 200_000)


def header_line(config: Config) -> float:
    return largest(lambda size: accepts_head(config, b"x: ".ljust(size, b"y")), 100_000)


def headers(config: Config) -> float:
    own = REQUEST.count(b"\r\n") - 2
    return own + largest(lambda count: accepts_head(config, *[b"x: y"] * count), 1000)


def body_size(config: Config) -> int:
    peer = RawPeer(Connection.client(Request("/", "example.com"), config, now=0.0))
    size = 200_000
    peer.send_raw(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    with pytest.raises(HandshakeRejected) as caught:
        peer.connection.poll_open()
    return len(caught.value.response.body)


def first_mask(config: Config) -> bytes:
    connection = RawPeer.opened(config, Role.CLIENT).connection
    connection.send(b"", now=0.0)
    return b"".join(connection.data_to_send())[-4:]


class Number(NamedTuple):
    """How a field of Config is measured, and what comes out.

    :ivar measure: what is observed with a config.
    :ivar default: what is observed by default; ``...`` where that is random.
    :ivar others: what is observed with other values of the field.
    :ivar beside: what else has to be set to see it.
    """

    measure: Callable[[Config], object]
    default: object
    others: dict[Any, object]
    beside: Mapping[str, Any] = MappingProxyType({})


QUIET = {"ping_interval": NEVER}
MANY = {"max_queue": NEVER}


def same(*values: object) -> dict[Any, object]:
    """Values that are observed as they are set."""
    return {value: value for value in values}


NUMBERS: dict[str, Number] = {
    "open_timeout": Number(opening_time, 10.0, same(3.0, 60.0, NEVER)),
    "close_timeout": Number(closing_time, 10.0, same(3.0, 60.0, NEVER)),
    "fail_timeout": Number(failing_time, 1.0, same(0.0, 0.5, 2.0)),
    "send_timeout": Number(sending_time, 30.0, same(3.0, 60.0, NEVER), QUIET),
    "idle_timeout": Number(idle_time, NEVER, same(3.0, 60.0), QUIET),
    "message_timeout": Number(message_time, NEVER, same(3.0, 60.0), QUIET),
    "ping_interval": Number(time_between_pings, 20.0, same(5.0, 60.0)),
    "ping_timeout": Number(unanswered_time, 20.0, same(5.0, 60.0)),
    "sleep_tolerance": Number(
        latest_for_a_pong, 1.0, same(0.0, 0.5, 3.0), {"ping_interval": 16.0, "ping_timeout": 16.0}
    ),
    "ping_if_silent": Number(spares_pings, False, same(True)),
    "answer_pings": Number(is_answered, True, same(False)),
    "show_pings": Number(is_shown, False, same(True)),
    "max_message_size": Number(message_size, MIB, same(0, 125, 70_000, NEVER)),
    "max_fragment_size": Number(
        fragment_size, NEVER, same(0, 125, 70_000), {"max_message_size": NEVER}
    ),
    "max_fragments": Number(fragments, 131_072, same(1, 7)),
    "max_queue": Number(messages_queued, 16, {1: 1, 5: 5, (7, 2): 7, NEVER: 100}),
    "max_queue_bytes": Number(bytes_queued, MIB, same(64, 4 * KIB), MANY),
    "control_look_ahead": Number(bytes_looked_ahead, 64 * KIB, same(0, 4 * KIB), {"max_queue": 1}),
    "read_size": Number(bytes_of_a_read, 256 * KIB, same(4 * KIB, MIB)),
    "keep_unread": Number(is_kept, False, same(True)),
    "keep_fragments": Number(parts_of_two_fragments, ["ab"], {True: ["a", "b"]}),
    "max_send_buffer": Number(
        send_marks,
        (64 * KIB, 16 * KIB),
        {4 * KIB: (4 * KIB, KIB), (4 * KIB, 128): (4 * KIB, 128), (64, 0): (64, 0)},
    ),
    "overflow": Number(overflow, "wait", {policy: policy.value for policy in Overflow}),
    "max_pong_buffer": Number(bytes_of_pongs, 4 * KIB, {0: 64, 128: 128, 16 * KIB: 16 * KIB}),
    "subprotocols": Number(offered_subprotocols, (), same(("chat",), ("b", "a"))),
    "origins": Number(
        pages_let_in,
        (None, "https://good.example", "https://example.com"),
        same((None,), ("https://good.example",), (None, "https://example.com"), ()),
    ),
    "plain_http": Number(answer_to_plain_http, 426, {True: 200}),
    "compression": Number(
        agreed_extension,
        None,
        {
            "deflate": "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            Deflate(server_max_window_bits=9, client_max_window_bits=10): (
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"
            ),
        },
    ),
    "max_head_size": Number(head_size, 64 * KIB, same(KIB, 4 * KIB), {"max_headers": NEVER}),
    "max_header_line": Number(header_line, 8 * KIB, same(100, 20 * KIB)),
    "max_headers": Number(headers, 128, same(10, 500)),
    "max_body_size": Number(body_size, 64 * KIB, {0: 0, 100: 100, NEVER: 200_000}),
    "entropy": Number(first_mask, ..., {bytes: b"\0\0\0\0", (lambda n: b"\7" * n): b"\7\7\7\7"}),
}


def test_every_field_of_config_is_measured() -> None:
    assert set(NUMBERS) == {field.name for field in fields(Config)}


@pytest.mark.parametrize("field", [name for name in NUMBERS if NUMBERS[name].default is not ...])
def test_a_default_is_honoured(field: str) -> None:
    number = NUMBERS[field]
    assert number.measure(Config(**number.beside)) == number.default


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(name, value, id=f"{name}-{index}")
        for name, number in NUMBERS.items()
        for index, value in enumerate(number.others)
    ],
)
def test_another_value_is_honoured(field: str, value: Any) -> None:
    number = NUMBERS[field]
    assert number.measure(Config(**{field: value}, **number.beside)) == number.others[value]


# -------------------------------------------------------------------------------- opening


def test_opening_has_one_deadline_that_trickled_bytes_do_not_move() -> None:
    """A head byte by byte is served until then (SECURITY 1 and 4)."""
    peer = RawPeer(Connection.server(now=0.0))
    for second in range(9):
        peer.wait(1.0)
        peer.send_raw(REQUEST[second : second + 1])
        assert peer.connection.deadline == 10.0
    peer.wait(1.0)
    assert peer.connection.transport is Transport.ABORT
    with pytest.raises(OpenTimeout, match="10 s"):
        peer.connection.poll_request()
    assert reason_of(peer.connection).cause is Cause.OPEN_TIMEOUT


def test_opening_counts_from_before_the_name_is_looked_up() -> None:
    connection = Connection.client(Request("/", "example.com"), now=5.0)
    assert connection.deadline == 15.0


def test_opening_goes_on_counting_while_the_request_is_being_answered() -> None:
    peer = RawPeer(Connection.server(now=0.0))
    peer.send_raw(REQUEST)
    peer.wait(10.0)
    assert peer.is_closed()
    with pytest.raises(OpenTimeout):
        peer.connection.poll_request()


def test_opening_goes_on_counting_while_a_rejection_trickles_in() -> None:
    peer = RawPeer(Connection.client(Request("/", "example.com"), now=0.0))
    peer.send_raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf of")
    peer.wait(9.5)
    assert peer.connection.state is State.CONNECTING
    peer.wait(10.0)
    with pytest.raises(HandshakeRejected) as rejected:
        peer.connection.poll_open()
    assert rejected.value.response == Response(403, {"Content-Length": "100"}, b"half of")
    assert peer.connection.transport is Transport.ABORT


@pytest.mark.parametrize(("answered_at", "gone_at"), [(0.0, 2.0), (9.0, 10.0)])
def test_opening_bounds_a_refusal_too(answered_at: float, gone_at: float) -> None:
    """It ends within close_timeout, but never after open_timeout (SECURITY 3)."""
    peer = RawPeer(Connection.server(Config(close_timeout=2.0), now=0.0))
    peer.send_raw(REQUEST)
    peer.wait(answered_at)
    peer.connection.respond(Response(503), now=peer.now)
    peer.read_raw()
    assert peer.connection.transport is Transport.END_WRITE
    assert peer.time_of(peer.is_closed) == gone_at
    assert reason_of(peer.connection).cause is Cause.REJECTED


def test_opening_ends_with_the_handshake() -> None:
    peer = RawPeer(Connection.server(Config(ping_interval=NEVER), now=0.0))
    peer.send_raw(REQUEST)
    peer.connection.respond(now=0.0)
    peer.read_raw()
    assert peer.connection.deadline == NEVER


# --------------------------------------------------------------------------- message size


def deflated(data: bytes) -> bytes:
    """A compressed message (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


DEFLATE = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"


@BOTH_ROLES
def test_message_size_is_judged_from_the_header_before_the_payload_is_there(role: Role) -> None:
    peer = RawPeer.opened(Config(max_message_size=100), role)
    peer.send(FIN | BINARY, announced=101)
    assert peer.read() == [
        (CLOSE, close_payload(1009, "a message of 101 bytes; the limit is 100"))
    ]
    assert reason_of(peer.connection).cause is Cause.TOO_BIG


@BOTH_ROLES
@pytest.mark.parametrize("compressed", [False, True])
def test_message_size_lets_exactly_the_limit_through(role: Role, compressed: bool) -> None:
    config = Config(max_message_size=5000, compression="deflate")
    for size, arrives in [(5000, True), (5001, False)]:
        peer = RawPeer.opened(config, role, extensions=DEFLATE)
        if compressed:
            peer.send(FIN | RSV1 | BINARY, deflated(bytes(size)))
        else:
            peer.send(FIN | BINARY, bytes(size))
        assert peer.take_all() == ([bytes(size)] if arrives else [])
        assert peer.is_open() is arrives


def test_message_size_counts_the_fragments_together() -> None:
    peer = RawPeer.opened(Config(max_message_size=10))
    peer.send(BINARY, bytes(6))
    peer.send(CONTINUATION, bytes(4))
    assert peer.is_open()
    peer.send(FIN | CONTINUATION, announced=1)
    assert reason_of(peer.connection).code == 1009


def test_message_size_of_text_is_measured_in_bytes_not_in_characters() -> None:
    peer = RawPeer.opened(Config(max_message_size=8))
    peer.send(FIN | TEXT, "€€".encode())
    peer.send(FIN | TEXT, "€€€".encode())
    assert peer.take_all() == ["€€"]
    assert reason_of(peer.connection).cause is Cause.TOO_BIG


def test_a_bomb_is_stopped_before_its_memory_is_spent() -> None:
    """SECURITY 16."""
    peer = RawPeer.opened(Config(compression="deflate"), extensions=DEFLATE)
    bomb = peer.frame(FIN | RSV1 | BINARY, deflated(bytes(64 * MIB)))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        peer.send_raw(bomb)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert reason_of(peer.connection).cause is Cause.TOO_BIG
    assert peak < 4 * MIB


# ------------------------------------------------------------------------------ fragments


def test_fragments_are_counted_for_each_message() -> None:
    peer = RawPeer.opened(Config(max_fragments=3))
    for _ in range(2):
        peer.send(TEXT, b"a")
        peer.send(CONTINUATION, b"b")
        peer.send(FIN | CONTINUATION, b"c")
    assert peer.take_all() == ["abc", "abc"]
    peer.send(TEXT)
    peer.send(CONTINUATION)
    peer.send(CONTINUATION)
    peer.send(CONTINUATION)
    assert reason_of(peer.connection).cause is Cause.TOO_BIG


def test_fragments_leave_no_objects_behind() -> None:
    """SECURITY 14."""
    peer = RawPeer.opened()
    peer.send(BINARY)
    flood = peer.frame(CONTINUATION) * 5_000
    tracemalloc.start()
    try:
        peer.send_raw(flood)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(4):
            peer.send_raw(flood)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < KIB


def test_the_time_of_a_message_runs_from_its_first_byte_whatever_comes() -> None:
    """SECURITY 4: who trickles is ended where message_timeout is set."""
    peer = RawPeer.opened(Config(message_timeout=5.0))
    peer.send(FIN | TEXT, b"whole")
    peer.wait(1.0)
    peer.send_raw(peer.frame(FIN | TEXT, b"trickled")[:7])
    for byte in b"rickl":
        peer.wait(0.9)
        assert peer.is_open()
        peer.send_raw(bytes([byte]))
    assert peer.time_of(peer.is_over) == 6.0
    assert peer.read() == [
        (CLOSE, close_payload(1008, "a message took longer than 5 s to arrive"))
    ]


def test_the_time_of_a_message_begins_anew_with_the_next_message() -> None:
    peer = RawPeer.opened(Config(message_timeout=5.0))
    for _ in range(3):
        peer.send(TEXT, b"a")
        peer.wait(4.0)
        # The end of one and the beginning of the next come in one read.
        peer.send_raw(peer.frame(FIN | CONTINUATION, b"b") + peer.frame(TEXT, b"a"))
        peer.wait(4.0)
        peer.send(FIN | CONTINUATION, b"b")
    peer.wait(10.0)
    assert peer.is_open()


def test_the_time_of_a_message_does_not_run_while_we_do_not_read_on() -> None:
    peer = RawPeer.opened(Config(message_timeout=5.0, max_queue_bytes=4, ping_interval=NEVER))
    peer.send(TEXT, b"abcd")
    part = peer.connection.take_part(now=0.0)
    assert part == ("abcd", False)
    peer.send(CONTINUATION, b"efgh")
    assert peer.connection.deadline == NEVER
    peer.wait(60.0)
    assert peer.connection.take_part(now=60.0) == ("efgh", False)
    assert peer.connection.deadline == 65.0


@pytest.mark.parametrize("begins", ["before the end", "when there is room"])
def test_the_time_of_a_message_does_not_hurry_the_end_behind_other_messages(begins: str) -> None:
    whole = 1 if begins == "before the end" else 2
    peer = RawPeer.opened(Config(message_timeout=0.5, max_queue=(2, 1), fail_timeout=2.0))
    peer.send_raw(peer.frame(FIN | TEXT, b"first") * whole + peer.frame(TEXT, b"never ends"))
    peer.end()
    if whole == 2:
        assert peer.connection.take_message(now=0.0) == "first"
    assert peer.time_of(peer.is_over) == 2.0


# -------------------------------------------------------------------------- receive queue


def test_the_receive_queue_takes_no_more_than_its_mark_and_one_message() -> None:
    peer = RawPeer.opened(Config(max_queue_bytes=100, max_message_size=1000))
    peer.send_raw(peer.frame(FIN | BINARY, bytes(99)) + peer.frame(FIN | BINARY, bytes(1000)) * 3)
    stats = peer.connection.stats
    assert (stats.messages_received, stats.queue_bytes_high_water) == (2, 1099)
    assert [len(message) for message in peer.take_all()] == [99, 1000, 1000, 1000]
    assert stats.queue_bytes_high_water == 1099


def test_the_receive_queue_counts_the_message_that_is_arriving() -> None:
    peer = RawPeer.opened(Config(max_queue=3))
    peer.send(FIN | TEXT, b"first")
    peer.send(TEXT, b"arri")
    peer.send_raw(peer.frame(FIN | CONTINUATION, b"ving") + peer.frame(FIN | TEXT, b"x") * 5)
    assert peer.connection.stats.queue_high_water == 3
    assert peer.take_all() == ["first", "arriving", *["x"] * 5]


@pytest.mark.parametrize("max_queue_bytes", [1, 1000])
def test_the_receive_queue_lets_any_allowed_message_through(max_queue_bytes: int) -> None:
    config = Config(max_queue=1, max_queue_bytes=max_queue_bytes, max_message_size=100_000)
    pair = Pair.opened(server=config)
    for _ in range(5):
        pair.client.send(bytes(100_000), now=pair.now)
    assert [len(message) for message in pair.received(pair.server)] == [100_000] * 5


def test_the_receive_queue_is_filled_again_only_from_its_low_mark() -> None:
    peer = RawPeer.opened(Config(max_queue=(4, 1)))
    peer.send_raw(b"".join(peer.frame(FIN | TEXT, b"%d" % i) for i in range(8)))
    stats = peer.connection.stats
    decoded = []
    for i in range(6):
        assert peer.connection.take_message(now=0.0) == str(i)
        decoded.append(stats.messages_received)
    assert decoded == [4, 4, 7, 7, 7, 8]
    assert stats.read_pauses == 2


def test_the_receive_queue_counts_bytes_for_the_low_mark_too() -> None:
    peer = RawPeer.opened(Config(max_queue=NEVER, max_queue_bytes=100))
    peer.send_raw(peer.frame(FIN | BINARY, bytes(25)) * 8)
    decoded = []
    for _ in range(3):
        peer.connection.take_message(now=0.0)
        decoded.append(peer.connection.stats.messages_received)
    assert decoded == [4, 4, 7]


@BOTH_ROLES
def test_a_peer_that_never_stops_makes_us_hold_no_more_than_the_bound(role: Role) -> None:
    """SECURITY 18: what was read and never taken is less than Config.memory_bound says."""
    config = Config(max_message_size=10_000, max_queue=NEVER, read_size=16 * KIB)
    peer = RawPeer.opened(config, role)
    flood = peer.frame(FIN | BINARY, bytes(9_999)) * 100
    sent = 0
    while size := peer.connection.want_read:
        peer.send_raw(flood[sent : sent + size])
        sent += size
    headers = peer.connection.stats.messages_received * (len(flood) // 100 - 9_999)
    queued = 10_000 + 10_000
    assert queued < sent - headers < queued + config.read_size < config.memory_bound


# ---------------------------------------------------- control frames behind a full queue


def with_full_queue(config: Config | None = None, role: Role = Role.SERVER) -> RawPeer:
    peer = RawPeer.opened(config or Config(max_queue=1), role)
    peer.send(FIN | TEXT, b"first")
    return peer


@BOTH_ROLES
def test_control_frames_behind_a_full_queue_are_handled_at_once_and_once(role: Role) -> None:
    peer = with_full_queue(role=role)
    ping = peer.connection.ping(b"ours", now=0.0)
    assert peer.read() == [(PING, b"ours")]
    peer.send(FIN | TEXT, b"second")
    peer.send(PING, b"theirs")
    peer.send(PONG, b"ours")
    assert peer.read() == [(PONG, b"theirs")]
    assert peer.connection.poll_pong(ping) == 0.0
    assert peer.take_all() == ["first", "second"]
    assert peer.read() == []
    assert peer.connection.stats.pings_received == 1


def test_a_close_behind_a_full_queue_is_answered_at_once() -> None:
    peer = with_full_queue()
    peer.send(FIN | TEXT, b"second")
    peer.send(CLOSE, close_payload(1001, "bye"))
    assert peer.read() == [(CLOSE, close_payload(1001, "bye"))]
    assert peer.is_closed()
    assert peer.take_all() == ["first", "second"]
    assert reason_of(peer.connection).unread == 0


def test_data_behind_a_full_queue_is_judged_only_when_it_is_decoded() -> None:
    peer = with_full_queue()
    peer.send(FIN | TEXT, b"\xff")
    peer.send(PING, b"still here")
    assert peer.read() == [(PONG, b"still here")]
    assert peer.connection.close_reason is None
    assert peer.take_all() == ["first"]
    assert reason_of(peer.connection).cause is Cause.INVALID_DATA


def test_behind_a_bad_header_nothing_is_looked_at() -> None:
    peer = with_full_queue()
    peer.send(RESERVED)
    peer.send(PING, b"behind")
    assert peer.read() == []
    assert peer.connection.close_reason is None
    assert peer.take_all() == ["first"]
    assert [head for head, _ in peer.read()] == [CLOSE]


def test_a_bad_close_held_when_the_connection_ends_changes_nothing() -> None:
    peer = with_full_queue()
    peer.send(FIN | TEXT, b"second")
    peer.send(CLOSE, close_payload(999))
    peer.connection.transport_lost(now=0.0)
    assert peer.take_all() == ["first", "second"]
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.close_received) == (Cause.TRANSPORT_ERROR, None)


def test_a_bad_message_held_before_an_answered_close_counts_as_unread() -> None:
    peer = with_full_queue()
    peer.send(FIN | TEXT, b"\xff")
    peer.send(CLOSE, close_payload(1000))
    peer.read()
    assert peer.take_all() == ["first"]
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.code, reason.unread) == (Cause.PEER_CLOSED, 1000, 1)


def having_looked_ahead(**policy: Any) -> RawPeer:
    """Fragmented messages came behind a full queue, and all of them are taken."""
    peer = RawPeer.opened(Config(max_queue=(2, 0), **policy))
    fragments = peer.frame(TEXT, b"a") + peer.frame(FIN | CONTINUATION, b"b")
    peer.send_raw(fragments * 3)
    assert peer.take_all() == ["ab"] * 3
    return peer


def test_who_has_looked_ahead_judges_again_what_comes_in_order() -> None:
    peer = having_looked_ahead()
    bad = peer.frame(TEXT, b"\xff") + peer.frame(FIN | CONTINUATION)
    peer.send_raw(bad + peer.frame(CLOSE, close_payload(1000)))
    assert reason_of(peer.connection).cause is Cause.INVALID_DATA


def test_who_has_looked_ahead_takes_control_frames_again_in_order() -> None:
    peer = having_looked_ahead(show_pings=True)
    peer.send_raw(
        peer.frame(TEXT, b"c") + peer.frame(FIN | CONTINUATION, b"d") + peer.frame(PING, b"behind")
    )
    assert peer.connection.take_control() is None
    assert peer.take_all() == ["cd"]
    assert peer.connection.take_control() == ControlFrame(9, b"behind")


def test_who_has_looked_ahead_has_large_messages_land_again() -> None:
    peer = having_looked_ahead()
    peer.send_raw(peer.frame(FIN | BINARY, bytes(100 * KIB))[: 20 * KIB])
    # The pure form copies all of it anyway.
    assert (peer.connection.receive_buffer() is not None) is (codec == "C")


def test_raw_bytes_never_exceed_one_read() -> None:
    config = Config(max_queue=1, control_look_ahead=NEVER, read_size=4 * KIB)
    peer = with_full_queue(config)
    flood = peer.frame(FIN | BINARY, bytes(994))
    held = 0
    while size := peer.connection.want_read:
        assert 0 < size <= config.read_size - held
        peer.send_raw(flood[held % 1000 :][:size])
        held += len(flood[held % 1000 :][:size])
    assert held == config.read_size


def test_more_than_was_asked_for_is_held_and_never_asks_for_less_than_nothing() -> None:
    config = Config(max_queue=1, control_look_ahead=NEVER, read_size=4 * KIB)
    peer = with_full_queue(config)
    peer.send_raw(peer.frame(FIN | BINARY, bytes(994)) * 10)
    assert peer.connection.want_read == 0
    assert len(peer.take_all()) == 11


# ----------------------------------------------------------------------- failing in order


def test_a_violation_behind_messages_waits_until_they_are_taken() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)
    connection = peer.connection
    assert (connection.state, connection.close_reason) == (State.OPEN, None)
    assert connection.send("still sent", now=0.0)
    assert connection.take_message(now=0.0) == "ahead"
    assert connection.state is State.OPEN
    with pytest.raises(ConnectionClosed, match="reserved opcode"):
        connection.take_message(now=0.0)
    # Failing drops what is not begun (section 7.1.7).
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert reason_of(connection).unsent == 1


def test_a_violation_with_nothing_ahead_takes_effect_at_once() -> None:
    peer = RawPeer.opened()
    peer.send(RESERVED)
    assert peer.is_over()


def test_what_was_taken_before_a_violation_can_still_be_answered() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    peer.send(FIN | TEXT, b"question")
    assert connection.take_message(now=0.0) == "question"
    peer.send(RESERVED)
    assert connection.send("answer", now=0.0)
    assert peer.read() == [(FIN | TEXT, b"answer")]
    assert connection.can_receive
    with pytest.raises(ConnectionClosed, match="reserved opcode"):
        connection.take_message(now=0.0)


def test_an_answer_that_does_not_come_delays_a_violation_for_a_while() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"question")
    assert peer.connection.take_message(now=0.0) == "question"
    peer.send(RESERVED)
    assert peer.time_of(peer.is_over) == 1.0


def test_who_asked_for_more_has_answered() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"question")
    assert peer.connection.take_message(now=0.0) == "question"
    assert peer.connection.take_message(now=0.0) is None
    peer.send(RESERVED)
    assert peer.is_over()


def test_the_end_of_the_stream_waits_for_no_answer() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"question")
    assert peer.connection.take_message(now=0.0) == "question"
    peer.end()
    assert reason_of(peer.connection).cause is Cause.EOF


def test_what_follows_a_violation_is_not_processed() -> None:
    """RFC 6455 section 7.1.7."""
    peer = RawPeer.opened()
    ping = peer.connection.ping(b"ours", now=0.0)
    peer.read()
    peer.send_raw(
        peer.frame(FIN | TEXT, b"ahead")
        + peer.frame(RESERVED)
        + peer.frame(PING)
        + peer.frame(PONG, b"ours")
        + peer.frame(FIN | TEXT, b"behind")
    )
    peer.send(PING)
    assert peer.connection.poll_pong(ping) is None
    assert peer.take_all() == ["ahead"]
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert reason_of(peer.connection).unread == 1


@pytest.mark.parametrize(
    ("fail_timeout", "close_timeout", "effect"), [(1.0, 10.0, 1.0), (3.0, 4.0, 2.0)]
)
def test_failing_waits_for_the_application_at_most_half_of_close_timeout(
    fail_timeout: float, close_timeout: float, effect: float
) -> None:
    config = Config(fail_timeout=fail_timeout, close_timeout=close_timeout)
    peer = RawPeer.opened(config)
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)
    assert peer.time_of(peer.is_over) == effect
    peer.read()
    # The closing counts from the discovery.
    assert peer.time_of(peer.is_closed) == close_timeout
    assert peer.take_all() == ["ahead"]


def test_the_end_of_the_stream_waits_like_a_violation() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.end()
    assert peer.is_open()
    assert peer.connection.want_read == 0
    assert peer.time_of(peer.is_over) == 1.0
    assert peer.take_all() == ["ahead"]
    assert reason_of(peer.connection).cause is Cause.EOF


def test_the_end_of_the_stream_waits_for_messages_not_yet_decoded_too() -> None:
    peer = RawPeer.opened(Config(max_queue=1))
    peer.send_raw(peer.frame(FIN | TEXT, b"x") * 3)
    peer.end()
    assert peer.take_all() == ["x"] * 3
    assert reason_of(peer.connection).cause is Cause.EOF


def test_a_peers_close_does_not_wait() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.send(CLOSE, close_payload(1000))
    assert peer.is_over()
    assert peer.take_all() == ["ahead"]


@pytest.mark.parametrize("payload", [b"\x03", close_payload(1005), b"\x03\xe8\xff"])
def test_a_close_that_breaks_a_rule_waits_like_a_violation(payload: bytes) -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.send(CLOSE, payload)
    assert peer.is_open()
    assert peer.take_all() == ["ahead"]
    assert peer.is_over()
    assert reason_of(peer.connection).cause is not Cause.PEER_CLOSED


# ---------------------------------------------------------------------------- send buffer


@BOTH_ROLES
def test_pings_and_pongs_overtake_queued_data(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    peer.connection.send("data", now=0.0)
    peer.send(PING, b"theirs")
    peer.connection.ping(b"ours", now=0.0)
    peer.connection.pong(b"one way", now=0.0)
    heads = [head for head, _ in peer.read()]
    assert sorted(heads[:-1]) == [PING, PONG, PONG]
    assert heads[-1] == FIN | TEXT


def test_what_was_shown_is_not_overtaken() -> None:
    peer = RawPeer.opened()
    peer.connection.send("shown", now=0.0)
    shown = list(peer.connection.data_to_send())
    peer.connection.ping(b"late", now=0.0)
    assert list(peer.connection.data_to_send()) == shown
    assert peer.read() == [(FIN | TEXT, b"shown"), (PING, b"late")]


@BOTH_ROLES
def test_our_close_goes_behind_the_data_already_accepted(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    peer.connection.send(bytes(100_000), now=0.0)
    peer.connection.close(now=0.0)
    assert [head for head, _ in peer.read()] == [FIN | BINARY, CLOSE]


@BOTH_ROLES
def test_our_answer_to_the_peers_close_goes_behind_the_data_already_accepted(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    peer.connection.send(bytes(100_000), now=0.0)
    peer.send(CLOSE, close_payload(1000))
    assert [head for head, _ in peer.read()] == [FIN | BINARY, CLOSE]


def test_data_ahead_of_our_close_is_bounded_by_close_timeout() -> None:
    peer = RawPeer.opened(Config(close_timeout=5.0))
    peer.connection.send("never leaves", now=0.0)
    peer.connection.close(now=0.0)
    assert peer.time_of(peer.is_closed) == 5.0
    reason = reason_of(peer.connection)
    assert (reason.unsent, reason.close_sent) == (1, None)


@pytest.mark.parametrize(("read_before", "begun"), [(0, 0), (1, 1), (5_000, 1), (70_000, 2)])
def test_failing_drops_the_data_counts_it_and_never_leaves_half_a_frame(
    read_before: int, begun: int
) -> None:
    peer = RawPeer.opened()
    for _ in range(3):
        peer.connection.send(bytes(100_000), now=0.0)
    frames = peer.read(read_before)
    peer.send(RESERVED)
    frames += peer.read()
    assert not peer.half_a_frame
    assert frames[-1][0] == CLOSE
    assert len(frames) - 1 + reason_of(peer.connection).unsent == 3
    # Only a frame of which something was shown is ended.
    assert len(frames) - 1 == begun


def test_abort_drops_the_data_and_counts_it() -> None:
    peer = RawPeer.opened()
    for _ in range(3):
        peer.connection.send("x", now=0.0)
    peer.read(3)
    peer.connection.abort(now=0.0)
    assert (peer.read(), reason_of(peer.connection).unsent) == ([], 2)


def test_each_ping_gets_its_pong_while_unsent_pongs_are_few() -> None:
    """All ten, in order (RFC 6455 section 5.5.3; Autobahn 2.10)."""
    peer = RawPeer.opened()
    for i in range(10):
        peer.send(PING, b"%d" % i)
    assert peer.read() == [(PONG, b"%d" % i) for i in range(10)]


def test_above_the_limit_the_newest_pong_replaces_the_last() -> None:
    peer = RawPeer.opened(Config(max_pong_buffer=10))
    for i in range(10):
        peer.send(PING, b"%03d" % i)
    assert peer.read() == [(PONG, b"000"), (PONG, b"009")]
    assert peer.connection.stats.pongs_coalesced == 8


def test_a_flood_of_pings_leaves_the_send_buffer_bounded() -> None:
    """100,000 pings to a writer that is stuck (SECURITY 18); reading does not stop for it."""
    peer = RawPeer.opened()
    flood = peer.frame(PING, bytes(125)) * 1000
    for _ in range(100):
        assert peer.connection.want_read > 0
        peer.send_raw(flood)
    assert peer.connection.stats.pings_received == 100_000
    assert len(peer.read_raw()) <= Config().max_pong_buffer


def controls(peer: RawPeer) -> list[ControlFrame]:
    found = []
    while peer.connection.can_take_control:
        frame = peer.connection.take_control()
        assert frame is not None
        found.append(frame)
    assert peer.connection.take_control() is None
    return found


def test_pings_and_pongs_for_the_application_keep_their_places_between_messages() -> None:
    peer = RawPeer.opened(Config(answer_pings=False))
    assert not peer.connection.can_take_control
    mine = peer.connection.ping(b"mine", now=0.0)
    data = (PING, b"a"), (FIN | TEXT, b"1"), (PONG, b"mine"), (PING, b"b"), (FIN | TEXT, b"2")
    peer.send_raw(b"".join(peer.frame(*each) for each in data))
    assert peer.connection.can_receive
    assert controls(peer) == [ControlFrame(9, b"a")]
    assert peer.connection.take_message(now=0.0) == "1"
    assert controls(peer) == [ControlFrame(10, b"mine"), ControlFrame(9, b"b")]
    assert peer.connection.take_message(now=0.0) == "2"
    assert peer.connection.poll_pong(mine) == 0.0
    assert peer.read() == [(PING, b"mine")]


def test_pings_that_are_shown_are_answered_all_the_same() -> None:
    peer = RawPeer.opened(Config(show_pings=True))
    peer.send(PING, b"a")
    peer.send(PONG, b"b")
    assert peer.read() == [(PONG, b"a")]
    assert controls(peer) == [ControlFrame(9, b"a"), ControlFrame(10, b"b")]


def test_pings_for_the_application_are_there_when_the_connection_has_ended() -> None:
    peer = RawPeer.opened(Config(answer_pings=False))
    peer.send(PING, b"last words")
    peer.end()
    assert peer.is_closed()
    assert controls(peer) == [ControlFrame(9, b"last words")]


def test_a_flood_of_pings_that_the_application_does_not_take_is_bounded() -> None:
    peer = RawPeer.opened(Config(answer_pings=False, max_pong_buffer=10))
    for i in range(10):
        peer.send(PING, b"%03d" % i)
    assert controls(peer) == [ControlFrame(9, b"000"), ControlFrame(9, b"009")]
    peer.send(PING, b"next")
    assert controls(peer) == [ControlFrame(9, b"next")]


def test_control_frames_that_are_found_after_the_end_change_nothing() -> None:
    peer = RawPeer.opened(Config(max_queue=1, control_look_ahead=0))
    data = (FIN | TEXT, b"1"), (PING, b"late"), (FIN | TEXT, b"2"), (CLOSE, b"")
    peer.send_raw(b"".join(peer.frame(*each) for each in data))
    peer.connection.transport_lost(now=0.0)
    reason = reason_of(peer.connection)
    assert peer.take_all() == ["1", "2"]
    assert peer.is_closed()
    assert reason_of(peer.connection) == reason
    assert peer.connection.deadline == NEVER


def test_there_are_no_pings_before_the_connection_is_open() -> None:
    connection = Connection.server(Config(answer_pings=False), now=0.0)
    assert connection.take_control() is None
    assert not connection.can_take_control


def test_what_is_dropped_never_touches_the_compression_context() -> None:
    """Otherwise the peer could not inflate what follows (RFC 7692 section 7.2.3.2)."""
    config = Config(compression=Deflate(threshold=0), max_send_buffer=1000, overflow="drop_oldest")
    pair = Pair.opened(config, config)
    texts = [f"message {i} about the same thing " * 10 for i in range(100)]
    for text in texts:
        pair.client.send(text, now=pair.now)
    dropped = pair.client.stats.messages_dropped
    assert 0 < dropped < 100
    assert pair.received(pair.server) == texts[dropped:]


# ---------------------------------------------- overflow for senders that do not wait


def at_the_mark(overflow: Overflow) -> RawPeer:
    """Messages 0 to 3 fill the buffer; nothing was shown to the transport."""
    peer = RawPeer.opened(Config(overflow=overflow, max_send_buffer=40))
    for i in range(4):
        assert peer.connection.send(f"{i}".ljust(10), now=0.0)
    assert not peer.connection.can_send
    return peer


def sent_texts(peer: RawPeer) -> list[str]:
    return [payload.decode().rstrip() for head, payload in peer.read() if head == FIN | TEXT]


def test_overflow_wait_accepts_above_the_mark() -> None:
    peer = at_the_mark(Overflow.WAIT)
    assert peer.connection.send("4", now=0.0)
    assert sent_texts(peer) == ["0", "1", "2", "3", "4"]


def test_overflow_raise_says_what_to_do_and_accepts_nothing() -> None:
    peer = at_the_mark(Overflow.RAISE)
    with pytest.raises(SendBufferFull, match="bytes wait to be sent and max_send_buffer is 40"):
        peer.connection.send("4", now=0.0)
    assert peer.is_open()
    assert sent_texts(peer) == ["0", "1", "2", "3"]


def test_overflow_drop_newest_returns_false() -> None:
    peer = at_the_mark(Overflow.DROP_NEWEST)
    assert not peer.connection.send("4", now=0.0)
    assert peer.connection.stats.messages_dropped == 1
    assert sent_texts(peer) == ["0", "1", "2", "3"]
    peer.connection.close(now=0.0)
    peer.read()
    # It was never accepted: False told the caller.
    assert reason_of(peer.connection).unsent == 0


def test_overflow_drop_oldest_makes_room_for_the_new_message() -> None:
    peer = RawPeer.opened(Config(overflow="drop_oldest", max_send_buffer=50))
    for i in range(10):
        assert peer.connection.send(f"{i}".ljust(10), now=0.0)
    dropped = peer.connection.stats.messages_dropped
    assert dropped in (5, 6)
    assert sent_texts(peer) == [*"0123456789"[dropped:]]
    peer.connection.close(now=0.0)
    assert reason_of(peer.connection).unsent == dropped


def test_overflow_drop_oldest_drops_nothing_that_is_begun() -> None:
    peer = RawPeer.opened(Config(overflow="drop_oldest", max_send_buffer=50))
    peer.connection.send("shown", now=0.0)
    peer.connection.data_to_send()
    for i in range(2):
        assert peer.connection.send(f"{i}".ljust(50), now=0.0)
    assert sent_texts(peer) == ["shown", "1"]


def test_overflow_replace_puts_the_newest_in_the_place_of_its_key() -> None:
    peer = RawPeer.opened(Config(overflow="replace"))
    for key, text in [("a", "a1"), ("b", "b1"), ("a", "a2"), (None, "n"), ("b", "b2")]:
        assert peer.connection.send(text, key=key, now=0.0)
    assert peer.connection.stats.messages_replaced == 2
    assert sent_texts(peer) == ["a2", "b2", "n"]


def test_overflow_replace_raises_at_the_mark_for_what_replaces_nothing() -> None:
    peer = at_the_mark(Overflow.REPLACE)
    with pytest.raises(SendBufferFull):
        peer.connection.send("no key", now=0.0)
    with pytest.raises(SendBufferFull):
        peer.connection.send("k", key="k", now=0.0)
    assert sent_texts(peer) == ["0", "1", "2", "3"]


def test_overflow_replace_leaves_alone_what_is_begun() -> None:
    peer = RawPeer.opened(Config(overflow="replace"))
    peer.connection.send("shown", key="k", now=0.0)
    peer.connection.data_to_send()
    peer.connection.send("newer", key="k", now=0.0)
    assert sent_texts(peer) == ["shown", "newer"]


@pytest.mark.parametrize("overflow", [each for each in Overflow if each is not Overflow.REPLACE])
def test_a_key_without_overflow_replace_is_an_error_of_the_caller(overflow: Overflow) -> None:
    peer = RawPeer.opened(Config(overflow=overflow))
    with pytest.raises(ValueError, match="key"):
        peer.connection.send("x", key="k", now=0.0)
    assert not peer.connection.want_write


def test_overflow_close_fails_the_connection_with_1013() -> None:
    peer = at_the_mark(Overflow.CLOSE)
    with pytest.raises(ConnectionClosed) as caught:
        peer.connection.send("4", now=0.0)
    assert isinstance(caught.value.__cause__, SendBufferFull)
    assert (caught.value.code, caught.value.reason.cause) == (1013, Cause.OVERFLOW)
    assert peer.read() == [(CLOSE, close_payload(1013, "the peer reads too slowly"))]
    assert reason_of(peer.connection).unsent == 4


# --------------------------------------------------------------------- prepared messages


def test_a_prepared_message_is_encoded_once_for_many_server_connections() -> None:
    prepared = Prepared(bytes(1000))
    frames = []
    for _ in range(2):
        connection = RawPeer.opened().connection
        connection.send(prepared, now=0.0)
        [buffer] = connection.data_to_send()
        frames.append(buffer)
    assert frames[0] is frames[1]


def test_a_client_masks_its_own_copy_of_a_prepared_message() -> None:
    """RFC 6455 section 5.1."""
    prepared = Prepared("prepared")
    peer = RawPeer.opened(Config(entropy=lambda size: MASK[:size]), Role.CLIENT)
    peer.connection.send(prepared, now=0.0)
    assert MASK in b"".join(peer.connection.data_to_send())
    assert peer.read() == [(FIN | TEXT, b"prepared")]


PREPARED_TEXT = "a text that has something in common with itself " * 40


@pytest.mark.parametrize(("window", "compressed"), [(12, True), (10, True), (9, False)])
def test_a_prepared_message_goes_compressed_where_the_window_is_large_enough(
    window: int, compressed: bool
) -> None:
    prepared = Prepared(PREPARED_TEXT, compression=Deflate(server_max_window_bits=10))
    config = Config(compression=Deflate(server_max_window_bits=window))
    pair = Pair.opened(config, config)
    pair.server.send(prepared, now=pair.now)
    assert (pair.server.stats.bytes_sent, pair.received(pair.client)) != (0, [])
    assert (pair.server.stats.payload_bytes_sent < len(PREPARED_TEXT)) is compressed
    pair.server.send(prepared, now=pair.now)
    assert pair.received(pair.client) == [PREPARED_TEXT]


def test_a_prepared_message_leaves_the_next_messages_intact() -> None:
    """It resets the compressor: what it said is unknown to it (RFC 7692 section 7.2.3.2)."""
    prepared = Prepared(PREPARED_TEXT, compression=Deflate())
    config = Config(compression=Deflate())
    pair = Pair.opened(config, config)
    messages: list[str | Prepared] = [PREPARED_TEXT[1:], prepared, PREPARED_TEXT[2:], prepared]
    for message in messages:
        pair.server.send(message, now=pair.now)
    assert pair.received(pair.client) == [
        PREPARED_TEXT[1:],
        PREPARED_TEXT,
        PREPARED_TEXT[2:],
        PREPARED_TEXT,
    ]


# --------------------------------------------------------------------------- stuck writer


def test_a_stuck_peer_is_closed_within_send_timeout_though_no_ping_could_be_written() -> None:
    pair = Pair.opened(client=Config(send_timeout=7.0, ping_interval=1.0, ping_timeout=60.0))
    pair.to_server.stalled = True
    pair.run(100.0)
    reason = reason_of(pair.client)
    assert (reason.cause, reason.code) == (Cause.SEND_TIMEOUT, CloseCode.ABNORMAL_CLOSURE)
    assert reason.close_sent is None
    assert pair.client.transport is Transport.ABORT
    assert pair.client.stats.pings_sent == 1


def test_any_progress_starts_the_time_of_the_writer_anew() -> None:
    peer = RawPeer.opened(Config(send_timeout=7.0, ping_interval=NEVER))
    peer.connection.send(bytes(100), now=0.0)
    for _ in range(5):
        peer.wait(6.0)
        peer.read_raw(1)
    assert peer.time_of(peer.is_over) == 37.0


def test_no_progress_and_new_messages_do_not_start_the_time_of_the_writer_anew() -> None:
    peer = RawPeer.opened(Config(send_timeout=7.0, ping_interval=NEVER))
    for _ in range(6):
        peer.connection.send("more", now=peer.now)
        peer.connection.data_sent(0, now=peer.now)
        peer.wait(1.0)
    assert peer.time_of(peer.is_over) == 7.0


def test_the_time_of_the_writer_does_not_run_when_all_is_written() -> None:
    peer = RawPeer.opened(Config(ping_interval=NEVER))
    peer.connection.send("x", now=0.0)
    assert peer.connection.deadline == 30.0
    peer.read()
    assert peer.connection.deadline == NEVER


STUCK: dict[str, Callable[[RawPeer], object]] = {
    "a message": lambda peer: peer.connection.send("x", now=0.0),
    "a part": lambda peer: peer.connection.send_part("x", final=False, now=0.0),
    "a ping": lambda peer: peer.connection.ping(now=0.0),
    "a pong": lambda peer: peer.connection.pong(now=0.0),
    "an answer to a ping": lambda peer: peer.send(PING),
    "a Close": lambda peer: peer.connection.close(now=0.0),
    "an answer to a Close": lambda peer: peer.send(CLOSE),
    "a Close after a violation": lambda peer: peer.send(RESERVED),
}


@pytest.mark.parametrize("what", STUCK)
def test_whatever_waits_to_be_written_waits_no_longer_than_send_timeout(what: str) -> None:
    peer = RawPeer.opened(Config(send_timeout=7.0, ping_interval=NEVER))
    STUCK[what](peer)
    assert peer.time_of(peer.is_closed) == 7.0


def test_the_time_of_the_writer_begins_anew_when_there_is_something_to_write_again() -> None:
    peer = RawPeer.opened(Config(ping_interval=NEVER))
    for _ in range(2):
        peer.connection.send("x", now=peer.now)
        assert peer.connection.deadline == peer.now + 30.0
        peer.read()
        peer.wait(100.0)


def test_a_writer_that_is_stuck_while_closing_is_not_the_cause() -> None:
    peer = RawPeer.opened(Config(send_timeout=3.0))
    peer.connection.close(now=0.0)
    peer.wait(3.0)
    assert peer.is_closed()
    assert reason_of(peer.connection).cause is Cause.CLOSED


def test_a_response_that_cannot_be_written_ends_by_send_timeout() -> None:
    peer = RawPeer(Connection.server(Config(send_timeout=3.0), now=0.0))
    peer.send_raw(REQUEST)
    peer.connection.respond(now=0.0)
    assert peer.time_of(peer.is_closed) == 3.0


# ----------------------------------------------------------------------------------- idle


@pytest.mark.parametrize("from_us", [True, False])
def test_idle_counts_from_the_last_message_in_either_direction(from_us: bool) -> None:
    config = Config(idle_timeout=5.0)
    pair = Pair.opened(server=config)
    sender = pair.server if from_us else pair.client
    for _ in range(3):
        pair.run(4.0)
        sender.send("x", now=pair.now)
        pair.settle()
    pair.run_until(lambda: pair.server.state is not State.OPEN, limit=60)
    assert pair.now == 17.0
    assert reason_of(pair.server).cause is Cause.IDLE_TIMEOUT


def test_idle_is_not_ended_by_pings_and_pongs() -> None:
    peer = RawPeer.opened(Config(idle_timeout=5.0))
    for _ in range(4):
        peer.wait(1.0)
        peer.send(PING)
        peer.connection.ping(now=peer.now)
        peer.read()
    assert peer.time_of(peer.is_over) == 5.0


def test_idle_is_ended_by_parts_of_a_message_that_we_send() -> None:
    peer = RawPeer.opened(Config(idle_timeout=5.0))
    peer.wait(4.0)
    peer.connection.send_part("x", final=False, now=4.0)
    assert peer.time_of(peer.is_over) == 9.0


def test_idle_is_ended_by_a_message_that_arrives_for_long() -> None:
    peer = RawPeer.opened(Config(idle_timeout=5.0))
    peer.send_raw(b"\x82\xff" + (100_000).to_bytes(8, "big") + bytes(4))
    for _ in range(10):
        peer.wait(4.0)
        peer.send_raw(b"x")
    assert peer.connection.state is State.OPEN


def test_idle_closes_with_1001_behind_what_is_queued() -> None:
    peer = RawPeer.opened(Config(idle_timeout=5.0))
    peer.connection.send("queued", now=0.0)
    peer.wait(5.0)
    assert peer.read() == [
        (FIN | TEXT, b"queued"),
        (CLOSE, close_payload(1001, "no message for 5 s")),
    ]
