"""The only place for servers and clients in threads: what ``coroutines`` does, blocking."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from itertools import cycle, islice
from typing import Any, ClassVar, NamedTuple, TypeAlias

from bench.roles import PIECE, READY, Meter, Order, Taken, announce


class Peer(NamedTuple):
    """A connection: what sends bytes, what receives bytes, and the library's own object."""

    send: Callable[[bytes], object]
    receive: Callable[[], Any]
    connection: Any = None


Handler: TypeAlias = Callable[[Peer], None]
Listening: TypeAlias = AbstractContextManager[int]
Connecting: TypeAlias = AbstractContextManager[Peer]


class InThreads(ABC):
    """A contender; its library is a subclass's.

    :ivar ended: what the library raises when the other side is gone.
    :ivar deflates: whether the library can compress.
    :ivar streams: whether it carries bytes: what is large comes back while the rest still leaves.
    """

    ended: ClassVar[tuple[type[BaseException], ...]] = ()
    deflates: ClassVar = True
    streams: ClassVar = False

    def __init__(self, runtime: str) -> None:
        self._audience: dict[int, Peer] = {}

    @abstractmethod
    def listen(self, handle: Handler, *, deflate: bool) -> Listening:
        """Serve on a free port of 127.0.0.1, a thread for each connection."""

    @abstractmethod
    def connect(self, port: int, *, deflate: bool) -> Connecting:
        """Connect to such a server."""

    def broadcast(self, audience: Collection[Peer], message: bytes) -> None:
        """Send a message to all of them, in the best way that the library has."""
        for peer in audience:
            peer.send(message)

    # ----------------------------------------------------- a server

    def serve(self) -> None:
        """Listen, say where, and serve until the process is ended."""
        handlers: dict[str, Handler] = {
            "echo": echo,
            "sink": sink,
            "source": source,
            "broadcast": self._gather,
        }
        if self.deflates:
            handlers["deflate"] = echo
        with ExitStack() as stack:
            announce(
                {
                    mode: stack.enter_context(
                        self.listen(self._to_the_end(handler), deflate=mode == "deflate")
                    )
                    for mode, handler in handlers.items()
                }
            )
            threading.Event().wait()

    def _to_the_end(self, handler: Handler) -> Handler:
        def handle(peer: Peer) -> None:
            # No library need log that a client has gone.
            with suppress(OSError, EOFError, *self.ended):
                handler(peer)

        return handle

    def _gather(self, peer: Peer) -> None:
        self._audience[id(peer)] = peer
        try:
            while True:
                message = peer.receive()
                self.broadcast([*self._audience.values()], message)
        finally:
            del self._audience[id(peer)]

    # ----------------------------------------------------- a client

    def carry_out(self, order: Order) -> Taken:
        """Do as a client what is asked for."""
        meter = Meter(order.server)
        messages = order.messages
        with self.connect(order.port, deflate=order.deflate) as peer:
            for count, measured in order.plan:
                with meter if measured else nullcontext():
                    self._work(order.kind, peer, messages, count)
        return meter.taken

    def _work(self, kind: str, peer: Peer, messages: Sequence[bytes], count: int) -> None:
        match kind:
            case "ping-pong" if self.streams and len(messages[0]) > PIECE:
                for _ in range(count):
                    self._work("flood", peer, messages, 1)
            case "ping-pong":
                ping_pong(peer, messages, count)
            case "flood":
                sending = threading.Thread(target=send_all, args=(peer, messages, count))
                sending.start()
                receive_all(peer, count * len(messages[0]))
                sending.join()
            case "up":
                peer.send(b"%d" % (count * len(messages[0])))
                peer.receive()
                send_all(peer, messages, count)
                peer.receive()
            case "down":
                size = len(messages[0])
                peer.send(b"%d %d" % (count, size))
                receive_all(peer, count * size)
            case _:
                raise ValueError(f"no client knows how to do {kind!r}")


def echo(peer: Peer) -> None:
    send, receive, _ = peer
    while True:
        send(receive())


def sink(peer: Peer) -> None:
    while True:
        total = int(peer.receive())
        peer.send(READY)
        receive_all(peer, total)
        peer.send(READY)


def source(peer: Peer) -> None:
    while True:
        count, size = map(int, peer.receive().split())
        send_all(peer, [bytes(size)], count)


def ping_pong(peer: Peer, messages: Sequence[bytes], count: int) -> None:
    send, receive, _ = peer
    for message in islice(cycle(messages), count):
        send(message)
        left = len(message)
        while left > 0:
            left -= len(receive())


def send_all(peer: Peer, messages: Sequence[bytes], count: int) -> None:
    send = peer.send
    for message in islice(cycle(messages), count):
        send(message)


def receive_all(peer: Peer, total: int) -> None:
    receive = peer.receive
    while total > 0:
        total -= len(receive())
