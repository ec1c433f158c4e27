"""The only place for randomness: mask keys (RFC 6455 section 5.3), other keys, ping payloads."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress

_POOL = 4096
"""Bytes drawn from the system at a time (arbitrary: a system call per thousand frames)."""

_keys: deque[bytes] = deque()
# A child that inherited the pool would mask with its parent's keys. Windows has no fork.
with suppress(AttributeError):
    os.register_at_fork(after_in_child=_keys.clear)


def entropy(size: int) -> bytes:
    """``size`` fresh bytes from the system's generator; any thread may call this.

    Mask keys come from a process-wide pool, since a system call for each frame is what a small
    frame costs. Taking one is a single atomic operation, so no two frames ever share a key.
    """
    if size != 4:
        return os.urandom(size)
    while True:
        try:
            return _keys.popleft()
        except IndexError:
            fresh = os.urandom(_POOL)
            _keys.extend([fresh[i : i + 4] for i in range(0, _POOL, 4)])
