"""Attacks by compressed messages (SECURITY 15 to 17)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial

from tests.security.attacker import Attacker, deflated
from tests.security.on_servers.table import add, attack, failed
from tests.security.victim import MIB, Server
from tests.wscore.rawpeer import BINARY, CONTINUATION, FIN, PING, RSV1, TEXT

COMPRESSED = FIN | RSV1 | BINARY


def bomb() -> bytes:
    """64 KiB that would be 64 MiB."""
    return deflated(bytes(64 * MIB))


def _fail(code: int, script: Callable[[Attacker], None], server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open_compressed()
        script(attacker)
        failed(attacker, code)


def _bomb_in_fragments(attacker: Attacker) -> None:
    data = bomb()
    attacker.send_frame(RSV1 | BINARY, data[:1000])
    for at in range(1000, len(data), 1000):
        attacker.send_frame(CONTINUATION, data[at : at + 1000])


def _in_one_frame(data: bytes) -> Callable[[Attacker], None]:
    return lambda attacker: attacker.send_frame(COMPRESSED, data)


def _rsv1_on_a_continuation(attacker: Attacker) -> None:
    attacker.send_frame(TEXT, b"a")
    attacker.send_frame(FIN | RSV1 | CONTINUATION, b"b")


FAILURES: dict[str, tuple[int, Callable[[Attacker], None]]] = {
    "bomb": (1009, lambda attacker: attacker.send_frame(COMPRESSED, bomb())),
    "bomb_in_fragments": (1009, _bomb_in_fragments),
    "one_byte_over_the_limit": (1009, _in_one_frame(deflated(bytes(MIB + 1)))),
    "reserved_block_type": (1007, _in_one_frame(b"\x06")),
    "noise": (1007, _in_one_frame(bytes(range(255, 128, -1)))),
    "cut_off": (1007, _in_one_frame(deflated(b"a" * 99)[:-1])),
    "cut_off_stored_block": (1007, _in_one_frame(b"\x00\x05\x00\xfa\xffab")),
    "stored_block_with_a_wrong_length": (1007, _in_one_frame(b"\x00\x05\x00\x00\x00hello")),
    "zlib_header": (1007, _in_one_frame(zlib.compress(b"hello" * 20))),
    "window_that_reaches_too_far_back": (1007, _in_one_frame(b"\x4a\x04\x21\x00\x00")),
    "text_that_is_not_utf8": (
        1007,
        lambda attacker: attacker.send_frame(FIN | RSV1 | TEXT, deflated(b"\xff\xfe")),
    ),
    "rsv1_on_a_continuation": (1002, _rsv1_on_a_continuation),
    "rsv1_on_a_ping": (1002, lambda attacker: attacker.send_frame(PING | RSV1)),
    "rsv2": (1002, lambda attacker: attacker.send_frame(COMPRESSED | 0x20)),
}

for name, (code, script) in FAILURES.items():
    add(f"deflate: {name}", partial(_fail, code, script))


def _echoes(client: Attacker, head: int, payload: bytes, message: bytes) -> None:
    client.send_frame(head, payload)
    (echo,) = client.frames(1)
    assert not echo.head & RSV1, "it is below the threshold"
    assert echo.payload == message


@attack
def a_final_block_ends_no_connection(server: Server) -> None:
    """BFINAL in a block is legal (RFC 7692 section 7.2.3.4)."""
    final = zlib.compressobj(9, zlib.DEFLATED, -12)
    with server.connect() as client:
        client.open_compressed()
        _echoes(client, COMPRESSED, final.compress(b"final") + final.flush() + b"\x00", b"final")
        _echoes(client, COMPRESSED, deflated(b"next"), b"next")
        client.close()


@attack
def empty_compressed_messages_are_messages(server: Server) -> None:
    with server.connect() as client:
        client.open_compressed()
        for _ in range(3):
            _echoes(client, COMPRESSED, b"\x00", b"")
        client.close()


@attack
def compressed_and_plain_messages_in_turn(server: Server) -> None:
    with server.connect() as client:
        client.open_compressed()
        for i in range(10):
            _echoes(client, COMPRESSED, deflated(b"%d" % i), b"%d" % i)
            _echoes(client, FIN | BINARY, b"%d" % i, b"%d" % i)
        client.close()


@attack
def sixteen_bombs_at_once(server: Server) -> None:
    data = bomb()
    attackers = [server.connect() for _ in range(16)]
    for attacker in attackers:
        attacker.open_compressed()
    with server.growing_by_at_most(2 * 16 * MIB):
        # Each may hold a message of the largest size, and as much again while it grows.
        for attacker in attackers:
            attacker.send_frame(COMPRESSED, data)
        for attacker in attackers:
            failed(attacker, 1009)
            attacker.sock.close()
