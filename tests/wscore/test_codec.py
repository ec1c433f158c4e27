"""The codec's inner loops: the compiled form does what the one in Python does, and no more."""

from __future__ import annotations

import codecs
import gc
import importlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    TEXT,
    RawPeer,
    reason_of,
)
from wsproto.frame_protocol import FrameDecoder, FrameProtocol, Opcode

import wscore
from wscore import Cause, Config, Connection, ConnectionClosed, Prepared, Role, State, _pure
from wscore._form import LANDS

FORMS: list[ModuleType] = [_pure]
if LANDS:
    FORMS.append(importlib.import_module("wscore._codec"))

KIB = 1024
MIB = 1024 * KIB
INF = math.inf

both_forms = pytest.mark.parametrize("form", FORMS, ids=[form.__name__ for form in FORMS])

KEYS = st.binary(min_size=4, max_size=4)
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.integers(0, 300).map(bytes),
    st.sampled_from([125, 126, 127, 1023, 1024, 1025, 65_535, 65_536]).map(
        lambda n: b"ab\xc3" * n
    ),
)
Result = TypeVar("Result")

MESSAGES = st.lists(st.tuples(st.sampled_from([TEXT, BINARY]), PAYLOADS), max_size=6)


def same(call: Callable[[Any], Result]) -> Result:
    """What the call gives for a form, which must be the same for every one."""
    results = [call(form) for form in FORMS]
    assert all(result == results[0] for result in results)
    return results[0]


# ------------------------------------------------------------------------- which form runs


def said_with(**environment: str) -> str:
    program = "import wscore; print(wscore.codec)"
    env = {name: value for name, value in os.environ.items() if name != "WSCORE_PURE"}
    path = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={**env, "PYTHONPATH": path, **environment}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_the_environment_forces_the_form_in_python() -> None:
    assert said_with(WSCORE_PURE="1") == "Python"
    if LANDS:
        assert said_with() == "C"


def test_it_says_which_form_runs() -> None:
    assert wscore.codec == ("C" if LANDS else "Python")


# ---------------------------------------------------------------------------------- masks


@given(PAYLOADS, KEYS)
def test_masking_is_xor_with_the_key_over_and_over(data: bytes, key: bytes) -> None:
    """RFC 6455 section 5.3."""
    expected: bytes = bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert same(lambda form: form.mask(data, key)) == expected


@given(PAYLOADS, KEYS)
def test_masking_twice_is_nothing(data: bytes, key: bytes) -> None:
    assert same(lambda form: form.mask(memoryview(form.mask(data, key)), key)) == data


# --------------------------------------------------------------------------------- encode


@given(
    st.sampled_from([FIN | TEXT, FIN | BINARY, FIN | PING, TEXT, 0]), PAYLOADS, KEYS | st.none()
)
def test_frames_are_encoded_alike(head: int, payload: bytes, key: bytes | None) -> None:
    frame = same(lambda form: form.encode(head, payload, key))
    masked = key is not None
    assert isinstance(frame, bytes)
    assert frame.startswith(_pure.header(head, len(payload), masked))
    assert frame.endswith(payload if key is None else _pure.mask(payload, key))


@given(MESSAGES, st.booleans())
def test_messages_are_encoded_like_frames_one_after_the_other(
    messages: list[tuple[int, bytes]], masked: bool
) -> None:
    keys = bytes(range(4 * len(messages))) if masked else None
    together = same(lambda form: form.encode_messages(messages, keys))
    frames = [
        _pure.encode(FIN | opcode, payload, None if keys is None else keys[4 * i : 4 * i + 4])
        for i, (opcode, payload) in enumerate(messages)
    ]
    assert together == b"".join(frames)


def oracle(data: bytes, *, masked: bool) -> list[str | bytes]:
    """What wsproto's own decoder makes of it."""
    decoder = FrameDecoder(client=not masked)
    decoder.receive_bytes(data)
    messages: list[str | bytes] = []
    while (frame := decoder.process_buffer()) is not None:
        assert isinstance(frame.payload, (bytes, bytearray))
        messages.append(bytes(frame.payload))
    return messages


@given(MESSAGES, st.booleans())
def test_wsproto_reads_what_is_encoded(messages: list[tuple[int, bytes]], masked: bool) -> None:
    sent = [(BINARY, payload) for _, payload in messages]
    keys = bytes(4 * len(sent)) if masked else None
    data = same(lambda form: form.encode_messages(sent, keys))
    assert isinstance(data, bytes)
    assert oracle(data, masked=masked) == [payload for _, payload in sent]


def test_wsproto_is_read() -> None:
    proto = FrameProtocol(client=True, extensions=[])
    data = bytes(proto.send_data("Grüße")) + bytes(proto._serialize_frame(Opcode.BINARY, b"abc"))
    expected = ([("Grüße", 7), (b"abc", 3)], len(data), 10)
    assert (
        same(lambda form: _listed(form.decode_messages(data, 0, True, INF, INF, INF))) == expected
    )


# --------------------------------------------------------------------------------- decode


def _listed(result: tuple[Any, int, int]) -> tuple[list[Any], int, int]:
    found, at, size = result
    return [*found], at, size


STREAMS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda messages, keys, cut: _pure.encode_messages(messages, keys)[: -cut or None],
        MESSAGES.filter(bool),
        st.none() | st.just(b"\x01\x02\x03\x04" * 6),
        st.sampled_from([0, 0, 1, 5, 30]),
    ),
    st.lists(
        st.builds(
            _pure.encode,
            st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x00, 0xC1, 0x89, 0x88, 0xF0, 0x83]),
            st.binary(max_size=140),
            st.none() | KEYS,
        ),
        max_size=5,
    ).map(b"".join),
)
# Whole numbers, or inf.
LIMITS = st.sampled_from([0, 1, 2, 3, 100, 2**63, 2**70, -1, 0.0, 2.0, INF, -INF])


@given(STREAMS, st.integers(0, 70), st.booleans(), LIMITS, LIMITS, LIMITS)
def test_any_bytes_are_decoded_alike(
    data: bytes, at: int, masked: bool, messages: float, room: float, limit: float
) -> None:
    at = min(at, len(data))
    same(lambda form: _listed(form.decode_messages(data, at, masked, messages, room, limit)))
    same(lambda form: form.hop(data, at, masked))
    view = memoryview(bytearray(data))
    same(lambda form: _listed(form.decode_messages(view, at, masked, messages, room, limit)))
    same(lambda form: form.hop(view, at, masked))


@given(MESSAGES, st.none() | KEYS)
def test_what_was_encoded_is_decoded(messages: list[tuple[int, bytes]], key: bytes | None) -> None:
    keys = None if key is None else key * len(messages)
    data = _pure.encode_messages(messages, keys)
    found, _, _ = same(
        lambda form: _listed(form.decode_messages(data, 0, key is not None, INF, INF, INF))
    )
    expected: list[tuple[str | bytes, int]] = []
    for opcode, payload in messages:
        try:
            message = payload.decode() if opcode == TEXT else payload
        except UnicodeDecodeError:
            break
        expected.append((message, len(payload)))
    assert found == expected


@given(MESSAGES, st.none() | KEYS)
def test_data_frames_are_hopped_to_their_end(
    messages: list[tuple[int, bytes]], key: bytes | None
) -> None:
    keys = None if key is None else key * len(messages)
    data = _pure.encode_messages(messages, keys)
    ping = _pure.encode(FIN | PING, b"", key)
    masked = key is not None
    assert same(lambda form: form.hop(data, 0, masked)) == (len(data), 0)
    assert same(lambda form: form.hop(data + ping, 0, masked)) == (len(data), 0)
    if messages and messages[-1][1]:
        assert same(lambda form: form.hop(data[:-1], 0, masked)) == (len(data) - 1, 1)


@pytest.mark.parametrize(
    ("data", "found", "hopped"),
    [
        ("82", 0, 0),
        ("8200", 1, 2),
        ("827e", 0, 0),
        ("827e00", 0, 0),
        # Not as short as can be.
        ("827e0001 61", 0, 5),
        ("827f0000 00000000 0001 61", 0, 11),
        ("827e007e" + "00" * 126, 1, 130),
        ("827f0000 00000001 0000" + "00" * 65536, 1, 65546),
        ("827f0000 000000", 0, 0),
        ("8202 61", 0, 3),
        ("8101 ff", 0, 3),
        ("8101 61 8102 6161", 2, 7),
        ("0101 61 8001 61", 0, 6),
        # A mask where none should be, RSV1, a reserved opcode, a control frame.
        ("8281 00000000 61", 0, 0),
        ("c101 61", 0, 0),
        ("8301 61", 0, 0),
        ("8900", 0, 0),
    ],
)
def test_what_is_plain_and_what_is_hopped(data: str, found: int, hopped: int) -> None:
    frame = bytes.fromhex(data)
    messages, _, _ = same(lambda form: _listed(form.decode_messages(frame, 0, False, 9, INF, INF)))
    assert len(messages) == found
    assert same(lambda form: form.hop(frame, 0, False))[0] == hopped


def test_a_budget_or_a_limit_ends_what_is_plain() -> None:
    data = _pure.encode_messages([(BINARY, b"abc"), (BINARY, b"defg"), (BINARY, b"h")], None)
    for budget, count in [((2, INF, INF), 2), ((9, 3, INF), 1), ((9, 4, INF), 2), ((9, 9, 3), 1)]:
        decoded = [_listed(form.decode_messages(data, 0, False, *budget)) for form in FORMS]
        assert all(each == decoded[0] for each in decoded)
        messages, _, size = decoded[0]
        assert (len(messages), size) == (count, [0, 3, 7][count])


def test_a_length_beyond_any_memory_is_hopped() -> None:
    data = b"\x82\x7f" + b"\xff" * 8 + b"abc"
    assert same(lambda form: form.hop(data, 0, False)) == (len(data), 2**64 - 1 - 3)


@pytest.mark.skipif(not LANDS, reason="the form in Python takes its caller at his word")
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("mask", (b"abc", b"123")),
        ("mask", ("abc", b"1234")),
        ("encode", (0x81, b"", b"12345")),
        ("encode", ("x", b"", None)),
        ("encode_messages", ([(1, "text")], None)),
        ("encode_messages", ([(1, b"a", 2)], None)),
        ("encode_messages", ([("1", b"a")], None)),
        ("encode_messages", ([[1, b"a"]], None)),
        ("encode_messages", (((1, b"a"),), None)),
        ("encode_messages", ([(1, b"a")], b"123")),
        ("encode_messages", ([(1, b"a")], "1234")),
        ("decode_messages", (b"abc", 4, True, 1, 1, 1)),
        ("decode_messages", (b"abc", -1, True, 1, 1, 1)),
        ("decode_messages", (b"abc", 0, True, "1", 1, 1)),
        ("hop", (b"abc", 4, True)),
        ("hop", (b"abc", -1, True)),
        ("hop", ("abc", 0, True)),
        ("Landing", (0, None, False)),
        ("Landing", (-5, None, False)),
        ("Landing", (5, b"123", False)),
    ],
)
def test_wrong_arguments_are_an_error_and_nothing_worse(
    function: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises((TypeError, ValueError)):
        getattr(FORMS[-1], function)(*arguments)


# -------------------------------------------------------------------------------- landing

NOISE = bytes(range(256)) * 16 * KIB
"""4 MiB."""

only_landing = pytest.mark.skipif(not LANDS, reason="the form in Python gathers, and copies")


def landing(size: int, key: bytes | None = None, *, text: bool = False) -> Any:
    return FORMS[-1].Landing(size, key, text)


@only_landing
@pytest.mark.parametrize("key", [None, b"\x01\x02\x03\x04"])
@pytest.mark.parametrize("size", [1, 7, 64 * KIB, MIB, MIB + 1, 3 * MIB + 5])
@pytest.mark.parametrize("step", [1001, 300 * KIB, 5 * MIB])
def test_a_payload_lands_whichever_way_it_comes(size: int, key: bytes | None, step: int) -> None:
    payload = NOISE[:size]
    wire = payload if key is None else _pure.mask(payload, key)
    target = landing(size, key)
    fed = True
    while (at := target.landed) < size:
        piece = wire[at : at + step]
        if fed:
            # What is behind the payload does not belong to it.
            behind = b"beyond" if at + step >= size else b""
            assert target.feed(piece + behind) == len(piece)
        else:
            with memoryview(target) as view:
                piece = piece[: len(view)]
                view[: len(piece)] = piece
            target.received(len(piece))
        fed = not fed
    assert target.landed == size
    assert target.take()[0] == payload


@only_landing
def test_taken_early_it_gives_what_there_is_and_the_key_for_the_rest() -> None:
    key = b"\x01\x02\x03\x04"
    wire = _pure.mask(b"abcdefgh", key)
    target = landing(8, key)
    assert target.feed(wire[:3]) == 3
    part, rest = target.take()
    assert (part, _pure.mask(wire[3:], rest)) == (b"abc", b"defgh")
    for call in (target.take, lambda: target.feed(b"x"), lambda: target.received(1)):
        with pytest.raises(ValueError, match="taken already"):
            call()
    with pytest.raises(BufferError):
        memoryview(target)


@only_landing
def test_nothing_has_landed_yet() -> None:
    assert landing(5).take() == (b"", bytes(4))


def not_text(data: bytes) -> bool:
    """Whether no more bytes could make it text."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return True
    return False


@only_landing
@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)), st.integers(1, 7))
def test_text_is_bad_as_soon_as_it_can_be_none(payload: bytes, step: int) -> None:
    """RFC 3629; Python's decoder is the oracle, and may see a surrogate one byte later."""
    target = landing(len(payload) + 1, text=True)
    for at in range(0, len(payload), step):
        target.feed(payload[at : at + step])
        so_far = payload[: at + step]
        surrogate = so_far[-2:-1] == b"\xed"
        assert target.bad is not_text(so_far) or (target.bad and surrogate)


@only_landing
def test_a_buffer_that_is_kept_never_becomes_somebody_elses_memory() -> None:
    target = landing(3 * MIB)
    kept = memoryview(target)
    # It has to grow meanwhile, and is taken.
    assert target.feed(NOISE[: 3 * MIB]) == 3 * MIB
    payload, _ = target.take()
    assert payload == NOISE[: 3 * MIB]
    with pytest.raises(BufferError):
        memoryview(target)
    del target
    gc.collect()
    kept[:] = bytes(len(kept))
    assert payload == NOISE[: 3 * MIB]


@only_landing
def test_no_more_can_be_received_than_fits() -> None:
    target = landing(10)
    with pytest.raises(ValueError, match="buffer of 0"):
        target.received(1)
    with memoryview(target) as view:
        assert len(view) == 10
    for size in (11, -1):
        with pytest.raises(ValueError, match="buffer of 10"):
            target.received(size)
    with pytest.raises(TypeError):
        target.received("1")
    target.received(0)
    target.received(10)
    with pytest.raises(BufferError):
        memoryview(target)


# --------------------------------------------------------- landing, from the connection's side


def deliver(
    connection: Connection, data: bytes, step: int = 10 * KIB, *, now: float = 0.0
) -> None:
    """Read as an adapter does: where the connection wants it, or else anywhere."""
    at = 0
    while at < len(data):
        view = connection.receive_buffer()
        if view is None:
            connection.receive_data(data[at : at + step], now=now)
            at += step
        else:
            with view:
                piece = data[at : at + min(step, len(view))]
                view[: len(piece)] = piece
            at += len(piece)
            connection.received(len(piece), now=now)


LARGE = 300 * KIB


def frame(connection: Connection, head: int, payload: bytes) -> bytes:
    return _pure.encode(
        head, payload, b"\x05\x06\x07\x08" if connection.role is Role.SERVER else None
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("step", [1000, 10 * KIB, MIB])
def test_large_messages_arrive_however_they_are_read(role: Role, step: int) -> None:
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    messages: list[str | bytes] = [NOISE[:LARGE], "ä" * (LARGE // 2), b"small", "x" * MIB]
    for message in messages:
        binary = isinstance(message, bytes)
        payload = message if isinstance(message, bytes) else message.encode()
        deliver(connection, frame(connection, FIN | (BINARY if binary else TEXT), payload), step)
        assert connection.take_message(now=0.0) == message
    stats = connection.stats
    assert stats.messages_received == 4
    assert stats.message_bytes_received == stats.payload_bytes_received
    assert stats.frames_received == 4


def reads_of(connection: Connection, data: bytes) -> list[int]:
    """Read and take as an adapter does, as much as is wanted; how much each read brought."""
    sizes = []
    while data:
        view = connection.receive_buffer()
        if view is None:
            sizes.append(min(connection.want_read, len(data)))
            connection.receive_data(data[: sizes[-1]], now=0.0)
        else:
            with view:
                sizes.append(min(len(view), len(data)))
                view[: sizes[-1]] = data[: sizes[-1]]
            connection.received(sizes[-1], now=0.0)
        assert sizes[-1]
        data = data[sizes[-1] :]
    while connection.take_message(now=0.0) is not None:
        pass
    return sizes


@pytest.mark.skipif(wscore.codec != "C", reason="the pure form copies what it receives anyway")
def test_of_large_messages_the_least_is_copied() -> None:
    connection = RawPeer.opened().connection
    large = frame(connection, FIN | BINARY, NOISE[:MIB])
    first = reads_of(connection, large)
    assert first == [256 * KIB, 512 * KIB, len(large) - 768 * KIB]
    # After one there may be another, of which the head comes with little else.
    assert reads_of(connection, large) == [16 * KIB, 512 * KIB, len(large) - 528 * KIB]
    small = frame(connection, FIN | BINARY, NOISE[: 10 * KIB])
    assert reads_of(connection, small) == [len(small)]
    assert reads_of(connection, large)[0] == 16 * KIB
    assert connection.stats.messages_received == 4


@pytest.mark.parametrize(
    "frames",
    [
        [(FIN | BINARY, 9 * KIB), (FIN | BINARY, 9 * KIB)],
        [(BINARY, 9 * KIB), (FIN | CONTINUATION, 1)],
        [(FIN | BINARY, 40 * KIB)],
    ],
    ids=["two at once", "in fragments", "of one read"],
)
def test_other_messages_come_in_one_read_again(frames: list[tuple[int, int]]) -> None:
    connection = RawPeer.opened(Config(read_size=64 * KIB)).connection
    reads_of(connection, frame(connection, FIN | BINARY, NOISE[:LARGE]))
    assert connection.want_read == (16 if LANDS else 64) * KIB
    reads_of(connection, b"".join(frame(connection, head, NOISE[:size]) for head, size in frames))
    assert connection.want_read == 64 * KIB


def test_no_read_is_larger_than_allowed() -> None:
    connection = RawPeer.opened(Config(read_size=10 * KIB)).connection
    data = frame(connection, FIN | BINARY, NOISE[:LARGE])
    for _ in range(2):
        assert max(reads_of(connection, data)) == (20 if LANDS else 10) * KIB
        assert connection.want_read == 10 * KIB


def test_what_is_behind_a_failure_does_not_land() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    data = frame(connection, FIN | TEXT, b"x" * 50 * KIB + b"\xff" + b"x" * LARGE)
    deliver(connection, frame(connection, FIN | BINARY, b"taken first") + data[: 60 * KIB])
    # The failure waits for the message in front of it, and what comes is looked through.
    assert connection.state is State.OPEN
    assert connection.receive_buffer() is None
    assert connection.take_message(now=0.0) == b"taken first"
    with pytest.raises(ConnectionClosed):
        connection.take_message(now=0.0)
    assert reason_of(connection).cause is Cause.INVALID_DATA


def test_text_that_is_none_fails_before_it_has_all_come() -> None:
    connection = RawPeer.opened().connection
    data = frame(connection, FIN | TEXT, b"x" * 50 * KIB + b"\xff" + b"x" * LARGE)
    deliver(connection, data[: 60 * KIB])
    with pytest.raises(ConnectionClosed):
        connection.take_message(now=0.0)
    assert reason_of(connection).cause is Cause.INVALID_DATA


def test_text_that_breaks_off_in_a_character_fails() -> None:
    connection = RawPeer.opened().connection
    deliver(connection, frame(connection, FIN | TEXT, b"x" * LARGE + b"\xc3"))
    with pytest.raises(ConnectionClosed):
        connection.take_message(now=0.0)
    assert reason_of(connection).cause is Cause.INVALID_DATA


@pytest.mark.parametrize("text", [False, True])
def test_what_has_landed_can_be_taken_in_parts(text: bool) -> None:
    connection = RawPeer.opened().connection
    message = "ä" * LARGE
    data = frame(connection, FIN | (TEXT if text else BINARY), message.encode())
    parts: list[str | bytes] = []
    for at in range(0, len(data), 100_001):
        deliver(connection, data[at : at + 100_001])
        while (part := connection.take_part(now=0.0)) is not None:
            parts.append(part.data)
    assert len(parts) > 3
    whole = "".join(parts) if text else b"".join(parts).decode()  # type: ignore[arg-type]
    assert whole == message
    assert connection.stats.payload_bytes_received == len(message.encode())
    # The next one lands again.
    deliver(connection, frame(connection, FIN | BINARY, NOISE[:LARGE]))
    assert connection.take_message(now=0.0) == NOISE[:LARGE]


def test_half_a_character_that_has_landed_is_no_part_yet() -> None:
    connection = RawPeer.opened().connection
    data = frame(connection, FIN | TEXT, "ä".encode() * LARGE)
    deliver(connection, data[:-1][: len(data) - 2 * LARGE + 1])
    assert connection.can_receive_part is LANDS
    assert connection.take_part(now=0.0) is None
    assert not connection.can_receive_part


def test_closed_while_a_message_lands_the_rest_is_skimmed_and_counts() -> None:
    connection = RawPeer.opened().connection
    data = frame(connection, FIN | BINARY, NOISE[:LARGE])
    deliver(connection, data[: 100 * KIB])
    connection.close(now=0.0)
    assert connection.receive_buffer() is None
    deliver(connection, data[100 * KIB :] + frame(connection, 0x88, b"\x03\xe8"))
    reason = reason_of(connection)
    assert reason.unread == 1
    assert reason.close_received is not None


def test_a_message_that_lands_for_long_is_no_idleness() -> None:
    peer = RawPeer.opened(Config(idle_timeout=10.0))
    data = frame(peer.connection, FIN | BINARY, NOISE[:LARGE])
    for at in range(3):
        deliver(peer.connection, data[at * KIB : (at + 1) * KIB], now=peer.now)
        peer.wait(9.0)
        assert peer.is_open()
    peer.wait(1.0)
    assert reason_of(peer.connection).cause is Cause.IDLE_TIMEOUT


def test_pings_are_answered_behind_what_has_landed() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    data = frame(connection, FIN | BINARY, NOISE[:LARGE]) + frame(connection, FIN | PING, b"here?")
    deliver(connection, data)
    assert peer.read() == [(0x8A, b"here?")]


def test_life_is_noted_while_a_message_lands() -> None:
    peer = RawPeer.opened(Config(ping_interval=10.0, ping_timeout=1.0))
    data = frame(peer.connection, FIN | BINARY, NOISE[:LARGE])
    deliver(peer.connection, data[:KIB])
    peer.wait(10.0)
    assert [head for head, _ in peer.read()] == [FIN | PING]
    peer.wait(0.9)
    deliver(peer.connection, data[KIB : 2 * KIB], now=peer.now)
    peer.wait(9.0)
    assert peer.is_open()


# --------------------------------------------------------------- with less ado, where that goes


def test_a_message_that_waits_is_ready_unless_taking_it_lets_decoding_go_on() -> None:
    peer = RawPeer.opened(Config(max_queue=(3, 1)))
    connection = peer.connection
    assert connection.take_ready() is None
    for i in range(5):
        peer.send(FIN | TEXT, b"%d" % i)
    assert connection.take_ready() == "0"
    assert connection.stats.messages_received == 3
    # Down at the low mark, two more are decoded.
    assert connection.take_ready() is None
    assert connection.take_message(now=0.0) == "1"
    assert connection.stats.messages_received == 5
    assert peer.take_all() == ["2", "3", "4"]


def test_before_it_is_open_nothing_is_ready() -> None:
    assert Connection.server(now=0.0).take_ready() is None


def test_a_message_of_which_a_part_was_taken_is_not_ready() -> None:
    peer = RawPeer.opened()
    peer.send(TEXT, b"begun")
    assert peer.connection.take_part(now=0.0) is not None
    peer.send(FIN, b"ended")
    assert peer.connection.take_ready() is None


def test_a_message_in_fragments_that_are_kept_is_not_ready() -> None:
    peer = RawPeer.opened(Config(keep_fragments=True))
    peer.send(TEXT, b"be")
    peer.send(FIN, b"gun")
    assert peer.connection.take_ready() is None
    assert peer.take_all() == ["begun"]


def test_a_message_goes_behind_what_waits_to_be_written() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    assert not connection.send_behind("alone")
    connection.send("first", now=0.0)
    assert connection.send_behind("second")
    assert connection.send_behind(b"third")
    assert not connection.send_behind(b"")
    assert not connection.send_behind(bytearray(b"to be copied"))
    assert not connection.send_behind(5)
    assert peer.read() == [
        (FIN | TEXT, b"first"),
        (FIN | TEXT, b"second"),
        (FIN | BINARY, b"third"),
    ]
    assert not connection.send_behind("alone again")


@pytest.mark.parametrize("config", [Config(idle_timeout=5.0), Config(overflow="raise")])
def test_where_more_is_to_be_done_a_message_goes_the_long_way(config: Config) -> None:
    connection = RawPeer.opened(config).connection
    connection.send("first", now=0.0)
    assert not connection.send_behind("second")


def test_over_the_mark_nothing_is_queued_behind() -> None:
    connection = RawPeer.opened(Config(max_send_buffer=10)).connection
    connection.send("first", now=0.0)
    assert not connection.send_behind("right up to it")
    assert connection.can_send
    assert connection.send_behind("2nd")
    assert not connection.send_behind("up to it")


def test_what_waits_for_a_message_in_parts_is_queued_behind_by_nobody() -> None:
    connection = RawPeer.opened().connection
    connection.send_part("begun", final=False, now=0.0)
    assert not connection.send_behind("second")


@pytest.mark.parametrize("role", Role)
def test_a_message_alone_is_written_at_once(role: Role) -> None:
    peer = RawPeer.opened(role=role)
    connection = peer.connection
    size = 0
    for number, message in enumerate(["text", b"binary", b"", "x" * 60_000]):
        frame = connection.frame_alone(message)
        assert frame is not None
        assert connection.data_to_send() == ()
        size += len(frame)
        connection.sent_alone(frame, len(frame), now=float(number))
        assert not connection.want_write
        assert connection.can_send
        assert connection.deadline == connection.config.ping_interval
    stats = connection.stats
    assert (stats.messages_sent, stats.message_bytes_sent) == (4, 60_010)
    assert (stats.frames_sent, stats.bytes_sent - stats.payload_bytes_sent) == (4, size - 60_010)


def test_what_is_no_plain_message_is_not_written_at_once() -> None:
    connection = RawPeer.opened().connection
    for message in (bytearray(b"to be copied"), 5, b"x" * 70_000):
        assert connection.frame_alone(message) is None
    connection.send_part("begun", final=False, now=0.0)
    assert connection.frame_alone("whole") is None


def test_down_to_the_low_mark_nothing_is_queued_behind() -> None:
    connection = RawPeer.opened(Config(max_send_buffer=(100, 10))).connection
    connection.send("x" * 100, now=0.0)
    assert connection.data_to_send()
    connection.data_sent(50, now=0.0)
    assert not connection.can_send
    assert not connection.send_behind("waits, as all do")
    connection.data_sent(45, now=0.0)
    assert connection.can_send
    assert connection.send_behind("2nd")


def test_what_may_be_compressed_goes_the_long_way_from_the_start() -> None:
    connection = Connection.server(Config(compression="deflate"), now=0.0)
    connection.receive_data(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        now=0.0,
    )
    connection.respond(now=0.0)
    assert not connection.send_behind("to be compressed, perhaps")


def test_a_message_alone_that_leaves_in_pieces_is_followed_by_others() -> None:
    peer = RawPeer.opened(Config(send_timeout=5.0))
    connection = peer.connection
    first = connection.frame_alone("first")
    assert first is not None
    connection.sent_alone(first, 3, now=1.0)
    assert connection.deadline == 6.0
    assert connection.frame_alone("too soon") is None
    connection.send("second", now=1.0)
    assert b"".join(connection.data_to_send()) == first[3:]
    connection.data_sent(len(first) - 3, now=1.0)
    assert peer.read() == [(FIN | TEXT, b"second")]


def test_no_more_of_a_message_alone_can_leave_than_there_is() -> None:
    connection = RawPeer.opened().connection
    frame = connection.frame_alone("first")
    assert frame is not None
    with pytest.raises(ValueError, match="8 bytes cannot have been sent"):
        connection.sent_alone(frame, 8, now=0.0)


def test_a_frame_that_is_not_written_was_never_asked_for() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    assert connection.frame_alone("forgotten") is not None
    assert connection.stats.messages_sent == 0
    connection.send("sent", now=0.0)
    assert peer.read() == [(FIN | TEXT, b"sent")]


def test_behind_a_message_alone_nothing_is_lost() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    first = connection.frame_alone("first")
    assert first is not None
    connection.sent_alone(first, 0, now=0.0)
    assert connection.send_behind("second")
    connection.close(now=0.0)
    connection.data_sent(len(first), now=0.0)
    assert [opcode for opcode, _ in peer.read()] == [FIN | TEXT, FIN | CLOSE]


def test_a_message_alone_that_never_left_is_unsent() -> None:
    connection = RawPeer.opened().connection
    frame = connection.frame_alone("first")
    assert frame is not None
    connection.sent_alone(frame, 0, now=0.0)
    connection.transport_lost(BrokenPipeError(), now=0.0)
    reason = connection.close_reason
    assert reason is not None
    assert reason.unsent == 1


def test_a_message_alone_that_fills_the_buffer_is_the_last_one() -> None:
    connection = RawPeer.opened(Config(max_send_buffer=10)).connection
    frame = connection.frame_alone("x" * 10)
    assert frame is not None
    connection.sent_alone(frame, 0, now=0.0)
    assert not connection.can_send
    connection.data_sent(len(frame), now=0.0)
    assert connection.can_send
    assert connection.stats.send_buffer_high_water == len(frame)


@pytest.mark.parametrize(
    "config", [Config(idle_timeout=5.0), Config(overflow="raise"), Config(compression="deflate")]
)
def test_where_more_is_to_be_done_no_message_is_written_at_once(config: Config) -> None:
    extensions = "permessage-deflate" if config.compression else ""
    connection = RawPeer.opened(config, extensions=extensions).connection
    assert connection.frame_alone("first") is None


def test_an_input_says_whether_there_is_only_somebody_to_wake() -> None:
    peer = RawPeer.opened(Config(max_queue=4, show_pings=True))
    connection = peer.connection

    def receive(head: int, payload: bytes = b"") -> bool:
        return connection.receive_data(peer.frame(head, payload), now=0.0)

    assert receive(FIN | TEXT, b"one")
    assert receive(FIN | BINARY, b"two")
    assert not receive(FIN | PING)
    assert not connection.receive_data(peer.frame(FIN | TEXT, b"three")[:-1], now=0.0)
    assert not receive(0xFF)
    full = RawPeer.opened(Config(max_queue=1)).connection
    assert not full.receive_data(peer.frame(FIN | TEXT, b"fills it"), now=0.0)
    idle = RawPeer.opened(Config(idle_timeout=5.0)).connection
    assert not idle.receive_data(peer.frame(FIN | TEXT, b"is no idleness"), now=0.0)
    assert not connection.receive_data(b"", now=0.0)


def test_encoded_in_advance_a_message_alone_is_written_at_once_by_servers() -> None:
    message = Prepared("for many")
    server = RawPeer.opened().connection
    frame = server.frame_alone(message)
    assert frame == b"\x81\x08for many"
    assert RawPeer.opened().connection.frame_alone(message) is frame
    assert RawPeer.opened(role=Role.CLIENT).connection.frame_alone(message) is None
    large = Prepared(bytes(70_000))
    assert RawPeer.opened().connection.frame_alone(large) is None


def test_in_a_batch_or_before_the_end_no_answer_is_written_at_once() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    peer.send(FIN | TEXT, b"one")
    assert connection.frame_alone("answer") is None
    assert peer.take_all() == ["one"]
    peer.send(FIN | TEXT, b"two")
    peer.end()
    assert connection.take_ready() == "two"
    assert connection.frame_alone("answer") is None


def test_closing_nothing_is_queued_behind() -> None:
    connection = RawPeer.opened().connection
    connection.send("first", now=0.0)
    connection.close(now=0.0)
    assert not connection.send_behind("second")


def test_answers_are_written_together_while_more_waits_and_nothing_ends() -> None:
    peer = RawPeer.opened()
    connection = peer.connection
    assert not connection.in_batch
    peer.send(FIN | TEXT, b"one")
    peer.send(FIN | TEXT, b"two")
    assert connection.in_batch
    peer.end()
    assert not connection.in_batch


def test_at_the_end_of_the_stream_nothing_lands() -> None:
    connection = RawPeer.opened().connection
    deliver(connection, frame(connection, FIN | BINARY, NOISE[:LARGE])[: 100 * KIB])
    connection.receive_data(b"", now=0.0)
    assert connection.receive_buffer() is None
    assert reason_of(connection).cause is Cause.EOF
    connection.received(5, now=0.0)
