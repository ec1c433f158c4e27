"""The only place for what the guard counts: one role's part of an echo, without any I/O.

``python -m bench.guarded <role> <size> <count>``. What the other side sends is made beforehand, so
that nothing but the role is counted: a server receives a message, takes it and sends it back; a
client sends one, receives one and takes it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Final

from wscore import Connection, Message
from wscore.testing import Pair

READ: Final = 256 * 1024
NOW: Final = 1.0


def written(connection: Connection) -> bytes:
    """What a connection has to send, as an adapter takes it."""
    data = bytearray()
    while connection.want_write:
        size = 0
        for buffer in connection.data_to_send():
            data += buffer
            size += len(buffer)
        connection.data_sent(size, now=NOW)
    return bytes(data)


def send(connection: Connection, message: Message) -> None:
    """What an adapter does with a message that is sent alone; what is written is thrown away."""
    frame = connection.frame_alone(message)
    if frame is not None:
        connection.sent_alone(frame, len(frame), now=NOW)
        return
    connection.send(message, now=NOW)
    while connection.want_write:
        size = sum(map(len, connection.data_to_send()))
        connection.data_sent(size, now=NOW)


def take(connection: Connection) -> Message:
    """What an adapter does when a message is there."""
    message = connection.take_ready() or connection.take_message(now=NOW)
    assert message is not None
    return message


def read(connection: Connection, data: memoryview) -> None:
    """What an adapter does with what it receives."""
    while data:
        view = connection.receive_buffer()
        size = min(len(data), connection.want_read, READ if view is None else len(view))
        if view is None:
            connection.receive_data(data[:size], now=NOW)
        else:
            view[:size] = data[:size]
            connection.received(size, now=NOW)
        data = data[size:]


def serve(pair: Pair, message: bytes) -> Callable[[], None]:
    pair.client.send(message, now=NOW)
    frame = memoryview(written(pair.client))
    server = pair.server

    def echo() -> None:
        read(server, frame)
        send(server, take(server))

    return echo


def ask(pair: Pair, message: bytes) -> Callable[[], None]:
    pair.server.send(message, now=NOW)
    frame = memoryview(written(pair.server))
    client = pair.client

    def echo() -> None:
        send(client, message)
        read(client, frame)
        take(client)

    return echo


ROLES: Final = {"server": serve, "client": ask}


def predictable(size: int) -> bytes:
    """Every byte in turn, in place of what the system draws."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def main() -> None:
    _, role, size, count = sys.argv
    # What depends on masks is made when one is first seen: so the same ones in each run.
    os.urandom = predictable
    echo = ROLES[role](Pair.opened(), bytes(int(size)))
    # When it collects garbage depends on how much there was before.
    gc.disable()
    for _ in range(int(count)):
        echo()


if __name__ == "__main__":
    main()
