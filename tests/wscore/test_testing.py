"""Tests of wscore.testing: the wires, the clock, and the rules by which a Pair carries bytes."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore import (
    Accept,
    Cause,
    CloseReason,
    Config,
    Connection,
    HandshakeRejected,
    Message,
    Request,
    Response,
    State,
    Transport,
    testing,
)
from wscore.testing import Pair, Wire

NEVER = math.inf


# The wire by itself


def test_bytes_arrive_when_the_latency_has_passed_and_not_before() -> None:
    wire = Wire(latency=2.0)
    assert wire.take([b"ab", bytearray(b"cd"), memoryview(b"ef")], now=1.0) == 6
    assert wire.next_arrival(now=1.0) == 3.0
    assert wire.read(100, now=2.9) is None
    assert wire.read(100, now=3.0) == b"abcdef"
    assert wire.next_arrival(now=3.0) == NEVER


def test_one_read_brings_all_that_has_arrived() -> None:
    wire = Wire(latency=1.0)
    for now in (0.0, 0.5, 1.0):
        wire.take([b"x"], now=now)
    assert wire.read(100, now=1.5) == b"xx"
    assert wire.in_flight == 1


def test_bytes_do_not_overtake_others_when_the_latency_is_lowered() -> None:
    wire = Wire(latency=5.0)
    wire.take([b"first"], now=0.0)
    wire.latency = 0.0
    wire.take([b"second"], now=1.0)
    assert wire.read(100, now=4.0) is None
    assert wire.read(100, now=5.0) == b"firstsecond"


def test_with_infinite_latency_bytes_are_taken_up_to_the_capacity_and_never_arrive() -> None:
    wire = Wire(latency=math.inf)
    wire.capacity = 4
    assert wire.take([b"abcdef"], now=0.0) == 4
    assert wire.take([b"ef"], now=1e9) == 0
    assert wire.next_arrival(now=0.0) == NEVER
    assert wire.read(100, now=1e9) is None


def test_reading_makes_room_for_writing() -> None:
    wire = Wire()
    wire.capacity = 4
    assert wire.take([b"abc", b"def"], now=0.0) == 4
    assert wire.take([b"ef"], now=0.0) == 0
    assert wire.read(1, now=0.0) == b"a"
    assert wire.take([b"ef"], now=0.0) == 1
    assert wire.read(100, now=0.0) == b"bcde"


def test_a_slice_limits_each_write_and_each_read() -> None:
    wire = Wire()
    wire.slice = 2
    assert wire.take([b"abc"], now=0.0) == 2
    assert wire.take([b"c"], now=0.0) == 1
    assert [wire.read(100, now=0.0) for _ in range(3)] == [b"ab", b"c", None]


def test_a_stalled_wire_neither_takes_nor_brings_anything_until_it_goes_on() -> None:
    wire = Wire(latency=1.0)
    wire.take([b"ab"], now=0.0)
    wire.stalled = True
    assert wire.take([b"c"], now=0.0) == 0
    assert wire.next_arrival(now=0.0) == NEVER
    assert wire.read(100, now=9.0) is None
    wire.stalled = False
    assert wire.read(100, now=9.0) == b"ab"


def test_a_stalled_wire_keeps_what_had_arrived_before() -> None:
    wire = Wire()
    wire.take([b"ab"], now=0.0)
    assert wire.read(1, now=0.0) == b"a"
    wire.stalled = True
    assert wire.read(1, now=0.0) is None


def test_a_receiver_that_does_not_read_gets_nothing() -> None:
    wire = Wire()
    wire.take([b"ab"], now=0.0)
    wire.end(now=0.0)
    assert wire.read(0, now=0.0) is None
    assert wire.in_flight == 2


def test_the_end_arrives_once_and_behind_the_data() -> None:
    wire = Wire(latency=1.0)
    wire.take([b"ab"], now=0.0)
    assert wire.end(now=0.5)
    assert not wire.end(now=0.7)
    assert wire.read(100, now=1.0) == b"ab"
    assert wire.next_arrival(now=1.0) == 1.5
    assert wire.read(100, now=1.0) is None
    assert wire.read(100, now=1.5) == b""
    assert wire.read(100, now=1.5) is None


def test_a_reset_throws_away_what_is_in_flight_and_arrives_in_its_place() -> None:
    wire = Wire(latency=1.0)
    wire.take([b"ab"], now=0.0)
    wire.end(now=0.0)
    wire.reset(now=0.5)
    assert wire.in_flight == 0
    assert wire.read(100, now=1.4) is None
    assert wire.failure(now=1.4) is None
    assert wire.next_arrival(now=1.4) == 1.5
    assert isinstance(wire.failure(now=1.5), ConnectionResetError)


def test_the_first_of_two_resets_counts() -> None:
    wire = Wire(latency=1.0)
    wire.reset(now=0.0)
    wire.reset(now=0.5)
    assert wire.next_arrival(now=0.5) == 1.0


def test_a_reset_does_not_pass_a_stalled_wire_but_a_cut_does() -> None:
    wire = Wire()
    wire.stalled = True
    wire.reset(now=0.0)
    assert wire.failure(now=1.0) is None
    wire.cut()
    assert str(wire.failure(now=1.0)) == "the wire was cut"


def test_a_wire_counts_and_logs_what_the_receiver_read() -> None:
    wire = Wire()
    wire.take([b"abcd"], now=0.0)
    wire.read(1, now=0.0)
    wire.log = bytearray()
    wire.read(2, now=0.0)
    assert (wire.taken, wire.delivered, wire.in_flight) == (4, 3, 1)
    assert wire.log == b"bc"


@given(
    writes=st.lists(st.tuples(st.binary(max_size=50), st.floats(0, 5)), max_size=20),
    slice_=st.none() | st.integers(1, 20),
    capacity=st.integers(1, 40),
    limit=st.integers(1, 60),
)
def test_whatever_the_faults_bytes_arrive_whole_in_order_and_once(
    writes: list[tuple[bytes, float]], slice_: int | None, capacity: int, limit: int
) -> None:
    wire = Wire()
    wire.slice, wire.capacity = slice_, capacity
    received = b""
    now = 0.0
    for data, latency in writes:
        wire.latency = latency
        while data:
            size = wire.take([data], now=now)
            assert wire.in_flight <= capacity
            assert size <= (slice_ or size)
            data = data[size:]
            now = min(wire.next_arrival(now=now), now + 1)
            piece = wire.read(limit, now=now) or b""
            assert len(piece) <= min(limit, slice_ or limit)
            received += piece
    while rest := wire.read(limit, now=now + 5):
        received += rest
    assert received == b"".join(data for data, _ in writes)


# The rules of the pair, shown with connections that do what the test tells them


class Scripted:
    """Has the outputs of a Connection as the test sets them, and notes every input."""

    def __init__(self) -> None:
        self.state = State.OPEN
        self.transport = Transport.KEEP
        self.out = bytearray()
        self.want_read = 1000
        self.deadline = NEVER
        self.request: Request | None = None
        self.close_reason: CloseReason | None = None
        self.inputs: list[tuple[float, str, Any]] = []
        self.buffer: bytearray | None = None
        self.on_timeout: Callable[[], None] = self.rest
        self.on_data: Callable[[bytes], None] = lambda _: None

    @classmethod
    def client(cls, *_: object, **__: object) -> Scripted:
        return cls()

    server = client

    @property
    def want_write(self) -> bool:
        return bool(self.out)

    def data_to_send(self) -> tuple[bytes, ...]:
        return (bytes(self.out),)

    def data_sent(self, n: int, *, now: float) -> None:
        del self.out[:n]
        self.inputs.append((now, "sent", n))

    def receive_buffer(self) -> memoryview | None:
        return None if self.buffer is None else memoryview(self.buffer)

    def receive_data(self, data: bytes, *, now: float) -> None:
        self.inputs.append((now, "data", data))
        self.on_data(data)

    def received(self, n: int, *, now: float) -> None:
        assert self.buffer is not None
        self.inputs.append((now, "received", bytes(self.buffer[:n])))

    def transport_lost(self, error: BaseException, *, now: float) -> None:
        self.inputs.append((now, "lost", error))

    def handle_timeout(self, *, now: float) -> None:
        self.inputs.append((now, "timeout", self.deadline))
        self.on_timeout()

    def respond(self, response: Accept | Response | None, *, now: float) -> None:
        self.inputs.append((now, "respond", response))

    def rest(self) -> None:
        self.deadline = NEVER

    def noted(self, kind: str) -> list[tuple[float, Any]]:
        return [(now, value) for now, noted, value in self.inputs if noted == kind]

    @property
    def heard(self) -> bytes:
        return b"".join(data for _, data in self.noted("data"))


Scene = tuple[Pair, Scripted, Scripted]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "Connection", Scripted)


@pytest.fixture
def scene(scripted: None) -> Scene:
    return with_both(Pair())


def with_both(pair: Pair) -> Scene:
    return pair, cast("Scripted", pair.client), cast("Scripted", pair.server)


def test_bytes_go_both_ways_and_each_write_is_reported(scene: Scene) -> None:
    pair, client, server = scene
    client.out += b"to the server"
    server.out += b"to the client"
    pair.settle()
    assert (server.heard, client.heard) == (b"to the server", b"to the client")
    assert client.noted("sent") == [(0.0, 13)]


def test_a_slice_of_one_brings_every_byte_in_a_read_of_its_own(scene: Scene) -> None:
    pair, client, server = scene
    client.out += b"abc"
    pair.to_server.slice = 1
    pair.settle()
    assert server.noted("data") == [(0.0, b"a"), (0.0, b"b"), (0.0, b"c")]
    assert client.noted("sent") == [(0.0, 1)] * 3


def test_what_a_read_makes_a_connection_write_is_written_before_its_next_read(
    scene: Scene,
) -> None:
    pair, client, server = scene
    client.out += b"abc"
    pair.to_server.slice = 1
    server.on_data = lambda data: server.out.extend(data)
    pair.settle()
    assert [kind for _, kind, _ in server.inputs] == ["data", "sent"] * 3
    assert client.heard == b"abc"


def test_a_read_brings_no_more_than_want_read(scene: Scene) -> None:
    pair, client, server = scene
    client.out += b"abc"
    server.want_read = 2
    pair.settle()
    assert server.noted("data") == [(0.0, b"ab"), (0.0, b"c")]


def test_a_connection_that_does_not_read_fills_the_wire_and_then_holds_up_the_sender(
    scene: Scene,
) -> None:
    pair, client, server = scene
    pair.to_server.capacity = 10
    server.want_read = 0
    client.out += bytes(30)
    pair.settle()
    assert (pair.to_server.in_flight, len(client.out), server.heard) == (10, 20, b"")
    server.want_read = 1000
    pair.settle()
    assert (pair.to_server.in_flight, len(client.out), server.heard) == (0, 0, bytes(30))


def test_bytes_are_read_straight_into_the_buffer_that_a_connection_offers(scene: Scene) -> None:
    pair, client, server = scene
    server.buffer = bytearray(2)
    client.out += b"abc"
    pair.settle()
    assert server.noted("received") == [(0.0, b"ab"), (0.0, b"c")]
    assert server.noted("data") == []


def test_the_end_is_received_as_data_even_if_a_buffer_is_offered(scene: Scene) -> None:
    pair, client, server = scene
    server.buffer = bytearray(2)
    client.transport = Transport.END_WRITE
    pair.settle()
    assert server.noted("data") == [(0.0, b"")]


def test_ending_the_write_side_comes_behind_the_data_and_leaves_the_other_direction(
    scene: Scene,
) -> None:
    pair, client, server = scene
    client.transport = Transport.END_WRITE
    client.out += b"last"
    server.out += b"still"
    pair.settle()
    assert server.noted("data") == [(0.0, b"last"), (0.0, b"")]
    assert client.noted("data") == [(0.0, b"still")]


def test_ending_the_write_side_waits_until_everything_is_written(scene: Scene) -> None:
    pair, client, server = scene
    client.transport = Transport.END_WRITE
    client.out += bytes(3)
    pair.to_server.capacity = 2
    server.want_read = 0
    pair.settle()
    server.want_read = 1000
    pair.settle()
    assert server.noted("data") == [(0.0, bytes(2)), (0.0, bytes(1)), (0.0, b"")]


def test_without_half_close_ending_the_write_side_does_nothing_as_on_tls(scene: Scene) -> None:
    pair, client, server = scene
    pair.to_server.half_close = False
    client.transport = Transport.END_WRITE
    pair.settle()
    assert server.inputs == []
    client.transport = Transport.CLOSE
    pair.settle()
    assert server.noted("data") == [(0.0, b"")]


def test_closing_brings_the_end_behind_the_data(scene: Scene) -> None:
    pair, client, server = scene
    client.transport = Transport.CLOSE
    client.out += b"last"
    pair.settle()
    assert server.noted("data") == [(0.0, b"last"), (0.0, b"")]


def test_aborting_resets_the_other_side_and_writes_nothing_more(scene: Scene) -> None:
    pair, client, server = scene
    pair.to_server.latency = 1.0
    client.out += b"in flight"
    pair.settle()
    client.out += b"unwritten"
    client.transport = Transport.ABORT
    pair.run(2.0)
    [(when, error)] = server.noted("lost")
    assert when == 1.0
    assert isinstance(error, ConnectionResetError)
    assert server.heard == b""
    assert client.out == b"unwritten"


def test_a_connection_that_lost_its_transport_neither_writes_nor_reads(scene: Scene) -> None:
    pair, client, server = scene
    client.transport = Transport.ABORT
    pair.settle()
    server.out += b"too late"
    pair.settle()
    assert server.out == b"too late"
    assert client.inputs == []


@pytest.mark.parametrize("unread_at_close", [True, False])
def test_closing_with_unread_input_resets_the_other_side(
    scene: Scene, unread_at_close: bool
) -> None:
    """RFC 9293 section 3.10.7.1; why a WebSocket is half-closed first (RFC 6455 7.1.1)."""
    pair, client, server = scene
    pair.to_client.latency = 1.0
    server.want_read = 0
    if unread_at_close:
        client.out += b"unread"
        pair.settle()
    server.out += b"Close frame"
    server.transport = Transport.CLOSE
    pair.settle()
    if not unread_at_close:
        client.out += b"behind its back"
    pair.run(5.0)
    assert client.heard == b""
    assert [type(error) for _, error in client.noted("lost")] == [ConnectionResetError]


def test_an_end_that_meets_a_closed_connection_is_no_reason_for_a_reset(scene: Scene) -> None:
    pair, client, server = scene
    client.transport = server.transport = Transport.CLOSE
    pair.settle()
    assert client.noted("lost") == server.noted("lost") == []


@pytest.mark.parametrize("direction", ["to_server", "to_client"])
def test_a_cut_takes_the_transport_from_both_sides_with_its_error(
    scene: Scene, direction: str
) -> None:
    pair, client, server = scene
    error = OSError("no route to host")
    wire: Wire = getattr(pair, direction)
    wire.latency = 1.0
    client.out += b"in flight"
    pair.settle()
    client.inputs.clear()
    server.inputs.clear()
    wire.cut(error)
    pair.run(3.0)
    assert client.inputs == server.inputs == [(0.0, "lost", error)]


def test_a_deadline_is_handled_when_it_has_come_and_not_before(scene: Scene) -> None:
    pair, client, server = scene
    client.deadline, server.deadline = 1.5, 2.5
    pair.run(2.0)
    assert client.noted("timeout") == [(1.5, 1.5)]
    assert server.noted("timeout") == []
    assert pair.now == 2.0
    pair.run(0.5)
    assert server.noted("timeout") == [(2.5, 2.5)]


def test_what_arrives_at_the_instant_of_a_deadline_arrives_before_it(scene: Scene) -> None:
    pair, client, server = scene
    pair.to_server.latency = server.deadline = 1.0
    client.out += b"just in time"
    pair.run(1.0)
    assert [kind for _, kind, _ in server.inputs] == ["data", "timeout"]


def test_after_a_sleep_deadlines_are_handled_late_and_once(scene: Scene) -> None:
    pair, client, _ = scene
    client.deadline = 1.0
    pair.now = 100.0
    pair.settle()
    assert client.noted("timeout") == [(100.0, 1.0)]


def test_what_a_deadline_makes_a_connection_write_leaves_at_the_same_instant(
    scene: Scene,
) -> None:
    pair, client, server = scene
    client.deadline = 3.0

    def ping() -> None:
        client.out += b"ping"
        client.deadline += 3.0

    client.on_timeout = ping
    pair.run(6.0)
    assert server.noted("data") == [(3.0, b"ping"), (6.0, b"ping")]


def test_a_deadline_that_stays_although_it_was_handled_is_an_error(scene: Scene) -> None:
    pair, client, _ = scene
    client.deadline = 1.0
    client.on_timeout = lambda: None
    with pytest.raises(AssertionError, match=r"leaves the deadline at 1 s.*client OPEN"):
        pair.run(2.0)
    assert len(client.inputs) == 2


def test_deadlines_that_never_leave_the_past_are_an_error(scene: Scene) -> None:
    pair, client, _ = scene
    pair.now = client.deadline = 10.0

    def move_about() -> None:
        client.deadline = 9.0 if client.deadline == 10.0 else 10.0

    client.on_timeout = move_about
    with pytest.raises(AssertionError, match="does not come to rest"):
        pair.run(1.0)


def test_connections_that_answer_each_other_without_end_are_an_error(scene: Scene) -> None:
    pair, client, server = scene
    client.out += b"x"
    client.on_data = lambda data: client.out.extend(data)
    server.on_data = lambda data: server.out.extend(data)
    with pytest.raises(AssertionError, match="does not come to rest"):
        pair.settle()


def test_a_connection_that_writes_without_end_is_an_error(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, client, server = scene
    monkeypatch.setattr(testing, "_MOST_MOVES", 100)
    client.out += b"x"
    server.on_data = lambda data: client.out.extend(data)
    with pytest.raises(AssertionError, match="bytes do not stop coming"):
        pair.settle()


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_time_that_cannot_pass_is_refused(scene: Scene, seconds: float) -> None:
    pair, _, _ = scene
    with pytest.raises(ValueError, match="it must be finite and at least 0"):
        pair.run(seconds)
    with pytest.raises(ValueError, match="it must be finite and at least 0"):
        pair.run_until(lambda: True, limit=seconds)
    assert pair.now == 0.0


def test_run_until_moves_nothing_if_it_is_true_already(scene: Scene) -> None:
    pair, client, _ = scene
    client.out += b"x"
    pair.run_until(lambda: True, limit=10.0)
    assert pair.now == 0.0
    assert client.out == b"x"


def test_run_until_stops_in_the_middle_of_an_instant_and_settle_goes_on(scene: Scene) -> None:
    pair, client, server = scene
    pair.to_server.slice = 1
    pair.to_server.latency = 2.0
    client.out += b"abc"
    pair.run_until(lambda: server.heard == b"ab", limit=10.0)
    assert (pair.now, server.heard) == (2.0, b"ab")
    pair.settle()
    assert server.heard == b"abc"


def test_run_until_asks_once_more_when_the_time_is_over(scene: Scene) -> None:
    pair, _, _ = scene
    pair.run_until(lambda: pair.now == 10.0, limit=10.0)
    assert pair.now == 10.0


def test_run_until_names_the_states_if_it_does_not_come_true(scene: Scene) -> None:
    pair, client, _ = scene
    client.state, client.transport = State.CLOSING, Transport.END_WRITE
    with pytest.raises(AssertionError) as failure:
        pair.run_until(lambda: False, limit=5.0)
    assert str(failure.value) == (
        "it did not come true within 5 s: <Pair at 5 s, "
        "client CLOSING END_WRITE until inf s, server OPEN KEEP until inf s>"
    )


REQUEST = Request("/chat", "example.com")


@pytest.mark.usefixtures("scripted")
def test_a_request_is_answered_once_by_the_hook() -> None:
    asked: list[Request] = []
    answer = Response(403)

    def hook(request: Request) -> Response:
        asked.append(request)
        return answer

    pair, client, server = with_both(Pair(on_request=hook))
    server.state = State.CONNECTING
    client.out += b"half of the head"
    pair.settle()
    assert asked == []
    server.on_data = lambda _: setattr(server, "request", REQUEST)
    for _ in range(2):
        client.out += b"the other half, and more"
        pair.settle()
    assert asked == [REQUEST]
    assert server.noted("respond") == [(0.0, answer)]


@pytest.mark.parametrize(
    ("state", "hook", "answers"),
    [
        (State.CONNECTING, testing.accept, [(0.0, None)]),
        (State.CONNECTING, None, []),
        (State.CLOSED, testing.accept, []),
    ],
    ids=["accepted by default", "answered by hand", "failed before it could be answered"],
)
@pytest.mark.usefixtures("scripted")
def test_who_answers_a_request(
    state: State, hook: testing.OnRequest | None, answers: list[object]
) -> None:
    pair, client, server = with_both(Pair(on_request=hook))
    server.state, server.request = state, REQUEST
    client.out += b"head"
    pair.settle()
    assert server.noted("respond") == answers


# With real connections


def send(pair: Pair, connection: Connection, message: Message) -> None:
    assert connection.send(message, now=pair.now)


def test_the_example_in_the_documentation_is_true() -> None:
    results = doctest.testmod(testing)
    assert results.attempted > 0
    assert results.failed == 0


def test_an_opened_pair_has_done_its_handshake_in_two_latencies() -> None:
    """RFC 6455 section 4: one request, one response."""
    pair = Pair.opened(latency=0.1, now=5.0, request=REQUEST)
    assert pair.client.state is pair.server.state is State.OPEN
    assert pair.now == pytest.approx(5.2)
    assert pair.server.request is not None
    assert pair.server.request.target == "/chat"


def test_a_pair_that_does_not_open_says_what_became_of_it() -> None:
    with pytest.raises(AssertionError, match=r"client CLOS.*server CLOS"):
        Pair.opened(on_request=lambda _: Response(403))


def test_a_refused_client_gets_the_response_of_the_hook() -> None:
    pair = Pair(on_request=lambda _: Response(403))
    pair.settle()
    with pytest.raises(HandshakeRejected, match="403"):
        pair.client.poll_open()


def test_a_pair_can_be_answered_by_hand() -> None:
    pair = Pair(Config(subprotocols=["chat"]), Config(subprotocols=["chat"]), on_request=None)
    pair.run(1.0)
    assert pair.server.state is State.CONNECTING
    pair.server.respond(Accept(subprotocol="chat"), now=pair.now)
    pair.settle()
    assert pair.client.subprotocol == "chat"


@given(
    messages=st.lists(st.text(max_size=200) | st.binary(max_size=200), max_size=20),
    latency=st.floats(0, 0.1),
    slice_=st.none() | st.integers(1, 50),
    capacity=st.integers(100, 500),
)
def test_messages_pass_any_wire_in_both_directions(
    messages: list[Message], latency: float, slice_: int | None, capacity: int
) -> None:
    pair = Pair.opened(latency=latency)
    for wire in pair.wires:
        wire.slice, wire.capacity = slice_, capacity
    for message in messages:
        send(pair, pair.client, message)
        send(pair, pair.server, message)
    at_server: list[Message] = []
    at_client: list[Message] = []
    # Each latency carries the capacity once, and 100 times 100 bytes are more than all messages.
    for _ in range(100):
        at_server += pair.received(pair.server)
        at_client += pair.received(pair.client)
        pair.run(latency)
    assert at_server == at_client == messages


def test_received_takes_more_messages_than_the_queue_holds() -> None:
    pair = Pair.opened(server=Config(max_queue=2))
    for number in range(50):
        send(pair, pair.client, str(number))
    assert pair.received(pair.server) == [str(number) for number in range(50)]
    assert pair.received(pair.server) == []


def test_received_ends_with_the_connection() -> None:
    pair = Pair.opened()
    send(pair, pair.client, "last words")
    pair.client.close(now=pair.now)
    assert pair.received(pair.server) == ["last words"]
    pair.run_until(lambda: pair.server.state is State.CLOSED, limit=10.0)
    assert pair.received(pair.server) == []


def test_a_close_is_clean_on_both_sides() -> None:
    """RFC 6455 section 7.1.4."""
    pair = Pair.opened(latency=0.05)
    pair.client.close(1001, "bye", now=pair.now)
    pair.run(1.0)
    for connection in (pair.client, pair.server):
        assert connection.state is State.CLOSED
        assert connection.close_reason is not None
        assert connection.close_reason.clean
        assert connection.close_reason.code == 1001


def test_both_connections_end_with_the_error_of_a_cut() -> None:
    pair = Pair.opened()
    error = OSError("no route to host")
    pair.to_client.cut(error)
    pair.settle()
    for connection in (pair.client, pair.server):
        assert connection.close_reason is not None
        assert connection.close_reason.cause is Cause.TRANSPORT_ERROR
        assert connection.close_reason.error is error


def test_an_aborted_connection_is_a_reset_for_the_other() -> None:
    pair = Pair.opened()
    pair.client.abort(now=pair.now)
    pair.settle()
    assert pair.server.close_reason is not None
    assert isinstance(pair.server.close_reason.error, ConnectionResetError)


def test_a_day_of_keepalive_passes_at_once() -> None:
    pair = Pair.opened(Config(ping_interval=20.0), Config(ping_interval=math.inf), latency=0.01)
    before = pair.to_server.delivered, pair.to_client.delivered
    pair.run(86_400.0)
    assert pair.client.state is pair.server.state is State.OPEN
    # Header, mask key and payload: a masked ping is at least six bytes, a pong at least two
    # (RFC 6455 section 5.2).
    assert pair.to_server.delivered - before[0] >= 6 * 4318
    assert pair.to_client.delivered - before[1] >= 2 * 4318
