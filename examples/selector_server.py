"""An echo server for many clients in one thread, on ``selectors`` alone: wscore fits anywhere."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector

from wscore import Config, Connection, ConnectionClosed, State, Transport


def echo(client: Connection, sock: socket.socket, events: int, now: float) -> int:
    """Read, write, see what is due, take what can be sent back; return what to wait for, or 0."""
    try:
        with suppress(BlockingIOError, ConnectionClosed):
            if events & EVENT_READ:
                client.receive_data(sock.recv(client.want_read), now=now)
            if events & EVENT_WRITE:
                client.data_sent(sock.send(b"".join(client.data_to_send())), now=now)
                if client.transport is Transport.END_WRITE:
                    sock.shutdown(socket.SHUT_WR)
            client.handle_timeout(now=now)
            if client.state is State.CONNECTING and client.poll_request():
                client.respond(now=now)
            while client.can_send and (message := client.take_message(now=now)) is not None:
                client.send(message, now=now)
    except OSError as error:
        client.transport_lost(error, now=now)
    return EVENT_READ * bool(client.want_read) | EVENT_WRITE * client.want_write


def turn(selector: BaseSelector, listener: socket.socket, config: Config) -> None:
    """Wait for a socket or a deadline, then give every client its turn."""
    clients = [key.data for key in selector.get_map().values() if key.data]
    deadline = min([time.monotonic() + 60, *(client.deadline for client, _ in clients)])
    ready = {key.fileobj: events for key, events in selector.select(deadline - time.monotonic())}
    now = time.monotonic()
    with suppress(OSError):  # Nobody is there, or not any more.
        sock, _ = listener.accept()
        sock.setblocking(False)
        selector.register(sock, EVENT_READ, (Connection.server(config, now=now), sock))
    for client, sock in clients:
        if events := echo(client, sock, ready.get(sock, 0), now):
            selector.modify(sock, events, (client, sock))
        else:
            selector.unregister(sock)
            sock.close()


if __name__ == "__main__":
    address = "127.0.0.1", int(*sys.argv[1:])
    with DefaultSelector() as selector, socket.create_server(address) as listener:
        listener.setblocking(False)
        selector.register(listener, EVENT_READ)
        print(f"Listening on ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        while True:
            turn(selector, listener, Config())
