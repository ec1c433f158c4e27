"""Attacks on the port where TLS is spoken."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from tests.security.attacker import Attacker, request
from tests.security.on_servers.slowness import ends_within
from tests.security.on_servers.table import attack, failed, long_attack
from tests.security.victim import MIB, PATIENCE, Server
from tests.security.victims.policy import CONFIG
from tests.wscore.rawpeer import BINARY, FIN, TEXT, frame


@attack
def plain_text_on_the_tls_port(server: Server) -> None:
    with Attacker(server.connect_raw()) as attacker:
        attacker.send(request())
        # An alert of TLS, or nothing; never an answer in plain text.
        assert not attacker.to_end().startswith(b"HTTP")


@attack
def noise_on_the_tls_port(server: Server) -> None:
    with Attacker(server.connect_raw()) as attacker:
        attacker.send_as_much_as_goes(bytes(range(256)) * 256)
        attacker.to_end()


@attack
def the_end_within_the_handshake_of_tls(server: Server) -> None:
    with Attacker(server.connect_raw()) as attacker:
        attacker.send(bytes.fromhex("1603010200010001fc0303"))
        attacker.end()
        attacker.to_end()


@attack
def resets_within_the_handshake_of_tls(server: Server) -> None:
    for _ in range(20):
        attacker = Attacker(server.connect_raw())
        attacker.send(bytes.fromhex("1603010200010001fc0303"))
        attacker.reset()


@long_attack
def silence_on_the_tls_port(server: Server) -> None:
    with Attacker(server.connect_raw()) as attacker:
        assert ends_within(attacker, CONFIG.open_timeout) == b""


@long_attack
def silence_within_the_handshake_of_tls(server: Server) -> None:
    with Attacker(server.connect_raw()) as attacker:
        attacker.send(bytes.fromhex("1603010200010001fc0303"))
        ends_within(attacker, CONFIG.open_timeout)


@long_attack
def silence_behind_the_handshake_of_tls(server: Server) -> None:
    with server.connect_tls() as attacker, suppress(ssl.SSLError):
        assert ends_within(attacker, CONFIG.open_timeout) == b""


def _beneath(attacker: Attacker) -> Attacker:
    """The connection without its TLS."""
    raw = socket.socket(fileno=attacker.sock.detach())
    raw.settimeout(PATIENCE)
    return Attacker(raw)


@attack
def a_stream_of_tls_that_is_cut_off(server: Server) -> None:
    """Without close_notify anybody on the way may have cut it (RFC 8446 section 6.1)."""
    with server.connect_tls() as attacker:
        attacker.open()
        attacker.send(frame(FIN | TEXT, b"x", masked=True)[:-1])
        with _beneath(attacker) as raw:
            raw.end()
            raw.to_end()


@attack
def records_of_tls_that_are_broken(server: Server) -> None:
    with server.connect_tls() as attacker:
        attacker.open()
        with _beneath(attacker) as raw:
            raw.send(bytes.fromhex("1703030020") + bytes(32))
            raw.to_end()


@attack
def a_violation_in_tls(server: Server) -> None:
    with server.connect_tls() as attacker, suppress(ssl.SSLError):
        attacker.open()
        attacker.send(frame(FIN | TEXT, b"good", masked=True) + frame(0x83, masked=True))
        failed(attacker, 1002, b"good")


@attack
def large_messages_in_tls_whose_echo_nobody_reads(server: Server) -> None:
    with server.connect_tls() as attacker, server.growing_by_at_most():
        attacker.open()
        attacker.send_as_much_as_goes(frame(FIN | BINARY, bytes(MIB), masked=True) * 20)
        attacker.reset()
