"""What a server does with its connections, and how it closes them all, in virtual time."""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tests.wscore.carried import Peer, Socket, Wire
from tests.wscore.kernel import Broken, Cancelled, Event, Kernel, Task, always, until

from wscore import (
    Admission,
    CallerDriven,
    CloseReason,
    Config,
    Connection,
    ConnectionClosed,
    HandshakeRejected,
    Request,
    Response,
    State,
    StructuredServer,
    run_handler,
)

CONFIG = Config(close_timeout=5, open_timeout=10, ping_interval=math.inf)


class Listener:
    """Something that can be listened on, with a port or without."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port
        self.closed = False

    async def aclose(self) -> None:
        await until(always)
        self.closed = True


class Log:
    """What is told.

    :ivar errors: the exceptions among it.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[BaseException | None] = []

    def info(self, message: str, /, *args: object) -> None:
        self.lines.append(message % args)

    def error(self, message: str, /, *args: object, exc_info: BaseException | None = None) -> None:
        self.lines.append(message % args)
        self.errors.append(exc_info)


class House:
    """A server, and those who visit it."""

    def __init__(
        self,
        handler: Callable[[CallerDriven], Awaitable[object]],
        *,
        on_request: Callable[[Request], Any] | None = None,
        on_drain: Callable[[CallerDriven], Any] | None = None,
        max_connections: int | None = None,
        config: Config = CONFIG,
        tls: Callable[[Wire], Awaitable[Wire]] | None = None,
    ) -> None:
        self.kernel = kernel = Kernel()
        self.log = log = Log()

        class Server(kernel.runtime, StructuredServer[CallerDriven, Listener]):  # type: ignore[misc, name-defined]
            _log = log

            @staticmethod
            def _make(connection: Connection) -> CallerDriven:
                return kernel.websocket_of(connection, partial(Socket, kernel))

            def _ports(self) -> Iterator[int]:
                return (each.port for each in self._listeners if each.port is not None)

        make: Any = Server
        self.server: StructuredServer[CallerDriven, Listener] = make(
            handler, on_request, on_drain, Admission(max_connections), config, tls
        )
        kernel.start(self._keep())
        kernel.settle()

    async def _keep(self) -> None:
        async with self.kernel.task_group() as self.group:
            await Event().wait()

    def serve(self, wire: Wire) -> Task[None]:
        """A stream was accepted: its task."""
        task = self.kernel.start(self.server._serve_one(self.group, wire))
        self.kernel.settle()
        return task

    def visit(self) -> Visitor:
        """A client connects, and has its answer if there is one."""
        return Visitor(self)

    def close(self, *args: Any, **options: Any) -> Task[None]:
        """The server begins to close."""
        task = self.kernel.start(self.server.close(*args, **options))
        self.kernel.settle()
        return task

    def end(self) -> None:
        """Nobody stays behind."""
        self.kernel.end()
        assert self.server.connections == set()
        assert self.server._lives == {}


class Visitor(Peer):
    """A client of a server.

    :ivar served: the task of its connection there.
    """

    def __init__(self, house: House) -> None:
        wire = Wire()
        request = Request("/", "example.com")
        super().__init__(
            house.kernel, wire, connection=Connection.client(request, now=house.kernel.now)
        )
        self.write()
        self.served = house.serve(wire)
        self._house = house
        self.talk()

    def talk(self) -> None:
        """Read what there is, answer what has to be, and let the server go on."""
        with suppress(HandshakeRejected):
            self.read()
        self._house.kernel.settle()

    def leave(self) -> None:
        """Close by the book."""
        self.connection.close(now=self._house.kernel.now)
        self.write()
        self._house.kernel.settle()
        self.talk()
        self.hang_up()

    def hang_up(self) -> None:
        """Say nothing, and go."""
        self._wire.coming.append(b"")
        self._house.kernel.settle()

    @property
    def reason(self) -> CloseReason:
        """Why its connection ended."""
        reason = self.connection.close_reason
        assert reason is not None
        return reason


MakeHouse = Callable[..., House]


@pytest.fixture
def build() -> Iterator[MakeHouse]:
    """Makes servers, and sees that nobody stays behind."""
    houses: list[House] = []

    def make(handler: Callable[[CallerDriven], Awaitable[object]], **options: Any) -> House:
        houses.append(House(handler, **options))
        return houses[-1]

    yield make
    for house in houses:
        house.end()
    # What a failed test leaves behind is not for the next one to be told of.
    gc.collect()


async def echo(websocket: CallerDriven) -> None:
    async for message in websocket:
        await websocket.send(message)


async def stay(websocket: CallerDriven) -> None:
    await Event().wait()


async def go(websocket: CallerDriven) -> None:
    """A handler that has nothing to do."""


# The life of a connection.


def test_a_handler_serves_an_open_connection(build: MakeHouse) -> None:
    house = build(echo)
    visitor = house.visit()
    assert [each.state for each in house.server.connections] == [State.OPEN]
    visitor.say("hello")
    house.kernel.settle()
    assert visitor.read() == ["hello"]
    visitor.leave()
    assert visitor.served.ended
    assert house.server.connections == set()
    assert house.log.lines == []


def test_when_it_returns_the_connection_is_closed(build: MakeHouse) -> None:
    house = build(go)
    visitor = house.visit()
    visitor.talk()
    visitor.hang_up()
    assert visitor.served.ended
    assert visitor.reason.code == 1000


def test_if_it_raises_the_connection_fails(build: MakeHouse) -> None:
    error = RuntimeError("a mistake")

    async def fail(websocket: CallerDriven) -> None:
        raise error

    house = build(fail)
    visitor = house.visit()
    visitor.talk()
    visitor.hang_up()
    assert visitor.served.ended
    assert visitor.reason.code == 1011
    assert house.log.errors == [error]
    assert "the handler failed" in house.log.lines[0]


def test_that_it_met_the_end_is_no_failure(build: MakeHouse) -> None:
    async def receive(websocket: CallerDriven) -> None:
        while True:
            await websocket.recv()

    house = build(receive)
    visitor = house.visit()
    visitor.leave()
    assert visitor.served.ended
    assert house.log.lines == []


def test_that_it_met_the_end_of_another_one_is(build: MakeHouse) -> None:
    connections: list[CallerDriven] = []

    async def receive_of_the_first(websocket: CallerDriven) -> None:
        connections.append(websocket)
        await connections[0].recv()

    house = build(receive_of_the_first)
    first, second = house.visit(), None
    first.leave()
    second = house.visit()
    second.talk()
    assert second.reason.code == 1011
    assert isinstance(house.log.errors[0], ConnectionClosed)
    second.hang_up()


def test_an_end_that_nobody_chose_is_told(build: MakeHouse) -> None:
    house = build(echo)
    house.visit().hang_up()
    assert len(house.log.lines) == 1
    assert house.log.errors == []


def test_a_handshake_that_fails_is_told(build: MakeHouse) -> None:
    house, wire = build(echo), Wire()
    wire.coming.append(b"this is no HTTP\r\n\r\n")
    task = house.serve(wire)
    wire.coming.append(b"")
    house.kernel.settle()
    assert task.ended
    assert b" 400 " in b"".join(wire.written)
    assert len(house.log.lines) == 1


def test_one_with_whom_tls_fails_is_over(build: MakeHouse) -> None:
    async def fail(wire: Wire) -> Wire:
        raise Broken

    house, wire = build(echo, tls=fail), Wire()
    assert house.serve(wire).ended
    assert wire.number < 0
    assert wire.reads == 0
    assert len(house.log.lines) == 1


def test_more_than_may_be_let_in_are_refused_until_one_leaves(build: MakeHouse) -> None:
    house = build(echo, max_connections=1)
    first = house.visit()
    second = house.visit()
    assert second.connection.response is not None
    assert second.connection.response.status == 503
    second.hang_up()
    first.leave()
    assert house.visit().connection.state is State.OPEN


# What a handler raises.


def note(noted: list[BaseException], error: BaseException) -> None:
    noted.append(error)


class Group(BaseExceptionGroup[BaseException]):
    """One that stays what it is, even of failures alone."""


@pytest.mark.parametrize("failures", [[], [OSError()]], ids=["none", "one"])
@pytest.mark.parametrize("others", [[], [Cancelled()]], ids=["alone", "with others"])
def test_of_a_group_failures_are_noted_and_the_rest_goes_on(
    failures: list[BaseException], others: list[BaseException]
) -> None:
    kernel, noted, raised = Kernel(), list[BaseException](), list[BaseException]()

    async def fail(_: object) -> None:
        if failures or others:
            raise Group("", [*failures, *others])

    async def main() -> None:
        try:
            await run_handler(kernel.websocket(), fail, noted, note)
        except BaseExceptionGroup as group:
            raised.extend(group.exceptions)

    kernel.run(main())
    assert [each for group in noted for each in each_of(group)] == failures
    assert raised == others


def each_of(group: BaseException) -> tuple[BaseException, ...]:
    assert isinstance(group, BaseExceptionGroup)
    return group.exceptions


@pytest.mark.parametrize("itself", [False, True])
def test_a_handler_is_cancelled_itself_or_meets_what_was(itself: bool) -> None:
    kernel = Kernel()
    noted: list[BaseException] = []

    async def meet(_: object) -> None:
        if itself:
            kernel.running.cancel()
        raise Cancelled

    task = kernel.start(run_handler(kernel.websocket(), meet, noted, note))
    kernel.settle()
    assert task.cancelled is itself
    assert len(noted) == (not itself)


# Closing.


def test_closing_closes_every_connection_and_stops_listening(build: MakeHouse) -> None:
    house = build(echo)
    listeners = [Listener(80), Listener(81)]
    house.server._listeners.extend(listeners)
    assert house.server.listeners == (*listeners,)
    visitors = [house.visit(), house.visit()]
    task = house.close(1012, "later")
    assert house.server.listeners == ()
    assert all(listener.closed for listener in listeners)
    assert not task.ended
    for visitor in visitors:
        visitor.talk()
        visitor.hang_up()
    assert task.ended
    assert [visitor.reason.code for visitor in visitors] == [1012, 1012]
    assert house.kernel.now == 0


def test_one_in_its_handshake_is_closed_too(build: MakeHouse) -> None:
    house, wire = build(echo), Wire()
    served = house.serve(wire)
    task = house.close()
    wire.coming.append(b"")
    house.kernel.settle()
    assert served.ended
    assert task.ended


def test_who_comes_later_is_refused(build: MakeHouse) -> None:
    house, wire = build(echo), Wire()
    assert house.close().ended
    assert house.serve(wire).ended
    assert wire.number < 0
    assert wire.written == []


def test_a_handler_that_does_not_return_is_cancelled(build: MakeHouse) -> None:
    house = build(stay)
    visitor = house.visit()
    task = house.close()
    house.kernel.wait(2 * CONFIG.close_timeout - 0.1)
    assert not task.ended
    house.kernel.wait(0.2)
    assert task.ended
    assert visitor.served.ended


def test_closing_that_is_cancelled_leaves_nothing_behind(build: MakeHouse) -> None:
    house = build(stay)
    visitor = house.visit()
    task = house.close(drain=60)
    task.cancel()
    house.kernel.settle()
    assert task.cancelled
    assert visitor.served.ended
    visitor.talk()
    assert visitor.reason.code == 1001


def test_a_handler_that_closes_the_server_is_not_waited_for(build: MakeHouse) -> None:
    async def close(websocket: CallerDriven) -> None:
        await house.server.close(drain=60)

    house = build(close)
    visitor = house.visit()
    visitor.talk()
    visitor.hang_up()
    assert visitor.served.ended
    assert not visitor.served.cancelled
    assert house.kernel.now == 0


def test_serving_for_ever_ends_with_the_server(build: MakeHouse) -> None:
    house = build(echo)
    task = house.kernel.start(house.server.serve_forever())
    house.kernel.settle()
    assert not task.ended
    house.close()
    assert task.result() is None


def test_serving_for_ever_that_is_cancelled_closes_the_server(build: MakeHouse) -> None:
    house = build(stay)
    visitor = house.visit()
    task = house.kernel.start(house.server.serve_forever())
    house.kernel.settle()
    task.cancel()
    house.kernel.settle()
    assert task.cancelled
    assert visitor.served.ended


# Draining.


def test_a_drain_lets_handlers_go_on_for_so_long(build: MakeHouse) -> None:
    house = build(echo)
    visitor = house.visit()
    task = house.close(drain=60)
    house.kernel.wait(59)
    visitor.say("still there")
    house.kernel.settle()
    assert visitor.read() == ["still there"]
    late = house.visit()
    assert late.connection.response is not None
    assert late.connection.response.status == 503
    late.hang_up()
    house.kernel.wait(1)
    visitor.talk()
    visitor.hang_up()
    assert task.ended
    assert visitor.reason.code == 1001


def test_it_ends_when_they_have_returned(build: MakeHouse) -> None:
    house = build(echo, on_drain=lambda websocket: stay(websocket))
    visitor = house.visit()
    task = house.close(drain=60)
    house.kernel.wait(1)
    visitor.leave()
    assert task.ended
    assert house.kernel.now == 1


def test_it_is_told_by_a_function_or_a_coroutine(build: MakeHouse) -> None:
    def tell(websocket: CallerDriven) -> Awaitable[bool] | None:
        told.append(websocket)
        return websocket.send("soon") if len(told) == 1 else None

    told: list[CallerDriven] = []
    house = build(echo, on_drain=tell)
    visitors = [house.visit(), house.visit()]
    house.close(drain=1)
    assert {*told} == house.server.connections
    assert sorted(len(visitor.read()) for visitor in visitors) == [0, 1]


@pytest.mark.parametrize("error", [OSError(), None])
def test_what_telling_raises_is_logged_but_not_the_end(
    build: MakeHouse, error: Exception | None
) -> None:
    async def tell(websocket: CallerDriven) -> None:
        websocket.abort()
        if error is not None:
            raise error
        await websocket.send("too late")

    house = build(echo, on_drain=tell)
    house.visit()
    assert house.close(drain=1).ended
    assert house.log.errors == ([] if error is None else [error])


@pytest.mark.parametrize(
    ("args", "options"), [((1005,), {}), ((1000, 5), {}), ((), {"drain": -1})]
)
def test_what_cannot_be_right_is_raised_at_once(
    build: MakeHouse, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    house = build(echo)
    visitor = house.visit()
    with pytest.raises((ValueError, TypeError)):
        house.close(*args, **options).result()
    assert visitor.connection.state is State.OPEN


# Ports.


def test_the_port_is_the_one_that_there_is(build: MakeHouse) -> None:
    house = build(echo)
    house.server._listeners.extend([Listener(80), Listener(80), Listener()])
    assert house.server.port == 80


@pytest.mark.parametrize("ports", [[], [None], [80, 81]])
def test_if_there_is_not_exactly_one_it_says_so(build: MakeHouse, ports: list[int | None]) -> None:
    house = build(echo)
    house.server._listeners.extend(map(Listener, ports))
    with pytest.raises(ValueError, match="see listeners"):
        assert house.server.port


# Requests.


def asked(house: House) -> Response | None:
    """What a visitor is answered, if it is."""
    return house.visit().connection.response


async def later(answer: Any) -> Any:
    await until(always)
    return answer


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize(("answer", "status"), [(None, 101), (Response(403), 403)])
def test_the_hook_answers_at_once_or_later(
    build: MakeHouse, answer: Response | None, status: int, wait: bool
) -> None:
    house = build(go, on_request=lambda _: later(answer) if wait else answer)
    response = asked(house)
    assert response is not None
    assert response.status == status


def test_a_hook_that_raises_is_answered_for(build: MakeHouse) -> None:
    error = RuntimeError()

    def fail(_: Request) -> None:
        raise error

    house = build(go, on_request=fail)
    response = asked(house)
    assert response is not None
    assert response.status == 500
    assert house.log.errors == [error]


def test_a_hook_that_takes_too_long_is_left(build: MakeHouse) -> None:
    async def hang(_: Request) -> None:
        await Event().wait()

    house = build(go, on_request=hang)
    visitor = house.visit()
    house.kernel.wait(CONFIG.open_timeout)
    visitor.hang_up()
    assert visitor.served.ended
    assert visitor.connection.response is None or visitor.connection.response.status != 101
    assert house.log.errors == []


@pytest.mark.parametrize("itself", [False, True])
def test_a_hook_is_cancelled_itself_or_meets_what_was(build: MakeHouse, itself: bool) -> None:
    async def meet(_: Request) -> None:
        if itself:
            house.kernel.running.cancel()
        raise Cancelled

    house = build(go, on_request=meet)
    visitor = house.visit()
    assert visitor.served.cancelled is itself
    assert len(house.log.errors) == (not itself)


def test_a_client_that_went_away_meanwhile_is_not_answered(build: MakeHouse) -> None:
    waits = Event()

    async def hang(_: Request) -> None:
        await waits.wait()

    house = build(go, on_request=hang)
    visitor = house.visit()
    house.kernel.wait(1)
    visitor.hang_up()
    waits.set()
    house.kernel.settle()
    assert visitor.served.ended
    assert visitor.connection.response is None
