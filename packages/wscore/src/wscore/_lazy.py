"""The only place for queues that take no memory before something is in them.

An empty deque takes 760 bytes (CPython 3.11). A connection has half a dozen, most of them empty
for all of its life.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

T = TypeVar("T")

EMPTY: Final[Any] = ()
"""A queue with nothing in it; it can be asked, but not added to."""


def put(queue: deque[T], item: T) -> deque[T]:
    """The queue with one more item at its end; what is to be assigned to where it came from."""
    if not queue:
        return deque((item,))
    queue.append(item)
    return queue
