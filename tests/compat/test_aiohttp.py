"""The only place that proves ws_asyncio.compat.aiohttp, row by row of its table of behaviours.

The other side is played by hand, so that what is on the wire and when is the test's to say.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import hashlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, ParamSpec

import pytest
from tests.adapters.runtimes.on_asyncio import run
from tests.ws_asyncio.peers import (
    BytesMessage,
    CloseConnection,
    Peer,
    Ping,
    Pong,
    TextMessage,
    listening,
    turns,
    until,
)

from ws_asyncio import WebSocket, serve
from ws_asyncio.compat import aiohttp
from wscore import Accept, Headers, Request, Response

P = ParamSpec("P")

SOON = 0.05
"""Seconds: a timeout that is meant to pass."""


def on_asyncio(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run it to its end on a loop of its own; it fails if it leaves anything behind."""

    @functools.wraps(test)
    def runs(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs), asyncio.new_event_loop)

    return runs


@asynccontextmanager
async def meeting(**options: Any) -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection of the module, and its other end."""
    async with listening() as (listener, port), aiohttp.ClientSession() as session:
        opening = asyncio.create_task(session.ws_connect(f"ws://127.0.0.1:{port}/", **options))
        with await Peer.accept(listener) as peer:
            await peer.answer()
            yield await opening, peer


@asynccontextmanager
async def asked_by(
    connect: Callable[[int], Coroutine[Any, Any, object]], answer: bytes
) -> AsyncIterator[tuple[bytes, asyncio.Task[object]]]:
    """The head of the request that this makes, which gets this answer; and what becomes of it."""
    async with listening() as (listener, port):
        opening = asyncio.create_task(connect(port))
        with await Peer.accept(listener) as peer:
            head = await peer.read_head()
            await peer.write(answer)
            await asyncio.wait([opening])
            assert opening.exception() is not None
            yield head, opening


Connection = aiohttp.ClientWebSocketResponse

REJECTION = (
    b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 100\r\n\r\nonly the beginn"
)


async def rejected_request(*, session: dict[str, Any] | None = None, **options: Any) -> bytes:
    """The head of the request that goes out with these options."""
    path = options.pop("url", "")

    async def connect(port: int) -> None:
        async with aiohttp.ClientSession(**(session or {})) as made:
            await made.ws_connect(f"ws://127.0.0.1:{port}/{path}", **options)

    async with asked_by(connect, REJECTION) as (head, opening):
        assert isinstance(opening.exception(), aiohttp.WSServerHandshakeError)
        return head


async def failure(url: str, session: dict[str, Any] | None = None, **options: Any) -> Exception:
    """Why no connection opens."""
    async with aiohttp.ClientSession(**(session or {})) as made:
        with pytest.raises(Exception) as caught:
            await made.ws_connect(url, **options)
    return caught.value


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


# ------------------------------------------------------------------------------------- names


@on_asyncio
async def test_H1_ws_connect_of_0_16_connects_without_a_session() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with aiohttp.ws_connect(url, timeout=1.0) as ws:
            await ws.send_str("with")
            assert (await ws.receive()).data == "with"
        ws = await aiohttp.ws_connect(
            url, loop=asyncio.get_running_loop(), ws_response_class=Special, autoclose=False
        )
        await ws.send_bytes(b"await")
        assert (await ws.receive()).data == b"await"
        assert isinstance(ws, Special)
        assert await ws.close()


class Special(aiohttp.ClientWebSocketResponse):
    pass


@on_asyncio
async def test_H1_connector_loop_and_ws_response_class_belong_to_the_session() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1),
            loop=asyncio.get_running_loop(),
            ws_response_class=Special,
        ) as session,
        session.ws_connect(f"ws://127.0.0.1:{server.port}/") as ws,
    ):
        assert isinstance(ws, Special)


@on_asyncio
async def test_H2_it_is_entered_awaited_and_a_coroutine() -> None:
    async with serve(echo, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        for scheme in ("ws", "http"):
            url = f"{scheme}://127.0.0.1:{server.port}/#fragment"
            async with session.ws_connect(url) as ws:
                assert not ws.closed
            assert ws.closed
            ws = await session.ws_connect(url)
            assert await ws.close()
        url = f"ws://127.0.0.1:{server.port}/"
        ws = await asyncio.wait_for(asyncio.create_task(session.ws_connect(url)), 1)
        assert await ws.close()
        async with await session.ws_connect(url) as ws:
            assert not ws.closed
        assert ws.closed
        unused = session.ws_connect(url)
        unused.close()


@on_asyncio
async def test_H2_a_session_closes_what_is_open_and_opens_no_more() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        session = aiohttp.ClientSession()
        ws = await session.ws_connect(f"ws://127.0.0.1:{server.port}/")
        assert not session.closed
        await session.close()
        await session.close()
        assert session.closed
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        assert ws.close_code == 1006
        with pytest.raises(RuntimeError, match="Session is closed"):
            await session.ws_connect(f"ws://127.0.0.1:{server.port}/")


@on_asyncio
async def test_H2_a_connector_may_outlive_its_sessions() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        aiohttp.TCPConnector(limit=1) as connector,
    ):
        url = f"ws://127.0.0.1:{server.port}/"
        async with aiohttp.ClientSession(connector=connector, connector_owner=False) as session:
            ws = await session.ws_connect(url)
        assert session.closed
        assert not connector.closed
        other = aiohttp.ClientSession(connector=connector)
        other.detach()
        assert other.closed
        await ws.send_str("still here")
        assert await ws.receive_str() == "still here"
    assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
    with pytest.raises(RuntimeError, match="closed"):
        await aiohttp.ClientSession(connector=connector).ws_connect(url)


@on_asyncio
async def test_H2_a_connection_that_opens_too_late_for_its_session_is_not_kept() -> None:
    async with listening() as (listener, port):
        session = aiohttp.ClientSession()
        opening = asyncio.create_task(session.ws_connect(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await session.close()
            await peer.answer()
            with pytest.raises(aiohttp.ClientConnectionError, match="closed"):
                await opening
            assert await peer.read_to_end() == b""


@on_asyncio
async def test_H2_headers_of_session_and_request_go_out_once() -> None:
    head = await rejected_request(
        session={"headers": {"X-Both": "session", "X-Session": "1"}, "cookies": {"a": "1"}},
        headers={
            "x-both": "request",
            "Host": "example.com",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Cookie": "b=2",
            "Origin": "https://not.example",
        },
        origin="https://example.com",
        protocols=("chat", "chat", "superchat"),
    )
    lines = head.decode().split("\r\n")
    assert "x-both: request" in lines
    assert "X-Session: 1" in lines
    assert "Host: example.com" in lines
    assert "Cookie: a=1; b=2" in lines
    assert "Origin: https://example.com" in lines
    assert "Sec-WebSocket-Protocol: chat, superchat" in lines
    for name in ("x-both:", "host:", "upgrade:", "sec-websocket-version:", "origin:", "cookie:"):
        assert sum(line.lower().startswith(name) for line in lines) == 1


@pytest.mark.parametrize(
    ("session", "agent"),
    [
        ({}, "ws-asyncio/"),
        ({"headers": {"user-agent": "mine"}}, "mine"),
        ({"skip_auto_headers": ["User-Agent"]}, None),
    ],
)
@on_asyncio
async def test_H2_a_user_agent_is_sent_unless_told_otherwise(
    session: dict[str, Any], agent: str | None
) -> None:
    lines = (await rejected_request(session=session)).decode().split("\r\n")
    found = [line for line in lines if line.lower().startswith("user-agent: ")]
    assert len(found) == (agent is not None)
    assert (agent or "") in "".join(found)


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": "1", "b": "x y"}, "?z=0&a=1&b=x+y"),
        ([("a", "1"), ("a", 2)], "?z=0&a=1&a=2"),
        ("c=3", "?z=0&c=3"),
        (None, "?z=0"),
    ],
)
@on_asyncio
async def test_H2_params_are_added_to_the_query(params: Any, query: str) -> None:
    head = await rejected_request(url="path?z=0", params=params)
    assert head.startswith(f"GET /path{query} HTTP/1.1\r\n".encode())


@on_asyncio
async def test_H2_base_url_makes_relative_urls_whole() -> None:
    async def connect(port: int) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}/api/") as session:
            await session.ws_connect("chat")

    async with asked_by(connect, REJECTION) as (head, _):
        assert head.startswith(b"GET /api/chat HTTP/1.1\r\n")


@on_asyncio
async def test_H2_a_login_is_basic_authentication() -> None:
    value = aiohttp.encode_basic_auth("me", "secret")
    with pytest.warns(DeprecationWarning, match="BasicAuth"):
        login = aiohttp.BasicAuth("me", "secret")
    with pytest.warns(DeprecationWarning, match="auth"):
        head = await rejected_request(auth=login)
    assert f"Authorization: {value}\r\n".encode() in head
    assert login.encode() == value
    with pytest.warns(DeprecationWarning, match="auth"):
        error = await failure("ws://127.0.0.1/", auth=login, headers={"Authorization": value})
    assert isinstance(error, ValueError)


def test_H2_a_login_that_is_none() -> None:
    nobody: Any = None
    with pytest.raises(ValueError, match="colon"):
        aiohttp.encode_basic_auth("me:you", "secret")
    with pytest.raises(ValueError, match="colon"):
        aiohttp.BasicAuth("me:you", "secret")
    with pytest.raises(ValueError, match="None"):
        aiohttp.BasicAuth(nobody)


@on_asyncio
async def test_H2_a_session_tells_what_it_was_made_with() -> None:
    session = aiohttp.ClientSession(
        headers={"A": "1"}, timeout=aiohttp.ClientTimeout(total=1), trust_env=True
    )
    assert (session.headers["a"], session.timeout.total) == ("1", 1)
    assert (session.auth, session.trust_env) == (None, True)
    assert isinstance(session.connector, aiohttp.TCPConnector)
    with pytest.warns(DeprecationWarning, match="loop"):
        assert session.loop is asyncio.get_running_loop()
    await session.close()
    assert session.connector is None
    other = asyncio.new_event_loop()
    async with aiohttp.ClientSession(loop=other) as session:
        with pytest.raises(RuntimeError, match="another event loop"):
            await session.ws_connect("ws://127.0.0.1/")
    other.close()


@on_asyncio
async def test_H2_compression_is_offered_and_used() -> None:
    async with (
        serve(echo, "127.0.0.1", 0, compression="deflate") as server,
        aiohttp.ClientSession() as session,
    ):
        url = f"ws://127.0.0.1:{server.port}/"
        async with session.ws_connect(url, compress=15) as ws:
            await ws.send_str("x" * 5000, compress=9)
            assert await ws.receive_str() == "x" * 5000
            assert 9 <= ws.compress <= 15
            assert not ws.client_notakeover
            assert ws._websocket.stats.bytes_sent < 1000
        async with session.ws_connect(url) as ws:
            assert ws.compress == 0
        with pytest.raises(ValueError, match="9 to 15"):
            await session.ws_connect(url, compress=8)


@on_asyncio
async def test_H2_text_is_bytes_with_decode_text_off() -> None:
    async with meeting(decode_text=False) as (ws, peer):
        await peer.send(TextMessage("hé"))
        assert await ws.receive() == (aiohttp.WSMsgType.TEXT, "hé".encode(), "")


@pytest.mark.parametrize(
    "session",
    [
        {"connector": object()},
        {"cookie_jar": object()},
        {"middlewares": (object(),)},
        {"request_class": object},
        {"response_class": object},
        {"trace_configs": [object()]},
        {"version": (1, 0)},
        {"resolver": object()},
        {"family": socket.AF_INET6},
    ],
    ids=lambda session: next(iter(session)),
)
def test_H2_what_would_be_lost_is_refused_with_a_reason(session: Any) -> None:
    name = next(iter(session))
    made: Any = aiohttp.TCPConnector if name in ("resolver", "family") else aiohttp.ClientSession
    with pytest.raises(TypeError, match=name):
        made(**session)


def test_H2_wrong_parameters_of_a_session_are_refused() -> None:
    with pytest.raises(ValueError, match="trailing"):
        aiohttp.ClientSession("http://example.com/api")
    with pytest.raises(ValueError, match="absolute"):
        aiohttp.ClientSession("/api/")
    with pytest.raises(ValueError, match="ClientTimeout"):
        aiohttp.ClientSession(timeout=3)  # type: ignore[arg-type]
    with pytest.warns(DeprecationWarning, match="read_timeout"):
        assert aiohttp.ClientSession(read_timeout=3).timeout.total == 3
    with pytest.warns(DeprecationWarning, match="conn_timeout"):
        assert aiohttp.ClientSession(conn_timeout=3).timeout.connect == 3
    with pytest.raises(ValueError, match="two ways"):
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(), conn_timeout=3)


@on_asyncio
async def test_H2_wrong_parameters_of_a_connection_are_refused_when_awaited() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TypeError):
            session.ws_connect("ws://127.0.0.1/", no_such_parameter=1)  # type: ignore[call-arg]
    assert isinstance(await failure("ws://127.0.0.1/", method="POST"), ValueError)
    assert isinstance(await failure("ws://127.0.0.1/", ssl="yes"), TypeError)
    with pytest.warns(DeprecationWarning, match="verify_ssl"):
        error = await failure("ws://h/", verify_ssl=False, ssl=ssl.create_default_context())
    assert isinstance(error, ValueError)
    with pytest.warns(DeprecationWarning, match="fingerprint"):
        error = await failure("ws://h/", fingerprint=b"short", ssl_context=None)
    assert isinstance(error, ValueError)
    error = await failure("ws://h/", proxy="http://p/", proxy_headers={"X-Other": "1"})
    assert isinstance(error, TypeError)
    assert "proxy_auth" in str(error)


@on_asyncio
async def test_H2_tls_is_verified_unless_told_otherwise(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        url = f"wss://localhost:{server.port}/"
        error = await failure(url)
        assert isinstance(error, aiohttp.ClientConnectorCertificateError)
        assert (error.host, error.port, error.ssl) == ("localhost", server.port, True)
        assert isinstance(error.certificate_error, ssl.SSLCertVerificationError)
        wrong = await failure(url, ssl=aiohttp.Fingerprint(bytes(32)))
        assert isinstance(wrong, aiohttp.ServerFingerprintMismatch)
        async with aiohttp.ClientSession() as session:
            for how in (client_tls, False, aiohttp.Fingerprint(wrong.got)):
                async with session.ws_connect(url, ssl=how) as ws:
                    await ws.send_str("secret")
                    assert await ws.receive_str() == "secret"
        connector = aiohttp.TCPConnector(ssl=client_tls)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(url, server_hostname="localhost") as ws,
        ):
            assert ws.get_extra_info("ssl_object") is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@on_asyncio
async def test_H2_older_words_for_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    certificate = server_tls_certificate(client_tls, server_tls)
    options: list[dict[str, Any]] = [
        {"verify_ssl": False},
        {"ssl_context": client_tls},
        {"fingerprint": certificate},
    ]
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        url = f"https://localhost:{server.port}/"
        for option in options:
            async with aiohttp.ClientSession() as session, session.ws_connect(url, **option) as ws:
                assert not ws.closed
            connector = aiohttp.TCPConnector(**option)
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.ws_connect(url) as ws,
            ):
                assert not ws.closed
    assert aiohttp.Fingerprint(certificate).fingerprint == certificate


def server_tls_certificate(client: ssl.SSLContext, server: ssl.SSLContext) -> bytes:
    """The SHA-256 of the certificate that the server shows."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(here, there, server_hostname="localhost")
    answering = server.wrap_bio(there, here, server_side=True)
    for side in (asking, answering, asking, answering):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    shown = asking.getpeercert(binary_form=True)
    assert shown is not None
    return hashlib.sha256(shown).digest()


@on_asyncio
async def test_H2_a_fingerprint_says_nothing_about_ws() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"ws://127.0.0.1:{server.port}/", ssl=aiohttp.Fingerprint(bytes(32))
        ) as ws,
    ):
        assert not ws.closed


@on_asyncio
async def test_H2_a_unix_socket_leads_to_the_server(tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    async with serve(echo, unix_path=path):
        connector = aiohttp.UnixConnector(path)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect("http://localhost/") as ws,
        ):
            await ws.send_str("local")
            assert await ws.receive_str() == "local"
    assert connector.closed
    connector = aiohttp.UnixConnector(path)
    assert connector.path == path
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.UnixClientConnectorError, match=path):
            await session.ws_connect("http://localhost/")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@on_asyncio
async def test_H2_a_proxy_is_asked_with_a_login() -> None:
    login = aiohttp.BasicAuth("me", "p:/@ss")
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nX-Why: because\r\n\r\n"
    for where in ("session", "connection"):

        async def connect(port: int, where: str = where) -> None:
            options: Any = {"proxy": f"http://127.0.0.1:{port}", "proxy_auth": login}
            here, there = (options, {}) if where == "session" else ({}, options)
            async with aiohttp.ClientSession(**here) as session:
                await session.ws_connect("ws://example.com/", **there)

        async with asked_by(connect, answer) as (head, opening):
            assert head.startswith(b"CONNECT example.com:80 HTTP/1.1\r\n")
            assert f"Proxy-Authorization: {login.encode()}\r\n".encode() in head
            error = opening.exception()
            assert isinstance(error, aiohttp.ClientHttpProxyError)
            assert error.status == 407
            assert error.headers is not None
            assert error.headers["X-Why"] == "because"


@on_asyncio
async def test_H2_a_proxy_that_is_not_there() -> None:
    error = await failure("ws://example.com/", proxy="http://127.0.0.1:1")
    assert isinstance(error, aiohttp.ClientProxyConnectionError)
    assert (error.host, error.port) == ("127.0.0.1", 1)


@on_asyncio
async def test_H2_the_environment_names_a_proxy_only_if_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    error = await failure("ws://no.example/", session={"trust_env": True})
    assert isinstance(error, aiohttp.ClientProxyConnectionError)
    await rejected_request()


@on_asyncio
async def test_H3_facts() -> None:
    def choose(request: Request) -> Accept:
        return Accept(subprotocol="chat")

    async with (
        serve(echo, "127.0.0.1", 0, on_request=choose) as server,
        aiohttp.ClientSession() as session,
    ):
        url = f"ws://127.0.0.1:{server.port}/"
        async with session.ws_connect(url, protocols=["superchat", "chat"]) as ws:
            assert ws.protocol == "chat"
            assert (ws.closed, ws.close_code, ws.exception()) == (False, None, None)
            assert ws.get_extra_info("peername") == ("127.0.0.1", server.port)
            assert ws.get_extra_info("no such thing", "default") == "default"
        assert ws.get_extra_info("peername", "gone") == "gone"


@on_asyncio
async def test_H3_every_way_to_send() -> None:
    async with meeting() as (ws, peer):
        await ws.send_str("text")
        await ws.send_bytes(b"binary")
        await ws.send_json({"a": [1]})
        await ws.send_json("x", dumps=lambda _: "dumped")
        await ws.send_json_bytes({}, dumps=lambda value: json.dumps(value).encode())
        await ws.send_frame(b"frame", aiohttp.WSMsgType.TEXT)
        await ws.send_frame(b"frame", aiohttp.WSMsgType.BINARY)
        assert (await peer.receive(TextMessage)).data == "text"
        assert (await peer.receive(BytesMessage)).data == b"binary"
        assert (await peer.receive(TextMessage)).data == '{"a": [1]}'
        assert (await peer.receive(TextMessage)).data == "dumped"
        assert (await peer.receive(BytesMessage)).data == b"{}"
        assert (await peer.receive(TextMessage)).data == "frame"
        assert (await peer.receive(BytesMessage)).data == b"frame"
        await ws.send_frame(b"1", aiohttp.WSMsgType.PING)
        await ws.send_frame(b"2", aiohttp.WSMsgType.PONG)
        assert bytes((await peer.receive(Ping)).payload) == b"1"
        assert bytes((await peer.receive(Pong)).payload) == b"2"
        with pytest.raises(ValueError, match="opcode"):
            await ws.send_frame(b"", aiohttp.WSMsgType.CLOSE)


@on_asyncio
async def test_H3_every_way_to_receive() -> None:
    async with meeting() as (ws, peer):
        for text in ("text", '{"a": [1]}', "loaded"):
            await peer.send(TextMessage(text))
        await peer.send(BytesMessage(b"binary"))
        assert await ws.receive_str() == "text"
        assert await ws.receive_json() == {"a": [1]}
        assert await ws.receive_json(loads=lambda text: text.upper()) == "LOADED"
        assert await ws.receive_bytes(timeout=1) == b"binary"
        await peer.send(BytesMessage(b"not text"))
        with pytest.raises(aiohttp.WSMessageTypeError, match=r"message 2: .+ not WSMsgType.TEXT"):
            await ws.receive_str()
        await peer.send(TextMessage("not binary"))
        with pytest.raises(aiohttp.WSMessageTypeError):
            await ws.receive_bytes(timeout=1)
        with pytest.raises(TimeoutError):
            await ws.receive_json(timeout=SOON)


@on_asyncio
async def test_H3_nothing_can_be_sent_on_a_closed_connection() -> None:
    async with meeting() as (ws, peer):
        await peer.send(CloseConnection(1000))
        await ws.receive()
        for sending in (ws.send_str(""), ws.send_bytes(b""), ws.ping(), ws.pong()):
            with pytest.raises(aiohttp.ClientConnectionResetError):
                await sending
        assert issubclass(aiohttp.ClientConnectionResetError, ConnectionResetError)
    async with meeting() as (ws, peer):
        peer.end()
        await until(lambda: ws.get_extra_info("peername") is None)
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.send_str("")


@on_asyncio
async def test_H3_what_crosses_a_close_frame_not_yet_received_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with meeting(autoclose=False) as (ws, peer):
        await peer.send(TextMessage("question"))
        await peer.send(CloseConnection(1000))
        await peer.receive(CloseConnection)
        # A program that answers what it receives does not expect that its sender has closed.
        assert await ws.receive_str() == "question"
        for sending in (ws.send_str(""), ws.send_bytes(b""), ws.ping(), ws.pong()):
            await sending
        assert (ws.closed, ws.close_code) == (False, None)
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        await ws.send_str("goodbye")
        # A program that only sends has to learn of it some time.
        now = time.monotonic()
        monkeypatch.setattr(ws._websocket, "_now", lambda: now + 11)
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.send_str("")
        monkeypatch.undo()
        assert await ws.close()
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await ws.ping()


def test_H3_an_annotation_may_have_a_parameter() -> None:
    # As with aiohttp, it says whether text is decoded.
    assert aiohttp.ClientWebSocketResponse[bool].__origin__ is aiohttp.ClientWebSocketResponse  # type: ignore[misc]


def test_H4_types_and_their_old_spellings() -> None:
    assert aiohttp.MsgType is aiohttp.WSMsgType
    for name in ("text", "binary", "ping", "pong", "close", "closing", "closed", "error"):
        assert getattr(aiohttp.WSMsgType, name) is aiohttp.WSMsgType[name.upper()]
    message = aiohttp.WSMessage(aiohttp.MsgType.text, "[1]", "")
    assert message.tp is message.type is aiohttp.WSMsgType.TEXT
    assert message.json() == [1]
    assert message.json(loads=len) == 3
    kind, data, extra = message
    assert (kind, data, extra) == (1, "[1]", "")
    assert int(aiohttp.WSCloseCode.OK) == 1000
    assert aiohttp.errors.WSServerHandshakeError is aiohttp.WSServerHandshakeError
    error = aiohttp.WebSocketError(1009, "too big")
    assert (error.code, str(error)) == (1009, "too big")
    assert issubclass(aiohttp.WSMessageTypeError, TypeError)


def test_H4_a_response_error_has_its_parts() -> None:
    info = aiohttp.RequestInfo("ws://h/", "GET", Headers(), "ws://h/")
    error = aiohttp.WSServerHandshakeError(info, (), status=403, message="no", headers={"a": "b"})
    assert (error.status, error.message, error.headers) == (403, "no", {"a": "b"})
    assert (error.request_info, error.history) == (info, ())
    assert str(error) == "403, message='no', url='ws://h/'"
    with pytest.warns(DeprecationWarning, match="code"):
        assert error.code == 403
    with pytest.warns(DeprecationWarning, match="code"):
        error.code = 404
    assert error.status == 404
    with pytest.warns(DeprecationWarning, match="code"):
        assert aiohttp.ClientResponseError(info, (), code=500).status == 500
    with pytest.raises(ValueError, match="status"):
        aiohttp.ClientResponseError(info, (), code=500, status=500)
    assert aiohttp.ClientResponseError(info, ()).status == 0
    assert repr(aiohttp.ClientResponseError(info, ())) == f"ClientResponseError({info!r}, ())"
    wrong = aiohttp.TooManyRedirects(info, (), status=301, message="no", headers={})
    assert repr(wrong).endswith(", (), status=301, message='no', headers={})")


def test_H4_errors_tell_their_parts() -> None:
    url = aiohttp.InvalidURL("ws://", "no host")
    assert (url.url, url.description, str(url)) == ("ws://", "no host", "ws:// - no host")
    assert repr(url) == "<InvalidURL ws:// - no host>"
    assert aiohttp.InvalidURL("ws://").description is None
    assert aiohttp.ServerDisconnectedError().message == "Server disconnected"
    wrong = aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 443)
    assert (wrong.expected, wrong.got, wrong.host, wrong.port) == (b"a", b"b", "h", 443)
    expected = "<ServerFingerprintMismatch expected=b'a' got=b'b' host='h' port=443>"
    assert repr(wrong) == expected


# -------------------------------------------------------------------------------- behaviours


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@on_asyncio
async def test_H10_timeout_is_for_closing_and_ws_receive_for_receiving() -> None:
    patience: Any
    for patience in (SOON, aiohttp.ClientWSTimeout(ws_close=SOON)):
        async with meeting(timeout=patience) as (ws, _):
            receiving = asyncio.create_task(ws.receive())
            await asyncio.wait([receiving], timeout=2 * SOON)
            assert not receiving.done()
            assert await ws.close()
            assert (await receiving).type is aiohttp.WSMsgType.CLOSING
            assert ws.close_code == 1006
    patience = aiohttp.ClientWSTimeout(ws_receive=SOON, ws_close=SOON)
    async with meeting(timeout=patience) as (ws, peer):
        with pytest.raises(TimeoutError):
            await ws.receive()
        await peer.send(TextMessage("here"))
        assert await ws.receive_str() == "here"
    async with meeting(receive_timeout=SOON) as (ws, _):
        with pytest.raises(TimeoutError):
            await ws.receive()


@on_asyncio
async def test_H10_what_aiohttp_deprecates_is_deprecated() -> None:
    with pytest.warns(DeprecationWarning, match="^parameter 'timeout' of type 'float' is"):
        await failure("ws://127.0.0.1:1/", timeout=1.0)
    with pytest.warns(DeprecationWarning, match="^float parameter 'receive_timeout' is"):
        await failure("ws://127.0.0.1:1/", receive_timeout=1.0)


@on_asyncio
async def test_H11_close_is_bounded_by_ws_close() -> None:
    async with meeting(timeout=aiohttp.ClientWSTimeout(ws_close=SOON)) as (ws, peer):
        began = time.monotonic()
        assert await ws.close(code=4000, message=b"bye") is True
        assert SOON <= time.monotonic() - began < 10 * SOON
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert isinstance(ws.exception(), TimeoutError)
        assert await ws.close() is False
        assert await peer.receive(CloseConnection) == CloseConnection(4000, "bye")


@on_asyncio
async def test_H11_close_returns_when_the_peer_has_answered() -> None:
    """The server does not have to end TCP first, nor soon."""
    async with meeting() as (ws, peer):
        closing = asyncio.create_task(ws.close(message="text, too"))  # type: ignore[arg-type]
        assert (await peer.answer_close()).reason == "text, too"
        assert await asyncio.wait_for(closing, 1)
        assert (ws.close_code, ws.exception()) == (1000, None)
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        assert await peer.read_to_end() == b""


@on_asyncio
async def test_H11_close_ends_when_the_peer_drops_the_connection() -> None:
    async with meeting() as (ws, peer):
        closing = asyncio.create_task(ws.close())
        await peer.receive(CloseConnection)
        peer.end()
        assert await asyncio.wait_for(closing, 1)
        assert ws.close_code == 1006
        assert isinstance(ws.exception(), ConnectionResetError)


@on_asyncio
async def test_H11_close_wakes_who_receives() -> None:
    async with meeting() as (ws, peer):
        receiving = asyncio.create_task(ws.receive())
        await turns()
        closing = asyncio.create_task(ws.close())
        assert (await receiving).type is aiohttp.WSMsgType.CLOSING
        await peer.answer_close()
        assert await closing
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
    # Two at once leave nothing to tell.
    async with meeting() as (ws, peer):
        receiving = asyncio.create_task(ws.receive())
        await turns()
        both = asyncio.gather(ws.close(), ws.close())
        assert (await receiving).type is aiohttp.WSMsgType.CLOSED
        await peer.answer_close()
        assert sorted(await both) == [False, True]


@on_asyncio
async def test_H11_a_cancelled_close_ends_the_connection_at_once() -> None:
    async with meeting() as (ws, peer):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.close(), SOON)
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert await ws.close() is False
        await peer.receive(CloseConnection)
        assert await peer.read_to_end() == b""


@on_asyncio
async def test_H11_a_code_that_must_not_be_sent_is_refused_and_closes_nothing() -> None:
    async with meeting() as (ws, peer):
        with pytest.raises(ValueError, match="1006"):
            await ws.close(code=1006)
        assert not ws.closed
        await ws.send_str("still here")
        await peer.receive(TextMessage)


@on_asyncio
async def test_H12_ping_and_pong_are_hidden_and_close_is_returned_once() -> None:
    async with meeting() as (ws, peer):
        await peer.send(Ping(b"?"))
        await peer.send(Pong(b"!"))
        await peer.send(CloseConnection(4001, "why"))
        assert await ws.receive() == (aiohttp.WSMsgType.CLOSE, 4001, "why")
        for _ in range(3):
            assert await ws.receive() == (aiohttp.WSMsgType.CLOSED, None, None)
        assert (ws.close_code, ws.exception()) == (4001, None)


@on_asyncio
async def test_H12_a_close_frame_without_a_code() -> None:
    async with meeting() as (ws, peer):
        await peer.write(b"\x88\x00")
        assert await ws.receive() == (aiohttp.WSMsgType.CLOSE, 0, "")
        assert ws.close_code == 1005


@on_asyncio
async def test_H12_what_came_before_the_close_is_received_first() -> None:
    async with meeting() as (ws, peer):
        await peer.send(TextMessage("last words"))
        await peer.send(CloseConnection(1000))
        await peer.receive(CloseConnection)
        assert not ws.closed
        assert [message.data async for message in ws] == ["last words"]
        assert ws.closed


@on_asyncio
async def test_H13_a_ping_is_answered_though_nobody_receives() -> None:
    async with meeting() as (_, peer):
        await peer.send(Ping(b"anybody?"))
        assert bytes((await peer.receive(Pong)).payload) == b"anybody?"


@on_asyncio
async def test_H13_without_autoping_pings_and_pongs_are_received_and_nobody_answers() -> None:
    async with meeting(autoping=False) as (ws, peer):
        await ws.ping(b"mine")
        await peer.receive(Ping)
        await peer.send(TextMessage("1"))
        await peer.send(Ping(b"theirs"))
        await peer.send(Pong(b"mine"))
        await peer.send(TextMessage("2"))
        received = [await ws.receive() for _ in range(4)]
        assert received == [
            (aiohttp.WSMsgType.TEXT, "1", ""),
            (aiohttp.WSMsgType.PING, b"theirs", ""),
            (aiohttp.WSMsgType.PONG, b"mine", ""),
            (aiohttp.WSMsgType.TEXT, "2", ""),
        ]
        await ws.pong(received[1].data)
        assert bytes((await peer.receive(Pong)).payload) == b"theirs"


@on_asyncio
async def test_H13_a_heartbeat_that_is_answered_keeps_the_connection() -> None:
    async with meeting(heartbeat=SOON) as (ws, peer):
        receiving = asyncio.create_task(ws.receive())
        for _ in range(3):
            ping = await peer.receive(Ping)
            await peer.send(Pong(bytes(ping.payload)))
        await peer.send(TextMessage("well"))
        assert (await receiving).data == "well"


@on_asyncio
async def test_H13_a_heartbeat_is_put_off_by_what_is_received() -> None:
    async with meeting(heartbeat=4 * SOON) as (ws, peer):
        for _ in range(5):
            await peer.send(TextMessage("still here"))
            await ws.receive()
            await asyncio.sleep(SOON)
        began = time.monotonic()
        assert ws._websocket.stats.pings_sent == 0
        await peer.receive(Ping)
        assert time.monotonic() - began > SOON


@on_asyncio
async def test_H13_a_heartbeat_that_is_not_answered_is_received_as_an_error() -> None:
    async with meeting(heartbeat=SOON) as (ws, peer):
        began = time.monotonic()
        message = await ws.receive()
        assert 1.5 * SOON <= time.monotonic() - began < 10 * SOON
        assert message.type is aiohttp.WSMsgType.ERROR
        assert message.data is ws.exception()
        assert isinstance(message.data, aiohttp.ServerTimeoutError)
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        await peer.read_to_end()


@on_asyncio
async def test_H13_a_heartbeat_ends_the_connection_though_nobody_receives() -> None:
    async with meeting(heartbeat=SOON) as (ws, _):
        await until(lambda: ws.closed)
        assert ws.close_code == 1006
        assert isinstance(ws.exception(), TimeoutError)
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        assert await ws.close() is False


@pytest.mark.parametrize("first", ["receive", "close"])
@on_asyncio
async def test_H13_what_a_heartbeat_ended_is_closed_for_who_looks_first(first: str) -> None:
    async with meeting(heartbeat=SOON) as (ws, _):
        await until(lambda: ws._websocket.close_reason is not None)
        if first == "receive":
            assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        else:
            assert await asyncio.wait_for(ws.close(), 1) is False
        assert ws.close_code == 1006
        assert isinstance(ws.exception(), aiohttp.ServerTimeoutError)


@on_asyncio
async def test_H14_closed_after_close_and_after_the_peers_close() -> None:
    async with meeting() as (ws, peer):
        assert not ws.closed
        closing = asyncio.create_task(ws.close())
        await turns()
        assert ws.closed
        await peer.answer_close()
        await closing
    async with meeting() as (ws, peer):
        await peer.send(CloseConnection(1000))
        await ws.receive()
        assert ws.closed
        assert await ws.close() is False


@on_asyncio
async def test_H14_without_autoclose_closing_is_the_callers() -> None:
    async with meeting(autoclose=False) as (ws, peer):
        await peer.send(CloseConnection(4001, "why"))
        assert await ws.receive() == (aiohttp.WSMsgType.CLOSE, 4001, "why")
        assert (ws.closed, ws.close_code) == (False, 4001)
        assert await ws.close() is True
        assert (ws.closed, ws.close_code) == (True, 4001)
        assert await ws.close() is False
    async with meeting(autoclose=False) as (ws, peer):
        await peer.send(CloseConnection(1000))
        await ws.receive()
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSED
        assert ws.closed


@pytest.mark.parametrize("way", ["ping", "pong"])
@on_asyncio
async def test_H15_pings_and_pongs_carry_bytes(way: str) -> None:
    async with meeting() as (ws, peer):
        send: Callable[..., Awaitable[None]] = getattr(ws, way)
        with pytest.raises(TypeError):
            await send("text")
        with pytest.raises(ValueError, match="125"):
            await send(bytes(126))
        # The same payload again, though nobody has answered.
        for payload in (b"", b"", b"data"):
            await send(payload)
            event: Any = await peer.receive(Ping if way == "ping" else Pong)
            assert bytes(event.payload) == payload


@on_asyncio
async def test_H16_a_wrong_type_is_refused_and_nothing_is_sent() -> None:
    wrong: Any
    right: Any
    async with meeting() as (ws, peer):
        for wrong in (b"bytes", 1, None):
            with pytest.raises(TypeError):
                await ws.send_str(wrong)
        for wrong in ("text", 1, None):
            with pytest.raises(TypeError):
                await ws.send_bytes(wrong)
        for right in (b"1", bytearray(b"1"), memoryview(b"1")):
            await ws.send_bytes(right)
            assert (await peer.receive(BytesMessage)).data == b"1"


@on_asyncio
async def test_H17_one_receives_and_many_send() -> None:
    async with meeting() as (ws, peer):
        receiving = asyncio.create_task(ws.receive())
        await turns()
        with pytest.raises(RuntimeError, match="Concurrent"):
            await ws.receive()
        await asyncio.gather(*(ws.send_str(str(i)) for i in range(20)))
        received = [(await peer.receive(TextMessage)).data for _ in range(20)]
        assert received == [str(i) for i in range(20)]
        await peer.send(TextMessage("one"))
        assert (await receiving).data == "one"


@on_asyncio
async def test_H17_a_cancelled_receive_has_taken_nothing() -> None:
    async with meeting() as (ws, peer):
        receiving = asyncio.create_task(ws.receive())
        await turns()
        receiving.cancel()
        await asyncio.wait([receiving])
        await peer.send(TextMessage("kept"))
        assert await ws.receive_str() == "kept"
        # As with aiohttp, until the end says better.
        assert (ws.closed, ws.close_code) == (False, 1006)


@on_asyncio
async def test_H18_a_rejection_has_its_status_and_headers_at_once() -> None:
    async def connect(port: int) -> None:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(f"ws://127.0.0.1:{port}/")

    # Its body never ends.
    async with asked_by(connect, REJECTION) as (_, opening):
        error = opening.exception()
        assert isinstance(error, aiohttp.WSServerHandshakeError)
        assert isinstance(error, aiohttp.ClientError)
        assert (error.status, error.message) == (403, "Invalid response status")
        assert error.headers is not None
        assert error.headers["x-why"] == "because"
        assert error.request_info.url.startswith("ws://127.0.0.1:")


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ("101 Ok\r\nUpgrade: test\r\nConnection: Upgrade", 101, "Invalid upgrade header"),
        ("101 Ok\r\nUpgrade: websocket\r\nConnection: close", 101, "Invalid connection header"),
        (
            "101 Ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong",
            101,
            "Invalid challenge response",
        ),
        ("this is no HTTP", 400, "response"),
    ],
)
@on_asyncio
async def test_H18_a_bad_answer_is_a_handshake_error(
    answer: str, status: int, message: str
) -> None:
    async def connect(port: int) -> None:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(f"ws://127.0.0.1:{port}/")

    async with asked_by(connect, f"HTTP/1.1 {answer}\r\n\r\n".encode()) as (_, opening):
        error = opening.exception()
        assert isinstance(error, aiohttp.WSServerHandshakeError)
        assert error.status == status
        assert message in error.message


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("ftp://example.com/", aiohttp.NonHttpUrlClientError),
        ("", aiohttp.InvalidUrlClientError),
        ("/relative", aiohttp.InvalidUrlClientError),
        ("http://", aiohttp.InvalidUrlClientError),
        ("ws://exa mple.com/", aiohttp.InvalidURL),
        ("ws://127.0.0.1:99999/", ValueError),
    ],
)
@on_asyncio
async def test_H18_a_url_that_leads_nowhere(url: str, kind: type[Exception]) -> None:
    error = await failure(url)
    assert isinstance(error, kind)
    assert isinstance(error, aiohttp.ClientError)


@on_asyncio
async def test_H18_no_transport_is_a_connector_error() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        error = await failure(f"ws://127.0.0.1:{port}/")
    assert isinstance(error, aiohttp.ClientConnectorError)
    assert isinstance(error, OSError)
    assert (error.host, error.port, error.ssl) == ("127.0.0.1", port, True)
    assert isinstance(error.os_error, ConnectionRefusedError)
    assert str(error).startswith(f"Cannot connect to host 127.0.0.1:{port} ssl:default [")


@on_asyncio
async def test_H18_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    assert isinstance(await failure("ws://no.example/"), aiohttp.ClientConnectorDNSError)


@on_asyncio
async def test_H18_a_server_that_breaks_off() -> None:
    async with listening() as (listener, port):
        opening = asyncio.create_task(failure(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            peer.reset()
        error = await opening
    assert isinstance(error, aiohttp.ClientOSError)
    assert not isinstance(error, aiohttp.ClientConnectorError)
    assert error.errno == errno.ECONNRESET


@on_asyncio
async def test_H18_a_server_without_tls() -> None:
    async with listening() as (listener, port):
        opening = asyncio.create_task(failure(f"wss://localhost:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read()
            await peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            error = await opening
    assert isinstance(error, aiohttp.ClientConnectorSSLError)
    assert isinstance(error, ssl.SSLError)


@on_asyncio
async def test_H18_a_server_that_ends_or_is_silent() -> None:
    async with listening() as (listener, port):
        opening = asyncio.create_task(failure(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
        assert isinstance(await opening, aiohttp.ServerDisconnectedError)
        began = time.monotonic()
        for timeout in (aiohttp.ClientTimeout(total=SOON), aiohttp.ClientTimeout(sock_read=SOON)):
            opening = asyncio.create_task(failure(f"ws://127.0.0.1:{port}/", {"timeout": timeout}))
            with await Peer.accept(listener):
                assert isinstance(await opening, aiohttp.SocketTimeoutError)
        assert 2 * SOON <= time.monotonic() - began < 20 * SOON


@on_asyncio
async def test_H18_a_transport_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def create_connection(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    for timeout in (
        aiohttp.ClientTimeout(sock_connect=SOON),
        aiohttp.ClientTimeout(total=5, connect=SOON),
    ):
        error = await failure("ws://127.0.0.1/", {"timeout": timeout})
        assert isinstance(error, aiohttp.ConnectionTimeoutError)


@pytest.mark.parametrize("vanish", [Peer.end, Peer.reset])
@on_asyncio
async def test_H19_iteration_ends_when_the_connection_drops_and_says_why(
    vanish: Callable[[Peer], None],
) -> None:
    """Silently, as programs expect; ``close_code`` and ``exception()`` are always there."""
    async with meeting() as (ws, peer):
        await peer.send(TextMessage("last"))
        first = await ws.receive()
        vanish(peer)
        rest = [message async for message in ws]
        assert [first.data, *rest] == ["last"]
        assert (ws.closed, ws.close_code) == (True, 1006)
        assert isinstance(ws.exception(), aiohttp.ClientConnectionError)
        assert await ws.receive() == (aiohttp.WSMsgType.CLOSED, None, None)


@on_asyncio
async def test_H19_iteration_yields_an_error_for_a_violation() -> None:
    async with meeting() as (ws, peer):
        await peer.send(TextMessage("good"))
        await peer.write(b"\x83\x00")
        messages = [message async for message in ws]
        assert [message.type for message in messages] == [
            aiohttp.WSMsgType.TEXT,
            aiohttp.WSMsgType.ERROR,
        ]
        assert isinstance(messages[1].data, aiohttp.WebSocketError)
        assert messages[1].data is ws.exception()
        assert (messages[1].data.code, ws.close_code) == (1002, 1002)
        assert (await peer.receive(CloseConnection)).code == 1002


@on_asyncio
async def test_H20_a_receive_that_times_out_leaves_the_connection_usable() -> None:
    async with meeting() as (ws, peer):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=SOON)
        assert SOON <= time.monotonic() - began < 10 * SOON
        assert (ws.closed, ws.close_code, ws.exception()) == (False, 1006, None)
        await peer.send(TextMessage("late"))
        assert await ws.receive_str(timeout=1) == "late"
        await ws.send_str("usable")
        assert (await peer.receive(TextMessage)).data == "usable"
        # Who waited in vain does not wait again; the peer has its time all the same.
        assert await asyncio.wait_for(ws.close(), 1)
        assert (ws.closed, ws.close_code, ws.exception()) == (True, 1006, None)
        await peer.answer_close()
        assert await peer.read_to_end() == b""


@pytest.mark.parametrize(("size", "limit", "passes"), [(999, 1000, True), (1000, 1000, False)])
@on_asyncio
async def test_H21_max_msg_size_is_what_a_message_must_not_reach(
    size: int, limit: int, passes: bool
) -> None:
    async with meeting(max_msg_size=limit) as (ws, peer):
        await peer.send(BytesMessage(bytes(size)))
        message = await ws.receive()
        if passes:
            assert message.data == bytes(size)
            return
        assert message.type is aiohttp.WSMsgType.ERROR
        assert message.data.code == ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert ws.closed
        assert (await peer.receive(CloseConnection)).code == 1009


@on_asyncio
async def test_H21_text_is_measured_in_bytes_and_0_is_no_limit() -> None:
    async with meeting(max_msg_size=10) as (ws, peer):
        await peer.send(TextMessage("é" * 5))
        assert (await ws.receive()).type is aiohttp.WSMsgType.ERROR
    async with meeting(max_msg_size=0) as (ws, peer):
        sending = asyncio.create_task(peer.send(BytesMessage(bytes(5 * 1024**2))))
        assert len(await ws.receive_bytes()) == 5 * 1024**2
        await sending


@pytest.mark.parametrize("location", ["/there", "http://127.0.0.1:{port}/there"])
@on_asyncio
async def test_H22_a_redirection_to_http_is_followed(location: str) -> None:
    def redirect(request: Request) -> Response | None:
        if request.path == "/there":
            return None
        return Response(302, {"Location": location.format(port=server.port)})

    async with (
        serve(echo, "127.0.0.1", 0, on_request=redirect) as server,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{server.port}/here") as ws,
    ):
        await ws.send_str("there")
        assert await ws.receive_str() == "there"


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("ws://127.0.0.1/", aiohttp.NonHttpUrlRedirectClientError),
        ("wss://127.0.0.1/", aiohttp.NonHttpUrlRedirectClientError),
        ("ftp://127.0.0.1/", aiohttp.NonHttpUrlRedirectClientError),
        ("http://127.0.0.1:99999/", aiohttp.InvalidUrlRedirectClientError),
        ("/again", aiohttp.TooManyRedirects),
        (None, aiohttp.WSServerHandshakeError),
    ],
)
@on_asyncio
async def test_H22_a_redirection_to_elsewhere_is_not_followed(
    location: str | None, kind: type[aiohttp.ClientError]
) -> None:
    def redirect(request: Request) -> Response:
        return Response(302, {} if location is None else {"Location": location})

    async with serve(echo, "127.0.0.1", 0, on_request=redirect) as server:
        error = await failure(f"ws://127.0.0.1:{server.port}/")
    assert type(error) is kind
    if isinstance(error, aiohttp.TooManyRedirects):
        assert len(error.history) == 10


@on_asyncio
async def test_H22_a_redirection_from_tls_to_none_is_not_followed(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    def redirect(request: Request) -> Response:
        return Response(302, {"Location": "http://127.0.0.1/"})

    async with serve(echo, "127.0.0.1", 0, ssl=server_tls, on_request=redirect) as server:
        error = await failure(f"wss://localhost:{server.port}/", ssl=client_tls)
    assert type(error) is aiohttp.RedirectClientError
