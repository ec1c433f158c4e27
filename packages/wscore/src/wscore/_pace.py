"""The only place for the numbers by which adapters pace themselves: what waits for each other, who
waits for whom. A different one would change how fast they are, not what they do.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CALLS_A_TURN", "HANDOVER", "IN_A_ROW", "LOOKS_APART"]

IN_A_ROW: Final = 100e-6
"""Seconds within which a message follows another in a row; to write one takes a tenth of that."""

HANDOVER: Final = 0.02
"""Seconds after which the connection's own task reads: pings are to be answered soon, and whoever
receives again and again is to be left alone."""

LOOKS_APART: Final = 0.005
"""Seconds at least between two looks after those whose receivers may be away: so much later than
that the connection reads."""

CALLS_A_TURN: Final = 16
"""Calls within a batch or a row until it is the others' turn: that costs many times what a call
does."""
