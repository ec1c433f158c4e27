"""The only place that runs the adapters' tests: on which event loops, and that nothing is left.

Every test here is an ``async def`` and runs once on each loop of :data:`LOOPS`.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import ssl
import stat
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
import trustme
import uvloop

NewLoop = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, NewLoop] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

_PATIENCE = 15.0
"""In seconds: a test that takes longer hangs."""

_AFTERMATH = 2.0
"""In seconds: what a test has ended is gone by then, or leaked."""


@pytest.fixture(scope="session", autouse=True)
def _only_what_tests_make_is_garbage() -> None:
    """What was imported stays, and need not be looked through after every test."""
    gc.freeze()


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


def run(test: Coroutine[Any, Any, None], new_loop: NewLoop) -> None:
    """Run a test; fail if it leaves a task or a socket, or an exception that nobody saw."""
    unseen: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        runner.run(_run_cleanly(test))
    # What is garbage warns now, while the test that made it is still to blame.
    gc.collect()
    assert not unseen, f"exceptions that nobody saw: {unseen}"


async def _run_cleanly(test: Coroutine[Any, Any, None]) -> None:
    sockets = _open_sockets()
    async with asyncio.timeout(_PATIENCE):
        await test
    try:
        async with asyncio.timeout(_AFTERMATH):
            # Nobody announces it.
            while _left_tasks() or _open_sockets() - sockets:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"left: {_left_tasks()}, sockets {_open_sockets() - sockets}")


def _left_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def _open_sockets() -> set[tuple[int, int]]:
    """The sockets of this process, by number and inode: numbers are used again."""
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:
            # The one that listed the directory.
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add((int(name), status.st_ino))
    return found


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs what the tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for ``localhost``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context, which trusts :func:`authority` and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context
