"""The only place for measuring: a contender's processes, and what a workload takes in them.

CPU time is user and system time of both processes within the measured part alone; start-up,
handshakes and warming up are outside of it. Linux only: clocks and memory of another process.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from bench.contenders import Contender
from bench.crowd import Crowd, Stalled
from bench.roles import Meter, Order, Taken
from bench.workloads import CROWDS, Workload

ROOT: Final = Path(__file__).parent.parent
LOGS: Final = ROOT / "build" / "bench" / "logs"

START: Final = 60.0
"""Seconds that a process may take to start, on a machine that is busy."""

MOST_THREADS: Final = 1000
"""Connections of servers that take a thread for each."""

SETTLE = 0.3
"""Seconds after which who has answered a handshake also listens to a broadcast."""

REST = 0.1
"""Seconds within which memory must not change, to be at rest."""

WARM_UP: Final = 5
"""Connections opened and closed before memory is looked at, so that what is made once is there.
Few, since what they leave is used again."""

Sample: TypeAlias = dict[str, float]
"""What came out: microseconds ``wall``, ``client`` and ``server`` of a message, or of a connection
where it is about these; milliseconds ``p50`` and ``p99``; ``kib`` of a connection."""


class Failed(Exception):
    """A process of a contender has died."""


class Child:
    """A process of a contender, which speaks JSON, a line at a time."""

    def __init__(self, contender: Contender, role: str) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log: Final = LOGS / f"{contender.name} {role}.log"
        with self._log.open("wb") as log:
            self._process: Final = subprocess.Popen(
                [sys.executable, "-m", contender.module, role, contender.runtime],
                cwd=ROOT,
                env={**os.environ, **contender.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._heard = b""

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @cached_property
    def hello(self) -> Any:
        """What it says when it is ready."""
        return self.hear(START)

    def hear(self, patience: float) -> Any:
        """What it says next.

        :raises Stalled: nothing within so many seconds.
        :raises Failed: it has died.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + patience
        while b"\n" not in self._heard:
            ready, _, _ = select.select(
                [self._process.stdout], [], [], max(0, end - time.monotonic())
            )
            if not ready:
                raise Stalled(f"nothing within {patience:g} s")
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                raise Failed(self._last_words())
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def _last_words(self) -> str:
        lines = [line.strip(" |") for line in self._log.read_text(errors="replace").splitlines()]
        said = [line for line in lines if line.strip("+- ")]
        return said[-1] if said else f"it ended and said nothing: see {self._log}"

    def tell(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(what)}\n".encode())
        self._process.stdin.flush()

    def end(self) -> None:
        """End the process; harmless again."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            # What it was told and did not read is lost with it.
            with suppress(OSError):
                pipe.close()


class Server:
    """A contender's server."""

    def __init__(self, contender: Contender) -> None:
        self._child: Final = Child(contender, "server")
        self.pid: Final = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def ports(self) -> dict[str, int]:
        """Where it listens, by its modes."""
        ports: dict[str, int] = self._child.hello["ports"]
        return ports

    @property
    def codec(self) -> str:
        """What our codec in it is written in."""
        return str(self._child.hello["codec"])

    def end(self) -> None:
        self._child.end()

    @property
    def kib(self) -> float:
        """Its resident memory, as soon as that rests."""
        end = time.monotonic() + 5
        now, before = self._resident(), -1
        while now != before and time.monotonic() < end:
            time.sleep(REST)
            now, before = self._resident(), now
        return now

    def _resident(self) -> int:
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE") // 1024


class Party:
    """A contender's processes, for one workload.

    What they did before would be measured, too: glibc's allocator, for one, takes large pieces
    from the system until the first of them is given back whole, and keeps them from then on.

    :param patience: seconds that the workload may take.
    """

    def __init__(self, contender: Contender, workload: Workload, patience: float) -> None:
        """Start them, and do not wait for them."""
        self.contender: Final = contender
        self._workload: Final = workload
        self._patience: Final = patience
        self._server: Final = Server(contender)
        is_pair = workload.kind not in CROWDS
        self._client: Final = Child(contender, "client") if is_pair else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End them; harmless again."""
        if self._client is not None:
            self._client.end()
        self._server.end()

    def wait(self) -> None:
        """Wait until they are ready.

        :raises Stalled, Failed: they are never.
        """
        _ = self._server.ports
        if self._client is not None:
            _ = self._client.hello

    @property
    def can(self) -> bool:
        """Whether the library can do it at all."""
        threads = self._workload.crowd if self.contender.runtime == "sync" else 0
        return self._workload.mode in self._server.ports and threads <= MOST_THREADS

    def measure(self) -> Sample:
        """Do it once.

        :raises Stalled: it does not end, and was ended.
        :raises Failed: a process has died.
        """
        try:
            self.wait()
            return self._crowd() if self._client is None else self._pair(self._client)
        except (OSError, Stalled, Failed) as error:
            # Others are measured now.
            self.end()
            if isinstance(error, OSError):
                raise Failed(str(error)) from error
            raise

    def _pair(self, client: Child) -> Sample:
        if self._workload.takes_turns:
            share_a_core(self._server.pid, client.pid)
        kind, size, times, _, deflate, _ = self._workload
        port = self._server.ports[self._workload.mode]
        order = Order(kind, size, times, port, self._server.pid, deflate)
        client.tell(order._asdict())
        return per_message(Taken(**client.hear(self._patience)), times)

    def _crowd(self) -> Sample:
        workload = self._workload
        crowd = Crowd(
            self._server.ports[workload.mode],
            size=workload.size or 16,
            raw=self.contender.is_raw,
            deflate=workload.deflate,
            patience=self._patience,
        )
        with crowd:
            return CROWD_WORK[workload.kind](crowd, self._server, workload)


def share_a_core(*processes: int) -> None:
    """Let them run on one core, all of their threads: to wake another one is not their cost."""
    core = {max(os.sched_getaffinity(0))}
    for process in processes:
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(thread.name), core)


def per_message(taken: Taken, count: int) -> Sample:
    """Seconds of all, as microseconds of one."""
    return {name: seconds / count * 1e6 for name, seconds in taken._asdict().items()}


def fan_in(crowd: Crowd, server: Server, workload: Workload) -> Sample:
    """Echoes for many at a time."""
    crowd.open(workload.crowd)
    crowd.exchange(workload.crowd)
    with Meter(server.pid) as meter:
        latencies = crowd.exchange(workload.times)
    crowd.close()
    return {**per_message(meter.taken, workload.times), **percentiles(latencies)}


def percentiles(latencies: list[float]) -> Sample:
    """Of seconds, in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [latencies[0]] * 99
    return {"p50": cuts[49] * 1e3, "p99": cuts[98] * 1e3}


def broadcast(crowd: Crowd, server: Server, workload: Workload) -> Sample:
    """One message to many, and the next when all have it."""
    crowd.open(workload.crowd)
    time.sleep(SETTLE)
    crowd.hear(1)
    rounds = max(1, workload.times // workload.crowd)
    with Meter(server.pid) as meter:
        crowd.hear(rounds)
    crowd.close()
    return per_message(meter.taken, rounds * workload.crowd)


def handshakes(crowd: Crowd, server: Server, workload: Workload) -> Sample:
    """The life of a connection on which nothing is said."""
    crowd.open(workload.crowd)
    crowd.close()
    waves = max(1, workload.times // workload.crowd)
    with Meter(server.pid) as meter:
        for _ in range(waves):
            crowd.open(workload.crowd)
            crowd.close()
    return per_message(meter.taken, waves * workload.crowd)


def memory(crowd: Crowd, server: Server, workload: Workload) -> Sample:
    """What a connection holds on which nothing was said."""
    crowd.open(WARM_UP)
    crowd.close()
    before = server.kib
    crowd.open(workload.crowd)
    taken = server.kib - before
    return {"kib": taken / workload.crowd}


CROWD_WORK: Final[dict[str, Callable[[Crowd, Server, Workload], Sample]]] = {
    "fan-in": fan_in,
    "broadcast": broadcast,
    "handshakes": handshakes,
    "memory": memory,
}
