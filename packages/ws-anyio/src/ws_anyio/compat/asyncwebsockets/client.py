"""The only place for asyncwebsockets' functions that open a client's connection."""

from __future__ import annotations

import ssl as tls
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream

from wscore import URL, OpenTimeout

from . import websocket
from ._events import HeaderPairs, to_headers
from .websocket import Websocket

__all__ = [
    "create_websocket",
    "create_websocket_client",
    "open_websocket",
    "open_websocket_client",
]


@asynccontextmanager
async def open_websocket(
    url: str, headers: HeaderPairs | None = None, subprotocols: Sequence[str] | None = None
) -> AsyncIterator[Websocket]:
    """Open a connection, and close it on leaving the block.

    Takes and raises what :func:`create_websocket` does; TLS is verified by the default context.
    """
    opened = await create_websocket(url, headers=headers, subprotocols=subprotocols)
    try:
        yield opened
    finally:
        await opened.close()


async def create_websocket(
    url: str,
    ssl: tls.SSLContext | bool | None = None,
    headers: HeaderPairs | None = None,
    subprotocols: Sequence[str] | None = None,
) -> Websocket:
    """Open a connection; whoever calls closes it.

    The original's way there: no proxy, no redirections, no port in the Host header. Everything
    together is bounded by ``CONFIG.open_timeout``. Cancelled, it leaves nothing behind.

    :param url: ``ws://`` or ``wss://``; ``http`` and ``https`` mean the same. A user name and
        password become basic authentication, a fragment is left out.
    :param ssl: a context in place of the default one, which verifies the server's certificate
        and name; True: TLS though the URL is ``ws://``; False: none though it is ``wss://``.
    :param headers: pairs of str or bytes, or a mapping of str, to add to the request.
    :param subprotocols: to offer, in order of preference.
    :raises OSError: the server cannot be reached; of its kind are ``ssl.SSLError``, TimeoutError
        and ConnectionError as of :meth:`Websocket.start_client`, which says what else is raised.
    :raises wscore.InvalidURL: it is not such a URL.
    """
    # As the original has it, by whoever named a URL for the web.
    if url.lower().startswith("http"):
        url = f"ws{url[4:]}"
    # It leaves out a fragment, which means nothing here (RFC 6455 section 3).
    where = URL.parse(url.partition("#")[0])
    request = where.request(to_headers(headers))
    context = ssl
    if ssl is True or (ssl is None and where.secure):
        context = tls.create_default_context()
    seconds = websocket.CONFIG.open_timeout
    with anyio.move_on_after(seconds):
        stream: ByteStream
        if isinstance(context, tls.SSLContext):
            # What a TLS stream that is cut off leaves out is seen: there was no Close frame.
            stream = await anyio.connect_tcp(
                where.host, where.port, ssl_context=context, tls_standard_compatible=False
            )
        else:
            stream = await anyio.connect_tcp(where.host, where.port)
        address = where.host, where.port
        try:
            return await create_websocket_client(
                stream, address, where.target, request.headers.pairs(), subprotocols
            )
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    raise OpenTimeout(seconds)


@asynccontextmanager
async def open_websocket_client(
    sock: ByteStream,
    addr: Sequence[object],
    path: str,
    headers: HeaderPairs | None = None,
    subprotocols: Sequence[str] | None = None,
) -> AsyncIterator[Websocket]:
    """Be the client on a connected stream, and close the connection on leaving the block.

    Takes and raises what :meth:`Websocket.start_client` does.
    """
    opened = await create_websocket_client(sock, addr, path, headers, subprotocols)
    try:
        yield opened
    finally:
        await opened.close()


async def create_websocket_client(
    sock: ByteStream,
    addr: Sequence[object],
    path: str,
    headers: HeaderPairs | None = None,
    subprotocols: Sequence[str] | None = None,
) -> Websocket:
    """Be the client on a connected stream; whoever calls closes the connection.

    Takes and raises what :meth:`Websocket.start_client` does.
    """
    opened = Websocket()
    await opened.start_client(sock, addr, path, headers, subprotocols)
    return opened
