"""Tests of wscore._http: headers, request, response and acceptance as values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._http import Accept, Headers, HeadersLike, Request, Response, split_tokens

PAIRS = [("Set-Cookie", "a=1"), ("X-Trace", "t"), ("set-cookie", "b=2")]


@pytest.mark.parametrize(
    "given_as",
    [PAIRS, tuple(PAIRS), iter(PAIRS), Headers(PAIRS), [list(pair) for pair in PAIRS]],
    ids=["list", "tuple", "iterator", "Headers", "lists"],
)
def test_headers_are_the_same_however_they_are_given(given_as: HeadersLike) -> None:
    assert Headers(given_as).pairs() == tuple(PAIRS)


def test_headers_can_be_given_as_a_mapping() -> None:
    assert Headers({"Origin": "http://a", "Cookie": "c"}).pairs() == (
        ("Origin", "http://a"),
        ("Cookie", "c"),
    )


@pytest.mark.parametrize("pair", [(b"Origin", "a"), ("Origin", b"a"), ("Origin", 1), (None, "a")])
def test_a_header_that_is_not_a_pair_of_str_is_a_type_error(pair: object) -> None:
    with pytest.raises(TypeError, match="pair of str"):
        Headers(cast(Any, [pair]))


def test_names_are_found_in_any_case_and_repetitions_are_joined() -> None:
    """RFC 9110 section 5.3."""
    headers = Headers(PAIRS)
    assert headers["SET-COOKIE"] == "a=1, b=2"
    assert headers.get_all("Set-cookie") == ["a=1", "b=2"]
    assert "x-TRACE" in headers


def test_a_header_that_is_not_there_is_a_key_error_and_no_values() -> None:
    headers = Headers(PAIRS)
    with pytest.raises(KeyError, match="Origin"):
        headers["Origin"]
    assert headers.get("Origin") is None
    assert headers.get_all("Origin") == []


def test_as_a_mapping_headers_have_each_name_once_in_lower_case() -> None:
    headers = Headers(PAIRS)
    assert list(headers) == ["set-cookie", "x-trace"]
    assert len(headers) == 2
    assert dict(headers) == {"set-cookie": "a=1, b=2", "x-trace": "t"}


def test_headers_are_equal_if_they_differ_in_the_case_of_names_only() -> None:
    assert Headers([("A", "x")]) == Headers([("a", "x")])
    assert Headers([("A", "x")]) != Headers([("A", "X")])
    assert Headers([("A", "x"), ("B", "y")]) != Headers([("B", "y"), ("A", "x")])
    assert Headers() != "headers"


def test_headers_cannot_be_hashed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Headers())


def test_headers_are_added_behind_one_another_and_the_operands_stay() -> None:
    first = Headers([("A", "x")])
    both = first + {"B": "y"}
    assert both.pairs() == (("A", "x"), ("B", "y"))
    assert first.pairs() == (("A", "x"),)


def test_the_repr_of_headers_makes_them_again() -> None:
    headers = Headers(PAIRS)
    assert eval(repr(headers), {"Headers": Headers}) == headers


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_pairs_are_kept_in_order_and_as_they_were(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    assert headers.pairs() == tuple(pairs)
    assert set(headers) == {name.lower() for name, _ in pairs}
    assert sum(len(headers.get_all(name)) for name in headers) == len(pairs)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("/", "/", ""), ("/a?b=c", "/a", "b=c"), ("/a?b?c", "/a", "b?c"), ("/?", "/", "")],
)
def test_a_target_is_its_path_and_its_query(target: str, path: str, query: str) -> None:
    request = Request(target, "example.com")
    assert (request.path, request.query) == (path, query)


def test_the_origin_of_a_request_is_its_header_or_none() -> None:
    """RFC 6455 section 10.2."""
    assert Request("/", "h", {"origin": "https://a.example"}).origin == "https://a.example"
    assert Request("/", "h").origin is None


def test_the_subprotocols_of_a_request_are_those_of_all_its_headers_in_order() -> None:
    """RFC 6455 section 11.3.4."""
    name = "Sec-WebSocket-Protocol"
    assert Request("/", "h", [(name, "b, a"), (name, "c")]).subprotocols == ("b", "a", "c")
    assert Request("/", "h").subprotocols == ()


def test_the_body_of_a_response_given_as_text_is_utf_8() -> None:
    assert Response(403, body="nö").body == b"n\xc3\xb6"
    assert Response(403, body=b"\xff").body == b"\xff"
    assert Response(204).body == b""


def test_values_are_equal_by_content() -> None:
    assert Request("/", "h", {"A": "x"}) == Request("/", "h", [("a", "x")])
    assert Response(403, {"A": "x"}, "no") == Response(403, [("A", "x")], b"no")
    assert Accept("chat") == Accept("chat", ())
    assert Accept() == Accept(None)
    assert Accept() != Accept("chat")


@pytest.mark.parametrize("value", [Request("/", "h"), Response(200), Accept()])
def test_values_hold_headers_and_do_not_change(value: Request | Response | Accept) -> None:
    assert value.headers == Headers()
    with pytest.raises(FrozenInstanceError):
        value.headers = Headers(PAIRS)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("", []),
        (" , ,\t", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a ,\tb\t,, c d ", ["a", "b", "c d"]),
    ],
)
def test_a_list_is_split_at_commas_and_empty_elements_are_left_out(
    value: str, tokens: list[str]
) -> None:
    """RFC 9110 section 5.6.1."""
    assert split_tokens(value) == tokens
