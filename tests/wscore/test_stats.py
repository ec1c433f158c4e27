"""The counters of a connection: that each is there, documented, and counts what it says."""

from __future__ import annotations

import re
from dataclasses import asdict, fields

import pytest

from wscore._config import Config, Deflate, Overflow
from wscore._deflate import Deflater, Inflater
from wscore._frames import BINARY, FIN, PING, RSV1, TEXT, encode
from wscore._inbox import Inbox
from wscore._outbox import Outbox
from wscore._pings import Ping
from wscore._stats import FairShare, Stats

NAMES = [field.name for field in fields(Stats)]


def changed(stats: Stats) -> dict[str, int]:
    return {name: count for name, count in asdict(stats).items() if count}


def test_every_counter_begins_at_zero() -> None:
    assert changed(Stats()) == {}


def test_every_counter_says_what_it_counts() -> None:
    assert re.findall(r":ivar (\w+):", Stats.__doc__ or "") == NAMES


def test_a_counter_that_does_not_exist_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Stats().frames_recieved = 1  # type: ignore[attr-defined]


def test_what_is_received_is_counted() -> None:
    stats = Stats()
    deflate = Deflate(threshold=0)
    inbox = Inbox(Config(max_queue=2), stats, masked=False, inflater=Inflater(15, False))
    compressed = Deflater(15, False, deflate).compress(bytes(1000))
    inbox.feed(encode(FIN | PING, b"ping", None))
    inbox.feed(encode(TEXT, b"ab", None) + encode(FIN, "€".encode(), None))
    inbox.feed(encode(FIN | RSV1 | BINARY, compressed, None))
    inbox.advance()
    assert changed(stats) == {
        "frames_received": 4,
        "messages_received": 2,
        "message_bytes_received": 1005,
        "payload_bytes_received": 5 + len(compressed),
        "read_pauses": 1,
        "queue_high_water": 2,
        "queue_bytes_high_water": 1005,
    }


def test_a_frame_that_comes_in_pieces_is_counted_once() -> None:
    stats = Stats()
    inbox = Inbox(Config(), stats, masked=False, inflater=None)
    for byte in encode(FIN | BINARY, b"abc", None):
        inbox.feed(bytes((byte,)))
        inbox.advance()
    assert (stats.frames_received, stats.payload_bytes_received) == (1, 3)


def test_control_frames_found_while_a_message_is_taken_slowly_are_counted() -> None:
    stats = Stats()
    inbox = Inbox(Config(max_queue_bytes=1), stats, masked=False, inflater=None)
    inbox.feed(encode(BINARY, b"abc", None))
    inbox.advance()
    inbox.take_part()
    inbox.feed(encode(0, b"abc", None))
    inbox.advance()
    assert inbox.blocked
    inbox.feed(encode(0, b"abc", None) + encode(FIN | PING, b"", None))
    assert inbox.advance() == [(FIN | PING, b"", 0)]
    assert stats.frames_received == 3


def test_what_is_sent_is_counted() -> None:
    stats = Stats()
    config = Config(max_pong_buffer=0, max_send_buffer=(1009, 500))
    outbox = Outbox(config, stats, masked=False)
    outbox.use_deflate(Deflater(15, False, Deflate()), 15, 100)
    outbox.put_ping(Ping(b"1", 0.0, keepalive=False))
    outbox.put_pong(b"2")
    outbox.put_pong(b"3")
    outbox.put("€", None, None)
    outbox.put(bytes(1000), None, None)
    waiting = {
        "pings_sent": 1,
        "pongs_coalesced": 1,
        "send_pauses": 1,
        "send_buffer_high_water": 3 + 3 + 3 + 1000,
    }
    assert changed(stats) == waiting
    outbox.left(sum(map(len, outbox.show())))
    compressed = len(Deflater(15, False, Deflate()).compress(bytes(1000)))
    assert changed(stats) == waiting | {
        "bytes_sent": 3 + 3 + (2 + 3) + (2 + compressed),
        "frames_sent": 4,
        "messages_sent": 2,
        "message_bytes_sent": 1003,
        "payload_bytes_sent": 3 + compressed,
    }


def test_a_message_in_parts_counts_as_one_message_of_several_frames() -> None:
    stats = Stats()
    outbox = Outbox(Config(), stats, masked=True)
    outbox.put_part("ab", final=False)
    outbox.put_part("c", final=True)
    outbox.left(sum(map(len, outbox.show())))
    assert (stats.messages_sent, stats.frames_sent, stats.message_bytes_sent) == (1, 2, 3)


def test_control_frames_count_as_sent_only_when_they_are_handed_over() -> None:
    stats = Stats()
    outbox = Outbox(Config(), stats, masked=False)
    outbox.put_ping(Ping(b"1", 0.0, keepalive=False))
    outbox.put_pong(b"2")
    outbox.drop()
    assert stats.frames_sent == 0


@pytest.mark.parametrize("overflow", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
def test_what_overflow_drops_is_counted(overflow: Overflow) -> None:
    stats = Stats()
    outbox = Outbox(Config(overflow=overflow, max_send_buffer=1), stats, masked=False)
    outbox.put("a", None, None)
    outbox.put("b", None, None)
    assert stats.messages_dropped == 1


def test_what_overflow_replaces_is_counted() -> None:
    stats = Stats()
    outbox = Outbox(Config(overflow="replace"), stats, masked=False)
    outbox.put("a", None, "key")
    outbox.put("b", None, "key")
    assert (stats.messages_replaced, stats.messages_dropped) == (1, 0)


def test_work_is_what_was_sent_and_what_messages_were_received() -> None:
    assert Stats(bytes_sent=3, message_bytes_received=4, bytes_received=100).work == 7


def test_a_fair_share_is_used_up_by_bytes_and_by_calls() -> None:
    stats = Stats()
    share = FairShare(stats)
    assert not share.used_up()
    stats.bytes_sent += 262_144
    assert share.used_up()
    share.begin()
    assert not share.used_up()
    asked = 0
    while not share.used_up():
        asked += 1
    assert 100 < asked < 1000
