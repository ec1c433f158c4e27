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
from collections.abc import Callable
from dataclasses import fields
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
)
from wscore import (
    Cause,
    CloseCode,
    CloseReason,
    Config,
    Connection,
    ConnectionClosed,
    Deflate,
    HandshakeRejected,
    Message,
    OpenTimeout,
    Overflow,
    Prepared,
    Request,
    Response,
    Role,
    SendBufferFull,
    State,
    Transport,
)
from wscore.testing import Pair

NEVER = math.inf
KIB = 1024
MIB = 1024 * 1024

HEADER = 10
"""Bytes of the header of a server's frame whose length takes eight bytes (section 5.2)."""

BOTH_ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)


def reason_of(connection: Connection) -> CloseReason:
    reason = connection.close_reason
    assert reason is not None
    return reason


def take_all(peer: RawPeer) -> list[Message]:
    """Every message that can be taken, and nothing about how it goes on."""
    messages: list[Message] = []
    try:
        while (message := peer.connection.take_message(now=peer.now)) is not None:
            messages.append(message)
    except ConnectionClosed:
        pass
    return messages


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
    return take_all(peer) == ["unread"]


def send_marks(config: Config) -> tuple[float, float]:
    """Bytes buffered from which sending is to stop, and down to which it may go on."""

    def may_go_on(rest: int) -> bool:
        peer = RawPeer.opened(config)
        peer.connection.send(bytes(100_000), now=0.0)
        peer.read_raw(100_000 + HEADER - rest)
        return peer.connection.can_send

    connection = RawPeer.opened(config).connection
    high = 0
    while connection.can_send:
        connection.send(bytes(64), now=0.0)
        high += 64
    return high, largest(may_go_on, 100_000)


def overflow(config: Config) -> str:
    """The name of what happens to a message that comes at the high mark."""
    peer = RawPeer.opened(config)
    connection = peer.connection
    while connection.can_send:
        connection.send(bytes(64), now=0.0)
    try:
        accepted = connection.send(bytes(64), now=0.0)
    except ConnectionClosed:
        return "close"
    except SendBufferFull:
        try:
            return "replace" if connection.send(b"", key="latest", now=0.0) else "drop_newest"
        except ValueError:
            return "raise"
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
    :ivar default: what is observed by default; a ``...`` if any is right.
    :ivar others: what is observed with other values of the field.
    :ivar beside: what else has to be set to see it.
    """

    measure: Callable[[Config], object]
    default: object
    others: dict[Any, object]
    beside: dict[str, Any] = {}


QUIET = {"ping_interval": NEVER}
MANY = {"max_queue": NEVER}
LONG = {"max_head_size": NEVER, "max_header_line": NEVER, "max_headers": NEVER}


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
    "max_send_buffer": Number(
        send_marks,
        (64 * KIB, 16 * KIB),
        {4 * KIB: (4 * KIB, KIB), (4 * KIB, 128): (4 * KIB, 128), (64, 0): (64, 0)},
    ),
    "overflow": Number(overflow, "wait", {policy: policy.value for policy in Overflow}),
    "max_pong_buffer": Number(bytes_of_pongs, 4 * KIB, {0: 64, 128: 128, 16 * KIB: 16 * KIB}),
    "subprotocols": Number(offered_subprotocols, (), same(("chat",), ("b", "a"))),
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
