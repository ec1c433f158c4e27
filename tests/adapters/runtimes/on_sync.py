"""The only place that runs scenarios on ws_sync, and fails if they leave anything behind.

A scenario runs on an event loop, as everywhere; each verb that it calls blocks a thread. To give
up is to pass ``timeout=``.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar, cast

import pytest
from tests.adapters.scenarios import Handler, Runtime, Scenario
from tests.leaks import AFTERMATH, PATIENCE, open_sockets

import ws_sync
from wscore import ConnectionClosed, Message, WebSocketTimeout

T = TypeVar("T")

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When to give up, by the monotonic clock."""

_END = object()


def _timeout() -> float | None:
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class Socket:
    """A WebSocket whose verbs block threads, for an event loop."""

    def __init__(self, websocket: ws_sync.WebSocket, runtime: Sync) -> None:
        self._websocket = websocket
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    def __repr__(self) -> str:
        return repr(self._websocket)

    async def _call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        return await self._runtime.in_thread(lambda: function(*arguments, **options))

    async def send(self, message: Any, **options: Any) -> bool:
        if hasattr(message, "__aiter__"):
            message = self._runtime.in_turn(message)
        return await self._call(self._websocket.send, message, timeout=_timeout(), **options)

    async def recv(self) -> Message:
        return await self._call(self._websocket.recv, timeout=_timeout())

    async def __aiter__(self) -> AsyncIterator[Message]:
        messages = iter(self._websocket)
        while _deadline.get() is None:
            message: Any = await self._call(next, messages, _END)
            if message is _END:
                return
            yield message
        with suppress(ConnectionClosed):
            while True:
                yield await self.recv()

    async def recv_streaming(self) -> AsyncIterator[Message]:
        parts: Any = self._websocket.recv_streaming()
        while True:
            parts._timeout = _timeout()
            part: Any = await self._call(next, parts, _END)
            if part is _END:
                return
            yield part

    async def ping(self, payload: bytes | None = None) -> float:
        return await self._call(self._websocket.ping, payload, timeout=_timeout())

    async def pong(self, payload: bytes = b"") -> None:
        await self._call(self._websocket.pong, payload)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._call(self._websocket.close, code, reason)

    async def wait_closed(self) -> Any:
        return await self._call(self._websocket.wait_closed, timeout=_timeout())


class Listener:
    """A server, for an event loop."""

    def __init__(self, server: ws_sync.Server, runtime: Sync) -> None:
        self._server = server
        self._runtime = runtime

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def connections(self) -> set[Any]:
        return {self._runtime.socket_of(each) for each in [*self._server.connections]}

    async def close(self, code: int = 1001, reason: str = "", *, drain: float = 0) -> None:
        await self._runtime.in_thread(lambda: self._server.close(code, reason, drain=drain))


class Event:
    """An event that is given up like everything else."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(_timeout()):
                await self._event.wait()
        except TimeoutError:
            raise WebSocketTimeout from None


class Sync:
    """ws_sync, the event loop that runs, and threads for what blocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
        self._loop = loop
        self._threads = threads
        self._sockets: dict[ws_sync.WebSocket, Socket] = {}

    def socket_of(self, websocket: ws_sync.WebSocket) -> Socket:
        """One and the same for each WebSocket."""
        return self._sockets.setdefault(websocket, Socket(websocket, self))

    def on_loop(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Call a function of a scenario from a thread, which waits for it."""

        async def call(*arguments: Any) -> Any:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result

        return lambda *arguments: asyncio.run_coroutine_threadsafe(
            call(*arguments), self._loop
        ).result()

    def in_turn(self, source: AsyncIterator[Any]) -> Iterator[Any]:
        """What comes from a scenario's source, for a thread."""
        following = self.on_loop(lambda: anext(source, _END))
        while (part := following()) is not _END:
            yield part

    @asynccontextmanager
    async def serve(self, handler: Handler, **options: Any) -> AsyncIterator[Listener]:
        if not options.keys() & {"host", "unix_path"}:
            options |= {"host": "127.0.0.1", "port": 0}
        if hook := options.get("on_request"):
            options["on_request"] = self.on_loop(hook)
        if on_drain := options.get("on_drain"):
            options["on_drain"] = self.on_loop(lambda each: on_drain(self.socket_of(each)))
        handle = self.on_loop(lambda each: handler(self.socket_of(each)))
        server = await self.in_thread(lambda: ws_sync.serve(handle, **options))
        try:
            yield Listener(server, self)
        finally:
            await self.in_thread(server.close)

    @asynccontextmanager
    async def connect(self, url: str, **options: Any) -> AsyncIterator[Socket]:
        websocket = await self.in_thread(lambda: ws_sync.connect(url, **options))
        async with self._entered(websocket) as entered:
            yield entered

    @asynccontextmanager
    async def accept(self, sock: socket.socket, **options: Any) -> AsyncIterator[Socket]:
        websocket = await self.in_thread(lambda: ws_sync.accept(sock, **options))
        async with self._entered(websocket) as entered:
            yield entered

    @asynccontextmanager
    async def _entered(self, websocket: ws_sync.WebSocket) -> AsyncIterator[Socket]:
        websocket.__enter__()
        try:
            yield self.socket_of(websocket)
        except BaseException as error:
            raised = error
            await self.in_thread(lambda: websocket.__exit__(type(raised), raised, None))
            raise
        await self.in_thread(lambda: websocket.__exit__(None, None, None))

    @asynccontextmanager
    async def reconnect(self, url: str, **options: Any) -> AsyncIterator[AsyncIterator[Socket]]:
        connections = ws_sync.reconnect(url, **options)

        async def each() -> AsyncIterator[Socket]:
            while True:
                yield self.socket_of(await self.in_thread(lambda: next(connections)))

        yield each()

    def broadcast(self, connections: Iterable[Any], message: Any) -> list[Any]:
        missed = ws_sync.broadcast([each._websocket for each in connections], message)
        return [self.socket_of(each) for each in missed]

    def event(self) -> Event:
        return Event()

    @asynccontextmanager
    async def giving_up_after(self, seconds: float) -> AsyncIterator[None]:
        token = _deadline.set(time.monotonic() + seconds)
        try:
            with suppress(WebSocketTimeout):
                yield
        finally:
            _deadline.reset(token)

    async def give_up_after_turns(
        self, function: Callable[[], Awaitable[object]], turns: int
    ) -> bool:
        returned = False

        async def run() -> None:
            nonlocal returned
            await function()
            returned = True

        async with self.giving_up_after(turns / 1000):
            await asyncio.create_task(run())
        return not returned

    async def in_thread(self, function: Callable[[], T]) -> T:
        context = copy_context()
        return await self._loop.run_in_executor(self._threads, context.run, function)

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(_run(function))


async def _run(function: Callable[[], Awaitable[object]]) -> None:
    await function()


_running = 0
"""How many scenarios are: whose threads are whose can be told only when the last one ends."""


def run_scenario(scenario: Scenario) -> None:
    """Run a scenario to its end; fail if it leaves a thread, but for the helper, or a socket."""
    global _running
    before, sockets = _threads(), open_sockets()

    async def run() -> None:
        # A cast, since what a Socket passes on has no types.
        runtime = cast(Runtime, Sync(asyncio.get_running_loop(), threads))
        async with asyncio.timeout(PATIENCE):
            await scenario(runtime)

    _running += 1
    try:
        with ThreadPoolExecutor(64, "verb") as threads:
            asyncio.run(run())
    finally:
        _running -= 1
    patience = time.monotonic() + AFTERMATH
    # Nobody announces it.
    while (left := (_threads() - before, open_sockets() - sockets)) != (set(), set()):
        if _running or time.monotonic() > patience:
            break
        time.sleep(0.001)
    if not _running and left != (set(), set()):
        pytest.fail(f"left: {left}")
    # What is garbage warns now, while the test that made it is still to blame.
    gc.collect()


def _threads() -> set[threading.Thread]:
    """Those that this adapter and these tests start; other runtimes keep some of their own."""
    ours = [each for each in threading.enumerate() if each.name.startswith(("ws_sync", "verb"))]
    return {each for each in ours if each.name != "ws_sync helper"}
