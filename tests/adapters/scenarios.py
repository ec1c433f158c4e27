"""The one table of what every adapter does alike, whatever the runtime.

A scenario is a function of a :class:`Runtime`; it imports no event loop. Both ends are ours:
what takes a peer that misbehaves stands in the tests of the adapter.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias, TypeVar
from unittest import mock

import pytest
from tests.adapters import certificates
from tests.adapters.rawpeers import (
    Frame,
    frames_of,
    messages_of,
    raw_client,
    raw_server,
    read_head,
    read_to_close,
    read_to_end,
    relay,
    reset,
    shake_as_client,
    shake_as_server,
)
from tests.wscore.rawpeer import CLOSE, FIN, RESERVED, TEXT, frame

from wscore import (
    Accept,
    Backoff,
    BadHandshake,
    Cause,
    CloseBy,
    CloseFrame,
    CloseReason,
    ConcurrencyError,
    ConnectionClosed,
    Deflate,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidURL,
    Latency,
    Message,
    OpenTimeout,
    Prepared,
    ProxyError,
    RedirectRefused,
    Request,
    Response,
    SendBufferFull,
    State,
    Stats,
)

T = TypeVar("T")

KIB = 1024
MIB = 1024 * 1024


class Socket(Protocol):
    """A WebSocket of any adapter."""

    @property
    def state(self) -> State: ...
    @property
    def stats(self) -> Stats: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def request(self) -> Request | None: ...
    @property
    def response(self) -> Response | None: ...
    @property
    def latency(self) -> Latency | None: ...
    @property
    def close_reason(self) -> CloseReason | None: ...
    @property
    def local_address(self) -> Any: ...
    @property
    def remote_address(self) -> Any: ...
    async def send(
        self, message: Any, *, compress: bool | None = None, key: Any = None
    ) -> bool: ...
    async def recv(self) -> Message: ...
    def __aiter__(self) -> AsyncIterator[Message]: ...
    def recv_streaming(self) -> AsyncIterator[Message]: ...
    async def ping(self, payload: bytes | None = None) -> float: ...
    async def pong(self, payload: bytes = b"") -> None: ...
    async def close(self, code: int = 1000, reason: str = "") -> None: ...
    async def wait_closed(self) -> CloseReason: ...
    def abort(self) -> None: ...


class Event(Protocol):
    """Something that happens once."""

    def set(self) -> None: ...
    async def wait(self) -> object: ...


class Listener(Protocol):
    """A server of any adapter."""

    @property
    def port(self) -> int: ...
    @property
    def connections(self) -> set[Any]: ...
    async def close(self, code: int = 1001, reason: str = "", *, drain: float = 0) -> None: ...


Handler: TypeAlias = Callable[[Any], Awaitable[object]]


class Runtime(Protocol):
    """What a scenario needs of an adapter and its event loop."""

    def serve(self, handler: Handler, **options: Any) -> AbstractAsyncContextManager[Listener]:
        """A server, on a free port of 127.0.0.1 unless ``host`` or ``unix_path`` is given."""
        ...

    def connect(self, url: str, **options: Any) -> AbstractAsyncContextManager[Socket]:
        """A client; ``sock``, a connected socket, is passed on in the adapter's form."""
        ...

    def accept(self, sock: socket.socket, **options: Any) -> AbstractAsyncContextManager[Socket]:
        """The server's side of a connected socket."""
        ...

    def broadcast(self, connections: Iterable[Any], message: Any) -> list[Any]:
        """The adapter's broadcast."""
        ...

    def reconnect(
        self, url: str, **options: Any
    ) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        """A client that stays connected."""
        ...

    def event(self) -> Event:
        """An event."""
        ...

    def giving_up_after(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Cancel what takes longer, and go on behind it."""
        ...

    async def give_up_after_turns(
        self, function: Callable[[], Awaitable[object]], turns: int
    ) -> bool:
        """Run a function and cancel it after so many turns of the loop; whether it was.

        Without a loop, they are milliseconds.
        """
        ...

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run what blocks in a thread, and wait for it."""
        ...

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        """Run functions at the same time until all have returned."""
        ...


Scenario: TypeAlias = Callable[[Runtime], Awaitable[None]]

SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """Put a function into the table."""
    SCENARIOS.append(function)
    return function


@asynccontextmanager
async def both_ends(runtime: Runtime, **policy: Any) -> AsyncIterator[tuple[Socket, Socket]]:
    """The client's and the server's end of a connection."""
    met = runtime.event()
    found: list[Socket] = []

    async def handler(websocket: Socket) -> None:
        found.append(websocket)
        met.set()
        await websocket.wait_closed()

    async with (
        runtime.serve(handler, **policy) as server,
        runtime.connect(f"ws://127.0.0.1:{server.port}/", **policy) as client,
    ):
        await met.wait()
        yield client, found[0]


async def echo(websocket: Socket) -> None:
    async for message in websocket:
        await websocket.send(message)


async def receive_close(websocket: Socket) -> CloseReason:
    """Receive until there will never be another message; return why."""
    try:
        while True:
            await websocket.recv()
    except ConnectionClosed as closed:
        return closed.reason


async def send_until_closed(websocket: Socket, message: bytes) -> CloseReason:
    """Send a message again and again until the connection ends; return why it did."""
    try:
        while True:
            await websocket.send(message)
    except ConnectionClosed as closed:
        return closed.reason


async def parts_of(websocket: Socket) -> list[Message]:
    return [part async for part in websocket.recv_streaming()]


# ------------------------------------------------------------------------------- messages


def _echoes(message: Message, **policy: Any) -> Scenario:
    async def run(runtime: Runtime) -> None:
        async with (
            runtime.serve(echo, max_message_size=2 * MIB, **policy) as server,
            runtime.connect(
                f"ws://127.0.0.1:{server.port}/", max_message_size=2 * MIB, **policy
            ) as client,
        ):
            assert await client.send(message)
            assert await client.recv() == message

    kind = "text" if isinstance(message, str) else "binary"
    compressed = "_compressed" if policy else ""
    run.__name__ = f"{kind}_of_{len(message)}_is_echoed{compressed}"
    return run


for size in (0, 1, 125, 126, 65_535, 65_536, MIB):
    scenario(_echoes("x" * size))
    scenario(_echoes(b"x" * size))
    scenario(_echoes("ü" * size, compression="deflate"))


@scenario
async def bytes_like_messages_are_binary(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for message in (bytearray(b"one"), memoryview(b"two"), Prepared(b"three")):
            await client.send(message)
        assert [await server.recv() for _ in range(3)] == [b"one", b"two", b"three"]


@scenario
async def what_is_no_message_raises_and_nothing_is_sent(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for wrong in (None, 5, {"a": "b"}, [1, 2], [b"a"[0]], ["\ud800"], "\ud800"):
            with pytest.raises((TypeError, ValueError)):
                await client.send(wrong)
        await client.send("good")
        assert await server.recv() == "good"


@scenario
async def options_of_whole_messages_are_refused_for_parts(runtime: Runtime) -> None:
    async with both_ends(runtime, overflow="replace") as (client, server):
        wrong: list[dict[str, Any]] = [{"compress": True}, {"compress": False}, {"key": "k"}]
        for options in wrong:
            with pytest.raises(TypeError):
                await client.send(["a", "b"], **options)
        await client.send("good")
        assert await server.recv() == "good"


@scenario
async def messages_arrive_in_order(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def send_all() -> None:
            for i in range(500):
                await client.send(str(i))

        async def receive_all() -> None:
            for i in range(500):
                assert await server.recv() == str(i)

        await runtime.together(send_all, receive_all)


def flood_of(size: int, count: int, **policy: Any) -> Scenario:
    async def run(runtime: Runtime) -> None:
        async with both_ends(runtime, **policy) as ends:

            def sender(websocket: Socket) -> Callable[[], Awaitable[None]]:
                async def send() -> None:
                    for i in range(count):
                        await websocket.send(i.to_bytes(4, "big") * (size // 4))

                return send

            def receiver(websocket: Socket) -> Callable[[], Awaitable[None]]:
                async def receive() -> None:
                    for i in range(count):
                        assert await websocket.recv() == i.to_bytes(4, "big") * (size // 4)

                return receive

            await runtime.together(*map(sender, ends), *map(receiver, ends))

    kind = "_compressed" if policy else ""
    run.__name__ = f"floods_of_{size}_bytes_in_both_directions_at_once{kind}"
    return run


scenario(flood_of(16, 2000))
scenario(flood_of(4 * KIB, 500))
scenario(flood_of(64 * KIB, 60))
scenario(flood_of(MIB, 8))
scenario(flood_of(4 * KIB, 200, compression="deflate"))


@scenario
async def an_answer_does_not_wait_for_what_else_is_to_be_answered(runtime: Runtime) -> None:
    arrived, answered = runtime.event(), runtime.event()

    async with both_ends(runtime) as (client, server):

        async def answer() -> None:
            await arrived.wait()
            for _ in range(2):
                await server.send(await server.recv())
                await answered.wait()

        async def ask() -> None:
            for message in ("one", "two", "three"):
                await client.send(message)
            await client.ping()
            arrived.set()
            assert await client.recv() == "one"
            answered.set()
            assert await client.recv() == "two"

        await runtime.together(answer, ask)


@scenario
async def iteration_ends_when_the_peer_closes_normally(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await server.send("last")

        async def receive() -> None:
            assert [message async for message in client] == ["last"]

        await runtime.together(receive, server.close)


@scenario
async def iteration_raises_when_the_peer_closes_otherwise(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def receive() -> None:
            with pytest.raises(ConnectionClosed):
                async for _ in client:
                    pass

        async def close() -> None:
            await server.close(4000, "no")

        await runtime.together(receive, close)


@scenario
async def a_second_receiver_is_refused_and_the_first_goes_on(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def receive() -> None:
            # Whoever comes second, that is one of the two.
            try:
                outcomes.append(await client.recv())
            except ConcurrencyError:
                with pytest.raises(ConcurrencyError):
                    await parts_of(client)
                outcomes.append("refused")
                await server.send("hello")

        outcomes: list[Message] = []
        await runtime.together(receive, receive)
        assert outcomes == ["refused", "hello"]


@scenario
async def a_receive_that_is_given_up_has_taken_nothing(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        async with runtime.giving_up_after(0.01):
            await client.recv()
        await server.send("one")
        assert await client.recv() == "one"


# ------------------------------------------------------------------------ messages in parts


@scenario
async def parts_are_one_message(runtime: Runtime) -> None:
    async def source() -> AsyncIterator[bytes]:
        for part in (b"d", b"e", b"f"):
            yield part

    async with both_ends(runtime) as (client, server):
        await client.send(["a", "b", "c"])
        await client.send(source())
        await client.send(part for part in ("g",))
        assert [await server.recv() for _ in range(3)] == ["abc", b"def", "g"]
        assert server.stats.frames_received == 7


@scenario
async def parts_are_one_message_compressed(runtime: Runtime) -> None:
    async with both_ends(runtime, compression="deflate") as (client, server):
        for _ in range(2):
            await client.send(["a" * 5000, "b" * 5000])
            assert await server.recv() == "a" * 5000 + "b" * 5000


@scenario
async def no_parts_are_no_message(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        assert await client.send([])
        await client.send("next")
        assert await server.recv() == "next"


@scenario
async def a_source_that_raises_at_first_sends_nothing(runtime: Runtime) -> None:
    async def source() -> AsyncIterator[str]:
        raise LookupError
        yield ""

    async with both_ends(runtime) as (client, server):
        with pytest.raises(LookupError):
            await client.send(source())
        await client.send("good")
        assert await server.recv() == "good"


@scenario
async def a_source_that_raises_in_the_middle_fails_the_connection(runtime: Runtime) -> None:
    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        raise LookupError

    async with both_ends(runtime) as (client, server):
        with pytest.raises(LookupError):
            await client.send(source())
        assert client.close_reason is not None
        assert client.close_reason.cause is Cause.SEND_INTERRUPTED
        assert (await receive_close(server)).code == 1011


@scenario
async def parts_of_two_types_fail_the_connection(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        with pytest.raises(TypeError):
            await client.send(["a", "b", b"c"])
        assert (await receive_close(server)).code == 1011


@scenario
async def other_messages_wait_until_one_in_parts_ends(runtime: Runtime) -> None:
    begun, waiting = runtime.event(), runtime.event()

    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        begun.set()
        await waiting.wait()
        yield "c"

    async with both_ends(runtime) as (client, server):

        async def send_parts() -> None:
            await client.send(source())

        async def send_whole() -> None:
            await begun.wait()
            # A ping goes between the parts; the message does not.
            await client.ping()
            waiting.set()
            await client.send("whole")

        await runtime.together(send_parts, send_whole)
        assert [await server.recv(), await server.recv()] == ["abc", "whole"]


@scenario
async def a_message_is_received_in_parts_as_they_arrive(runtime: Runtime) -> None:
    arrived = runtime.event()

    async def source() -> AsyncIterator[str]:
        yield "first"
        yield "second"
        await arrived.wait()

    async with both_ends(runtime) as (client, server):
        parts: list[Message] = []

        async def send() -> None:
            await client.send(source())

        async def receive() -> None:
            async for part in server.recv_streaming():
                parts.append(part)
                arrived.set()

        await runtime.together(send, receive)
        assert parts[0] == "first"
        assert "".join(map(str, parts)) == "firstsecond"


@scenario
async def an_empty_message_is_one_empty_part(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await client.send("")
        await client.send(b"")
        assert [await parts_of(server), await parts_of(server)] == [[""], [b""]]


@scenario
async def the_rest_of_a_message_left_early_is_discarded(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def send() -> None:
            await client.send([b"x" * 100_000] * 9)
            await client.send("next")

        async def receive() -> None:
            async for part in server.recv_streaming():
                assert set(part) == {ord("x")}
                break
            assert await server.recv() == "next"

        await runtime.together(send, receive)


@scenario
async def a_message_left_while_reading_rests_lets_reading_go_on(runtime: Runtime) -> None:
    options: dict[str, Any] = {"max_message_size": 17 * MIB, "max_queue_bytes": 100_000}
    async with both_ends(runtime, ping_interval=math.inf, **options) as (client, server):
        begun = runtime.event()

        async def source() -> AsyncIterator[bytes]:
            yield b"x"
            yield b"x"
            # Who takes parts sets the pace, from the first one on.
            await begun.wait()
            for _ in range(16):
                yield b"x" * MIB

        async def send() -> None:
            await client.send(source())
            await client.send("next")

        async def receive() -> None:
            async for part in server.recv_streaming():
                assert set(part) == {ord("x")}
                break
            begun.set()
            # Who takes no more lets the rest wait where it is.
            received = -1
            while received != server.stats.bytes_received:
                received = server.stats.bytes_received
                async with runtime.giving_up_after(0.05):
                    await runtime.event().wait()
            assert received < 16 * MIB
            assert await server.recv() == "next"

        await runtime.together(send, receive)


@scenario
async def who_receives_in_parts_and_is_left_behind_is_told(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await client.send("one")
        await client.send("two")
        parts = server.recv_streaming()
        assert await anext(parts) == "one"
        assert await server.recv() == "two"
        await client.send("three")
        assert [part async for part in parts] == []
        assert await server.recv() == "three"


@scenario
async def who_is_left_behind_in_the_middle_of_a_message_is_refused_more(runtime: Runtime) -> None:
    begun, left = runtime.event(), runtime.event()

    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        begun.set()
        await left.wait()

    async with both_ends(runtime) as (client, server):

        async def send() -> None:
            await client.send(source())
            await client.send("next")

        async def receive() -> None:
            parts = server.recv_streaming()
            await begun.wait()
            assert await anext(parts) == "a"
            async with runtime.giving_up_after(0.01):
                await server.recv()
            with pytest.raises(ConcurrencyError):
                await anext(parts)
            left.set()
            assert await server.recv() == "next"

        await runtime.together(send, receive)


@scenario
async def a_large_message_is_received_in_many_parts(runtime: Runtime) -> None:
    begun = runtime.event()
    options: dict[str, Any] = {"max_message_size": 17 * MIB, "max_queue_bytes": MIB}
    async with both_ends(runtime, **options) as (client, server):

        async def source() -> AsyncIterator[bytes]:
            yield b"x"
            yield b"x"
            # Who came late would find all of it at once.
            await begun.wait()
            yield b"x" * 16 * MIB

        async def send() -> None:
            await client.send(source())

        async def receive() -> None:
            sizes = []
            async for part in server.recv_streaming():
                begun.set()
                sizes.append(len(part))
            assert len(sizes) > 4
            assert sum(sizes) == 16 * MIB + 2

        await runtime.together(receive, send)


@scenario
async def a_second_stream_of_parts_does_not_harm_the_first(runtime: Runtime) -> None:
    begun, refused = runtime.event(), runtime.event()

    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        await refused.wait()

    async with both_ends(runtime) as (client, server):

        async def send() -> None:
            await client.send(source())

        async def first() -> None:
            received = ""
            async for part in server.recv_streaming():
                received += str(part)
                begun.set()
            assert received == "ab"

        async def second() -> None:
            await begun.wait()
            # By then the first waits again, also where it has to get there in another thread.
            await server.ping()
            with pytest.raises(ConcurrencyError):
                await parts_of(server)
            refused.set()

        await runtime.together(send, first, second)


# ------------------------------------------------------------------------- pings and pongs


@scenario
async def a_ping_is_answered_while_the_peers_application_is_busy(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        assert client.latency is None
        assert 0 <= await client.ping() < 5
        assert client.latency is not None
        assert 0 <= await server.ping(b"payload") < 5


@scenario
async def a_ping_is_answered_though_the_peers_queue_is_full(runtime: Runtime) -> None:
    async with both_ends(runtime, max_queue=2) as (client, server):
        for i in range(10):
            await client.send(str(i))
        assert await client.ping() >= 0
        assert [await server.recv() for _ in range(10)] == [str(i) for i in range(10)]


@scenario
async def a_ping_that_cannot_be_sent_raises(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, _):
        with pytest.raises(ValueError):
            await client.ping(b"x" * 126)
        with pytest.raises(ValueError):
            await client.pong(b"x" * 126)
        assert await client.ping(b"x" * 125) >= 0


@scenario
async def a_pong_nobody_asked_for_is_sent_and_ignored(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await client.pong(b"heartbeat")
        await client.send("next")
        assert await server.recv() == "next"
        assert server.stats.frames_received == 2


@scenario
async def everything_raises_after_the_end(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, _):
        await client.close()
        for verb in (client.recv, client.ping, client.pong):
            with pytest.raises(ConnectionClosed):
                await verb()
        for message in ("whole", ["in parts"]):
            with pytest.raises(ConnectionClosed):
                await client.send(message)
        with pytest.raises(ConnectionClosed):
            await parts_of(client)


# -------------------------------------------------------------------------------- overflow


@scenario
async def a_full_send_buffer_is_reported_with_overflow_raise(runtime: Runtime) -> None:
    async with both_ends(runtime, overflow="raise", max_queue=1) as (client, server):

        async def fill() -> None:
            for _ in range(10_000):
                await client.send(b"x" * 65536)

        with pytest.raises(SendBufferFull):
            await fill()
        server.abort()


@scenario
async def dropped_messages_are_told_and_counted(runtime: Runtime) -> None:
    async with both_ends(runtime, overflow="drop_newest", max_queue=1) as (client, server):
        sent = 0
        while await client.send(b"x" * 65536):
            sent += 1
            assert sent < 10_000
        assert client.stats.messages_dropped == 1
        server.abort()


# --------------------------------------------------------------------------------- closing


@scenario
async def both_sides_learn_who_closed_and_why(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await client.close(4000, "because")
        ours, theirs = await client.wait_closed(), await server.wait_closed()
        assert (ours.code, ours.reason, ours.by) == (4000, "because", CloseBy.LOCAL)
        assert (theirs.code, theirs.reason, theirs.by) == (4000, "because", CloseBy.PEER)
        assert ours.clean
        assert theirs.clean
        assert theirs.close_received == CloseFrame(4000, "because")


@scenario
async def both_sides_may_close_at_once(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await runtime.together(client.close, server.close, client.close)
        assert (await client.wait_closed()).clean
        assert (await server.wait_closed()).clean


@scenario
async def closing_again_is_harmless(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, _):
        await client.close(4001)
        await client.close(4002)
        client.abort()
        assert (await client.wait_closed()).code == 4001


@scenario
async def a_code_that_must_not_be_sent_closes_nothing(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for code in (999, 1004, 1005, 1006, 1015, 2999, 5000):
            with pytest.raises(ValueError):
                await client.close(code)
        await client.send("still open")
        assert await server.recv() == "still open"


@scenario
async def what_was_sent_before_closing_arrives(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def send_and_close() -> None:
            for _ in range(3):
                await client.send(b"x" * MIB)
            await client.close()

        async def receive() -> None:
            assert [len(message) async for message in server] == [MIB] * 3

        await runtime.together(send_and_close, receive)


@scenario
async def messages_can_be_received_after_the_peer_closed(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for i in range(5):
            await client.send(str(i))
        await client.close()
        await server.wait_closed()
        assert [message async for message in server] == ["0", "1", "2", "3", "4"]


@scenario
async def closing_wakes_whoever_waits(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):

        async def receive() -> None:
            assert (await receive_close(client)).by is CloseBy.LOCAL

        await runtime.together(receive, server.wait_closed, client.wait_closed, client.close)


@scenario
async def a_wait_for_the_end_that_is_given_up_changes_nothing(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        async with runtime.giving_up_after(0.01):
            await client.wait_closed()
        await client.send("still open")
        assert await server.recv() == "still open"


@scenario
async def an_abort_says_nothing(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        client.abort()
        assert (await client.wait_closed()).cause is Cause.ABORTED
        reason = await server.wait_closed()
        assert reason.by is CloseBy.TRANSPORT
        assert reason.close_received is None


@scenario
async def a_block_that_raises_closes_with_1011(runtime: Runtime) -> None:
    reasons: list[CloseReason] = []

    async def handler(websocket: Socket) -> None:
        reasons.append(await websocket.wait_closed())

    async with runtime.serve(handler) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        with pytest.raises(LookupError):
            async with runtime.connect(url):
                raise LookupError
        async with runtime.connect(url):
            pass
    assert [reason.code for reason in reasons] == [1011, 1000]


@scenario
async def a_message_over_the_limit_ends_the_connection(runtime: Runtime) -> None:
    async with both_ends(runtime, max_message_size=100) as (client, server):
        await client.send("x" * 100)
        await client.send("x" * 101)
        assert await server.recv() == "x" * 100
        reason = await receive_close(server)
        assert (reason.code, reason.cause) == (1009, Cause.TOO_BIG)
        assert (await receive_close(client)).code == 1009


# ------------------------------------------------------------------------------- handshake


@scenario
async def the_request_and_the_response_are_seen(runtime: Runtime) -> None:
    async def hook(request: Request) -> Accept:
        assert request.query == "room=1"
        assert request.headers.get("X-Token") == "secret"
        return Accept(headers={"Set-Cookie": "a=b"})

    async with (
        runtime.serve(echo, on_request=hook) as server,
        runtime.connect(
            f"ws://user:pass@127.0.0.1:{server.port}/chat?room=1",
            headers={"X-Token": "secret"},
            origin="https://example.com",
        ) as client,
    ):
        request, response = client.request, client.response
        assert request is not None
        assert response is not None
        assert request.origin == "https://example.com"
        assert request.headers["Authorization"] == "Basic dXNlcjpwYXNz"
        assert (response.status, response.headers["Set-Cookie"]) == (101, "a=b")


@scenario
async def the_servers_preferred_subprotocol_is_chosen(runtime: Runtime) -> None:
    async with runtime.serve(echo, subprotocols=["b", "a"]) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        for offered, chosen in ((["a", "b"], "b"), (["a"], "a"), (["c"], None), ([], None)):
            async with runtime.connect(url, subprotocols=offered) as client:
                assert client.subprotocol == chosen


@scenario
async def a_request_can_be_refused(runtime: Runtime) -> None:
    def hook(request: Request) -> Response:
        return Response(403, {"X-Why": "because"}, "go away")

    async with runtime.serve(echo, on_request=hook) as server:
        with pytest.raises(HandshakeRejected) as caught:
            async with runtime.connect(f"ws://127.0.0.1:{server.port}/"):
                pass
    response = caught.value.response
    assert (response.status, response.body) == (403, b"go away")
    assert response.headers["X-Why"] == "because"
    assert not isinstance(caught.value, HandshakeRefused)


@scenario
async def compression_is_used_by_both_sides_or_not_at_all(runtime: Runtime) -> None:
    for server_side, client_side in (
        ("deflate", "deflate"),
        (Deflate(threshold=0), Deflate(server_no_context_takeover=True)),
        (None, "deflate"),
        ("deflate", None),
    ):
        async with (
            runtime.serve(echo, compression=server_side) as server,
            runtime.connect(f"ws://127.0.0.1:{server.port}/", compression=client_side) as client,
        ):
            for _ in range(3):
                await client.send("x" * 5000)
                assert await client.recv() == "x" * 5000
            compressed = bool(server_side and client_side)
            assert (client.stats.payload_bytes_sent < 5000) == compressed
            assert (client.stats.payload_bytes_received < 5000) == compressed


# --------------------------------------------------------------------------------- servers


@scenario
async def a_handler_that_returns_closes_with_1000(runtime: Runtime) -> None:
    async def handler(websocket: Socket) -> None:
        await websocket.send("bye")

    async with (
        runtime.serve(handler) as server,
        runtime.connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        assert [message async for message in client] == ["bye"]
        assert (await client.wait_closed()).code == 1000


@scenario
async def a_server_that_closes_says_1001_to_everybody(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.connect(url) as one, runtime.connect(url) as two:
            await one.ping()
            await two.ping()
            await server.close()
            for client in (one, two):
                assert (await client.wait_closed()).code == 1001
            assert server.connections == set()


@scenario
async def what_a_handler_raises_is_its_own_connections_end(runtime: Runtime) -> None:
    async def handler(websocket: Socket) -> None:
        if await websocket.recv() == "fail":
            raise LookupError("on purpose")
        await echo(websocket)

    async with runtime.serve(handler) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.connect(url) as one, runtime.connect(url) as other:
            await other.send("go on")
            await one.send("fail")
            assert (await receive_close(one)).code == 1011
            await other.send("still here")
            assert await other.recv() == "still here"


@scenario
async def over_max_connections_the_answer_is_503(runtime: Runtime) -> None:
    async with runtime.serve(echo, max_connections=2) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.connect(url) as one:
            async with runtime.connect(url):
                with pytest.raises(HandshakeRejected) as caught:
                    async with runtime.connect(url):
                        pass
                assert caught.value.response.status == 503
            await until_connected(runtime, server, 1)
            async with runtime.connect(url) as third:
                for client in (one, third):
                    await client.send("served")
                    assert await client.recv() == "served"


async def until_connected(runtime: Runtime, server: Listener, count: int) -> None:
    """Wait until the server has so many connections."""
    while len(server.connections) != count:
        async with runtime.giving_up_after(0.001):
            await runtime.event().wait()


@scenario
async def a_server_that_drains_lets_handlers_finish(runtime: Runtime) -> None:
    told, finish = runtime.event(), runtime.event()
    notified: list[Any] = []

    async def handler(websocket: Socket) -> None:
        await finish.wait()
        await websocket.send("finished")

    async def on_drain(websocket: Socket) -> None:
        notified.append(websocket)
        await websocket.send("going away")
        told.set()

    async with runtime.serve(handler, on_drain=on_drain) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.connect(url) as client:
            await until_connected(runtime, server, 1)
            [connection] = server.connections

            async def close() -> None:
                await server.close(1012, "restart", drain=60)

            async def meanwhile() -> None:
                assert await client.recv() == "going away"
                await told.wait()
                assert notified == [connection]
                with pytest.raises(HandshakeRejected) as caught:
                    async with runtime.connect(url):
                        pass
                assert caught.value.response.status == 503
                finish.set()
                assert await client.recv() == "finished"
                reason = await receive_close(client)
                assert (reason.code, reason.reason) == (1012, "restart")

            await runtime.together(close, meanwhile)
        with pytest.raises(HandshakeInterrupted):
            async with runtime.connect(url):
                pass


@scenario
async def a_drain_ends_though_handlers_do_not(runtime: Runtime) -> None:
    async with (
        runtime.serve(echo) as server,
        runtime.connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.ping()
        await server.close(drain=0.05)
        assert (await receive_close(client)).code == 1001


@scenario
async def a_drain_that_cannot_be_changes_nothing(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:
        wrongs: list[dict[str, Any]] = [{"code": 1005}, {"drain": -1}]
        for wrong in wrongs:
            with pytest.raises(ValueError):
                await server.close(**wrong)
        async with runtime.connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("served")
            assert await client.recv() == "served"


@scenario
async def a_server_closes_under_load(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:
        url = f"ws://127.0.0.1:{server.port}/"

        def flood(busy: Event) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                async with runtime.connect(url) as client:

                    async def send() -> None:
                        assert (await send_until_closed(client, b"x" * 4 * KIB)).code == 1001

                    async def receive() -> None:
                        await client.recv()
                        busy.set()
                        assert (await receive_close(client)).code == 1001

                    await runtime.together(send, receive)

            return run

        async def close() -> None:
            for busy in all_busy:
                await busy.wait()
            await server.close()
            assert server.connections == set()

        all_busy = [runtime.event() for _ in range(3)]
        await runtime.together(close, *map(flood, all_busy))


@scenario
async def a_broadcast_reaches_everybody_who_is_open(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.connect(url) as one, runtime.connect(url) as two:
            await until_connected(runtime, server, 2)
            connections = [*server.connections]
            assert runtime.broadcast(server.connections, "hello") == []
            assert await one.recv() == "hello"
            assert await two.recv() == "hello"
            await one.close()
            await until_connected(runtime, server, 1)
            missed = runtime.broadcast(connections, Prepared(b"again"))
            assert missed == [each for each in connections if each not in server.connections]
            assert await two.recv() == b"again"
            with pytest.raises(TypeError):
                runtime.broadcast(connections, 5)


@scenario
async def a_broadcast_waits_for_nobody(runtime: Runtime) -> None:
    async with both_ends(runtime, max_queue=1, max_send_buffer=KIB) as (_, server):
        taken = 0
        while not runtime.broadcast([server], b"x" * 64 * KIB):
            taken += 1
            assert taken < 10_000
        assert server.state is State.OPEN
        server.abort()


# ------------------------------------------------------------------------ giving up waiting


def _given_up(verb: Callable[[Socket], Awaitable[object]], name: str) -> Scenario:
    async def run(runtime: Runtime) -> None:
        async with both_ends(runtime) as (client, server):
            for turns in range(8):
                assert await runtime.give_up_after_turns(lambda: verb(client), turns)
                await client.send("to the server")
                assert await server.recv() == "to the server"
                await server.send("to the client")
                assert await client.recv() == "to the client"
            assert client.state is State.OPEN

    run.__name__ = f"{name}_can_be_given_up_at_any_point"
    return run


async def _receive_parts(websocket: Socket) -> None:
    async for _ in websocket.recv_streaming():
        pass


async def _iterate(websocket: Socket) -> None:
    async for _ in websocket:
        pass


scenario(_given_up(lambda websocket: websocket.recv(), "recv"))
scenario(_given_up(_iterate, "iteration"))
scenario(_given_up(_receive_parts, "recv_streaming"))
scenario(_given_up(lambda websocket: websocket.wait_closed(), "wait_closed"))


@scenario
async def a_send_that_is_given_up_was_not_sent(runtime: Runtime) -> None:
    async with both_ends(runtime, max_queue=1, max_send_buffer=KIB) as (client, server):
        sent = 0

        async def send() -> None:
            nonlocal sent
            await client.send(sent.to_bytes(4, "big") * 16 * KIB)
            sent += 1

        async with runtime.giving_up_after(0.2):
            while True:
                await send()
        for turns in range(8):
            await runtime.give_up_after_turns(send, turns)
        assert client.state is State.OPEN

        async def finish() -> None:
            await client.send("end")

        async def receive() -> None:
            for number in range(sent):
                assert await server.recv() == number.to_bytes(4, "big") * 16 * KIB
            assert await server.recv() == "end"

        await runtime.together(finish, receive)


@scenario
async def a_ping_that_is_given_up_leaves_the_connection_as_it_is(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for turns in range(8):
            await runtime.give_up_after_turns(lambda: client.ping(b"same"), turns)
        assert await client.ping(b"same") >= 0
        await client.send("usable")
        assert await server.recv() == "usable"


@scenario
async def a_close_that_is_given_up_goes_on_by_itself(runtime: Runtime) -> None:
    for turns in range(6):
        async with both_ends(runtime) as (client, server):
            given_up = await runtime.give_up_after_turns(lambda: client.close(4000), turns)
            if turns or not given_up:
                assert (await client.wait_closed()).code == 4000
                assert (await server.wait_closed()).code == 4000


@scenario
async def a_connect_that_is_given_up_leaves_nothing(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:
        url = f"ws://127.0.0.1:{server.port}/"

        async def connect() -> None:
            async with runtime.connect(url) as client:
                await client.recv()

        for turns in range(25):
            assert await runtime.give_up_after_turns(connect, turns)
        async with runtime.connect(url) as client:
            await client.send("served")
            assert await client.recv() == "served"
            await until_connected(runtime, server, 1)


def _half_frames(turns: int) -> Scenario:
    async def run(runtime: Runtime) -> None:
        seen: list[tuple[list[Frame], bytes]] = []
        go_on = threading.Event()

        def read_slowly(sock: socket.socket) -> None:
            shake_as_server(sock)
            assert go_on.wait(10)
            seen.append(read_to_close(sock))

        async with (
            raw_server(runtime, read_slowly) as url,
            runtime.connect(url) as client,
        ):

            async def send() -> None:
                while True:
                    await client.send(b"m" * 8 * MIB)

            await runtime.give_up_after_turns(send, turns)
            alive = client.state is State.OPEN
            go_on.set()
            if alive:
                await client.send(b"after")
        frames, rest = seen[0]
        messages = messages_of(frames)
        assert {*messages} <= {b"m" * 8 * MIB, b"after"}
        if alive:
            assert not rest
            assert messages[-1] == b"after"
            assert frames[-1].head == CLOSE

    run.__name__ = f"a_large_send_given_up_after_{turns}_turns_leaves_no_half_frame"
    return run


for turns in (0, 1, 2, 3, 5, 20):
    scenario(_half_frames(turns))


@scenario
async def many_send_and_one_receives(runtime: Runtime) -> None:
    async with both_ends(runtime, max_send_buffer=KIB) as (client, server):
        received: list[str] = []

        def sender(name: int) -> Callable[[], Awaitable[None]]:
            async def send() -> None:
                for i in range(50):
                    await client.send(f"{name} {i:03} " + "x" * 500)

            return send

        async def receive() -> None:
            while len(received) < 500:
                received.append(str(await server.recv()))

        await runtime.together(receive, *map(sender, range(10)))
        for name in range(10):
            mine = [each for each in received if each.startswith(f"{name} ")]
            assert mine == sorted(mine)
            assert len(mine) == 50


# -------------------------------------------------------------------------- nobody hurries


@scenario
async def a_reply_leaves_at_once_though_the_handler_waits_long(runtime: Runtime) -> None:
    forever = runtime.event()

    async def handler(websocket: Socket) -> None:
        for _ in range(3):
            await websocket.send(f"re: {await websocket.recv()!s}")
        await websocket.send("and")
        await forever.wait()

    async with (
        runtime.serve(handler, close_timeout=1) as server,
        runtime.connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        for _ in range(3):
            await client.send("question")
        async with runtime.giving_up_after(5):
            assert [await client.recv() for _ in range(4)] == ["re: question"] * 3 + ["and"]
        assert client.stats.messages_received == 4
        forever.set()


@scenario
async def a_ping_is_answered_within_100_ms_though_nobody_receives(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        for end in (client, server):
            # The best of a few: what the machine does meanwhile is not the adapter's.
            assert min([await end.ping() for _ in range(5)]) < 0.1


@scenario
async def a_close_is_seen_though_the_queue_is_full(runtime: Runtime) -> None:
    async with both_ends(runtime, max_queue=2) as (client, server):
        for i in range(8):
            await server.send(str(i))
        await server.close(4000, "enough")
        reason = await client.wait_closed()
        assert (reason.code, reason.reason) == (4000, "enough")
        assert [await client.recv() for _ in range(8)] == [str(i) for i in range(8)]
        assert (await receive_close(client)).code == 4000


@scenario
async def a_close_is_answered_though_nobody_receives(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        await server.send("unread")
        await server.close()
        assert (await server.wait_closed()).clean
        assert await client.recv() == "unread"


@scenario
async def a_close_ends_whoever_is_sending(runtime: Runtime) -> None:
    async with both_ends(runtime, max_queue=1, max_send_buffer=KIB, close_timeout=0.2) as (
        client,
        server,
    ):

        async def send() -> None:
            assert (await send_until_closed(client, b"x" * 64 * KIB)).by is CloseBy.LOCAL

        async def close() -> None:
            async with runtime.giving_up_after(0.1):
                await client.wait_closed()
            await client.close()

        await runtime.together(send, close)
        assert client.state is State.CLOSED
        server.abort()


@scenario
async def a_ping_while_closing_is_refused(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, _):

        async def ping() -> None:
            while client.state is State.OPEN:
                async with runtime.giving_up_after(0.001):
                    await runtime.event().wait()
            with pytest.raises(ConnectionClosed):
                await client.ping()

        await runtime.together(client.close, ping)


# ------------------------------------------------------------------- peers that misbehave


def _stay_silent(sock: socket.socket) -> None:
    read_to_end(sock)


@scenario
async def a_peer_that_does_not_answer_a_close_is_cut_off(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        read_to_end(sock)

    async with (
        raw_server(runtime, peer) as url,
        runtime.connect(url, close_timeout=0.1) as client,
    ):
        await client.close(4000)
        reason = await client.wait_closed()
        assert reason.code == 4000
        assert reason.close_received is None
        assert client.state is State.CLOSED


@scenario
async def a_peer_that_vanished_is_noticed(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        read_to_end(sock)

    async with (
        raw_server(runtime, peer) as url,
        runtime.connect(url, ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1) as client,
    ):
        reason = await receive_close(client)
        assert (reason.code, reason.cause) == (1011, Cause.PING_TIMEOUT)


@scenario
async def a_stuck_writer_ends_the_connection(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        ended.wait(10)

    ended = threading.Event()
    async with (
        raw_server(runtime, peer) as url,
        runtime.connect(url, send_timeout=0.1) as client,
    ):
        reason = await send_until_closed(client, b"x" * 64 * KIB)
        ended.set()
        assert reason.cause is Cause.SEND_TIMEOUT


@scenario
async def the_send_buffer_is_bounded_against_a_reader_that_stopped(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        ended.wait(10)

    ended = threading.Event()
    async with raw_server(runtime, peer) as url:
        async with runtime.connect(url, max_send_buffer=100 * KIB) as client:
            async with runtime.giving_up_after(0.3):
                while True:
                    await client.send(b"x" * 50 * KIB)
            assert client.state is State.OPEN
            assert client.stats.send_buffer_high_water <= 151 * KIB
            client.abort()
        ended.set()


@scenario
async def a_reset_is_an_end_with_its_error(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        reset(sock)

    async with raw_server(runtime, peer) as url, runtime.connect(url) as client:
        reason = await receive_close(client)
        assert (reason.code, reason.by) == (1006, CloseBy.TRANSPORT)
        assert isinstance(reason.error, OSError)


@scenario
async def an_end_without_a_close_frame_is_one_of_the_transport(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        sock.sendall(frame(FIN | TEXT, b"last", masked=False))

    async with raw_server(runtime, peer) as url, runtime.connect(url) as client:
        assert await client.recv() == "last"
        reason = await receive_close(client)
        assert (reason.code, reason.cause) == (1006, Cause.EOF)


@scenario
async def a_violation_is_answered_behind_what_came_before_it(runtime: Runtime) -> None:
    seen: list[bytes] = []

    def peer(sock: socket.socket) -> None:
        shake_as_client(sock)
        good = frame(FIN | TEXT, b"good", masked=True)
        sock.sendall(good + frame(RESERVED, b"bad", masked=True))
        seen.append(read_to_end(sock))

    async with (
        runtime.serve(echo) as server,
        raw_client(runtime, server.port, peer),
    ):
        pass
    frames, rest = frames_of(seen[0])
    assert [each.head for each in frames] == [FIN | TEXT, CLOSE]
    assert frames[0].payload == b"good"
    assert frames[1].payload[:2] == (1002).to_bytes(2, "big")
    assert not rest


def _answered_in_a_row(then: str) -> Scenario:
    async def run(runtime: Runtime) -> None:
        def peer(sock: socket.socket) -> None:
            shake_as_server(sock)
            question = frame(FIN | TEXT, b"question", masked=False)
            sock.sendall(question + frame(RESERVED, b"bad", masked=False))
            seen.append(read_to_end(sock))

        seen: list[bytes] = []
        async with raw_server(runtime, peer) as url, runtime.connect(url) as client:
            assert await client.recv() == "question"
            # Each follows the last in a row, and the violation may be known already.
            for answer in ("one", "two", "three"):
                await client.send(answer)
            if then == "received":
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            elif then == "received_in_parts":
                with pytest.raises(ConnectionClosed):
                    await parts_of(client)
            else:
                await client.close()
        frames, _ = frames_of(seen[0])
        assert [each.payload for each in frames if each.head == FIN | TEXT] == [
            b"one",
            b"two",
            b"three",
        ]

    run.__name__ = f"answers_in_a_row_go_out_before_a_violation_whatever_is_{then}"
    return run


for _then in ("received", "received_in_parts", "closed"):
    scenario(_answered_in_a_row(_then))


@scenario
async def a_reset_that_is_met_by_a_send_is_told(runtime: Runtime) -> None:
    gone = threading.Event()

    def peer(sock: socket.socket) -> None:
        shake_as_server(sock)
        go_on.wait(10)
        reset(sock)
        gone.set()

    go_on = threading.Event()
    async with raw_server(runtime, peer) as url, runtime.connect(url) as client:
        go_on.set()
        # No turn is given: so it is the send that meets it, where reading takes one.
        gone.wait(10)
        with suppress(ConnectionClosed):
            await client.send("too late")
        reason = await client.wait_closed()
        assert reason.cause is Cause.TRANSPORT_ERROR
        assert isinstance(reason.error, ConnectionResetError)


@scenario
async def last_words_are_received_though_a_send_meets_the_reset_behind_them(
    runtime: Runtime,
) -> None:
    words = [letter * 1000 for letter in "abcde"]
    goodbye = frame(CLOSE, (4000).to_bytes(2, "big") + b"bye", masked=False)

    def peer(sock: socket.socket) -> None:
        # Else what it says could wait until what it said before is acknowledged.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_as_server(sock)
        go_on.wait(10)
        said = [frame(FIN | TEXT, word.encode(), masked=False) for word in words]
        sock.sendall(b"".join(said) + goodbye)
        reset(sock)
        gone.set()

    go_on, gone = threading.Event(), threading.Event()
    # So that one read does not bring all of it.
    async with raw_server(runtime, peer) as url, runtime.connect(url, read_size=1024) as client:
        go_on.set()
        # No turn is given: so it is the send that meets it, where reading takes one.
        gone.wait(10)
        with suppress(ConnectionClosed):
            await client.send("too late")
        assert [await client.recv() for _ in words] == words
        reason = await receive_close(client)
        assert (reason.cause, reason.code, reason.reason) == (Cause.PEER_CLOSED, 4000, "bye")
        assert await client.wait_closed() == reason


def _half_open(said: bytes, name: str) -> Scenario:
    async def run(runtime: Runtime) -> None:
        def peer(sock: socket.socket) -> None:
            sock.sendall(said)
            seen.append(read_to_end(sock))

        seen: list[bytes] = []
        async with runtime.serve(echo, open_timeout=0.1, close_timeout=0.1) as server:
            async with raw_client(runtime, server.port, peer):
                pass
            assert len(seen) == 1
            async with runtime.connect(f"ws://127.0.0.1:{server.port}/") as client:
                await client.send("served")
                assert await client.recv() == "served"

    run.__name__ = f"a_client_that_says_{name}_is_cut_off_at_open_timeout"
    return run


scenario(_half_open(b"", "nothing"))
scenario(_half_open(b"GET / HTTP/1.1\r\nHost: a\r\n", "half_a_request"))


@scenario
async def a_server_that_says_nothing_is_given_up_at_open_timeout(runtime: Runtime) -> None:
    async with raw_server(runtime, _stay_silent) as url:
        with pytest.raises(OpenTimeout):
            async with runtime.connect(url, open_timeout=0.1):
                pass


@scenario
async def a_refused_connect_says_so(runtime: Runtime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(HandshakeInterrupted) as caught:
        async with runtime.connect(f"ws://127.0.0.1:{port}/"):
            pass
    assert isinstance(caught.value.__cause__, OSError)


@scenario
async def a_connect_that_is_reset_says_so(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(10)
        reset(sock)

    async with raw_server(runtime, peer) as url:
        with pytest.raises(HandshakeInterrupted):
            async with runtime.connect(url):
                pass


@scenario
async def a_name_that_is_none_says_so(runtime: Runtime) -> None:
    with pytest.raises(HandshakeError):
        async with runtime.connect("ws://does-not-exist.invalid/", open_timeout=5):
            pass


@scenario
async def what_answers_something_else_says_so(runtime: Runtime) -> None:
    def peer(sock: socket.socket) -> None:
        sock.recv(10_000)
        sock.sendall(b"SSH-2.0-OpenSSH\r\n")
        read_to_end(sock)

    async with raw_server(runtime, peer) as url:
        with pytest.raises(BadHandshake):
            async with runtime.connect(url):
                pass


# --------------------------------------------------------------------------- other streams


@scenario
async def messages_of_any_size_pass_over_tls(runtime: Runtime) -> None:
    async with (
        runtime.serve(echo, ssl=certificates.server_tls()) as server,
        runtime.connect(
            f"wss://localhost:{server.port}/", ssl=certificates.client_tls()
        ) as client,
    ):
        for size in (0, 1, 70_000, MIB):
            await client.send(b"x" * size)
            assert await client.recv() == b"x" * size
        await client.close(4000, "bye")
        assert (await client.wait_closed()).clean


@scenario
async def floods_in_both_directions_pass_over_tls(runtime: Runtime) -> None:
    async def handler(websocket: Socket) -> None:
        async def send() -> None:
            for _ in range(8):
                await websocket.send(b"s" * MIB)

        async def receive() -> None:
            for _ in range(8):
                assert await websocket.recv() == b"c" * MIB

        await runtime.together(send, receive)
        await websocket.wait_closed()

    async with (
        runtime.serve(handler, ssl=certificates.server_tls()) as server,
        runtime.connect(
            f"wss://localhost:{server.port}/", ssl=certificates.client_tls()
        ) as client,
    ):

        async def send() -> None:
            for _ in range(8):
                await client.send(b"c" * MIB)

        async def receive() -> None:
            for _ in range(8):
                assert await client.recv() == b"s" * MIB

        await runtime.together(send, receive)


@scenario
async def a_certificate_that_nobody_trusts_is_refused(runtime: Runtime) -> None:
    async with runtime.serve(echo, ssl=certificates.server_tls()) as server:
        with pytest.raises(HandshakeInterrupted) as caught:
            async with runtime.connect(
                f"wss://localhost:{server.port}/", ssl=certificates.distrusting_client_tls()
            ):
                pass
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


@scenario
async def a_certificate_for_another_name_is_refused(runtime: Runtime) -> None:
    async with runtime.serve(echo, ssl=certificates.server_tls()) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        with pytest.raises(HandshakeInterrupted) as caught:
            async with runtime.connect(url, ssl=certificates.client_tls()):
                pass
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        async with runtime.connect(
            url, ssl=certificates.client_tls(), server_hostname="localhost"
        ) as client:
            assert await client.ping() >= 0


@scenario
async def a_server_may_want_the_clients_certificate(runtime: Runtime) -> None:
    async with runtime.serve(echo, ssl=certificates.strict_server_tls()) as server:
        url = f"wss://localhost:{server.port}/"
        async with runtime.connect(url, ssl=certificates.known_client_tls()) as client:
            assert await client.ping() >= 0
        # In TLS 1.3 the client has finished before the server looks.
        with pytest.raises(HandshakeInterrupted):
            async with runtime.connect(url, ssl=certificates.client_tls()):
                pass


@scenario
async def plain_text_on_a_tls_port_harms_nobody(runtime: Runtime) -> None:
    async with runtime.serve(echo, ssl=certificates.server_tls()) as server:
        with pytest.raises(HandshakeError):
            async with runtime.connect(f"ws://localhost:{server.port}/"):
                pass
        async with runtime.connect(
            f"wss://localhost:{server.port}/", ssl=certificates.client_tls()
        ) as client:
            assert await client.ping() >= 0


@scenario
async def a_tls_handshake_that_does_not_end_is_given_up(runtime: Runtime) -> None:
    async with raw_server(runtime, _stay_silent) as url:
        with pytest.raises(OpenTimeout):
            async with runtime.connect(
                url.replace("ws:", "wss:"), ssl=certificates.client_tls(), open_timeout=0.1
            ):
                pass


@scenario
async def a_unix_socket_is_a_stream_like_any(runtime: Runtime) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/socket"
        async with (
            runtime.serve(echo, unix_path=path),
            runtime.connect("ws://localhost/", unix_path=path) as client,
        ):
            await client.send(b"x" * MIB)
            assert await client.recv() == b"x" * MIB


@scenario
async def ipv6_is_a_family_like_any(runtime: Runtime) -> None:
    async with (
        runtime.serve(echo, host="::1", port=0) as server,
        runtime.connect(f"ws://[::1]:{server.port}/") as client,
    ):
        await client.send("hello")
        assert await client.recv() == "hello"
        assert client.remote_address[:2] == ("::1", server.port)


@scenario
async def each_side_knows_both_addresses(runtime: Runtime) -> None:
    async with both_ends(runtime) as (client, server):
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.local_address[0] == "127.0.0.1"
        assert str(client.remote_address) in repr(client)


@scenario
async def a_connected_socket_can_be_either_side(runtime: Runtime) -> None:
    ours, theirs = socket.socketpair()

    async def serve() -> None:
        async with runtime.accept(theirs, subprotocols=["chat"]) as server:
            await echo(server)

    async def connect() -> None:
        async with runtime.connect(
            "ws://example.com/path", sock=ours, subprotocols=["chat"]
        ) as client:
            assert client.subprotocol == "chat"
            await client.send(b"x" * MIB)
            assert await client.recv() == b"x" * MIB

    await runtime.together(serve, connect)


@scenario
async def a_connected_socket_may_be_refused(runtime: Runtime) -> None:
    ours, theirs = socket.socketpair()

    async def serve() -> None:
        with pytest.raises(HandshakeRefused):
            async with runtime.accept(theirs, on_request=lambda _: Response(403)):
                pass

    async def connect() -> None:
        with pytest.raises(HandshakeRejected):
            async with runtime.connect("ws://example.com/path", sock=ours):
                pass

    await runtime.together(serve, connect)


# ------------------------------------------------------------- redirections and proxies


@scenario
async def a_redirection_is_followed_with_what_belongs_to_its_origin(runtime: Runtime) -> None:
    seen: list[tuple[str, str | None]] = []

    def elsewhere(request: Request) -> None:
        seen.append((request.target, request.headers.get("Authorization")))

    def hook(request: Request) -> Response | None:
        seen.append((request.target, request.headers.get("Authorization")))
        match request.path:
            case "/first":
                return Response(302, {"Location": "/second"})
            case "/second":
                return Response(307, {"Location": f"http://127.0.0.1:{other.port}/third"})
        return None

    async with (
        runtime.serve(echo, on_request=hook) as server,
        runtime.serve(echo, on_request=elsewhere) as other,
    ):
        url = f"ws://127.0.0.1:{server.port}/first"
        async with runtime.connect(url, headers={"Authorization": "secret"}) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert client.remote_address[1] == other.port
        assert seen == [("/first", "secret"), ("/second", "secret"), ("/third", None)]
        with pytest.raises(HandshakeRejected) as caught:
            async with runtime.connect(url, max_redirects=0):
                pass
        assert caught.value.response.status == 302
        with pytest.raises(RedirectRefused):
            async with runtime.connect(url, max_redirects=1):
                pass


@scenario
async def a_redirection_without_end_ends_and_leads_not_down_from_tls(runtime: Runtime) -> None:
    def hook(request: Request) -> Response:
        down = f"ws://localhost:{server.port}/"
        return Response(301, {"Location": down if request.path == "/down" else "/"})

    async with runtime.serve(echo, on_request=hook, ssl=certificates.server_tls()) as server:
        for path in ("/", "/down"):
            with pytest.raises(RedirectRefused):
                async with runtime.connect(
                    f"wss://localhost:{server.port}{path}", ssl=certificates.client_tls()
                ):
                    pass


@scenario
async def redirections_are_within_open_timeout(runtime: Runtime) -> None:
    forever = runtime.event()

    async def hook(request: Request) -> Response:
        async with runtime.giving_up_after(0.15):
            await forever.wait()
        return Response(302, {"Location": "/"})

    async with runtime.serve(echo, on_request=hook) as server:
        with pytest.raises(OpenTimeout):
            async with runtime.connect(f"ws://127.0.0.1:{server.port}/", open_timeout=0.2):
                pass


@scenario
async def a_connection_goes_through_an_http_proxy(runtime: Runtime) -> None:
    heads: list[bytes] = []
    async with runtime.serve(echo, ssl=certificates.server_tls()) as server:

        def proxy(sock: socket.socket) -> None:
            heads.append(read_head(sock))
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay(sock, server.port)

        async with (
            raw_server(runtime, proxy) as url,
            runtime.connect(
                "wss://server.invalid/",
                proxy=url.replace("ws://", "http://user:pass@"),
                ssl=certificates.client_tls(),
                server_hostname="localhost",
            ) as client,
        ):
            await client.send(b"x" * MIB)
            assert await client.recv() == b"x" * MIB
    assert heads[0].startswith(b"CONNECT server.invalid:443 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in heads[0]


@scenario
async def a_connection_goes_through_the_proxy_of_the_environment(runtime: Runtime) -> None:
    async with runtime.serve(echo) as server:

        def proxy(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            relay(sock, server.port)

        async with raw_server(runtime, proxy) as url:
            environment = {"http_proxy": url.replace("ws:", "http:"), "no_proxy": "other.invalid"}
            with mock.patch.dict(os.environ, environment):
                async with runtime.connect("ws://server.invalid/") as client:
                    await client.send("hello")
                    assert await client.recv() == "hello"


@scenario
async def a_proxy_that_refuses_says_why(runtime: Runtime) -> None:
    def proxy(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Basic\r\n\r\n")
        read_to_end(sock)

    async with raw_server(runtime, proxy) as url:
        with pytest.raises(ProxyError) as caught:
            async with runtime.connect("ws://server.invalid/", proxy=url.replace("ws:", "http:")):
                pass
    assert caught.value.response is not None
    assert caught.value.response.status == 407


@scenario
async def a_proxy_that_hangs_up_or_stays_silent_is_noticed(runtime: Runtime) -> None:
    def hang_up(sock: socket.socket) -> None:
        read_head(sock)

    for script, error in ((hang_up, HandshakeInterrupted), (_stay_silent, OpenTimeout)):
        async with raw_server(runtime, script) as url:
            with pytest.raises(error):
                async with runtime.connect(
                    "ws://server.invalid/", proxy=url.replace("ws:", "http:"), open_timeout=0.2
                ):
                    pass


@scenario
async def a_connection_goes_through_a_socks_proxy(runtime: Runtime) -> None:
    asked: list[bytes] = []
    async with runtime.serve(echo) as server:

        def proxy(sock: socket.socket) -> None:
            """RFC 1928: no authentication, a connection by name."""
            assert sock.recv(262)[0] == 5
            sock.sendall(b"\5\0")
            asked.append(sock.recv(262))
            sock.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            relay(sock, server.port)

        async with (
            raw_server(runtime, proxy) as url,
            runtime.connect(
                "ws://server.invalid:99/", proxy=url.replace("ws:", "socks5h:")
            ) as client,
        ):
            await client.send("hello")
            assert await client.recv() == "hello"
    assert asked == [b"\5\1\0\3\x0eserver.invalid\0\x63"]


@scenario
async def a_socks_proxy_that_refuses_says_why(runtime: Runtime) -> None:
    def proxy(sock: socket.socket) -> None:
        sock.recv(262)
        sock.sendall(b"\5\xff")
        read_to_end(sock)

    async with raw_server(runtime, proxy) as url:
        with pytest.raises(ProxyError):
            async with runtime.connect(
                "ws://server.invalid/", proxy=url.replace("ws:", "socks5:")
            ):
                pass


# --------------------------------------------------------------------- staying connected


@scenario
async def whoever_stays_connected_connects_again_after_each_end(runtime: Runtime) -> None:
    requests = 0

    def hook(request: Request) -> Response | None:
        nonlocal requests
        requests += 1
        return Response(503) if requests in (1, 3) else None

    async def handler(websocket: Socket) -> None:
        await websocket.send(str(requests))
        if requests == 2:
            await websocket.close(1012)
        await websocket.wait_closed()

    messages: list[Message] = []
    async with runtime.serve(handler, on_request=hook) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.reconnect(url, backoff=Backoff(first=0.01)) as connections:
            async for websocket in connections:
                messages.append(await websocket.recv())
                if len(messages) == 3:
                    await websocket.close()
                    break
    assert messages == ["2", "4", "5"]


@scenario
async def whoever_stays_connected_gives_up_what_cannot_be_mended(runtime: Runtime) -> None:
    async with runtime.serve(echo, on_request=lambda _: Response(403)) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with runtime.reconnect(url) as connections:
            with pytest.raises(HandshakeRejected):
                await anext(connections)
        with pytest.raises(InvalidURL):
            async with runtime.reconnect("http://localhost/"):
                pass
