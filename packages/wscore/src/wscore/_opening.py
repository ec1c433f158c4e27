"""The only place for opening a connection where tasks end in the block in which they began: the
way from a stream to an open connection, where its tasks run, and what a failure leaves: nothing.

What is the adapter's is to name the parameters, and to connect a stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from ._answering import Answer, answer_request
from ._caller_driven import CallerDriven
from ._config import Config
from ._connection import Connection, State
from ._destination import Destination
from ._errors import HandshakeError, HandshakeRejected
from ._http import Request
from ._log import Log
from ._runtime import Runtime, TaskGroup

__all__ = ["Accepting", "Connecting", "Home", "Making", "secure"]

D = TypeVar("D", bound=CallerDriven)
D_co = TypeVar("D_co", bound=CallerDriven, covariant=True)
G = TypeVar("G", bound=TaskGroup)


class Home(Generic[G]):
    """A task group whose tasks raise nothing: it makes no group of what its caller raises.

    :param manager: a new task group, to be entered.
    :param checkpoint_if_cancelled: see :class:`Runtime`.
    """

    def __init__(
        self,
        manager: AbstractAsyncContextManager[G, Any],
        checkpoint_if_cancelled: Callable[[], Awaitable[object]],
    ) -> None:
        self._manager: Final = manager
        self._checkpoint_if_cancelled: Final = checkpoint_if_cancelled

    async def enter(self) -> G:
        """Begin; the result is where tasks may run."""
        self._group = await self._manager.__aenter__()
        return self._group

    async def leave(self) -> None:
        """Cancel the tasks, and wait until they are gone."""
        self._group.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup:
            # That the caller is cancelled, said as task groups say it.
            await self._checkpoint_if_cancelled()
            raise


class Making(Protocol[D_co]):
    """What whatever opens connections needs of an adapter: for a subclass to define."""

    @staticmethod
    def _make(connection: Connection, /) -> D_co:
        """An adapter's WebSocket, which nothing carries yet."""
        ...


class Opens(Making[D_co], Protocol[D_co]):
    """What an :class:`Opening` needs besides."""

    async def _open(self, group: TaskGroup) -> D_co:
        """An open connection, whose tasks run there."""
        ...


class Opening(Opens[D], Runtime, Generic[D]):
    """A connection that opens when it is entered, or awaited with a task group for its tasks.

    :param group: the caller's, if it gives one.
    """

    def __init__(self, group: TaskGroup | None, config: Config) -> None:
        self._group: Final = group
        self._config: Final = config

    def __await__(self) -> Generator[Any, Any, D]:
        if self._group is None:
            name = type(self).__name__
            raise TypeError(
                f"await {name}(...) needs {self._group_name}= for the connection's tasks; "
                f"or write async with {name}(...)"
            )
        return self._open(self._group).__await__()

    async def __aenter__(self) -> D:
        self._home = Home(self._task_group(), self._checkpoint_if_cancelled)
        group = await self._home.enter()
        try:
            self._websocket = await self._open(self._group or group)
        except BaseException:
            await self._home.leave()
            raise
        return self._websocket

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._websocket.__aexit__(exc_type, exc, traceback)
        finally:
            await self._home.leave()

    def _start(self, websocket: D, stream: Any, group: TaskGroup) -> None:
        """Carry the connection over the stream; in our own task group it is always closed."""
        ours = self._group is None
        carry = websocket._carry if ours else websocket._carry_until_cancelled
        group.start_soon(carry, stream)


class Dialling(Protocol):
    """What a :class:`Connecting` needs of an adapter: for a subclass to define."""

    async def _connect_stream(self, destination: Destination) -> Any:
        """A stream to there, over TLS if it is to be.

        :raises HandshakeError: a proxy does not let us through.
        :raises Exception: as :attr:`Runtime._stream_errors` says.
        """
        ...


class Connecting(Opening[D], Dialling):
    """Base of an adapter's ``connect``: the client's side.

    :param group: the caller's, if it gives one.
    """

    def __init__(self, destination: Destination, group: TaskGroup | None, config: Config) -> None:
        super().__init__(group, config)
        self._destination: Final = destination

    async def _open(self, group: TaskGroup) -> D:
        # One deadline for all: a redirection does not begin it anew.
        began = self._current_time()
        destination = self._destination
        while True:
            try:
                return await self._attempt(group, destination, began)
            except HandshakeRejected as rejection:
                destination = destination.redirected(rejection)

    async def _attempt(self, group: TaskGroup, destination: Destination, began: float) -> D:
        connection = Connection.client(destination.request, self._config, now=began)
        websocket = self._make(connection)
        try:
            stream = None
            with websocket._within_open_timeout():
                stream = await self._connect_stream(destination)
            if stream is not None:
                self._start(websocket, stream, group)
            await websocket._until_opening(lambda: connection.state is not State.CONNECTING)
            connection.poll_open()
        except BaseException:
            websocket.abort()
            raise
        return websocket


class Accepting(Opening[D]):
    """Base of an adapter's ``accept``: the server's side.

    :param stream: a connected one.
    :param ssl: a context of the runtime's TLS, or None.
    :param on_request: the hook, if there is one.
    :param group: the caller's, if it gives one.
    """

    _log: ClassVar[Log]

    def __init__(
        self,
        stream: Any,
        ssl: Any,
        on_request: Callable[[Request], Answer | Awaitable[Answer]] | None,
        group: TaskGroup | None,
        config: Config,
    ) -> None:
        super().__init__(group, config)
        self._stream: Final = stream
        self._ssl: Final = ssl
        self._on_request: Final = on_request

    async def _open(self, group: TaskGroup) -> D:
        websocket = self._make(Connection.server(self._config, now=self._current_time()))
        try:
            stream = await secure(websocket, self._stream, self._ssl)
            if stream is not None:
                self._start(websocket, stream, group)
            try:
                await answer_request(websocket, self._on_request, self._log)
            except HandshakeError:
                # What the client is told goes out first.
                await websocket.wait_closed()
                raise
        except BaseException:
            websocket.abort()
            raise
        return websocket


async def secure(websocket: CallerDriven, stream: Any, context: Any) -> Any:
    """The stream over which a server's connection is to run; None if there is none any more.

    :param context: for TLS; None without.
    """
    if context is None:
        return stream
    try:
        with websocket._within_open_timeout():
            return await websocket._accept_tls(stream, context)
    except BaseException:
        await websocket._abort_stream(stream)
        raise
    await websocket._abort_stream(stream)
    return None
