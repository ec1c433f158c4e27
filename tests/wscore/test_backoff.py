"""When a client tries again, and when that is in vain."""

from __future__ import annotations

import math
from typing import Any

import pytest

from wscore import (
    Backoff,
    BadHandshake,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRejected,
    OpenTimeout,
    ProxyError,
    Reconnector,
    RedirectRefused,
    Response,
)

LOST = HandshakeInterrupted("lost")


def constant(byte: int) -> Any:
    return lambda size: bytes([byte]) * size


def reconnector(byte: int = 0, **options: Any) -> Reconnector:
    return Reconnector(Backoff(**options), constant(byte))


def test_delays_grow_up_to_the_maximum() -> None:
    again = reconnector(first=1, factor=2, maximum=10)
    assert [again.failed(LOST) for _ in range(6)] == [1, 2, 4, 8, 10, 10]


def test_a_part_of_each_delay_is_random() -> None:
    delay = reconnector(255, first=1, jitter=0.25).failed(LOST)
    assert delay == pytest.approx(0.75)
    assert reconnector(255, first=1, jitter=1).failed(LOST) == pytest.approx(0, abs=1e-6)
    assert reconnector(255, first=1, jitter=0).failed(LOST) == 1


def test_delays_begin_anew_once_a_connection_has_settled() -> None:
    again = reconnector(first=1, factor=2, settled=30)
    assert [again.failed(LOST) for _ in range(3)] == [1, 2, 4]
    again.opened(now=100)
    assert again.closed(now=130) == 1
    assert again.failed(LOST) == 2


def test_a_server_that_closes_at_once_is_not_hammered() -> None:
    again = reconnector(first=1, factor=2, settled=30)
    delays = []
    for now in range(4):
        again.opened(now=now)
        delays.append(again.closed(now=now + 0.5))
    assert delays == [1, 2, 4, 8]


def test_a_thousand_failures_are_no_overflow() -> None:
    for factor in (1, 1.6, 1e300):
        again = reconnector(factor=factor, maximum=7)
        assert all(again.failed(LOST) <= 7 for _ in range(3000))


@pytest.mark.parametrize(
    "error",
    [
        LOST,
        OpenTimeout(10),
        ProxyError("broken"),
        ProxyError("busy", Response(503)),
        *(HandshakeRejected(Response(status)) for status in (408, 425, 429, 500, 502, 503, 504)),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: HandshakeError) -> None:
    assert reconnector().failed(error) == 1


class CertificateError(OSError, ValueError):
    """As :exc:`ssl.SSLCertVerificationError` is."""


def untrusted() -> HandshakeInterrupted:
    error = HandshakeInterrupted("untrusted")
    error.__cause__ = CertificateError()
    return error


@pytest.mark.parametrize(
    "error",
    [
        BadHandshake("not HTTP"),
        RedirectRefused(Response(302), "why"),
        ProxyError("who are you?", Response(407)),
        untrusted(),
        *(HandshakeRejected(Response(status)) for status in (400, 401, 403, 404, 426)),
    ],
    ids=repr,
)
def test_what_cannot_be_mended_raises(error: HandshakeError) -> None:
    with pytest.raises(HandshakeError) as caught:
        reconnector().failed(error)
    assert caught.value is error


@pytest.mark.parametrize(
    ("asked", "delay"),
    [("7", 7), ("0", 1), ("9999999", 120), ("9" * 5000, 1), ("-5", 1), ("soon", 1), ("٣", 1)],
)
def test_a_server_may_ask_for_more_patience(asked: str, delay: float) -> None:
    """RFC 9110 section 10.2.3."""
    error = HandshakeRejected(Response(503, {"Retry-After": asked}))
    assert reconnector().failed(error) == delay


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"factor": 0.5},
        {"factor": math.inf},
        {"jitter": 1.1},
        {"maximum": math.nan},
        {"settled": "30"},
        {"first": True},
    ],
)
def test_a_backoff_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
        Backoff(**wrong)
