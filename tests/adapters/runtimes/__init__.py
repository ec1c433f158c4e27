"""The only place that lists what the scenarios run on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.adapters.runtimes import on_anyio, on_asyncio, on_sync, on_trio
from tests.adapters.scenarios import Scenario

VARIANTS: dict[str, Callable[[Scenario], None]] = {
    **{
        name: partial(on_asyncio.run_scenario, new_loop=new_loop)
        for name, new_loop in on_asyncio.LOOPS.items()
    },
    "trio": on_trio.run_scenario,
    "sync": on_sync.run_scenario,
    **{
        f"anyio+{backend}": partial(on_anyio.run_scenario, backend=backend)
        for backend in on_anyio.BACKENDS
    },
}
"""How to run a scenario to its end, failing if it leaves anything behind."""
