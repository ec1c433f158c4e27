"""Liveness: keepalive pings, what counts as a sign of life, and whose silence it is.

The row "liveness" of the policy table. PING is 20 s and PONG 20 s wherever nothing else is said.
"""

from __future__ import annotations

import math

import pytest
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    FIN,
    PING,
    PONG,
    RESERVED,
    TEXT,
    Frame,
    RawPeer,
    close_payload,
    reason_of,
)

from wscore import Cause, Config, ConnectionClosed, Role, State
from wscore.testing import Pair

NEVER = math.inf
KIB = 1024
HOUR = 3600.0
DAY = 24 * HOUR

BOTH_ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)


def pinged(config: Config | None = None) -> tuple[RawPeer, Frame]:
    """The peer of a connection that is 20 s old, and the keepalive ping that just left."""
    peer = RawPeer.opened(config)
    peer.wait(20.0)
    [ping] = peer.read()
    assert ping[0] == PING
    return peer, ping


# --------------------------------------------------------------------------------- pings


def test_a_day_of_keepalive_is_a_ping_and_a_pong_every_interval() -> None:
    pair = Pair.opened(latency=0.05)
    started = pair.now
    pair.run(DAY)
    for connection in (pair.client, pair.server):
        assert connection.state is State.OPEN
        assert connection.stats.pings_sent == (pair.now - started) // 20
        assert connection.latency is not None
        assert connection.latency.smoothed == pytest.approx(0.1)


def test_the_payloads_of_pings_are_fresh() -> None:
    peer = RawPeer.opened()
    payloads = set()
    for _ in range(50):
        peer.wait(20.0)
        [(_, payload)] = peer.read()
        peer.send(PONG, payload)
        payloads.add(payload)
    assert {len(payload) for payload in payloads} == {4}
    assert len(payloads) == 50


def test_pings_keep_their_interval_though_messages_pass() -> None:
    """Only a ping shows that the way there and back is alive."""
    peer = RawPeer.opened()
    for _ in range(50):
        peer.wait(0.39)
        peer.send(FIN | TEXT, b"busy")
        peer.connection.take_message(now=peer.now)
    assert peer.read() == []
    peer.wait(0.5)
    assert [head for head, _ in peer.read()] == [PING]


def test_one_keepalive_ping_is_unanswered_at_a_time() -> None:
    peer, _ = pinged(Config(ping_timeout=70.0))
    peer.wait(60.0)
    assert peer.read() == []
    assert peer.connection.stats.pings_sent == 1


def test_no_second_ping_is_queued_while_the_first_cannot_leave() -> None:
    peer = RawPeer.opened(Config(send_timeout=NEVER))
    peer.wait(200.0)
    assert [head for head, _ in peer.read()] == [PING]
    assert peer.is_open()


def test_after_a_sign_of_life_that_was_no_pong_the_next_ping_comes_in_its_turn() -> None:
    peer, (_, first) = pinged()
    peer.send(FIN | TEXT, b"alive")
    peer.wait(20.0)
    [(_, second)] = peer.read()
    peer.send(PONG, first)
    # The ping that nobody waits for any more does not count.
    assert peer.connection.latency is None
    peer.wait(1.0)
    peer.send(PONG, second)
    assert peer.connection.latency == (1.0, 1.0)


# -------------------------------------------------------------------------- the deadline


@BOTH_ROLES
def test_silence_after_a_ping_fails_the_connection_with_1011(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    peer.wait(20.0)
    peer.read()
    assert peer.time_of(peer.is_over) == 40.0
    assert reason_of(peer.connection).cause is Cause.PING_TIMEOUT
    assert peer.read() == [(CLOSE, close_payload(1011, "keepalive ping timeout"))]
    assert peer.time_of(peer.is_closed) == 50.0


def test_the_deadline_counts_from_the_last_byte_of_the_ping() -> None:
    peer = RawPeer.opened()
    peer.wait(20.0)
    peer.wait(7.0)
    peer.read_raw(5)
    peer.wait(2.0)
    peer.read_raw(1)
    assert peer.time_of(peer.is_over) == 49.0


def test_a_ping_that_has_not_left_is_not_waited_for() -> None:
    peer = RawPeer.opened(Config(send_timeout=60.0))
    peer.wait(79.0)
    assert peer.is_open()
    peer.wait(1.0)
    assert reason_of(peer.connection).cause is Cause.SEND_TIMEOUT


def test_any_byte_received_since_the_ping_left_ends_the_deadline() -> None:
    peer, _ = pinged()
    peer.wait(19.0)
    peer.send_raw(peer.frame(FIN | TEXT, b"slow")[:1])
    peer.wait(20.9)
    assert peer.is_open()
    # The next ping left nowhere: nobody read it.
    assert peer.connection.stats.pings_sent == 2


def test_a_byte_received_before_the_ping_left_does_not_count() -> None:
    peer = RawPeer.opened()
    peer.wait(20.0)
    peer.send(FIN | TEXT, b"before")
    peer.read()
    assert peer.time_of(peer.is_over) == 40.0


def test_only_a_pong_answers_a_ping_of_the_application() -> None:
    peer = RawPeer.opened()
    ping = peer.connection.ping(b"ours", now=0.0)
    peer.read()
    for head, payload in ((FIN | TEXT, b"x"), (PING, b"ours"), (PONG, b"other")):
        peer.send(head, payload)
        assert peer.connection.poll_pong(ping) is None
    peer.now = 0.5
    peer.send(PONG, b"ours")
    assert peer.connection.poll_pong(ping) == 0.5


def test_a_pong_answers_the_pings_before_it_too() -> None:
    """RFC 6455 section 5.5.3."""
    peer = RawPeer.opened()
    pings = [peer.connection.ping(bytes([i]), now=0.0) for i in range(3)]
    peer.read()
    peer.now = 0.5
    peer.send(PONG, bytes([1]))
    assert [peer.connection.poll_pong(ping) for ping in pings] == [0.5, 0.5, None]
    peer.end()
    with pytest.raises(ConnectionClosed):
        peer.connection.poll_pong(pings[2])


def test_a_ping_of_the_application_has_no_deadline() -> None:
    peer = RawPeer.opened(Config(ping_interval=NEVER))
    peer.connection.ping(now=0.0)
    peer.read()
    assert peer.connection.deadline == NEVER


def test_a_ping_that_waits_for_silence_is_sent_an_interval_after_the_last_byte() -> None:
    peer = RawPeer.opened(Config(ping_interval=20.0, ping_if_silent=True))
    for at in (15.0, 25.0):
        peer.wait(at - peer.now)
        peer.send(PONG)
    peer.wait(19.5)
    assert peer.read() == []
    peer.wait(0.5)
    [(opcode, payload)] = peer.read()
    assert (opcode, peer.now) == (PING, 45.0)
    peer.wait(1.0)
    peer.send(PONG, payload)
    assert peer.connection.deadline == 65.0
    peer.wait(19.0)
    assert peer.read() == []
    peer.wait(1.0)
    assert [opcode for opcode, _ in peer.read()] == [PING]


def test_without_an_interval_or_a_timeout_silence_is_no_failure() -> None:
    for config, pings in ((Config(ping_interval=NEVER), 0), (Config(ping_timeout=NEVER), 30)):
        peer = RawPeer.opened(config)
        for _ in range(60):
            peer.wait(10.0)
            peer.read()
        assert peer.is_open()
        # Without a timeout they go on: what is between wants to see that the connection lives.
        assert peer.connection.stats.pings_sent == pings


def test_silence_behind_a_violation_that_waits_is_not_the_cause() -> None:
    config = Config(ping_timeout=0.5, fail_timeout=5.0)
    peer = RawPeer.opened(config)
    peer.send(FIN | TEXT, b"ahead")
    peer.wait(19.0)
    peer.send(RESERVED)
    peer.wait(1.0)
    peer.read()
    peer.wait(4.0)
    assert reason_of(peer.connection).cause is Cause.PROTOCOL_ERROR


def test_taking_what_was_received_before_the_ping_left_is_no_sign_of_life() -> None:
    peer = RawPeer.opened(Config(max_queue=2))
    for i in range(6):
        peer.send(FIN | TEXT, b"%d" % i)
    peer.wait(20.0)
    peer.read()
    peer.wait(10.0)
    for i in range(6):
        assert peer.connection.take_message(now=peer.now) == str(i)
    assert peer.time_of(peer.is_over) == 40.0


# ------------------------------------------------------------------- a consumer that is slow


def stop_reading(peer: RawPeer) -> None:
    """Fill queue and look-ahead."""
    while peer.connection.want_read:
        peer.send(FIN | BINARY, bytes(10 * KIB))


def full_then_pinged() -> tuple[RawPeer, Frame]:
    """Reading has stopped before the ping left."""
    peer = RawPeer.opened()
    stop_reading(peer)
    peer.wait(20.0)
    [ping] = peer.read()
    return peer, ping


def test_the_deadline_stands_still_while_we_do_not_read() -> None:
    peer, _ = full_then_pinged()
    assert peer.connection.deadline == 40.0  # of the next ping
    for _ in range(180):
        peer.wait(20.0)
        peer.read()
    assert peer.now > HOUR
    assert peer.is_open()


def test_pings_go_on_while_we_do_not_read() -> None:
    """A peer that is gone answers what is written with a reset; nothing else would tell."""
    peer, _ = full_then_pinged()
    peer.wait(20.0)
    assert [head for head, _ in peer.read()] == [PING]
    peer.wait(20.0)
    assert [head for head, _ in peer.read()] == [PING]


def test_a_ping_that_has_not_left_is_not_followed_by_another() -> None:
    peer = RawPeer.opened(Config(send_timeout=NEVER))
    stop_reading(peer)
    peer.wait(HOUR)
    assert [head for head, _ in peer.read()] == [PING]


def test_the_deadline_goes_on_when_we_read_again() -> None:
    peer, _ = full_then_pinged()
    for _ in range(5):
        peer.wait(20.0)
        peer.read()
    for _ in range(5):
        peer.connection.take_message(now=peer.now)
    assert peer.connection.want_read == 0
    while peer.connection.take_message(now=peer.now) is not None:
        pass
    assert peer.connection.want_read > 0
    assert peer.time_of(peer.is_over) == 140.0
    assert reason_of(peer.connection).cause is Cause.PING_TIMEOUT


def test_a_byte_that_comes_while_the_deadline_stands_still_ends_it() -> None:
    peer, _ = full_then_pinged()
    peer.wait(5.0)
    peer.send_raw(b"\x82")
    while peer.connection.take_message(now=peer.now) is not None:
        pass
    peer.wait(14.0)
    assert peer.read() == []
    # The next ping, not the end, is what comes first.
    peer.wait(1.0)
    assert [head for head, _ in peer.read()] == [PING]


def test_a_slow_consumer_is_not_closed_by_its_own_keepalive() -> None:
    """Its peer does not give up either, if its send_timeout says so: for an hour."""
    pair = Pair.opened(client=Config(send_timeout=NEVER), server=Config())
    flooded = bytes(100_000)
    while pair.client.can_send:
        pair.client.send(flooded, now=pair.now)
        pair.settle()
    pair.run(HOUR)
    assert (pair.client.state, pair.server.state) == (State.OPEN, State.OPEN)
    assert pair.server.want_read == 0
    assert len(pair.received(pair.server)) == pair.client.stats.messages_sent
    pair.run(HOUR)
    assert (pair.client.state, pair.server.state) == (State.OPEN, State.OPEN)


def test_the_peer_of_a_slow_consumer_may_give_up_after_its_own_send_timeout() -> None:
    pair = Pair.opened(client=Config(send_timeout=60.0, ping_interval=NEVER))
    while pair.client.can_send:
        pair.client.send(bytes(100_000), now=pair.now)
        pair.settle()
    pair.run_until(lambda: pair.client.state is State.CLOSED, limit=61.0)
    assert reason_of(pair.client).cause is Cause.SEND_TIMEOUT


# ---------------------------------------------------------------------- a machine that slept


def test_a_deadline_handled_late_starts_anew_once() -> None:
    peer, _ = pinged()
    # The machine sleeps; the pong may be there, behind this.
    peer.now = 1000.0
    peer.connection.handle_timeout(now=1000.0)
    assert peer.is_open()
    assert peer.time_of(peer.is_over) == 1020.0
    assert reason_of(peer.connection).cause is Cause.PING_TIMEOUT


def test_a_deadline_handled_late_for_the_second_time_is_the_end() -> None:
    peer, _ = pinged()
    peer.connection.handle_timeout(now=1000.0)
    peer.connection.handle_timeout(now=2000.0)
    assert reason_of(peer.connection).cause is Cause.PING_TIMEOUT


def test_the_next_ping_may_be_slept_through_again() -> None:
    peer, (_, payload) = pinged()
    peer.now = 1000.0
    peer.connection.handle_timeout(now=1000.0)
    peer.send(PONG, payload)
    peer.wait(20.0)
    assert [head for head, _ in peer.read()] == [PING]
    peer.connection.handle_timeout(now=2000.0)
    assert peer.is_open()


def test_two_that_slept_wake_up_and_go_on() -> None:
    pair = Pair.opened(latency=0.05)
    for wire in pair.wires:
        wire.latency = 25.0
    pair.run(20.0)
    pair.now += HOUR
    for wire in pair.wires:
        wire.latency = 0.05
    pair.run(HOUR)
    assert (pair.client.state, pair.server.state) == (State.OPEN, State.OPEN)


# ------------------------------------------------------------------------------- latency


def test_latency_is_measured_from_when_the_ping_left_and_smoothed() -> None:
    """An eighth of each new sample (RFC 6298 section 2)."""
    peer = RawPeer.opened(Config(ping_interval=NEVER))
    assert peer.connection.latency is None
    for i, round_trip in enumerate((0.8, 1.6)):
        peer.connection.ping(bytes([i]), now=peer.now)
        peer.wait(5.0)
        peer.read()
        peer.wait(round_trip)
        peer.send(PONG, bytes([i]))
    assert peer.connection.latency == (pytest.approx(1.6), pytest.approx(0.9))


def test_a_pong_that_nobody_asked_for_is_ignored() -> None:
    """A one-way heartbeat (RFC 6455 section 5.5.3)."""
    peer = RawPeer.opened()
    peer.send(PONG, b"heartbeat")
    assert peer.is_open()
    assert (peer.read(), peer.connection.latency) == ([], None)
