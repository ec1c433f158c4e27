"""The exception tree, and what each exception says."""

from __future__ import annotations

import inspect
import pickle

import pytest

from wscore import _errors
from wscore._close import Cause, CloseBy, CloseReason
from wscore._errors import (
    BadHandshake,
    ConcurrencyError,
    ConnectionClosed,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidState,
    InvalidURL,
    OpenTimeout,
    ProxyError,
    RedirectRefused,
    SendBufferFull,
    WebSocketError,
    WebSocketTimeout,
    only_closed,
)
from wscore._http import Response

REASON = CloseReason(1011, "", CloseBy.POLICY, Cause.PING_TIMEOUT)

SAMPLES: list[WebSocketError] = [
    BadHandshake("no Upgrade header", Response(200)),
    ConcurrencyError("two calls of recv()"),
    ConnectionClosed(REASON),
    HandshakeError("it never opened"),
    HandshakeInterrupted("end of stream"),
    HandshakeRefused(Response(403)),
    HandshakeRejected(Response(503)),
    InvalidState("send() before the connection is open"),
    InvalidURL("no host"),
    OpenTimeout(10.0),
    ProxyError("407 by the proxy"),
    RedirectRefused(Response(302), "no Location"),
    SendBufferFull(70_000, 65_536),
    WebSocketError("any"),
    WebSocketTimeout("recv() waited 5 s"),
]


def test_there_is_a_sample_of_every_exception() -> None:
    classes = {cls for _, cls in inspect.getmembers(_errors, inspect.isclass)}
    assert {type(sample) for sample in SAMPLES} == classes & set(_all_below(WebSocketError))
    assert {cls.__name__ for cls in classes} == {*_errors.__all__} - {"only_closed"}


def _all_below(root: type[WebSocketError]) -> list[type[WebSocketError]]:
    return [root, *(cls for child in root.__subclasses__() for cls in _all_below(child))]


KIN: list[type[Exception]] = [
    *(ValueError, RuntimeError, OSError, TimeoutError),
    *(InvalidState, WebSocketTimeout, HandshakeError, ConnectionClosed),
]


@pytest.mark.parametrize(
    ("error", "caught_as"),
    [
        (InvalidURL, [ValueError]),
        (InvalidState, [RuntimeError, InvalidState]),
        (ConcurrencyError, [RuntimeError, InvalidState]),
        (SendBufferFull, []),
        (WebSocketTimeout, [OSError, TimeoutError, WebSocketTimeout]),
        (OpenTimeout, [OSError, TimeoutError, WebSocketTimeout, HandshakeError]),
        (HandshakeError, [HandshakeError]),
        (BadHandshake, [HandshakeError]),
        (HandshakeRejected, [HandshakeError]),
        (HandshakeRefused, [HandshakeError]),
        (HandshakeInterrupted, [HandshakeError]),
        (ConnectionClosed, [ConnectionClosed]),
    ],
)
def test_an_exception_is_caught_as_its_kin_and_as_nothing_else(
    error: type[WebSocketError], caught_as: list[type[Exception]]
) -> None:
    assert [base for base in KIN if issubclass(error, base)] == caught_as
    assert issubclass(error, WebSocketError)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_exception_survives_pickling(error: WebSocketError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SendBufferFull(70_000, 65_536), ["70000 bytes", "max_send_buffer is 65536"]),
        (HandshakeRejected(Response(503)), ["server rejected", "HTTP 503"]),
        (HandshakeRefused(Response(403)), ["refused", "HTTP 403"]),
        (OpenTimeout(0.5), ["open_timeout, 0.5 s"]),
        (ConnectionClosed(REASON), ["1011", "policy", "ping_timeout"]),
        (BadHandshake("no Upgrade header"), ["no Upgrade header"]),
    ],
)
def test_the_text_names_the_value_and_the_limit(error: WebSocketError, said: list[str]) -> None:
    assert [part for part in said if part not in str(error)] == []


def test_the_parts_can_be_read_one_by_one() -> None:
    full = SendBufferFull(70_000, 65_536)
    assert (full.buffered, full.limit) == (70_000, 65_536)
    assert OpenTimeout(0.5).seconds == 0.5
    assert HandshakeRejected(Response(503)).response == Response(503)
    assert HandshakeRefused(Response(403)).response == Response(403)
    assert BadHandshake("bad").response is None
    assert BadHandshake("bad", Response(200)).response == Response(200)
    closed = ConnectionClosed(REASON)
    assert (closed.code, closed.reason) == (1011, REASON)


def test_a_transports_error_is_the_cause() -> None:
    reset = ConnectionResetError("reset by peer")
    reason = CloseReason(1006, "", CloseBy.TRANSPORT, Cause.TRANSPORT_ERROR, error=reset)
    assert ConnectionClosed(reason).__cause__ is reset
    assert ConnectionClosed(REASON).__cause__ is None


def test_only_what_says_nothing_but_closed_is_so_in_groups_too() -> None:
    closed = ConnectionClosed(REASON)
    assert only_closed(closed)
    assert only_closed(BaseExceptionGroup("", [closed, ExceptionGroup("", [closed])]))
    assert not only_closed(LookupError())
    assert not only_closed(ExceptionGroup("", [closed, LookupError()]))
