"""Runs the client of every adapter against the server of every adapter, each on its own loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.adapters import certificates
from tests.adapters.runtimes import VARIANTS
from tests.adapters.scenarios import KIB, MIB, Runtime, Socket, echo

from wscore import CloseFrame, Deflate

Closes = queue.SimpleQueue[CloseFrame | None]
"""What reached the server in Close frames."""


@contextmanager
def serving(variant: str, closes: Closes, **options: Any) -> Iterator[int]:
    """Serve echoes in a thread; give the port."""
    ports: queue.SimpleQueue[int] = queue.SimpleQueue()
    stop = threading.Event()
    errors: list[BaseException] = []

    async def serve(runtime: Runtime) -> None:
        async def handler(websocket: Socket) -> None:
            try:
                await echo(websocket)
            finally:
                closes.put((await websocket.wait_closed()).close_received)

        async with runtime.serve(handler, **options) as server:
            ports.put(server.port)
            await runtime.in_thread(stop.wait)

    def run() -> None:
        try:
            VARIANTS[variant](serve)
        except BaseException as error:  # noqa: BLE001  (raised again below)
            errors.append(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        yield ports.get(timeout=10)
    finally:
        stop.set()
        thread.join()
    assert errors == []


@pytest.mark.parametrize("server", VARIANTS)
@pytest.mark.parametrize("client", VARIANTS)
def test_every_client_talks_to_every_server(client: str, server: str) -> None:
    async def talk(runtime: Runtime) -> None:
        async with runtime.connect(
            f"ws://127.0.0.1:{port}/", subprotocols=["b", "c"], **policy
        ) as websocket:
            assert websocket.subprotocol == "b"
            for message in ("", "Grüße", b"\x00\xff", "x" * 70 * KIB, b"y" * MIB):
                await websocket.send(message)
                assert await websocket.recv() == message
            await websocket.send(["in ", "parts"])
            assert await websocket.recv() == "in parts"
            assert await websocket.ping() >= 0

            async def send() -> None:
                for number in range(300):
                    await websocket.send(str(number))

            async def receive() -> None:
                for number in range(300):
                    assert await websocket.recv() == str(number)

            await runtime.together(send, receive)
            await websocket.close(4000, "bye")
            assert (await websocket.wait_closed()).clean

    policy: dict[str, Any] = {"compression": Deflate(threshold=1000)}
    closes = Closes()
    with serving(server, closes, subprotocols=["a", "b"], **policy) as port:
        VARIANTS[client](talk)
    assert closes.get(timeout=10) == (4000, "bye")


@pytest.mark.parametrize("server", VARIANTS)
@pytest.mark.parametrize("client", VARIANTS)
def test_every_client_talks_to_every_server_over_tls(client: str, server: str) -> None:
    async def talk(runtime: Runtime) -> None:
        async with runtime.connect(
            f"wss://localhost:{port}/", ssl=certificates.client_tls()
        ) as websocket:
            for message in ("Grüße", b"y" * MIB):
                await websocket.send(message)
                assert await websocket.recv() == message
            await websocket.close(4000, "bye")
            assert (await websocket.wait_closed()).clean

    closes = Closes()
    with serving(server, closes, ssl=certificates.server_tls()) as port:
        VARIANTS[client](talk)
    assert closes.get(timeout=10) == (4000, "bye")
