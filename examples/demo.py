"""``make demo``: clients and servers, ours and others', talk to each other over loopback.

A row for each pair of a client and a server, a column for each check. Every check has a server
and a connection of its own, so that a failure says nothing about its neighbours.
"""

from __future__ import annotations

import asyncio
import os
import reprlib
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import product
from typing import Final, NamedTuple, TextIO

import websockets

import ws_asyncio
import wscore

CHECK_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 30.0

OFFERED: Final = [websockets.Subprotocol("v3.demo"), websockets.Subprotocol("v2.demo")]
KNOWN: Final = [websockets.Subprotocol("v1.demo"), websockets.Subprotocol("v2.demo")]

# --------------------------------------------------------------- rows: who talks to whom

Client = ws_asyncio.WebSocket | websockets.ClientConnection
Connect = Callable[[str], AbstractAsyncContextManager[Client]]
Closed = asyncio.Queue[tuple[int | None, str | None]]
Serve = Callable[[Closed], AbstractAsyncContextManager[str]]
"""Starts an echo server, gives its URL, and tells the close code and reason that reached it."""


def connect_ours(url: str) -> AbstractAsyncContextManager[Client]:
    return ws_asyncio.connect(url, subprotocols=OFFERED, close_timeout=1)


def connect_theirs(url: str) -> AbstractAsyncContextManager[Client]:
    return websockets.connect(url, subprotocols=OFFERED, close_timeout=1, proxy=None)


async def echo(websocket: ws_asyncio.WebSocket | websockets.ServerConnection) -> None:
    with suppress(wscore.ConnectionClosed, websockets.ConnectionClosed):
        while True:
            await websocket.send(await websocket.recv())


@asynccontextmanager
async def serve_ours(closed: Closed) -> AsyncIterator[str]:
    async def handle(websocket: ws_asyncio.WebSocket) -> None:
        await echo(websocket)
        closed.put_nowait((await websocket.wait_closed()).close_received or (None, None))

    policy = wscore.ConfigOptions(subprotocols=KNOWN, close_timeout=1)
    async with ws_asyncio.serve(handle, "127.0.0.1", 0, **policy) as server:
        yield f"ws://127.0.0.1:{server.port}/"


@asynccontextmanager
async def serve_theirs(closed: Closed) -> AsyncIterator[str]:
    async def handle(websocket: websockets.ServerConnection) -> None:
        await echo(websocket)
        await websocket.wait_closed()
        closed.put_nowait((websocket.close_code, websocket.close_reason))

    serving = websockets.serve(handle, "127.0.0.1", 0, subprotocols=KNOWN, close_timeout=1)
    async with serving as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


Pairs = Mapping[str, tuple[Connect, Serve]]
PAIRS: Final[Pairs] = {
    "ws_asyncio → ws_asyncio": (connect_ours, serve_ours),
    "ws_asyncio → websockets": (connect_ours, serve_theirs),
    "websockets → ws_asyncio": (connect_theirs, serve_ours),
}

# -------------------------------------------------------------- columns: what is checked


def expect(what: str, expected: object, actual: object) -> None:
    if actual != expected:
        raise ValueError(f"{what}: {reprlib.repr(actual)}, not {reprlib.repr(expected)}")


def echoes(message: str | bytes) -> Callable[[Client, Closed], Awaitable[None]]:
    async def check(client: Client, _: Closed) -> None:
        await client.send(message)
        expect("the echo", message, await client.recv())

    return check


async def ping(client: Client, _: Closed) -> float:
    clock = asyncio.get_running_loop().time
    began, pong = clock(), await client.ping()
    # websockets gives the round-trip time to those who wait once more.
    round_trip = pong if isinstance(pong, int | float) else await pong
    expect("a round-trip time within what it took", True, 0 <= round_trip <= clock() - began)
    return round_trip


async def subprotocol(client: Client, _: Closed) -> None:
    expect("the subprotocol", "v2.demo", client.subprotocol)


async def close(client: Client, closed: Closed) -> None:
    await client.close(4000, "bye")
    expect("what reached the server", (4000, "bye"), await closed.get())


class Check(NamedTuple):
    """A column; ``run`` may return the seconds to show, in place of those since connecting."""

    title: str
    width: int
    run: Callable[[Client, Closed], Awaitable[float | None]]
    note: str = ""


CHECKS: Final = [
    Check("text", 7, echoes("Grüße, 世界 🌍")),
    Check("binary", 7, echoes(bytes(range(256)))),
    Check("1 MiB", 7, echoes(os.urandom(2**20))),
    Check("ping RTT", 9, ping),
    Check("subprotocol", 12, subprotocol),
    Check("close", 14, close, "4000 bye"),
]


async def attempt(connect: Connect, serve: Serve, check: Check) -> str:
    """Make the check and return what goes into its cell; raise whatever is wrong."""
    closed: Closed = asyncio.Queue()
    async with asyncio.timeout(CHECK_SECONDS), serve(closed) as url:
        began = time.perf_counter()
        async with connect(url) as client:
            seconds = await check.run(client, closed) or time.perf_counter() - began
    return f"✓ {1000 * seconds:.{int(seconds < 0.01)}f} {check.note}"


# -------------------------------------------------------------------------- what one sees

LAYOUT: Final = "{:24}" + "".join(f"{{:{check.width}}}" for check in CHECKS)
RUNNING, FAILED = "…", "✗"


class Table:
    """The cells: on a terminal redrawn in place as they fill, elsewhere each row when full."""

    def __init__(self, names: Iterable[str], out: TextIO) -> None:
        self.rows = {name: [""] * len(CHECKS) for name in names}
        self.out = out
        # A line that wraps could not be redrawn.
        self.live = out.isatty() and shutil.get_terminal_size().columns >= 80
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


async def main(pairs: Pairs = PAIRS, out: TextIO = sys.stdout) -> int:
    """Make every check of every pair, show it, and return the exit status."""
    table, began = Table(pairs, out), time.perf_counter()
    passed, problems = 0, []
    with suppress(TimeoutError):
        async with asyncio.timeout(TOTAL_SECONDS):
            for (name, pair), check in product(pairs.items(), CHECKS):
                table.put(name, check, RUNNING)
                try:
                    cell = await attempt(*pair, check)
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
    sys.exit(asyncio.run(main()))
