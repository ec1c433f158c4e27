"""One message for many connections."""

from __future__ import annotations

from typing import Any

import pytest

from wscore import Prepared, broadcast


class Member:
    def __init__(self, takes: bool) -> None:
        self.takes = takes
        self.offered: list[Prepared] = []

    def _offer(self, message: Prepared) -> bool:
        self.offered.append(message)
        return self.takes


def test_each_is_offered_the_same_and_those_that_missed_it_are_told() -> None:
    members = [Member(True), Member(False), Member(True)]
    assert broadcast(members, "hello") == [members[1]]
    [message] = {id(each): each for member in members for each in member.offered}.values()
    assert message.payload == b"hello"


def test_a_prepared_message_is_not_prepared_again() -> None:
    member, prepared = Member(True), Prepared(b"x")
    assert broadcast([member], prepared) == []
    assert member.offered == [prepared]


def test_the_members_may_change_meanwhile() -> None:
    class Leaver(Member):
        def _offer(self, message: Prepared) -> bool:
            members.discard(self)
            return False

    members: set[Any] = {Leaver(True), Leaver(True)}
    assert len(broadcast(members, "bye")) == 2


def test_what_is_no_message_is_offered_to_nobody() -> None:
    member = Member(True)
    with pytest.raises(TypeError):
        broadcast([member], 5)  # type: ignore[arg-type]
    assert member.offered == []
