"""Pings in flight: matched with their pongs, and timed (RFC 6455 section 5.5.2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._pings import Latency, Pings


def counting() -> Callable[[int], bytes]:
    """Entropy that counts: 0, 1, 2, …"""
    numbers = itertools.count()
    return lambda size: next(numbers).to_bytes(size, "big")


def new() -> Pings:
    return Pings(counting())


# Payloads


def test_a_payload_is_fresh_unless_one_is_given() -> None:
    pings = new()
    payloads = [pings.add(given, now=0.0).payload for given in (None, None, b"", b"mine")]
    assert payloads == [b"\0\0\0\0", b"\0\0\0\1", b"", b"mine"]


def test_a_fresh_payload_is_unlike_those_in_flight() -> None:
    pings = new()
    pings.add(b"\0\0\0\0", now=0.0)
    pings.add(b"\0\0\0\1", now=0.0)
    assert pings.add(None, now=0.0).payload == b"\0\0\0\2"


def test_fresh_payloads_differ_even_if_entropy_is_fixed() -> None:
    """Config.entropy may be fixed in tests; the search for a payload must end."""
    pings = Pings(lambda size: b"\xff" * size)
    payloads = [pings.add(None, now=0.0).payload for _ in range(3)]
    assert payloads == [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1"]


def test_a_payload_in_flight_cannot_be_given_again() -> None:
    pings = new()
    first = pings.add(b"mine", now=0.0)
    with pytest.raises(ValueError, match=r"b'mine' is in flight already"):
        pings.add(b"mine", now=1.0)
    pings.answer(b"mine", now=2.0)
    assert first.round_trip == 2.0
    assert len(pings) == 0
    assert pings.add(b"mine", now=3.0).payload == b"mine"


def test_a_payload_has_at_most_125_bytes() -> None:
    """RFC 6455 section 5.5."""
    pings = new()
    assert len(pings.add(bytes(125), now=0.0).payload) == 125
    with pytest.raises(ValueError, match=r"at most 125 bytes, not 126 .*section 5\.5"):
        pings.add(bytes(126), now=0.0)
    assert len(pings) == 1


def test_a_ping_knows_whether_it_is_for_keepalive() -> None:
    pings = new()
    assert not pings.add(None, now=0.0).keepalive
    assert pings.add(None, now=0.0, keepalive=True).keepalive


# Pongs


def test_a_pong_answers_its_ping_and_all_that_were_sent_before() -> None:
    """A peer may answer only the latest of several pings (section 5.5.3)."""
    pings = new()
    in_flight = [pings.add(payload, now=float(i)) for i, payload in enumerate([b"a", b"b", b"c"])]
    pings.answer(b"b", now=10.0)
    assert [ping.round_trip for ping in in_flight] == [10.0, 9.0, None]
    assert len(pings) == 1


def test_a_pong_counts_once() -> None:
    pings = new()
    ping = pings.add(b"a", now=0.0)
    pings.answer(b"a", now=1.0)
    pings.answer(b"a", now=5.0)
    assert ping.round_trip == 1.0
    assert pings.latency == Latency(1.0, 1.0)


def test_a_pong_that_no_ping_asked_for_changes_nothing() -> None:
    """A one-way heartbeat (section 5.5.3)."""
    pings = new()
    ping = pings.add(b"a", now=0.0)
    pings.answer(b"", now=1.0)
    pings.answer(b"ab", now=1.0)
    assert ping.round_trip is None
    assert len(pings) == 1
    assert pings.latency is None


# Times


def test_the_round_trip_counts_from_when_the_ping_left() -> None:
    pings = new()
    ping = pings.add(b"a", now=0.0)
    ping.left = 7.0
    pings.answer(b"a", now=7.5)
    assert ping.round_trip == 0.5
    assert pings.latency == Latency(0.5, 0.5)


def test_without_word_that_it_left_the_round_trip_counts_from_the_start() -> None:
    """A transport may tell that bytes have left after the pong has been read."""
    pings = new()
    ping = pings.add(b"a", now=2.0)
    pings.answer(b"a", now=2.5)
    assert ping.round_trip == 0.5


def test_the_latency_is_of_the_ping_that_was_answered_not_of_those_before() -> None:
    pings = new()
    pings.add(b"a", now=0.0)
    pings.add(b"b", now=9.0)
    pings.answer(b"b", now=10.0)
    assert pings.latency == Latency(1.0, 1.0)


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_the_latency_is_smoothed_as_rfc_6298_does(samples: list[float]) -> None:
    """RFC 6298 section 2: first SRTT = R, then SRTT = 7/8 SRTT + 1/8 R."""
    pings = new()
    smoothed = samples[0]
    for i, sample in enumerate(samples):
        pings.add(b"a", now=0.0)
        pings.answer(b"a", now=sample)
        if i:
            smoothed = (1 - 1 / 8) * smoothed + 1 / 8 * sample
        assert pings.latency is not None
        assert pings.latency.last == sample
        assert pings.latency.smoothed == pytest.approx(smoothed)


# Forgetting


def test_a_forgotten_ping_is_not_answered_and_its_payload_is_free() -> None:
    pings = new()
    ping = pings.add(b"a", now=0.0)
    pings.forget(ping)
    pings.answer(b"a", now=1.0)
    assert ping.round_trip is None
    assert pings.latency is None
    assert pings.add(b"a", now=2.0).payload == b"a"


def test_forgetting_a_ping_twice_does_not_forget_its_successor() -> None:
    pings = new()
    first = pings.add(b"a", now=0.0)
    pings.forget(first)
    second = pings.add(b"a", now=1.0)
    pings.forget(first)
    pings.answer(b"a", now=2.0)
    assert second.round_trip == 1.0


@pytest.mark.parametrize(
    ("answered", "text"), [(False, "<Ping 61 in flight>"), (True, "<Ping 61 12.500 ms>")]
)
def test_a_ping_shows_its_payload_and_how_it_fares(answered: bool, text: str) -> None:
    pings = new()
    ping = pings.add(b"a", now=0.0)
    if answered:
        pings.answer(b"a", now=0.0125)
    assert repr(ping) == text
