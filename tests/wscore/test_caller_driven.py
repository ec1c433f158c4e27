"""The verbs of a connection whose receiver reads for itself."""

from __future__ import annotations

import gc
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.wscore.carried import MakeScene, Peer, Scene, why
from tests.wscore.kernel import Cancelled, Task, always, until
from tests.wscore.rawpeer import RESERVED, frame, reason_of

from wscore import (
    Cause,
    CloseReason,
    ConcurrencyError,
    Config,
    ConnectionClosed,
    Message,
    SendBufferFull,
    State,
    broadcast,
)
from wscore._pace import CALLS_A_TURN


def started(scene: Scene, coro: Coroutine[Any, Any, Any]) -> Task[Any]:
    """A task that has got as far as it can."""
    task = scene.kernel.start(coro)
    scene.kernel.settle()
    return task


async def each(*parts: Message) -> AsyncIterator[Any]:
    for part in parts:
        await until(always)
        yield part


VERBS: dict[str, Callable[[Scene], Coroutine[Any, Any, Any]]] = {
    "send": lambda scene: scene.websocket.send("x"),
    "send parts": lambda scene: scene.websocket.send(["x", "y"]),
    "recv": lambda scene: scene.websocket.recv(),
    "recv_streaming": lambda scene: anext_of(scene.websocket.recv_streaming()),
    "ping": lambda scene: scene.websocket.ping(),
    "pong": lambda scene: scene.websocket.pong(),
    "wait_closed": lambda scene: scene.websocket.wait_closed(),
}


async def anext_of(parts: AsyncIterator[Message]) -> Message:
    return await anext(parts)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_cancelled_already_does_nothing(stage: MakeScene, verb: str) -> None:
    scene = stage()
    scene.peer.say("waits")
    scene.kernel.settle()
    task = scene.kernel.start(VERBS[verb](scene))
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.wire.written == []
    assert scene.websocket.stats.messages_sent == 0
    assert scene.kernel.run(scene.websocket.recv()) == "waits"


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("verb", ["send", "send parts", "recv", "recv_streaming", "pong"])
def test_a_verb_that_need_not_wait_lets_others_run(
    stage: MakeScene, verb: str, waiting: bool
) -> None:
    scene = stage()
    if waiting or verb.startswith("recv"):
        scene.peer.say("waits")
        scene.kernel.settle()
    takes_a_turn(scene, VERBS[verb](scene))


def test_what_is_over_is_waited_for_with_a_turn_too(stage: MakeScene) -> None:
    scene = stage()
    scene.websocket.abort()
    scene.kernel.settle()
    takes_a_turn(scene, scene.websocket.wait_closed())
    takes_a_turn(scene, scene.websocket.close())


def encoded(peer: Peer, message: Message) -> bytes:
    """What arrives of a message, to be put beside something else."""
    peer.connection.send(message, now=0.0)
    data = b"".join(peer.connection.data_to_send())
    peer.connection.data_sent(len(data), now=0.0)
    return data


def takes_a_turn(scene: Scene, coro: Coroutine[Any, Any, Any]) -> None:
    task = scene.kernel.start(coro)
    scene.kernel.turn()
    assert not task.ended
    scene.kernel.settle()
    task.result()


# --------------------------------------------------------------------------- sending


def test_a_message_is_written_before_anybody_waits(stage: MakeScene) -> None:
    scene = stage()
    scene.kernel.start(scene.websocket.send("hello"))
    scene.kernel.turn()
    assert scene.peer.read() == ["hello"]


def test_what_is_sent_before_there_is_a_carrier_goes_out_when_there_is(stage: MakeScene) -> None:
    scene = stage()
    other = scene.kernel.websocket()
    assert scene.kernel.run(other.send("hello"))
    assert other._connection.want_write
    other.abort()


def test_a_full_send_buffer_is_waited_for_first_come_first_served(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10))
    scene.wire.room = 0
    scene.kernel.run(scene.websocket.send("x" * 10))
    first = started(scene, scene.websocket.send("first"))
    second = started(scene, scene.websocket.send(["sec", "ond"]))
    third = started(scene, scene.websocket.send("third", compress=False))
    assert not first.ended
    assert not second.ended
    assert not third.ended
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert first.result()
    assert second.result()
    assert third.result()
    assert scene.peer.read() == ["x" * 10, "first", "second", "third"]


def test_nobody_overtakes_who_waits(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10))
    connection = scene.websocket._connection
    scene.wire.room = 0
    scene.kernel.run(scene.websocket.send("x" * 10))

    async def come_at_the_wrong_moment() -> None:
        await until(lambda: connection.can_send)
        await scene.websocket.send("late")

    late = started(scene, come_at_the_wrong_moment())
    first = started(scene, scene.websocket.send("first"))
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert first.ended
    assert late.ended
    assert scene.peer.read() == ["x" * 10, "first", "late"]


def test_other_messages_wait_until_one_in_parts_ends(stage: MakeScene) -> None:
    scene = stage()
    go_on = False

    async def source() -> AsyncIterator[str]:
        yield "one"
        yield "two"
        await until(lambda: go_on)
        yield "three"

    parts = started(scene, scene.websocket.send(source()))
    other = started(scene, scene.websocket.send("other"))
    assert scene.wire.written
    assert not other.ended
    go_on = True
    scene.kernel.settle()
    parts.result()
    other.result()
    assert scene.peer.read() == ["onetwothree", "other"]


def test_a_send_that_is_cancelled_while_it_waits_sends_nothing(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10))
    scene.wire.room = 0
    scene.kernel.run(scene.websocket.send("x" * 10))
    first = started(scene, scene.websocket.send("first"))
    second = started(scene, scene.websocket.send("second"))
    first.cancel()
    scene.kernel.settle()
    assert first.cancelled
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert second.result()
    assert scene.peer.read() == ["x" * 10, "second"]


def test_a_send_that_waits_learns_of_the_end(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10))
    scene.wire.room = 0
    scene.kernel.run(scene.websocket.send("x" * 10))
    waiting = started(scene, scene.websocket.send("more"))
    scene.websocket.abort()
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed):
        waiting.result()


def test_who_does_not_want_to_wait_does_not(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10, overflow="drop_newest"))
    scene.wire.room = 0
    assert scene.kernel.run(scene.websocket.send("x" * 10))
    assert not scene.kernel.run(scene.websocket.send("dropped"))
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert scene.kernel.run(scene.websocket.send("sent"))
    assert scene.peer.read() == ["x" * 10, "sent"]


def test_what_overflow_raises_changes_nothing(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10, overflow="raise"))
    scene.wire.room = 0
    assert scene.kernel.run(scene.websocket.send("x" * 10))
    with pytest.raises(SendBufferFull):
        scene.kernel.run(scene.websocket.send("too much"))
    assert scene.websocket.state is State.OPEN


def test_overflow_that_closes_is_settled(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10, overflow="close", close_timeout=5))
    scene.wire.room = 0
    assert scene.kernel.run(scene.websocket.send("x" * 10))
    with pytest.raises(ConnectionClosed):
        scene.kernel.run(scene.websocket.send("too much"))
    assert why(scene).code == 1013
    assert scene.kernel.run(scene.websocket.wait_closed()).code == 1013
    assert scene.kernel.now == 5


def test_answers_to_what_came_together_are_written_together(stage: MakeScene) -> None:
    scene = stage()

    async def echo() -> None:
        async for message in scene.websocket:
            await scene.websocket.send(message)

    texts = [str(number) for number in range(40)]
    scene.peer.say(*texts)
    task = started(scene, echo())
    # Eight at a time, which are sixteen calls.
    assert scene.wire.written[0].count(b"\x81") >= 8
    assert len(scene.wire.written) < 10
    assert scene.peer.read() == texts
    task.cancel()


def test_messages_that_are_sent_in_a_row_are_written_together(stage: MakeScene) -> None:
    scene = stage()
    texts = [str(number) for number in range(40)]
    turns: list[int] = []

    async def send_all() -> None:
        for text in texts:
            await scene.websocket.send(text)
            turns.append(scene.kernel.turns)

    started(scene, send_all()).result()
    # A lone message does not wait for others, nor do the others wait for long.
    sizes = [data.count(b"\x81") for data in scene.wire.written]
    assert sizes[0] == 1
    assert len(sizes) < 5
    assert all(after > before for before, after in zip(turns, turns[17:], strict=False))
    assert turns[-1] - turns[0] < 5
    assert scene.peer.read() == texts


@pytest.mark.parametrize("between", ["time", "a message"])
def test_messages_that_are_not_sent_in_a_row_are_written_at_once(
    stage: MakeScene, between: str
) -> None:
    scene = stage()
    texts = [str(number) for number in range(10)]

    async def send_all() -> None:
        for text in texts:
            await scene.websocket.send(text)
            if between == "time":
                scene.kernel.now += 0.001
            else:
                scene.peer.say("go on")
                await scene.websocket.recv()

    started(scene, send_all()).result()
    assert [data.count(b"\x81") for data in scene.wire.written] == [1] * 10


@pytest.mark.parametrize("then", ["recv", "recv_streaming", "close"])
@pytest.mark.parametrize("writing", [True, False])
@pytest.mark.parametrize("end", ["known violation", "violation", "end of stream"])
def test_what_is_sent_in_a_row_is_written_before_an_end_that_would_drop_it(
    stage: MakeScene, end: str, writing: bool, then: str
) -> None:
    scene = stage()
    if writing:
        # The connection's own task for that has begun.
        scene.wire.room = 0
        scene.kernel.run(scene.websocket.send("before"))
        scene.wire.room = math.inf
        scene.kernel.settle()
        scene.peer.read()
        scene.peer.received.clear()
    scene.kernel.wait(0.001)
    question = encoded(scene.peer, "question")
    violation = frame(RESERVED, masked=True)
    # In one read, or in the one in which the receiver waits.
    scene.wire.coming += {
        "known violation": [question + violation],
        "violation": [question, violation],
        "end of stream": [question, b""],
    }[end]

    async def answer() -> None:
        assert await scene.websocket.recv() == "question"
        for text in ("one", "two", "three"):
            await scene.websocket.send(text)
        if then == "close":
            await scene.websocket.close()
        elif then == "recv":
            await scene.websocket.recv()
        else:
            await anext_of(scene.websocket.recv_streaming())

    started(scene, answer())
    assert scene.peer.read() == ["one", "two", "three"]


def test_in_a_row_nothing_is_overtaken(stage: MakeScene) -> None:
    scene = stage()

    async def send_all() -> None:
        for _ in range(20):
            await scene.websocket.send("plain")
            await scene.websocket.send(b"")
            await scene.websocket.send(["in ", "parts"])
            await scene.websocket.send("with words of its own", compress=False)

    started(scene, send_all()).result()
    assert scene.peer.read() == ["plain", b"", "in parts", "with words of its own"] * 20


def test_in_a_row_the_send_buffer_is_waited_for(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 0
    sent = 0

    async def send_all() -> None:
        nonlocal sent
        for _ in range(100):
            await scene.websocket.send("x" * 1024)
            sent += 1

    task = started(scene, send_all())
    assert 60 < sent < 70
    scene.wire.room = math.inf
    scene.kernel.settle()
    task.result()
    assert len(scene.peer.read()) == 100


def test_in_a_batch_a_message_with_a_key_waits_for_the_others_too(stage: MakeScene) -> None:
    scene = stage(Config(overflow="replace"))
    scene.peer.say("one", "two", "three")
    scene.kernel.settle()
    assert scene.kernel.run(scene.websocket.recv()) == "one"
    assert scene.websocket._connection.in_batch
    task = scene.kernel.start(scene.websocket.send("answer", key="k"))
    scene.kernel.turn()
    assert scene.wire.written == []
    scene.kernel.settle()
    assert task.result()
    assert scene.peer.read() == ["answer"]


async def take(scene: Scene, count: int) -> list[Message]:
    return [await scene.websocket.recv() for _ in range(count)]


@pytest.mark.parametrize("source", [["a", "b", "c"], each("a", "b", "c")], ids=["plain", "async"])
def test_an_iterable_is_one_message(stage: MakeScene, source: Any) -> None:
    scene = stage()
    assert scene.kernel.run(scene.websocket.send(source))
    assert scene.peer.read() == ["abc"]
    assert scene.peer.connection.stats.frames_received == 3


def test_no_parts_are_no_message(stage: MakeScene) -> None:
    scene = stage()
    assert scene.kernel.run(scene.websocket.send([]))
    assert scene.wire.written == []


def test_a_part_waits_while_the_send_buffer_is_full(stage: MakeScene) -> None:
    scene = stage(Config(max_send_buffer=10))
    scene.wire.room = 0
    drawn: list[int] = []

    def source() -> Iterator[bytes]:
        for number in range(9):
            drawn.append(number)
            yield b"%d" % number * 10

    task = started(scene, scene.websocket.send(source()))
    assert not task.ended
    # One behind: the last one has to say that it is.
    assert drawn == [0, 1, 2]
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert task.result()
    assert scene.peer.read() == [b"".join(b"%d" % number * 10 for number in range(9))]


def test_an_iterable_that_raises_after_its_first_part_fails_the_connection(
    stage: MakeScene,
) -> None:
    scene = stage()

    def parts() -> Iterator[str]:
        yield "one"
        yield "two"
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        scene.kernel.run(scene.websocket.send(parts()))
    assert why(scene).cause is Cause.SEND_INTERRUPTED
    scene.peer.read()
    assert reason_of(scene.peer.connection).code == 1011


def test_a_source_that_is_left_is_closed(stage: MakeScene) -> None:
    scene = stage()
    closed: list[bool] = []

    async def parts() -> AsyncIterator[str]:
        try:
            yield "one"
            await until(lambda: False)
        finally:
            closed.append(True)

    task = started(scene, scene.websocket.send(parts()))
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    gc.collect()
    assert closed == [True]
    assert scene.websocket.state is State.OPEN


@pytest.mark.parametrize(
    ("message", "options"), [(7, {}), (["one"], {"key": "k"}), (["one"], {"compress": True})]
)
def test_what_is_no_message_is_not_sent(
    stage: MakeScene, message: Any, options: dict[str, Any]
) -> None:
    scene = stage()
    with pytest.raises(TypeError):
        scene.kernel.run(scene.websocket.send(message, **options))
    assert scene.wire.written == []
    assert scene.websocket.state is State.OPEN


def test_a_broadcast_tells_who_missed_it(stage: MakeScene) -> None:
    config = Config(max_send_buffer=10)
    fast, slow, closed = stage(config), stage(config), stage(config)
    slow.wire.room = 0
    slow.kernel.run(slow.websocket.send("x" * 10))
    closed.websocket.abort()
    everybody = [scene.websocket for scene in (fast, slow, closed)]
    assert broadcast(everybody, "hello") == [slow.websocket, closed.websocket]
    assert fast.peer.read() == ["hello"]


def test_a_broadcast_goes_behind_what_waits(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.room = 3
    scene.kernel.run(scene.websocket.send("hello"))
    assert broadcast([scene.websocket], "everybody") == []
    scene.wire.room = math.inf
    scene.kernel.settle()
    assert scene.peer.read() == ["hello", "everybody"]


def test_a_broadcast_does_not_wait_for_the_rest_of_a_batch(stage: MakeScene) -> None:
    scene = stage()
    scene.peer.say("one", "two", "three")
    scene.kernel.settle()
    assert scene.kernel.run(scene.websocket.recv()) == "one"
    assert scene.websocket._connection.in_batch
    assert broadcast([scene.websocket], "everybody") == []
    assert scene.peer.read() == ["everybody"]


# ------------------------------------------------------------------------- receiving


def test_one_receives_at_a_time(stage: MakeScene) -> None:
    scene = stage()
    first = started(scene, scene.websocket.recv())
    for receive in (scene.websocket.recv, lambda: anext_of(scene.websocket.recv_streaming())):
        with pytest.raises(ConcurrencyError):
            scene.kernel.run(receive())
    scene.peer.say("hello")
    scene.kernel.settle()
    assert first.result() == "hello"


def test_who_comes_second_does_not_take_what_the_first_is_about_to(stage: MakeScene) -> None:
    scene = stage(plain=False)
    connection = scene.websocket._connection

    async def come_at_the_wrong_moment() -> None:
        await until(lambda: connection.can_receive)
        await scene.websocket.recv()

    second = started(scene, come_at_the_wrong_moment())
    first = started(scene, scene.websocket.recv())
    scene.peer.say("hello")
    scene.kernel.settle()
    assert first.result() == "hello"
    with pytest.raises(ConcurrencyError):
        second.result()


def test_a_recv_that_is_cancelled_has_taken_nothing(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.recv())
    task.cancel()
    scene.peer.say("hello")
    scene.kernel.settle()
    assert task.cancelled
    assert scene.kernel.run(scene.websocket.recv()) == "hello"


@pytest.mark.parametrize(
    ("max_queue", "said", "received"),
    [(16, 1, 0), (1, 1, 0), (40, 20, CALLS_A_TURN + 1)],
    ids=["alone", "alone in a full queue", "when others are to run"],
)
def test_a_recv_that_a_shield_does_not_keep_from_being_cancelled_has_taken_nothing(
    stage: MakeScene, monkeypatch: pytest.MonkeyPatch, max_queue: int, said: int, received: int
) -> None:
    """A task of asyncio can be cancelled in any checkpoint."""
    scene = stage(Config(max_queue=max_queue))
    scene.peer.say(*map(str, range(said)))
    scene.let_read()
    assert scene.kernel.run(take(scene, received)) == [str(number) for number in range(received)]

    async def cancelled() -> None:
        raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(scene.websocket, "_cancel_shielded_checkpoint", cancelled)
        assert started(scene, scene.websocket.recv()).cancelled
    # Nor is it receiving any more.
    assert scene.kernel.run(scene.websocket.recv()) == str(received)


def test_who_lets_others_run_before_it_hands_a_message_over_still_receives(
    stage: MakeScene,
) -> None:
    scene = stage()
    scene.peer.say("hello")
    scene.let_read()
    first = scene.kernel.start(scene.websocket.recv())
    second = started(scene, scene.websocket.recv())
    assert first.result() == "hello"
    with pytest.raises(ConcurrencyError):
        second.result()


def test_who_receives_lets_be_written_what_a_failure_would_drop(stage: MakeScene) -> None:
    scene = stage(Config(overflow="replace"), plain=False)
    scene.peer.say("one", "two")
    scene.peer.connection.abort(now=0.0)
    scene.wire.coming.append(b"")
    scene.kernel.settle()

    async def answer() -> list[Message]:
        messages = []
        try:
            while True:
                messages.append(await scene.websocket.recv())
                await scene.websocket.send("thanks", key=len(messages))
        except ConnectionClosed:
            return messages

    assert scene.kernel.run(answer()) == ["one", "two"]
    assert b"".join(scene.wire.written).count(b"thanks") == 2


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("early", [True, False])
def test_taking_from_a_full_queue_lets_reading_go_on(
    stage: MakeScene, early: bool, plain: bool
) -> None:
    scene = stage(Config(max_queue=1, control_look_ahead=0), plain=plain)
    early_bird = started(scene, take(scene, 3)) if early else None
    scene.peer.say("one", "two")
    scene.peer.say("three")
    scene.kernel.settle()
    task = early_bird or started(scene, take(scene, 3))
    assert task.result() == ["one", "two", "three"]


def test_taking_from_a_full_queue_takes_a_turn(stage: MakeScene) -> None:
    scene = stage(Config(max_queue=1))
    scene.peer.say("one")
    scene.kernel.settle()
    takes_a_turn(scene, scene.websocket.recv())


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_loop_ends_when_the_peer_closes_in_good_order(stage: MakeScene, code: int) -> None:
    scene = stage()
    scene.peer.say("one", "two")
    scene.peer.connection.close(code, now=0.0)
    scene.peer.write()

    async def loop() -> list[Message]:
        return [message async for message in scene.websocket]

    assert scene.kernel.run(loop()) == ["one", "two"]


def test_a_loop_raises_when_the_connection_ends_otherwise(stage: MakeScene) -> None:
    scene = stage()
    scene.wire.coming.append(b"")

    async def loop() -> None:
        async for _ in scene.websocket:
            raise AssertionError

    with pytest.raises(ConnectionClosed):
        scene.kernel.run(loop())


def test_parts_are_received_as_they_come(stage: MakeScene) -> None:
    scene = stage()
    parts = scene.websocket.recv_streaming()
    first = started(scene, anext_of(parts))
    assert not first.ended
    scene.peer.connection.send_part("one", final=False, now=0.0)
    scene.peer.write()
    scene.kernel.settle()
    assert first.result() == "one"
    scene.peer.connection.send_part("two", final=True, now=0.0)
    scene.peer.write()
    assert scene.kernel.run(anext_of(parts)) == "two"

    async def loop() -> list[Message]:
        return [part async for part in parts]

    assert scene.kernel.run(loop()) == []
    scene.peer.say("next")
    assert scene.kernel.run(scene.websocket.recv()) == "next"


def test_the_rest_of_parts_that_are_left_is_discarded(stage: MakeScene) -> None:
    scene = stage()
    parts: Any = scene.websocket.recv_streaming()
    scene.peer.connection.send_part("one", final=False, now=0.0)
    scene.peer.write()
    scene.kernel.settle()
    assert scene.kernel.run(anext_of(parts)) == "one"
    scene.kernel.run(parts.aclose())
    scene.peer.connection.send_part("two", final=True, now=0.0)
    scene.peer.say("next")
    assert scene.kernel.run(scene.websocket.recv()) == "next"


@pytest.mark.parametrize("how", ["aclose", "recv"])
@pytest.mark.parametrize("plain", [True, False])
def test_to_leave_a_large_message_lets_reading_go_on(
    stage: MakeScene, plain: bool, how: str
) -> None:
    scene = stage(Config(max_queue_bytes=1000, control_look_ahead=0, read_size=1024), plain=plain)
    scene.let_read()
    parts: Any = scene.websocket.recv_streaming()
    scene.peer.connection.send_part("x" * 500, final=False, now=0.0)
    scene.peer.write()
    scene.kernel.settle()
    assert scene.kernel.run(anext_of(parts)) == "x" * 500
    scene.peer.connection.send_part("y" * 50_000, final=True, now=0.0)
    scene.peer.say("next")
    scene.kernel.wait(1)
    assert scene.websocket._connection.want_read == 0
    if how == "aclose":
        started(scene, parts.aclose()).result()
        assert scene.websocket._connection.can_receive
    assert started(scene, scene.websocket.recv()).result() == "next"


@pytest.mark.parametrize("arrived", [True, False])
def test_a_recv_takes_over_from_who_receives_in_parts(stage: MakeScene, arrived: bool) -> None:
    scene = stage()
    parts = scene.websocket.recv_streaming()
    scene.peer.connection.send_part("one", final=False, now=0.0)
    scene.peer.write()
    scene.kernel.settle()
    assert scene.kernel.run(anext_of(parts)) == "one"
    scene.peer.connection.send_part("two", final=True, now=0.0)
    task = None if arrived else started(scene, scene.websocket.recv())
    scene.peer.say("next")
    scene.kernel.settle()
    task = task or started(scene, scene.websocket.recv())
    assert task.result() == "next"
    with pytest.raises(ConcurrencyError):
        scene.kernel.run(anext_of(parts))


# -------------------------------------------------------------------- pings and pongs


def test_a_ping_gives_the_round_trip_time(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.ping(b"payload"))
    scene.kernel.wait(0.25)
    scene.peer.read()
    scene.kernel.settle()
    assert task.result() == 0.25


def test_a_ping_that_is_cancelled_is_forgotten(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.ping(b"payload"))
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    again = started(scene, scene.websocket.ping(b"payload"))
    scene.peer.read()
    scene.kernel.settle()
    assert again.result() == 0.0


def test_a_ping_that_is_never_answered_ends_with_the_connection(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.ping())
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    with pytest.raises(ConnectionClosed):
        task.result()


def test_a_pong_goes_out_and_waits_for_nothing(stage: MakeScene) -> None:
    scene = stage()
    scene.kernel.run(scene.websocket.pong(b"heartbeat"))
    assert scene.wire.written == [b"\x8a\x09heartbeat"]


# --------------------------------------------------------------------------- closing


def closed_by_peer(scene: Scene, task: Task[Any]) -> CloseReason:
    """Let the peer answer a Close; what it was told."""
    scene.peer.read()
    scene.kernel.settle()
    task.result()
    return reason_of(scene.peer.connection)


def test_a_block_closes_the_connection(stage: MakeScene) -> None:
    scene = stage()

    async def block() -> None:
        async with scene.websocket as websocket:
            await websocket.send("hello")

    task = started(scene, block())
    assert closed_by_peer(scene, task).code == 1000
    assert scene.peer.received == ["hello"]


def test_a_block_that_raises_says_so(stage: MakeScene) -> None:
    scene = stage()

    async def block() -> None:
        with pytest.raises(LookupError):
            async with scene.websocket:
                raise LookupError("on purpose")

    task = started(scene, block())
    assert closed_by_peer(scene, task).code == 1011


def test_closing_again_waits_for_the_same(stage: MakeScene) -> None:
    scene = stage()
    first = started(scene, scene.websocket.close(4000, "enough"))
    second = started(scene, scene.websocket.close(4001))
    third = started(scene, scene.websocket.aclose())
    reason = closed_by_peer(scene, first)
    assert (reason.code, reason.reason) == (4000, "enough")
    second.result()
    third.result()
    assert scene.kernel.run(scene.websocket.wait_closed()).code == 4000


def test_a_close_that_is_cancelled_goes_on(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.close())
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.websocket.state is State.CLOSING
    scene.peer.read()
    scene.kernel.settle()
    assert why(scene).clean


@pytest.mark.parametrize("room", [math.inf, 0])
def test_a_block_that_is_cancelled_waits_for_nobody(stage: MakeScene, room: float) -> None:
    scene = stage()
    scene.wire.room = room

    async def block() -> None:
        async with scene.websocket:
            await until(lambda: False)

    task = started(scene, block())
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.websocket.state is State.CLOSED
    assert scene.carried.ended
    # A Close frame goes out if that need not wait (RFC 6455 section 7.1.1 would rather wait).
    assert (b"".join(scene.wire.written)[:1] == b"\x88") is (room > 0)


def test_only_what_is_an_error_is_a_failure_of_the_block(stage: MakeScene) -> None:
    scene = stage()
    task = started(scene, scene.websocket.__aexit__(Cancelled, Cancelled(), None))
    assert closed_by_peer(scene, task).code == 1000
