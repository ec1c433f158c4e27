"""Close codes, Close frames and reasons (RFC 6455 sections 5.5.1, 7.1 and 7.4)."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._close import (
    FAILURES,
    MAX_REASON,
    Cause,
    CloseBy,
    CloseCode,
    CloseFrame,
    CloseReason,
    Failure,
    check_close_code,
    cut_reason,
    decode_close,
    encode_close,
    may_be_received,
)

LEGAL = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]
ILLEGAL = [code for code in range(65536) if code not in set(LEGAL)]


def test_exactly_the_codes_of_the_registry_and_of_applications_may_be_received() -> None:
    """RFC 6455 section 7.4 and the IANA registry (1012 to 1014)."""
    assert [code for code in range(65536) if may_be_received(code)] == LEGAL


def test_exactly_what_may_be_received_may_be_sent() -> None:
    for code in LEGAL:
        check_close_code(code)


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536])
def test_a_code_that_must_not_be_sent_is_refused_by_name(code: int) -> None:
    """RFC 6455 section 7.4.1: 1005, 1006 and 1015 must not be set in a Close frame."""
    with pytest.raises(ValueError, match=f"close code {code} must not be sent"):
        check_close_code(code)


def test_a_code_that_is_no_int_is_refused() -> None:
    with pytest.raises(TypeError, match="must be an int, not str"):
        check_close_code(cast("int", "1000"))


@pytest.mark.parametrize(
    ("reason", "cut"),
    [
        ("", ""),
        ("a" * 123, "a" * 123),
        ("a" * 124, "a" * 123),
        ("\u00e9" * 62, "\u00e9" * 61),
        ("\u20ac" * 41, "\u20ac" * 41),
        ("\u20ac" * 42, "\u20ac" * 41),
        ("a" * 120 + "\U0001f389", "a" * 120),
    ],
)
def test_a_reason_is_cut_at_a_character_to_what_a_close_frame_holds(reason: str, cut: str) -> None:
    """RFC 6455 section 5.5: a control frame's payload is 125 bytes at most."""
    assert cut_reason(reason) == cut


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=20))
def test_a_cut_reason_fits_and_is_the_longest_prefix_that_does(reason: str) -> None:
    cut = cut_reason(reason)
    assert reason.startswith(cut)
    assert len(cut.encode()) <= MAX_REASON
    assert cut == reason or len(reason[: len(cut) + 1].encode()) > MAX_REASON


@given(st.sampled_from(LEGAL), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_close_frame_is_read_as_it_was_written(code: int, reason: str) -> None:
    frame = CloseFrame(code, cut_reason(reason))
    payload = encode_close(frame)
    assert len(payload) <= 125
    assert decode_close(payload) == frame


def test_an_empty_close_frame_is_code_1005_both_ways() -> None:
    """RFC 6455 section 7.1.5."""
    empty = CloseFrame(CloseCode.NO_STATUS_RCVD, "")
    assert encode_close(empty) == b""
    assert decode_close(b"") == empty


def test_a_close_frame_of_one_byte_is_a_protocol_error() -> None:
    """RFC 6455 section 5.5.1: a body begins with a two-byte code."""
    assert decode_close(b"\x03") == Failure(
        Cause.PROTOCOL_ERROR, "Close frame with one byte of payload"
    )


def test_an_illegal_code_is_a_protocol_error_that_names_it() -> None:
    """RFC 6455 section 7.4."""
    for code in ILLEGAL:
        expected = Failure(Cause.PROTOCOL_ERROR, f"Close frame with code {code}")
        assert decode_close(code.to_bytes(2, "big")) == expected


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"ok\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"])
def test_a_reason_that_is_not_utf8_is_invalid_data(reason: bytes) -> None:
    """RFC 6455 sections 5.5.1 and 8.1."""
    expected = Failure(Cause.INVALID_DATA, "Close frame whose reason is not UTF-8")
    assert decode_close(b"\x03\xe8" + reason) == expected


@given(st.binary(max_size=125))
def test_any_payload_is_a_close_frame_or_says_what_is_wrong(payload: bytes) -> None:
    result = decode_close(payload)
    if isinstance(result, CloseFrame):
        assert encode_close(result) == payload
    else:
        assert result.cause in {Cause.PROTOCOL_ERROR, Cause.INVALID_DATA}


def test_every_cause_is_the_applications_the_peers_or_has_its_failure() -> None:
    assert set(Cause) - set(FAILURES) == {Cause.CLOSED, Cause.PEER_CLOSED}


@pytest.mark.parametrize("cause", FAILURES)
def test_a_failure_tells_the_peer_a_code_or_that_nothing_was_told(cause: Cause) -> None:
    """RFC 6455 section 7.1.5: 1006 where no Close frame can be sent."""
    _, code = FAILURES[cause]
    assert may_be_received(code) or code == CloseCode.ABNORMAL_CLOSURE


@pytest.mark.parametrize(
    ("cause", "by", "code"),
    [
        (Cause.PROTOCOL_ERROR, CloseBy.POLICY, 1002),
        (Cause.INVALID_DATA, CloseBy.POLICY, 1007),
        (Cause.TOO_BIG, CloseBy.POLICY, 1009),
        (Cause.OVERFLOW, CloseBy.POLICY, 1013),
        (Cause.PING_TIMEOUT, CloseBy.POLICY, 1011),
        (Cause.IDLE_TIMEOUT, CloseBy.POLICY, 1001),
        (Cause.HANDLER_ERROR, CloseBy.LOCAL, 1011),
        (Cause.SEND_INTERRUPTED, CloseBy.LOCAL, 1011),
        (Cause.SEND_TIMEOUT, CloseBy.POLICY, 1006),
        (Cause.EOF, CloseBy.TRANSPORT, 1006),
    ],
)
def test_a_failure_has_the_code_of_the_policy_table(cause: Cause, by: CloseBy, code: int) -> None:
    assert FAILURES[cause] == (by, code)


@pytest.mark.parametrize(
    ("sent", "received", "clean"),
    [
        (None, None, False),
        (CloseFrame(1000, ""), None, False),
        (None, CloseFrame(1000, ""), False),
        (CloseFrame(1000, ""), CloseFrame(1000, ""), True),
    ],
)
def test_a_close_is_clean_if_both_close_frames_were_exchanged(
    sent: CloseFrame | None, received: CloseFrame | None, clean: bool
) -> None:
    """RFC 6455 section 7.1.4."""
    reason = CloseReason(
        1000, "", CloseBy.LOCAL, Cause.CLOSED, close_sent=sent, close_received=received
    )
    assert reason.clean is clean


@pytest.mark.parametrize(
    ("code", "by", "cause", "ok"),
    [
        (1000, CloseBy.LOCAL, Cause.CLOSED, True),
        (1001, CloseBy.LOCAL, Cause.CLOSED, True),
        (1000, CloseBy.PEER, Cause.PEER_CLOSED, True),
        (1001, CloseBy.PEER, Cause.PEER_CLOSED, True),
        (1005, CloseBy.PEER, Cause.PEER_CLOSED, True),
        (1011, CloseBy.PEER, Cause.PEER_CLOSED, False),
        (4000, CloseBy.LOCAL, Cause.CLOSED, False),
        (1001, CloseBy.POLICY, Cause.IDLE_TIMEOUT, False),
        (1006, CloseBy.TRANSPORT, Cause.EOF, False),
    ],
)
def test_an_end_is_ok_if_a_side_chose_it_with_a_code_for_that(
    code: int, by: CloseBy, cause: Cause, ok: bool
) -> None:
    assert CloseReason(code, "", by, cause).ok is ok


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (CloseReason(1000, "", CloseBy.LOCAL, Cause.CLOSED), "1000 by local, closed"),
        (
            CloseReason(4000, "bye", CloseBy.PEER, Cause.PEER_CLOSED),
            "4000 by peer, peer_closed: bye",
        ),
        (
            CloseReason(1006, "", CloseBy.TRANSPORT, Cause.EOF, unsent=2),
            "1006 by transport, eof (2 messages unsent, 0 unread)",
        ),
        (
            CloseReason(3000, "x\nERROR \x1b[31m", CloseBy.PEER, Cause.PEER_CLOSED),
            r"3000 by peer, peer_closed: 'x\nERROR \x1b[31m'",
        ),
        (
            CloseReason(1009, "2 MiB", CloseBy.POLICY, Cause.TOO_BIG, unread=1),
            "1009 by policy, too_big: 2 MiB (0 messages unsent, 1 unread)",
        ),
    ],
)
def test_a_reason_says_code_culprit_cause_and_what_was_lost(
    reason: CloseReason, text: str
) -> None:
    assert str(reason) == text


@pytest.mark.parametrize(
    ("code", "by", "cause", "unexpected"),
    [
        (1000, CloseBy.LOCAL, Cause.CLOSED, False),
        (4000, CloseBy.LOCAL, Cause.CLOSED, False),
        (1011, CloseBy.LOCAL, Cause.HANDLER_ERROR, False),
        (1001, CloseBy.PEER, Cause.PEER_CLOSED, False),
        (4000, CloseBy.PEER, Cause.PEER_CLOSED, True),
        (1002, CloseBy.POLICY, Cause.PROTOCOL_ERROR, True),
        (1006, CloseBy.TRANSPORT, Cause.EOF, True),
    ],
)
def test_an_end_that_this_side_did_not_choose_is_unexpected(
    code: int, by: CloseBy, cause: Cause, unexpected: bool
) -> None:
    assert CloseReason(code, "", by, cause).unexpected is unexpected
