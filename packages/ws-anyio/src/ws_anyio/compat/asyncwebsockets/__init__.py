"""The only place for the names of asyncwebsockets 0.9: write ``from ws_anyio.compat import
asyncwebsockets`` in place of ``import asyncwebsockets``, and the rest of a program stays.

The modules are the original's, for those who import from them.
"""

from __future__ import annotations

from . import client, server, websocket
from .client import (
    create_websocket,
    create_websocket_client,
    open_websocket,
    open_websocket_client,
)
from .server import create_websocket_server, open_websocket_server
from .websocket import ByteMessage, ClientWebsocket, Websocket, WebsocketClosed

__all__ = [
    "open_websocket",
    "create_websocket",
    "create_websocket_server",
    "open_websocket_server",
    "create_websocket_client",
    "open_websocket_client",
    "Websocket",
    # Not in the original's list: two names of its manual, and what sending raises after the end.
    "ByteMessage",
    "ClientWebsocket",
    "WebsocketClosed",
    "client",
    "server",
    "websocket",
]
