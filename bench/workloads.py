"""The only place for what is measured."""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.roles import PIECE

KIB: Final = 2**10
MIB: Final = 2**20

SIZES: Final = {16: "16 B", KIB: "1 KiB", 16 * KIB: "16 KiB", 64 * KIB: "64 KiB", MIB: "1 MiB"}

CROWDS: Final = ("fan-in", "broadcast", "handshakes", "memory")
"""What many clients do; all else is done by the contender's own client, on one connection."""


class Workload(NamedTuple):
    """Something to measure.

    :ivar kind: what is done; see :class:`bench.roles.Order` and :data:`CROWDS`.
    :ivar size: bytes of a message.
    :ivar times: how many messages; connections, if it is about these.
    :ivar crowd: how many clients there are.
    :ivar quick: whether it is a part of the quick run.
    """

    kind: str
    size: int
    times: int
    crowd: int = 1
    deflate: bool = False
    quick: bool = False

    @property
    def name(self) -> str:
        """What tables and results call it."""
        if self.kind in ("handshakes", "memory"):
            return self.kind + ", deflate" * self.deflate
        return f"{self.kind} {SIZES[self.size]}" + ", deflate" * self.deflate

    @property
    def mode(self) -> str:
        """The mode of the server: see :mod:`bench.roles`."""
        modes = {"up": "sink", "down": "source", "broadcast": "broadcast"}
        return "deflate" if self.deflate else modes.get(self.kind, "echo")

    @property
    def takes_turns(self) -> bool:
        """Whether only one of both processes has something to do at a time: a message that goes
        in one piece is sent before it is received.
        """
        return self.kind == "ping-pong" and self.size <= PIECE

    def scaled(self, scale: float) -> Workload:
        """The same with fewer messages, or connections if it is about these."""
        times = max(1, round(self.times * scale))
        crowd = max(100, times) if self.kind == "memory" else self.crowd
        return self._replace(times=times, crowd=crowd)


WORKLOADS: Final = [
    Workload("memory", 0, 1000, crowd=1000, quick=True),
    Workload("memory", 0, 1000, crowd=1000, deflate=True, quick=True),
    Workload("ping-pong", 16, 6000, quick=True),
    Workload("ping-pong", KIB, 6000),
    Workload("ping-pong", 64 * KIB, 2000, quick=True),
    Workload("ping-pong", MIB, 200, quick=True),
    Workload("flood", 16, 30_000, quick=True),
    Workload("flood", KIB, 15_000),
    Workload("flood", 64 * KIB, 1500),
    Workload("flood", MIB, 100),
    Workload("up", 16, 30_000),
    Workload("up", 64 * KIB, 2000),
    Workload("up", MIB, 150),
    Workload("down", 16, 30_000),
    Workload("down", 64 * KIB, 2000),
    Workload("down", MIB, 150),
    Workload("fan-in", 16, 10_000, crowd=100),
    Workload("broadcast", KIB, 20_000, crowd=500, quick=True),
    Workload("handshakes", 0, 1000, crowd=10, quick=True),
    Workload("ping-pong", KIB, 4000, deflate=True),
    Workload("ping-pong", 16 * KIB, 1500, deflate=True),
]
