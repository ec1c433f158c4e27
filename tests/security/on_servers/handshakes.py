"""Attacks by requests: malformed, smuggled, oversized, endless (SECURITY 5 to 9)."""

from __future__ import annotations

from base64 import b64encode
from functools import partial

from tests.adapters.rawpeers import read_head
from tests.security.attacker import MARK, request
from tests.security.on_servers.table import add, attack, refused
from tests.security.victim import Server
from tests.wscore.rawpeer import FIN, TEXT, frame

BAD_REQUESTS: dict[str, tuple[bytes, int]] = {
    # The request line.
    "post": (request(line=f"POST /{MARK} HTTP/1.1"), 400),
    "head": (request(line=f"HEAD /{MARK} HTTP/1.1"), 400),
    "connect": (request(line="CONNECT localhost:80 HTTP/1.1"), 400),
    "method_in_lower_case": (request(line="get / HTTP/1.1"), 400),
    "http_1_0": (request(line="GET / HTTP/1.0"), 400),
    "http_0_9": (b"GET /\r\n\r\n", 400),
    "http_2_preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no_target": (request(line="GET HTTP/1.1"), 400),
    "target_with_a_space": (request(line=f"GET /a {MARK} HTTP/1.1"), 400),
    "target_beyond_ascii": (request(line="GET /\xe9 HTTP/1.1"), 400),
    "target_of_another_scheme": (request(line="GET ftp://localhost/ HTTP/1.1"), 400),
    "target_with_a_nul": (request(line="GET /\0 HTTP/1.1"), 400),
    # Its headers (RFC 6455 section 4.2.1).
    "no_host": (request(Host=None), 400),
    "two_hosts": (request(("Host", "evil.example")), 400),
    "host_with_a_path": (request(Host="localhost/evil"), 400),
    "no_key": (request(Sec_WebSocket_Key=None), 400),
    "two_keys": (request(("Sec-WebSocket-Key", b64encode(bytes(16)).decode())), 400),
    "key_of_15_bytes": (request(Sec_WebSocket_Key=b64encode(bytes(15)).decode()), 400),
    "key_of_17_bytes": (request(Sec_WebSocket_Key=b64encode(bytes(17)).decode()), 400),
    "key_that_is_not_base64": (request(Sec_WebSocket_Key="!" * 24), 400),
    "empty_key": (request(Sec_WebSocket_Key=""), 400),
    "no_version": (request(Sec_WebSocket_Version=None), 400),
    "two_versions": (request(("Sec-WebSocket-Version", "8")), 400),
    "version_8": (request(Sec_WebSocket_Version="8"), 426),
    "version_that_is_no_number": (request(Sec_WebSocket_Version="x13"), 426),
    "no_upgrade": (request(Upgrade=None), 426),
    "upgrade_to_something_else": (request(Upgrade="h2c"), 400),
    "connection_without_upgrade": (request(Connection="keep-alive"), 400),
    "no_connection": (request(Connection=None), 400),
    "subprotocol_that_is_no_token": (request(("Sec-WebSocket-Protocol", "a b")), 400),
    "evil_origin": (request(("Origin", f"https://{MARK}.example")), 403),
    "two_origins": (
        request(("Origin", "https://good.example"), ("Origin", "https://evil.example")),
        403,
    ),
    # The syntax of headers (RFC 9112 section 5).
    "header_with_a_nul": (request(("X", "a\0b")), 400),
    "header_with_a_control_character": (request(("X", "a\x01b")), 400),
    "header_with_a_lone_cr": (request(("X", "a\rb")), 400),
    "space_before_the_colon": (request(("X ", MARK)), 400),
    "no_colon": (request().replace(b"\r\n\r\n", b"\r\nnonsense\r\n\r\n"), 400),
    "folded_header": (request(("X", f"a\r\n {MARK}")), 400),
    "lines_that_end_in_lf": (request(end="\n"), 400),
    "one_line_that_ends_in_lf": (request(("X", "a\nY: b")), 400),
    "name_beyond_ascii": (request(("X\xe9", "a")), 400),
    # Smuggling: what another would take for a body, or for the next request.
    "content_length": (request(("Content-Length", "5")) + b"hello", 400),
    "content_length_that_is_negative": (request(("Content-Length", "-1")), 400),
    "content_length_with_a_plus": (request(("Content-Length", "+0")), 400),
    "two_content_lengths": (request(("Content-Length", "0"), ("Content-Length", "5")), 400),
    "chunked": (request(("Transfer-Encoding", "chunked")) + b"0\r\n\r\n", 400),
    "chunked_and_content_length": (
        request(("Transfer-Encoding", "chunked"), ("Content-Length", "4")) + b"0\r\n\r\n",
        400,
    ),
    "request_behind_a_body": (request(("Content-Length", "0000000000000000000000099")), 400),
    "request_behind_a_bad_one": (request(Host=None) + request(), 400),
    # Its size.
    "request_line_of_9_kib": (request(line=f"GET /{'a' * 9000} HTTP/1.1"), 414),
    "header_line_of_9_kib": (request(("X", "a" * 9000)), 431),
    "header_name_of_9_kib": (request(("X" * 9000, "a")), 431),
    "headers_over_128": (request(*[("X", "a")] * 128), 431),
    "head_of_70_kib": (request(*[("X", "a" * 1000)] * 70), 431),
    "request_line_without_end": (b"GET /" + b"a" * 2**20, 414),
    "header_without_end": (request()[:-2] + b"X: " + b"a" * 2**20, 431),
    "headers_without_end": (request()[:-2] + b"X: a\r\n" * 200_000, 431),
    "empty_lines_without_end": (b"\r\n" * 500_000, 400),
    # Other protocols.
    "tls_on_the_plain_port": (bytes.fromhex("16030102000100"), 400),
    "binary": (bytes(range(256)) * 16, 400),
    "nothing_but_zeros": (bytes(2**16), 400),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
}


def _send_bad_request(data: bytes, status: int, server: Server) -> None:
    with server.connect() as attacker:
        attacker.send_as_much_as_goes(data)
        refused(attacker.answer(), status)


for name, (data, status) in BAD_REQUESTS.items():
    add(f"request: {name}", partial(_send_bad_request, data, status))


@attack
def another_version_is_told_ours(server: Server) -> None:
    with server.connect() as attacker:
        attacker.send(request(Sec_WebSocket_Version="25"))
        answer = attacker.answer()
        refused(answer, 426)
        assert answer.headers["sec-websocket-version"] == "13"


@attack
def a_head_byte_by_byte_is_served(server: Server) -> None:
    with server.connect() as client:
        client.send_bytewise(request())
        client.send_text("hello")
        assert read_head(client.sock).startswith(b"HTTP/1.1 101")
        assert client.frames(1)[0].payload == b"hello"


@attack
def an_honest_head_with_much_in_it_is_served(server: Server) -> None:
    many = [(f"X-{i}", "value") for i in range(40)]
    with server.connect() as client:
        client.send(
            request(
                *many,
                ("Cookie", "a" * 7000),
                ("Origin", "https://good.example"),
                line="GET http://localhost/chat?a=b HTTP/1.1",
                Connection="keep-alive, Upgrade",
                Upgrade="WebSocket",
            )
        )
        assert read_head(client.sock).startswith(b"HTTP/1.1 101")


@attack
def frames_right_behind_the_head_are_read(server: Server) -> None:
    with server.connect() as client:
        client.send(request() + frame(FIN | TEXT, b"at once", masked=True))
        assert read_head(client.sock).startswith(b"HTTP/1.1 101")
        assert client.frames(1)[0].payload == b"at once"
        client.close()


@attack
def the_head_ends_and_nothing_more_comes(server: Server) -> None:
    """It may be accepted before the end is seen, or not any more."""
    with server.connect() as attacker:
        attacker.send(request())
        attacker.end()
        assert attacker.to_end()[:13] in (b"", b"HTTP/1.1 101 ")


@attack
def half_a_request_and_the_end(server: Server) -> None:
    with server.connect() as attacker:
        attacker.send(request()[:50])
        attacker.end()
        assert attacker.to_end() == b""


@attack
def nothing_and_the_end(server: Server) -> None:
    with server.connect() as attacker:
        attacker.end()
        assert attacker.to_end() == b""


@attack
def a_reset_at_every_stage_of_the_handshake(server: Server) -> None:
    for size in (0, 1, 20, 60, len(request()) - 1, len(request())):
        attacker = server.connect()
        attacker.send(request()[:size])
        attacker.reset()


@attack
def a_storm_of_resets(server: Server) -> None:
    for _ in range(200):
        server.connect().reset()


@attack
def many_requests_at_once_for_what_is_refused(server: Server) -> None:
    attackers = [server.connect() for _ in range(50)]
    with server.growing_by_at_most():
        for attacker in attackers:
            attacker.send(request(*[("X", "a" * 1000)] * 60)[:-2])
        for attacker in attackers:
            attacker.sock.close()


OFFERS: dict[str, str] = {
    "window_of_7_bits": "permessage-deflate; client_max_window_bits=7",
    "window_of_16_bits": "permessage-deflate; client_max_window_bits=16",
    "window_with_a_leading_zero": "permessage-deflate; client_max_window_bits=09",
    "window_with_a_plus": "permessage-deflate; client_max_window_bits=+9",
    "window_in_arabic_digits": "permessage-deflate; client_max_window_bits=\u0661\u0660",
    "window_of_the_server_without_a_value": "permessage-deflate; server_max_window_bits",
    "parameter_twice": "permessage-deflate; server_no_context_takeover; "
    "server_no_context_takeover",
    "flag_with_a_value": "permessage-deflate; server_no_context_takeover=1",
    "parameter_that_nobody_knows": f"permessage-deflate; {MARK}",
    "extension_that_nobody_knows": f"permessage-{MARK}",
    "name_in_upper_case": "PERMESSAGE-DEFLATE; SERVER_MAX_WINDOW_BITS=0",
    "endless_list": "x, " * 2000 + "x",
}


def _offer(value: str, server: Server) -> None:
    """What cannot be accepted is declined, and the connection works without it."""
    with server.connect() as client:
        encoded = value.encode().decode("latin-1")
        head = client.open("/", ("Sec-WebSocket-Extensions", encoded))
        assert b"extensions" not in head.lower()
        client.send_text("plain")
        assert client.frames(1)[0].payload == b"plain"
        client.close()


for name, value in OFFERS.items():
    add(f"offer: {name}", partial(_offer, value))


@attack
def a_good_offer_behind_a_bad_one_is_accepted(server: Server) -> None:
    offers = "permessage-deflate; server_max_window_bits=7, permessage-deflate"
    with server.connect() as client:
        head = client.open("/", ("Sec-WebSocket-Extensions", offers))
        assert b"permessage-deflate" in head
        client.close()
