"""The only place for the codec's inner loops in Python: what ``_codec.c`` does, and as it does it.

Runs where that cannot be compiled, or with ``WSCORE_PURE`` in the environment; the tests hold the
two against each other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

# ---------------------------------------------------------------------------------- masks

# Below this many bytes, xor of two long integers is the faster way to mask; above, translating
# every fourth byte with its own table (measured on CPython 3.11: they meet at about 700).
_XOR_BELOW = 700
_TABLES: dict[int, bytes] = {}


def mask(data: bytes | memoryview, key: bytes) -> bytes:
    """``data`` xor ``key`` repeated (section 5.3); masking and unmasking are the same."""
    size = len(data)
    if size < _XOR_BELOW:
        keys = key * (size // 4 + 1)
        number = int.from_bytes(data, "big") ^ int.from_bytes(keys[:size], "big")
        return number.to_bytes(size, "big")
    masked = bytearray(data)
    for i in range(4):
        byte = key[i]
        table = _TABLES.get(byte)
        if table is None:
            table = _TABLES[byte] = bytes(byte ^ other for other in range(256))
        masked[i::4] = masked[i::4].translate(table)
    return bytes(masked)


# --------------------------------------------------------------------------------- encode

_SHORT = struct.Struct("!BB").pack
_MEDIUM = struct.Struct("!BBH").pack
_LONG = struct.Struct("!BBQ").pack


def header(head: int, size: int, masked: bool) -> bytes:
    """A frame's header without its mask key, its length as short as can be (section 5.2)."""
    bit = 0x80 if masked else 0
    if size < 126:
        return _SHORT(head, bit | size)
    if size < 0x10000:
        return _MEDIUM(head, bit | 126, size)
    return _LONG(head, bit | 127, size)


def encode(head: int, payload: bytes | memoryview, key: bytes | None) -> bytes:
    """A whole frame; ``key`` is None for frames of a server, which are not masked."""
    if key is None:
        return header(head, len(payload), False) + payload
    return b"%b%b%b" % (header(head, len(payload), True), key, mask(payload, key))


def encode_messages(messages: list[tuple[int, bytes]], keys: bytes | None) -> bytes:
    """A frame for each ``(opcode, payload)``; ``keys`` has 4 bytes for each, or is None."""
    return b"".join(
        encode(0x80 | opcode, payload, None if keys is None else keys[4 * i : 4 * i + 4])
        for i, (opcode, payload) in enumerate(messages)
    )


# --------------------------------------------------------------------------------- decode

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82


def decode_messages(
    data: bytes | memoryview, at: int, masked: bool, messages: float, room: float, limit: float
) -> tuple[Sequence[tuple[str | bytes, int]], int, int]:
    """Plain messages at the front: each in one frame, uncompressed, wholly there, right.

    Returns the messages with their sizes, where they end, and the sum of their sizes.
    """
    found: list[tuple[str | bytes, int]] = []
    end = len(data)
    total = 0
    while messages > 0 and room > 0 and end - at >= 2:
        head = data[at]
        size = data[at + 1]
        if (head != _FIN_TEXT and head != _FIN_BINARY) or (size >= 0x80) is not masked:
            break
        size &= 0x7F
        payload_at = at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            if end - payload_at < width:
                break
            size = int.from_bytes(data[payload_at : payload_at + width], "big")
            if size < (126 if width == 2 else 0x10000):
                break
            payload_at += width
        if masked:
            payload_at += 4
        done = payload_at + size
        if size > max(0, limit) or done > end:
            break
        payload = bytes(data[payload_at:done])
        if masked:
            payload = mask(payload, bytes(data[payload_at - 4 : payload_at]))
        if head == _FIN_TEXT:
            try:
                found.append((payload.decode(), size))
            except UnicodeDecodeError:
                break
        else:
            found.append((payload, size))
        at = done
        total += size
        room -= size
        messages -= 1
    return found, at, total


def hop(data: bytes | memoryview, at: int, masked: bool) -> tuple[int, int]:
    """Over data frames, up to what is none, or is wrong, or whose header is not all there.

    Returns where that is, and how many bytes of the last data frame's payload are missing.
    """
    end = len(data)
    while end - at >= 2:
        size = data[at + 1]
        if data[at] & 0x7F > 2 or (size >= 0x80) is not masked:
            break
        size &= 0x7F
        done = at + (6 if masked else 2)
        if size > 125:
            width = 2 if size == 126 else 8
            if end - at - 2 < width:
                break
            size = int.from_bytes(data[at + 2 : at + 2 + width], "big")
            done += width
        if done > end:
            break
        done += size
        if done > end:
            return end, done - end
        at = done
    return at, 0
