"""The only place for who takes part: a library on a runtime.

Each module here is both processes of one: ``python -m bench.contenders.raw_trio server trio``.
They all run with their defaults, but for compression, which is off unless it is what is measured,
and for limits to the size of a message, which are lifted.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, NamedTuple

RAW: Final = "raw"


class Contender(NamedTuple):
    """Who takes part.

    :ivar library: its name on PyPI, or ``raw`` for sockets without any.
    :ivar runtime: what it runs on.
    :ivar pure: ours, without its compiled codec.
    """

    library: str
    runtime: str
    pure: bool = False

    @property
    def name(self) -> str:
        """What tables and results call it."""
        return f"{self.library}{' (pure)' if self.pure else ''} on {self.runtime}"

    @property
    def module(self) -> str:
        """The module that is both its server and its client."""
        framework, _, _ = self.runtime.partition("+")
        framework = "asyncio" if framework == "uvloop" else framework
        library = self.library.replace("-", "_")
        return f"{__name__}.{library if self.is_ours else f'{library}_{framework}'}"

    @property
    def is_ours(self) -> bool:
        """Whether it is an adapter of this repository."""
        return self.library.startswith("ws-")

    @property
    def is_raw(self) -> bool:
        """Whether it is the limit: sockets that carry bytes, not messages."""
        return self.library == RAW

    @property
    def environment(self) -> dict[str, str]:
        """What its processes find in their environment, apart from ours."""
        return {"WSCORE_PURE": "1"} if self.pure else {}

    @property
    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        needed = [] if self.is_raw else [self.library.replace("-", "_")]
        needed += [part for part in self.runtime.split("+") if part != "sync"]
        return [package for package in needed if find_spec(package) is None]


RUNTIMES: Final = {
    "asyncio": ["ws-asyncio", "picows", "websockets", "aiohttp", RAW],
    "uvloop": ["ws-asyncio", "picows", "websockets", "aiohttp", RAW],
    "trio": ["ws-trio", "websockets", "trio-websocket", RAW],
    "sync": ["ws-sync", "websockets", RAW],
    "anyio+asyncio": ["ws-anyio", "asyncwebsockets", RAW],
    "anyio+trio": ["ws-anyio", "asyncwebsockets", RAW],
}
"""Who takes part on each runtime; ours first, the limit last."""

PURE: Final = ("asyncio", "trio", "sync")
"""Where ours takes part without its compiled codec, too."""


def contenders(*, compiled: bool) -> list[Contender]:
    """Everybody, in the order of the tables.

    :param compiled: whether there is a compiled codec: without one, ours is pure anyway.
    """
    everybody: list[Contender] = []
    for runtime, (ours, *others) in RUNTIMES.items():
        everybody.append(Contender(ours, runtime))
        if compiled and runtime in PURE:
            everybody.append(Contender(ours, runtime, pure=True))
        everybody += [Contender(library, runtime) for library in others]
    return everybody
