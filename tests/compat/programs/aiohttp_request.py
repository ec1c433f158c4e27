"""What a client can say when it connects, and how a server that does not like it answers."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def judge(request: web.Request) -> web.StreamResponse:
    if request.path == "/old":
        raise web.HTTPFound("/new?moved=1")
    if request.headers.get("Authorization") != "Bearer me":
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    websocket = web.WebSocketResponse(protocols=("json", "chat"))
    await websocket.prepare(request)
    await websocket.send_str(request.path_qs)
    await websocket.send_str(f"{request.headers['Origin']} {request.headers['User-Agent']}")
    await websocket.send_str(str(sorted(request.cookies.items())))
    await websocket.close()
    return websocket


async def visit(session: Any, url: str, **options: Any) -> None:
    async with session.ws_connect(url, **options) as websocket:
        print(websocket.protocol)
        async for message in websocket:
            print(message.data)


async def main(aiohttp: Any) -> None:
    async with (
        serving(judge) as url,
        aiohttp.ClientSession(
            headers={"User-Agent": "nobody"}, cookies={"who": "me", "where": "here"}
        ) as session,
    ):
        try:
            await visit(session, url)
        except aiohttp.WSServerHandshakeError as error:
            print(error.status, error.message, error.headers["www-authenticate"])
        options: dict[str, Any] = {
            "headers": {"Authorization": "Bearer me", "user-agent": "somebody"},
            "origin": "https://example.com",
            "protocols": ("chat",),
        }
        await visit(session, f"{url}there?a=1", params={"b": "x y"}, **options)
        await visit(session, f"{url}old", **options)
        for wrong in ("ftp://example.com/", "/nowhere"):
            try:
                await visit(session, wrong)
            except aiohttp.ClientError as error:
                print(type(error).__name__)
    try:
        await session.ws_connect(url)
    except RuntimeError as error:
        print(error)
