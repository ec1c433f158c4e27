"""The only place for attacks on clients: hostile servers, and what a client should make of them.

A client of each adapter is sent to them. It connects, echoes what comes, and says how that ended.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Any, Final, NamedTuple, TypeAlias

from tests.adapters.rawpeers import Frame, read_head
from tests.security.attacker import Attacker, deflated
from tests.security.victim import MIB, PATIENCE, Client, server_tls
from tests.security.victims.policy import CONFIG
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    RSV1,
    TEXT,
    close_payload,
    frame,
)

Script: TypeAlias = Callable[[Attacker], None]
"""What a server does with who connects; it may assert, too."""

SLACK: Final = 2.0
"""Seconds that a machine with other work may be late."""


@dataclass(frozen=True)
class Outcome:
    """How the visit should end; None: it does not matter.

    :ivar error: the exception's name, or "" for none.
    :ivar text: what its text contains.
    :ivar status: of the response that rejected it.
    :ivar code: of the close reason.
    :ivar cause: of the close reason.
    :ivar seconds: that it may take, and no more.
    """

    error: str | None = None
    text: str = ""
    status: int | None = None
    code: int | None = None
    cause: str | None = None
    seconds: float = 0.0

    def check(self, visit: dict[str, Any]) -> None:
        assert self.error is None or (visit["error"] or "") == self.error, visit
        assert self.text in visit["text"], visit
        assert self.status in (None, visit["status"]), visit
        assert self.code in (None, visit["code"]), visit
        assert self.cause in (None, visit["cause"]), visit
        assert visit["seconds"] < self.seconds + SLACK, visit


class Attack(NamedTuple):
    """What a server does, and what the client should make of it."""

    script: Script
    outcome: Outcome
    tls: bool
    long: bool


ATTACKS: Final[dict[str, Attack]] = {}


def add(
    name: str, script: Script, outcome: Outcome, *, tls: bool = False, long: bool = False
) -> None:
    assert name not in ATTACKS, name
    ATTACKS[name] = Attack(script, outcome, tls, long)


def attack(
    outcome: Outcome, *, tls: bool = False, long: bool = False
) -> Callable[[Script], Script]:
    """Add a server under the function's name."""

    def decorate(script: Script) -> Script:
        add(script.__name__, script, outcome, tls=tls, long=long)
        return script

    return decorate


@contextmanager
def hostile(script: Script, *, tls: bool = False, host: str = "127.0.0.1") -> Iterator[str]:
    """The URL of a server that does this to everybody who connects."""
    raised: list[BaseException] = []

    def serve(sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE)
            with sock:
                if tls:
                    sock = server_tls().wrap_socket(sock, server_side=True)
                with Attacker(sock, masks=False) as attacker:
                    script(attacker)
        except (ConnectionError, ssl.SSLError):
            # The client did not stay for the rest.
            pass
        except BaseException as error:  # noqa: BLE001  (raised again below)
            raised.append(error)

    def listen() -> None:
        with suppress(OSError):
            while True:
                serve(listener.accept()[0])

    with socket.create_server((host, 0)) as listener:
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"{'wss' if tls else 'ws'}://{host}:{listener.getsockname()[1]}/"
        # Closing alone does not wake who accepts.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


# --------------------------------------------------------------------------- the handshake


def accept_of(head: bytes) -> str:
    """What proves that the request was read (RFC 6455 section 4.2.2)."""
    (key,) = (
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def response(
    head: bytes,
    *more: tuple[str, str],
    line: str = "HTTP/1.1 101 Switching Protocols",
    **changes: str | None,
) -> bytes:
    """An answer that accepts, but for the changes; None leaves a header out."""
    headers: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_of(head),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    lines = [line, *(f"{name}: {value}" for name, value in [*pairs, *more]), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def shake(attacker: Attacker, *more: tuple[str, str]) -> None:
    attacker.send(response(read_head(attacker.sock), *more))


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


Answer: TypeAlias = bytes | Callable[[bytes], bytes]
"""Bytes, or what makes them of the request's head."""

BAD = Outcome("BadHandshake")
BAD_ANSWERS: dict[str, tuple[Answer, Outcome]] = {
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", BAD),
    "binary": (bytes(range(255, 0, -1)), BAD),
    "http_2": (bytes.fromhex("000000040000000000"), BAD),
    "http_1_0": (lambda head: response(head, line="HTTP/1.0 101 Switching Protocols"), BAD),
    "status_that_is_no_number": (lambda head: response(head, line="HTTP/1.1 abc OK"), BAD),
    "status_of_two_digits": (lambda head: response(head, line="HTTP/1.1 10 OK"), BAD),
    "no_accept": (lambda head: response(head, Sec_WebSocket_Accept=None), BAD),
    "wrong_accept": (
        lambda head: response(head, Sec_WebSocket_Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        BAD,
    ),
    "accept_in_upper_case": (
        lambda head: response(head, Sec_WebSocket_Accept=accept_of(head).swapcase()),
        BAD,
    ),
    "two_accepts": (
        lambda head: response(head, ("Sec-WebSocket-Accept", accept_of(head))),
        BAD,
    ),
    "no_upgrade": (lambda head: response(head, Upgrade=None), BAD),
    "upgrade_to_something_else": (lambda head: response(head, Upgrade="h2c"), BAD),
    "no_connection": (lambda head: response(head, Connection=None), BAD),
    "connection_that_closes": (lambda head: response(head, Connection="close"), BAD),
    "extension_that_nobody_asked_for": (
        lambda head: response(head, ("Sec-WebSocket-Extensions", "x-webkit-deflate-frame")),
        BAD,
    ),
    "window_of_7_bits": (
        lambda head: response(
            head, ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=7")
        ),
        BAD,
    ),
    "window_larger_than_asked_for": (
        lambda head: response(
            head, ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=15")
        ),
        BAD,
    ),
    "parameter_that_nobody_knows": (
        lambda head: response(head, ("Sec-WebSocket-Extensions", "permessage-deflate; x=1")),
        BAD,
    ),
    "extension_twice": (
        lambda head: response(
            head, ("Sec-WebSocket-Extensions", "permessage-deflate, permessage-deflate")
        ),
        BAD,
    ),
    "subprotocol_that_nobody_asked_for": (
        lambda head: response(head, ("Sec-WebSocket-Protocol", "superchat")),
        BAD,
    ),
    "two_subprotocols": (
        lambda head: response(
            head, ("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "chat")
        ),
        BAD,
    ),
    "header_with_a_nul": (lambda head: response(head, ("X", "a\0b")), BAD),
    "space_before_the_colon": (lambda head: response(head, ("X ", "a")), BAD),
    "header_line_of_9_kib": (lambda head: response(head, ("X", "a" * 9000)), BAD),
    "headers_over_128": (lambda head: response(head, *[("X", "a")] * 130), BAD),
    "head_of_70_kib": (lambda head: response(head, *[("X", "a" * 1000)] * 70), BAD),
    "header_without_end": (lambda head: response(head)[:-2] + b"X: " + b"a" * 2**20, BAD),
    "status_line_without_end": (b"HTTP/1.1 101 " + b"a" * 2**20, BAD),
    "announcements_without_end": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20_000,
        BAD,
    ),
    **{
        f"status_{status}": (
            f"HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno".encode(),
            Outcome("HandshakeRejected", status=status),
        )
        for status in (200, 400, 401, 403, 404, 426, 500, 503)
    },
    "redirection_without_a_location": (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        Outcome(None, status=302),
    ),
    **{
        f"redirection_to_{location}": (
            redirect(location),
            Outcome("RedirectRefused", status=302),
        )
        # The last one is where the client comes from.
        for location in ("ftp://localhost/", "file:///etc/passwd", "javascript:alert()", "/")
    },
    "body_without_end": (
        b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 2 * MIB,
        Outcome("HandshakeRejected", status=404),
    ),
    "chunks_that_are_broken": (
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        BAD,
    ),
}


def _answer(answer: Answer, attacker: Attacker) -> None:
    head = read_head(attacker.sock)
    attacker.send_as_much_as_goes(answer if isinstance(answer, bytes) else answer(head))
    attacker.to_end()


for name, (answer, outcome) in BAD_ANSWERS.items():
    add(f"answer: {name}", partial(_answer, answer), outcome)

INTERRUPTED = Outcome("HandshakeInterrupted")


@attack(INTERRUPTED)
def the_end_at_once(attacker: Attacker) -> None:
    attacker.end()
    attacker.to_end()


@attack(INTERRUPTED)
def the_end_behind_the_request(attacker: Attacker) -> None:
    read_head(attacker.sock)


@attack(INTERRUPTED)
def the_end_within_the_head(attacker: Attacker) -> None:
    attacker.send(response(read_head(attacker.sock))[:-10])


@attack(INTERRUPTED)
def a_reset_at_once(attacker: Attacker) -> None:
    attacker.reset()


@attack(INTERRUPTED)
def a_reset_within_the_head(attacker: Attacker) -> None:
    attacker.send(response(read_head(attacker.sock))[:-10])
    attacker.reset()


LATE = Outcome("OpenTimeout", seconds=CONFIG.open_timeout)


@attack(LATE, long=True)
def silence(attacker: Attacker) -> None:
    attacker.to_end()


@attack(LATE, long=True)
def silence_within_the_head(attacker: Attacker) -> None:
    attacker.send(response(read_head(attacker.sock))[:-10])
    attacker.to_end()


@attack(LATE, long=True)
def an_answer_that_trickles(attacker: Attacker) -> None:
    answer = response(read_head(attacker.sock), *[("X", "a" * 60)] * 100)
    with suppress(ConnectionError):
        for byte in answer:
            attacker.send(bytes((byte,)))
            time.sleep(0.01)


@attack(Outcome("HandshakeRejected", status=404, seconds=CONFIG.open_timeout), long=True)
def a_body_that_never_comes(attacker: Attacker) -> None:
    read_head(attacker.sock)
    attacker.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\nonly this")
    attacker.to_end()


GOOD = Outcome("", code=1000, cause="peer_closed")


def say_goodbye(attacker: Attacker) -> None:
    """The server ends the stream first (RFC 6455 section 7.1.1)."""
    attacker.send_frame(CLOSE, close_payload(1000))
    assert attacker.frames(1) == [Frame(CLOSE, close_payload(1000))]


@attack(GOOD)
def announcements_before_the_answer_are_fine(attacker: Attacker) -> None:
    head = read_head(attacker.sock)
    attacker.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + response(head))
    say_goodbye(attacker)


@attack(GOOD)
def an_answer_byte_by_byte_is_fine(attacker: Attacker) -> None:
    attacker.send_bytewise(response(read_head(attacker.sock)))
    say_goodbye(attacker)


@attack(GOOD)
def frames_right_behind_the_answer_are_read(attacker: Attacker) -> None:
    answer = response(read_head(attacker.sock))
    attacker.send(answer + attacker.frame(FIN | TEXT, b"at once"))
    assert attacker.frames(1) == [Frame(FIN | TEXT, b"at once")]
    say_goodbye(attacker)


# --------------------------------------------------------------------------- frames


def plain(head: int, payload: bytes = b"", announced: int | None = None) -> bytes:
    return frame(head, payload, masked=False, announced=announced)


VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "mask": (frame(FIN | TEXT, b"hello", masked=True), 1002),
    "mask_on_a_close": (frame(CLOSE, close_payload(1000), masked=True), 1002),
    "rsv1": (plain(FIN | RSV1 | TEXT, b"x"), 1002),
    "rsv2": (plain(FIN | 0x20 | TEXT, b"x"), 1002),
    "opcode_3": (plain(FIN | 3), 1002),
    "opcode_b": (plain(FIN | 11), 1002),
    "ping_in_fragments": (plain(PING & ~FIN), 1002),
    "ping_of_126_bytes": (plain(PING, bytes(126)), 1002),
    "length_5_in_two_bytes": (b"\x82\x7e\x00\x05hello", 1002),
    "length_with_the_top_bit": (b"\x82\x7f\x80" + bytes(7), 1002),
    "continuation_of_nothing": (plain(FIN | CONTINUATION), 1002),
    "text_within_a_message": (plain(TEXT, b"a") + plain(FIN | TEXT, b"b"), 1002),
    "close_of_one_byte": (plain(CLOSE, b"\x03"), 1002),
    "close_with_code_1005": (plain(CLOSE, close_payload(1005)), 1002),
    "close_with_code_2999": (plain(CLOSE, close_payload(2999)), 1002),
    "close_with_a_reason_that_is_not_utf8": (plain(CLOSE, b"\x03\xe8\xff"), 1007),
    "text_that_is_not_utf8": (plain(FIN | TEXT, b"\xce\xba\xe1"), 1007),
    "surrogate": (plain(FIN | TEXT, b"\xed\xa0\x80"), 1007),
    "one_byte_more_than_the_limit": (plain(FIN | BINARY, announced=MIB + 1), 1009),
    "as_long_as_can_be": (plain(FIN | BINARY, announced=(1 << 63) - 1), 1009),
}


def failed(attacker: Attacker, code: int) -> None:
    """What was good is echoed; then come a Close frame with the code, and the end."""
    frames = attacker.frames_to_end()
    assert frames, "nothing but the end"
    assert frames[-1].head == CLOSE, frames
    assert int.from_bytes(frames[-1].payload[:2], "big") == code, frames


def _violate(data: bytes, code: int, attacker: Attacker) -> None:
    shake(attacker)
    attacker.send(plain(FIN | TEXT, b"good") + data)
    failed(attacker, code)


CAUSES = {1002: "protocol_error", 1007: "invalid_data", 1009: "too_big"}

for name, (data, code) in VIOLATIONS.items():
    add(
        f"frame: {name}",
        partial(_violate, data, code),
        Outcome("ConnectionClosed", code=code, cause=CAUSES[code]),
    )

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=12")


@attack(Outcome("ConnectionClosed", code=1009, cause="too_big"))
def a_bomb(attacker: Attacker) -> None:
    shake(attacker, DEFLATE)
    attacker.send_frame(FIN | RSV1 | BINARY, deflated(bytes(64 * MIB)))
    failed(attacker, 1009)


@attack(Outcome("ConnectionClosed", code=1007, cause="invalid_data"))
def deflated_noise(attacker: Attacker) -> None:
    shake(attacker, DEFLATE)
    attacker.send_frame(FIN | RSV1 | BINARY, bytes(range(255, 128, -1)))
    failed(attacker, 1007)


@attack(Outcome("ConnectionClosed", code=1007, cause="invalid_data"))
def a_deflated_message_that_is_cut_off(attacker: Attacker) -> None:
    shake(attacker, DEFLATE)
    attacker.send_frame(FIN | RSV1 | BINARY, deflated(b"a" * 99)[:-1])
    failed(attacker, 1007)


# --------------------------------------------------------------------------- the end


@attack(Outcome("ConnectionClosed", code=1006, cause="eof"))
def the_end_without_a_close(attacker: Attacker) -> None:
    shake(attacker)
    attacker.end()
    attacker.to_end()


@attack(Outcome("ConnectionClosed", code=1006, cause="eof"))
def the_end_within_a_frame(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send(plain(FIN | TEXT, b"hello")[:-1])
    attacker.end()
    attacker.to_end()


@attack(Outcome("ConnectionClosed", code=1006, cause="transport_error"))
def a_reset(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_frame(FIN | TEXT, b"hello")
    attacker.frames(1)
    attacker.reset()


@attack(GOOD)
def frames_behind_a_close(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_frame(CLOSE, close_payload(1000))
    attacker.send_as_much_as_goes(plain(FIN | TEXT, b"x") * 1000)
    attacker.end()
    assert attacker.frames_to_end() == [Frame(CLOSE, close_payload(1000))]


@attack(
    Outcome("", code=1000, cause="peer_closed", seconds=CONFIG.close_timeout),
    long=True,
)
def a_close_and_never_the_end(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_frame(CLOSE, close_payload(1000))
    attacker.to_end()


@attack(
    Outcome("ConnectionClosed", code=1002, seconds=CONFIG.close_timeout),
    long=True,
)
def a_violation_and_bytes_that_trickle(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_frame(FIN | 3)
    end = time.monotonic() + CONFIG.close_timeout + SLACK
    with suppress(ConnectionError):
        while True:
            attacker.send_frame(PING)
            time.sleep(0.01)
            assert time.monotonic() < end, "it is still there"


# --------------------------------------------------------------------------- floods and waiting


@attack(Outcome("ConnectionClosed", cause=None, seconds=3))
def pings_whose_pongs_nobody_reads(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_as_much_as_goes(plain(PING, bytes(125)) * 30_000)


@attack(GOOD)
def a_message_in_many_fragments(attacker: Attacker) -> None:
    shake(attacker)
    fragments = plain(CONTINUATION, b"x") * 20_000
    attacker.send(plain(TEXT) + fragments + plain(FIN | CONTINUATION))
    assert attacker.frames(1) == [Frame(FIN | TEXT, b"x" * 20_000)]
    say_goodbye(attacker)


@attack(GOOD)
def a_message_byte_by_byte(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_bytewise(plain(FIN | TEXT, b"slowly but honestly"))
    assert attacker.frames(1) == [Frame(FIN | TEXT, b"slowly but honestly")]
    say_goodbye(attacker)


@attack(Outcome("ConnectionClosed", code=1006, seconds=CONFIG.send_timeout + 1), long=True)
def large_messages_whose_echo_nobody_reads(attacker: Attacker) -> None:
    shake(attacker)
    attacker.send_as_much_as_goes(plain(FIN | BINARY, bytes(MIB)) * 30)
    time.sleep(CONFIG.send_timeout + 1)


@attack(
    Outcome(
        "ConnectionClosed",
        code=1011,
        cause="ping_timeout",
        seconds=CONFIG.ping_interval + CONFIG.ping_timeout + CONFIG.close_timeout,
    ),
    long=True,
)
def pings_that_nobody_answers(attacker: Attacker) -> None:
    shake(attacker)
    attacker.to_end()


# --------------------------------------------------------------------------- TLS


@attack(GOOD, tls=True)
def tls_as_it_should_be(attacker: Attacker) -> None:
    shake(attacker)
    say_goodbye(attacker)


@attack(Outcome("ConnectionClosed", code=1006), tls=True)
def a_stream_of_tls_that_is_cut_off(attacker: Attacker) -> None:
    shake(attacker)
    raw = socket.socket(fileno=attacker.sock.detach())
    raw.close()


@attack(Outcome("RedirectRefused", status=302), tls=True)
def redirection_from_wss_to_ws(attacker: Attacker) -> None:
    read_head(attacker.sock)
    attacker.send(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
    attacker.to_end()


def run(name: str, client: Client) -> None:
    """Send the client to the server of that name, and check what it makes of it."""
    script, outcome, tls, _ = ATTACKS[name]
    with hostile(script, tls=tls) as url, client.growing_by_at_most():
        outcome.check(client.visit(url))


def check(client: Client) -> None:
    """A good server is visited as if nothing had been."""

    def greet(attacker: Attacker) -> None:
        shake(attacker)
        attacker.send_frame(FIN | TEXT, b"hello")
        assert attacker.frames(1) == [Frame(FIN | TEXT, b"hello")]
        say_goodbye(attacker)

    with hostile(greet) as url:
        GOOD.check(client.visit(url))
