"""ws:// and wss:// URLs (RFC 6455 section 3, RFC 3986, RFC 3987, RFC 6874)."""

from __future__ import annotations

import base64
import string
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._errors import InvalidURL
from wscore._http import Request
from wscore._url import URL

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "secure", "host", "port", "target"),
    [
        ("ws://example.com", False, "example.com", 80, "/"),
        ("wss://example.com", True, "example.com", 443, "/"),
        ("wss://example.com/", True, "example.com", 443, "/"),
        ("WSS://Example.COM/Chat", True, "example.com", 443, "/Chat"),
        ("ws://example.com:8080/chat?room=1&x=?", False, "example.com", 8080, "/chat?room=1&x=?"),
        ("ws://example.com?room=1", False, "example.com", 80, "/?room=1"),
        ("ws://example.com:/chat", False, "example.com", 80, "/chat"),
        ("ws://example.com:0080/", False, "example.com", 80, "/"),
        ("ws://example.com:65535/", False, "example.com", 65535, "/"),
        ("ws://example.com./", False, "example.com.", 80, "/"),
        ("ws://my_service/", False, "my_service", 80, "/"),
        ("ws://127.0.0.1:1/", False, "127.0.0.1", 1, "/"),
        ("ws://@example.com/", False, "example.com", 80, "/"),
        ("ws://[::1]", False, "::1", 80, "/"),
        ("wss://[2001:DB8::1]:8443/x", True, "2001:db8::1", 8443, "/x"),
        ("ws://[::ffff:192.0.2.1]/", False, "::ffff:192.0.2.1", 80, "/"),
        ("ws://example.com/a/../b//c", False, "example.com", 80, "/a/../b//c"),
        ("ws://example.com/ws://other:1/@", False, "example.com", 80, "/ws://other:1/@"),
    ],
)
def test_a_url_is_taken_apart(text: str, secure: bool, host: str, port: int, target: str) -> None:
    """RFC 6455 section 3."""
    assert URL.parse(text) == URL(secure, host, port, target)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "starts with ws:// or wss://"),
        ("example.com", "starts with ws:// or wss://"),
        ("//example.com", "starts with ws:// or wss://"),
        ("ws:example.com", "starts with ws:// or wss://"),
        ("ws:/example.com", "starts with ws:// or wss://"),
        ("://example.com", "starts with ws:// or wss://"),
        ("http://example.com", "not http://"),
        ("HTTPS://example.com", "not https://"),
        ("ws://", "no host"),
        ("ws:///chat", "no host"),
        ("ws://:80/", "no host"),
        ("ws://user@/", "no host"),
        ("ws://?x", "no host"),
        ("ws://[]/", "do not hold an IPv6 address"),
        ("ws://[example.com]/", "do not hold an IPv6 address"),
        ("ws://[12:34]/", "do not hold an IPv6 address"),
        ("ws://[v1.fe80::a]/", "do not hold an IPv6 address"),
        ("ws://[::1/", "the brackets"),
        ("ws://[::1]80/", "the brackets"),
        ("ws://[fe80::1%25]/", "zone"),
        ("ws://[fe80::1%]/", "zone"),
        ("ws://[fe80::1%25a%20b]/", "zone"),
        ("ws://::1/", "in brackets"),
        ("ws://example.com:80:80/", "in brackets"),
        ("ws://example.com#top", "fragment"),
        ("ws://example.com/chat#", "fragment"),
        ("ws://example.com/?x#y", "fragment"),
        ("ws://example.com:0/", "port"),
        ("ws://example.com:65536/", "port"),
        ("ws://example.com:-1/", "port"),
        ("ws://example.com:+80/", "port"),
        ("ws://example.com:8_0/", "port"),
        ("ws://example.com:http/", "port"),
        ("ws://example.com:\u0661/", "port"),
        ("ws://example.com:\u00b2/", "port"),
        ("ws://example.com:" + "9" * 10_000, "port"),
        ("ws://exa%6dple.com/", "other characters"),
        ("ws://example.com\\.evil.com/", "other characters"),
        ("ws://a(b)/", "other characters"),
        ("ws://\u2100.example/", "other characters"),
        ("ws://a..b/", "labels"),
        ("ws://./", "labels"),
        ("ws://\u00ad/", "labels"),
        ("ws://" + "a" * 64, "labels"),
        ("ws://" + "\u00e4" * 64, "labels"),
        ("ws://" + "a." * 127 + "a", "longer than 253"),
        ("ws://a@b@example.com/", "percent-encode"),
        ("ws://a\\@example.com/", "percent-encode"),
        ("ws://[a]@example.com/", "percent-encode"),
        ("ws://a:b%4@example.com/", "begins no escape"),
        ("ws://a%zz:b@example.com/", "begins no escape"),
        ("ws://a:%ff@example.com/", "not UTF-8"),
        ("ws://a:%0a@example.com/", "control character"),
        ("ws://a:%C2%85@example.com/", "control character"),
        ("ws://a%3Ab:c@example.com/", "colon"),
    ],
)
def test_a_text_that_is_no_websocket_url_is_refused_with_the_reason(
    text: str, reason: str
) -> None:
    with pytest.raises(InvalidURL, match=reason):
        URL.parse(text)


@pytest.mark.parametrize(
    "char", [" ", "\t", "\n", "\r", "\0", "\x1f", "\x7f", "\x85", "\xa0", "\u2028", "\ud800"]
)
@pytest.mark.parametrize(
    "form", ["{}ws://a/", "ws://{}a/", "ws://u{}@a/", "ws://a/{}", "ws://a/?{}"]
)
def test_whitespace_and_control_characters_are_refused_anywhere(char: str, form: str) -> None:
    with pytest.raises(InvalidURL, match="percent-encode it"):
        URL.parse(form.format(char))


def test_what_is_not_a_str_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a str, not bytes"):
        URL.parse(cast("str", b"ws://example.com"))


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("a\u3002b", "a.b"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_beyond_ascii_is_encoded_by_idna(host: str, encoded: str) -> None:
    """RFC 3490, by way of RFC 3987 section 3.1."""
    assert URL.parse(f"ws://{host}/").host == encoded


@pytest.mark.parametrize(
    ("target", "encoded"),
    [
        ("/caf\u00e9?q=\u00fc", "/caf%C3%A9?q=%C3%BC"),
        ("/\U0001f389", "/%F0%9F%8E%89"),
        ("/a%20b%2F%c3%a9", "/a%20b%2F%c3%a9"),
        ("/100%", "/100%25"),
        ("/100%?x=%z1%1", "/100%25?x=%25z1%251"),
        ("/100%\u00e9", "/100%25%C3%A9"),
        ('/"<>[]^`{|}\\', "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C"),
        ("/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"),
    ],
)
def test_a_target_is_percent_encoded_and_its_escapes_are_kept(target: str, encoded: str) -> None:
    """RFC 3987 section 3.1, RFC 3986 sections 3.3 and 3.4."""
    assert URL.parse(f"ws://a{target}").target == encoded


@pytest.mark.parametrize(
    ("userinfo", "username", "password"),
    [
        ("user", "user", None),
        ("user:", "user", ""),
        ("user:pass", "user", "pass"),
        (":pass", "", "pass"),
        ("user:a:b", "user", "a:b"),
        ("us%20er:p%40ss%2f", "us er", "p@ss/"),
        ("us\u00e9r:p%C3%A9", "us\u00e9r", "p\u00e9"),
        ("user:%3A%25", "user", ":%"),
    ],
)
def test_user_name_and_password_are_percent_decoded(
    userinfo: str, username: str, password: str | None
) -> None:
    """RFC 3986 section 3.2.1."""
    url = URL.parse(f"ws://{userinfo}@example.com")
    assert (url.username, url.password, url.host) == (username, password, "example.com")


@pytest.mark.parametrize(
    ("text", "host_header"),
    [
        ("ws://example.com:80/", "example.com"),
        ("wss://example.com:443/", "example.com"),
        ("ws://example.com:443/", "example.com:443"),
        ("wss://example.com:80/", "example.com:80"),
        ("ws://[::1]/", "[::1]"),
        ("ws://[::1]:8080/", "[::1]:8080"),
        ("ws://[fe80::1%25eth0]:8080/", "[fe80::1]:8080"),
        ("ws://b\u00fccher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_leaves_out_the_default_port_and_a_zone(
    text: str, host_header: str
) -> None:
    """RFC 6455 section 4.1, RFC 6874 section 4."""
    assert URL.parse(text).host_header == host_header


@pytest.mark.parametrize("literal", ["FE80::1%25Eth0", "fe80::1%Eth0"])
def test_a_zone_is_understood_escaped_and_bare(literal: str) -> None:
    """RFC 6874 sections 2 and 3; the zone is the name of an interface, so its case counts."""
    assert URL.parse(f"ws://[{literal}]/").host == "fe80::1%Eth0"


def test_a_request_names_target_and_host() -> None:
    """RFC 6455 section 4.1."""
    url = URL.parse("ws://example.com:8080/chat?room=1")
    assert url.request([("Cookie", "a=b")], origin="https://example.com") == Request(
        "/chat?room=1",
        "example.com:8080",
        [("Cookie", "a=b"), ("Origin", "https://example.com")],
    )
    assert url.request() == Request("/chat?room=1", "example.com:8080")


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [("user:p%C3%A9", "user:p\u00e9"), ("user", "user:"), (":key", ":key")],
)
def test_user_name_and_password_become_basic_authorization(
    userinfo: str, credentials: str
) -> None:
    """RFC 7617 section 2."""
    value = URL.parse(f"ws://{userinfo}@a/").request().headers["Authorization"]
    scheme, _, encoded = value.partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded, validate=True).decode() == credentials


def test_an_authorization_of_the_callers_own_wins() -> None:
    headers = URL.parse("ws://user:pass@a/").request({"authorization": "Bearer x"}).headers
    assert headers.get_all("Authorization") == ["Bearer x"]


def test_an_origin_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice"):
        URL.parse("ws://a/").request({"origin": "https://a"}, origin="https://b")


@pytest.mark.parametrize("form", [str, repr])
def test_the_text_of_a_url_shows_neither_user_name_nor_password(form: type[str]) -> None:
    text = form(URL.parse(f"ws://{SECRET}:{SECRET}@example.com/chat"))
    assert "example.com" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "text",
    [
        f"{SECRET}:{SECRET}@example.com",
        f"{SECRET}:1@example.com/://",
        f"ws://user:{SECRET}",
        f"ws://user:{SECRET}/@example.com",
        f"ws://user:{SECRET}#@example.com",
        f"ws://{SECRET}^/@example.com",
        f"ws://user:{SECRET}@@example.com",
        f"ws://user:{SECRET}%@example.com",
        f"ws://user:{SECRET}%ff@example.com",
        f"ws://{SECRET}%3A@example.com",
        f"ws://user:{SECRET} @example.com",
        f"ws://user:{SECRET}@",
    ],
)
def test_an_error_shows_neither_user_name_nor_password(text: str) -> None:
    with pytest.raises(InvalidURL) as info:
        URL.parse(text)
    assert SECRET not in str(info.value)
    assert info.value.__suppress_context__ or info.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "ws://example.com/",
        "wss://example.com:80/a%20b?c=%25",
        "ws://[::1]:8080/",
        "ws://[fe80::1%25eth0]/",
        "ws://xn--bcher-kva.example/",
    ],
)
def test_the_text_of_a_url_without_credentials_is_the_url(text: str) -> None:
    assert str(URL.parse(text)) == text


@given(st.one_of(st.text(), st.text().map("ws://".__add__), st.text("[]%:@/?#a0. ")))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = URL.parse(text)
    except InvalidURL:
        return
    assert URL.parse(str(url)) == URL(url.secure, url.host, url.port, url.target)


@given(st.text())
def test_a_target_is_what_a_request_line_can_hold(text: str) -> None:
    """RFC 9112 section 3.2: no whitespace, no control characters, ASCII only."""
    try:
        target = URL.parse(f"ws://a/{text}").target
    except InvalidURL:
        return
    allowed = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?%"
    assert set(target) <= set(allowed)


@given(st.text(), st.text())
def test_user_name_and_password_survive_percent_encoding(username: str, password: str) -> None:
    def escape(text: str) -> str:
        return "".join(f"%{byte:02x}" for byte in text.encode(errors="surrogatepass"))

    try:
        url = URL.parse(f"ws://{escape(username)}:{escape(password)}@a/")
    except InvalidURL:
        return
    assert (url.username, url.password) == (username, password)
