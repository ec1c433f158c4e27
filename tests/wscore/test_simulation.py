"""Hypothesis looks for a series of commands and faults after which something does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.wscore.simulation import ACTIONS, POLICIES, Simulation

from wscore import Config

Choices = Mapping[str, Sequence[Any]]


def one_of_each(choices: Choices) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.sampled_from(each) for name, each in choices.items()})


CONFIGS = one_of_each(POLICIES).map(lambda fields: Config(**fields))


class Search(RuleBasedStateMachine):
    """Whatever Hypothesis thinks of, with the rules checked after each action."""

    simulation: Simulation | None = None

    @initialize(client=CONFIGS, server=CONFIGS)
    def open(self, client: Config, server: Config) -> None:
        self.simulation = Simulation(client, server)

    def teardown(self) -> None:
        if self.simulation is not None:
            self.simulation.finish()


def act(action: str, choices: Choices) -> Any:
    @rule(arguments=one_of_each(choices))
    def run(self: Search, arguments: dict[str, Any]) -> None:
        assert self.simulation is not None
        self.simulation.act(action, arguments)

    return run


for name, choices in ACTIONS.items():
    setattr(Search, name, act(name, choices))

TestSimulation = Search.TestCase
