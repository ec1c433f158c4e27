"""How a connection ends: the rows "closing", "cause", "pending messages", "codes and reasons"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
from tests.wscore.rawpeer import (
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    REQUEST,
    RESERVED,
    TEXT,
    RawPeer,
    close_payload,
    reason_of,
)

from wscore import (
    Cause,
    CloseBy,
    CloseFrame,
    Config,
    Connection,
    ConnectionClosed,
    HandshakeRefused,
    Request,
    Response,
    Role,
    State,
    Transport,
)
from wscore.testing import Pair

NEVER = math.inf

BOTH_ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)


# -------------------------------------------------------------------------------- closing


@BOTH_ROLES
def test_a_close_waits_for_the_peers_close_then_the_server_ends_tcp_first(role: Role) -> None:
    """RFC 6455 section 7.1.1."""
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    connection.close(1000, "done", now=0.0)
    assert peer.read() == [(CLOSE, close_payload(1000, "done"))]
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.KEEP)
    peer.send(CLOSE, close_payload(1000))
    if role is Role.SERVER:
        assert (connection.state, connection.transport) == (State.CLOSED, Transport.CLOSE)
        return
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.KEEP)
    peer.end()
    assert (connection.state, connection.transport) == (State.CLOSED, Transport.CLOSE)


@BOTH_ROLES
def test_a_peers_close_is_answered_then_the_server_ends_tcp_first(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    peer.send(CLOSE, close_payload(3000, "bye"))
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.KEEP)
    assert peer.read() == [(CLOSE, close_payload(3000, "bye"))]
    assert connection.transport is (Transport.CLOSE if role is Role.SERVER else Transport.KEEP)
    peer.end()
    assert connection.transport is Transport.CLOSE


def test_the_server_ends_tcp_only_when_its_answer_has_left() -> None:
    """The answer is part of what was exchanged: half of it is not enough."""
    peer = RawPeer.opened()
    peer.send(CLOSE, close_payload(1000))
    transports = []
    for _ in range(4):
        transports.append(peer.connection.transport)
        peer.read_raw(1)
    assert transports == [Transport.KEEP] * 4
    assert peer.connection.transport is Transport.CLOSE


def test_a_client_whose_server_does_not_end_tcp_gives_up_at_close_timeout() -> None:
    peer = RawPeer.opened(Config(close_timeout=5.0), Role.CLIENT)
    peer.connection.close(now=0.0)
    peer.read()
    peer.send(CLOSE, close_payload(1000))
    assert peer.time_of(peer.is_closed) == 5.0
    assert peer.connection.transport is Transport.ABORT
    assert reason_of(peer.connection).clean


@BOTH_ROLES
def test_failing_ends_the_write_side_and_reads_on_so_that_the_close_is_not_lost(
    role: Role,
) -> None:
    """SECURITY 13: unread input would make TCP reset the connection."""
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    peer.send(RESERVED)
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.KEEP)
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.END_WRITE)
    for _ in range(3):
        assert connection.want_read == connection.config.read_size
        peer.send_raw(bytes(1000))
    peer.end()
    assert connection.transport is Transport.CLOSE


@pytest.mark.parametrize("cause", [Cause.IDLE_TIMEOUT, Cause.HANDLER_ERROR])
def test_a_close_that_is_no_failure_keeps_the_transport_for_the_peers_close(cause: Cause) -> None:
    peer = RawPeer.opened(Config(idle_timeout=5.0))
    if cause is Cause.IDLE_TIMEOUT:
        peer.wait(5.0)
    else:
        peer.connection.fail(cause, now=0.0)
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert (peer.connection.state, peer.connection.transport) == (State.CLOSING, Transport.KEEP)
    assert reason_of(peer.connection).cause is cause


def test_a_server_that_failed_need_not_wait_once_the_peer_closes_too() -> None:
    peer = RawPeer.opened()
    peer.send(RESERVED)
    peer.read()
    peer.send(CLOSE, close_payload(1002))
    assert peer.connection.transport is Transport.CLOSE
    assert reason_of(peer.connection).clean


def test_a_close_behind_a_violation_waits_with_it_and_counts() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)
    peer.send(CLOSE, close_payload(1000, "bye"))
    assert peer.is_open()
    assert peer.take_all() == ["ahead"]
    peer.read()
    assert peer.connection.transport is Transport.CLOSE
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.close_received) == (Cause.PROTOCOL_ERROR, (1000, "bye"))


def test_a_peer_that_ended_its_side_still_gets_our_close() -> None:
    peer = RawPeer.opened()
    peer.connection.close(now=0.0)
    peer.end()
    assert peer.connection.state is State.CLOSING
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert peer.connection.transport is Transport.CLOSE


@pytest.mark.parametrize("noise", ["data", "pings", "commands", "progress", "takes"])
def test_nothing_extends_close_timeout(noise: str) -> None:
    """One absolute deadline from the first close (SECURITY 2)."""
    peer = RawPeer.opened(Config(close_timeout=5.0, keep_unread=True, max_queue=1))
    connection = peer.connection
    for _ in range(20):
        peer.send(FIN | TEXT, b"x")
    connection.send(bytes(1000), now=0.0)
    connection.close(now=0.0)
    while peer.now < 4.5:
        peer.wait(0.5)
        if noise == "data":
            peer.send(FIN | TEXT, b"x")
        elif noise == "pings":
            peer.send(PING)
        elif noise == "commands":
            connection.close(4000, now=peer.now)
        elif noise == "progress":
            peer.read_raw(1)
        elif connection.can_receive and peer.now < 1:
            connection.take_message(now=peer.now)
        assert connection.deadline == 5.0
    peer.wait(0.5)
    assert (connection.state, connection.transport) == (State.CLOSED, Transport.ABORT)


def begin_message(peer: RawPeer) -> None:
    peer.send(TEXT)


def keep_ping_waiting(peer: RawPeer) -> None:
    """A keepalive ping that leaves only when the connection is closing."""
    peer.wait(20.0)


def await_pong(peer: RawPeer) -> None:
    peer.wait(20.0)
    peer.read()


def find_violation(peer: RawPeer) -> None:
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)


@pytest.mark.parametrize(
    "start",
    [begin_message, keep_ping_waiting, await_pong, find_violation],
    ids=lambda start: start.__name__,
)
def test_while_closing_no_other_deadline_is_left(start: Callable[[RawPeer], None]) -> None:
    """Neither of a message, a ping, a pong, a violation nor of silence."""
    config = Config(close_timeout=100.0, message_timeout=50.0, idle_timeout=50.0)
    peer = RawPeer.opened(config)
    start(peer)
    began = peer.now
    peer.connection.close(now=peer.now)
    peer.read()
    assert peer.connection.deadline == began + 100.0


def test_a_refusal_stays_what_it_was_when_open_timeout_passes() -> None:
    peer = RawPeer(Connection.server(Config(close_timeout=100.0), now=0.0))
    peer.send_raw(REQUEST)
    peer.connection.respond(Response(403), now=0.0)
    peer.read_raw()
    assert peer.time_of(peer.is_closed) == 10.0
    with pytest.raises(HandshakeRefused):
        peer.connection.poll_open()


@pytest.mark.parametrize(
    ("end", "deadline"),
    [
        (lambda peer: peer.connection.close(now=3.0), 13.0),
        (lambda peer: peer.send(CLOSE), 13.0),
        (lambda peer: peer.send(RESERVED), 13.0),
    ],
    ids=["our close", "the peer's close", "a violation"],
)
def test_close_timeout_counts_from_whatever_ends_the_connection(
    end: Callable[[RawPeer], None], deadline: float
) -> None:
    peer = RawPeer.opened(Config(send_timeout=NEVER))
    peer.wait(3.0)
    end(peer)
    assert peer.time_of(peer.is_closed) == deadline


def test_a_transport_that_is_slow_to_close_is_aborted_at_the_deadline_in_force() -> None:
    """Such as TLS whose peer does not answer; it may be told that the transport is gone."""
    for is_gone in (False, True):
        peer = RawPeer.opened(Config(close_timeout=5.0))
        peer.connection.close(now=0.0)
        peer.read()
        peer.wait(2.0)
        peer.send(CLOSE, close_payload(1000))
        assert (peer.connection.transport, peer.connection.deadline) == (Transport.CLOSE, 5.0)
        if is_gone:
            peer.connection.transport_lost(now=2.0)
            assert (peer.connection.transport, peer.connection.deadline) == (
                Transport.CLOSE,
                NEVER,
            )
        else:
            peer.wait(3.0)
            assert (peer.connection.transport, peer.connection.deadline) == (
                Transport.ABORT,
                NEVER,
            )
        assert reason_of(peer.connection).clean


def test_the_end_of_the_stream_leaves_the_transport_close_timeout_to_close() -> None:
    peer = RawPeer.opened(Config(close_timeout=5.0))
    peer.wait(3.0)
    peer.end()
    assert (peer.connection.transport, peer.connection.deadline) == (Transport.CLOSE, 8.0)


def test_a_transport_that_is_slow_to_close_changes_nothing_in_the_reason() -> None:
    peer = RawPeer.opened()
    peer.connection.send("unsent", now=0.0)
    peer.send(TEXT, b"half")
    peer.end()
    before = reason_of(peer.connection)
    assert (before.unsent, before.unread) == (1, 1)
    peer.wait(10.0)
    assert peer.connection.transport is Transport.ABORT
    assert reason_of(peer.connection) == before


@BOTH_ROLES
def test_abort_ends_at_once_and_says_nothing(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    peer.connection.abort(now=0.0)
    assert (peer.connection.state, peer.connection.transport) == (State.CLOSED, Transport.ABORT)
    assert (peer.read(), peer.connection.deadline) == ([], NEVER)


def test_while_closing_pings_are_not_answered() -> None:
    """RFC 6455 section 5.5.1: nothing is sent behind a Close frame."""
    peer = RawPeer.opened()
    peer.connection.close(now=0.0)
    peer.send(PING)
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert peer.read() == []


@pytest.mark.parametrize("half_close", [True, False])
def test_two_sides_that_close_at_once_both_end_clean(half_close: bool) -> None:
    """Also over TLS, which cannot be half-closed."""
    pair = Pair.opened(latency=0.1)
    for wire in pair.wires:
        wire.half_close = half_close
    pair.client.close(1000, "client", now=pair.now)
    pair.server.close(1001, "server", now=pair.now)
    pair.run(1.0)
    for connection, code in ((pair.client, 1000), (pair.server, 1001)):
        reason = reason_of(connection)
        assert (connection.transport, reason.clean, reason.code) == (Transport.CLOSE, True, code)


@pytest.mark.parametrize("half_close", [True, False])
@pytest.mark.parametrize("by_client", [True, False])
def test_a_violation_is_told_to_the_peer_even_while_it_keeps_sending(
    by_client: bool, half_close: bool
) -> None:
    """SECURITY 13: every violation sends its Close frame."""
    small = Config(max_message_size=100)
    pair = Pair.opened(server=small) if by_client else Pair.opened(client=small)
    for wire in pair.wires:
        wire.latency = 0.01
        wire.half_close = half_close
    sender, receiver = (pair.client, pair.server) if by_client else (pair.server, pair.client)
    for _ in range(10):
        sender.send(bytes(50_000), now=pair.now)
    pair.run(30.0)
    assert reason_of(receiver).cause is Cause.TOO_BIG
    assert reason_of(sender).close_received == reason_of(receiver).close_sent
    assert (reason_of(sender).by, reason_of(sender).code) == (CloseBy.PEER, 1009)


# ---------------------------------------------------------------------------------- cause


def opened(config: Config | None = None) -> RawPeer:
    return RawPeer.opened(config)


def server_with_request() -> RawPeer:
    peer = RawPeer(Connection.server(now=0.0))
    peer.send_raw(REQUEST)
    return peer


def new_client() -> RawPeer:
    return RawPeer(Connection.client(Request("/", "example.com"), now=0.0))


class Ending(NamedTuple):
    """How a cause is reached, and what the reason then says."""

    peer: Callable[[], RawPeer]
    end: Callable[[RawPeer], object]
    by: CloseBy
    code: int
    sent: CloseFrame | None = None


LOCAL, PEER, POLICY, TRANSPORT = CloseBy.LOCAL, CloseBy.PEER, CloseBy.POLICY, CloseBy.TRANSPORT


def overflow(peer: RawPeer) -> None:
    peer.connection.send(bytes(100_000), now=0.0)
    with pytest.raises(ConnectionClosed):
        peer.connection.send("more", now=0.0)


def ping_in_vain(peer: RawPeer) -> None:
    peer.wait(20.0)
    peer.read()
    peer.wait(20.0)


def send_in_vain(peer: RawPeer) -> None:
    peer.connection.send("x", now=0.0)
    peer.wait(30.0)


def begin_in_vain(peer: RawPeer) -> None:
    peer.send(TEXT)
    peer.wait(5.0)


ENDINGS: dict[Cause, Ending] = {
    Cause.CLOSED: Ending(
        opened,
        lambda peer: peer.connection.close(4000, "done", now=0.0),
        *(LOCAL, 4000, CloseFrame(4000, "done")),
    ),
    Cause.ABORTED: Ending(opened, lambda peer: peer.connection.abort(now=0.0), LOCAL, 1006),
    Cause.REJECTED: Ending(
        server_with_request,
        lambda peer: peer.connection.respond(Response(403), now=0.0),
        *(LOCAL, 1006),
    ),
    Cause.HANDLER_ERROR: Ending(
        opened,
        lambda peer: peer.connection.fail(Cause.HANDLER_ERROR, now=0.0),
        *(LOCAL, 1011, CloseFrame(1011, "internal error")),
    ),
    Cause.SEND_INTERRUPTED: Ending(
        opened,
        lambda peer: peer.connection.fail(Cause.SEND_INTERRUPTED, now=0.0),
        *(LOCAL, 1011, CloseFrame(1011, "send interrupted")),
    ),
    Cause.PEER_CLOSED: Ending(
        opened,
        lambda peer: peer.send(CLOSE, close_payload(3001, "bye")),
        *(PEER, 3001, CloseFrame(3001, "bye")),
    ),
    Cause.PEER_REJECTED: Ending(
        new_client,
        lambda peer: peer.send_raw(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
        *(PEER, 1006),
    ),
    Cause.PROTOCOL_ERROR: Ending(
        opened,
        lambda peer: peer.send(CONTINUATION),
        *(POLICY, 1002),
        CloseFrame(1002, "a continuation frame without a message to continue"),
    ),
    Cause.INVALID_DATA: Ending(
        opened,
        lambda peer: peer.send(FIN | TEXT, b"\xff"),
        *(POLICY, 1007, CloseFrame(1007, "a text message that is not UTF-8")),
    ),
    Cause.TOO_BIG: Ending(
        lambda: opened(Config(max_fragments=1)),
        lambda peer: peer.send_raw(peer.frame(TEXT) + peer.frame(CONTINUATION)),
        *(POLICY, 1009, CloseFrame(1009, "a message of more than 1 frames")),
    ),
    Cause.BAD_HANDSHAKE: Ending(
        new_client, lambda peer: peer.send_raw(b"HTTP/2 200\r\n\r\n"), POLICY, 1006
    ),
    Cause.OVERFLOW: Ending(
        lambda: opened(Config(overflow="close")),
        overflow,
        *(POLICY, 1013, CloseFrame(1013, "the peer reads too slowly")),
    ),
    Cause.OPEN_TIMEOUT: Ending(new_client, lambda peer: peer.wait(10.0), POLICY, 1006),
    Cause.PING_TIMEOUT: Ending(
        opened,
        ping_in_vain,
        *(POLICY, 1011, CloseFrame(1011, "keepalive ping timeout")),
    ),
    Cause.SEND_TIMEOUT: Ending(opened, send_in_vain, POLICY, 1006),
    Cause.IDLE_TIMEOUT: Ending(
        lambda: opened(Config(idle_timeout=5.0)),
        lambda peer: peer.wait(5.0),
        *(POLICY, 1001, CloseFrame(1001, "no message for 5 s")),
    ),
    Cause.MESSAGE_TIMEOUT: Ending(
        lambda: opened(Config(message_timeout=5.0)),
        begin_in_vain,
        *(POLICY, 1008, CloseFrame(1008, "a message took longer than 5 s to arrive")),
    ),
    Cause.EOF: Ending(opened, RawPeer.end, TRANSPORT, 1006),
    Cause.TRANSPORT_ERROR: Ending(
        opened, lambda peer: peer.connection.transport_lost(OSError(5), now=0.0), TRANSPORT, 1006
    ),
}


def test_every_cause_has_an_ending() -> None:
    assert set(ENDINGS) == set(Cause)


@pytest.mark.parametrize("cause", Cause, ids=lambda cause: cause.value)
def test_a_cause_says_who_ended_the_connection_and_with_which_code(cause: Cause) -> None:
    ending = ENDINGS[cause]
    peer = ending.peer()
    ending.end(peer)
    if ending.sent is not None:
        assert peer.read()[-1] == (CLOSE, close_payload(*ending.sent))
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.by, reason.code) == (cause, ending.by, ending.code)
    assert reason.close_sent == ending.sent
    assert (reason.unsent, reason.unread) == (cause in UNSENT, cause in UNREAD)
    assert cause.value in str(reason)


UNSENT = {Cause.OVERFLOW, Cause.SEND_TIMEOUT}
UNREAD = {Cause.INVALID_DATA, Cause.TOO_BIG, Cause.MESSAGE_TIMEOUT}


OPEN_ENDINGS = [cause for cause in Cause if ENDINGS[cause].peer is opened]


def what_ended(connection: Connection) -> tuple[object, ...]:
    reason = reason_of(connection)
    return reason.cause, reason.by, reason.code, reason.reason, reason.error


SECOND_ENDS: tuple[Callable[[RawPeer], object], ...] = (
    lambda peer: peer.connection.close(4999, "second", now=peer.now),
    lambda peer: peer.connection.fail(Cause.HANDLER_ERROR, now=peer.now),
    lambda peer: peer.send(RESERVED),
    lambda peer: peer.send(CLOSE, close_payload(4998)),
    RawPeer.end,
    lambda peer: peer.wait(100.0),
    lambda peer: peer.connection.transport_lost(OSError(6), now=peer.now),
    lambda peer: peer.connection.abort(now=peer.now),
)


@pytest.mark.parametrize("first", OPEN_ENDINGS, ids=lambda cause: cause.value)
def test_the_first_cause_wins(first: Cause) -> None:
    for second in SECOND_ENDS:
        peer = opened()
        ENDINGS[first].end(peer)
        before = what_ended(peer.connection)
        second(peer)
        assert what_ended(peer.connection) == before


def end_and_wait(peer: RawPeer) -> None:
    peer.end()
    peer.wait(0.5)


ENDS_BEHIND_A_VIOLATION: dict[str, Callable[[RawPeer], object]] = {
    "close": lambda peer: peer.connection.close(4000, now=0.0),
    "fail": lambda peer: peer.connection.fail(Cause.HANDLER_ERROR, now=0.0),
    "abort": lambda peer: peer.connection.abort(now=0.0),
    "overflow": overflow,
    "end of stream": end_and_wait,
    "transport lost": lambda peer: peer.connection.transport_lost(OSError(5), now=0.0),
    "idle timeout": lambda peer: peer.wait(0.5),
    "send timeout": send_in_vain,
}


SAY_NOTHING = {"abort", "transport lost", "send timeout"}


@pytest.mark.parametrize("what", ENDS_BEHIND_A_VIOLATION)
def test_a_violation_that_waits_behind_messages_came_before_any_other_end(what: str) -> None:
    peer = opened(Config(idle_timeout=0.5, send_timeout=0.25, overflow="close"))
    peer.send(FIN | TEXT, b"ahead")
    peer.send(RESERVED)
    assert peer.is_open()
    ENDS_BEHIND_A_VIOLATION[what](peer)
    assert peer.is_over()
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.code, reason.error) == (Cause.PROTOCOL_ERROR, 1002, None)
    closes = [payload[:2] for head, payload in peer.read() if head == CLOSE]
    assert closes == ([] if what in SAY_NOTHING else [close_payload(1002)])


def test_the_end_of_the_stream_that_waits_behind_messages_came_before_our_close() -> None:
    peer = opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.end()
    peer.connection.close(now=0.0)
    assert reason_of(peer.connection).cause is Cause.EOF


def test_the_error_of_the_transport_is_the_cause_of_what_is_raised() -> None:
    """SECURITY 23: causes are chained."""
    peer = opened()
    error = ConnectionResetError("reset by peer")
    peer.connection.transport_lost(error, now=0.0)
    assert reason_of(peer.connection).error is error
    with pytest.raises(ConnectionClosed, match="reset by peer") as caught:
        peer.connection.take_message(now=0.0)
    assert caught.value.__cause__ is error


def test_a_transport_may_be_lost_without_an_error() -> None:
    peer = opened()
    peer.connection.transport_lost(now=0.0)
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.reason) == (Cause.TRANSPORT_ERROR, "the transport was lost")


def test_the_reason_tells_both_close_frames_apart() -> None:
    peer = opened()
    peer.connection.close(4000, "ours", now=0.0)
    peer.send(CLOSE, close_payload(4001, "theirs"))
    assert reason_of(peer.connection).close_sent is None
    peer.read()
    reason = reason_of(peer.connection)
    assert (reason.close_sent, reason.close_received) == ((4000, "ours"), (4001, "theirs"))
    assert (reason.code, reason.reason, reason.by) == (4000, "ours", CloseBy.LOCAL)


def test_a_failed_handler_closes_behind_what_it_sent() -> None:
    peer = opened()
    peer.connection.send("sent", now=0.0)
    peer.connection.fail(Cause.HANDLER_ERROR, now=0.0)
    assert [head for head, _ in peer.read()] == [FIN | TEXT, CLOSE]


def test_a_message_in_parts_that_cannot_end_drops_what_is_ahead_of_it_too() -> None:
    peer = opened()
    peer.connection.send("ahead", now=0.0)
    peer.connection.send_part("never", final=False, now=0.0)
    peer.connection.fail(Cause.SEND_INTERRUPTED, now=0.0)
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert peer.connection.transport is Transport.END_WRITE
    assert reason_of(peer.connection).unsent == 2


def test_a_message_in_parts_that_cannot_end_takes_what_is_queued_with_it() -> None:
    peer = opened()
    peer.connection.send_part("never", final=False, now=0.0)
    peer.connection.send("waits behind it", now=0.0)
    assert peer.read() == [(TEXT, b"never")]
    peer.connection.fail(Cause.SEND_INTERRUPTED, now=0.0)
    assert [head for head, _ in peer.read()] == [CLOSE]
    assert reason_of(peer.connection).unsent == 2


# ----------------------------------------------------------------------- pending messages


def with_unread(config: Config | None = None) -> RawPeer:
    """Two messages in the queue, one behind it, one half here."""
    peer = opened(config or Config(max_queue=2))
    for text in (b"1", b"2", b"3"):
        peer.send(FIN | TEXT, text)
    peer.send(TEXT, b"half")
    return peer


@pytest.mark.parametrize(
    "end",
    [
        lambda peer: peer.send(CLOSE),
        RawPeer.end,
        lambda peer: peer.connection.fail(Cause.HANDLER_ERROR, now=0.0),
        lambda peer: peer.connection.transport_lost(now=0.0),
    ],
    ids=["the peer's close", "end of stream", "failure", "transport lost"],
)
def test_what_was_received_can_be_taken_after_an_end_that_is_not_ours(
    end: Callable[[RawPeer], object],
) -> None:
    peer = with_unread()
    end(peer)
    assert peer.take_all() == ["1", "2", "3"]
    assert reason_of(peer.connection).unread == 1


@pytest.mark.parametrize(("keep_unread", "kept"), [(False, []), (True, ["1", "2"])])
@pytest.mark.parametrize("abort", [False, True])
def test_our_close_drops_and_counts_what_was_received_unless_it_is_to_be_kept(
    keep_unread: bool, kept: list[str], abort: bool
) -> None:
    peer = with_unread(Config(max_queue=2, keep_unread=keep_unread))
    if abort:
        peer.connection.abort(now=0.0)
    else:
        peer.connection.close(now=0.0)
    assert peer.take_all() == kept
    assert reason_of(peer.connection).unread == 4 - len(kept)


def test_what_arrives_after_our_close_is_dropped_and_counted_until_the_peers_close() -> None:
    peer = opened(Config(keep_unread=True))
    peer.connection.close(now=0.0)
    peer.read()
    for _ in range(3):
        peer.send(FIN | TEXT, b"late")
    peer.send(TEXT, b"half")
    peer.send(CLOSE, close_payload(1000))
    assert peer.connection.transport is Transport.CLOSE
    assert peer.take_all() == []
    assert reason_of(peer.connection).unread == 4


def test_what_arrives_after_our_close_is_read_without_limit_and_not_judged() -> None:
    peer = opened(Config(max_queue=1, max_message_size=10))
    peer.connection.close(now=0.0)
    peer.read()
    for _ in range(100):
        assert peer.connection.want_read == peer.connection.config.read_size
        peer.send(FIN | TEXT, b"\xff" * 1000)
    peer.send(CLOSE, close_payload(1000))
    reason = reason_of(peer.connection)
    assert (reason.cause, reason.clean, reason.unread) == (Cause.CLOSED, True, 100)


@BOTH_ROLES
def test_nothing_behind_the_peers_close_counts(role: Role) -> None:
    """RFC 6455 section 5.5.1."""
    peer = RawPeer.opened(role=role)
    peer.send(CLOSE, close_payload(1000, "first"))
    peer.send(FIN | TEXT, b"behind")
    peer.send(CLOSE, close_payload(1001, "second"))
    assert peer.read() == [(CLOSE, close_payload(1000, "first"))]
    reason = reason_of(peer.connection)
    assert (reason.close_received, reason.unread) == ((1000, "first"), 0)


# --------------------------------------------------------------------- codes and reasons


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 4999])
@BOTH_ROLES
def test_a_registered_code_is_sent_received_and_echoed(code: int, role: Role) -> None:
    """SECURITY 12; RFC 6455 section 7.4 and the IANA registry."""
    pair = Pair.opened()
    ours, theirs = pair.client, pair.server
    if role is Role.SERVER:
        ours, theirs = theirs, ours
    ours.close(code, "why", now=pair.now)
    pair.settle()
    frames = (code, "why")
    for connection, by in ((ours, CloseBy.LOCAL), (theirs, CloseBy.PEER)):
        reason = reason_of(connection)
        assert (reason.code, reason.reason, reason.by) == (*frames, by)
        assert (reason.close_sent, reason.close_received) == (frames, frames)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_another_code_is_a_violation_from_a_peer_and_an_error_of_the_caller(code: int) -> None:
    peer = opened()
    peer.send(CLOSE, close_payload(code))
    assert peer.read() == [(CLOSE, close_payload(1002, f"Close frame with code {code}"))]
    peer = opened()
    with pytest.raises(ValueError, match=f"close code {code} must not be sent"):
        peer.connection.close(code, now=0.0)
    assert peer.is_open()


def test_an_empty_close_is_answered_by_an_empty_close() -> None:
    peer = opened()
    peer.send(CLOSE)
    assert peer.read() == [(CLOSE, b"")]
    reason = reason_of(peer.connection)
    assert (reason.code, reason.close_sent, reason.close_received) == (
        1005,
        (1005, ""),
        (1005, ""),
    )


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xe2\x82", 1007)]
)
def test_a_malformed_close_is_a_violation(payload: bytes, code: int) -> None:
    peer = opened()
    peer.send(CLOSE, payload)
    [(head, answer)] = peer.read()
    assert (head, answer[:2]) == (CLOSE, close_payload(code))
    assert reason_of(peer.connection).by is CloseBy.POLICY


def test_a_reason_is_cut_at_a_character_to_what_a_close_frame_can_carry() -> None:
    peer = opened()
    peer.connection.close(1000, "€" * 100, now=0.0)
    assert peer.read() == [(CLOSE, close_payload(1000, "€" * 41))]
    assert reason_of(peer.connection).reason == "€" * 41
