"""Attacks by waiting: peers that trickle, stall, or never answer (SECURITY 1 to 4)."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from tests.security.attacker import Attacker, request
from tests.security.on_servers.table import attack, failed, long_attack
from tests.security.victim import MIB, Server
from tests.security.victims.policy import CONFIG
from tests.wscore.rawpeer import BINARY, CLOSE, FIN, PING, PONG, TEXT, close_payload, frame

SLACK = 2.0
"""Seconds that a machine with other work may be late."""


def ends_within(attacker: Attacker, seconds: float) -> bytes:
    """The other side ends it in time, and not at once."""
    begun = time.monotonic()
    data = attacker.to_end()
    assert time.monotonic() - begun < seconds + SLACK
    return data


def trickle(attacker: Attacker, data: bytes, seconds: float) -> None:
    """A byte every few milliseconds, until the other side is gone."""
    end = time.monotonic() + seconds + SLACK
    with suppress(ConnectionError):
        for i in range(len(data)):
            attacker.send(data[i : i + 1])
            assert time.monotonic() < end, "it is still there"
            time.sleep(0.02)


@long_attack
def a_client_that_says_nothing(server: Server) -> None:
    with server.connect() as attacker:
        assert ends_within(attacker, CONFIG.open_timeout) == b""


@long_attack
def half_a_request_and_silence(server: Server) -> None:
    with server.connect() as attacker:
        attacker.send(request()[:60])
        assert ends_within(attacker, CONFIG.open_timeout) == b""


@long_attack
def a_request_that_trickles(server: Server) -> None:
    with server.connect() as attacker:
        trickle(attacker, request() * 100, CONFIG.open_timeout)


@long_attack
def a_client_that_never_ends_what_was_refused(server: Server) -> None:
    with server.connect() as attacker:
        attacker.send(request(Host=None))
        ends_within(attacker, 0)
        trickle(attacker, b"x" * 10_000, CONFIG.close_timeout)


@long_attack
def two_hundred_half_open_handshakes(server: Server) -> None:
    attackers = [server.connect() for _ in range(200)]
    for attacker in attackers:
        attacker.send(request()[:60])
    with server.connect() as client:
        client.open()
        client.close()
    for attacker in attackers:
        assert ends_within(attacker, CONFIG.open_timeout) == b""
        attacker.sock.close()


@long_attack
def a_client_that_answers_no_ping(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        data = ends_within(attacker, CONFIG.ping_interval + CONFIG.ping_timeout + 0.5)
        assert data.startswith(bytes((PING, 4)))


@long_attack
def a_client_that_stops_within_a_frame(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send_frame(FIN | BINARY, bytes(10), announced=1000)
        ends_within(attacker, CONFIG.ping_interval + CONFIG.ping_timeout + 0.5)


@long_attack
def a_client_that_stops_reading(server: Server) -> None:
    """Keepalive pings cannot be written either: send_timeout ends it."""
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        attacker.open("/flood")
        time.sleep(CONFIG.send_timeout + 0.5)
        end = time.monotonic() + SLACK
        while server.figures().connections > 1:
            assert time.monotonic() < end, "it is still there"


@long_attack
def a_client_that_sends_and_does_not_read(server: Server) -> None:
    with server.connect() as attacker, server.growing_by_at_most():
        attacker.open()
        attacker.send_as_much_as_goes(
            frame(FIN | BINARY, bytes(MIB), masked=True) * 30, patience=2
        )
        end = time.monotonic() + CONFIG.send_timeout + SLACK
        while server.figures().connections > 1:
            assert time.monotonic() < end, "it is still there"


@long_attack
def a_client_that_reads_slowly_is_served(server: Server) -> None:
    with server.connect() as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.open()
        client.send_binary(bytes(30_000))
        (echo,) = client.frames(1, at_a_time=1000, pause=0.01)
        assert echo.payload == bytes(30_000)
        client.close()


@attack
def a_frame_byte_by_byte_is_echoed(server: Server) -> None:
    with server.connect() as client:
        client.open()
        for size in (0, 1, 125, 126, 300):
            client.send_bytewise(frame(FIN | BINARY, bytes(size), masked=True))
            assert client.frames(1)[0].payload == bytes(size)
        client.close()


@long_attack
def a_client_that_trickles_behind_its_close(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send_frame(CLOSE, close_payload(1000))
        trickle(attacker, frame(PING, b"x", masked=True) * 1000, CONFIG.close_timeout)


@long_attack
def a_client_that_goes_on_after_it_failed(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send_frame(FIN | 0x03)
        failed(attacker, 1002)
        trickle(attacker, frame(FIN | TEXT, b"x", masked=True) * 1000, CONFIG.close_timeout)


@long_attack
def pings_do_not_keep_a_closing_connection(server: Server) -> None:
    """No byte of a peer moves close_timeout (SECURITY 2)."""
    with server.connect() as attacker:
        attacker.open()
        attacker.send_frame(FIN | 0x03)
        trickle(attacker, frame(PONG, b"", masked=True) * 1000, CONFIG.close_timeout)


@attack
def clients_that_vanish_at_every_stage(server: Server) -> None:
    """Half-closed and never closed: the server has its end of it."""
    gone = []
    for data in (b"", request()[:30], request(), request() + frame(TEXT, b"x", masked=True)):
        attacker = server.connect()
        attacker.send(data)
        attacker.end()
        gone.append(attacker)
    for attacker in gone:
        attacker.to_end()
        attacker.sock.close()
