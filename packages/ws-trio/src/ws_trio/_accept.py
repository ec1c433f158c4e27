"""The only place for the server's side of an opening handshake."""

from __future__ import annotations

import logging
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import Unpack

import trio

from wscore import (
    Accept,
    Accepting,
    Config,
    ConfigOptions,
    Request,
    Response,
)

from ._runtime import OnTrio
from ._websocket import WebSocket

__all__ = ["RequestHook", "accept"]

Answer = Accept | Response | None
RequestHook = Callable[[Request], Answer | Awaitable[Answer]]
"""Called with each request: None accepts it, :class:`~wscore.Accept` says how, and a
:class:`~wscore.Response` refuses."""

log = logging.getLogger("ws_trio")


class accept(OnTrio, Accepting[WebSocket]):  # noqa: N801  (used like a function)
    """Be the server on a connected stream: ``async with accept(stream) as websocket``.

    For streams that come from elsewhere: a supervisor, a pair, a listener of your own.
    ``open_timeout`` bounds everything up to the handshake's end. Cancelled, it leaves nothing
    behind. Leaving the ``async with`` block closes the connection, with 1000, or with 1011 if
    the block raised.

    :param stream: a connected stream; it belongs to the connection from then on.
    :param ssl: a context with the server's certificate, for TLS.
    :param on_request: sees the request first, see :data:`RequestHook`. It runs within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param nursery: where the connection's tasks run; needed to await it, and else one of its own.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRefused``, ``BadHandshake`` or ``HandshakeInterrupted``.
    """

    _log = log
    _make = WebSocket

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        ssl: tls.SSLContext | None = None,
        on_request: RequestHook | None = None,
        nursery: trio.Nursery | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        config = (config or Config()).replace(**policy)
        super().__init__(stream, ssl, on_request, nursery, config)
