"""The only place for two connections without a network: wires with faults, and a virtual clock.

:class:`Pair` joins a client and a server :class:`~wscore.Connection`. Nothing sleeps and nothing
is random: a test moves the clock, and a day of keepalive passes in less than a second. It is how
the policies of this library are tested, and how a program that sets its own can test them::

    >>> from math import inf
    >>> from wscore import Config
    >>> from wscore.testing import Pair
    >>> pair = Pair.opened(client=Config(ping_interval=15, ping_timeout=5))
    >>> pair.client.send("hello", now=pair.now)
    True
    >>> pair.received(pair.server)
    ['hello']
    >>> for wire in pair.wires:  # the server vanishes: nothing arrives any more
    ...     wire.latency = inf
    >>> pair.run_until(lambda: pair.client.close_reason is not None, limit=60)
    >>> pair.client.close_reason.cause, pair.now
    (<Cause.PING_TIMEOUT: 'ping_timeout'>, 20.0)

The last number shows what can be asked here and nowhere else: not whether it ended soon after the
deadline, but that it ended at the deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from math import inf
from typing import Self, TypeAlias

from . import (
    Accept,
    Config,
    Connection,
    ConnectionClosed,
    Message,
    Request,
    Response,
    State,
    Transport,
)

__all__ = ["OnRequest", "Pair", "Wire", "accept"]

OnRequest: TypeAlias = Callable[[Request], Accept | Response | None]
"""What answers a request: see :meth:`wscore.Connection.respond` for what it may return."""

_MOST_TURNS = 1000
"""How often bytes may change direction at one instant (arbitrary: a handshake and a close need
ten; connections that answer each other's answers need every number)."""

_MOST_MOVES = 1 << 22
"""How often bytes may move without changing direction (arbitrary: 4 MiB, a byte at a time)."""


class Wire:
    """One direction between two connections. Its attributes may be changed at any time.

    Bytes arrive whole and in order, like those of TCP. A connection that is gone while bytes
    still come for it answers with a reset, as TCP does (RFC 9293 section 3.10.7.1), and a reset
    throws away everything that is in flight.

    :ivar latency: seconds from leaving to arriving. With ``inf``, what leaves never arrives: a
        peer that vanished, in front of a kernel that still takes bytes until ``capacity``.
    :ivar capacity: the most bytes in flight: taken from the sender, not yet read by the receiver.
        256 KiB, about what the buffers of two sockets hold.
    :ivar slice: the most bytes that one write takes and that one read brings; None for no limit.
    :ivar stalled: nothing is taken from the sender and nothing arrives, as when all buffers on
        the way are full: a writer that is stuck.
    :ivar half_close: the sender can end its side and go on reading. False is how TLS behaves:
        only closing both sides tells the receiver anything.
    :ivar taken: bytes taken from the sender so far.
    :ivar delivered: bytes read by the receiver so far.
    :ivar log: set it to a ``bytearray`` and everything delivered is appended to it.
    :ivar cut_by: the error that :meth:`cut` was given, or None.
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        self.latency = latency
        self.capacity: float = 256 * 1024
        self.slice: int | None = None
        self.stalled = False
        self.half_close = True
        self.taken = 0
        self.delivered = 0
        self.log: bytearray | None = None
        self.cut_by: BaseException | None = None
        self._bytes = bytearray()
        self._arrived = 0
        self._flying: deque[tuple[float, int]] = deque()
        self._last_arrival = -inf
        self._ended = False
        self._end_arrival = inf
        self._reset_arrival = inf

    @property
    def in_flight(self) -> int:
        """Bytes taken from the sender that the receiver has not read."""
        return len(self._bytes)

    def cut(self, error: BaseException | None = None) -> None:
        """Break the transport: when the pair next settles, both connections lose it.

        What is in flight is lost, and so is the other direction.

        :param error: what ``transport_lost`` is given; a ``ConnectionResetError`` by default.
        """
        self.cut_by = error or ConnectionResetError("the wire was cut")

    def take(self, buffers: Iterable[bytes | bytearray | memoryview], *, now: float) -> int:
        """Take bytes from the sender, as many as there is room for; returns how many."""
        if self.stalled:
            return 0
        before = len(self._bytes)
        room = self._sliced(self.capacity - before)
        for buffer in buffers:
            if room <= 0:
                break
            size = int(min(room, len(buffer)))
            self._bytes += memoryview(buffer)[:size]
            room -= size
        size = len(self._bytes) - before
        if size:
            self._flying.append((self._arrival(now), size))
            self.taken += size
        return size

    def end(self, *, now: float) -> bool:
        """The sender sends no more: the receiver learns it behind the data. False if repeated."""
        if self._ended:
            return False
        self._ended = True
        self._end_arrival = self._arrival(now)
        return True

    def reset(self, *, now: float) -> None:
        """The sender is gone: what is in flight is thrown away, and an error arrives instead."""
        self._bytes.clear()
        self._flying.clear()
        self._arrived = 0
        self._end_arrival = inf
        self._reset_arrival = min(self._reset_arrival, now + self.latency)

    def read(self, limit: float, *, now: float) -> bytes | None:
        """What one read of at most ``limit`` bytes brings: ``b""`` is the end, None nothing."""
        self._land(now)
        if self.stalled or limit <= 0:
            return None
        size = int(self._sliced(min(limit, self._arrived)))
        if not size:
            return self._read_end(now)
        data = bytes(self._bytes[:size])
        del self._bytes[:size]
        self._arrived -= size
        self.delivered += size
        if self.log is not None:
            self.log += data
        return data

    def discard(self, *, now: float) -> bool:
        """Throw away what has arrived for a receiver that is gone; whether there was any."""
        self._land(now)
        size = self._arrived
        del self._bytes[:size]
        self._arrived = 0
        return size > 0

    def failure(self, *, now: float) -> BaseException | None:
        """What the receiver fails with: the wire was cut, or the sender's reset has arrived."""
        if self.cut_by is None and not self.stalled and self._reset_arrival <= now:
            return ConnectionResetError("the other side reset the connection")
        return self.cut_by

    def next_arrival(self, *, now: float) -> float:
        """When something will arrive next, in seconds; ``inf`` if nothing is on its way."""
        if self.stalled:
            return inf
        first = self._flying[0][0] if self._flying else inf
        arrivals = (first, self._end_arrival, self._reset_arrival)
        return min(arrival if arrival > now else inf for arrival in arrivals)

    def _sliced(self, size: float) -> float:
        return size if self.slice is None else min(size, self.slice)

    def _arrival(self, now: float) -> float:
        # Bytes that leave after the latency was lowered do not overtake those in flight.
        self._last_arrival = max(self._last_arrival, now + self.latency)
        return self._last_arrival

    def _land(self, now: float) -> None:
        while not self.stalled and self._flying and self._flying[0][0] <= now:
            self._arrived += self._flying.popleft()[1]

    def _read_end(self, now: float) -> bytes | None:
        if self._end_arrival > now:
            return None
        self._end_arrival = inf
        return b""


class _Endpoint:
    """A connection and its side of the transport: what an adapter does, without the waiting."""

    __slots__ = ("connection", "gone", "into", "out")

    def __init__(self, connection: Connection, *, into: Wire, out: Wire) -> None:
        self.connection = connection
        self.into = into
        self.out = out
        self.gone = False

    def write(self, now: float) -> bool:
        """Write once, then obey ``transport``; whether anything happened."""
        connection = self.connection
        if self.gone:
            return False
        size = 0
        if connection.want_write and connection.transport is not Transport.ABORT:
            size = self.out.take(connection.data_to_send(), now=now)
            if size:
                connection.data_sent(size, now=now)
        return self._obey(connection.transport, now) or size > 0

    def _obey(self, transport: Transport, now: float) -> bool:
        if transport is Transport.ABORT:
            self.gone = True
            self.out.reset(now=now)
            return True
        if transport is Transport.KEEP or self.connection.want_write:
            return False
        if transport is Transport.CLOSE:
            self.gone = True
            self.out.end(now=now)
            return True
        return self.out.half_close and self.out.end(now=now)

    def read(self, now: float) -> bool:
        """Read once; whether anything happened."""
        if self.gone:
            return self._refuse(now)
        error = self.out.cut_by or self.into.failure(now=now)
        if error is not None:
            self.gone = True
            self.connection.transport_lost(error, now=now)
            return True
        return self._receive(now)

    def _refuse(self, now: float) -> bool:
        if not self.into.discard(now=now):
            return False
        self.out.reset(now=now)
        return True

    def _receive(self, now: float) -> bool:
        connection = self.connection
        limit = connection.want_read
        view = connection.receive_buffer() if limit else None
        data = self.into.read(limit if view is None else min(limit, len(view)), now=now)
        if data is None:
            return False
        if view is None or not data:
            connection.receive_data(data, now=now)
        else:
            view[: len(data)] = data
            connection.received(len(data), now=now)
        return True


def accept(request: Request) -> None:
    """Answer every request with None: accept it, with a subprotocol if both sides have one."""


class Pair:
    """A client and a server connection, the wires between them, and the clock of both.

    The pair does what adapters do: after anything that happens it writes, obeys ``transport``,
    reads while ``want_read`` allows, and calls ``handle_timeout`` when, and only when, the
    deadline has come. What arrives at the instant of a deadline arrives before it. Commands and
    takes are yours: call them on :attr:`client` and :attr:`server` with ``now=pair.now``, then
    :meth:`settle` or let time pass.

    :param client: the client's policy; ``Config()`` by default.
    :param server: the server's policy; ``Config()`` by default.
    :param latency: of both wires, in seconds.
    :param request: what the client asks for; ``/`` at ``example.com`` by default.
    :param now: where the clock starts, in seconds.
    :param on_request: gives the server's answer as soon as the request is there; :func:`accept`
        by default. None answers nothing: call ``pair.server.respond()`` in the test.
    :ivar client: the client's connection.
    :ivar server: the server's connection.
    :ivar now: the time, in seconds. Setting it to a later one is a machine that slept: no
        deadline is handled on the way, then all of them late.
    :ivar to_server: the wire from the client to the server.
    :ivar to_client: the wire from the server to the client.
    """

    def __init__(
        self,
        client: Config | None = None,
        server: Config | None = None,
        *,
        latency: float = 0.0,
        request: Request | None = None,
        now: float = 0.0,
        on_request: OnRequest | None = accept,
    ) -> None:
        self.now = now
        self.to_server = Wire(latency=latency)
        self.to_client = Wire(latency=latency)
        request = request or Request("/", "example.com")
        self.client = Connection.client(request, client or Config(), now=now)
        self.server = Connection.server(server or Config(), now=now)
        self._on_request = on_request
        client_end = _Endpoint(self.client, into=self.to_client, out=self.to_server)
        server_end = _Endpoint(self.server, into=self.to_server, out=self.to_client)
        self._directions = ((client_end, server_end), (server_end, client_end))

    @classmethod
    def opened(
        cls,
        client: Config | None = None,
        server: Config | None = None,
        *,
        latency: float = 0.0,
        request: Request | None = None,
        now: float = 0.0,
        on_request: OnRequest | None = accept,
    ) -> Self:
        """A pair whose opening handshake (RFC 6455 section 4) is done; it took two latencies.

        Takes the parameters of the class.

        :raises AssertionError: if the connections do not open.
        """
        pair = cls(
            client, server, latency=latency, request=request, now=now, on_request=on_request
        )
        # Twice the latency, and some more for what the sums of floats round to.
        pair.run_until(pair._is_open, limit=3 * latency)
        pair.settle()
        return pair

    @property
    def wires(self) -> tuple[Wire, Wire]:
        """Both wires, for faults that concern both."""
        return self.to_server, self.to_client

    def settle(self) -> None:
        """Carry bytes and handle deadlines at this instant, until nothing moves.

        :raises AssertionError: if it does not come to rest, or a deadline that was handled
            stays where it was.
        """
        for _ in self._moves():
            pass

    def run(self, seconds: float) -> None:
        """Let time pass, stopping at each deadline and arrival on the way.

        :param seconds: how long, finite.
        :raises ValueError: if ``seconds`` is negative or not finite.
        :raises AssertionError: as :meth:`settle`.
        """
        for _ in self._passing(seconds):
            pass

    def run_until(self, predicate: Callable[[], bool], *, limit: float) -> None:
        """Let time pass until the predicate is true.

        It is asked before and after each single move, so this may stop in the middle of an
        instant, before the rest of what happens at it; :meth:`settle` goes on with that.

        :param predicate: what to wait for.
        :param limit: how long to wait at most, in seconds, finite.
        :raises ValueError: if ``limit`` is negative or not finite.
        :raises AssertionError: if the predicate is not true within ``limit``, naming the states;
            or as :meth:`settle`.
        """
        for _ in self._passing(limit):
            if predicate():
                return
        raise AssertionError(f"it did not come true within {limit:g} s: {self!r}")

    def received(self, connection: Connection) -> list[Message]:
        """Take every message that there is at this instant, settling after each take.

        The end of the connection ends the list, it is not raised: ask ``close_reason`` for it.

        :param connection: :attr:`client` or :attr:`server`.
        """
        messages: list[Message] = []
        self.settle()
        with suppress(ConnectionClosed):
            while (message := connection.take_message(now=self.now)) is not None:
                messages.append(message)
                self.settle()
        self.settle()
        return messages

    def __repr__(self) -> str:
        client, server = _describe(self.client), _describe(self.server)
        return f"<Pair at {self.now:g} s, client {client}, server {server}>"

    def _is_open(self) -> bool:
        return self.client.state is State.OPEN and self.server.state is State.OPEN

    def _passing(self, seconds: float) -> Iterator[None]:
        if not 0 <= seconds < inf:
            raise ValueError(f"time to pass is {seconds!r}; it must be finite and at least 0")
        end = self.now + seconds
        yield
        while True:
            yield from self._moves()
            instant = self._next_instant()
            if instant > end:
                break
            self.now = instant
        self.now = end
        yield

    def _next_instant(self) -> float:
        deadline = min(self.client.deadline, self.server.deadline)
        arrivals = (wire.next_arrival(now=self.now) for wire in self.wires)
        return min(deadline, *arrivals)

    def _moves(self) -> Iterator[None]:
        for _ in range(_MOST_TURNS):
            at_rest = True
            for sender, receiver in self._directions:
                for _ in self._carry(sender, receiver):
                    at_rest = False
                    yield
            if at_rest:
                due = [c for c in (self.client, self.server) if c.deadline <= self.now]
                if not due:
                    return
                for connection in due:
                    self._handle_timeout(connection)
                    yield
        raise AssertionError(f"it does not come to rest: {self!r}")

    def _carry(self, sender: _Endpoint, receiver: _Endpoint) -> Iterator[None]:
        for _ in range(_MOST_MOVES):
            wrote = sender.write(self.now)
            read = receiver.read(self.now)
            if not wrote and not read:
                return
            self._answer()
            receiver.write(self.now)
            yield
        raise AssertionError(f"bytes do not stop coming: {self!r}")

    def _answer(self) -> None:
        request = self.server.request
        if self._on_request is None or request is None:
            return
        on_request, self._on_request = self._on_request, None
        if self.server.state is State.CONNECTING:
            self.server.respond(on_request(request), now=self.now)

    def _handle_timeout(self, connection: Connection) -> None:
        due = connection.deadline
        connection.handle_timeout(now=self.now)
        if connection.deadline == due:
            connection.handle_timeout(now=self.now)
        if connection.deadline == due:
            raise AssertionError(f"handle_timeout leaves the deadline at {due:g} s: {self!r}")


def _describe(connection: Connection) -> str:
    text = f"{connection.state.name} {connection.transport.name} until {connection.deadline:g} s"
    reason = connection.close_reason
    return text if reason is None else f"{text} ({reason})"
