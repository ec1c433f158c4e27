"""The only place that decides how a server answers a request, where a hook may be awaited: who is
asked, and what it means that a hook fails or takes too long.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from ._connection import Connection, State
from ._http import Accept, Request, Response
from ._log import Log

__all__ = ["Answer", "Answering", "Cancelling", "answer_request"]

Answer: TypeAlias = Accept | Response | None


class Cancelling(Protocol):
    """How a runtime says that whoever runs is cancelled; see :class:`Runtime`."""

    @property
    def _cancelled_error(self) -> Callable[[], type[BaseException]]: ...

    @property
    def _checkpoint_if_cancelled(self) -> Callable[[], Awaitable[object]]: ...


class Answering(Cancelling, Protocol):
    """A connection that has a request to answer, as an adapter's WebSocket is."""

    @property
    def _connection(self) -> Connection: ...

    @property
    def _now(self) -> Callable[[], float]: ...

    def _settle(self) -> object: ...

    async def _until_opening(self, ready: Callable[[], bool]) -> object:
        """Wait for what the handshake brings."""
        ...

    async def _until_deadline(self, answer: Awaitable[Answer]) -> Answer:
        """Wait for it until the connection's deadline; then tell the connection, and give None."""
        ...


async def answer_request(
    websocket: Answering,
    on_request: Callable[[Request], Answer | Awaitable[Answer]] | None,
    log: Log,
    admit: Callable[[], Response | None] = lambda: None,
) -> None:
    """Wait for the request and answer it, for adapters that wait.

    :param on_request: the hook, which is asked within the connection's deadline; None accepts.
    :param log: is told what the hook raises; the answer is 500 then.
    :param admit: asked once the request is here, before the hook; may refuse it.
    :raises HandshakeError: the connection does not open.
    """
    connection = websocket._connection
    await websocket._until_opening(
        lambda: connection.request is not None or connection.state is not State.CONNECTING
    )
    request = connection.poll_request()
    assert request is not None
    try:
        _respond(websocket, admit() or await _ask(websocket, on_request, request))
    except Exception as error:  # noqa: BLE001  (a hook's own: logged)
        _fail(websocket, error, log)
    except websocket._cancelled_error() as error:
        await websocket._checkpoint_if_cancelled()
        # Not cancelled itself, the hook tripped over something that was.
        _fail(websocket, error, log)
    connection.poll_open()


async def _ask(
    websocket: Answering,
    on_request: Callable[[Request], Answer | Awaitable[Answer]] | None,
    request: Request,
) -> Answer:
    if on_request is None:
        return None
    answer = on_request(request)
    if not inspect.isawaitable(answer):
        return answer
    return await websocket._until_deadline(answer)


def _fail(websocket: Answering, error: BaseException, log: Log) -> None:
    """Answer for a hook that raised this."""
    log.error("%r: on_request failed", websocket, exc_info=error)
    _respond(websocket, Response(500))


def _respond(websocket: Answering, answer: Answer) -> None:
    """Answer the request, unless the client went away meanwhile or time is up."""
    connection = websocket._connection
    if connection.state is State.CONNECTING:
        connection.respond(answer, now=websocket._now())
    websocket._settle()
