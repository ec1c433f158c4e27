"""WebSocket clients and servers for asyncio and uvloop.

:func:`connect` and :func:`serve` open connections, :class:`WebSocket` is one. Policy, values and
exceptions are :mod:`wscore`'s.
"""

from __future__ import annotations

from ._connect import connect
from ._serve import Handler, RequestHook, Server, serve
from ._websocket import WebSocket

__all__ = [
    "Handler",
    "RequestHook",
    "Server",
    "WebSocket",
    "connect",
    "serve",
]
