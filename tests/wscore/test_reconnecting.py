"""Staying connected."""

from __future__ import annotations

import pytest
from tests.wscore.kernel import Kernel, until

from wscore import (
    URL,
    Backoff,
    HandshakeInterrupted,
    HandshakeRejected,
    Reconnecting,
    Reconnector,
    Response,
)

BACKOFF = Backoff(first=1, factor=2, jitter=0)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, /, *args: object) -> None:
        self.lines.append(message % args)

    def error(
        self, message: str, /, *args: object, exc_info: BaseException | None = None
    ) -> None: ...


class Connected:
    """An open connection."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Scene:
    """A client, and how its attempts end.

    :ivar errors: what the next attempts raise.
    :ivar attempts: when they were.
    """

    def __init__(self) -> None:
        self.kernel = kernel = Kernel()
        self.log = log = Log()
        self.errors: list[Exception] = []
        self.attempts: list[float] = []

        class Again(Reconnecting[Connected]):
            _log = log
            _current_time = staticmethod(kernel.clock)

            @staticmethod
            async def _sleep(seconds: float) -> None:
                end = kernel.now + seconds
                # The scope is what time passes to.
                with kernel.cancel_scope(deadline=end):
                    await until(lambda: kernel.now >= end, shielded=True)

        url = URL.parse("ws://example.com/")
        self.again = Again(url, self._connect, Reconnector(BACKOFF, bytes))

    async def _connect(self) -> Connected:
        self.attempts.append(self.kernel.now)
        if self.errors:
            raise self.errors.pop(0)
        return Connected()

    def next(self) -> Connected:
        async def turn() -> Connected:
            return await anext(self.again)

        return self.kernel.run(turn())


def test_each_turn_is_a_connection_and_the_next_one_closes_it() -> None:
    scene = Scene()
    assert aiter(scene.again) is scene.again
    first = scene.next()
    assert not first.closed
    second = scene.next()
    assert first.closed
    assert second is not first
    assert scene.attempts == [0, 1]
    assert scene.log.lines == []


def test_an_attempt_that_fails_is_told_and_made_again() -> None:
    scene = Scene()
    scene.errors = [HandshakeInterrupted("gone"), HandshakeInterrupted("gone")]
    assert not scene.next().closed
    assert scene.attempts == [0, 1, 3]
    assert [line.rpartition("; ")[2] for line in scene.log.lines] == [
        "again in 1.0 s",
        "again in 2.0 s",
    ]
    assert scene.log.lines[0].startswith("ws://example.com/")


def test_what_cannot_be_helped_is_raised() -> None:
    scene = Scene()
    scene.errors = [HandshakeRejected(Response(404))]
    with pytest.raises(HandshakeRejected):
        scene.next()
    assert scene.log.lines == []
