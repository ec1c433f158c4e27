"""How a connection opens where tasks end in their block, and what is left if it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, Self

import pytest
from tests.wscore.carried import Peer, Socket, Wire
from tests.wscore.kernel import Broken, Cancelled, Event, Group, Kernel, Task, until

from wscore import (
    Accepting,
    CallerDriven,
    Config,
    Connecting,
    Connection,
    Destination,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    Home,
    OpenTimeout,
    Request,
    Response,
    Role,
    State,
)

CONFIG = Config(open_timeout=10, close_timeout=5)


class Log:
    def info(self, message: str, /, *args: object) -> None: ...

    def error(
        self, message: str, /, *args: object, exc_info: BaseException | None = None
    ) -> None: ...


class Scene:
    """One side that opens, and the other side of its wire, by hand.

    :ivar dialled: where the client connected to.
    :ivar dial: what connecting a stream is; it gives a stream.
    """

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.wire = Wire()
        self.dialled: list[Destination] = []
        self.dial: Callable[[], Awaitable[Wire]] = self._dial
        self.peer: Peer

    async def _dial(self) -> Wire:
        await self.kernel.checkpoint()
        return self.wire

    def make(self, connection: Connection) -> CallerDriven:
        return self.kernel.websocket_of(connection, partial(Socket, self.kernel))

    def connect(self, group: Group | None = None) -> Connecting[CallerDriven]:
        scene = self

        class Connect(self.kernel.runtime, Connecting[CallerDriven]):  # type: ignore[misc, name-defined]
            _make = staticmethod(self.make)

            async def _connect_stream(self, destination: Destination) -> Wire:
                scene.dialled.append(destination)
                return await scene.dial()

        self.meet_client()
        destination = Destination.first(
            "ws://example.com/",
            headers=(),
            origin=None,
            proxy=None,
            max_redirects=5,
            with_tls=False,
            server_hostname=None,
            unix_path=None,
        )
        make: Any = Connect
        return make(destination, group, CONFIG)  # type: ignore[no-any-return]

    def accept(
        self,
        group: Group | None = None,
        on_request: Callable[[Request], Any] | None = None,
        tls: Callable[[Wire], Awaitable[Wire]] | None = None,
    ) -> Accepting[CallerDriven]:
        class Accept(self.kernel.runtime, Accepting[CallerDriven]):  # type: ignore[misc, name-defined]
            _make = staticmethod(self.make)
            _log = Log()

        connection = Connection.client(Request("/", "example.com"), now=self.kernel.now)
        self.peer = Peer(self.kernel, self.wire, connection=connection)
        self.peer.write()
        make: Any = Accept
        return make(self.wire, tls, on_request, group, CONFIG)  # type: ignore[no-any-return]

    def meet_client(self) -> None:
        """There is a server at the other side of the wire."""
        connection = Connection.server(now=self.kernel.now)
        self.peer = Peer(self.kernel, self.wire, Role.SERVER, connection)

    def answer(self, response: Response | None = None) -> None:
        """The server at the other side answers the request."""
        self.kernel.settle()
        self.peer.connection.receive_data(b"".join(self.wire.written), now=self.kernel.now)
        self.wire.written.clear()
        self.peer.connection.respond(response, now=self.kernel.now)
        self.peer.write()
        if response is not None:
            self.wire.coming.append(b"")
        self.kernel.settle()

    def start(self, coro: Any) -> Task[Any]:
        task = self.kernel.start(coro)
        self.kernel.settle()
        return task

    def keep(self) -> Group:
        """A task group of the caller's."""
        group = Group(self.kernel)

        async def wait() -> None:
            async with group:
                await Event().wait()

        self.start(wait())
        return group


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene, in which nobody stays behind."""
    made = Scene()
    yield made
    made.kernel.end()
    assert made.wire.number < 0 or not made.dialled


async def entered(
    opening: Connecting[CallerDriven] | Accepting[CallerDriven],
    block: Callable[[CallerDriven], Awaitable[object]],
) -> object:
    async with opening as websocket:
        return await block(websocket)


async def awaited(opening: Connecting[CallerDriven] | Accepting[CallerDriven]) -> CallerDriven:
    return await opening


async def nothing(websocket: CallerDriven) -> State:
    return websocket.state


# The client's side.


def test_entered_it_is_open_and_left_it_is_closed(scene: Scene) -> None:
    task = scene.start(entered(scene.connect(), nothing))
    scene.answer()
    scene.peer.read()
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    assert task.result() is State.OPEN
    reason = scene.peer.connection.close_reason
    assert reason is not None
    assert reason.code == 1000


def test_what_the_block_raises_is_raised_and_told(scene: Scene) -> None:
    error = RuntimeError()

    async def fail(_: CallerDriven) -> None:
        raise error

    task = scene.start(entered(scene.connect(), fail))
    scene.answer()
    scene.peer.read()
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    with pytest.raises(RuntimeError) as caught:
        task.result()
    assert caught.value is error
    reason = scene.peer.connection.close_reason
    assert reason is not None
    assert reason.code == 1011


def test_awaited_it_runs_in_the_callers_group_and_ends_with_that(scene: Scene) -> None:
    group = scene.keep()
    task = scene.start(awaited(scene.connect(group)))
    scene.answer()
    websocket = task.result()
    assert websocket.close_reason is None
    group.cancel_scope.cancel()
    scene.kernel.settle()
    assert websocket.close_reason is not None


def test_awaited_without_one_it_says_what_it_needs(scene: Scene) -> None:
    with pytest.raises(TypeError, match=r"await Connect\(...\) needs group="):
        scene.start(awaited(scene.connect())).result()


def test_entered_with_the_callers_group_it_runs_there(scene: Scene) -> None:
    group = scene.keep()
    task = scene.start(entered(scene.connect(group), lambda websocket: websocket.wait_closed()))
    scene.answer()
    group.cancel_scope.cancel()
    scene.kernel.settle()
    assert task.ended


def test_a_rejection_is_raised_and_leaves_nothing(scene: Scene) -> None:
    task = scene.start(entered(scene.connect(), nothing))
    scene.answer(Response(403))
    with pytest.raises(HandshakeRejected):
        task.result()
    assert scene.wire.number < 0


def test_a_redirection_is_followed_within_the_same_time(scene: Scene) -> None:
    task = scene.start(entered(scene.connect(), nothing))
    scene.kernel.wait(6)
    first = scene.wire
    scene.wire = Wire()
    first.coming.append(
        b"HTTP/1.1 302 Found\r\nLocation: ws://other.example/\r\nContent-Length: 0\r\n\r\n"
    )
    scene.kernel.settle()
    assert [each.url.host for each in scene.dialled] == ["example.com", "other.example"]
    scene.kernel.wait(3)
    assert not task.ended
    scene.kernel.wait(1)
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    with pytest.raises(OpenTimeout):
        task.result()
    assert first.number < 0


def test_a_stream_that_cannot_be_had_is_why(scene: Scene) -> None:
    async def fail() -> Wire:
        raise ConnectionRefusedError

    scene.wire.number = -1
    scene.dial = fail
    task = scene.start(entered(scene.connect(), nothing))
    with pytest.raises(HandshakeInterrupted) as caught:
        task.result()
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_cancelled_it_leaves_nothing(scene: Scene) -> None:
    task = scene.start(entered(scene.connect(), nothing))
    assert scene.wire.written
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.wire.number < 0


# The server's side.


def test_a_request_is_accepted(scene: Scene) -> None:
    task = scene.start(entered(scene.accept(), lambda websocket: websocket.recv()))
    scene.peer.read()
    scene.peer.say("hello")
    scene.kernel.settle()
    scene.peer.read()
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    assert task.result() == "hello"


def test_who_is_refused_is_told_first(scene: Scene) -> None:
    group = scene.keep()
    task = scene.start(awaited(scene.accept(group, lambda _: Response(403))))
    assert b" 403 " in b"".join(scene.wire.written)
    assert not task.ended
    scene.wire.coming.append(b"")
    scene.kernel.settle()
    with pytest.raises(HandshakeRefused):
        task.result()


def test_cancelled_meanwhile_it_leaves_nothing(scene: Scene) -> None:
    group = scene.keep()
    task = scene.start(awaited(scene.accept(group, lambda _: Response(403))))
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.wire.number < 0


def test_it_runs_over_tls(scene: Scene) -> None:
    async def agree(wire: Wire) -> Wire:
        outer.append(wire)
        return scene.wire

    outer: list[Wire] = []
    task = scene.start(awaited(scene.accept(scene.keep(), tls=agree)))
    assert outer == [scene.wire]
    assert task.result().state is State.OPEN


def test_without_tls_there_is_no_stream(scene: Scene) -> None:
    async def fail(_: Wire) -> Wire:
        raise Broken

    task = scene.start(awaited(scene.accept(scene.keep(), tls=fail)))
    with pytest.raises(HandshakeError):
        task.result()
    assert scene.wire.number < 0
    assert scene.wire.reads == 0


def test_cancelled_in_tls_it_leaves_nothing(scene: Scene) -> None:
    async def hang(_: Wire) -> Wire:
        await until(lambda: False)
        raise AssertionError

    task = scene.start(awaited(scene.accept(scene.keep(), tls=hang)))
    task.cancel()
    scene.kernel.settle()
    assert task.cancelled
    assert scene.wire.number < 0


# Where tasks run.


class Grouping(Group):
    """A task group that says in a group that its caller is cancelled, as others do."""

    async def __aenter__(self) -> Self:
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        await super().__aexit__(exc_type, exc, traceback)
        raise BaseExceptionGroup("", [Cancelled()])


@pytest.mark.parametrize("cancelled", [True, False])
def test_that_the_caller_is_cancelled_is_said_without_a_group(cancelled: bool) -> None:
    kernel, raised = Kernel(), list[BaseException]()

    async def main() -> None:
        home = Home(Grouping(kernel), kernel.checkpoint_if_cancelled)
        await home.enter()
        if cancelled:
            kernel.running.cancel()
        try:
            await home.leave()
        except BaseExceptionGroup as group:
            raised.append(group)

    task = kernel.start(main())
    kernel.settle()
    assert task.cancelled is cancelled
    assert len(raised) == (not cancelled)
