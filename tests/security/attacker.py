"""The only place for the sockets of attackers: what they send, and what they read."""

from __future__ import annotations

import socket
import struct
import time
import zlib
from contextlib import suppress
from typing import Final, NamedTuple, Self

from tests.adapters.rawpeers import Frame, frames_of, read_head
from tests.wscore.rawpeer import BINARY, CLOSE, FIN, PING, PONG, TEXT, close_payload, frame

MARK: Final = "S3CRET"
"""What no answer may contain, since it stands in every request."""

HEADERS: Final = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
"""Those of a good request."""

GOOD_LINE: Final = f"GET /?{MARK} HTTP/1.1"


def request(
    *more: tuple[str, str], line: str = GOOD_LINE, end: str = "\r\n", **changes: str | None
) -> bytes:
    """A request; ``changes`` by name with underscores, None leaves a header out."""
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    lines = [line, *(f"{name}: {value}" for name, value in [*pairs, *more]), "", ""]
    return end.join(lines).encode("latin-1")


def deflated(data: bytes) -> bytes:
    """A message as permessage-deflate compresses it (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Answer(NamedTuple):
    """A response of HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes


class Attacker:
    """One end of a connection, without any manners of its own.

    :ivar masks: as clients have to, and servers must not.
    """

    def __init__(self, sock: socket.socket, *, masks: bool = True) -> None:
        self.sock = sock
        self.masks = masks
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()
        self._frames: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # -- what it sends

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def send_as_much_as_goes(self, data: bytes, *, patience: float = 0.5) -> int:
        """Send until the other side reads no more, or is gone; how much it was."""
        before = self.sock.gettimeout()
        self.sock.settimeout(patience)
        view, sent = memoryview(data), 0
        with suppress(OSError):
            while sent < len(data):
                sent += self.sock.send(view[sent : sent + 65536])
        self.sock.settimeout(before)
        return sent

    def frame(self, head: int, payload: bytes = b"", *, announced: int | None = None) -> bytes:
        return frame(head, payload, masked=self.masks, announced=announced)

    def send_frame(self, head: int, payload: bytes = b"", *, announced: int | None = None) -> None:
        self.send(self.frame(head, payload, announced=announced))

    def send_text(self, text: str) -> None:
        self.send_frame(FIN | TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        self.send_frame(FIN | BINARY, data)

    def end(self) -> None:
        """Send nothing more, and read on."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- what it reads

    def open(self, target: str = f"/?{MARK}", *more: tuple[str, str]) -> bytes:
        """Shake hands; the head of the response."""
        self.send(request(*more, line=f"GET {target} HTTP/1.1"))
        head = read_head(self.sock)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return head

    def open_compressed(self, target: str = "/") -> None:
        offer = "permessage-deflate; client_max_window_bits=12; server_max_window_bits=12"
        assert b"permessage-deflate" in self.open(target, ("Sec-WebSocket-Extensions", offer))

    def to_end(self) -> bytes:
        """Everything up to the end of the stream, or its reset."""
        data = bytearray(self._data)
        with suppress(ConnectionError):
            while received := self.sock.recv(65536):
                data += received
        self._data.clear()
        return bytes(data)

    def answer(self) -> Answer:
        """The response, which must be the last thing that is sent."""
        data = self.to_end()
        head, separator, body = data.partition(b"\r\n\r\n")
        assert separator, data
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(each.lower().split(": ", 1) for each in lines)
        return Answer(int(line.split()[1]), headers, body)

    def frames(self, count: int, *, at_a_time: int = 65536, pause: float = 0.0) -> list[Frame]:
        """The next frames; pings are answered, and not among them.

        :param at_a_time: bytes that one read may bring.
        :param pause: seconds between two.
        """
        while len(self._frames) < count:
            time.sleep(pause)
            received = self.sock.recv(at_a_time)
            assert received, f"the stream ended after {self._frames}"
            self._take(received)
        taken, self._frames = self._frames[:count], self._frames[count:]
        return taken

    def frames_to_end(self) -> list[Frame]:
        """The frames up to the end of the stream; none is cut off."""
        self._take(self.to_end())
        assert not self._data, "a frame is cut off"
        taken, self._frames = self._frames, []
        return taken

    def _take(self, received: bytes) -> None:
        frames, rest = frames_of(self._data + received)
        self._data = bytearray(rest)
        for each in frames:
            if each.head == PING:
                with suppress(OSError):
                    self.send_frame(PONG, each.payload)
            else:
                self._frames.append(each)

    def close(self, code: int = 1000) -> None:
        """Close as one does; the answer must be the same code."""
        self.send_frame(CLOSE, close_payload(code))
        frames = self.frames_to_end()
        assert frames[-1] == Frame(CLOSE, close_payload(code)), frames
