"""The only place that says what wscore needs of a logger: it has none of its own."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Log"]


class Log(Protocol):
    """Where an adapter tells what nobody waits for: a logger of the standard library."""

    def info(self, message: str, /, *args: object) -> None: ...

    def error(
        self, message: str, /, *args: object, exc_info: BaseException | None = None
    ) -> None: ...
