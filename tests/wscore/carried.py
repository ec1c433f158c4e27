"""The only place for what carries a connection in virtual time: a wire, its two ends, and a scene
with all of them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from tests.wscore.kernel import Kernel, Task, until
from tests.wscore.rawpeer import reason_of

from wscore import (
    Carrier,
    CloseReason,
    Config,
    Connection,
    ConnectionClosed,
    Message,
    Role,
    SocketCarrier,
    StreamCarrier,
)


class Closing(Exception):
    """Whoever waits for a socket is told that it is closing."""


class Wire:
    """A socket, and the network behind it as far as it can be seen from there.

    :ivar room: bytes that can still be written.
    :ivar written: what was, in one piece for each call; b"" is the end.
    :ivar error: what writing raises.
    :ivar coming: what can be read, in one piece for each call; b"" is the end.
    :ivar broken: what reading raises, after that.
    :ivar reads: how often it was read.
    :ivar landings: what it was read into.
    :ivar said_closing: how often it was said that it is.
    :ivar number: what the system knows it by; negative once it is closed.
    """

    def __init__(self) -> None:
        self.room: float = math.inf
        self.written: list[bytes] = []
        self.error: OSError | None = None
        self.coming: list[bytes] = []
        self.broken: OSError | None = None
        self.reads = 0
        self.landings: list[memoryview] = []
        self.number = 7
        self.said_closing = 0

    def fileno(self) -> int:
        return self.number

    def send(self, data: bytes | memoryview, /) -> int:
        return self.sendmsg([data])

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        if self.error is not None:
            raise self.error
        if self.number < 0:
            raise OSError("closed already")
        data = b"".join(buffers)
        if not self.room:
            raise BlockingIOError
        sent = data[: int(min(self.room, len(data)))]
        self.room -= len(sent)
        self.written.append(sent)
        return len(sent)

    def recv_into(self, buffer: memoryview, /) -> int:
        self.reads += 1
        if not self.coming:
            raise self.broken or BlockingIOError
        data = self.coming.pop(0)
        if len(data) > len(buffer):
            self.coming.insert(0, data[len(buffer) :])
            data = data[: len(buffer)]
        buffer[: len(data)] = data
        self.landings.append(buffer)
        return len(data)

    def is_readable(self) -> bool:
        return bool(self.coming) or self.broken is not None


class Scratch:
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(256 * 1024))


class Socket(SocketCarrier):
    """A socket of this runtime: a wire.

    :ivar closed: how often it was closed.
    :ivar readers: the task of each read.
    """

    _scratch = Scratch()
    _closed_error = Closing

    def __init__(
        self, kernel: Kernel, wire: Wire, connection: Connection, awaited: Wire | None = None
    ) -> None:
        super().__init__(wire, connection, kernel.clock, ("here", "there"), awaited=awaited)
        self.wire = wire
        self.closed = 0
        self.readers: list[Task[Any]] = []
        self._kernel = kernel

    async def read(self) -> bool:
        self.readers.append(self._kernel.running)
        return await super().read()

    @staticmethod
    async def _wait_readable(sock: Any, /) -> None:
        said = sock.said_closing
        await until(lambda: sock.is_readable() or sock.said_closing != said)
        if sock.said_closing != said:
            raise Closing

    @staticmethod
    async def _wait_writable(sock: Any, /) -> None:
        said = sock.said_closing
        await until(lambda: sock.room > 0 or bool(sock.error) or sock.said_closing != said)
        if sock.said_closing != said:
            raise Closing

    @staticmethod
    def _notify_closing(sock: Any, /) -> None:
        sock.said_closing += 1

    async def end_write(self) -> None:
        self.write_ended = True
        self.wire.written.append(b"")

    async def _close(self) -> None:
        self.wire.said_closing += 1
        self.wire.number = -1
        self.closed += 1


class Stream(StreamCarrier):
    """A stream of this runtime: a wire, and nothing that goes without waiting.

    :ivar closed: how often it was closed, one way or the other.
    :ivar closing: what closing it waits for.
    """

    def __init__(self, kernel: Kernel, wire: Wire, connection: Connection) -> None:
        super().__init__(connection, kernel.clock, (None, None))
        self.wire = wire
        self.closed = 0
        self.closing: Callable[[], Awaitable[object]] = kernel.checkpoint
        self._reading = False

    async def _send(self, data: bytes, /) -> None:
        while data:
            await until(lambda: self.wire.room > 0)
            data = data[self.wire.send(data) :]

    async def _receive(self, size: int, /) -> bytes:
        assert not self._reading, "one task reads"
        self._reading = True
        await until(self.wire.is_readable)
        self._reading = False
        buffer = memoryview(bytearray(size))
        return bytes(buffer[: self.wire.recv_into(buffer)])

    async def end_write(self) -> None:
        self.write_ended = True
        self.wire.written.append(b"")

    async def close(self) -> None:
        self.closed += 1
        await self.closing()

    async def abort(self) -> None:
        self.closed += 1


class Peer:
    """The other side of a wire: a connection, without a runtime.

    :param connection: in place of one that is open already.
    :ivar received: the messages.
    """

    def __init__(
        self,
        kernel: Kernel,
        wire: Wire,
        role: Role = Role.CLIENT,
        connection: Connection | None = None,
    ) -> None:
        self.connection = connection or Connection.upgraded(role, now=kernel.now)
        self.received: list[Message] = []
        self._kernel = kernel
        self._wire = wire

    def say(self, *messages: Message) -> None:
        """Send messages, which arrive together."""
        for message in messages:
            self.connection.send(message, now=self._kernel.now)
        self.write()

    def write(self) -> None:
        """What the connection has to say arrives, in one piece."""
        data = b""
        while buffers := self.connection.data_to_send():
            piece = b"".join(buffers)
            self.connection.data_sent(len(piece), now=self._kernel.now)
            data += piece
        if data:
            self._wire.coming.append(data)

    def read(self) -> list[Message]:
        """All messages so far; and answer what has to be."""
        written, self._wire.written[:] = b"".join(self._wire.written), []
        connection = self.connection
        while written:
            size = max(connection.want_read, 1)
            connection.receive_data(written[:size], now=self._kernel.now)
            written = written[size:]
            with suppress(ConnectionClosed):
                while (message := connection.take_message(now=self._kernel.now)) is not None:
                    self.received.append(message)
        self.write()
        return self.received


class Scene:
    """A connection that is carried, and its peer.

    :param kernel: one that has others as well.
    :ivar carried: the task that carries it.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        plain: bool = True,
        role: Role = Role.SERVER,
        kernel: Kernel | None = None,
    ) -> None:
        self.kernel = kernel or Kernel()
        self.wire = Wire()
        self.websocket = self.kernel.websocket(config, role)
        connection = self.websocket._connection
        other = Role.CLIENT if role is Role.SERVER else Role.SERVER
        self.peer = Peer(self.kernel, self.wire, other)
        self.socket = Socket(self.kernel, self.wire, connection)
        self.stream = Stream(self.kernel, self.wire, connection)
        self.carried = self.kernel.start(self._carry(self.socket if plain else self.stream))
        self.kernel.settle()

    async def _carry(self, carrier: Carrier) -> None:
        try:
            await self.websocket._run(carrier)
        finally:
            await self.websocket._drop(carrier)

    def let_read(self) -> None:
        """Have the connection read for itself, as it does after a while."""
        self.websocket._let_read()
        self.kernel.settle()

    def end(self) -> None:
        """Nobody stays behind."""
        self.websocket.abort()
        self.kernel.end()
        assert self.carried.ended


MakeScene = Callable[..., Scene]
"""What the fixture ``stage`` gives: it takes what a scene does."""


def recv(scene: Scene) -> Task[Any]:
    """Receive on the connection of a scene: the task that does."""
    task = scene.kernel.start(scene.websocket.recv())
    scene.kernel.settle()
    return task


def why(scene: Scene) -> CloseReason:
    """Why the connection of a scene ended."""
    return reason_of(scene.websocket._connection)
