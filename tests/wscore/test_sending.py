"""What can be sent, and how the parts of a message are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wscore import (
    Cause,
    Config,
    ConnectionClosed,
    Overflow,
    PartSender,
    Prepared,
    SendTurn,
    State,
    as_parts,
    each_part,
    is_whole,
)
from wscore.testing import Pair


@pytest.mark.parametrize(
    "message", ["text", b"bytes", bytearray(), memoryview(b""), Prepared("x")]
)
def test_text_bytes_and_prepared_messages_are_whole(message: Any) -> None:
    assert is_whole(message)


@pytest.mark.parametrize(
    "message", [[], iter("ab"), None, 5, {"a": "b"}], ids=lambda each: type(each).__name__
)
def test_nothing_else_is_whole(message: Any) -> None:
    assert not is_whole(message)


async def source() -> AsyncIterator[str]:
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    "make", [lambda: ["a", "b"], lambda: iter("ab"), source], ids=["list", "iterator", "source"]
)
def test_either_kind_of_source_gives_its_parts(make: Any) -> None:
    async def collect() -> list[str | bytes]:
        return [part async for part in each_part(as_parts(make(), compress=None, key=None))]

    assert asyncio.run(collect()) == ["a", "b"]


@pytest.mark.parametrize("message", [None, 5, {"a": "b"}])
def test_what_is_no_message_is_said_to_be_none(message: Any) -> None:
    with pytest.raises(TypeError, match=type(message).__name__):
        as_parts(message, compress=None, key=None)


@pytest.mark.parametrize(("compress", "key"), [(True, None), (False, None), (None, "k")])
def test_options_of_whole_messages_are_refused(compress: bool | None, key: str | None) -> None:
    with pytest.raises(TypeError, match="whole"):
        as_parts(["a"], compress=compress, key=key)


def test_each_part_is_a_frame_and_the_last_one_says_so() -> None:
    pair = Pair.opened()
    sender = PartSender(pair.client)
    for part in ("a", "b", "c"):
        sender.add(part, now=pair.now)
    sender.end(now=pair.now)
    pair.run(1)
    assert pair.received(pair.server) == ["abc"]
    assert pair.server.stats.frames_received == 3


def test_no_parts_are_no_message() -> None:
    pair = Pair.opened()
    PartSender(pair.client).end(now=pair.now)
    assert not pair.client.want_write


def test_an_interruption_before_the_first_frame_harms_nothing() -> None:
    pair = Pair.opened()
    sender = PartSender(pair.client)
    sender.add("a", now=pair.now)
    sender.interrupt(now=pair.now)
    assert pair.client.state is State.OPEN


def test_an_interruption_after_it_fails_the_connection() -> None:
    pair = Pair.opened()
    sender = PartSender(pair.client)
    sender.add("a", now=pair.now)
    sender.add("b", now=pair.now)
    sender.interrupt(now=pair.now)
    reason = pair.client.close_reason
    assert reason is not None
    assert (reason.code, reason.cause) == (1011, Cause.SEND_INTERRUPTED)
    with pytest.raises(ConnectionClosed):
        sender.end(now=pair.now)


# Offers: sending without waiting.


def test_an_offer_is_sent_like_any_message() -> None:
    pair = Pair.opened()
    assert pair.client.offer("hello", now=pair.now)
    pair.run(1)
    assert pair.received(pair.server) == ["hello"]


@pytest.mark.parametrize(
    "overflow", [each for each in Overflow if each is not Overflow.DROP_OLDEST]
)
def test_an_offer_is_not_taken_over_the_mark(overflow: Overflow) -> None:
    pair = Pair.opened(Config(overflow=overflow, max_send_buffer=1000))
    while pair.client.can_send:
        pair.client.send(b"x" * 500, now=pair.now)
    assert not pair.client.offer(b"late", now=pair.now)
    assert (pair.client.state is State.OPEN) == (overflow is not Overflow.CLOSE)


def test_an_offer_takes_the_place_of_the_oldest() -> None:
    pair = Pair.opened(Config(overflow="drop_oldest", max_send_buffer=1000))
    while not pair.client.stats.messages_dropped:
        assert pair.client.offer(b"x" * 500, now=pair.now)


def test_an_offer_is_not_taken_unless_the_connection_is_open() -> None:
    pair = Pair.opened()
    pair.client.close(now=pair.now)
    assert not pair.client.offer("late", now=pair.now)


def test_an_offer_of_what_is_no_message_raises() -> None:
    with pytest.raises(TypeError):
        Pair.opened().client.offer(5, now=0)  # type: ignore[arg-type]


def test_the_turn_to_send_goes_to_who_came_first_and_nobody_overtakes() -> None:
    """Asyncio's lock is free for a moment between one and the next."""

    async def take_turns() -> None:
        turn = SendTurn(asyncio.Lock)
        order: list[str] = []
        wanted = [turn.wanted]

        async def send(name: str) -> None:
            async with turn:
                order.append(name)

        async with turn:
            waiting = [asyncio.create_task(send(name)) for name in ("b", "given up", "c")]
            await asyncio.sleep(0)
            wanted.append(turn.wanted)
            waiting[1].cancel()
            await asyncio.sleep(0)
            wanted.append(turn.wanted)
            order.append("a")
        # The first of them has yet to run.
        wanted.append(turn.wanted)
        await asyncio.wait(waiting)
        assert order == ["a", "b", "c"]
        assert [*wanted, turn.wanted] == [0, 4, 3, 2, 0]

    asyncio.run(take_turns())
