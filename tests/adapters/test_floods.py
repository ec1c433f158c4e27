"""Two peers flood each other, for long and with large messages: nothing stalls on any adapter."""

from __future__ import annotations

import pytest
from tests.adapters.runtimes import VARIANTS
from tests.adapters.scenarios import flood_of

KIB = 1024
MIB = 1024 * KIB


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("size", "count"),
    [(16, 10_000), (KIB, 10_000), (16 * KIB, 3000), (256 * KIB, 500), (MIB, 300), (16 * MIB, 100)],
)
def test_floods_in_both_directions_pass(size: int, count: int, variant: str) -> None:
    VARIANTS[variant](flood_of(size, count, max_message_size=16 * MIB))
