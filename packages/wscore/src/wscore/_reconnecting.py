"""The only place for staying connected, where that can be awaited: by connecting again, as
patiently as a :class:`Reconnector` says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import ClassVar, Final, Protocol, TypeVar

from ._backoff import Reconnector
from ._errors import HandshakeError
from ._log import Log
from ._url import URL

__all__ = ["Reconnecting"]


class Closable(Protocol):
    async def close(self) -> object: ...


W = TypeVar("W", bound=Closable)


class Waiting(Protocol):
    """What a :class:`Reconnecting` needs of an adapter: for a subclass to define."""

    _log: ClassVar[Log]
    """Where attempts that fail are told, a line each."""

    @staticmethod
    def _current_time() -> float:
        """The runtime's clock, in seconds."""
        ...

    @staticmethod
    def _sleep(seconds: float, /) -> Awaitable[object]:
        """Wait for so many seconds; at least a checkpoint, where the runtime has them."""
        ...


class Reconnecting(AsyncIterator[W], Waiting):
    """Base of an adapter's ``reconnect``: open connections, one after the other.

    :param url: where to, for the log.
    :param connect: makes an attempt; it raises HandshakeError if that fails.
    """

    def __init__(
        self, url: URL, connect: Callable[[], Awaitable[W]], reconnector: Reconnector
    ) -> None:
        self._url: Final = url
        self._connect: Final = connect
        self._reconnector: Final = reconnector
        self._websocket: W | None = None

    async def __anext__(self) -> W:
        reconnector = self._reconnector
        delay = 0.0
        if self._websocket is not None:
            await self._websocket.close()
            delay = reconnector.closed(now=self._current_time())
        while True:
            await self._sleep(delay)
            try:
                self._websocket = await self._connect()
            except HandshakeError as error:
                delay = reconnector.failed(error)
                self._log.info("%s: %s; again in %.1f s", self._url, error, delay)
            else:
                reconnector.opened(now=self._current_time())
                return self._websocket
