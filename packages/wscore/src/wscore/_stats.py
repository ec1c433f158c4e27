"""The only place for counters: what passed through a connection, and how much of it is fair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FairShare", "Stats"]


@dataclass(slots=True)
class Stats:
    """Plain counters of one connection, always up to date; reading them costs nothing.

    :ivar bytes_sent: bytes that left for the transport, handshake and frame headers included.
    :ivar bytes_received: bytes that came from it.
    :ivar messages_sent: whole messages handed to the transport.
    :ivar messages_received: whole messages received.
    :ivar message_bytes_sent: bytes of those messages, before compression.
    :ivar message_bytes_received: the same, after inflation.
    :ivar payload_bytes_sent: bytes of the data frames' payloads, after compression.
    :ivar payload_bytes_received: the same, before inflation.
    :ivar frames_sent: frames handed to the transport, control frames included.
    :ivar frames_received: frames decoded, control frames included.
    :ivar pings_sent: pings, keepalive included.
    :ivar pings_received: pings, each of which got a pong unless coalesced.
    :ivar pongs_coalesced: pongs that a newer one replaced (``max_pong_buffer``).
    :ivar messages_dropped: messages dropped by ``overflow``.
    :ivar messages_replaced: messages replaced by a newer one with the same key.
    :ivar read_pauses: times that the receive queue reached a high mark.
    :ivar send_pauses: times that the send buffer reached its high mark.
    :ivar queue_high_water: the most messages that waited to be taken.
    :ivar queue_bytes_high_water: the most bytes that they had.
    :ivar send_buffer_high_water: the most bytes that waited to be sent.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    message_bytes_sent: int = 0
    message_bytes_received: int = 0
    payload_bytes_sent: int = 0
    payload_bytes_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    pings_sent: int = 0
    pings_received: int = 0
    pongs_coalesced: int = 0
    messages_dropped: int = 0
    messages_replaced: int = 0
    read_pauses: int = 0
    send_pauses: int = 0
    queue_high_water: int = 0
    queue_bytes_high_water: int = 0
    send_buffer_high_water: int = 0

    @property
    def work(self) -> int:
        """Bytes that cost somebody time: those that were sent, and those of messages received."""
        return self.bytes_sent + self.message_bytes_received


class FairShare:
    """How much work one connection may do before it lets others run: a flood is not theirs.

    Whoever sends or receives asks :meth:`used_up` first, and if so lets the loop turn once and
    calls :meth:`begin`; so does whoever reads from the transport.
    """

    __slots__ = ("_limit", "_stats")

    def __init__(self, stats: Stats) -> None:
        self._stats: Final = stats
        self._limit = stats.work + _FAIR_SHARE

    def used_up(self) -> bool:
        """Whether others are to run first.

        Asking counts as a call, since one that drops its message is work that moves no bytes.
        """
        self._limit -= _WORK_OF_A_CALL
        stats = self._stats
        return stats.bytes_sent + stats.message_bytes_received > self._limit

    def begin(self) -> None:
        """Others have run."""
        stats = self._stats
        self._limit = stats.bytes_sent + stats.message_bytes_received + _FAIR_SHARE


_FAIR_SHARE = 256 * 1024
"""Bytes of :attr:`Stats.work` that are fair: what a read may bring. Answering one message of
64 KiB must not take another turn of the loop, which costs a third of it (measured)."""

_WORK_OF_A_CALL = 1024
"""What a call counts as besides the bytes it moves, if any (arbitrary: a call takes about as long
as moving some KiB)."""
