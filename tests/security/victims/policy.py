"""The only place for what every victim does alike: its policy, and what it says of itself."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass

from wscore import Config

# What a peer can make a server write into its log is a way to attack, too.
logging.basicConfig(level=logging.INFO)

HASTY = Config(
    # Short, since whoever attacks waits for them. Everything that bounds memory is as it comes.
    open_timeout=1.0,
    close_timeout=0.5,
    send_timeout=1.0,
    ping_interval=0.5,
    ping_timeout=1.0,
    compression="deflate",
    subprotocols=["chat"],
    origins=["https://good.example", None],
)
"""For one attack after the other."""

PATIENT = HASTY.replace(
    open_timeout=5.0, close_timeout=2.0, send_timeout=5.0, ping_interval=5.0, ping_timeout=5.0
)
"""For a thousand connections at once, on a machine that is busy with both ends of them."""

PATIENT_BY = "VICTIM_IS_PATIENT"
"""The variable of the environment that makes it so."""

_IS_PATIENT = bool(os.environ.get(PATIENT_BY))

CONFIG = PATIENT if _IS_PATIENT else HASTY
MAX_CONNECTIONS = 1200 if _IS_PATIENT else 128

FLOOD = bytes(64 * 1024)
"""A message that a server sends again and again, at ``/flood``."""


@dataclass
class Figures:
    """What a process holds; it should be the same after an attack as before.

    :ivar tasks: of the event loop; 0 without one.
    :ivar connections: that the server knows.
    :ivar threads: of the process.
    :ivar descriptors: of the process.
    """

    tasks: int
    connections: int
    threads: int
    descriptors: int

    def within(self, other: Figures) -> bool:
        """Whether none of them is more."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[name] <= theirs[name] for name in mine)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def figures(*, tasks: int, connections: int) -> Figures:
    if _IS_PATIENT:
        _give_memory_back()
    # One of the descriptors lists the others.
    descriptors = len(os.listdir("/dev/fd")) - 1
    return Figures(tasks, connections, threading.active_count(), descriptors)


def _give_memory_back() -> None:
    """What nobody holds any more, collector and allocator may still keep: megabytes of it."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def say(**what: object) -> None:
    """Tell the attacker."""
    print(json.dumps(what), flush=True)
