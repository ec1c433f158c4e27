"""Policy numbers: their defaults, what they may be, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._config import Config, ConfigOptions, Deflate, Overflow
from wscore._entropy import entropy
from wscore._http import is_token

INF = math.inf
NAN = math.nan
KIB = 1024
MIB = 1024 * 1024

DEFAULTS: dict[str, object] = {
    "open_timeout": 10.0,
    "close_timeout": 10.0,
    "fail_timeout": 1.0,
    "send_timeout": 30.0,
    "idle_timeout": INF,
    "message_timeout": INF,
    "ping_interval": 20.0,
    "ping_timeout": 20.0,
    "sleep_tolerance": 1.0,
    "ping_if_silent": False,
    "answer_pings": True,
    "show_pings": False,
    "max_message_size": MIB,
    "max_fragment_size": INF,
    "max_fragments": 131_072,
    "max_queue": 16,
    "max_queue_bytes": None,
    "control_look_ahead": 64 * KIB,
    "read_size": 256 * KIB,
    "keep_unread": False,
    "keep_fragments": False,
    "max_send_buffer": (64 * KIB, 16 * KIB),
    "overflow": Overflow.WAIT,
    "max_pong_buffer": 4 * KIB,
    "subprotocols": (),
    "origins": None,
    "plain_http": False,
    "compression": None,
    "max_head_size": 64 * KIB,
    "max_header_line": 8 * KIB,
    "max_headers": 128,
    "max_body_size": 64 * KIB,
    "entropy": entropy,
}
"""The numbers of the policy table."""

POSITIVE = [
    *("open_timeout", "close_timeout", "send_timeout", "idle_timeout", "message_timeout"),
    *("ping_interval", "ping_timeout", "max_head_size", "max_header_line"),
]
COUNTS = ["max_fragments", "max_headers"]
NOT_NEGATIVE = [
    *("fail_timeout", "sleep_tolerance", "max_message_size", "max_fragment_size"),
    *("control_look_ahead", "max_pong_buffer", "max_body_size"),
]
MARKS = ["max_queue", "max_send_buffer"]


def config(**options: Any) -> Config:
    """A Config from what a caller without a type checker may pass."""
    return Config(**options)


def test_the_defaults_are_those_of_the_policy_table() -> None:
    assert {each.name: getattr(Config(), each.name) for each in fields(Config)} == DEFAULTS


def test_the_keyword_arguments_are_the_fields() -> None:
    assert get_type_hints(ConfigOptions) == get_type_hints(Config)


@pytest.mark.parametrize("owner", [Config, Deflate])
def test_every_field_is_documented(owner: type[Config | Deflate]) -> None:
    text = owner.__doc__ or ""
    assert [each.name for each in fields(owner) if f":ivar {each.name}:" not in text] == []


def test_a_config_is_a_value() -> None:
    assert config(ping_interval=5) == config(ping_interval=5)
    assert hash(config(subprotocols=["chat"])) == hash(config(subprotocols=("chat",)))
    frozen: Any = Config()
    with pytest.raises(FrozenInstanceError):
        frozen.ping_interval = 1


@pytest.mark.parametrize("name", [*POSITIVE, *NOT_NEGATIVE, *COUNTS])
def test_inf_turns_a_timeout_or_a_limit_off(name: str) -> None:
    assert getattr(config(**{name: INF}), name) == INF


@pytest.mark.parametrize("name", NOT_NEGATIVE)
def test_some_limits_may_be_zero(name: str) -> None:
    assert getattr(config(**{name: 0}), name) == 0


WRONG_VALUES: list[tuple[str, object, str]] = [
    *((name, value, "above 0, inf") for name in POSITIVE for value in (0, -1, -INF, NAN)),
    *((name, value, "at least 1, inf") for name in COUNTS for value in (0, -1)),
    *((name, value, "at least 0, inf") for name in NOT_NEGATIVE for value in (-1, -INF, NAN)),
    *(
        (name, value, "at least 1, or")
        for name in MARKS
        for value in (0, -1, NAN, (0, 0), (4, 5), (4, -1), (NAN, 1), (4, NAN))
    ),
    *(("max_queue_bytes", value, "at least 1, inf") for value in (0, -1, NAN)),
    ("read_size", 1023, "at least 1024, at most"),
    ("read_size", 2**31 + 1, "at least 1024, at most"),
    ("overflow", "drop", "'wait', 'raise', 'drop_newest', 'drop_oldest', 'replace', 'close'"),
    ("overflow", None, "'wait'"),
    ("overflow", [], "'wait'"),
    ("compression", "gzip", 'None, "deflate" or a Deflate'),
    ("compression", True, 'None, "deflate" or a Deflate'),
    ("subprotocols", ("a b",), "HTTP tokens"),
    ("subprotocols", ("",), "HTTP tokens"),
    ("subprotocols", ("caf\u00e9",), "HTTP tokens"),
    ("subprotocols", ("a", "b", "a"), "different from one another"),
    ("origins", ("example.com",), "without a path"),
    ("origins", ("https://example.com/",), "without a path"),
    ("origins", ("https://",), "without a path"),
    ("origins", ("",), "without a path"),
]

WRONG_TYPES: list[tuple[str, object, str]] = [
    *(
        (name, value, "a number")
        for name in [*POSITIVE, *NOT_NEGATIVE, *MARKS, "max_queue_bytes"]
        for value in ("1", True, [1])
    ),
    *((name, None, "a number") for name in [*POSITIVE, *NOT_NEGATIVE, *MARKS]),
    *((name, value, "a number") for name in MARKS for value in ((1,), (4, 2, 1), (4, "2"))),
    ("read_size", 4096.0, "a whole number"),
    ("read_size", INF, "a whole number"),
    ("keep_unread", 1, "a bool"),
    ("keep_fragments", 1, "a bool"),
    ("plain_http", 1, "a bool"),
    ("ping_if_silent", 20.0, "a bool"),
    ("answer_pings", None, "a bool"),
    ("show_pings", 1, "a bool"),
    ("subprotocols", "chat", "not one str"),
    ("origins", "https://example.com", "a sequence of str and None"),
    ("origins", {"https://example.com"}, "a sequence of str and None"),
    ("origins", (b"https://example.com",), "a sequence of str and None"),
    ("subprotocols", (b"chat",), "a sequence of str"),
    ("entropy", b"1234", "a function"),
]


@pytest.mark.parametrize(
    ("kind", "name", "value", "allowed"),
    [
        *((ValueError, *case) for case in WRONG_VALUES),
        *((TypeError, *case) for case in WRONG_TYPES),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_itself_and_what_is_allowed(
    kind: type[Exception], name: str, value: object, allowed: str
) -> None:
    with pytest.raises(kind) as info:
        config(**{name: value})
    text = str(info.value)
    assert type(info.value) is kind
    assert text.startswith(f"{name} is {value!r}; it must be ")
    assert allowed in text


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        config(ping_intervall=20)


@pytest.mark.parametrize("policy", Overflow)
def test_an_overflow_policy_can_be_named_or_given(policy: Overflow) -> None:
    assert config(overflow=policy.value).overflow is policy
    assert config(overflow=policy).overflow is policy


def test_compression_is_off_the_defaults_or_as_given() -> None:
    assert Config().deflate is None
    assert config(compression="deflate").deflate == Deflate()
    own = Deflate(level=9)
    assert config(compression=own).deflate is own


def test_origins_are_what_browsers_send_and_none() -> None:
    origins = ["https://example.com", "http://localhost:8000", "null", None]
    assert config(origins=origins).origins == tuple(origins)


def test_subprotocols_keep_their_order() -> None:
    assert config(subprotocols=["b", "a"]).subprotocols == ("b", "a")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("server_max_window_bits", value) for value in (7, 16)),
        *(("client_max_window_bits", value) for value in (7, 16)),
        *(("level", value) for value in (-1, 10)),
        *(("memory_level", value) for value in (0, 10)),
        *(("threshold", value) for value in (-1, NAN)),
    ],
)
def test_a_deflate_parameter_out_of_range_is_refused(name: str, wrong: float) -> None:
    """RFC 7692 section 7.1.2; zlib's manual for the levels."""
    options: dict[str, Any] = {name: wrong}
    with pytest.raises(ValueError, match=f"{name} is {wrong!r}; it must be a"):
        Deflate(**options)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("server_max_window_bits", 12.0),
        ("client_max_window_bits", True),
        ("server_no_context_takeover", 1),
        ("client_no_context_takeover", None),
        ("level", "6"),
        ("memory_level", INF),
        ("threshold", "1024"),
    ],
)
def test_a_deflate_parameter_of_another_type_is_refused(name: str, wrong: object) -> None:
    options: dict[str, Any] = {name: wrong}
    with pytest.raises(TypeError, match=f"{name} is {wrong!r}; it must be a"):
        Deflate(**options)


def test_the_ends_of_the_deflate_ranges_are_allowed() -> None:
    low = Deflate(server_max_window_bits=8, level=0, memory_level=1, threshold=0)
    high = Deflate(client_max_window_bits=15, level=9, memory_level=9)
    assert (low.server_max_window_bits, high.client_max_window_bits) == (8, 15)


@pytest.mark.parametrize(
    ("value", "marks"),
    [(16, (16, 4)), (1, (1, 0)), (INF, (INF, INF)), ((8, 8), (8, 8)), ((INF, 4), (INF, 4))],
)
def test_the_low_mark_is_a_quarter_of_the_high_one_unless_given(
    value: object, marks: tuple[float, float]
) -> None:
    assert config(max_queue=value).queue_marks == marks
    assert config(max_send_buffer=value).send_marks == marks


@pytest.mark.parametrize(
    ("options", "marks"),
    [
        ({}, (MIB, MIB // 4)),
        ({"max_message_size": 4096}, (4096, 1024)),
        ({"max_message_size": 0}, (1, 0)),
        ({"max_message_size": INF}, (MIB, MIB // 4)),
        ({"max_message_size": 4096, "max_queue_bytes": 8192}, (8192, 2048)),
        ({"max_queue_bytes": INF}, (INF, INF)),
    ],
)
def test_the_queue_holds_as_many_bytes_as_a_message_unless_told_otherwise(
    options: dict[str, Any], marks: tuple[float, float]
) -> None:
    assert config(**options).queue_byte_marks == marks


@pytest.mark.parametrize(
    ("fail", "close", "delay"), [(1, 10, 1), (5, 10, 5), (6, 10, 5), (INF, INF, INF), (0, 10, 0)]
)
def test_a_failure_waits_at_most_half_of_the_time_for_closing(
    fail: float, close: float, delay: float
) -> None:
    assert config(fail_timeout=fail, close_timeout=close).fail_delay == delay


def test_the_memory_bound_counts_every_buffer() -> None:
    bound = config(
        max_message_size=1000,
        max_queue_bytes=10_000,
        read_size=100_000,
        max_send_buffer=1_000_000,
        max_pong_buffer=10_000_000,
    ).memory_bound
    assert bound == 11_113_000
    assert config(max_message_size=INF).memory_bound == INF


@pytest.mark.parametrize("token", ["chat", "v1.chat", "!#$%&'*+-.^_`|~", "0"])
def test_a_token_is_what_http_says(token: str) -> None:
    """RFC 9110 section 5.6.2."""
    assert is_token(token)


@given(st.text(min_size=1))
def test_a_token_has_no_delimiters_no_spaces_and_only_ascii(text: str) -> None:
    """RFC 9110 section 5.6.2."""
    delimiters = set('"(),/:;<=>?@[\\]{}')
    plain = all("!" <= char <= "~" and char not in delimiters for char in text)
    assert is_token(text) is plain


def test_the_empty_text_is_no_token() -> None:
    assert not is_token("")


def test_a_copy_with_other_values_is_validated_anew_and_leaves_the_first_alone() -> None:
    config = Config(max_queue=3, compression="deflate", subprotocols=["chat"])
    changed = config.replace(max_queue=(8, 2), overflow="raise")
    assert changed == Config(
        max_queue=(8, 2), compression="deflate", subprotocols=["chat"], overflow="raise"
    )
    assert config.max_queue == 3
    assert config.replace() is config
    with pytest.raises(ValueError, match="max_queue"):
        config.replace(max_queue=0)
