"""The only place for staying connected: by connecting again, as patiently as wscore says."""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
from functools import partial
from typing import Literal, Unpack

from wscore import (
    URL,
    Backoff,
    Config,
    ConfigOptions,
    Headers,
    HeadersLike,
    Reconnecting,
    Reconnector,
)

from ._connect import connect
from ._websocket import WebSocket

__all__ = ["reconnect"]

log = logging.getLogger("ws_asyncio")


class reconnect(Reconnecting[WebSocket]):  # noqa: N801  (used like a function: iterated over)
    """Stay connected to a server: ``async for websocket in reconnect(url)``.

    Each turn of the loop gets an open connection. The next one closes it, if it still is open,
    waits as ``backoff`` says and connects again. Attempts that fail are logged, one line each,
    and made again, unless that cannot help. In the loop, ConnectionClosed is yours to catch;
    whoever leaves the loop closes the connection.

    :param url: ``ws://`` or ``wss://``; a user name and password become basic authentication.
    :param backoff: how long to wait.
    :param ssl: as for :func:`connect`, like all that follow.
    :param server_hostname: see there.
    :param headers: see there.
    :param origin: see there.
    :param proxy: see there.
    :param max_redirects: see there.
    :param unix_path: see there.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises InvalidURL, ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on iteration, if connecting again cannot help: the server refuses, its
        certificate is not to be trusted, it is no WebSocket server.
    """

    _log = log
    _sleep = staticmethod(asyncio.sleep)

    @staticmethod
    def _current_time() -> float:
        return asyncio.get_running_loop().time()

    def __init__(
        self,
        url: str,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008  (it cannot change)
        ssl: tls.SSLContext | None = None,
        server_hostname: str | None = None,
        headers: HeadersLike = (),
        origin: str | None = None,
        proxy: str | Literal[True] | None = True,
        max_redirects: int = 10,
        unix_path: str | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        config = (config or Config()).replace(**policy)
        where = URL.parse(url)
        reconnector = Reconnector(backoff, config.entropy)
        again = partial(
            connect,
            url,
            ssl=ssl,
            server_hostname=server_hostname,
            headers=[*Headers(headers).pairs()],
            origin=origin,
            proxy=proxy,
            max_redirects=max_redirects,
            unix_path=unix_path,
            config=config,
        )
        # What cannot be right is raised now.
        again()
        super().__init__(where, again, reconnector)
