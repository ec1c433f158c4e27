"""The limit in threads: sockets alone."""

from __future__ import annotations

import mmap
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from bench.roles import play
from bench.threads import Handler, InThreads, Peer

READ: Final = 256 * 1024


class Raw(InThreads):
    """In threads."""

    deflates: ClassVar = False
    streams: ClassVar = True

    @contextmanager
    def listen(self, handle: Handler, *, deflate: bool) -> Iterator[int]:
        """Serve on a free port."""

        def handle_one(sock: socket.socket) -> None:
            with sock:
                handle(peer_of(sock))

        def accept() -> None:
            while True:
                sock, _ = listener.accept()
                threading.Thread(target=handle_one, args=(sock,), daemon=True).start()

        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            threading.Thread(target=accept, daemon=True).start()
            yield listener.getsockname()[1]

    @contextmanager
    def connect(self, port: int, *, deflate: bool) -> Iterator[Peer]:
        """Connect to such a server."""
        with socket.create_connection(("127.0.0.1", port)) as sock:
            yield peer_of(sock)


def peer_of(sock: socket.socket) -> Peer:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    # A fresh 256 KiB for each read costs more than the read. Of a map, only what is used is there.
    scratch = memoryview(mmap.mmap(-1, READ))

    def receive() -> bytes:
        size = sock.recv_into(scratch)
        if not size:
            raise EOFError
        return bytes(scratch[:size])

    return Peer(sock.sendall, receive)


if __name__ == "__main__":
    play(Raw)
