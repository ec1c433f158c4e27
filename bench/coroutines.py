"""The only place for servers and clients in coroutines, and for the event loops they run on."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext, suppress
from itertools import cycle, islice
from typing import Any, ClassVar, NamedTuple, TypeAlias

import anyio
import trio

from bench.roles import PIECE, READY, Meter, Order, Taken, announce


class Peer(NamedTuple):
    """A connection: what sends bytes, what receives bytes, and the library's own object."""

    send: Callable[[bytes], Awaitable[object]]
    receive: Callable[[], Awaitable[Any]]
    connection: Any = None


Handler: TypeAlias = Callable[[Peer], Coroutine[Any, Any, None]]
Listening: TypeAlias = AbstractAsyncContextManager[int]
Connecting: TypeAlias = AbstractAsyncContextManager[Peer]
Step: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class InCoroutines(ABC):
    """A contender; its library is a subclass's, and so is its event loop.

    :ivar ended: what the library raises when the other side is gone.
    :ivar deflates: whether the library can compress.
    :ivar streams: whether it carries bytes: what is large comes back while the rest still leaves.
    """

    ended: ClassVar[tuple[type[BaseException], ...]] = ()
    deflates: ClassVar = True
    streams: ClassVar = False

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime
        self._audience: dict[int, Peer] = {}

    @abstractmethod
    def listen(self, handle: Handler, *, deflate: bool) -> Listening:
        """Serve on a free port of 127.0.0.1, until the block is left."""

    @abstractmethod
    def connect(self, port: int, *, deflate: bool) -> Connecting:
        """Connect to such a server."""

    async def broadcast(self, audience: Collection[Peer], message: bytes) -> None:
        """Send a message to all of them, in the best way that the library has."""
        for peer in [*audience]:
            await peer.send(message)

    @abstractmethod
    def run(self, step: Step) -> None:
        """Run an event loop."""

    @abstractmethod
    async def both(self, one: Step, other: Step) -> None:
        """Run two coroutines at a time."""

    @abstractmethod
    async def forever(self) -> None:
        """Wait until the process is ended."""

    # ----------------------------------------------------- a server

    def serve(self) -> None:
        """Listen, say where, and serve until the process is ended."""
        self.run(self._serve)

    async def _serve(self) -> None:
        handlers: dict[str, Handler] = {
            "echo": echo,
            "sink": sink,
            "source": source,
            "broadcast": self._gather,
        }
        if self.deflates:
            handlers["deflate"] = echo
        async with AsyncExitStack() as stack:
            ports = {}
            for mode, handler in handlers.items():
                listening = self.listen(self._to_the_end(handler), deflate=mode == "deflate")
                ports[mode] = await stack.enter_async_context(listening)
            announce(ports)
            await self.forever()

    def _to_the_end(self, handler: Handler) -> Handler:
        async def handle(peer: Peer) -> None:
            # No library need log that a client has gone.
            with suppress(OSError, EOFError, *self.ended):
                await handler(peer)

        return handle

    async def _gather(self, peer: Peer) -> None:
        self._audience[id(peer)] = peer
        try:
            while True:
                await self.broadcast(self._audience.values(), await peer.receive())
        finally:
            del self._audience[id(peer)]

    # ----------------------------------------------------- a client

    def carry_out(self, order: Order) -> Taken:
        """Do as a client what is asked for."""
        meter = Meter(order.server)
        messages = order.messages

        async def be_client() -> None:
            async with self.connect(order.port, deflate=order.deflate) as peer:
                for count, measured in order.plan:
                    with meter if measured else nullcontext():
                        await self._work(order.kind, peer, messages, count)

        self.run(be_client)
        return meter.taken

    async def _work(self, kind: str, peer: Peer, messages: Sequence[bytes], count: int) -> None:
        match kind:
            case "ping-pong" if self.streams and len(messages[0]) > PIECE:
                for _ in range(count):
                    await self._work("flood", peer, messages, 1)
            case "ping-pong":
                await ping_pong(peer, messages, count)
            case "flood":
                total = count * len(messages[0])
                await self.both(
                    lambda: send_all(peer, messages, count), lambda: receive_all(peer, total)
                )
            case "up":
                await peer.send(b"%d" % (count * len(messages[0])))
                await peer.receive()
                await send_all(peer, messages, count)
                await peer.receive()
            case "down":
                size = len(messages[0])
                await peer.send(b"%d %d" % (count, size))
                await receive_all(peer, count * size)
            case _:
                raise ValueError(f"no client knows how to do {kind!r}")


async def echo(peer: Peer) -> None:
    send, receive, _ = peer
    while True:
        await send(await receive())


async def sink(peer: Peer) -> None:
    while True:
        total = int(await peer.receive())
        await peer.send(READY)
        await receive_all(peer, total)
        await peer.send(READY)


async def source(peer: Peer) -> None:
    while True:
        count, size = map(int, bytes(await peer.receive()).split())
        await send_all(peer, [bytes(size)], count)


async def ping_pong(peer: Peer, messages: Sequence[bytes], count: int) -> None:
    send, receive, _ = peer
    for message in islice(cycle(messages), count):
        await send(message)
        left = len(message)
        while left > 0:
            left -= len(await receive())


async def send_all(peer: Peer, messages: Sequence[bytes], count: int) -> None:
    send = peer.send
    for message in islice(cycle(messages), count):
        await send(message)


async def receive_all(peer: Peer, total: int) -> None:
    receive = peer.receive
    while total > 0:
        total -= len(await receive())


class OnAsyncio(InCoroutines):
    """On asyncio's own event loop, or on uvloop's."""

    def run(self, step: Step) -> None:
        """Run an event loop."""
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(step())

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        if self.runtime == "uvloop":
            import uvloop

            return uvloop.new_event_loop()
        return asyncio.new_event_loop()

    async def both(self, one: Step, other: Step) -> None:
        """Run two coroutines at a time."""
        async with asyncio.TaskGroup() as group:
            group.create_task(one())
            group.create_task(other())

    async def forever(self) -> None:
        """Wait until the process is ended."""
        await asyncio.Event().wait()


class OnTrio(InCoroutines):
    """On trio."""

    def run(self, step: Step) -> None:
        """Run an event loop."""
        trio.run(step)

    async def both(self, one: Step, other: Step) -> None:
        """Run two coroutines at a time."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(other)

    async def forever(self) -> None:
        """Wait until the process is ended."""
        await trio.sleep_forever()


class OnAnyio(InCoroutines):
    """On anyio, and below it on what the runtime's name says: ``anyio+trio``."""

    def run(self, step: Step) -> None:
        """Run an event loop."""
        anyio.run(step, backend=self.runtime.removeprefix("anyio+"))

    async def both(self, one: Step, other: Step) -> None:
        """Run two coroutines at a time."""
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(other)

    async def forever(self) -> None:
        """Wait until the process is ended."""
        await anyio.sleep_forever()
