"""The only place for the TLS contexts of the scenarios, made once."""

from __future__ import annotations

import ssl
from functools import cache

import trustme


@cache
def authority() -> trustme.CA:
    """Signs what both sides trust."""
    return trustme.CA()


@cache
def server_tls() -> ssl.SSLContext:
    """A server's context, with a certificate for ``localhost``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    return context


@cache
def strict_server_tls() -> ssl.SSLContext:
    """A server's context that wants a certificate of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    authority().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@cache
def client_tls() -> ssl.SSLContext:
    """A client's context, which trusts :func:`authority` and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


@cache
def known_client_tls() -> ssl.SSLContext:
    """A client's context, with a certificate for the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    authority().issue_cert("client@example.com").configure_cert(context)
    return context


@cache
def distrusting_client_tls() -> ssl.SSLContext:
    """A client's context, which trusts somebody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().configure_trust(context)
    return context
