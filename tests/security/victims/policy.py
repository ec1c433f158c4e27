"""The only place for what every victim does alike: its policy, and what it says of itself."""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import asdict, dataclass

from wscore import Config

# What a peer can make a server write into its log is a way to attack, too.
logging.basicConfig(level=logging.INFO)

CONFIG = Config(
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
    # One of the descriptors lists the others.
    descriptors = len(os.listdir("/dev/fd")) - 1
    return Figures(tasks, connections, threading.active_count(), descriptors)


def say(**what: object) -> None:
    """Tell the attacker."""
    print(json.dumps(what), flush=True)
