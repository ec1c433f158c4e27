"""Whom a server lets in."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wscore import Admission


def status(admission: Admission, who: object = None) -> int | None:
    refusal = admission.admit(who or object())
    return refusal.status if refusal else None


def test_without_a_limit_everybody_is_let_in() -> None:
    admission = Admission()
    assert [status(admission) for _ in range(1000)] == [None] * 1000


def test_over_the_limit_the_answer_is_503_until_one_leaves() -> None:
    admission = Admission(2)
    assert status(admission, "first") is None
    assert [status(admission, "second"), status(admission, "third")] == [None, 503]
    admission.leave("third")
    assert status(admission) == 503
    admission.leave("first")
    assert [status(admission), status(admission)] == [None, 503]


def test_nobody_is_let_in_once_the_server_is_to_close() -> None:
    admission = Admission()
    assert not admission.draining
    assert admission.farewell == (1000, "")
    admission.drain(1012, "restart")
    assert status(admission) == 503
    assert admission.draining
    assert admission.farewell == (1012, "restart")


@pytest.mark.parametrize(
    ("code", "reason", "seconds"),
    [
        (1005, "", 0),
        ("1001", "", 0),
        (1001, b"bytes", 0),
        (1001, "", -1),
        (1001, "", math.nan),
        (1001, "", "5"),
    ],
)
def test_a_farewell_that_cannot_be_changes_nothing(code: Any, reason: Any, seconds: Any) -> None:
    admission = Admission()
    with pytest.raises((ValueError, TypeError)):
        admission.drain(code, reason, seconds)
    assert status(admission) is None
    assert admission.farewell == (1000, "")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", True])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="max_connections"):
        Admission(limit)
