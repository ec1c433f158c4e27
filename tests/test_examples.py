"""The examples: what they promise, with clients written by others and our own."""

from __future__ import annotations

import asyncio
import io
import os
import re
import selectors
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import repeat
from pathlib import Path

import pytest
from examples import demo, selector_server
from tests.wscore.rawpeer import BINARY, FIN, REQUEST, RESERVED, frame
from websockets.sync.client import connect

import ws_asyncio
import ws_sync
from wscore import CloseFrame, Config

EXAMPLES = Path(__file__).parent.parent / "examples"
SECONDS = 10
"""How long a test waits for what has to come."""


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("selector_server.py", 59),
        ("demo.py", 340),
        ("chat.py", 40),
        ("echo_server.py", 23),
        ("echo_client.py", 20),
    ],
)
def test_examples_are_short(name: str, limit: int) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= limit


# ------------------------------------------------------------------------ selector_server

Address = tuple[str, int]


@contextmanager
def selector_serving(config: Config | None = None) -> Iterator[Address]:
    """The address of a selector server that runs in a thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            selector_server.turn(selector, listener, config or Config())

    with (
        selectors.DefaultSelector() as selector,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as executor,
    ):
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
        address: Address = listener.getsockname()
        running = executor.submit(run)
        try:
            yield address
        finally:
            stop.set()
            with socket.create_connection(address, SECONDS):  # A visitor wakes it up.
                running.result(SECONDS)
            for key in selector.get_map().values():
                if key.data:
                    key.data[1].close()


def url_of(address: Address) -> str:
    return f"ws://{address[0]}:{address[1]}/"


@contextmanager
def raw_client(address: Address) -> Iterator[socket.socket]:
    """A client that has opened a connection and does nothing by itself."""
    with socket.create_connection(address, SECONDS) as sock:
        sock.sendall(REQUEST)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        yield sock


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def send_all(sock: socket.socket, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        sock.sendall(chunk)


def test_selector_server_echoes_large_messages_to_twenty_clients_at_once() -> None:
    together = threading.Barrier(20, timeout=SECONDS)

    def talk(number: int) -> bool:
        message = bytes([number]) * 2**20
        with connect(url_of(address), compression=None, proxy=None) as client:
            together.wait()
            client.send(f"I am {number}")
            client.send(message)
            return (client.recv(SECONDS), client.recv(SECONDS)) == (f"I am {number}", message)

    with selector_serving() as address, ThreadPoolExecutor(20) as executor:
        assert all(executor.map(talk, range(20)))


def test_selector_server_completes_the_closing_handshake() -> None:
    """RFC 6455 section 7.1: the same code and reason come back, and the stream ends."""

    async def talk(url: str) -> None:
        async with ws_asyncio.connect(url) as websocket:
            await websocket.send("Hello!")
            assert await websocket.recv() == "Hello!"
            await websocket.close(4000, "bye")
            reason = await websocket.wait_closed()
            assert reason.clean
            assert reason.close_received == CloseFrame(4000, "bye")

    with selector_serving() as address:
        asyncio.run(talk(url_of(address)))


def test_selector_server_does_not_read_from_who_does_not_read() -> None:
    message = frame(FIN | BINARY, bytes(2**20), masked=True)
    with selector_serving() as address, raw_client(address) as stalled:
        stalled.settimeout(0.3)
        with pytest.raises(TimeoutError):
            send_all(stalled, repeat(message, 100))
        with connect(url_of(address), proxy=None) as other:
            other.send("Still there?")
            assert other.recv(SECONDS) == "Still there?"


def test_selector_server_drops_a_client_that_vanished() -> None:
    config = Config(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1)
    with selector_serving(config) as address, raw_client(address) as vanished:
        last = read_all(vanished)
        assert last.startswith(b"\x89")
        assert b"\x03\xf3keepalive ping timeout" in last
        with pytest.raises(ConnectionError):
            send_all(vanished, repeat(b"too late"))


def test_selector_server_survives_a_reset() -> None:
    with selector_serving() as address:
        with raw_client(address) as rude:
            # Closing with a zero linger time resets the connection.
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connect(url_of(address), proxy=None) as other:
            other.send("Still there?")
            assert other.recv(SECONDS) == "Still there?"


def test_selector_server_says_what_was_wrong_then_ends_the_stream() -> None:
    """RFC 6455 section 7.1.7: a reserved opcode fails the connection with 1002."""
    with selector_serving() as address, raw_client(address) as wrong:
        wrong.sendall(frame(RESERVED, masked=True))
        assert read_all(wrong)[2:4] == (1002).to_bytes(2, "big")


def test_selector_server_refuses_what_is_no_websocket_request() -> None:
    with selector_serving() as address, socket.create_connection(address, SECONDS) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 4\d\d ", read_all(browser))


# ------------------------------------------------------------------------------- programs


def run_example(name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "utf8", str(EXAMPLES / name), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@contextmanager
def example_serving(name: str) -> Iterator[str]:
    """The URL that an example says it listens on; it is interrupted at the end."""
    # What runs in the background of a shell ignores Ctrl-C, and so would the example.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with run_example(name, "0") as server:
        assert server.stdout is not None
        try:
            said = server.stdout.readline()
            assert said.startswith("Listening on ws://127.0.0.1:")
            yield said.split()[-1]
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == -signal.SIGINT


@pytest.mark.parametrize("server", ["echo_server.py", "selector_server.py"])
def test_the_echo_client_gets_its_message_back_from(server: str) -> None:
    with example_serving(server) as url:
        output, errors = run_example("echo_client.py", url).communicate(timeout=SECONDS)
    assert (output, errors) == ("Hello!\n", "")


def test_in_the_chat_everyone_hears_everyone() -> None:
    async def talk(url: str) -> None:
        async with ws_asyncio.connect(url) as one, ws_asyncio.connect(url) as other:
            # Who has heard itself is a member.
            await other.send("Is this thing on?")
            assert await other.recv() == "Is this thing on?"
            await one.send("Hello!")
            assert await other.recv() == "Hello!"
            await other.send("Welcome!")
            heard = [await one.recv()]
            while heard[-1] != "Welcome!":
                heard.append(await one.recv())
            assert heard[-2:] == ["Hello!", "Welcome!"]

    with example_serving("chat.py") as url:
        asyncio.run(asyncio.wait_for(talk(url), SECONDS))


# ----------------------------------------------------------------------------------- demo

ROWS = 24
COLUMNS = len(demo.CHECKS)


def test_the_demo_passes_prints_each_row_once_and_no_escape_codes() -> None:
    process = run_example("demo.py")
    output, errors = process.communicate(timeout=90)
    assert (process.returncode, errors) == (0, "")
    assert "\x1b" not in output
    lines = output.splitlines()
    assert len(lines) == 1 + ROWS + 1
    assert all(len(line) <= 100 for line in lines)
    assert [line.count("✓") for line in lines[1:-1]] == [COLUMNS] * ROWS
    assert re.fullmatch(rf"All {ROWS * COLUMNS} checks passed in \d+\.\d s\.", lines[-1])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What is to be seen in the end."""
        lines: list[str] = []
        row = 0
        for up, text in re.findall(r"(?:\x1b\[(\d+)F)?(?:\x1b\[2K)?(.*)\n", self.getvalue()):
            row -= int(up or 0)
            lines[row : row + 1] = [text]
            row += 1
        return lines


SYNC = {"sync": demo.Side(ws_sync, None)}


def test_the_demo_redraws_its_rows_in_place_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()
    assert demo.main(SYNC, SYNC, out) == 0
    lines = out.screen()
    assert len(lines) == 1 + 1 + 1
    assert lines[1].count("✓") == COLUMNS
    assert demo.RUNNING in out.getvalue()
    assert demo.RUNNING not in "".join(lines)


@pytest.mark.parametrize(("columns", "rows"), [("79", "24"), ("100", "2")])
def test_the_demo_does_not_redraw_on_a_terminal_that_is_too_small(
    monkeypatch: pytest.MonkeyPatch, columns: str, rows: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", rows)
    out = Terminal()
    demo.main({}, SYNC, out)
    assert "\x1b" not in out.getvalue()


class Liar(demo.Side):
    """Shouts text, knows no subprotocol, and gets the close code wrong."""

    @contextmanager
    def serve(self, closed: demo.Closed, context: ssl.SSLContext | None) -> Iterator[int]:
        def handle(websocket: ws_sync.WebSocket) -> None:
            closed.put((1000, ""))
            for message in websocket:
                websocket.send(message.upper() if isinstance(message, str) else message)

        with ws_sync.serve(handle, "localhost", 0, ssl=context) as server:
            yield server.port


class Silent(demo.Side):
    """Takes connections and says nothing."""

    @contextmanager
    def serve(self, closed: demo.Closed, context: ssl.SSLContext | None) -> Iterator[int]:
        with socket.create_server(("localhost", 0)) as listener:
            yield listener.getsockname()[1]


class Absent(demo.Side):
    """Is not there."""

    @contextmanager
    def serve(self, closed: demo.Closed, context: ssl.SSLContext | None) -> Iterator[int]:
        with closing(socket.create_server(("localhost", 0))) as listener:
            port = listener.getsockname()[1]
        yield port


def test_the_demo_shows_a_cross_and_the_reason_for_each_check_that_fails() -> None:
    out = io.StringIO()
    assert demo.main(SYNC, {"liar": Liar(ws_sync, None)}, out) == 1
    _, row, *reasons, verdict = out.getvalue().splitlines()
    assert (row.count("✓"), row.count("✗")) == (4, 3)
    assert [reason.split(":")[0] for reason in reasons] == [
        "✗ sync → liar, text",
        "✗ sync → liar, subprotocol",
        "✗ sync → liar, close",
    ]
    assert "(1000, '')" in reasons[-1]
    assert "(4000, 'bye')" in reasons[-1]
    assert verdict.startswith("3 of 7 checks did not pass in ")


@pytest.mark.parametrize("server", [Silent, Absent])
@pytest.mark.parametrize("client", ["asyncio", "sync", "websockets"])
def test_the_demo_goes_on_when_a_server_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, client: str, server: type[demo.Side]
) -> None:
    monkeypatch.setattr(demo, "CHECK_SECONDS", 0.05)
    out = io.StringIO()
    with demo.all_sides() as sides:
        assert demo.main({client: sides[client]}, {"dead": server(ws_sync, None)}, out) == 1
    reasons = re.findall(f"(?m)^✗ {client} → dead, .+: (.+)$", out.getvalue())
    assert len(reasons) == COLUMNS


def test_the_demo_ends_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TOTAL_SECONDS", 0)
    out = io.StringIO()
    assert demo.main(SYNC, SYNC, out) == 1
    assert "no time for the rest" in out.getvalue()
    assert out.getvalue().splitlines()[-1].startswith("7 of 7 checks did not pass in 0.")
