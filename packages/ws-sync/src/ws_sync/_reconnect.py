"""The only place for staying connected: by connecting again, as patiently as wscore says."""

from __future__ import annotations

import logging
import ssl as tls
import time
from collections.abc import Iterator
from typing import Final, Literal, Unpack

from wscore import (
    Backoff,
    Config,
    ConfigOptions,
    Destination,
    HandshakeError,
    HeadersLike,
    Reconnector,
)

from ._connect import Connector
from ._websocket import WebSocket

__all__ = ["reconnect"]

log = logging.getLogger("ws_sync")


class reconnect(Iterator[WebSocket]):  # noqa: N801  (used like a function: iterated over)
    """Stay connected to a server: ``for websocket in reconnect(url)``.

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
        destination = Destination.first(
            url,
            headers=headers,
            origin=origin,
            proxy=proxy,
            max_redirects=max_redirects,
            with_tls=ssl is not None,
            server_hostname=server_hostname,
            unix_path=unix_path,
        )
        self._connector: Final = Connector(destination, config, ssl)
        self._reconnector: Final = Reconnector(backoff, config.entropy)
        self._websocket: WebSocket | None = None

    def __next__(self) -> WebSocket:
        reconnector, clock = self._reconnector, time.monotonic
        delay = 0.0
        if self._websocket is not None:
            self._websocket.close()
            delay = reconnector.closed(now=clock())
        while True:
            time.sleep(delay)
            try:
                self._websocket = self._connector.open()
            except HandshakeError as error:
                delay = reconnector.failed(error)
                log.info("%s: %s; again in %.1f s", self._connector.destination.url, error, delay)
            else:
                reconnector.opened(now=clock())
                return self._websocket
