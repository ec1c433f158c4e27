"""WebSocket clients and servers for asyncio and uvloop.

:func:`connect` and :func:`serve` open connections, :func:`accept` is the server on one socket,
:func:`reconnect` stays connected, :class:`WebSocket` is a connection, and :func:`broadcast` sends
to many. Policy, values and
exceptions are :mod:`wscore`'s.
"""

from __future__ import annotations

from wscore import broadcast

from ._accept import RequestHook, accept
from ._connect import connect
from ._reconnect import reconnect
from ._serve import DrainHook, Handler, Server, serve
from ._websocket import WebSocket

__all__ = [
    "DrainHook",
    "Handler",
    "RequestHook",
    "Server",
    "WebSocket",
    "accept",
    "broadcast",
    "connect",
    "reconnect",
    "serve",
]
