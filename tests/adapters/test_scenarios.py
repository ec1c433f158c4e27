"""Runs the table of scenarios on every adapter, over each of its event loops."""

from __future__ import annotations

import pytest
from tests.adapters.runtimes import VARIANTS
from tests.adapters.scenarios import SCENARIOS, Scenario


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_adapters_do_alike(scenario: Scenario, variant: str) -> None:
    VARIANTS[variant](scenario)
