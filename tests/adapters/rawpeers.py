"""The only place for peers played by hand over a real socket, in a thread of their own.

For what two ends of ours cannot show: a peer that breaks off, says nothing or reads nothing, and
the very bytes that it gets.
"""

from __future__ import annotations

import socket
import struct
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from tests.wscore.rawpeer import CLOSE, FIN, REQUEST, xor

if TYPE_CHECKING:
    from tests.adapters.scenarios import Runtime

Script = Callable[[socket.socket], object]
"""What a peer does with its socket, in its thread."""

_PATIENCE = 10.0
"""In seconds: a peer whose other side does not come is in a test that hangs."""


class Frame(NamedTuple):
    """A frame as it was on the wire: its first byte, and its payload without the mask."""

    head: int
    payload: bytes


@asynccontextmanager
async def raw_server(runtime: Runtime, script: Script) -> AsyncIterator[str]:
    """The URL of a server that plays the script with whoever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE)

        def play() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(_PATIENCE)
                script(sock)

        async with _playing(runtime, play):
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"


@asynccontextmanager
async def raw_client(runtime: Runtime, port: int, script: Script) -> AsyncIterator[None]:
    """A client that plays the script with the server of that port."""

    def play() -> None:
        with socket.create_connection(("127.0.0.1", port), _PATIENCE) as sock:
            script(sock)

    async with _playing(runtime, play):
        yield


@asynccontextmanager
async def _playing(runtime: Runtime, play: Callable[[], None]) -> AsyncIterator[None]:
    """Play in a thread, and at the end wait for it and raise what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            play()
        except BaseException as error:  # noqa: BLE001  (raised again below)
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    await runtime.in_thread(thread.join)
    if raised:
        raise raised[0]


def shake_as_server(sock: socket.socket) -> None:
    """Read a request, and accept it (RFC 6455 section 4.2.2)."""
    head = read_head(sock)
    key = head.lower().partition(b"sec-websocket-key:")[2].split(b"\r\n")[0]
    at = head.lower().index(key) + len(key) - len(key.strip())
    key = head[at : at + len(key.strip())]
    accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def shake_as_client(sock: socket.socket) -> None:
    """Send a request, and read a response, which has to accept it."""
    sock.sendall(REQUEST)
    head = read_head(sock)
    assert head.startswith(b"HTTP/1.1 101 "), head


def read_head(sock: socket.socket) -> bytes:
    """Read a request or a response without body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, f"the stream ended in a head: {head!r}"
        head += byte
    return head


def read_to_end(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream, or its reset."""
    data = bytearray()
    try:
        while received := sock.recv(65536):
            data += received
    except ConnectionResetError:
        # Also an end, and nobody's frame.
        pass
    return bytes(data)


def read_to_close(sock: socket.socket) -> tuple[list[Frame], bytes]:
    """The frames up to a Close frame or the end of the stream, and what is left over then."""
    frames: list[Frame] = []
    data = bytearray()
    try:
        while not (frames and frames[-1].head == CLOSE) and (received := sock.recv(65536)):
            data += received
            more, rest = frames_of(data)
            if more:
                frames += more
                data = bytearray(rest)
    except ConnectionResetError:
        pass
    return frames, bytes(data)


def relay(sock: socket.socket, port: int) -> None:
    """Pass everything on between a client and the server of that port, until both have ended."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as server:
        back = threading.Thread(target=carry, args=(server, sock))
        back.start()
        carry(sock, server)
        back.join()


def reset(sock: socket.socket) -> None:
    """End the connection by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def frames_of(data: bytes | bytearray) -> tuple[list[Frame], bytes]:
    """The whole frames in some bytes (RFC 6455 section 5.2), and what is left over."""
    frames = []
    while len(data) >= 2:
        masked, size, offset = data[1] & 0x80, data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[2 : 2 + width], "big")
            offset += width
        key = data[offset : offset + 4] if masked else b""
        offset += len(key)
        if len(data) < offset + size:
            break
        payload = bytes(data[offset : offset + size])
        frames.append(Frame(data[0], xor(payload, bytes(key)) if masked else payload))
        data = data[offset + size :]
    return frames, bytes(data)


def messages_of(frames: list[Frame]) -> list[bytes]:
    """The data messages that the frames make up; the last one has to be whole."""
    messages, parts = [], bytearray()
    whole = True
    for frame in frames:
        if frame.head & 0x08:
            continue
        parts += frame.payload
        whole = bool(frame.head & FIN)
        if whole:
            messages.append(bytes(parts))
            parts.clear()
    assert whole, "a message has no end"
    return messages
