"""Every attack on a server of every adapter; after each a fresh client is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.security.on_servers import compression, floods, frames, handshakes, slowness, tls
from tests.security.on_servers.table import ATTACKS, Attack
from tests.security.victim import MODULES, Server

FILLED_BY = (handshakes, frames, compression, floods, slowness, tls)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """One of each, for all attacks: what one does to it the next one meets."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        yield {
            variant: stack.enter_context(Server(variant, logs / variant)) for variant in MODULES
        }


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=name, marks=[pytest.mark.long] if attack.long else [])
        for name, attack in ATTACKS.items()
    ],
)
def test_a_server_withstands(attack: Attack, variant: str, servers: dict[str, Server]) -> None:
    server = servers[variant]
    begun = len(server.log)
    attack.script(server)
    server.check()
    said = server.log[begun:]
    # SECURITY 21: what peers do is no error of ours.
    assert "Traceback" not in said, said
    assert "Warning" not in said, said


def test_there_are_many() -> None:
    assert len(ATTACKS) >= 80
