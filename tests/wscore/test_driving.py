"""Which task moves the bytes of a connection, and that none is forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from itertools import pairwise
from typing import Any

import pytest
from tests.wscore.carried import MakeScene, Scene, Wire, recv, why
from tests.wscore.kernel import Broken, Kernel, Task, always, until
from tests.wscore.rawpeer import RESERVED, frame, reason_of

from wscore import (
    CallerDriven,
    Cause,
    Config,
    Connection,
    ConnectionClosed,
    HandshakeInterrupted,
    OpenTimeout,
    Role,
    State,
)

# -------------------------------------------------------------------------- reading


@pytest.mark.parametrize("plain", [True, False])
def test_if_nobody_receives_the_connection_reads_for_itself(stage: MakeScene, plain: bool) -> None:
    scene = stage(plain=plain)
    scene.peer.connection.ping(now=0.0)
    scene.peer.write()
    # It is no hurry, since most receive soon; a stream only the connection can read.
    scene.kernel.wait(0.015)
    scene.peer.read()
    assert (scene.peer.connection.latency is None) == plain
    scene.kernel.wait(0.01)
    scene.peer.read()
    assert scene.peer.connection.latency is not None


def test_a_short_connection_takes_no_tasks_besides(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("hello")
    scene.kernel.settle()
    scene.kernel.run(scene.websocket.send(task.result()))
    assert scene.peer.read() == ["hello"]
    task = recv(scene)
    scene.peer.connection.close(now=0.0)
    scene.peer.write()
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed):
        task.result()
    scene.carried.result()
    assert scene.kernel.children == set()


@pytest.mark.parametrize("verb", ["ping", "close"])
@pytest.mark.parametrize("received", [True, False])
def test_who_waits_for_an_answer_need_not_receive(
    stage: MakeScene, verb: str, received: bool
) -> None:
    """Nor does it wait until the connection would read for itself."""
    scene = stage(role=Role.CLIENT)
    if received:
        # So that it has begun to, but now leaves that to who receives.
        scene.let_read()
        task = recv(scene)
        scene.peer.say("one")
        scene.kernel.settle()
        assert task.result() == "one"
    task = scene.kernel.start(getattr(scene.websocket, verb)())
    for _ in range(3):
        scene.kernel.settle()
        scene.peer.read()
        if verb == "close":
            scene.wire.coming.append(b"")
    assert task.ended
    assert scene.kernel.now == 0


def test_who_waits_for_an_answer_lets_a_receiver_read(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    ping = scene.kernel.start(scene.websocket.ping())
    scene.kernel.settle()
    scene.peer.read()
    scene.kernel.settle()
    assert ping.ended
    assert not task.ended
    assert {*scene.socket.readers} == {task}
    task.cancel()


def test_who_waits_for_the_end_lets_a_receiver_read(stage: MakeScene) -> None:
    scene = stage()
    scene.let_read()
    watching = scene.kernel.start(scene.websocket.wait_closed())
    task = recv(scene)
    scene.peer.say("0")
    scene.kernel.settle()
    assert task.ended
    for number in range(1, 5):
        scene.socket.readers.clear()
        task = recv(scene)
        scene.peer.say(str(number))
        scene.kernel.settle()
        assert task.result() == str(number)
        assert {*scene.socket.readers} == {task}
    # Once it is closing, the answer is waited for.
    scene.websocket._connection.close(now=scene.kernel.now)
    scene.websocket._settle()
    scene.kernel.settle()
    scene.peer.read()
    scene.kernel.settle()
    assert watching.result().clean


def test_the_tasks_of_a_connection_keep_nothing_of_who_was_the_cause(
    stage: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = ContextVar("variable", default="the connection's")
    scene = stage()
    seen: list[str] = []
    begin = scene.kernel.start

    def start(*arguments: Any) -> Task[Any]:
        seen.append(variable.get())
        return begin(*arguments)

    def cause() -> None:
        variable.set("the caller's")
        scene.wire.room = 0
        scene.websocket._connection.send("to be written", now=0.0)
        scene.websocket._settle()
        scene.let_read()

    monkeypatch.setattr(scene.kernel, "start", start)
    copy_context().run(cause)
    assert seen == ["the connection's", "the connection's"]


def test_who_waits_for_an_answer_may_come_before_the_carrier(stage: MakeScene) -> None:
    scene = stage()
    scene.carried.cancel()
    scene.kernel.settle()
    websocket = scene.kernel.websocket()
    ping = scene.kernel.start(websocket.ping())
    scene.kernel.settle()
    scene.socket = type(scene.socket)(scene.kernel, Wire(), websocket._connection)
    carried = scene.kernel.start(websocket._run(scene.socket))
    scene.kernel.settle()
    assert len(scene.socket.readers) == 1
    assert scene.kernel.now == 0
    ping.cancel()
    carried.cancel()


def test_whoever_receives_reads_for_itself(stage: MakeScene) -> None:
    scene = stage()
    for text in ("one", "two", "three"):
        task = recv(scene)
        scene.peer.say(text)
        scene.kernel.settle()
        assert task.result() == text
        assert scene.socket.readers.pop() is task
    assert scene.socket.readers == []


def test_once_nobody_has_received_for_a_while_the_connection_reads_again(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("one")
    scene.kernel.settle()
    assert task.ended
    scene.peer.connection.ping(now=0.0)
    scene.peer.write()
    scene.kernel.wait(0.015)
    scene.peer.read()
    assert scene.peer.connection.latency is None
    scene.kernel.wait(0.03)
    scene.peer.read()
    assert scene.peer.connection.latency is not None


@pytest.mark.parametrize("begun", [True, False])
def test_whoever_receives_again_and_again_is_left_alone(stage: MakeScene, begun: bool) -> None:
    scene = stage()
    if begun:
        # The connection has read for itself before.
        scene.let_read()
    task = recv(scene)
    scene.peer.say("0")
    scene.kernel.settle()
    assert task.ended
    scene.socket.readers.clear()
    for number in range(1, 10):
        task = recv(scene)
        scene.peer.say(str(number))
        scene.kernel.settle()
        assert task.result() == str(number)
        assert {*scene.socket.readers} == {task}
        scene.socket.readers.clear()
        scene.kernel.wait(0.015)


def test_the_connection_reads_once_who_waited_for_long_has_left(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("one")
    scene.kernel.settle()
    scene.socket.readers.clear()
    task = recv(scene)
    scene.kernel.wait(1)
    assert {*scene.socket.readers} == {task}
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    scene.socket.readers.clear()
    scene.peer.connection.ping(now=scene.kernel.now)
    scene.peer.write()
    scene.kernel.wait(1)
    scene.peer.read()
    assert scene.peer.connection.latency is not None
    assert task not in scene.socket.readers


def test_who_found_the_connection_reading_and_left_does_not_stop_it(stage: MakeScene) -> None:
    scene = stage()
    scene.kernel.wait(0.03)
    task = recv(scene)
    task.cancel()
    scene.kernel.settle()
    for _ in range(2):
        scene.kernel.wait(1)
        ping = scene.peer.connection.ping(now=scene.kernel.now)
        scene.peer.write()
        scene.kernel.wait(0.06)
        scene.peer.read()
        assert ping.round_trip is not None


def test_a_receiver_that_finds_the_connection_reading_goes_on_when_it_has(
    stage: MakeScene,
) -> None:
    """What it has begun is not handed back. Then the receiver reads: messages come in pieces."""
    scene = stage()
    scene.let_read()
    task = recv(scene)
    scene.peer.say("hello")
    whole = scene.wire.coming.pop()
    for piece in (whole[:3], whole[3:5], whole[5:]):
        scene.wire.coming.append(piece)
        scene.kernel.settle()
    assert task.result() == "hello"
    assert [reader is task for reader in scene.socket.readers[:3]] == [False, True, True]


@pytest.mark.parametrize("plain", [True, False])
def test_a_full_queue_is_not_read_on_until_somebody_takes(stage: MakeScene, plain: bool) -> None:
    scene = stage(Config(max_queue=1, control_look_ahead=0), plain=plain)
    scene.peer.say("one")
    scene.peer.connection.ping(now=0.0)
    scene.peer.write()
    scene.kernel.wait(1)
    assert scene.websocket._connection.want_read == 0
    assert scene.wire.coming
    # Nobody waits to receive: the connection reads on by itself, and at once.
    assert scene.kernel.run(scene.websocket.recv()) == "one"
    scene.kernel.settle()
    scene.peer.read()
    assert scene.peer.connection.latency is not None


def test_whoever_waits_for_something_else_does_not_read_what_is_not_wanted(
    stage: MakeScene,
) -> None:
    scene = stage(Config(max_queue=1, control_look_ahead=0))
    scene.peer.say("one")
    scene.peer.say("two")
    scene.let_read()
    scene.socket.readers.clear()
    task = scene.kernel.start(scene.websocket._until_received(lambda: False))
    scene.peer.say("three")
    scene.kernel.settle()
    assert scene.wire.coming
    # It does not try again and again.
    assert scene.socket.readers == [task]
    task.cancel()


def test_a_stream_is_read_by_the_connection_for_whoever_receives(stage: MakeScene) -> None:
    scene = stage(plain=False)
    for text in ("one", "two"):
        task = recv(scene)
        assert not task.ended
        scene.peer.say(text)
        scene.kernel.settle()
        assert task.result() == text


def test_messages_that_nobody_waits_for_wake_nobody(stage: MakeScene) -> None:
    scene = stage()
    scene.let_read()
    waiting = scene.kernel.start(scene.websocket._until(lambda: scene.websocket.stats.work > 2))
    scene.kernel.settle()
    scene.peer.say("a")
    scene.kernel.settle()
    assert not waiting.ended
    scene.peer.say("bc")
    scene.kernel.settle()
    assert waiting.ended


def test_a_receiver_is_woken_by_what_is_no_message(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.websocket.abort()
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed):
        task.result()


def test_a_receiver_that_reads_is_woken_too(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("one")
    scene.kernel.settle()
    assert task.ended
    task = recv(scene)
    assert scene.socket.readers[-1] is task
    scene.websocket.abort()
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed):
        task.result()


def test_a_receiver_that_reads_learns_at_once_that_we_close(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("one")
    scene.kernel.settle()
    task = recv(scene)
    assert scene.socket.readers[-1] is task
    scene.kernel.start(scene.websocket.close())
    scene.kernel.settle()
    # The peer has not answered yet.
    assert scene.websocket.state is State.CLOSING
    with pytest.raises(ConnectionClosed):
        task.result()


def test_before_there_is_a_carrier_a_receiver_waits(stage: MakeScene) -> None:
    scene = stage()
    other = scene.kernel.websocket()
    task = scene.kernel.start(other.recv())
    scene.kernel.settle()
    assert not task.ended
    other._lose(ConnectionRefusedError())
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed) as caught:
        task.result()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert scene.kernel.run(other.wait_closed()).cause is Cause.TRANSPORT_ERROR


def test_who_has_waited_for_something_is_not_asked_again(stage: MakeScene) -> None:
    scene = stage()
    asked: list[float] = []

    def ready() -> bool:
        asked.append(scene.kernel.now)
        return scene.kernel.now >= 5

    task = scene.kernel.start(scene.websocket._until(ready))
    scene.kernel.settle()
    scene.websocket._settle()
    scene.kernel.wait(5)
    scene.websocket._settle()
    scene.kernel.settle()
    assert task.ended
    asked.clear()
    scene.websocket._settle()
    assert asked == []


# ---------------------------------------------------------------------- whose turn it is


def test_an_answer_to_what_was_waited_for_takes_no_turn_of_its_own(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.peer.say("first")
    scene.kernel.settle()
    assert task.ended
    scene.kernel.run(scene.websocket.send("nothing to do with it"))
    steps: list[str] = []

    async def answer() -> None:
        await scene.websocket.recv()
        steps.append("received")
        await scene.websocket.send("one")
        steps.append("one")
        # Later, so that it is not one of a row.
        scene.kernel.now += 1
        await scene.websocket.send("two")
        steps.append("two")

    task = scene.kernel.start(answer())
    scene.kernel.settle()
    scene.peer.say("hello")
    scene.kernel.turn()
    assert steps == ["received", "one"]
    scene.kernel.settle()
    assert steps == ["received", "one", "two"]


def test_a_batch_does_not_keep_others_waiting(stage: MakeScene) -> None:
    scene = stage(Config(max_queue=100))
    scene.peer.say(*map(str, range(100)))
    scene.kernel.settle()
    received = 0
    seen: list[int] = []

    async def receive() -> None:
        nonlocal received
        for _ in range(100):
            await scene.websocket.recv()
            received += 1

    async def look() -> None:
        while received < 100:
            seen.append(received)
            await until(always)

    scene.kernel.start(receive())
    scene.kernel.start(look())
    scene.kernel.settle()
    gaps = {after - before for before, after in pairwise([*seen, 100])}
    # A turn for each would cost more than receiving does.
    assert max(gaps) == 17


# -------------------------------------------------------------------------- writing


def test_what_the_socket_does_not_take_at_once_is_written_when_it_does(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 3
    scene.kernel.run(scene.websocket.send("hello"))
    scene.kernel.run(scene.websocket.send("world"))
    assert scene.peer.read() == []
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert scene.peer.read() == ["hello", "world"]


def test_nothing_overtakes_what_is_being_written(stage: MakeScene) -> None:
    scene = stage(plain=False)
    scene.wire.room = 3
    scene.kernel.run(scene.websocket.send("hello"))
    scene.kernel.settle()
    assert scene.stream.is_writing
    scene.kernel.run(scene.websocket.send("world"))
    scene.kernel.run(scene.websocket.pong())
    assert b"".join(scene.wire.written) == b"\x81\x05h"
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert scene.peer.read() == ["hello", "world"]


@pytest.mark.parametrize("plain", [True, False])
def test_what_writing_raises_is_why_the_connection_ended(stage: MakeScene, plain: bool) -> None:
    scene = stage(plain=plain)
    scene.wire.error = BrokenPipeError("gone")
    scene.kernel.run(scene.websocket.send("hello"))
    assert scene.kernel.run(scene.websocket.wait_closed()).cause is Cause.TRANSPORT_ERROR
    with pytest.raises(ConnectionClosed) as caught:
        scene.kernel.run(scene.websocket.recv())
    assert caught.value.__cause__ is scene.wire.error
    assert scene.carried.ended


def test_what_writing_later_raises_is_too(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 3
    scene.kernel.run(scene.websocket.send("hello"))
    scene.wire.error = BrokenPipeError("gone")
    scene.kernel.settle()
    assert why(scene).cause is Cause.TRANSPORT_ERROR
    assert scene.carried.ended


def test_what_is_settled_on_a_broken_socket_ends_the_connection(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.error = BrokenPipeError("gone")
    scene.kernel.run(scene.websocket.pong())
    assert why(scene).cause is Cause.TRANSPORT_ERROR
    assert scene.carried.ended


def test_what_reading_raises_comes_behind_what_was_received(stage: MakeScene) -> None:
    scene = stage()
    scene.peer.say("the last one")
    scene.wire.broken = ConnectionResetError("by peer")
    scene.kernel.settle()
    assert scene.kernel.run(scene.websocket.recv()) == "the last one"
    with pytest.raises(ConnectionClosed) as caught:
        scene.kernel.run(scene.websocket.recv())
    assert caught.value.__cause__ is scene.wire.broken


def test_of_what_a_stream_raises_the_cause_is_told(stage: MakeScene) -> None:
    scene = stage(plain=False)
    told = ConnectionResetError("by peer")
    wrapped = LookupError("the runtime's")
    wrapped.__cause__ = told

    async def fail(size: int, /) -> bytes:
        raise wrapped

    scene.stream._receive = fail  # type: ignore[method-assign]
    scene.peer.say("a message, after which it fails")
    scene.kernel.settle()
    assert scene.kernel.run(scene.websocket.recv())
    with pytest.raises(ConnectionClosed) as caught:
        scene.kernel.run(scene.websocket.recv())
    assert caught.value.__cause__ is told


# ----------------------------------------------------------------------------- time


def test_a_day_of_keepalive(stage: MakeScene) -> None:
    scene = stage()
    for _ in range(24 * 360):
        scene.kernel.wait(10)
        scene.peer.read()
    assert scene.websocket.state is State.OPEN
    assert scene.websocket.stats.pings_sent == pytest.approx(24 * 180, abs=24 * 60)


@pytest.mark.parametrize("key", [None, "key"])
def test_a_deadline_that_moves_to_the_front_is_kept(stage: MakeScene, key: str | None) -> None:
    scene = stage(Config(ping_interval=math.inf, send_timeout=5, overflow="replace"))
    scene.kernel.wait(100)
    scene.wire.room = 0
    scene.kernel.run(scene.websocket.send("hello", key=key))
    scene.kernel.wait(4)
    assert scene.websocket.state is State.OPEN
    scene.kernel.wait(1)
    assert why(scene).cause is Cause.SEND_TIMEOUT


# ------------------------------------------------------------------------------ end


def test_a_server_closes_when_both_have_said_it(stage: MakeScene) -> None:
    scene = stage()
    closing = scene.kernel.start(scene.websocket.close(4000, "enough"))
    scene.kernel.settle()
    assert not closing.ended
    scene.peer.read()
    scene.kernel.settle()
    closing.result()
    scene.carried.result()
    assert why(scene).code == 4000
    assert why(scene).clean
    assert scene.socket.closed == 1
    assert scene.kernel.now == 0


def fail(scene: Scene) -> None:
    scene.wire.coming.append(frame(RESERVED, masked=True))
    scene.let_read()


@pytest.mark.parametrize("plain", [True, False])
def test_a_failure_ends_the_write_side_once_and_reads_on(stage: MakeScene, plain: bool) -> None:
    scene = stage(plain=plain)
    fail(scene)
    assert scene.wire.written.pop() == b""
    scene.websocket._settle()
    scene.kernel.settle()
    assert b"" not in scene.wire.written
    assert not scene.carried.ended
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    scene.carried.result()
    assert scene.kernel.now == 0


def test_the_write_side_ends_behind_what_is_still_written(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 0
    fail(scene)
    assert not scene.socket.write_ended
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert scene.socket.write_ended
    assert scene.wire.written.pop() == b""
    assert b"".join(scene.wire.written)[2:4] == (1002).to_bytes(2, "big")


def test_a_write_side_that_cannot_be_ended_is_a_broken_stream(stage: MakeScene) -> None:
    scene = stage()

    async def break_down() -> None:
        raise BrokenPipeError("gone")

    scene.socket.end_write = break_down  # type: ignore[method-assign]
    fail(scene)
    scene.carried.result()
    assert scene.websocket.state is State.CLOSED


def test_a_peer_that_says_nothing_is_waited_for_until_the_deadline(stage: MakeScene) -> None:
    scene = stage(Config(close_timeout=7))
    scene.kernel.run(scene.websocket.close())
    assert scene.kernel.now == 7
    assert scene.socket.closed == 1
    scene.carried.result()


async def for_ever() -> None:
    await until(lambda: False)


async def raising() -> None:
    await until(always)
    raise LookupError("on purpose")


@pytest.mark.parametrize(("closing", "seconds"), [(for_ever, 7), (raising, 0)])
def test_a_stream_is_closed_in_time_whatever_it_says(
    stage: MakeScene, closing: Callable[[], Any], seconds: float
) -> None:
    scene = stage(Config(close_timeout=7), plain=False)
    scene.stream.closing = closing
    task = scene.kernel.start(scene.websocket.close())
    scene.kernel.settle()
    scene.peer.read()
    scene.wire.coming.append(b"")
    scene.kernel.wait(100)
    task.result()
    scene.carried.result()
    # Once by the book, once for certain.
    assert scene.stream.closed == 2
    assert why(scene).clean


def test_an_abort_does_not_close_by_the_book(stage: MakeScene) -> None:
    scene = stage(plain=False)
    scene.websocket.abort()
    scene.kernel.settle()
    scene.carried.result()
    assert scene.stream.closed == 1


def test_when_what_carries_it_is_cancelled_the_connection_is_lost(stage: MakeScene) -> None:
    scene = stage()
    task = recv(scene)
    scene.carried.cancel()
    scene.kernel.settle()
    assert scene.carried.cancelled
    assert scene.socket.closed == 1
    with pytest.raises(ConnectionClosed):
        task.result()
    assert scene.kernel.run(scene.websocket.wait_closed()).cause is Cause.TRANSPORT_ERROR
    # It would be held by whoever still has the connection.
    assert scene.websocket._carrier is None


@pytest.mark.parametrize("role", Role)
def test_who_leaves_says_so_if_that_need_not_wait(stage: MakeScene, role: Role) -> None:
    scene = stage(role=role)
    turns = scene.kernel.turns
    leaving = scene.kernel.start(scene.websocket._leave())
    scene.kernel.turn()
    assert leaving.ended
    assert scene.kernel.turns == turns + 1
    scene.peer.read()
    peer = reason_of(scene.peer.connection)
    assert (peer.cause, peer.code) == (Cause.PEER_CLOSED, 1001)
    assert scene.websocket.state is State.CLOSED


def test_who_leaves_a_stream_that_takes_nothing_does_not_wait(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 0
    scene.kernel.run(scene.websocket._leave())
    assert scene.websocket.state is State.CLOSED
    assert scene.wire.written == []


def test_who_leaves_after_all_else_is_cancelled_does_not_wait(stage: MakeScene) -> None:
    scene = stage()
    scene.end()
    websocket, wire = scene.kernel.websocket(), Wire()
    socket = type(scene.socket)(scene.kernel, wire, websocket._connection)

    async def carry() -> None:
        try:
            await websocket._run(socket)
        finally:
            await websocket._leave()
            await websocket._drop(socket)

    carried = scene.kernel.start(carry())
    scene.kernel.settle()
    wire.room = 3
    carried.cancel()
    scene.kernel.settle()
    assert carried.cancelled
    assert websocket.state is State.CLOSED
    # What did not go at once is nobody's.
    assert [len(data) for data in wire.written] == [3]


@pytest.mark.parametrize("coming", ["a close", "the end"])
def test_what_was_read_counts_though_what_was_to_be_written_first_fails(
    stage: MakeScene, coming: str
) -> None:
    scene = stage()
    scene.wire.room = 0
    scene.websocket._connection.send("never read", now=0.0)
    task = recv(scene)
    scene.peer.connection.send("last words", now=0.0)
    if coming == "a close":
        scene.peer.connection.close(1009, now=0.0)
    # It closed while bytes were on their way to it: the next write says so.
    scene.peer.write()
    scene.wire.coming.append(b"")
    scene.wire.error = ConnectionResetError("gone")
    scene.kernel.settle()
    assert task.result() == "last words"
    reason = why(scene)
    if coming == "a close":
        assert (reason.cause, reason.code) == (Cause.PEER_CLOSED, 1009)
    else:
        assert isinstance(reason.error, ConnectionResetError)


def the_writer_waits(scene: Scene) -> None:
    scene.wire.room = 3
    scene.kernel.run(scene.websocket.send("too late"))


def nothing_was_settled(scene: Scene) -> None:
    scene.wire.room = 0
    scene.websocket._connection.send("too late", now=0.0)


MEETINGS: dict[str, tuple[Callable[[Scene], object], Callable[[Scene], Any] | None]] = {
    "a send": (lambda _: None, lambda scene: scene.websocket.send("too late")),
    "a send at length": (lambda _: None, lambda scene: scene.websocket.send("late", key="k")),
    "what is settled": (lambda _: None, lambda scene: scene.websocket.pong()),
    "the writer": (the_writer_waits, None),
    "the receiver": (nothing_was_settled, None),
}
"""What comes before a failure, and what meets it, unless that goes on by itself."""


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("meeting", MEETINGS)
def test_last_words_are_received_whoever_meets_the_failure(
    stage: MakeScene, meeting: str, closes: bool
) -> None:
    before, meet = MEETINGS[meeting]
    scene = stage(Config(read_size=1024, overflow="replace"))
    before(scene)
    said = ["x" * 700, "y" * 700, "z" * 700]
    for text in said:
        scene.peer.connection.send(text, now=0.0)
    if closes:
        scene.peer.connection.close(4000, "bye", now=0.0)
    scene.peer.write()
    # As Linux has it: an error is told once.
    scene.wire.coming.append(b"")
    scene.wire.error = ConnectionResetError("by peer")
    if meet is not None:
        scene.kernel.run(meet(scene))
    for text in said:
        assert scene.kernel.run(scene.websocket.recv()) == text
    with pytest.raises(ConnectionClosed) as caught:
        scene.kernel.run(scene.websocket.recv())
    reason = caught.value.reason
    if closes:
        assert (reason.cause, reason.code, reason.reason) == (Cause.PEER_CLOSED, 4000, "bye")
    else:
        assert (reason.cause, reason.code) == (Cause.TRANSPORT_ERROR, 1006)
        assert caught.value.__cause__ is scene.wire.error
    assert scene.carried.ended
    assert scene.kernel.now == 0


def test_a_receiver_that_waits_gets_the_last_words_though_a_send_meets_the_failure(
    stage: MakeScene,
) -> None:
    scene = stage()

    async def send_first_in_the_turn() -> None:
        await until(lambda: scene.wire.error is not None)
        await scene.websocket.send("too late")

    sending = scene.kernel.start(send_first_in_the_turn())
    receiving = recv(scene)
    scene.peer.say("last words")
    scene.wire.error = ConnectionResetError("by peer")
    scene.kernel.settle()
    sending.result()
    assert receiving.result() == "last words"


def test_what_is_no_failure_of_the_system_says_nothing_about_the_rest(stage: MakeScene) -> None:
    scene = stage()

    async def fail() -> bool:
        raise MemoryError

    scene.socket.read = fail  # type: ignore[method-assign]
    scene.peer.say("never read")
    scene.let_read()
    assert isinstance(why(scene).error, MemoryError)
    assert scene.wire.reads == 0


def test_a_read_that_is_cancelled_may_have_handed_something_over(stage: MakeScene) -> None:
    scene = stage()
    connection = scene.websocket._connection

    async def read() -> bool:
        scene.peer.connection.ping(now=0.0)
        scene.peer.write()
        scene.socket._take_in()
        await until(lambda: False)
        raise AssertionError("unreachable")

    scene.socket.read = read  # type: ignore[method-assign]
    task = recv(scene)
    assert connection.want_write
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    scene.peer.read()
    assert scene.peer.connection.latency is not None


@pytest.mark.parametrize("known", [True, False])
def test_what_the_handshake_brings_is_waited_for(stage: MakeScene, known: bool) -> None:
    scene = stage()
    task = scene.kernel.start(
        scene.websocket._until_opening(lambda: known or scene.websocket.stats.work > 0)
    )
    scene.kernel.turn()
    assert not task.ended
    if not known:
        scene.kernel.settle()
        assert not task.ended
        # Whoever waits for it reads it.
        assert {*scene.socket.readers} == {task}
        scene.peer.say("hello")
    scene.kernel.settle()
    task.result()


def test_the_addresses_are_the_carriers(stage: MakeScene) -> None:
    scene = stage()
    assert (scene.websocket.local_address, scene.websocket.remote_address) == ("here", "there")


# ------------------------------------------------------------- on the way to a stream


def opening() -> tuple[Kernel, CallerDriven]:
    """A connection that is to open within ten seconds."""
    kernel = Kernel()
    config = Config(open_timeout=10)
    return kernel, kernel.websocket_of(Connection.server(config, now=kernel.now))


def test_what_is_in_time_is_as_it_was() -> None:
    kernel, websocket = opening()

    async def main() -> int:
        with websocket._within_open_timeout():
            await kernel.checkpoint()
            return 5
        raise AssertionError

    assert kernel.run(main()) == 5
    assert websocket.state is State.CONNECTING


@pytest.mark.parametrize("error", [ConnectionRefusedError(), Broken()])
def test_what_goes_wrong_is_the_connections_to_tell(error: Exception) -> None:
    kernel, websocket = opening()

    async def main() -> None:
        with websocket._within_open_timeout():
            raise error

    kernel.run(main())
    with pytest.raises(HandshakeInterrupted) as caught:
        websocket._connection.poll_open()
    assert caught.value.__cause__ is error


def test_and_so_is_that_time_is_up() -> None:
    kernel, websocket = opening()

    async def main() -> None:
        with websocket._within_open_timeout():
            await until(lambda: False)

    kernel.run(main())
    assert kernel.now == 10
    with pytest.raises(OpenTimeout):
        websocket._connection.poll_open()
