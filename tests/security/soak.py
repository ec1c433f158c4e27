"""The only place for the long run: a thousand clients, good and bad, against one server at a time.

``python -m tests.security.soak [--seconds 300] [--connections 1000] [--seed 0] [variant ...]``.
Afterwards the server holds no more than before: no task, thread, descriptor or connection, and no
memory to speak of. Good clients are served all the time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

from tests.adapters.rawpeers import Frame, frames_of
from tests.security.attacker import deflated, request
from tests.security.victim import MIB, MODULES, Server
from tests.security.victims.policy import PATIENT_BY
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    close_payload,
    frame,
)

MOST_GROWTH: Final = 16 * MIB
"""By how much the memory at rest may differ (arbitrary: what an allocator keeps of a hundred)."""

PATIENCE: Final = 60.0
"""Seconds that a good client waits for an echo, at most, on a machine this busy."""

DEFLATE: Final = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=12")
BOMB: Final = frame(FIN | RSV1 | BINARY, deflated(bytes(8 * MIB)), masked=True)


def masked(head: int, payload: bytes = b"", announced: int | None = None) -> bytes:
    return frame(head, payload, masked=True, announced=announced)


class Peer:
    """A client by hand, on an event loop."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rng: random.Random
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.rng = rng
        self._data = b""
        self._frames: list[Frame] = []

    async def open(self, *more: tuple[str, str]) -> None:
        self.writer.write(request(*more))
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> Frame:
        """The next frame; pings are answered."""
        while True:
            while not self._frames:
                received = await self.reader.read(65536)
                if not received:
                    raise EOFError
                self._frames, self._data = frames_of(self._data + received)
            next_one = self._frames.pop(0)
            if next_one.head != PING:
                return next_one
            await self.send(masked(PONG, next_one.payload))

    async def pause(self, seconds: float = 1.0) -> None:
        await asyncio.sleep(self.rng.random() * seconds)


async def behave(peer: Peer) -> None:
    """Open, send and get back, close; anything else than that is a failure."""
    compressed = peer.rng.random() < 0.3
    await peer.open(*([DEFLATE] if compressed else []))
    for i in range(peer.rng.randrange(10)):
        message = b"%d" % i + bytes(int(peer.rng.paretovariate(0.5)) % 100_000)
        if compressed and peer.rng.random() < 0.5:
            # What is compressed stands alone, so that no context is needed here.
            await peer.send(masked(FIN | RSV1 | BINARY, deflated(message[:100])))
            assert (await peer.frame()).payload == message[:100]
        else:
            await peer.send(masked(FIN | BINARY, message))
            echo = await peer.frame()
            assert compressed or echo.payload == message
        # Well within ping_timeout: pings are answered only while it reads.
        await peer.pause(2)
    await peer.send(masked(CLOSE, close_payload(1000)))
    assert (await peer.frame()).payload == close_payload(1000)


async def _vanish(peer: Peer) -> None:
    await peer.open()
    await peer.send(masked(FIN | TEXT, b"x" * 100)[: peer.rng.randrange(100)])
    await peer.pause(10)


async def _stop_reading(peer: Peer) -> None:
    await peer.open()
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while True:
                await peer.send(masked(FIN | BINARY, bytes(100_000)))


async def _break_a_rule(peer: Peer) -> None:
    await peer.open()
    await peer.send(
        peer.rng.choice(
            [
                masked(FIN | 3),
                masked(FIN | TEXT, b"\xff"),
                masked(CLOSE, b"\x03"),
                masked(FIN | CONTINUATION),
                masked(FIN | BINARY, announced=1 << 40),
                frame(FIN | TEXT, b"x", masked=False),
            ]
        )
    )
    while (await peer.frame()).head != CLOSE:
        pass


async def _flood_with_pings(peer: Peer) -> None:
    await peer.open()
    await peer.send(masked(PING, bytes(125)) * peer.rng.randrange(3000))


async def _fragment(peer: Peer) -> None:
    await peer.open()
    await peer.send(masked(TEXT) + masked(CONTINUATION, b"x") * peer.rng.randrange(3000))
    await peer.pause(5)


async def _bomb(peer: Peer) -> None:
    await peer.open(DEFLATE)
    await peer.send(BOMB)
    while (await peer.frame()).head != CLOSE:
        pass


async def _send_noise(peer: Peer) -> None:
    await peer.open()
    await peer.send(peer.rng.randbytes(peer.rng.randrange(5000)))
    await peer.pause()


async def _ask_for_nonsense(peer: Peer) -> None:
    await peer.send(peer.rng.randbytes(100) + b"\r\n\r\n")
    await peer.reader.read()


async def _ask_for_half(peer: Peer) -> None:
    await peer.send(request()[: peer.rng.randrange(150)])
    await peer.pause(8)


async def _trickle(peer: Peer) -> None:
    for byte in request():
        await peer.send(bytes((byte,)))
        await peer.pause(0.1)


async def _end_early(peer: Peer) -> None:
    await peer.open()
    await peer.send(masked(FIN | TEXT, b"hello"))
    peer.writer.write_eof()
    await peer.reader.read()


Behaviour: TypeAlias = Callable[[Peer], Awaitable[None]]

ABUSES: Final[list[Behaviour]] = [
    *(_vanish, _stop_reading, _break_a_rule, _flood_with_pings, _fragment, _bomb),
    *(_send_noise, _ask_for_nonsense, _ask_for_half, _trickle, _end_early),
]


class Soak:
    """A number of clients at a time, one after the other in each place."""

    def __init__(self, port: int, connections: int, seed: int) -> None:
        self.port = port
        self.connections = connections
        self.seed = seed
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest = 0.0

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for place in range(self.connections):
                rng = random.Random(f"{self.seed} {place}")
                group.create_task(self._keep_busy(rng, end))

    async def _keep_busy(self, rng: random.Random, end: float) -> None:
        await asyncio.sleep(rng.random() * min(10.0, (end - time.monotonic()) / 2))
        while time.monotonic() < end:
            await self._visit(rng)
            await asyncio.sleep(rng.random() * 2)

    async def _visit(self, rng: random.Random) -> None:
        behaviour = behave if rng.random() < 0.5 else rng.choice(ABUSES)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await behaviour(Peer(reader, writer, rng))
        except (OSError, EOFError, AssertionError) as error:
            # Who abuses a server has to reckon with anything; who behaves, with nothing.
            if behaviour is behave:
                self.failures.append("".join(traceback.format_exception(error)[-2:]))
        finally:
            if rng.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.done[behaviour.__name__.strip("_")] += 1


def soak(variant: str, *, seconds: float, connections: int, seed: int) -> bool:
    """Soak a server; whether it stood it."""
    with TemporaryDirectory() as directory, Server(variant, Path(directory, "log")) as server:
        clients = Soak(server.plain, connections, seed)
        # What grows once, and stays, grows now.
        asyncio.run(clients.run(min(20.0, seconds / 5)))
        server.check()
        before = server.resident
        asyncio.run(clients.run(seconds))
        server.check()
        after = server.resident
        log = server.log
    visits = clients.done.total()
    grown = (after - before) / MIB
    abuses = visits - clients.done["behave"]
    print(
        f"{variant:14}{visits:7} visits, {abuses} of them abuse; {after / MIB:5.1f} MiB at rest, "
        f"{grown:+.1f}; log {len(log) / visits:.0f} bytes a visit",
        flush=True,
    )
    problems = [*clients.failures[:5]]
    if after - before > MOST_GROWTH:
        problems.append(f"memory at rest has grown by {grown:.1f} MiB")
    if "Traceback" in log:
        problems.append(log[log.index("Traceback") :][:2000])
    for problem in problems:
        print(f"{variant:14}FAILED: {problem}", flush=True)
    return not problems


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.security.soak")
    arguments.add_argument("--seconds", type=float, default=300.0)
    arguments.add_argument("--connections", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("variants", nargs="*", default=[*MODULES])
    options = arguments.parse_args()
    os.environ[PATIENT_BY] = "1"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stood = [
        soak(
            variant,
            seconds=options.seconds,
            connections=options.connections,
            seed=options.seed,
        )
        for variant in options.variants
    ]
    return 0 if all(stood) else 1


if __name__ == "__main__":
    sys.exit(main())
