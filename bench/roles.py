"""The only place for what the processes of a contender are told, and what they answer.

A server listens on a port for each of its modes:

``echo``, ``deflate``
    sends back what comes; the second one with compression.
``sink``
    is told how many bytes will come; says that it is ready, and again when it has all of them.
``source``
    is told how many messages of which size to send.
``broadcast``
    sends what comes to every connection of this mode.

Everything counts bytes, not messages, so that raw sockets can take part.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol, Self

PIECE: Final = 64 * 1024
"""Bytes that fit into the buffers of two sockets, so that nobody has to read them meanwhile."""

PURE: Final = "Python"
"""What the codec is written in where it is not compiled."""

READY: Final = b"ready"

WARM_UP: Final = 100
WARM_UP_BYTES: Final = 100 * 2**20
"""Messages at least before any is measured, but for more bytes than these: so much it takes until
TCP's windows have grown, and memory is used again."""

_LOOK: Final = 0.003
_MOST_LOOKS: Final = 50


class Order(NamedTuple):
    """What a client is told to do.

    :ivar kind: ``ping-pong``, ``flood``, ``up`` or ``down``.
    :ivar server: the process of the server.
    """

    kind: str
    size: int
    times: int
    port: int
    server: int
    deflate: bool = False

    @property
    def messages(self) -> list[bytes]:
        """What is sent, in turn."""
        return compressible(self.size) if self.deflate else [bytes(self.size)]

    @property
    def plan(self) -> Iterator[tuple[int, bool]]:
        """How many messages, and whether they are measured: the first ones warm up."""
        yield max(self.times // 10, min(WARM_UP, WARM_UP_BYTES // self.size)), False
        yield self.times, True


class Taken(NamedTuple):
    """Seconds that something took: on the wall, and of each process's CPU."""

    wall: float
    client: float
    server: float


class Player(Protocol):
    """A contender, as its processes see it."""

    def __init__(self, runtime: str) -> None: ...

    def serve(self) -> None:
        """Listen, say where, and serve until the process is ended."""
        ...

    def carry_out(self, order: Order) -> Taken:
        """Do as a client what is asked for."""
        ...


class Meter:
    """Reads the clocks of a client, which is this process, and of its server.

    :ivar taken: what passed within the last ``with`` block.
    """

    taken: Taken

    def __init__(self, server: int) -> None:
        # What clock_getcpuclockid(3) gives on Linux.
        self._server: Final = (~server << 3) | 2

    def __enter__(self) -> Self:
        server = self._server_at_rest()
        self._begun = time.perf_counter(), time.process_time(), server
        return self

    def __exit__(self, *_: object) -> None:
        wall, client = time.perf_counter(), time.process_time()
        ended = wall, client, self._server_at_rest()
        self.taken = Taken(*(end - begin for begin, end in zip(self._begun, ended, strict=True)))

    def _server_at_rest(self) -> float:
        """Its clock: exact while it waits, and up to a tick behind while it runs."""
        for _ in range(_MOST_LOOKS):
            before = time.clock_gettime(self._server)
            time.sleep(_LOOK)
            if time.clock_gettime(self._server) == before:
                break
        return time.clock_gettime(self._server)


def compressible(size: int) -> list[bytes]:
    """Messages like those of an API, no two alike, and more of them than a window holds."""
    rows = (
        b'{"id":%d,"name":"user%d","price":%.2f,"active":%s,"tags":["a%d","b%d"]}\n'
        % (i, i * 7919 % 10007, i * 31 % 1000 / 7, b"true" if i % 3 else b"false", i % 13, i % 7)
        for i in range(64 * (size // 60 + 1))
    )
    text = b"".join(rows)
    return [text[i * size : (i + 1) * size] for i in range(64)]


def announce(ports: dict[str, int]) -> None:
    """Tell who started this process where it listens."""
    say({"ports": ports, "codec": codec()})


def say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def codec() -> str:
    """What the codec that runs in this process is written in, if it is ours."""
    return str(getattr(sys.modules.get("wscore"), "codec", PURE))


def play(make: Callable[[str], Player]) -> None:
    """Be what the command line asks for: ``server <runtime>`` or ``client <runtime>``."""
    _end_with_parent()
    _, role, runtime = sys.argv
    player = make(runtime)
    if role == "server":
        player.serve()
    say({})
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        say(player.carry_out(Order(**order))._asdict())


def _end_with_parent() -> None:
    """Leave nothing behind if the measuring process is killed: prctl(2)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit("The measuring process is gone.")
