"""Drop-in modules: each has the names of another library for trio, and runs on :mod:`ws_trio`."""

from __future__ import annotations
