"""What is ws_sync's own: threads, timeouts, the one helper, interrupts, forks and the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from tests.adapters.rawpeers import read_to_end, shake_as_server
from tests.leaks import AFTERMATH, open_sockets
from tests.wscore.rawpeer import CLOSE, FIN, TEXT, frame

from ws_sync import Server, WebSocket, _helper, accept, connect, serve
from wscore import HANDOVER, Cause, ConcurrencyError, ConnectionClosed, State, WebSocketTimeout

SECONDS = 10
"""How long a test waits for what has to come."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Threads, but for the helper, and sockets."""

    def there() -> set[object]:
        return {*threading.enumerate(), *open_sockets()}

    def left() -> set[object]:
        # What another test left behind, such as trio's spare threads, may go meanwhile.
        return {each for each in there() - before if "ws_sync helper" not in str(each)}

    before = there()
    yield
    patience = time.monotonic() + AFTERMATH
    while left() and time.monotonic() < patience:
        time.sleep(0.001)
    assert left() == set()


def echo(websocket: WebSocket) -> None:
    for message in websocket:
        websocket.send(message)


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


@contextmanager
def both_ends(**policy: Any) -> Iterator[tuple[WebSocket, WebSocket]]:
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as thread:
        accepting = thread.submit(accept, theirs, **policy)
        with (
            connect("ws://example.com/", sock=ours, **policy) as client,
            accepting.result(SECONDS) as server,
        ):
            yield client, server


def until(ready: Callable[[], object]) -> None:
    """Wait for what nobody announces."""
    patience = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < patience
        time.sleep(0.001)


# ---------------------------------------------------------------------------- timeouts


def test_a_timeout_leaves_the_connection_usable() -> None:
    with both_ends() as (client, server):
        for verb in (client.recv, client.wait_closed):
            with pytest.raises(WebSocketTimeout):
                verb(timeout=0.01)
        with pytest.raises(WebSocketTimeout):
            next(client.recv_streaming(timeout=0.01))
        server.send("hello")
        assert client.recv(timeout=SECONDS) == "hello"


def test_a_timeout_of_nothing_takes_what_is_there_already() -> None:
    with both_ends() as (client, server):
        with pytest.raises(WebSocketTimeout):
            client.recv(timeout=0)
        server.send("hello")
        until(lambda: client.stats.messages_received)
        assert client.recv(timeout=0) == "hello"


def test_a_part_that_took_too_long_can_be_asked_for_again() -> None:
    def source() -> Iterator[str]:
        yield "a"
        yield "b"
        assert go_on.wait(SECONDS)
        yield "c"

    go_on = threading.Event()
    with both_ends() as (client, server), ThreadPoolExecutor(1) as thread:
        sending = thread.submit(client.send, source())
        parts = server.recv_streaming(timeout=0.05)
        assert next(parts) == "a"
        with pytest.raises(WebSocketTimeout):
            next(parts)
        go_on.set()
        assert sending.result(SECONDS)
        assert "".join(map(str, parts)) == "bc"


def test_a_send_that_timed_out_was_not_sent() -> None:
    with both_ends(max_queue=1, max_send_buffer=1024) as (client, server):
        sent = 0
        with suppress(WebSocketTimeout):
            while sent < 10_000:
                client.send(sent.to_bytes(2, "big") * 32_768, timeout=0.05)
                sent += 1
        assert sent < 10_000
        with ThreadPoolExecutor(1) as thread:
            last = thread.submit(client.send, "last")
            received = [server.recv(timeout=SECONDS) for _ in range(sent + 1)]
            assert last.result(SECONDS)
        assert received[-1] == "last"
        assert [message[:2] for message in received[:-1]] == [
            number.to_bytes(2, "big") for number in range(sent)
        ]


# ----------------------------------------------------------------------------- threads


def test_any_thread_may_call_any_verb() -> None:
    def send(first: int) -> list[bool]:
        return [server.send(str(number)) for number in range(first, first + 50)]

    with both_ends() as (client, server), ThreadPoolExecutor(20) as threads:
        receiving = threads.submit(lambda: sorted(int(client.recv()) for _ in range(400)))
        sending = [threads.submit(send, first) for first in range(0, 400, 50)]
        pings = [threads.submit(end.ping) for end in (client, server) for _ in range(4)]
        assert receiving.result(SECONDS) == [*range(400)]
        assert all(all(each.result(SECONDS)) for each in sending)
        assert all(ping.result(SECONDS) >= 0 for ping in pings)


def test_a_second_receiver_is_refused() -> None:
    with both_ends() as (client, server), ThreadPoolExecutor(1) as thread:
        receiving = thread.submit(client.recv)
        until(lambda: client._driver is not None)
        with pytest.raises(ConcurrencyError):
            client.recv(timeout=0)
        server.send("hello")
        assert receiving.result(SECONDS) == "hello"


def test_closing_is_bounded_while_another_thread_sends_to_a_stalled_peer() -> None:
    with both_ends(max_queue=1, max_send_buffer=1024, close_timeout=0.2) as (client, server):

        def send() -> None:
            with suppress(ConnectionClosed):
                while True:
                    client.send(b"x" * 65_536)

        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(send)
            until(lambda: client._blocked and client._senders)
            began = time.monotonic()
            client.close()
            assert time.monotonic() - began < 5
            sending.result(SECONDS)
        server.abort()


def test_a_flood_in_both_directions_makes_progress_if_both_receive_in_any_thread() -> None:
    with both_ends(max_send_buffer=1024) as ends, ThreadPoolExecutor(4) as threads:

        def send(end: WebSocket) -> None:
            for _ in range(20):
                end.send(b"x" * 500_000)

        def receive(end: WebSocket) -> None:
            for _ in range(20):
                assert len(end.recv()) == 500_000

        work = [threads.submit(do, end) for end in ends for do in (send, receive)]
        for each in work:
            each.result(SECONDS)


def test_a_deadlock_of_two_who_only_send_ends_with_its_cause() -> None:
    with both_ends(max_queue=1, max_send_buffer=1024, send_timeout=0.2) as ends:

        def send(end: WebSocket) -> Cause:
            try:
                while True:
                    end.send(b"x" * 500_000)
            except ConnectionClosed as closed:
                return closed.reason.cause

        with ThreadPoolExecutor(2) as threads:
            causes = {*threads.map(send, ends, timeout=SECONDS)}
        assert Cause.SEND_TIMEOUT in causes


# --------------------------------------------------------------------------- the helper


def test_pings_are_answered_while_the_handler_is_busy() -> None:
    leave = threading.Event()

    def handler(websocket: WebSocket) -> None:
        assert websocket.recv() == "hello"
        leave.wait(SECONDS)

    with serve(handler, "127.0.0.1", 0) as server, connect(url_of(server)) as client:
        client.send("hello")
        assert min(client.ping(timeout=SECONDS) for _ in range(3)) < 0.1
        leave.set()


def test_pings_are_answered_after_a_full_queue_has_room_again() -> None:
    with both_ends(max_queue=2) as (client, server):
        for _ in range(16):
            client.send("x" * 5000)
        # Beyond the look-ahead nothing is read.
        until(lambda: server._connection.want_read == 0)
        for _ in range(15):
            assert server.recv(timeout=SECONDS) == "x" * 5000
        assert client.ping(timeout=SECONDS) < 5


def test_there_is_one_helper_for_many_connections() -> None:
    before = threading.active_count()
    with serve(echo, "127.0.0.1", 0) as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(url_of(server))) for _ in range(20)]
        time.sleep(2 * HANDOVER)
        # A thread for each handler, one that accepts, and perhaps the first helper.
        assert threading.active_count() - before <= 20 + 1 + 1
        for client in clients:
            client.send("hello")
        assert [client.recv(timeout=SECONDS) for client in clients] == ["hello"] * 20


def test_a_ping_pong_does_not_wake_the_helper_for_each_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    def ask(helper: _helper.Helper, helped: _helper.Helped) -> None:
        nonlocal asked
        asked += 1
        original(helper, helped)

    original = _helper.Helper.ask
    monkeypatch.setattr(_helper.Helper, "ask", ask)
    with serve(echo, "127.0.0.1", 0) as server, connect(url_of(server)) as client:
        began = time.monotonic()
        for _ in range(1000):
            client.send("x")
            client.recv(timeout=SECONDS)
        took = time.monotonic() - began
    # Twice a look for each end, and what opening and closing take.
    assert asked < 4 * took / HANDOVER + 50


def test_keepalive_ends_a_connection_on_which_nobody_waits() -> None:
    def peer(sock: socket.socket) -> None:
        with sock:
            shake_as_server(sock)
            read_to_end(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        playing = thread.submit(lambda: peer(listener.accept()[0]))
        client = connect(
            f"ws://127.0.0.1:{listener.getsockname()[1]}/",
            ping_interval=0.05,
            ping_timeout=0.05,
            close_timeout=0.1,
        )
        until(lambda: client.state is State.CLOSED)
        assert client.close_reason is not None
        assert client.close_reason.cause is Cause.PING_TIMEOUT
        client.wait_closed(timeout=SECONDS)
        playing.result(SECONDS)


def send_alone(websocket: WebSocket) -> None:
    assert websocket._send_shortly("too late")


def send_at_length(websocket: WebSocket) -> None:
    websocket._send_now("too late", None, None)


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("send", [send_alone, send_at_length])
def test_last_words_are_received_though_a_send_meets_that_the_peer_is_gone(
    send: Callable[[WebSocket], None], closes: bool
) -> None:
    ours, theirs = socket.socketpair()
    words = [letter * 1000 for letter in "abcde"]
    said = b"".join(frame(FIN | TEXT, word.encode(), masked=False) for word in words)
    with theirs, ThreadPoolExecutor(1) as thread:
        connecting = thread.submit(connect, "ws://example.com/", sock=ours, read_size=1024)
        shake_as_server(theirs)
        client = connecting.result(SECONDS)
        # So that it is not the helper that meets it, which would read first.
        with client._guard:
            theirs.sendall(said)
            if closes:
                theirs.sendall(frame(CLOSE, (4000).to_bytes(2, "big") + b"bye", masked=False))
            theirs.close()
            send(client)
    assert [client.recv(timeout=SECONDS) for _ in words] == words
    reason = client.wait_closed(timeout=SECONDS)
    if closes:
        assert (reason.cause, reason.code, reason.reason) == (Cause.PEER_CLOSED, 4000, "bye")
    else:
        assert isinstance(reason.error, BrokenPipeError)


# ----------------------------------------------------------------------------- servers


def test_threads_are_bounded_and_who_is_too_many_is_told() -> None:
    with serve(echo, "127.0.0.1", 0, max_connections=3) as server, ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(20)
        ]
        until(lambda: len(server._threads) == 6)
        for sock in idle:
            sock.close()
        until(lambda: not server._threads)
        with connect(url_of(server)) as client:
            client.send("served")
            assert client.recv(timeout=SECONDS) == "served"


def test_a_handler_that_does_not_return_is_left_to_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leave = threading.Event()
    with serve(lambda _: leave.wait(SECONDS), "127.0.0.1", 0, close_timeout=0.05) as server:
        client = connect(url_of(server))
        until(lambda: server.connections)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 5
        assert "left to itself" in caplog.text
        leave.set()
        client.close()


def test_a_handler_may_close_its_server() -> None:
    def handler(websocket: WebSocket) -> None:
        websocket.recv()
        server.close()

    with serve(handler, "127.0.0.1", 0) as server, connect(url_of(server)) as client:
        client.send("close")
        assert client.wait_closed(timeout=SECONDS).code == 1001
        server.serve_forever()


# ----------------------------------------------- interrupts, forks, the end of a process


def run(program: str, *, interrupt_when: str | None = None) -> str:
    """Run a program to its end; interrupt it once it has printed that line."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    said = ""
    if interrupt_when is not None:
        for line in process.stdout:
            said += line
            if line.strip() == interrupt_when:
                # The main thread has to get from printing to waiting.
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
                break
    rest, _ = process.communicate(timeout=SECONDS)
    return said + rest


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_was_sent_last_is_written_though_the_program_ends(count: int) -> None:
    """The second of two in a row waits for more, and for the helper, which ends as well."""
    received: list[object] = []

    def receive(websocket: WebSocket) -> None:
        with suppress(ConnectionClosed):
            received.extend(websocket)

    with serve(receive, "127.0.0.1", 0) as server:
        program = f"""
            from ws_sync import connect
            client = connect({url_of(server)!r}, proxy=None)
            for number in range({count}):
                client.send(str(number))
        """
        assert run(program) == ""
        # The handler may not even have begun.
        until(lambda: len(received) == count)
    assert received == [str(number) for number in range(count)]


COMMON = """
    import threading, time
    from ws_sync import connect, serve

    def echo(websocket):
        for message in websocket:
            websocket.send(message)

    server = serve(echo, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.port}/"
"""


def test_a_process_ends_by_itself_with_connections_open() -> None:
    assert run(
        COMMON
        + """
    client = connect(url)
    client.send("hello")
    print(client.recv())
    """
    ).split() == ["hello"]


@pytest.mark.parametrize("verb", ["recv", "wait_closed"])
def test_an_interrupt_ends_a_wait_and_leaves_the_connection_usable(verb: str) -> None:
    said = run(
        COMMON
        + f"""
    with connect(url) as client:
        print("ready", flush=True)
        try:
            client.{verb}()
        except KeyboardInterrupt:
            client.send("usable")
            print(client.recv(timeout=5))
    print(client.close_reason.code)
    """,
        interrupt_when="ready",
    )
    assert said.split() == ["ready", "usable", "1000"]


def test_an_interrupt_ends_a_server() -> None:
    said = run(
        COMMON
        + """
    client = connect(url)
    print("ready", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(client.wait_closed(timeout=5).code)
    """,
        interrupt_when="ready",
    )
    assert said.split() == ["ready", "1001"]


def test_a_fork_begins_anew() -> None:
    assert run(
        COMMON
        + """
    import os
    with connect(url) as client:
        client.send("parent")
        assert client.recv(timeout=5) == "parent"
        time.sleep(0.1)
        child = os.fork()
        if child == 0:
            with connect(url) as own:
                own.send("child")
                print(own.recv(timeout=5), flush=True)
                time.sleep(0.1)
                assert own.ping(timeout=5) >= 0
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.send("still")
        print(client.recv(timeout=5))
    server.close()
    """
    ).split() == ["child", "still"]
