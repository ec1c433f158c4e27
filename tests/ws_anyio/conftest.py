"""The only place that runs the tests of ws_anyio: each ``async def`` once on each backend.

One that takes ``virtual_time`` runs on trio alone, where time passes when all are waiting.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio
import pytest
from tests.adapters.runtimes.on_anyio import BACKENDS, run
from trio.testing import MockClock

PATIENCE = 1e6
"""In virtual seconds, which cost nothing."""


@pytest.fixture
def virtual_time() -> None:
    """Asks for a clock that jumps; the test has to do without sockets and threads."""


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest) -> str:
    """What the test runs on, if it waits."""
    return str(getattr(request, "param", "none"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what waits on each backend."""
    if inspect.iscoroutinefunction(metafunc.function):
        virtual = "virtual_time" in metafunc.fixturenames
        metafunc.parametrize("backend", ["trio"] if virtual else BACKENDS, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    parameters = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in parameters}

    async def test() -> None:
        await pyfuncitem.obj(**arguments)

    if "virtual_time" in arguments:
        anyio.run(
            _run_patiently,
            test,
            backend="trio",
            backend_options={"clock": MockClock(autojump_threshold=0)},
        )
    else:
        run(test, backend=str(pyfuncitem.funcargs["backend"]))
    return True


async def _run_patiently(test: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(PATIENCE):
        await test()
