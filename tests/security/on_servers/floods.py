"""Attacks by plenty: pings, fragments, tiny messages, announced bytes (SECURITY 14 to 20)."""

from __future__ import annotations

import threading
import time

from tests.adapters.rawpeers import Frame
from tests.security.on_servers.table import attack, failed, long_attack
from tests.security.victim import MIB, Server
from tests.wscore.rawpeer import BINARY, CONTINUATION, FIN, PING, PONG, TEXT, frame


def masked(head: int, payload: bytes = b"") -> bytes:
    return frame(head, payload, masked=True)


@attack
def pings_whose_pongs_nobody_reads(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open()
        attacker.send_as_much_as_goes(masked(PING, bytes(125)) * 60_000)


@attack
def pongs_that_nobody_asked_for(server: Server) -> None:
    with server.connect() as client, server.growing_by_at_most():
        client.open()
        client.send(masked(PONG, bytes(125)) * 20_000)
        client.send_text("still there?")
        assert client.frames(1)[0].payload == b"still there?"
        client.close()


@attack
def tiny_messages_that_nobody_takes(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open("/silent")
        sent = attacker.send_as_much_as_goes(masked(FIN | TEXT, b"x") * 2_000_000)
        assert sent < 14_000_000, "it is read though nobody takes it"


@attack
def empty_messages_that_nobody_takes(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open("/silent")
        attacker.send_as_much_as_goes(masked(FIN | BINARY) * 2_000_000)


@attack
def large_messages_that_nobody_takes(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open("/silent")
        attacker.send_as_much_as_goes(masked(FIN | BINARY, bytes(MIB)) * 30)


@attack
def large_messages_whose_echo_nobody_reads(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open()
        attacker.send_as_much_as_goes(masked(FIN | BINARY, bytes(MIB)) * 30)


@attack
def a_ping_is_answered_behind_messages_that_nobody_takes(server: Server) -> None:
    with server.connect() as client:
        client.open("/silent")
        client.send(masked(FIN | TEXT, b"x") * 100 + masked(PING, b"there?"))
        assert client.frames(1) == [Frame(PONG, b"there?")]


@attack
def a_message_in_a_hundred_thousand_bytes(server: Server) -> None:
    with server.connect() as client, server.growing_by_at_most():
        client.open()
        count = 100_000
        fragments = masked(CONTINUATION, b"x") * (count - 2)
        client.send(masked(BINARY, b"x") + fragments + masked(FIN | CONTINUATION, b"x"))
        assert client.frames(1)[0].payload == b"x" * count
        client.close()


@attack
def a_message_in_empty_fragments(server: Server) -> None:
    with server.connect() as client, server.growing_by_at_most():
        client.open()
        client.send(masked(TEXT) + masked(CONTINUATION) * 50_000 + masked(FIN | CONTINUATION))
        assert client.frames(1) == [Frame(FIN | TEXT, b"")]
        client.close()


@long_attack
def fragments_without_end(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open()
        attacker.send(masked(TEXT) + masked(CONTINUATION) * 131_072)
        failed(attacker, 1009)


@attack
def bytes_that_are_announced_and_never_come(server: Server) -> None:
    attackers = [server.connect() for _ in range(100)]
    for attacker in attackers:
        attacker.open("/silent")
    with server.growing_by_at_most(8 * MIB):
        for attacker in attackers:
            attacker.send_frame(FIN | BINARY, announced=MIB)
        with server.connect() as client:
            client.open()
            client.close()
    for attacker in attackers:
        attacker.sock.close()


@attack
def a_flood_leaves_others_their_turn(server: Server) -> None:
    """For each others wait less than two seconds (SECURITY 20)."""
    flood = masked(FIN | TEXT, b"x") * 10_000 + masked(PING) * 10_000

    def attack() -> None:
        with server.connect() as attacker:
            attacker.open()
            reader = threading.Thread(target=attacker.to_end, daemon=True)
            reader.start()
            attacker.send_as_much_as_goes(flood)
            attacker.end()
            reader.join()

    attacking = threading.Thread(target=attack)
    attacking.start()
    with server.connect() as client:
        client.open()
        while attacking.is_alive():
            begun = time.monotonic()
            client.send_text("my turn")
            assert client.frames(1)[0].payload == b"my turn"
            assert time.monotonic() - begun < 2
        client.close()
    attacking.join()


@attack
def noise_by_a_fixed_rule(server: Server) -> None:
    """Whatever it is, what is answered is whole frames."""
    for seed in range(50):
        noise = bytes((seed * 167 + i * i * 31 + i * 7) % 256 for i in range(2000))
        with server.connect() as attacker:
            attacker.open()
            attacker.send_as_much_as_goes(noise)
            attacker.end()
            attacker.frames_to_end()
