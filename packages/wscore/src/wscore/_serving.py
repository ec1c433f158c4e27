"""The only place for what a server does with its connections: the life of each, from the request
to the end, what becomes of a handler or a hook that fails, and how all are closed.

What is the runtime's is the adapter's: how to listen, to accept, and to begin a task.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from ._admission import Admission
from ._answering import Answer, Answering, Cancelling, answer_request
from ._caller_driven import CallerDriven
from ._close import Cause, CloseCode, CloseReason
from ._config import Config
from ._connection import Connection, State
from ._errors import ConnectionClosed, HandshakeError, only_closed
from ._http import Request
from ._log import Log
from ._opening import Making, secure
from ._runtime import CancelScope, Event, Runtime, TaskGroup

__all__ = ["AsyncServer", "Serving", "StructuredServer", "run_handler"]


T = TypeVar("T")


class Connected(Protocol):
    """A connection on a server, as an adapter's WebSocket is."""

    @property
    def state(self) -> State: ...


class Served(Connected, Answering, Hashable, Protocol):
    """The same on a runtime with async and await."""

    async def close(self, code: int, reason: str) -> object: ...

    async def wait_closed(self) -> CloseReason: ...


W = TypeVar("W", bound=Connected)
A = TypeVar("A", bound=Served)
D = TypeVar("D", bound=CallerDriven)


class Listening(Protocol):
    """What a :class:`Serving` needs of an adapter: for a subclass to define."""

    _log: ClassVar[Log]
    """Where it is told what fails, and what ends unexpectedly."""

    _places: ClassVar[str]
    """The name of the property that says what is listened on."""

    def _ports(self) -> Iterable[int]:
        """The ports of what is listened on, where it has one."""
        ...


class Serving(Listening, Generic[W]):
    """What every adapter's server is given, and has: connections of its own kind.

    :ivar connections: the connections that are open, each with its handler running.
    """

    def __init__(
        self,
        handler: Callable[[W], Any],
        on_request: Callable[[Request], Any] | None,
        on_drain: Callable[[W], Any] | None,
        admission: Admission,
        config: Config,
    ) -> None:
        """Not public: use ``serve``."""
        self.connections: Final[set[W]] = set()
        self._handler: Final = handler
        self._on_request: Final = on_request
        self._on_drain: Final = on_drain
        self._admission: Final = admission
        self._config: Final = config
        self._closed = False

    @property
    def port(self) -> int:
        """The port that is listened on.

        :raises ValueError: there is not exactly one, as with several addresses or a Unix socket.
        """
        ports = {*self._ports()}
        if len(ports) != 1:
            raise ValueError(
                f"the server listens on {len(ports)} ports, not on one: see {self._places}"
            )
        return ports.pop()

    def _has_failed(self, websocket: W, error: BaseException) -> bool:
        """Whether a handler that raised this failed; if so, it is logged."""
        if only_closed(error) and websocket.state is not State.OPEN:
            # It may leave it to the server to notice the end.
            return False
        self._log.error("%r: the handler failed", websocket, exc_info=error)
        return True


class Tasks(Protocol):
    """What an :class:`AsyncServer` needs of an adapter: for a subclass to define."""

    @staticmethod
    def _event() -> Event:
        """A new one."""
        ...

    async def _close(self, code: int, reason: str, drain: float) -> None:
        """Let handlers go on for so many seconds, stop listening, close every connection, wait."""
        ...


class AsyncServer(Serving[A], Tasks):
    """A server on a runtime with async and await.

    A subclass runs :meth:`_live` for each connection, in a task.
    """

    def __init__(
        self,
        handler: Callable[[A], Awaitable[object]],
        on_request: Callable[[Request], Answer | Awaitable[Answer]] | None,
        on_drain: Callable[[A], Awaitable[object] | None] | None,
        admission: Admission,
        config: Config,
    ) -> None:
        """Not public: use ``serve``."""
        super().__init__(handler, on_request, on_drain, admission, config)
        self._ended: Final = self._event()

    async def serve_forever(self) -> None:
        """Wait until the server is closed; cancelled, close it."""
        try:
            await self._ended.wait()
        finally:
            await self.close()

    async def close(
        self, code: int = CloseCode.GOING_AWAY, reason: str = "", *, drain: float = 0
    ) -> None:
        """Close every connection, and wait until their handlers have returned.

        From now on new requests are refused with 503. With ``drain``, handlers may go on for so
        long; ``on_drain`` tells their connections. Then the server stops listening, and what is
        still open is closed: what was sent goes out, then the Close frame, and a peer that does
        not answer within ``close_timeout`` is cut off. Handlers that have not returned
        ``close_timeout`` after that are cancelled (with ``inf``, never).

        Called again, it may shorten the drain. Harmless in a handler, which is not waited for.
        Cancelled, it leaves nothing behind: what still runs is aborted.

        :param code: 1000-1003, 1007-1014 or 3000-4999; also for handlers that return from now on.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :param drain: seconds.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text; drain
            is negative or no number.
        """
        self._admission.drain(code, reason, drain)
        await self._close(code, reason, drain)

    @property
    def _patience(self) -> float:
        """Seconds until who has been told to close is cancelled: a connection takes close_timeout
        at most, its handler as long again.
        """
        return 2 * self._config.close_timeout

    def _close_each(self, websockets: Iterable[A], code: int, reason: str) -> None:
        """Begin to close them: what need not wait goes out."""
        for websocket in [*websockets]:
            websocket._connection.close(code, reason, now=websocket._now())
            websocket._settle()

    async def _live(self, websocket: A) -> None:
        """The life of a connection: handshake, handler, close. Raises nothing but that it is
        cancelled.
        """
        admission = self._admission
        try:
            await answer_request(
                websocket, self._on_request, self._log, lambda: admission.admit(websocket)
            )
            self.connections.add(websocket)
            await run_handler(websocket, self._handler, websocket, self._note_failure)
            await websocket.close(*admission.farewell)
            reason = await websocket.wait_closed()
            if reason.unexpected:
                self._log.info("%r: %s", websocket, reason)
        except HandshakeError as error:
            self._log.info("%r: %s", websocket, error)
            await websocket.wait_closed()
        finally:
            self._leave(websocket)

    def _leave(self, websocket: A) -> None:
        """This one is at its end, or was never let in."""
        self.connections.discard(websocket)
        self._admission.leave(websocket)

    def _note_failure(self, websocket: A, error: BaseException) -> None:
        if self._has_failed(websocket, error):
            websocket._connection.fail(Cause.HANDLER_ERROR, now=websocket._now())
            websocket._settle()

    async def _notify(self, websocket: A) -> None:
        """Tell a connection that the server drains."""
        if self._on_drain is None:
            return
        try:
            answer = self._on_drain(websocket)
            if inspect.isawaitable(answer):
                await answer
        except ConnectionClosed:
            # Its client was faster.
            return
        except Exception as error:  # noqa: BLE001  (a hook's own: logged)
            self._log.error("%r: on_drain failed", websocket, exc_info=error)


class Listener(Protocol):
    async def aclose(self) -> object: ...


L = TypeVar("L", bound=Listener)


class StructuredServer(AsyncServer[D], Making[D], Runtime, Generic[D, L]):
    """A server on a runtime with structured concurrency.

    A subclass brings the :class:`Runtime`, fills ``_listeners``, and runs :meth:`_serve_one` for
    each stream that they accept, in a task each, within the scope ``_listening``.
    """

    _places = "listeners"

    def __init__(
        self,
        handler: Callable[[D], Awaitable[object]],
        on_request: Callable[[Request], Answer | Awaitable[Answer]] | None,
        on_drain: Callable[[D], Awaitable[object] | None] | None,
        admission: Admission,
        config: Config,
        ssl: Any,
    ) -> None:
        """Not public: use ``serve``."""
        super().__init__(handler, on_request, on_drain, admission, config)
        self._ssl: Final = ssl
        self._listeners: Final[list[L]] = []
        self._listening: Final = self._cancel_scope()
        self._lives: Final[dict[D, _Life]] = {}

    @property
    def listeners(self) -> tuple[L, ...]:
        """The listeners that are accepted from; none after :meth:`close`."""
        return tuple(self._listeners)

    async def _close(self, code: int, reason: str, drain: float) -> None:
        try:
            if drain and self._other_lives():
                await self._drain(drain)
        finally:
            self._closed = True
            # Cancelled, too: whatever of it need not wait still goes out.
            self._close_each(self._lives, code, reason)
            await self._end()

    async def _end(self) -> None:
        """Stop listening, and wait until every connection's task has ended."""
        try:
            await self._stop_listening()
            with self._cancel_scope(deadline=self._current_time() + self._patience):
                await self._until_ended(self._other_lives())
        finally:
            ending = self._other_lives()
            for life in ending:
                life.scope.cancel()
            with self._cancel_scope(shield=True):
                await self._until_ended(ending)
            self._ended.set()

    async def _drain(self, seconds: float) -> None:
        """Tell every connection, and wait until their handlers have returned, if they do."""
        lives = self._other_lives()
        with self._cancel_scope(deadline=self._current_time() + seconds):
            async with self._task_group() as group:
                for websocket in [*self.connections]:
                    group.start_soon(self._notify, websocket)
                await self._until_ended(lives)
                group.cancel_scope.cancel()

    async def _stop_listening(self) -> None:
        self._listening.cancel()
        with self._cancel_scope(shield=True):
            async with AsyncExitStack() as closing:
                while self._listeners:
                    closing.push_async_callback(self._listeners.pop().aclose)

    def _other_lives(self) -> list[_Life]:
        task = self._current_task()
        return [life for life in self._lives.values() if life.task != task]

    async def _until_ended(self, lives: Collection[_Life]) -> None:
        for life in lives:
            await life.ended.wait()

    async def _serve_one(self, group: TaskGroup, stream: Any) -> None:
        """Serve a stream, as a task: it raises nothing but that it is cancelled.

        :param group: where the connection's own tasks run.
        """
        if self._closed:
            # It was accepted before, and its task has begun only now.
            await self._abort_stream(stream)
            return
        websocket = self._make(Connection.server(self._config, now=self._current_time()))
        life = _Life(self._current_task(), self._cancel_scope(), self._event())
        self._lives[websocket] = life
        try:
            with life.scope:
                secured = await secure(websocket, stream, self._ssl)
                if secured is not None:
                    group.start_soon(websocket._carry, secured)
                await self._live(websocket)
        finally:
            await websocket._leave()
            del self._lives[websocket]
            life.ended.set()


class _Life:
    """A connection's task on a server: how to end it, and when it has."""

    def __init__(self, task: object, scope: CancelScope, ended: Event) -> None:
        self.task: Final = task
        self.scope: Final = scope
        self.ended: Final = ended


async def run_handler(
    runtime: Cancelling,
    handler: Callable[[T], Awaitable[object]],
    subject: T,
    note_failure: Callable[[T, BaseException], object],
) -> None:
    """Run a handler; what it raises is noted, and goes no further, unless it is cancelled.

    :param runtime: a connection, or whatever else knows how it is said that somebody is cancelled.
    :param subject: what the handler is called with.
    :param note_failure: called with the subject and what was raised.
    """
    try:
        await handler(subject)
    except Exception as error:  # noqa: BLE001  (a handler's own: logged)
        note_failure(subject, error)
    except BaseExceptionGroup as group:
        # Cancelled, some of its tasks have failed all the same.
        failures, rest = group.split(Exception)
        if failures is not None:
            note_failure(subject, failures)
        if rest is not None:
            raise rest from None
    except runtime._cancelled_error() as error:
        await runtime._checkpoint_if_cancelled()
        # Not cancelled itself, it tripped over something that was.
        note_failure(subject, error)
