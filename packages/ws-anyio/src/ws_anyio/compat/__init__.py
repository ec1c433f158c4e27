"""Drop-in modules: each has the names of another library, so that one import is what changes."""

from __future__ import annotations
