"""Every member of Connection does what its kind promises; the handshake and changes of state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
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
from tests.wscore.transitions import Transitions

from wscore import (
    TRANSITIONS,
    Accept,
    BadHandshake,
    Cause,
    Config,
    Connection,
    ConnectionClosed,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidState,
    Message,
    OpenTimeout,
    Request,
    Response,
    Role,
    State,
    Transport,
)
from wscore.testing import Pair

NEVER = math.inf

BOTH_ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
CLIENT_REQUEST = Request("/chat", "example.com")


def new_client(config: Config | None = None) -> RawPeer:
    return RawPeer(Connection.client(CLIENT_REQUEST, config, now=0.0))


def new_server(config: Config | None = None) -> RawPeer:
    return RawPeer(Connection.server(config, now=0.0))


def response_to(client: RawPeer) -> bytes:
    """A good server's response to the client's request."""
    server = new_server(Config(compression="deflate"))
    server.send_raw(client.read_raw())
    server.connection.respond(now=0.0)
    return server.read_raw()


# ----------------------------------------------------------------------- kinds of members


def closed_peers() -> Iterator[tuple[str, RawPeer]]:
    """A connection that is CLOSED, for each way of never having been, or having been, open."""
    for role in Role:
        peer = RawPeer.opened(role=role)
        peer.connection.abort(now=0.0)
        yield f"{role.value} that was open", peer
    for name, peer in (("client", new_client()), ("server", new_server())):
        peer.connection.abort(now=0.0)
        yield f"{name} that was never open", peer
    peer = new_server()
    peer.send_raw(REQUEST)
    peer.wait(10.0)
    yield "server whose request was not answered in time", peer


CLOSED_PEERS = pytest.mark.parametrize(
    "name", [pytest.param(name, id=name.replace(" ", "-")) for name, _ in closed_peers()]
)

INPUTS: dict[str, Callable[[Connection], object]] = {
    "receive_data": lambda connection: connection.receive_data(b"\x81\x00", now=60.0),
    "receive_data, the end": lambda connection: connection.receive_data(b"", now=60.0),
    "received": lambda connection: connection.received(5, now=60.0),
    "data_sent": lambda connection: connection.data_sent(5, now=60.0),
    "transport_lost": lambda connection: connection.transport_lost(OSError(), now=60.0),
    "handle_timeout": lambda connection: connection.handle_timeout(now=1e9),
}

COMMANDS: dict[str, Callable[[Connection], object]] = {
    "send": lambda connection: connection.send("x", now=0.0),
    "send_part": lambda connection: connection.send_part("x", final=True, now=0.0),
    "ping": lambda connection: connection.ping(now=0.0),
    "pong": lambda connection: connection.pong(now=0.0),
}

HARMLESS: dict[str, Callable[[Connection], object]] = {
    "close": lambda connection: connection.close(4000, "again", now=0.0),
    "fail": lambda connection: connection.fail(Cause.HANDLER_ERROR, now=0.0),
    "abort": lambda connection: connection.abort(now=0.0),
    "discard_rest": lambda connection: connection.discard_rest(now=0.0),
}


def outputs(connection: Connection) -> dict[str, object]:
    """Everything that can be looked at."""
    return {
        "data": [bytes(buffer) for buffer in connection.data_to_send()],
        "want_write": connection.want_write,
        "want_read": connection.want_read,
        "receive_buffer": connection.receive_buffer(),
        "can_send": connection.can_send,
        "can_send_part": connection.can_send_part,
        "deadline": connection.deadline,
        "state": connection.state,
        "transport": connection.transport,
        "close_reason": connection.close_reason,
        "latency": connection.latency,
        "stats": repr(connection.stats),
        "repr": repr(connection),
    }


@CLOSED_PEERS
@pytest.mark.parametrize("what", INPUTS)
def test_an_input_after_the_connection_is_closed_is_ignored(name: str, what: str) -> None:
    connection = dict(closed_peers())[name].connection
    before = outputs(connection)
    INPUTS[what](connection)
    assert outputs(connection) == before


@CLOSED_PEERS
@pytest.mark.parametrize("what", HARMLESS)
def test_ending_a_closed_connection_is_harmless(name: str, what: str) -> None:
    connection = dict(closed_peers())[name].connection
    before = outputs(connection)
    HARMLESS[what](connection)
    assert outputs(connection) == before


@CLOSED_PEERS
@pytest.mark.parametrize("what", [*COMMANDS, "respond", "take_message", "take_part"])
def test_a_command_or_take_after_the_connection_is_closed_says_so(name: str, what: str) -> None:
    connection = dict(closed_peers())[name].connection
    rest: dict[str, Callable[[Connection], object]] = {
        "respond": lambda connection: connection.respond(now=0.0),
        "take_message": lambda connection: connection.take_message(now=0.0),
        "take_part": lambda connection: connection.take_part(now=0.0),
    }
    with pytest.raises(ConnectionClosed) as caught:
        {**COMMANDS, **rest}[what](connection)
    assert caught.value.reason == connection.close_reason


@BOTH_ROLES
@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_while_closing_says_that_the_connection_is_closed(role: Role, what: str) -> None:
    connection = RawPeer.opened(role=role).connection
    connection.close(4001, "enough", now=0.0)
    with pytest.raises(ConnectionClosed, match="4001 by local, closed: enough"):
        COMMANDS[what](connection)


@pytest.mark.parametrize("what", [*COMMANDS, "fail"])
def test_a_command_before_the_connection_is_open_says_so(what: str) -> None:
    for peer in (new_client(), new_server()):
        before = outputs(peer.connection)
        with pytest.raises(InvalidState, match="not open yet"):
            {**COMMANDS, **HARMLESS}[what](peer.connection)
        assert outputs(peer.connection) == before


def test_a_take_before_the_connection_is_open_has_nothing_yet() -> None:
    connection = new_client().connection
    assert connection.take_message(now=0.0) is None
    assert connection.take_part(now=0.0) is None


@pytest.mark.parametrize("answer", [None, Accept()])
def test_with_plain_http_what_is_no_good_handshake_is_never_accepted(
    answer: Accept | None,
) -> None:
    peer = new_server(Config(plain_http=True))
    peer.send_raw(b"GET /health HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert peer.connection.state is State.CONNECTING
    peer.connection.respond(answer, now=0.0)
    with pytest.raises(BadHandshake, match="does not ask for an upgrade"):
        peer.connection.poll_open()
    assert peer.read_raw().startswith(b"HTTP/1.1 426 ")


@BOTH_ROLES
def test_respond_without_a_request_to_answer_is_an_error_of_the_caller(role: Role) -> None:
    for peer in (RawPeer.opened(role=role), new_client(), new_server()):
        with pytest.raises(InvalidState, match="no request to respond to"):
            peer.connection.respond(now=0.0)


def test_a_request_is_answered_only_once() -> None:
    peer = new_server()
    peer.send_raw(REQUEST)
    peer.connection.respond(now=0.0)
    with pytest.raises(InvalidState, match="no request to respond to"):
        peer.connection.respond(now=0.0)
    peer = new_server()
    peer.send_raw(REQUEST)
    peer.connection.respond(Response(403), now=0.0)
    with pytest.raises(ConnectionClosed, match="refused with HTTP 403"):
        peer.connection.respond(now=0.0)


WRONG: dict[str, Callable[[Connection], object]] = {
    "a message that is no message": lambda c: c.send(5, now=0.0),  # type: ignore[arg-type]
    "text that is no Unicode": lambda c: c.send("\ud800", now=0.0),
    "a stray key": lambda c: c.send("x", key="k", now=0.0),
    "a part that is none": lambda c: c.send_part(None, final=True, now=0.0),  # type: ignore[arg-type]
    "a ping of text": lambda c: c.ping("x", now=0.0),  # type: ignore[arg-type]
    "a ping of a number": lambda c: c.ping(5, now=0.0),  # type: ignore[arg-type]
    "a ping that is too long": lambda c: c.ping(bytes(126), now=0.0),
    "a ping too long in bytes": lambda c: c.ping(memoryview(bytes(128)).cast("Q"), now=0.0),
    "a pong of a number": lambda c: c.pong(5, now=0.0),  # type: ignore[arg-type]
    "a pong that is too long": lambda c: c.pong(bytes(126), now=0.0),
    "a pong too long in bytes": lambda c: c.pong(memoryview(bytes(128)).cast("Q"), now=0.0),
    "a code that must not be sent": lambda c: c.close(1005, now=0.0),
    "a code that is no number": lambda c: c.close("1000", now=0.0),  # type: ignore[arg-type]
    "a reason that is no text": lambda c: c.close(1000, b"bye", now=0.0),  # type: ignore[arg-type]
    "a cause of somebody else": lambda c: c.fail(Cause.PING_TIMEOUT, now=0.0),
    "more sent than shown": lambda c: c.data_sent(1, now=0.0),
}


@BOTH_ROLES
@pytest.mark.parametrize("what", WRONG)
def test_what_the_caller_did_wrong_raises_and_changes_nothing(role: Role, what: str) -> None:
    connection = RawPeer.opened(role=role).connection
    before = outputs(connection)
    with pytest.raises((ValueError, TypeError)):
        WRONG[what](connection)
    assert outputs(connection) == before


def test_a_ping_with_the_payload_of_another_in_flight_is_an_error_of_the_caller() -> None:
    peer = RawPeer.opened()
    ping = peer.connection.ping(b"same", now=0.0)
    with pytest.raises(ValueError, match="in flight already"):
        peer.connection.ping(b"same", now=0.0)
    peer.connection.forget_ping(ping)
    peer.connection.ping(b"same", now=0.0)
    assert peer.read() == [(PING, b"same")] * 2


def test_reading_into_a_buffer_that_was_not_offered_is_an_error_of_the_caller() -> None:
    connection = RawPeer.opened().connection
    assert connection.receive_buffer() is None
    with pytest.raises(InvalidState, match="it offers none"):
        connection.received(5, now=0.0)


def test_outputs_are_levels_that_looking_does_not_change() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"unread")
    peer.send(PING)
    peer.connection.send(bytes(100_000), now=0.0)
    first = outputs(peer.connection)
    assert outputs(peer.connection) == first
    peer.connection.close(now=0.0)
    closing = outputs(peer.connection)
    assert outputs(peer.connection) == closing
    assert closing["data"] == first["data"]


def test_outputs_may_be_looked_at_once_for_many_commands() -> None:
    """Nor does it matter whether anybody looked in between."""
    written = []
    for look in (False, True):
        peer = RawPeer.opened()
        for i in range(5):
            peer.connection.send(f"{i}", now=0.0)
            if look:
                assert peer.connection.want_write
                assert peer.connection.deadline < NEVER
        written.append(peer.read())
    assert written[0] == written[1]


def test_polls_change_nothing() -> None:
    peer = new_server()
    connection = peer.connection
    assert (connection.poll_request(), connection.poll_open()) == (None, None)
    peer.send_raw(REQUEST)
    for _ in range(2):
        assert connection.poll_request() is connection.request
        assert connection.poll_open() is None
    connection.respond(now=0.0)
    peer.read_raw()
    ping = connection.ping(now=0.0)
    before = outputs(connection)
    for _ in range(2):
        assert connection.poll_request() is connection.request
        assert connection.poll_open() is True
        assert connection.poll_pong(ping) is None
        assert connection.poll_close() is None
    assert outputs(connection) == before
    connection.abort(now=0.0)
    for _ in range(2):
        # It was open, and a request had come.
        assert connection.poll_open() is True
        assert connection.poll_request() is connection.request
        assert connection.poll_close() == connection.close_reason
        with pytest.raises(ConnectionClosed):
            connection.poll_pong(ping)


def test_poll_close_waits_for_the_end_and_close_reason_does_not() -> None:
    peer = RawPeer.opened()
    peer.connection.close(now=0.0)
    assert peer.connection.close_reason is not None
    assert peer.connection.poll_close() is None


def test_a_pong_that_came_is_here_even_after_the_end() -> None:
    peer = RawPeer.opened()
    ping = peer.connection.ping(b"x", now=0.0)
    peer.read()
    peer.now = 0.25
    peer.send(PONG, b"x")
    peer.connection.abort(now=1.0)
    assert peer.connection.poll_pong(ping) == 0.25
    assert peer.connection.latency == (0.25, 0.25)


def test_early_and_repeated_timeouts_are_harmless() -> None:
    peer = RawPeer.opened(Config(ping_interval=5.0, idle_timeout=50.0))
    before = outputs(peer.connection)
    for now in (0.0, 1.0, 4.999):
        peer.connection.handle_timeout(now=now)
    assert outputs(peer.connection) == before
    peer.connection.handle_timeout(now=5.0)
    after = outputs(peer.connection)
    assert after["want_write"]
    peer.connection.handle_timeout(now=5.0)
    assert outputs(peer.connection) == after


def test_what_is_received_is_borrowed_only_for_the_call() -> None:
    peer = RawPeer.opened(Config(max_queue=1))
    frames = b"".join(peer.frame(FIN | TEXT, b"%d" % i) for i in range(4)) + peer.frame(TEXT, b"x")
    buffer = bytearray(frames)
    peer.connection.receive_data(memoryview(buffer), now=0.0)
    buffer[:] = bytes(len(buffer))
    peer.send(FIN | CONTINUATION, b"y")
    taken = [peer.connection.take_message(now=0.0) for _ in range(5)]
    assert taken == ["0", "1", "2", "3", "xy"]


def test_nothing_is_read_behind_the_peers_end() -> None:
    peer = RawPeer.opened()
    peer.send(FIN | TEXT, b"ahead")
    peer.end()
    before = outputs(peer.connection)
    peer.send(FIN | TEXT, b"behind")
    peer.end()
    assert outputs(peer.connection) == before


@BOTH_ROLES
def test_can_receive_says_whether_a_take_would_give_anything(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    assert (connection.can_receive, connection.can_receive_part) == (False, False)
    peer.send(TEXT, b"a")
    assert (connection.can_receive, connection.can_receive_part) == (False, True)
    assert connection.take_part(now=0.0) == ("a", False)
    assert (connection.can_receive, connection.can_receive_part) == (False, False)
    peer.send(FIN | CONTINUATION, b"b")
    assert connection.can_receive_part
    assert connection.take_part(now=0.0) == ("b", True)
    peer.send(FIN | TEXT, b"whole")
    assert (connection.can_receive, connection.can_receive_part) == (True, True)
    peer.end()
    assert connection.take_message(now=0.0) == "whole"
    # The end is there.
    assert (connection.can_receive, connection.can_receive_part) == (True, True)
    assert connection.state is State.OPEN
    with pytest.raises(ConnectionClosed):
        connection.take_message(now=0.0)
    assert (connection.can_receive, connection.can_receive_part) == (True, True)


def test_nothing_can_be_received_before_the_connection_is_open() -> None:
    connection = new_client().connection
    assert (connection.can_receive, connection.can_receive_part) == (False, False)


# ---------------------------------------------------------- messages that are taken in parts


def test_parts_come_as_they_arrive_cut_between_characters() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    assert connection.take_part(now=0.0) is None
    text = "a€b".encode()
    peer.send(TEXT, text[:2])
    assert connection.take_part(now=0.0) == ("a", False)
    assert connection.take_part(now=0.0) is None
    peer.send(CONTINUATION, text[2:4])
    peer.send(FIN | CONTINUATION, text[4:])
    assert connection.take_part(now=0.0) == ("€b", True)


def test_a_message_cannot_be_taken_while_one_is_taken_in_parts() -> None:
    peer = RawPeer.opened()
    peer.send(TEXT, b"a")
    peer.connection.take_part(now=0.0)
    with pytest.raises(InvalidState, match="discard_rest"):
        peer.connection.take_message(now=0.0)
    peer.connection.discard_rest(now=0.0)
    assert peer.connection.take_message(now=0.0) is None
    peer.send(FIN | CONTINUATION, b"dropped")
    peer.send(FIN | TEXT, b"next")
    assert peer.connection.take_message(now=0.0) == "next"


def test_who_takes_a_message_in_parts_sets_its_pace() -> None:
    peer = RawPeer.opened(Config(max_queue_bytes=10, control_look_ahead=0))
    peer.send(BINARY, bytes(10))
    peer.connection.take_part(now=0.0)
    peer.send(CONTINUATION, bytes(10))
    assert peer.connection.want_read == 0
    # What comes all the same waits behind it.
    peer.send(PING, b"behind")
    assert peer.read() == []
    assert peer.connection.take_part(now=0.0) == (bytes(10), False)
    assert peer.connection.want_read > 0
    assert peer.read() == [(PONG, b"behind")]


@pytest.mark.parametrize("how", ["take_part", "discard_rest"])
def test_a_control_frame_behind_parts_that_wait_is_handled_when_they_go_on(how: str) -> None:
    """It is not lost, whichever way the part in front of it goes."""
    peer = RawPeer.opened(Config(max_queue_bytes=10))
    peer.send(BINARY, bytes(10))
    peer.connection.take_part(now=0.0)
    peer.send(CONTINUATION, bytes(10))
    peer.send(FIN | CONTINUATION, b"end")
    peer.send(RESERVED)
    assert peer.connection.close_reason is None
    getattr(peer.connection, how)(now=0.0)
    while peer.is_open():
        peer.connection.handle_timeout(now=peer.connection.deadline)
    assert reason_of(peer.connection).cause is Cause.PROTOCOL_ERROR


def test_parts_end_with_the_connection() -> None:
    peer = RawPeer.opened()
    peer.send(TEXT, b"begun")
    peer.end()
    assert peer.connection.take_part(now=0.0) == ("begun", False)
    with pytest.raises(ConnectionClosed):
        peer.connection.take_part(now=0.0)


# ----------------------------------------------------------------------------- handshake


def test_a_handshake_from_the_request_to_the_open_connection() -> None:
    config = Config(subprotocols=["v2", "v1"])
    pair = Pair(config, Config(subprotocols=["v1"]), request=CLIENT_REQUEST, on_request=None)
    assert pair.client.poll_open() is None
    pair.settle()
    request = pair.server.poll_request()
    assert request is not None
    assert (request.target, request.host) == ("/chat", "example.com")
    assert request.subprotocols == ("v2", "v1")
    assert pair.server.poll_open() is None
    pair.server.respond(Accept("v1", {"Set-Cookie": "a=b"}), now=pair.now)
    assert pair.server.poll_open() is True
    pair.settle()
    assert pair.client.poll_open() is True
    assert (pair.client.subprotocol, pair.server.subprotocol) == ("v1", "v1")
    for connection in (pair.client, pair.server):
        assert connection.request is not None
        assert connection.request.headers == request.headers
        assert connection.response is not None
        assert connection.response.status == 101
        assert connection.response.headers["Set-Cookie"] == "a=b"


def test_a_request_that_cannot_be_sent_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="target"):
        Connection.client(Request("no-slash", "example.com"), now=0.0)


def test_an_answer_that_cannot_be_sent_leaves_room_for_another() -> None:
    peer = new_server()
    peer.send_raw(REQUEST)
    before = outputs(peer.connection)
    with pytest.raises(ValueError, match="subprotocol"):
        peer.connection.respond(Accept("never offered"), now=0.0)
    with pytest.raises(ValueError, match="status"):
        peer.connection.respond(Response(101), now=0.0)
    assert outputs(peer.connection) == before
    peer.connection.respond(now=0.0)
    assert peer.read_raw().startswith(b"HTTP/1.1 101 ")


def test_a_refusal_reaches_the_client_with_its_body() -> None:
    refusal = Response(403, {"X-Why": "because"}, "Not you.\n")
    pair = Pair(on_request=lambda _: refusal)
    pair.settle()
    with pytest.raises(HandshakeRejected, match="HTTP 403") as rejected:
        pair.client.poll_open()
    response = rejected.value.response
    assert (response.status, response.body) == (403, b"Not you.\n")
    assert response.headers["X-Why"] == "because"
    for poll in (pair.server.poll_open, pair.server.poll_request):
        with pytest.raises(HandshakeRefused, match="HTTP 403"):
            poll()
    for connection, cause in ((pair.client, Cause.PEER_REJECTED), (pair.server, Cause.REJECTED)):
        assert connection.state is State.CLOSED
        assert connection.transport is Transport.CLOSE
        assert reason_of(connection).cause is cause


def test_a_bad_request_is_answered_and_the_write_side_ended() -> None:
    peer = new_server()
    peer.send_raw(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection = peer.connection
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.KEEP)
    assert peer.read_raw().startswith(b"HTTP/1.1 400 ")
    assert (connection.state, connection.transport) == (State.CLOSING, Transport.END_WRITE)
    for poll in (peer.connection.poll_request, peer.connection.poll_open):
        with pytest.raises(BadHandshake, match="not GET") as caught:
            poll()
        assert caught.value.response is not None
        assert caught.value.response.status == 400
    # What it still sends is read and dropped, so that no reset destroys the answer.
    peer.send_raw(bytes(1000))
    assert peer.connection.want_read > 0
    peer.end()
    assert peer.connection.transport is Transport.CLOSE


def test_a_malformed_response_is_reported_at_once_and_as_such() -> None:
    """SECURITY 10."""
    peer = new_client()
    peer.send_raw(b"SSH-2.0-OpenSSH_9.6\r\n")
    assert peer.connection.transport is Transport.CLOSE
    with pytest.raises(BadHandshake):
        peer.connection.poll_open()


@pytest.mark.parametrize("size", [0, 1, 40, len(REQUEST) - 1, len(REQUEST)])
def test_the_end_of_the_stream_before_a_server_is_open_interrupts_it(size: int) -> None:
    peer = new_server()
    if size:
        peer.send_raw(REQUEST[:size])
    peer.end()
    assert peer.connection.transport is Transport.CLOSE
    with pytest.raises(HandshakeInterrupted, match="the client ended the connection"):
        peer.connection.poll_request()
    assert reason_of(peer.connection).cause is Cause.EOF


@pytest.mark.parametrize("size", [0, 1, 40, 100])
def test_the_end_of_the_stream_before_a_client_is_open_interrupts_it(size: int) -> None:
    peer = new_client()
    if size:
        peer.send_raw(response_to(peer)[:size])
    peer.end()
    assert peer.connection.transport is Transport.CLOSE
    with pytest.raises(HandshakeInterrupted):
        peer.connection.poll_open()
    assert reason_of(peer.connection).cause is Cause.EOF


def test_the_end_of_the_stream_ends_the_body_of_a_rejection() -> None:
    """RFC 9112 section 6.3: a body without a length."""
    peer = new_client()
    peer.send_raw(b"HTTP/1.1 500 Oops\r\n\r\nhalf a st")
    assert peer.connection.poll_open() is None
    peer.end()
    with pytest.raises(HandshakeRejected) as caught:
        peer.connection.poll_open()
    assert caught.value.response.body == b"half a st"


def test_a_rejection_stands_though_its_body_never_ends() -> None:
    """SECURITY 10: status and headers are facts, whatever becomes of the rest."""
    peer = new_client()
    peer.send_raw(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf of")
    peer.connection.transport_lost(ConnectionResetError("reset by peer"), now=0.0)
    assert peer.connection.transport is Transport.ABORT
    with pytest.raises(HandshakeRejected) as caught:
        peer.connection.poll_open()
    assert caught.value.response.status == 403
    assert caught.value.response.body == b"half of"


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
def test_a_transport_lost_before_the_connection_is_open_is_chained(
    error: ConnectionResetError | None,
) -> None:
    for peer in (new_client(), new_server()):
        peer.connection.transport_lost(error, now=0.0)
        assert peer.connection.transport is Transport.ABORT
        text = "the transport was lost|no transport to example.com"
        with pytest.raises(HandshakeInterrupted, match=text) as caught:
            peer.connection.poll_open()
        assert caught.value.__cause__ is error
        with pytest.raises(ConnectionClosed) as closed:
            peer.connection.take_message(now=0.0)
        assert closed.value.__cause__ is error


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda connection: connection.close(now=0.0), Cause.CLOSED),
        (lambda connection: connection.abort(now=0.0), Cause.ABORTED),
    ],
)
def test_a_handshake_can_be_given_up(end: Callable[[Connection], None], cause: Cause) -> None:
    for peer in (new_client(), new_server()):
        end(peer.connection)
        assert peer.connection.transport is Transport.ABORT
        assert not peer.connection.want_write
        with pytest.raises(HandshakeInterrupted, match="before the connection was open"):
            peer.connection.poll_open()
        assert reason_of(peer.connection).cause is cause


@BOTH_ROLES
def test_frames_right_behind_the_head_are_received(role: Role) -> None:
    """SECURITY 6."""
    if role is Role.SERVER:
        peer = new_server()
        peer.send_raw(REQUEST + peer.frame(FIN | TEXT, b"early") + peer.frame(PING, b"p"))
        assert peer.connection.take_message(now=0.0) is None
        peer.connection.respond(now=0.0)
        assert peer.read_raw().endswith(b"\r\n\r\n\x8a\x01p")
    else:
        peer = new_client()
        head = response_to(peer)
        peer.send_raw(head + peer.frame(FIN | TEXT, b"early") + peer.frame(PING, b"p"))
        assert peer.read() == [(PONG, b"p")]
    assert peer.connection.take_message(now=0.0) == "early"


def test_a_close_right_behind_the_head_closes_at_once() -> None:
    peer = new_client()
    head = response_to(peer)
    peer.send_raw(head + peer.frame(CLOSE, close_payload(1013)))
    assert peer.connection.poll_open() is True
    assert peer.read() == [(CLOSE, close_payload(1013))]


@pytest.mark.parametrize(
    ("head", "payload", "answer"),
    [(CLOSE, close_payload(1001), 1001), (RESERVED, b"", 1002)],
    ids=["a Close", "a violation"],
)
def test_an_end_right_behind_the_request_is_answered_behind_the_response(
    head: int, payload: bytes, answer: int
) -> None:
    peer = new_server()
    peer.send_raw(REQUEST + peer.frame(head, payload))
    peer.connection.respond(now=0.0)
    assert peer.connection.state is State.CLOSING
    response, _, close = peer.read_raw().partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 101 ")
    assert (close[0], close[2:4]) == (CLOSE, close_payload(answer))


def test_bytes_behind_the_head_are_held_within_the_look_ahead_until_the_answer() -> None:
    peer = new_server(Config(control_look_ahead=100))
    peer.send_raw(REQUEST)
    messages = peer.frame(FIN | BINARY, bytes(44)) * 2
    peer.send_raw(messages[:99])
    assert peer.connection.want_read > 0
    peer.send_raw(messages[99:])
    assert peer.connection.want_read == 0
    peer.connection.respond(now=0.0)
    assert peer.connection.want_read > 0
    assert [peer.connection.take_message(now=0.0) for _ in range(3)] == [bytes(44)] * 2 + [None]


def test_bytes_behind_the_head_never_exceed_one_read() -> None:
    peer = new_server(Config(control_look_ahead=NEVER, read_size=1024))
    peer.send_raw(REQUEST)
    held = 0
    while size := peer.connection.want_read:
        peer.send_raw(bytes(size))
        held += size
        assert held <= 1024
    assert held == 1024


def test_a_head_longer_than_one_read_arrives() -> None:
    peer = new_server(Config(read_size=1024, max_head_size=NEVER))
    request = REQUEST[:-2] + b"x: %b\r\n" % bytes([0x79] * 1000) * 5 + b"\r\n"
    sent = 0
    while sent < len(request):
        size = peer.connection.want_read
        assert size > 0
        peer.send_raw(request[sent : sent + size])
        sent += size
    assert peer.connection.poll_request() is not None


@BOTH_ROLES
def test_an_upgraded_connection_is_open_at_once(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    leftover = peer.frame(FIN | TEXT, b"left over")
    connection = Connection.upgraded(role, subprotocol="chat", leftover=leftover, now=0.0)
    assert (connection.state, connection.subprotocol) == (State.OPEN, "chat")
    assert connection.poll_open() is True
    assert (connection.request, connection.response) == (None, None)
    assert connection.take_message(now=0.0) == "left over"


@BOTH_ROLES
def test_an_upgraded_connection_talks_with_the_extension_that_was_agreed_on(role: Role) -> None:
    config = Config(compression="deflate")
    extensions = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    ours = Connection.upgraded(role, config, extensions=extensions, now=0.0)
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    theirs = Connection.upgraded(other, config, extensions=extensions, now=0.0)
    ours.send("x" * 10_000, now=0.0)
    data = b"".join(ours.data_to_send())
    assert data[0] == FIN | RSV1 | TEXT
    theirs.receive_data(data, now=0.0)
    assert theirs.take_message(now=0.0) == "x" * 10_000


@BOTH_ROLES
@pytest.mark.parametrize(
    ("compression", "extensions"),
    [
        (None, "permessage-deflate"),
        ("deflate", "permessage-deflate; server_max_window_bits=7"),
        ("deflate", "permessage-deflate; unknown"),
        ("deflate", "x-webkit-deflate-frame"),
    ],
)
def test_an_upgraded_connection_refuses_extensions_that_it_cannot_do(
    role: Role, compression: Any, extensions: str
) -> None:
    with pytest.raises(ValueError):
        Connection.upgraded(role, Config(compression=compression), extensions=extensions, now=0.0)


# ---------------------------------------------------------------------- changes of state


def opened_pair() -> Connection:
    pair = Pair.opened()
    return pair.server


def refused() -> Connection:
    peer = new_server()
    peer.send_raw(REQUEST)
    peer.connection.respond(Response(404), now=0.0)
    return peer.connection


def rejected() -> Connection:
    peer = new_client()
    peer.send_raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    return peer.connection


def timed_out() -> Connection:
    peer = new_server()
    peer.wait(10.0)
    return peer.connection


def ended_early() -> Connection:
    peer = new_server()
    peer.end()
    return peer.connection


def given_up() -> Connection:
    peer = new_client()
    peer.connection.close(now=0.0)
    return peer.connection


def after(act: Callable[[RawPeer], object], *, closing: bool = False) -> Callable[[], Connection]:
    """A connection that was OPEN, or CLOSING by us, when the act was done."""

    def scenario() -> Connection:
        peer = RawPeer.opened()
        if closing:
            peer.connection.close(now=0.0)
            peer.read()
        act(peer)
        return peer.connection

    return scenario


def stall(peer: RawPeer) -> None:
    peer.connection.send("never leaves", now=0.0)
    peer.wait(30.0)


SCENARIOS: dict[tuple[State, State], dict[str, Callable[[], Connection]]] = {
    (State.CONNECTING, State.OPEN): {
        "handshake accepted": opened_pair,
        "handshake done by somebody else": lambda: RawPeer.opened().connection,
    },
    (State.CONNECTING, State.CLOSING): {"request refused": refused},
    (State.CONNECTING, State.CLOSED): {
        "open_timeout": timed_out,
        "handshake rejected or malformed": rejected,
        "end of stream or transport lost": ended_early,
        "closed or aborted": given_up,
    },
    (State.OPEN, State.CLOSING): {
        "close()": after(lambda peer: peer.connection.close(now=0.0)),
        "the peer's Close frame": after(lambda peer: peer.send(CLOSE)),
        "a violation, a limit, a timeout": after(lambda peer: peer.send(RESERVED)),
    },
    (State.OPEN, State.CLOSED): {
        "end of stream": after(RawPeer.end),
        "transport lost": after(lambda peer: peer.connection.transport_lost(now=0.0)),
        "abort()": after(lambda peer: peer.connection.abort(now=0.0)),
        "send_timeout": after(stall),
    },
    (State.CLOSING, State.CLOSED): {
        "both Close frames exchanged (server)": after(lambda p: p.send(CLOSE), closing=True),
        "end of stream": after(RawPeer.end, closing=True),
        "transport lost": after(lambda p: p.connection.transport_lost(now=0.0), closing=True),
        "abort()": after(lambda p: p.connection.abort(now=0.0), closing=True),
        "close_timeout or send_timeout": after(lambda p: p.wait(10.0), closing=True),
    },
}


@pytest.fixture
def transitions(monkeypatch: pytest.MonkeyPatch) -> Transitions:
    recorder = Transitions()
    monkeypatch.setattr(Connection, "state", recorder)
    return recorder


def test_every_transition_has_a_scenario_for_each_of_its_causes() -> None:
    assert {change: tuple(causes) for change, causes in SCENARIOS.items()} == TRANSITIONS


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        pytest.param(change, cause, id=f"{change[0].value}-{change[1].value}-{cause}")
        for change, causes in SCENARIOS.items()
        for cause in causes
    ],
)
def test_a_transition_is_reached_by_its_cause(
    change: tuple[State, State], cause: str, transitions: Transitions
) -> None:
    connection = SCENARIOS[change][cause]()
    seen = transitions.of(connection)
    assert seen[-1] == change
    assert set(seen) <= set(TRANSITIONS)


def test_a_connection_shows_its_role_and_state() -> None:
    assert repr(new_client().connection) == "<client Connection connecting>"


# ----------------------------------------------------------------------------- any bytes


class Stage(NamedTuple):
    """A connection to be fed with anything."""

    role: Role
    open: bool
    compressed: bool


STAGES = st.builds(Stage, role=st.sampled_from(Role), open=st.booleans(), compressed=st.booleans())

DEFLATE = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"


def peer_at(stage: Stage) -> RawPeer:
    config = Config(
        max_message_size=300,
        max_queue=3,
        max_fragments=4,
        control_look_ahead=50,
        compression="deflate" if stage.compressed else None,
    )
    if stage.open:
        extensions = DEFLATE if stage.compressed else ""
        return RawPeer.opened(config, stage.role, extensions=extensions)
    if stage.role is Role.CLIENT:
        return new_client(config)
    return new_server(config)


@st.composite
def likely_bytes(draw: st.DrawFn, stage: Stage) -> bytes:
    """Frames, heads, and what is neither."""
    masked = draw(st.integers(0, 9)) < 9 and stage.role is Role.SERVER
    heads = [FIN | TEXT, FIN | BINARY, TEXT, CONTINUATION, FIN | CONTINUATION, PING, PONG, CLOSE]
    frames = st.builds(
        lambda head, payload, announced: frame(head, payload, masked=masked, announced=announced),
        st.sampled_from([*heads, FIN | RSV1 | TEXT, RSV1 | BINARY]) | st.integers(0, 255),
        st.binary(max_size=130),
        st.none() | st.integers(0, 1 << 63),
    )
    close_codes = st.integers(990, 1020) | st.integers(0, 0xFFFF)
    closes = close_codes.map(lambda code: frame(CLOSE, close_payload(code), masked=masked))
    pieces = draw(st.lists(frames | closes | st.binary(max_size=20), max_size=12))
    if not stage.open and draw(st.booleans()):
        pieces.insert(0, REQUEST if stage.role is Role.SERVER else b"HTTP/1.1 ")
    return b"".join(pieces)


def take_one(peer: RawPeer) -> None:
    there = peer.connection.can_receive
    try:
        assert there is (peer.connection.take_message(now=peer.now) is not None)
    except ConnectionClosed:
        assert there
        assert peer.is_over()


@given(data=st.data(), stage=STAGES)
def test_any_bytes_in_any_slicing_end_in_a_state_with_a_reason(
    data: st.DataObject, stage: Stage
) -> None:
    peer = peer_at(stage)
    connection = peer.connection
    stream = data.draw(likely_bytes(stage))
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at), label="slice")
        peer.send_raw(stream[at : at + size])
        at += size
        peer.read_raw()
        assert 0 <= connection.want_read <= connection.config.read_size
        answerable = stage.role is Role.SERVER and connection.request is not None
        if answerable and connection.state is State.CONNECTING:
            connection.respond(now=peer.now)
        if data.draw(st.booleans(), label="take"):
            take_one(peer)
    peer.end()
    peer.wait(60.0)
    peer.take_all()
    assert connection.state is State.CLOSED
    assert connection.transport is Transport.ABORT
    assert connection.deadline == NEVER
    assert connection.close_reason is not None
    if not stage.open and connection.response is None:
        with pytest.raises(HandshakeError):
            connection.poll_open()


# ------------------------------------------------------------------------------ it works


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("piece", [None, 1000])
def test_messages_of_all_kinds_go_both_ways(compression: Any, piece: int | None) -> None:
    config = Config(compression=compression)
    pair = Pair.opened(config, config)
    for wire in pair.wires:
        wire.slice = piece
    messages: list[Message] = [
        "",
        b"",
        "text €",
        b"\x00\xff",
        "x" * 1024 * 1024,
        bytes(1024 * 1024),
    ]
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        for message in messages:
            assert sender.send(message, now=pair.now)
        sender.send_part("in ", final=False, now=pair.now)
        sender.send_part("parts", final=True, now=pair.now)
        assert pair.received(receiver) == [*messages, "in parts"]
    pair.client.close(now=pair.now)
    pair.settle()
    for connection in (pair.client, pair.server):
        assert reason_of(connection).clean


def test_a_timeout_of_opening_is_both_a_handshake_error_and_a_timeout() -> None:
    connection = timed_out()
    with pytest.raises(OpenTimeout) as caught:
        connection.poll_open()
    assert isinstance(caught.value, TimeoutError)


def test_the_error_of_a_lost_transport_holds_no_frames() -> None:
    """They would hold the connection, which holds the error: garbage, with sockets in it."""
    connection = Connection.upgraded(Role.CLIENT, now=0.0)
    try:
        raise OSError("gone")
    except OSError as error:
        connection.transport_lost(error, now=0.0)
    reason = connection.close_reason
    assert reason is not None
    assert isinstance(reason.error, OSError)
    assert reason.error.__traceback__ is None


@pytest.mark.parametrize("first", ["grüße", b"bytes", ""])
def test_what_is_put_back_is_the_next_one(first: str | bytes) -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    for message in (first, "second"):
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        peer.send(FIN | (TEXT if text else BINARY), payload)
    for _ in range(3):
        taken = connection.take_ready()
        assert taken is not None
        assert taken == first
        connection.put_back(taken)
    assert peer.take_all() == [first, "second"]


def test_what_is_put_back_counts_for_the_limits() -> None:
    peer = RawPeer.opened(Config(max_queue=100, max_queue_bytes=10))
    connection = peer.connection
    peer.send(FIN | TEXT, "grüße".encode())
    taken = connection.take_message(now=0.0)
    assert taken is not None
    connection.put_back(taken)
    assert connection.stats.read_pauses == 0
    peer.send(FIN | TEXT, b"abc")
    assert connection.stats.read_pauses == 1


def test_what_is_put_back_to_a_full_queue_holds_up_nothing() -> None:
    peer = RawPeer.opened(Config(max_queue=1))
    peer.send(FIN | TEXT, b"first")
    taken = peer.connection.take_message(now=0.0)
    assert taken is not None
    peer.connection.put_back(taken)
    peer.send(FIN | TEXT, b"second")
    peer.send(FIN | TEXT, b"third")
    assert peer.take_all() == ["first", "second", "third"]


@pytest.mark.parametrize("keeps", [True, False])
def test_what_is_put_back_once_the_rest_is_dropped_is_unread(keeps: bool) -> None:
    peer = RawPeer.opened(Config(keep_unread=keeps))
    connection = peer.connection
    peer.send(FIN | TEXT, b"first")
    peer.send(FIN | TEXT, b"second")
    taken = connection.take_ready()
    assert taken == "first"
    connection.abort(now=0.0)
    connection.put_back(taken)
    reason = connection.close_reason
    assert reason is not None
    assert reason.unread == (0 if keeps else 2)
    if keeps:
        assert [connection.take_message(now=0.0) for _ in range(2)] == ["first", "second"]
