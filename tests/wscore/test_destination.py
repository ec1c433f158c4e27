"""Where a client goes when a server sends it elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from wscore import Destination, HandshakeRejected, Proxy, RedirectRefused, Response


def to(location: str, status: int = 302) -> HandshakeRejected:
    return HandshakeRejected(Response(status, {"Location": location}))


def first(url: str = "ws://user:pass@a.example:8080/path?q=1", **options: Any) -> Destination:
    return Destination.first(url, **options)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/other", "ws://a.example:8080/other"),
        ("other?x=2", "ws://a.example:8080/other?x=2"),
        ("//b.example/", "ws://b.example/"),
        ("ws://b.example/x#fragment", "ws://b.example/x"),
        ("http://b.example/x", "ws://b.example/x"),
        ("HTTPS://b.example", "wss://b.example/"),
        ("wss://b.example:1/", "wss://b.example:1/"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_leads_where_its_location_says(location: str, url: str, status: int) -> None:
    """RFC 9110 section 10.2.2, RFC 3986 section 5."""
    there = first().redirected(to(location, status))
    assert str(there.url) == url
    assert (there.request.target, there.request.host) == (there.url.target, there.url.host_header)


@pytest.mark.parametrize("status", [300, 304, 305, 306, 400, 401, 404, 503])
def test_any_other_status_is_the_rejection_itself(status: int) -> None:
    rejection = to("/other", status)
    with pytest.raises(HandshakeRejected) as caught:
        first().redirected(rejection)
    assert caught.value is rejection


def test_with_no_redirects_a_redirection_is_a_rejection() -> None:
    rejection = to("/other")
    with pytest.raises(HandshakeRejected) as caught:
        first(max_redirects=0).redirected(rejection)
    assert caught.value is rejection


@pytest.mark.parametrize(
    ("url", "rejection", "why"),
    [
        ("wss://a", to("ws://a"), "from wss to ws"),
        ("wss://a", to("http://a"), "from wss to ws"),
        ("ws://a", to("ftp://a"), "neither"),
        ("ws://a", to("mailto:a@b"), "neither"),
        ("ws://a", to("http://"), "no host"),
        ("ws://a", to("http://a:b"), "port"),
        ("ws://a", HandshakeRejected(Response(302)), "0 Location"),
        ("ws://a", HandshakeRejected(Response(302, [("Location", "/")] * 2)), "2 Location"),
    ],
)
def test_where_a_client_does_not_go(url: str, rejection: HandshakeRejected, why: str) -> None:
    with pytest.raises(RedirectRefused, match=why) as caught:
        first(url).redirected(rejection)
    assert caught.value.response is rejection.response
    assert caught.value.__cause__ is rejection


def test_there_is_an_end_to_it() -> None:
    here = first(max_redirects=3)
    for _ in range(3):
        here = here.redirected(to("/again"))
    with pytest.raises(RedirectRefused, match="max_redirects, 3"):
        here.redirected(to("/again"))


SECRET = {"Authorization": "x", "Cookie": "c", "X-Api-Key": "k"}
HARMLESS = {"User-Agent": "u", "Origin": "http://a.example", "Accept-Language": "l"}


@pytest.mark.parametrize(
    "elsewhere", ["ws://b.example/", "ws://a.example/", "wss://a.example:8080/"]
)
def test_no_credential_goes_to_another_origin(elsewhere: str) -> None:
    """SECURITY: a server must not send what was meant for it to somebody else."""
    here = first("ws://a.example:8080/", headers={**SECRET, **HARMLESS})
    there = here.redirected(to(elsewhere))
    assert dict(there.request.headers) == {name.lower(): v for name, v in HARMLESS.items()}
    # Nor do they come back: who sent the client there may not be who it was.
    back = there.redirected(to("wss://a.example:8080/"))
    assert dict(back.request.headers) == dict(there.request.headers)
    assert not here.is_same_origin(there)


def test_the_urls_credentials_stay_with_its_origin() -> None:
    here = first()
    same = here.redirected(to("/other"))
    assert same.request.headers == here.request.headers
    assert here.request.headers["Authorization"] == "Basic dXNlcjpwYXNz"
    assert same.is_same_origin(here)
    assert len(here.redirected(to("ws://b.example/")).request.headers) == 0


def test_credentials_in_a_location_are_not_used() -> None:
    there = first("ws://a").redirected(to("ws://evil:secret@b/"))
    assert (there.url.username, there.url.password) == (None, None)
    assert len(there.request.headers) == 0


@pytest.mark.parametrize("wrong", [-1, 1.5, "10", None])
def test_a_number_of_redirects_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="max_redirects"):
        first(max_redirects=wrong)


# How to get there.


def proxied(where: Destination) -> Proxy | None:
    return where.proxy(lambda: {"http": "http://proxy"}, lambda _: False)


def test_the_proxy_is_the_one_that_leads_there() -> None:
    assert proxied(first()) == Proxy("http", "proxy", 80)
    assert proxied(first(proxy=None)) is None
    assert proxied(first(proxy="socks5://other")) == Proxy("socks5", "other", 1080)
    assert proxied(first(is_fixed=True)) is None
    assert proxied(first(unix_path="/socket")) is None


def test_over_a_connected_socket_no_redirection_is_followed() -> None:
    rejection = to("/other")
    with pytest.raises(HandshakeRejected) as caught:
        first(is_fixed=True).redirected(rejection)
    assert caught.value is rejection


def test_a_unix_socket_leads_to_its_own_origin_only() -> None:
    here = first(unix_path="/socket")
    assert here.redirected(to("/other")).unix_path == "/socket"
    with pytest.raises(RedirectRefused, match="unix_path"):
        here.redirected(to("ws://b.example/"))


def test_the_name_to_verify_is_that_of_the_server_that_was_asked_for() -> None:
    here = first("wss://a.example/", server_hostname="other.name")
    assert here.tls_name == "other.name"
    assert here.redirected(to("/x")).tls_name == "other.name"
    assert here.redirected(to("wss://b.example/")).tls_name == "b.example"
    assert first("wss://a.example/").tls_name == "a.example"


@pytest.mark.parametrize(
    "options",
    [
        {"with_tls": True},
        {"server_hostname": "name"},
        {"is_fixed": True, "unix_path": "/socket"},
        {"proxy": "ftp://proxy"},
    ],
    ids=repr,
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        first("ws://a.example/", **options)
