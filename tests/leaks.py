"""The only place that tells what a test has left behind."""

from __future__ import annotations

import os
import stat

PATIENCE = 15.0
"""In seconds: a test that takes longer hangs."""

AFTERMATH = 2.0
"""In seconds: what a test has ended is gone by then, or leaked."""


def open_sockets() -> set[tuple[int, int]]:
    """The sockets of this process, by number and inode: numbers are used again."""
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:
            # The one that listed the directory.
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add((int(name), status.st_ino))
    return found
