"""The only place for asyncwebsockets' functions that open a server's connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.abc import ByteStream

from ._events import Filter
from .websocket import Websocket

__all__ = ["create_websocket_server", "open_websocket_server"]


@asynccontextmanager
async def open_websocket_server(
    sock: ByteStream,
    filter: Filter | None = None,  # noqa: A002  (asyncwebsockets' name)
) -> AsyncIterator[Websocket]:
    """Be the server on a connected stream, and close the connection on leaving the block.

    Takes and raises what :meth:`Websocket.start_server` does.
    """
    opened = await create_websocket_server(sock, filter)
    try:
        yield opened
    finally:
        await opened.close()


async def create_websocket_server(
    sock: ByteStream,
    filter: Filter | None = None,  # noqa: A002  (asyncwebsockets' name)
) -> Websocket:
    """Be the server on a connected stream; whoever calls closes the connection.

    Takes and raises what :meth:`Websocket.start_server` does.
    """
    opened = Websocket()
    await opened.start_server(sock, filter)
    return opened
