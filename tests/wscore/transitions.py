"""The only place for watching what Connection.state changes from and to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

from wscore import Connection, State


class Transitions:
    """A descriptor to put in the place of ``Connection.state``."""

    def __init__(self) -> None:
        self._slot: Any = Connection.__dict__["state"]
        self._states: WeakKeyDictionary[Connection, list[State]] = WeakKeyDictionary()

    def __get__(self, connection: Connection, owner: type[Connection]) -> State:
        state: State = self._slot.__get__(connection, owner)
        return state

    def __set__(self, connection: Connection, state: State) -> None:
        self._slot.__set__(connection, state)
        states = self._states.setdefault(connection, [])
        if states[-1:] != [state]:
            states.append(state)

    def of(self, connection: Connection) -> list[tuple[State, State]]:
        """Every change of the connection's state, in order."""
        states = self._states[connection]
        return list(pairwise(states))
