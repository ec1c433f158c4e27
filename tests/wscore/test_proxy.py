"""Which proxy a client goes through, and how an HTTP proxy is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore import (
    URL,
    Config,
    HandshakeInterrupted,
    InvalidURL,
    Proxy,
    ProxyError,
    Tunnel,
    choose_proxy,
)


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy", Proxy("http", "proxy", 80)),
        ("HTTPS://Proxy.Example/", Proxy("https", "proxy.example", 443)),
        ("http://user:p%40ss@proxy:3128", Proxy("http", "proxy", 3128, "user", "p@ss")),
        ("socks5://user@[::1]:9050", Proxy("socks5", "::1", 9050, "user", None)),
        ("socks://proxy", Proxy("socks5h", "proxy", 1080)),
        ("socks4a://proxy", Proxy("socks4a", "proxy", 1080)),
    ],
)
def test_a_proxys_url_is_taken_apart(text: str, proxy: Proxy) -> None:
    assert Proxy.parse(text) == proxy
    assert Proxy.parse(proxy.url) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy",
        "proxy:80",
        "ftp://proxy",
        "http://",
        "http://a/path",
        "http://a b",
        "http:x",
    ],
)
def test_what_is_no_proxys_url_is_refused(text: str) -> None:
    with pytest.raises(InvalidURL):
        Proxy.parse(text)


@pytest.mark.parametrize("wrong", [5, b"http://proxy", False])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="proxy"):
        choose_proxy(wrong, URL.parse("ws://a"), environment=dict, bypass=bool)


def test_what_can_be_logged_has_no_credentials() -> None:
    proxy = Proxy.parse("http://user:secret@proxy:3128")
    assert str(proxy) == "http://proxy:3128"
    assert "secret" not in repr(proxy)
    assert "secret" in proxy.url


def test_socks_says_who_resolves_the_name() -> None:
    resolves = {
        scheme: Proxy.parse(f"{scheme}://proxy").resolves
        for scheme in ("socks4", "socks4a", "socks5", "socks5h")
    }
    assert resolves == {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True}
    assert Proxy.parse("socks4://proxy").is_socks
    assert Proxy.parse("socks5h://user:p%40@h").socks_url == "socks5://user:p%40@h:1080"
    assert Proxy.parse("socks4a://h").socks_url == "socks4://h:1080"
    assert not Proxy.parse("https://proxy").is_socks


@pytest.mark.parametrize(
    ("url", "environment", "chosen"),
    [
        ("ws://a", {}, None),
        ("ws://a", {"http": "http://one"}, "http://one:80"),
        ("ws://a", {"http": "http://one", "https": "http://two"}, "http://two:80"),
        ("wss://a", {"http": "http://one"}, None),
        ("wss://a", {"https": "http://two", "socks": "socks://three"}, "socks5h://three:1080"),
        ("wss://a", {"wss": "http://four", "socks": "socks://three"}, "http://four:80"),
        ("wss://a", {"wss": "", "https": "http://two"}, "http://two:80"),
        ("ws://b", {"http": "http://one"}, None),
        *(
            (f"ws://{host}", {"http": "http://one"}, None)
            for host in ("localhost", "a.localhost.", "127.0.0.1", "127.9.9.9", "[::1]")
        ),
        ("ws://127.example", {"http": "http://one"}, "http://one:80"),
        ("ws://notlocalhost", {"http": "http://one"}, "http://one:80"),
    ],
)
def test_the_environment_says_which_proxy(
    url: str, environment: dict[str, str], chosen: str | None
) -> None:
    proxy = choose_proxy(
        True,
        URL.parse(url),
        environment=lambda: environment,
        bypass=lambda host: host == "b:80",
    )
    assert (str(proxy) if proxy else None) == chosen


def test_a_proxy_that_is_given_is_the_one_and_none_is_none() -> None:
    def unasked(*_: object) -> Any:
        raise AssertionError("nobody asks")

    url = URL.parse("ws://a")
    assert choose_proxy(None, url, environment=unasked, bypass=unasked) is None
    given = choose_proxy("http://proxy:1", url, environment=unasked, bypass=unasked)
    assert given == Proxy("http", "proxy", 1)


# The tunnel through an HTTP proxy.


def tunnel(proxy: str = "http://proxy:3128", url: str = "wss://example.com/chat") -> Tunnel:
    return Tunnel(Proxy.parse(proxy), URL.parse(url), Config(max_header_line=100))


def test_the_request_names_the_server_and_nothing_of_its_own() -> None:
    """RFC 9110 section 9.3.6."""
    assert tunnel(url="wss://user:secret@[::1]:8443/chat?room=1").request == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"
    )


def test_the_proxys_credentials_go_to_the_proxy() -> None:
    """RFC 9110 section 11.7.2."""
    request = tunnel("http://user:pass@proxy").request
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in request
    assert b"\r\nProxy-Authorization: Basic dXNlcjo=\r\n" in tunnel("http://user@proxy").request


@given(cuts=st.lists(st.integers(1, 80), max_size=5))
def test_a_good_answer_opens_it_however_it_is_sliced(cuts: list[int]) -> None:
    answer = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
    opening = tunnel()
    ends = sorted({*(cut for cut in cuts if cut < len(answer)), len(answer)})
    begin = 0
    for end in ends:
        assert opening.receive_data(answer[begin:end]) is (end == len(answer))
        begin = end


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n", "answered 407"),
        (b"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101", "in place of the server"),
        (b"SSH-2.0-OpenSSH\r\n", "HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100, "line"),
        (b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "malformed"),
    ],
)
def test_any_other_answer_says_what_the_proxy_did(answer: bytes, says: str) -> None:
    with pytest.raises(ProxyError, match=says) as caught:
        tunnel("http://user:secret@proxy:3128").receive_data(answer)
    assert "http://proxy:3128" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_answer_comes_along_if_it_was_understood() -> None:
    with pytest.raises(ProxyError) as caught:
        tunnel().receive_data(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n")
    assert caught.value.response is not None
    assert caught.value.response.headers["Proxy-Authenticate"] == "Basic"


def test_a_proxy_that_hangs_up_is_named() -> None:
    with pytest.raises(HandshakeInterrupted, match="http://proxy:3128"):
        tunnel().receive_data(b"")
