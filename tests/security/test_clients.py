"""Every attack on a client of every adapter; after each it visits a good server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.security import on_clients
from tests.security.on_clients import ATTACKS
from tests.security.victim import MODULES, Client


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """One of each, for all attacks: what one does to it the next one meets."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        yield {
            variant: stack.enter_context(Client(variant, logs / variant)) for variant in MODULES
        }


@pytest.mark.parametrize("variant", MODULES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if attack.long else [])
        for name, attack in ATTACKS.items()
    ],
)
def test_a_client_withstands(name: str, variant: str, clients: dict[str, Client]) -> None:
    client = clients[variant]
    begun = len(client.log)
    on_clients.run(name, client)
    on_clients.check(client)
    said = client.log[begun:]
    assert "Traceback" not in said, said
    assert "Warning" not in said, said


@pytest.mark.parametrize("variant", MODULES)
def test_plain_text_where_tls_is_expected(variant: str, clients: dict[str, Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1024)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        visit = clients[variant].visit(f"wss://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert visit["error"] == "HandshakeInterrupted"
    on_clients.check(clients[variant])


@pytest.mark.parametrize("variant", MODULES)
def test_a_certificate_for_another_name(variant: str, clients: dict[str, Client]) -> None:
    with on_clients.hostile(on_clients.shake, tls=True, host="127.0.0.2") as url:
        visit = clients[variant].visit(url)
    assert visit["error"] == "HandshakeInterrupted"
    assert "certificate" in visit["text"].lower()
    on_clients.check(clients[variant])


def test_there_are_many() -> None:
    assert len(ATTACKS) >= 30
