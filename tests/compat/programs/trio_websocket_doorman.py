"""A server that looks at who comes: path, subprotocols and headers, and says no to some."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def doorman(request: Any) -> None:
        headers = dict(request.headers)
        say(f"{request.path}: {request.proposed_subprotocols}, {headers.get(b'authorization')}")
        if request.path != "/club?v=2":
            await request.reject(404)
        elif headers.get(b"authorization") != b"Bearer secret":
            await request.reject(
                401, extra_headers=[(b"WWW-Authenticate", b"Bearer")], body=b"Who are you?"
            )
        else:
            chosen = next(each for each in ("v2", "v1") if each in request.proposed_subprotocols)
            websocket = await request.accept(
                subprotocol=chosen, extra_headers=[(b"Set-Cookie", b"seen=yes; Secure")]
            )
            await websocket.send_message(
                f"welcome from {websocket.path} by {websocket.subprotocol}"
            )

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(trio_websocket.serve_websocket, doorman, "127.0.0.1", 0, None)
        )
        key = [(b"Authorization", b"Bearer secret")]
        for resource, headers in (("/", None), ("/club?v=2", None), ("/club?v=2", key)):
            try:
                async with trio_websocket.open_websocket(
                    *("127.0.0.1", server.port, resource),
                    use_ssl=False,
                    subprotocols=["v1", "v2", "v3"],
                    extra_headers=headers,
                ) as websocket:
                    say(await websocket.get_message())
                    say(f"{websocket.subprotocol}, {dict(websocket.handshake_headers)}")
            except trio_websocket.ConnectionRejected as rejection:
                say(f"{rejection!r}: {rejection.body!r}")
                say(f"asks for {dict(rejection.headers).get(b'www-authenticate')}")
        nursery.cancel_scope.cancel()
