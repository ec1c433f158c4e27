"""The only place that runs the tests of ws_asyncio: each ``async def`` once on each event loop."""

from __future__ import annotations

import inspect
from typing import cast

import pytest
from tests.adapters.runtimes.on_asyncio import LOOPS, NewLoop, run


@pytest.fixture(params=LOOPS, autouse=True)
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """Makes the event loop that the test runs on."""
    return LOOPS[request.param]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test to its end, on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = inspect.signature(pyfuncitem.obj).parameters
    test = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in arguments})
    run(test, cast(NewLoop, pyfuncitem.funcargs["new_loop"]))
    return True
