"""The only place for the table of attacks on servers, which the other files here fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from tests.adapters.rawpeers import Frame
from tests.security.attacker import MARK, Answer, Attacker
from tests.security.victim import Server
from tests.wscore.rawpeer import CLOSE, FIN, TEXT

Script: TypeAlias = Callable[[Server], None]
"""What an attacker does to a server; it asserts the outcome."""


class Attack(NamedTuple):
    """An attack, and whether it takes long: it waits for a deadline, or sends very much."""

    script: Script
    long: bool


ATTACKS: Final[dict[str, Attack]] = {}


def add(name: str, script: Script, *, long: bool = False) -> None:
    assert name not in ATTACKS, name
    ATTACKS[name] = Attack(script, long)


def attack(script: Script) -> Script:
    """Add an attack under its name."""
    add(script.__name__, script)
    return script


def long_attack(script: Script) -> Script:
    """Add an attack that takes long."""
    add(script.__name__, script, long=True)
    return script


def refused(answer: Answer, status: int) -> None:
    """It is an error that says nothing of the request (SECURITY 8)."""
    assert answer.status == status, answer
    assert "close" in answer.headers["connection"].split(", ")
    assert answer.headers["content-type"].startswith("text/plain")
    assert int(answer.headers["content-length"]) == len(answer.body) <= 200
    assert MARK not in f"{answer.headers}{answer.body!r}".upper()


def failed(attacker: Attacker, code: int, *echoes: bytes) -> None:
    """What was good is echoed; then come a Close frame with the code, and the end."""
    frames = attacker.frames_to_end()
    assert frames, "nothing but the end"
    *echoed, close = frames
    assert (close.head, int.from_bytes(close.payload[:2], "big")) == (CLOSE, code), frames
    assert [each for each in echoed if not each.head & 0x08] == [
        Frame(FIN | TEXT, echo) for echo in echoes
    ]
