"""Two connections, random commands, a wire with faults: what must hold whatever happens.

Nothing is delivered twice, reordered or altered; what is accepted is delivered, or counted as
unsent or unread; both sides end after a close, a cut, or when one vanishes; what is held stays
within its bounds; the first cause stays the cause; no input raises.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from tests.wscore.transitions import Transitions

from wscore import (
    TRANSITIONS,
    Cause,
    CloseReason,
    Config,
    Connection,
    ConnectionClosed,
    Deflate,
    Message,
    Overflow,
    SendBufferFull,
    State,
    Transport,
)
from wscore.testing import Pair

NEVER = math.inf
ENOUGH = 5
"""How many messages there are to be, at least, before anything ends the connection."""

ENDS = [Transport.KEEP, Transport.END_WRITE, Transport.CLOSE, Transport.ABORT]
"""What may be asked of a transport, in the order in which it may be asked."""

CONFIGS = st.builds(
    Config,
    close_timeout=st.sampled_from([1.0, 5.0]),
    fail_timeout=st.sampled_from([0.0, 1.0]),
    send_timeout=st.sampled_from([3.0, NEVER]),
    idle_timeout=st.sampled_from([30.0, NEVER]),
    message_timeout=st.sampled_from([8.0, NEVER]),
    ping_interval=st.sampled_from([2.0, NEVER]),
    ping_timeout=st.sampled_from([3.0, NEVER]),
    max_message_size=st.just(1500),
    max_queue=st.sampled_from([1, (3, 1), 16]),
    max_queue_bytes=st.sampled_from([1, 700, None]),
    control_look_ahead=st.sampled_from([0, 100, NEVER]),
    read_size=st.just(1024),
    keep_unread=st.booleans(),
    max_send_buffer=st.sampled_from([1, 700, (2000, 0)]),
    overflow=st.sampled_from(["wait", "raise", "drop_newest", "drop_oldest", "close"]),
    compression=st.none() | st.just(Deflate(threshold=0)),
)


@dataclass
class Sent:
    """A message that was accepted, or of which a part was."""

    message: Message
    ended: bool


@dataclass
class Side:
    """One connection, what it accepted, and what was taken from it."""

    connection: Connection
    sent: list[Sent] = field(default_factory=list)
    in_parts: Sent | None = None
    taken: list[Message] = field(default_factory=list)
    taken_parts: str | bytes | None = None
    first: CloseReason | None = None
    transport: Transport = Transport.KEEP

    @property
    def reason(self) -> CloseReason:
        reason = self.connection.close_reason
        assert reason is not None
        return reason


SIDES = st.sampled_from(["client", "server"])
SIZES = st.integers(0, 40) | st.integers(0, 1400)


class Simulation(RuleBasedStateMachine):
    """A client and a server, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.transitions = Transitions()
        self.patch.setattr(Connection, "state", self.transitions)
        self.serials = 0
        self.vanished = False

    @initialize(client=CONFIGS, server=CONFIGS)
    def open(self, client: Config, server: Config) -> None:
        self.pair = Pair.opened(client, server)
        self.sides = {"client": Side(self.pair.client), "server": Side(self.pair.server)}

    def other(self, side: Side) -> Side:
        client, server = self.sides.values()
        return server if side is client else client

    def new_message(self, size: int, text: bool) -> Message:
        """A message unlike all others."""
        self.serials += 1
        message = f"{self.serials}:" + "é" * (size // 2)
        return message if text else message.encode()

    # -- commands

    @rule(
        name=SIDES,
        sizes=st.lists(SIZES, min_size=1, max_size=5),
        text=st.booleans(),
        compress=st.none() | st.booleans(),
    )
    def send(self, name: str, sizes: list[int], text: bool, compress: bool | None) -> None:
        for size in sizes:
            self.send_one(self.sides[name], self.new_message(size, text), compress)

    def send_one(self, side: Side, message: Message, compress: bool | None) -> None:
        connection = side.connection
        waits = connection.config.overflow is Overflow.WAIT and not connection.can_send
        if connection.state is not State.OPEN or waits:
            return
        try:
            if connection.send(message, compress=compress, now=self.pair.now):
                side.sent.append(Sent(message, ended=True))
        except SendBufferFull:
            assert connection.config.overflow is Overflow.RAISE
        except ConnectionClosed:
            assert connection.config.overflow is Overflow.CLOSE

    @rule(name=SIDES, size=SIZES, text=st.booleans(), final=st.booleans())
    def send_part(self, name: str, size: int, text: bool, final: bool) -> None:
        side = self.sides[name]
        if side.connection.state is not State.OPEN or not side.connection.can_send:
            return
        sent = side.in_parts
        if sent is None:
            part = self.new_message(size // 2, text)
            side.in_parts = sent = Sent(part, ended=False)
            side.sent.append(sent)
        elif len(sent.message) + size > 700:
            # The whole must stay below max_message_size.
            part, final = sent.message[:0], True
        else:
            part = "p" * size if isinstance(sent.message, str) else b"p" * size
            sent.message += part  # type: ignore[operator]
        side.connection.send_part(part, final=final, now=self.pair.now)
        if final:
            sent.ended = True
            side.in_parts = None

    @rule(name=SIDES, one_way=st.booleans())
    def ping(self, name: str, one_way: bool) -> None:
        connection = self.sides[name].connection
        if connection.state is not State.OPEN:
            return
        if one_way:
            connection.pong(b"heartbeat", now=self.pair.now)
        else:
            connection.ping(now=self.pair.now)

    @rule(name=SIDES, count=st.integers(1, 5))
    def take(self, name: str, count: int) -> None:
        side = self.sides[name]
        try:
            for _ in range(count):
                if not self.take_one(side):
                    break
        except ConnectionClosed:
            assert side.connection.state in (State.CLOSING, State.CLOSED)

    def take_one(self, side: Side) -> bool:
        connection = side.connection
        if side.taken_parts is not None:
            return self.take_part(side)
        there = connection.can_receive
        message = connection.take_message(now=self.pair.now)
        assert (message is not None) is there
        if message is not None:
            side.taken.append(message)
        return there

    def take_part(self, side: Side) -> bool:
        there = side.connection.can_receive_part
        part = side.connection.take_part(now=self.pair.now)
        assert (part is not None) is there
        if part is None:
            return False
        before = side.taken_parts
        whole = part.data if before is None else before + part.data  # type: ignore[operator]
        side.taken_parts = None if part.final else whole
        if part.final:
            side.taken.append(whole)
        return True

    @rule(name=SIDES)
    def take_in_parts(self, name: str) -> None:
        side = self.sides[name]
        try:
            self.take_part(side)
        except ConnectionClosed:
            assert side.connection.state in (State.CLOSING, State.CLOSED)

    @rule(name=SIDES, how=st.sampled_from(["close", "abort", "fail", "interrupt"]))
    def end(self, name: str, how: str) -> None:
        connection = self.sides[name].connection
        if self.serials < ENOUGH:
            return
        if how == "close":
            connection.close(4000, "enough", now=self.pair.now)
        elif how == "abort":
            connection.abort(now=self.pair.now)
        elif how == "fail":
            connection.fail(Cause.HANDLER_ERROR, now=self.pair.now)
        else:
            connection.fail(Cause.SEND_INTERRUPTED, now=self.pair.now)

    # -- what happens

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 10.0]))
    def run(self, seconds: float) -> None:
        self.pair.run(seconds)

    @rule(seconds=st.sampled_from([0.5, 5.0]))
    def sleep(self, seconds: float) -> None:
        self.pair.now += seconds

    @rule(
        name=SIDES,
        latency=st.sampled_from([0.0, 0.5, 20.0]),
        piece=st.sampled_from([None, 1, 50]),
        capacity=st.sampled_from([1, 1000, NEVER]),
        half_close=st.booleans(),
    )
    def change_wire(
        self, name: str, latency: float, piece: int | None, capacity: float, half_close: bool
    ) -> None:
        wire = self.pair.to_server if name == "client" else self.pair.to_client
        wire.latency = NEVER if self.vanished else latency
        wire.slice, wire.capacity = piece, capacity
        wire.half_close = half_close

    @rule(name=SIDES, stalled=st.booleans())
    def stall(self, name: str, stalled: bool) -> None:
        wire = self.pair.to_server if name == "client" else self.pair.to_client
        wire.stalled = stalled

    @rule(name=SIDES)
    def cut(self, name: str) -> None:
        wire = self.pair.to_server if name == "client" else self.pair.to_client
        if self.serials >= ENOUGH:
            wire.cut(OSError("cut"))

    @rule()
    def vanish(self) -> None:
        """From now on nothing arrives, on either side."""
        if self.serials >= ENOUGH:
            self.vanished = True
            for wire in self.pair.wires:
                wire.latency = NEVER

    # -- what must hold

    @invariant()
    def messages_arrive_once_in_order_and_whole(self) -> None:
        for side in self.sides.values():
            sender = self.other(side)
            sent = [each.message for each in sender.sent if each.ended]
            if sender.connection.stats.messages_dropped:
                # Messages differ from one another, so each has one place in the order.
                places = [sent.index(message) for message in side.taken]
                assert places == sorted(set(places))
            else:
                assert side.taken == sent[: len(side.taken)]

    @invariant()
    def what_is_held_stays_within_its_bounds(self) -> None:
        for side in self.sides.values():
            connection, config = side.connection, side.connection.config
            stats = connection.stats
            assert 0 <= connection.want_read <= config.read_size
            assert stats.queue_high_water <= config.queue_marks[0]
            most = config.queue_byte_marks[0] + config.max_message_size
            assert stats.queue_bytes_high_water < most
            assert stats.send_buffer_high_water < config.memory_bound

    @invariant()
    def states_change_as_the_table_says(self) -> None:
        for side in self.sides.values():
            assert set(self.transitions.of(side.connection)) <= set(TRANSITIONS)

    @invariant()
    def the_first_cause_stays_and_the_transport_only_ends(self) -> None:
        for side in self.sides.values():
            connection = side.connection
            reason = connection.close_reason
            assert (reason is None) is (connection.state is State.OPEN)
            if side.first is not None:
                first = side.first
                assert reason is not None
                assert (reason.cause, reason.code, reason.by) == (
                    first.cause,
                    first.code,
                    first.by,
                )
                assert reason.unsent >= first.unsent
            side.first = reason
            assert ENDS.index(connection.transport) >= ENDS.index(side.transport)
            side.transport = connection.transport

    @invariant()
    def outputs_agree(self) -> None:
        for side in self.sides.values():
            connection = side.connection
            assert connection.want_write is bool(connection.data_to_send())
            if connection.state is State.CLOSED:
                assert not connection.want_write
                assert not connection.can_send
                assert connection.want_read == 0
                assert connection.poll_close() == connection.close_reason
            else:
                assert connection.poll_close() is None

    # -- how it ends

    def teardown(self) -> None:
        try:
            if hasattr(self, "pair"):
                self.finish()
        finally:
            self.patch.undo()

    def finish(self) -> None:
        if not self.vanished:
            self.heal()
            self.check_that_all_arrives()
        healthy = self.is_open() and not self.vanished
        for side in self.sides.values():
            side.connection.close(now=self.pair.now)
        self.pair.run(60.0)
        for side in self.sides.values():
            assert side.connection.state is State.CLOSED
            assert side.connection.deadline == NEVER
            assert side.reason.clean or not healthy
            self.take_everything(side)
        self.messages_arrive_once_in_order_and_whole()
        for side in self.sides.values():
            self.check_that_nothing_is_lost_silently(side)

    def heal(self) -> None:
        for wire in self.pair.wires:
            wire.stalled, wire.slice, wire.capacity, wire.latency = False, None, NEVER, 0.0
        self.pair.settle()

    def is_open(self) -> bool:
        return all(side.connection.state is State.OPEN for side in self.sides.values())

    def check_that_all_arrives(self) -> None:
        """While both are open, whoever takes gets everything."""
        for side in self.sides.values():
            if self.is_open() and side.in_parts is not None:
                side.connection.send_part(side.in_parts.message[:0], final=True, now=self.pair.now)
                side.in_parts.ended = True
        # What left before the wire healed arrives within its latency.
        for _ in range(50):
            self.pair.run(1.0)
            for side in self.sides.values():
                while self.is_open() and self.take_one(side):
                    self.pair.settle()
        self.messages_arrive_once_in_order_and_whole()
        if self.is_open():
            for side in self.sides.values():
                sender = self.other(side)
                dropped = sender.connection.stats.messages_dropped
                if sender.connection.config.overflow is Overflow.DROP_NEWEST:
                    dropped = 0  # they were never accepted
                assert len(side.taken) == len(sender.sent) - dropped

    def take_everything(self, side: Side) -> None:
        with suppress(ConnectionClosed):
            while self.take_one(side):
                pass
            raise AssertionError("a closed connection says that there is nothing yet")

    def check_that_nothing_is_lost_silently(self, sender: Side) -> None:
        receiver = self.other(sender)
        counted = len(receiver.taken) + receiver.reason.unread + sender.reason.unsent
        # One that left in part is unsent there and may be unread here.
        assert counted <= len(sender.sent) + 1
        if receiver.reason.close_received is not None:
            # Everything that left has come, in front of the Close frame.
            assert counted >= len(sender.sent)
        if sender.reason.clean and receiver.reason.clean:
            assert receiver.reason.close_received == sender.reason.close_sent


TestSimulation = Simulation.TestCase
