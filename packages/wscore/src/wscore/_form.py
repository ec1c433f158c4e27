"""The only place that chooses the form of the codec's inner loops: ``_codec.c`` or ``_pure.py``.

The compiled form is there if it could be compiled at install; ``WSCORE_PURE=1`` in the environment
forces the other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

__all__ = [
    "LANDS",
    "Landing",
    "codec",
    "decode_messages",
    "encode",
    "encode_messages",
    "hop",
    "mask",
]

if TYPE_CHECKING:
    from ._codec import Landing, decode_messages, encode, encode_messages, hop, mask

    codec: Final = "C"
    """Which form runs: ``"C"`` or ``"Python"``."""
else:
    try:
        if os.environ.get("WSCORE_PURE"):
            raise ImportError("WSCORE_PURE is set")
        from ._codec import Landing, decode_messages, encode, encode_messages, hop, mask
    except ImportError:
        from ._pure import decode_messages, encode, encode_messages, hop, mask

        codec = "Python"
        Landing = None
    else:
        codec = "C"

LANDS: Final = codec == "C"
"""Whether large payloads land in their final bytes object; else they are gathered, and copied."""
