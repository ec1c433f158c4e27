"""The rules of RFC 6455, by the vectors: both roles, however the octets are sliced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

import pytest
from tests.wscore.rawpeer import CLOSE, Frame, RawPeer, reason_of
from tests.wscore.vectors import VECTORS, Cut, Vector

from wscore import Cause, ConnectionClosed, Message, Role

Slicing: TypeAlias = Callable[[Sequence[bytes]], Iterator[bytes]]
"""How the frames of a turn come in."""

LAST_CASES = """
    1.1.8 1.2.8 2.11 3.7 4.1.5 4.2.5 5.20 6.1.3 6.2.4 6.3.2 6.4.4 6.5.5 6.6.11 6.7.4 6.8.2 6.9.4
    6.10.3 6.11.5 6.12.8 6.13.5 6.14.10 6.15.1 6.16.3 6.17.5 6.18.5 6.19.5 6.20.7 6.21.8 6.22.34
    6.23.7 7.1.6 7.3.6 7.5.1 7.7.13 7.9.9 7.13.2 10.1.1
"""
"""The last case of each group of the suite; each group counts from 1."""

SHORT = 150
"""More octets than any control frame has, and any text that is not UTF-8."""


def whole(frames: Sequence[bytes]) -> Iterator[bytes]:
    yield b"".join(frames)


def framewise(frames: Sequence[bytes]) -> Iterator[bytes]:
    yield from frames


def bytewise(frames: Sequence[bytes]) -> Iterator[bytes]:
    """Octet by octet; but the rest of a long frame is all alike, and in chops of 997 octets.

    So it is in cases 1.1.8 and 1.2.8.
    """
    for data in frames:
        for i in range(min(len(data), SHORT)):
            yield data[i : i + 1]
        for i in range(SHORT, len(data), 997):
            yield data[i : i + 997]


class Echo:
    """An application that echoes every message, and the peer that reads what comes of it."""

    def __init__(self, role: Role) -> None:
        self.peer = RawPeer.opened(role=role)
        self.messages: list[Message] = []
        self.frames: list[Frame] = []

    def wire(self, sent: Frame | Cut) -> bytes:
        if not isinstance(sent, Cut):
            return self.peer.frame(*sent)
        data = self.peer.frame(*sent.frame)
        header = len(data) - len(sent.frame[1])
        return data[header + sent.start if sent.start else 0 : header + sent.stop]

    def receive(self, data: bytes) -> None:
        self.peer.send_raw(data)
        self.frames += self.peer.read()
        # Written one by one: failing the connection drops what waits.
        with suppress(ConnectionClosed):
            while (message := self.peer.connection.take_message(now=0.0)) is not None:
                self.messages.append(message)
                with suppress(ConnectionClosed):
                    self.peer.connection.send(message, now=0.0)
                self.frames += self.peer.read()
        self.frames += self.peer.read()


@pytest.mark.parametrize("slicing", [whole, framewise, bytewise])
@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.case)
def test_vector(vector: Vector, role: Role, slicing: Slicing) -> None:
    app = Echo(role)
    peer = app.peer
    written: list[tuple[Frame, ...]] = []
    for turn in vector.turns:
        assert peer.is_open()
        app.frames.clear()
        for data in slicing([app.wire(sent) for sent in turn]):
            app.receive(data)
        written.append(tuple(app.frames))
    assert peer.is_over()
    assert app.messages == list(vector.messages)

    *before, (head, payload) = written.pop()
    code = int.from_bytes(payload[:2], "big") if payload else 1005
    assert (head, code) == (CLOSE, vector.end.code)
    at_once = vector.written_at_once if slicing is whole else None
    assert (*written, tuple(before)) == (at_once or vector.written)

    # Both Close frames are exchanged: the server ends first (section 7.1.1).
    agreed = vector.end.cause is Cause.PEER_CLOSED
    assert peer.is_closed() is (agreed and role is Role.SERVER)
    peer.end()
    assert peer.is_closed()
    reason = reason_of(peer.connection)
    assert (reason.code, reason.cause, reason.clean) == (*vector.end, agreed)


def test_there_is_a_vector_for_each_case_of_the_suite() -> None:
    expected = [
        f"{group}.{i}"
        for group, _, last in (case.rpartition(".") for case in LAST_CASES.split())
        for i in range(1, int(last) + 1)
    ]
    assert sorted(vector.case for vector in VECTORS) == sorted(expected)
