"""Conformance by the Autobahn test suite: an echo server and an echo client of each adapter.

Run by ``make autobahn`` through :mod:`autobahn.run`; a peer alone by
``python -m autobahn.on_trio server`` or ``python -m autobahn.on_trio client <url> <agent>``.
"""

from __future__ import annotations

from wscore import Config

CONFIG = Config(
    max_message_size=16 * 2**20,  # case 9.1.6 sends 16 MiB
    compression="deflate",  # cases 12 and 13
)
"""What every peer runs with: the defaults, but for what the suite cannot do without."""
