"""``make demo``: every client talks to every server over loopback, ours and one of others'.

A row for each pair of a client and a server, a column for each check. Every check has a server
and a connection of its own, so that a failure says nothing about its neighbours.
"""

from __future__ import annotations

import os
import queue
import reprlib
import shutil
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from itertools import product
from typing import Any, Final, NamedTuple, TextIO

import trustme
import websockets
from anyio.from_thread import BlockingPortal, start_blocking_portal

import ws_anyio
import ws_asyncio
import ws_sync
import ws_trio
import wscore

CHECK_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 60.0

OFFERED: Final = [websockets.Subprotocol("v3.demo"), websockets.Subprotocol("v2.demo")]
KNOWN: Final = [websockets.Subprotocol("v1.demo"), websockets.Subprotocol("v2.demo")]

Closed = queue.SimpleQueue[tuple[int | None, str | None]]
"""The close codes and reasons that reached a server."""


class Certificates:
    """A server's certificate for localhost, and a client that trusts it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self.server)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.client)


# ----------------------------------------------------- rows: each library on its runtime


class Client(NamedTuple):
    """A connected client, whatever it runs on, that blocks."""

    send: Callable[[str | bytes], object]
    recv: Callable[[], str | bytes]
    ping: Callable[[], float]
    close: Callable[[int, str], object]
    subprotocol: str | None


class Side:
    """One of our adapters; ``module`` has its connect and its serve."""

    def __init__(self, module: Any, portal: BlockingPortal | None) -> None:
        self.module = module
        self.portal = portal

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a verb from this thread, and block until it is done."""
        return self.portal.call(function, *arguments) if self.portal else function(*arguments)

    def enter(self, stack: ExitStack, manager: Any) -> Any:
        """Enter a context manager, of whichever kind it is."""
        if self.portal:
            manager = self.portal.wrap_async_context_manager(manager)
        return stack.enter_context(manager)

    @contextmanager
    def serve(self, closed: Closed, context: ssl.SSLContext | None) -> Iterator[int]:
        """Serve echoes; give the port."""

        def echo(websocket: ws_sync.WebSocket) -> None:
            with suppress(wscore.ConnectionClosed):
                for message in websocket:
                    websocket.send(message)
            closed.put(websocket.wait_closed().close_received or (None, None))

        async def echo_async(websocket: Any) -> None:
            with suppress(wscore.ConnectionClosed):
                async for message in websocket:
                    await websocket.send(message)
            closed.put((await websocket.wait_closed()).close_received or (None, None))

        handler = echo_async if self.portal else echo
        # A check that gets no answer ends by itself.
        policy = wscore.ConfigOptions(
            subprotocols=KNOWN, close_timeout=1, idle_timeout=CHECK_SECONDS
        )
        with ExitStack() as stack:
            serving = self.module.serve(handler, "127.0.0.1", 0, ssl=context, **policy)
            yield self.enter(stack, serving).port

    @contextmanager
    def connect(self, url: str, context: ssl.SSLContext | None) -> Iterator[Client]:
        """Connect to a server."""
        policy = wscore.ConfigOptions(
            subprotocols=OFFERED,
            open_timeout=CHECK_SECONDS,
            close_timeout=1,
            idle_timeout=CHECK_SECONDS,
        )
        with ExitStack() as stack:
            websocket = self.enter(stack, self.module.connect(url, ssl=context, **policy))
            yield Client(
                lambda message: self.call(websocket.send, message),
                lambda: self.call(websocket.recv),
                lambda: self.call(websocket.ping),
                lambda code, reason: self.call(websocket.close, code, reason),
                websocket.subprotocol,
            )


class Theirs(Side):
    """The library ``websockets``, on asyncio."""

    @contextmanager
    def serve(self, closed: Closed, context: ssl.SSLContext | None) -> Iterator[int]:
        """Serve echoes; give the port."""

        async def echo(websocket: websockets.ServerConnection) -> None:
            with suppress(websockets.ConnectionClosed):
                async for message in websocket:
                    await websocket.send(message)
            await websocket.wait_closed()
            closed.put((websocket.close_code, websocket.close_reason))

        @asynccontextmanager
        async def serving() -> AsyncIterator[websockets.Server]:
            async with websockets.serve(
                echo, "127.0.0.1", 0, ssl=context, subprotocols=KNOWN, close_timeout=1
            ) as server:
                yield server

        with ExitStack() as stack:
            server = self.enter(stack, serving())
            yield next(iter(server.sockets)).getsockname()[1]

    @contextmanager
    def connect(self, url: str, context: ssl.SSLContext | None) -> Iterator[Client]:
        """Connect to a server."""

        async def ping(websocket: websockets.ClientConnection) -> float:
            # It gives the round-trip time to those who wait once more.
            return await (await websocket.ping())

        with ExitStack() as stack:
            websocket = self.enter(
                stack,
                websockets.connect(
                    url,
                    ssl=context,
                    subprotocols=OFFERED,
                    open_timeout=CHECK_SECONDS,
                    close_timeout=1,
                    proxy=None,
                ),
            )
            yield Client(
                lambda message: self.call(websocket.send, message),
                lambda: self.call(websocket.recv),
                lambda: self.call(ping, websocket),
                lambda code, reason: self.call(websocket.close, code, reason),
                websocket.subprotocol,
            )


Sides = Mapping[str, Side]


@contextmanager
def all_sides() -> Iterator[Sides]:
    """Every library, each event loop in a thread of its own."""
    with start_blocking_portal("asyncio") as asyncio_loop, start_blocking_portal("trio") as trio:
        yield {
            "asyncio": Side(ws_asyncio, asyncio_loop),
            "trio": Side(ws_trio, trio),
            "sync": Side(ws_sync, None),
            "anyio": Side(ws_anyio, trio),
            "websockets": Theirs(websockets, asyncio_loop),
        }


# -------------------------------------------------------------- columns: what is checked


def expect(what: str, expected: object, actual: object) -> None:
    if actual != expected:
        raise ValueError(f"{what}: {reprlib.repr(actual)}, not {reprlib.repr(expected)}")


def echoes(message: str | bytes) -> Callable[[Client, Closed], None]:
    def check(client: Client, _: Closed) -> None:
        client.send(message)
        expect("the echo", message, client.recv())

    return check


def ping(client: Client, _: Closed) -> float:
    began, round_trip = time.perf_counter(), client.ping()
    took = time.perf_counter() - began
    expect("a round-trip time within what it took", True, 0 <= round_trip <= took)
    return round_trip


def subprotocol(client: Client, _: Closed) -> None:
    expect("the subprotocol", "v2.demo", client.subprotocol)


def close(client: Client, closed: Closed) -> None:
    client.close(4000, "bye")
    expect("what reached the server", (4000, "bye"), closed.get(timeout=CHECK_SECONDS))


class Check(NamedTuple):
    """A column; ``run`` may return the seconds to show, in place of those since connecting."""

    title: str
    width: int
    run: Callable[[Client, Closed], float | None]
    note: str = ""
    secure: bool = False


CHECKS: Final = [
    Check("text", 7, echoes("Grüße, 世界 🌍")),
    Check("binary", 7, echoes(bytes(range(256)))),
    Check("1 MiB", 7, echoes(os.urandom(2**20))),
    Check("ping RTT", 9, ping),
    Check("subprotocol", 12, subprotocol),
    Check("close", 16, close, "4000 bye"),
    Check("TLS", 8, echoes(os.urandom(2**16)), secure=True),
]


def attempt(client: Side, server: Side, check: Check, certificates: Certificates) -> str:
    """Make the check and return what goes into its cell; raise whatever is wrong."""
    closed = Closed()
    contexts = (certificates.server, certificates.client) if check.secure else (None, None)
    scheme = "wss" if check.secure else "ws"
    with server.serve(closed, contexts[0]) as port:
        began = time.perf_counter()
        with client.connect(f"{scheme}://localhost:{port}/", contexts[1]) as connected:
            seconds = check.run(connected, closed) or time.perf_counter() - began
    return f"✓ {1000 * seconds:.{int(seconds < 0.01)}f} {check.note}"


# -------------------------------------------------------------------------- what one sees

LAYOUT: Final = "{:25}" + "".join(f"{{:{check.width}}}" for check in CHECKS)
RUNNING, FAILED = "…", "✗"


class Table:
    """The cells: on a terminal redrawn in place as they fill, elsewhere each row when full."""

    def __init__(self, names: Iterable[str], out: TextIO) -> None:
        self.rows = {name: [""] * len(CHECKS) for name in names}
        self.out = out
        # A line that wraps or has scrolled away could not be redrawn.
        size = shutil.get_terminal_size()
        self.live = out.isatty() and size.columns >= 90 and size.lines > len(self.rows) + 2
        title = LAYOUT.format("milliseconds", *(check.title for check in CHECKS)).rstrip()
        print(title + "\n" * len(self.rows) * self.live, file=out)

    def put(self, name: str, check: Check, cell: str) -> None:
        """Fill a cell."""
        self.rows[name][CHECKS.index(check)] = cell
        lines = {name: LAYOUT.format(name, *cells).rstrip() for name, cells in self.rows.items()}
        if self.live:
            redrawn = "".join(f"\x1b[2K{line}\n" for line in lines.values())
            print(f"\x1b[{len(lines)}F{redrawn}", end="", file=self.out, flush=True)
        elif check is CHECKS[-1] and cell != RUNNING:
            print(lines[name], file=self.out, flush=True)


def main(clients: Sides, servers: Sides, out: TextIO = sys.stdout) -> int:
    """Make every check of every pair, show it, and return the exit status."""
    pairs = {
        f"{client} → {server}": (clients[client], servers[server])
        for client, server in product(clients, servers)
        if client != "websockets" or server != "websockets"
    }
    table, began, certificates = Table(pairs, out), time.perf_counter(), Certificates()
    passed, problems = 0, []
    for (name, (client, server)), check in product(pairs.items(), CHECKS):
        if time.perf_counter() - began > TOTAL_SECONDS:
            problems.append("There was no time for the rest.\n")
            break
        table.put(name, check, RUNNING)
        try:
            cell = attempt(client, server, check, certificates)
            passed += 1
        except Exception as error:  # noqa: BLE001  (whatever it is, it is a cross)
            cell, reason = FAILED, str(error) or "no answer in time"
            problems.append(f"{cell} {name}, {check.title}: {reason}\n")
        table.put(name, check, cell)
    out.writelines(problems)
    total = len(pairs) * len(CHECKS)
    failed = f"{total - passed} of {total} checks did not pass"
    verdict = f"All {total} checks passed" if passed == total else failed
    print(f"{verdict} in {time.perf_counter() - began:.1f} s.", file=out)
    return int(passed < total)


if __name__ == "__main__":
    with all_sides() as sides:
        sys.exit(main(sides, sides))
