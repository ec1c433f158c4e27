"""The only place for what can happen to two connections, and for what must hold whatever happens.

Nothing is delivered twice, reordered or altered; what is accepted is delivered, or counted as
unsent or unread; both sides end after a close, a cut, or when one vanishes; what is held stays
within its bounds; what ended a connection is something that happened, and the first such thing;
no input raises.

:class:`Simulation` acts, and checks after each action. Who decides what happens next is somebody
else: Hypothesis in ``test_simulation``, a seed in ``test_faults``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
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
from wscore.testing import Pair, Wire

NEVER: Final = math.inf

ENOUGH: Final = 5
"""How many messages there are to be, at least, before anything ends the connection."""

ENDS: Final = [Transport.KEEP, Transport.END_WRITE, Transport.CLOSE, Transport.ABORT]
"""What may be asked of a transport, in the order in which it may be asked."""

POLICIES: Final[Mapping[str, Sequence[Any]]] = {
    "close_timeout": [1.0, 5.0],
    "fail_timeout": [0.0, 1.0],
    "send_timeout": [3.0, NEVER],
    "idle_timeout": [30.0, NEVER],
    "message_timeout": [8.0, NEVER],
    "ping_interval": [2.0, NEVER],
    "ping_timeout": [3.0, NEVER],
    "max_message_size": [1500],
    "max_queue": [1, (3, 1), 16],
    "max_queue_bytes": [1, 700, None],
    "control_look_ahead": [0, 100, NEVER],
    "read_size": [1024],
    "keep_unread": [False, True],
    "keep_fragments": [False, True],
    "max_send_buffer": [1, 700, (2000, 0)],
    "overflow": ["wait", "raise", "drop_newest", "drop_oldest", "close"],
    "compression": [None, Deflate(threshold=0)],
}
"""What each field of the Config of a side may be."""

_SIDES: Final = ["client", "server"]
_YES_OR_NO: Final = [False, True]
_SIZES: Final = [*range(41), *range(50, 1400, 45)]

ACTIONS: Final[Mapping[str, Mapping[str, Sequence[Any]]]] = {
    "send": {
        "name": _SIDES,
        "count": range(1, 6),
        "size": _SIZES,
        "text": _YES_OR_NO,
        "compress": [None, False, True],
    },
    "send_part": {"name": _SIDES, "size": _SIZES, "text": _YES_OR_NO, "final": _YES_OR_NO},
    "ping": {"name": _SIDES, "one_way": _YES_OR_NO},
    "take": {"name": _SIDES, "count": range(1, 6)},
    "take_in_parts": {"name": _SIDES},
    "end": {"name": _SIDES, "how": ["close", "abort", "fail", "interrupt"]},
    "run": {"seconds": [0.0, 0.1, 1.0, 10.0]},
    "sleep": {"seconds": [0.5, 5.0]},
    "change_wire": {
        "name": _SIDES,
        "latency": [0.0, 0.5, 20.0],
        "piece": [None, 1, 50],
        "capacity": [1, 1000, NEVER],
        "half_close": _YES_OR_NO,
    },
    "stall": {"name": _SIDES, "stalled": _YES_OR_NO},
    "cut": {"name": _SIDES},
    "vanish": {},
}
"""What can happen, as methods of :class:`Simulation`, and the choices for their arguments."""


class Violated(AssertionError):
    """Something did not hold; the cause says what exactly.

    :ivar rule: the name of the method that checks it.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(f"it does not hold that {rule.replace('_', ' ')}")
        self.rule = rule


@dataclass
class Sent:
    """A message that was accepted, or of which a part was."""

    message: Message
    ended: bool


@dataclass
class Side:
    """One connection, what it accepted, what was taken from it, and what befell it."""

    connection: Connection
    sent: list[Sent] = field(default_factory=list)
    in_parts: Sent | None = None
    taken: list[Message] = field(default_factory=list)
    taken_parts: str | bytes | None = None
    first: CloseReason | None = None
    transport: Transport = Transport.KEEP
    asked: set[Cause] = field(default_factory=set)

    @property
    def rested(self) -> bool:
        """Whether its queue was full: a slow consumer may leave its peer without an answer."""
        stats, config = self.connection.stats, self.connection.config
        return (
            stats.queue_high_water >= config.queue_marks[0]
            or stats.queue_bytes_high_water >= config.queue_byte_marks[0]
        )

    @property
    def reason(self) -> CloseReason:
        reason = self.connection.close_reason
        assert reason is not None
        return reason


class Simulation:
    """A client and a server, and everything that can happen to them."""

    def __init__(self, client: Config, server: Config) -> None:
        self.patch = pytest.MonkeyPatch()
        self.transitions = Transitions()
        self.patch.setattr(Connection, "state", self.transitions)
        self.serials = 0
        self.vanished = False
        self.troubled = False
        self.was_cut = False
        self.pair = Pair.opened(client, server)
        self.sides = {"client": Side(self.pair.client), "server": Side(self.pair.server)}

    def act(self, action: str, arguments: Mapping[str, Any]) -> None:
        """Let something happen, and check that all rules hold."""
        getattr(self, action)(**arguments)
        for rule in RULES:
            self._check(rule)

    def _check(self, rule: Callable[[Simulation], None]) -> None:
        try:
            rule(self)
        except AssertionError as error:
            raise Violated(rule.__name__) from error

    def other(self, side: Side) -> Side:
        client, server = self.sides.values()
        return server if side is client else client

    def new_message(self, size: int, text: bool) -> Message:
        """A message unlike all others."""
        self.serials += 1
        message = f"{self.serials}:" + "é" * (size // 2)
        return message if text else message.encode()

    # -- commands

    def send(self, name: str, count: int, size: int, text: bool, compress: bool | None) -> None:
        for _ in range(count):
            self._send_one(self.sides[name], self.new_message(size, text), compress)

    def _send_one(self, side: Side, message: Message, compress: bool | None) -> None:
        connection = side.connection
        waits = connection.config.overflow is Overflow.WAIT and not connection.can_send
        if connection.state is not State.OPEN or waits:
            return
        if compress is None and connection.send_behind(message):
            side.sent.append(Sent(message, ended=True))
            return
        try:
            if connection.send(message, compress=compress, now=self.pair.now):
                side.sent.append(Sent(message, ended=True))
        except SendBufferFull:
            assert connection.config.overflow is Overflow.RAISE
        except ConnectionClosed:
            assert connection.config.overflow is Overflow.CLOSE
            side.asked.add(Cause.OVERFLOW)

    def send_part(self, name: str, size: int, text: bool, final: bool) -> None:
        side = self.sides[name]
        if not side.connection.can_send_part:
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

    def ping(self, name: str, one_way: bool) -> None:
        connection = self.sides[name].connection
        if connection.state is not State.OPEN:
            return
        if one_way:
            connection.pong(b"heartbeat", now=self.pair.now)
        else:
            connection.ping(now=self.pair.now)

    def take(self, name: str, count: int) -> None:
        side = self.sides[name]
        try:
            for _ in range(count):
                if not self._take_one(side):
                    break
        except ConnectionClosed:
            assert side.connection.state in (State.CLOSING, State.CLOSED)

    def _take_one(self, side: Side) -> bool:
        connection = side.connection
        if side.taken_parts is not None:
            return self._take_part(side)
        there = connection.can_receive
        message = self._take_ready(connection)
        if message is None:
            message = connection.take_message(now=self.pair.now)
        assert (message is not None) is there
        if message is not None:
            side.taken.append(message)
        return there

    def _take_ready(self, connection: Connection) -> Message | None:
        def outputs() -> list[object]:
            shown = connection.want_read, connection.want_write, connection.can_send
            return [*shown, connection.deadline, connection.state, connection.transport]

        before = outputs()
        message = connection.take_ready()
        assert outputs() == before
        return message

    def _take_part(self, side: Side) -> bool:
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

    def take_in_parts(self, name: str) -> None:
        side = self.sides[name]
        try:
            self._take_part(side)
        except ConnectionClosed:
            assert side.connection.state in (State.CLOSING, State.CLOSED)

    def end(self, name: str, how: str) -> None:
        side = self.sides[name]
        if self.serials < ENOUGH:
            return
        connection, now = side.connection, self.pair.now
        if how == "close":
            side.asked.add(Cause.CLOSED)
            connection.close(4000, "enough", now=now)
        elif how == "abort":
            side.asked.add(Cause.ABORTED)
            connection.abort(now=now)
        else:
            cause = Cause.HANDLER_ERROR if how == "fail" else Cause.SEND_INTERRUPTED
            side.asked.add(cause)
            connection.fail(cause, now=now)

    # -- what happens

    def run(self, seconds: float) -> None:
        self.pair.run(seconds)

    def sleep(self, seconds: float) -> None:
        self.troubled = True
        self.pair.now += seconds

    def _wire(self, name: str) -> Wire:
        return self.pair.to_server if name == "client" else self.pair.to_client

    def change_wire(
        self, name: str, latency: float, piece: int | None, capacity: float, half_close: bool
    ) -> None:
        wire = self._wire(name)
        self.troubled = True
        wire.latency = NEVER if self.vanished else latency
        wire.slice, wire.capacity = piece, capacity
        wire.half_close = half_close

    def stall(self, name: str, stalled: bool) -> None:
        self.troubled = True
        self._wire(name).stalled = stalled

    def cut(self, name: str) -> None:
        if self.serials >= ENOUGH:
            self.was_cut = True
            self._wire(name).cut(OSError("cut"))

    def vanish(self) -> None:
        """From now on nothing arrives, on either side."""
        if self.serials >= ENOUGH:
            self.vanished = self.troubled = True
            for wire in self.pair.wires:
                wire.latency = NEVER

    # -- what must hold

    def messages_arrive_once_in_order_and_whole(self) -> None:
        for side in self.sides.values():
            sender = self.other(side)
            sent = [each.message for each in sender.sent if each.ended]
            if sender.connection.stats.messages_dropped:
                # Messages differ from one another, so each has one place in the order.
                assert all(message in sent for message in side.taken)
                places = [sent.index(message) for message in side.taken]
                assert places == sorted(set(places))
            else:
                assert side.taken == sent[: len(side.taken)]

    def what_is_held_stays_within_its_bounds(self) -> None:
        for side in self.sides.values():
            connection, config = side.connection, side.connection.config
            stats = connection.stats
            assert 0 <= connection.want_read <= config.read_size
            assert stats.queue_high_water <= config.queue_marks[0]
            most = config.queue_byte_marks[0] + config.max_message_size
            assert stats.queue_bytes_high_water < most
            assert stats.send_buffer_high_water < config.memory_bound

    def states_change_as_the_table_says(self) -> None:
        for side in self.sides.values():
            assert set(self.transitions.of(side.connection)) <= set(TRANSITIONS)

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

    def the_cause_is_something_that_happened(self) -> None:
        for side in self.sides.values():
            connection = side.connection
            if (reason := connection.close_reason) is not None:
                assert reason.cause in self._possible_causes(side), reason

    def _possible_causes(self, side: Side) -> set[Cause]:
        config, peer = side.connection.config, self.other(side)
        causes = set(side.asked)
        if (theirs := peer.connection.close_reason) is not None:
            # What the peer ended, or lost, ends here as one of these.
            causes |= {Cause.EOF, Cause.TRANSPORT_ERROR}
            if theirs.close_sent is not None:
                causes.add(Cause.PEER_CLOSED)
        if self.was_cut:
            causes.add(Cause.TRANSPORT_ERROR)
        if self.troubled or peer.rested:
            timeouts = {
                Cause.PING_TIMEOUT: config.ping_timeout,
                Cause.SEND_TIMEOUT: config.send_timeout,
            }
            causes |= {cause for cause, seconds in timeouts.items() if seconds < NEVER}
        if self.pair.now >= config.idle_timeout:
            causes.add(Cause.IDLE_TIMEOUT)
        if self.pair.now >= config.message_timeout:
            causes.add(Cause.MESSAGE_TIMEOUT)
        return causes

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

    def finish(self) -> None:
        """Heal what can be healed, close both sides, and check what must hold at the end."""
        try:
            self._finish()
        finally:
            self.undo()

    def undo(self) -> None:
        self.patch.undo()

    def _finish(self) -> None:
        if not self.vanished:
            self._heal()
            self._check(Simulation.what_is_accepted_arrives)
        healthy = self._is_open() and not self.vanished
        for side in self.sides.values():
            side.asked.add(Cause.CLOSED)
            side.connection.close(now=self.pair.now)
        self.pair.run(60.0)
        for side in self.sides.values():
            self._check(Simulation.both_sides_end)
            assert side.reason.clean or not healthy
            self._take_everything(side)
        for rule in (*RULES, Simulation.nothing_is_lost_silently):
            self._check(rule)

    def _heal(self) -> None:
        for wire in self.pair.wires:
            wire.stalled, wire.slice, wire.capacity, wire.latency = False, None, NEVER, 0.0
        self.pair.settle()

    def _is_open(self) -> bool:
        return all(side.connection.state is State.OPEN for side in self.sides.values())

    def what_is_accepted_arrives(self) -> None:
        """While both are open, whoever takes gets everything."""
        for side in self.sides.values():
            if self._is_open() and side.in_parts is not None:
                side.connection.send_part(side.in_parts.message[:0], final=True, now=self.pair.now)
                side.in_parts.ended = True
        # What left before the wire healed arrives within its latency.
        for _ in range(25):
            self.pair.run(1.0)
            for side in self.sides.values():
                while self._is_open() and self._take_one(side):
                    self.pair.settle()
        self.messages_arrive_once_in_order_and_whole()
        if self._is_open():
            for side in self.sides.values():
                sender = self.other(side)
                dropped = sender.connection.stats.messages_dropped
                if sender.connection.config.overflow is Overflow.DROP_NEWEST:
                    dropped = 0  # they were never accepted
                assert len(side.taken) == len(sender.sent) - dropped

    def both_sides_end(self) -> None:
        for side in self.sides.values():
            assert side.connection.state is State.CLOSED
            assert side.connection.deadline == NEVER

    def _take_everything(self, side: Side) -> None:
        with suppress(ConnectionClosed):
            while self._take_one(side):
                pass
            raise AssertionError("a closed connection says that there is nothing yet")

    def nothing_is_lost_silently(self) -> None:
        for sender in self.sides.values():
            receiver = self.other(sender)
            counted = len(receiver.taken) + receiver.reason.unread + sender.reason.unsent
            # One that left in part is unsent there and may be unread here.
            assert counted <= len(sender.sent) + 1
            if receiver.reason.close_received is not None:
                # Everything that left has come, in front of the Close frame.
                assert counted >= len(sender.sent)
            if sender.reason.clean and receiver.reason.clean:
                assert receiver.reason.close_received == sender.reason.close_sent


RULES: Final = (
    Simulation.messages_arrive_once_in_order_and_whole,
    Simulation.what_is_held_stays_within_its_bounds,
    Simulation.states_change_as_the_table_says,
    Simulation.the_first_cause_stays_and_the_transport_only_ends,
    Simulation.the_cause_is_something_that_happened,
    Simulation.outputs_agree,
)
"""What holds at any time; :meth:`Simulation.finish` adds what holds at the end."""
