"""The only place for permessage-deflate (RFC 7692): negotiation, compression, bounded inflation.

:func:`offer`, :func:`accept` and :func:`confirm` write and read the values of the
Sec-WebSocket-Extensions header; :class:`Deflater` and :class:`Inflater` are the two directions
of one connection.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TypeAlias

from ._config import Deflate
from ._http import is_token

__all__ = [
    "CorruptData",
    "Deflater",
    "Inflater",
    "Negotiated",
    "accept",
    "confirm",
    "confirm_own",
    "offer",
]

BytesLike: TypeAlias = "bytes | bytearray | memoryview"

_NAME = "permessage-deflate"

_DEFAULT_BITS = 15
"""The window where no other is agreed on: the largest of DEFLATE (RFC 7692 section 7.1.2)."""

_TAIL = b"\x00\x00\xff\xff"
"""What a sender cuts off the end of a message and a receiver puts back (sections 7.2.1, 7.2.2)."""

_EMPTY_BLOCK = b"\x00" + _TAIL
"""A block without data that begins at a byte boundary (RFC 1951 section 3.2.4)."""

_MARK = b"mark"
_MARKED_BLOCK = b"\x01\x04\x00\xfb\xff" + _MARK
"""A final block that decodes to the mark (RFC 1951 section 3.2.4)."""

_INPUT_SLICE = 16 * 1024
"""Bytes given to zlib at a time. What it leaves over of its input is copied each time it stops,
so the whole input at once would cost the square of its size (the number is arbitrary)."""

_OUTPUT_SLICE = 64 * 1024
"""Bytes taken from zlib at a time: the most memory spent before a limit is looked at."""


class CorruptData(ValueError):
    """A message that does not decompress to a whole message (RFC 7692 section 7.2.2)."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed on (RFC 7692 section 7.1).

    :ivar server_max_window_bits: window of the server's compressor, 8 to 15 (a power of two, in
        bytes).
    :ivar client_max_window_bits: the same for the client's compressor.
    :ivar server_no_context_takeover: the server compresses each message by itself.
    :ivar client_no_context_takeover: the same for the client.
    """

    server_max_window_bits: int
    client_max_window_bits: int
    server_no_context_takeover: bool
    client_no_context_takeover: bool


# Negotiation (RFC 7692 sections 5 and 7.1)


def offer(deflate: Deflate) -> str:
    """A client's Sec-WebSocket-Extensions value: one offer of ``deflate``.

    ``client_max_window_bits`` is always in it, since a server may limit the client's window only
    if the offer says that the client can follow (RFC 7692 section 7.1.2.2).
    """
    return _extension(
        server_no_context_takeover=deflate.server_no_context_takeover,
        client_no_context_takeover=deflate.client_no_context_takeover,
        server_max_window_bits=_unless_default(deflate.server_max_window_bits),
        client_max_window_bits=_unless_default(deflate.client_max_window_bits) or True,
    )


def accept(offers: str, deflate: Deflate) -> tuple[str, Negotiated] | None:
    """A server's answer to the first offer that is valid; it can meet every valid one.

    Other extensions and invalid offers are passed over (RFC 7692 section 7.1). Nothing that a
    peer may write raises.

    :param offers: the request's Sec-WebSocket-Extensions values, joined by ``", "``.
    :param deflate: the server's parameters.
    :returns: the response's Sec-WebSocket-Extensions value and what it means, or None if there
        is nothing to accept.
    """
    for element in _elements(offers):
        try:
            name, parameters = _parse(element)
            if name == _NAME:
                return _answer(_values(parameters, in_offer=True), deflate)
        except ValueError:
            continue
    return None


def confirm(answer: str, deflate: Deflate | None) -> Negotiated | None:
    """What a response to our :func:`offer` agrees on, read strictly.

    :param answer: the response's Sec-WebSocket-Extensions values, joined by ``", "``.
    :param deflate: the client's parameters, or None if it offered no extension.
    :returns: None if the server declined.
    :raises ValueError: the answer is none that our offer allows; the client fails the connection
        (RFC 6455 section 4.1, RFC 7692 section 7.1).
    """
    values = _read_answer(answer, deflate)
    return None if values is None or deflate is None else _agreement(values, deflate)


def confirm_own(answer: str, deflate: Deflate | None) -> Negotiated | None:
    """What a response means for the server in whose name somebody else sent it, read strictly.

    Our own window may always be smaller than the response allows; the client's is what it says.

    :raises ValueError: the response is malformed, or names what we cannot do.
    """
    values = _read_answer(answer, deflate)
    if values is None or deflate is None:
        return None
    server_bits = values.get("server_max_window_bits", _DEFAULT_BITS)
    server_forgets = "server_no_context_takeover" in values
    return Negotiated(
        server_max_window_bits=min(server_bits, deflate.server_max_window_bits),
        client_max_window_bits=values.get("client_max_window_bits", _DEFAULT_BITS),
        server_no_context_takeover=server_forgets or deflate.server_no_context_takeover,
        client_no_context_takeover="client_no_context_takeover" in values,
    )


def _read_answer(answer: str, deflate: Deflate | None) -> dict[str, int] | None:
    """The parameters in a response; None if it has no extension."""
    extensions = [_parse(element) for element in _elements(answer)]
    if not extensions:
        return None
    others = ", ".join(name for name, _ in extensions if deflate is None or name != _NAME)
    if deflate is None or others:
        raise ValueError(f"the server answers extensions that were not offered: {others:.80}")
    if len(extensions) > 1:
        raise ValueError(f"the server answers {_NAME} {len(extensions)} times")
    _, parameters = extensions[0]
    return _values(parameters, in_offer=False)


def _answer(asked: dict[str, int], deflate: Deflate) -> tuple[str, Negotiated]:
    server_bits = min(
        asked.get("server_max_window_bits", _DEFAULT_BITS), deflate.server_max_window_bits
    )
    # A client that does not offer a limit need not follow one (section 7.1.2.2).
    client_bits = _DEFAULT_BITS
    if "client_max_window_bits" in asked:
        client_bits = min(asked["client_max_window_bits"], deflate.client_max_window_bits)
    server_forgets = deflate.server_no_context_takeover or "server_no_context_takeover" in asked
    client_forgets = deflate.client_no_context_takeover or "client_no_context_takeover" in asked
    # A limit on the server's window is accepted by naming it, even if it is the default
    # (section 7.1.2.1).
    named = server_bits if "server_max_window_bits" in asked else _unless_default(server_bits)
    answer = _extension(
        server_no_context_takeover=server_forgets,
        client_no_context_takeover=client_forgets,
        server_max_window_bits=named,
        client_max_window_bits=_unless_default(client_bits),
    )
    return answer, Negotiated(server_bits, client_bits, server_forgets, client_forgets)


def _agreement(answered: dict[str, int], deflate: Deflate) -> Negotiated:
    server_bits = answered.get("server_max_window_bits", _DEFAULT_BITS)
    if server_bits > deflate.server_max_window_bits:
        how = "" if "server_max_window_bits" in answered else ", the default,"
        raise ValueError(
            f"the server answers with server_max_window_bits {server_bits}{how} and was asked "
            f"for at most {deflate.server_max_window_bits}"
        )
    server_forgets = "server_no_context_takeover" in answered
    if deflate.server_no_context_takeover and not server_forgets:
        raise ValueError("the server answers without the server_no_context_takeover asked for")
    # What an offer says about the client's own compressor holds whatever the answer is, be it a
    # larger window (sections 7.1.1.2 and 7.1.2.2).
    client_bits = answered.get("client_max_window_bits", _DEFAULT_BITS)
    client_forgets = "client_no_context_takeover" in answered
    return Negotiated(
        server_max_window_bits=server_bits,
        client_max_window_bits=min(client_bits, deflate.client_max_window_bits),
        server_no_context_takeover=server_forgets,
        client_no_context_takeover=client_forgets or deflate.client_no_context_takeover,
    )


def _unless_default(bits: int) -> int | None:
    return bits if bits != _DEFAULT_BITS else None


def _extension(**parameters: int | bool | None) -> str:
    """The extension with these parameters: True is a flag, None and False are left out."""
    text = _NAME
    for name, value in parameters.items():
        if value is True:
            text += f"; {name}"
        elif value:
            text += f"; {name}={value}"
    return text


# The values of the parameters (RFC 7692 section 7.1)

_FLAGS = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_WINDOWS = frozenset({"server_max_window_bits", "client_max_window_bits"})
_BITS = {str(bits): bits for bits in range(8, _DEFAULT_BITS + 1)}


def _values(parameters: list[tuple[str, str | None]], *, in_offer: bool) -> dict[str, int]:
    """The parameters as numbers, a flag's being 1; ValueError says which of them is wrong."""
    values: dict[str, int] = {}
    for name, text in parameters:
        if name in values:
            raise ValueError(f"{_NAME} has {name} twice")
        if name in _WINDOWS:
            values[name] = _window(name, text, in_offer=in_offer)
        elif name not in _FLAGS:
            raise ValueError(f"{_NAME} has an unknown parameter, {name:.80}")
        elif text is not None:
            raise ValueError(f"{_NAME} has {name} with a value, {text:.80}; it takes none")
        else:
            values[name] = 1
    return values


def _window(name: str, text: str | None, *, in_offer: bool) -> int:
    # Without a value it says that the client can follow a limit (section 7.1.2.2).
    if text is None and in_offer and name == "client_max_window_bits":
        return _DEFAULT_BITS
    if text is None:
        raise ValueError(f"{_NAME} has {name} without a value; it takes 8 to 15")
    if text not in _BITS:
        raise ValueError(f"{_NAME} has {name}={text:.80}; it takes 8 to 15")
    return _BITS[text]


# The grammar of the header (RFC 6455 section 9.1, with the white space between tokens that it
# takes over from RFC 2616). No text matches a pattern in two ways: time is linear in its length.

_OWS = r"[ \t]*"
_TOKEN = r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)"
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_PARAMETER = rf"{_OWS};{_OWS}{_TOKEN}(?:{_OWS}={_OWS}(?:{_TOKEN}|{_QUOTED}))?"

# A quoted string without an end takes the rest of the value, lest a part of it count as an offer.
_element = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*\\?(?:"|\Z))+', re.DOTALL)
_name = re.compile(_OWS + _TOKEN)
_parameter = re.compile(_PARAMETER, re.DOTALL)
_parameters = re.compile(rf"(?:{_PARAMETER})*{_OWS}", re.DOTALL)
_escape = re.compile(r"\\(.)", re.DOTALL)


def _elements(value: str) -> list[str]:
    """The elements of the list, empty ones left out (RFC 9110 section 5.6.1)."""
    return [element for element in _element.findall(value) if element.strip(" \t")]


def _parse(element: str) -> tuple[str, list[tuple[str, str | None]]]:
    """The extension's name and its parameters; those without a value have None."""
    name = _name.match(element)
    if name is None or not _parameters.fullmatch(element, name.end()):
        raise ValueError(f"an extension is malformed: {element!r:.80}")
    parameters: list[tuple[str, str | None]] = []
    for parameter in _parameter.finditer(element, name.end()):
        key, value, quoted = parameter.groups()
        if quoted is not None:
            value = _escape.sub(r"\1", quoted)
            if not is_token(value):
                raise ValueError(f"the value of {key:.80} is not a token: {value!r:.80}")
        parameters.append((key, value))
    return name[1], parameters


# Compression (RFC 7692 section 7.2.1) and decompression (section 7.2.2)


class Deflater:
    """The compressor for the messages that this side sends.

    zlib's object is made for the first message that has data.

    :param bits: the window agreed on for this side, 8 to 15.
    :param no_context_takeover: each message is compressed by itself.
    :param deflate: ``level`` and ``memory_level``.
    """

    __slots__ = ("_bits", "_deflate", "_no_context_takeover", "_zlib")

    def __init__(self, bits: int, no_context_takeover: bool, deflate: Deflate) -> None:
        # zlib makes no raw stream with a window of 256 bytes. In one of 512 it never looks back
        # further than 512 - 262 = 250 bytes (its MIN_LOOKAHEAD), so a window of 256 reads it.
        self._bits = max(9, bits)
        self._no_context_takeover = no_context_takeover
        self._deflate = deflate
        self._zlib: zlib._Compress | None = None

    def compress(self, data: BytesLike) -> bytes:
        """A whole message as it goes into frames (RFC 7692 section 7.2.1)."""
        return self.compress_part(data, final=True)

    def compress_part(self, data: BytesLike, *, final: bool) -> bytes:
        """The next part of a message; the peer can decompress all parts up to this one.

        :param final: the message ends here; an empty last part is fine.
        """
        compressed = self._compress(data) if len(data) else _EMPTY_BLOCK
        if not final:
            return compressed
        if self._no_context_takeover:
            self.reset()
        return compressed[: -len(_TAIL)]

    def reset(self) -> None:
        """Forget the messages so far: the next one does not refer to them.

        Between messages only. The peer need not know, since it only keeps more than is used;
        needed after a message that another compressor made.
        """
        self._zlib = None

    def _compress(self, data: BytesLike) -> bytes:
        if self._zlib is None:
            self._zlib = zlib.compressobj(
                self._deflate.level, zlib.DEFLATED, -self._bits, self._deflate.memory_level
            )
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class Inflater:
    """The decompressor for the messages that the peer sends.

    No zlib object outlives a message. What does is the peer's window, the last ``2 ** bits``
    bytes of output, and each message starts a new object with it. That costs no more than the
    ``copy()`` without which an object that lives on cannot be asked whether a message is whole,
    it keeps less memory between messages, and it serves blocks with BFINAL=1, after which zlib
    goes no further while the window goes on (RFC 7692 section 7.2.2).

    :param bits: the window agreed on for the peer, 8 to 15.
    :param no_context_takeover: the peer compresses each message by itself.
    """

    __slots__ = ("_bits", "_no_context_takeover", "_window", "_zlib")

    def __init__(self, bits: int, no_context_takeover: bool) -> None:
        self._bits = bits
        self._no_context_takeover = no_context_takeover
        self._window: bytes | bytearray = b""
        self._zlib: zlib._Decompress | None = None

    def feed(self, data: BytesLike, into: bytearray, limit: int | float) -> bool:
        """Decompress the next piece of a message, cut anywhere, to the end of ``into``.

        :param limit: the most bytes that this call may append.
        :returns: False as soon as there is more output than that: ``into`` has got ``limit``
            bytes, at most 64 KiB were decompressed beyond, and the inflater is of no further use.
        :raises CorruptData: this is not DEFLATE, or refers to what was never sent.
        """
        end = len(into) + limit
        view = memoryview(data)
        for start in range(0, len(view), _INPUT_SLICE):
            if not self._inflate(view[start : start + _INPUT_SLICE], into, end):
                return False
        return True

    def finish(self) -> None:
        """The message ends here; :meth:`feed` has given all of its data.

        :raises CorruptData: the message is truncated, or has something behind its end.
        """
        inflater = self._zlib or self._start()
        self._zlib = None
        # zlib does not say whether it stands between two blocks, and inside of one it may take
        # the tail for the end of it. Only between two does the tail give nothing and the marked
        # block the mark, and the end of the stream with its last byte; a code table made up to
        # give the same from inside gains nothing, for it could have sent a whole message.
        try:
            output = inflater.decompress(_TAIL + _MARKED_BLOCK, len(_MARK) + 1)
        except zlib.error as error:
            raise CorruptData(f"compressed message does not end as it must: {error}") from error
        if output != _MARK or not inflater.eof or inflater.unused_data:
            raise CorruptData("compressed message does not end as it must: truncated or too long")
        if self._no_context_takeover:
            self._window = b""

    def _start(self) -> zlib._Decompress:
        # zlib would hold distances against a smaller window only from one call to the next: what
        # it takes would depend on how the message is cut. Between messages the window is ours.
        return zlib.decompressobj(-zlib.MAX_WBITS, self._window)

    def _inflate(self, data: BytesLike, into: bytearray, end: int | float) -> bool:
        window_size = 1 << self._bits
        while True:
            inflater = self._zlib = self._zlib or self._start()
            room = end - len(into)
            # One byte more than there is room for, to tell "full" from "too much"; never 0,
            # which zlib takes for no limit.
            most = _OUTPUT_SLICE if room >= _OUTPUT_SLICE else max(1, int(room) + 1)
            try:
                output = inflater.decompress(data, most)
            except zlib.error as error:
                raise CorruptData(f"compressed message is corrupt: {error}") from error
            if len(output) > room:
                into += output[: int(room)]
                return False
            into += output
            window = self._window if isinstance(self._window, bytearray) else bytearray()
            window += output[-window_size:]
            del window[:-window_size]
            self._window = window
            if inflater.eof:
                # BFINAL=1: what follows begins at the next byte (sections 7.2.1 and 7.2.3.4).
                self._zlib = None
                data = inflater.unused_data
                if not data:
                    return True
            elif len(output) < most:
                return True
            else:
                data = inflater.unconsumed_tail
