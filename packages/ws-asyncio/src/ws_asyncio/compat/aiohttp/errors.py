"""The only place for what goes wrong, in aiohttp's words; 0.16 had a module of this name, too."""

from __future__ import annotations

import ssl as tls
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from wscore import Headers, Response

if TYPE_CHECKING:
    from ._request import Security, StrOrURL

__all__ = [
    "ClientConnectionError",
    "ClientConnectionResetError",
    "ClientConnectorCertificateError",
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "ClientConnectorSSLError",
    "ClientError",
    "ClientHttpProxyError",
    "ClientOSError",
    "ClientProxyConnectionError",
    "ClientResponseError",
    "ClientSSLError",
    "ConnectionKey",
    "ConnectionTimeoutError",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlClientError",
    "NonHttpUrlRedirectClientError",
    "RedirectClientError",
    "RequestInfo",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerFingerprintMismatch",
    "ServerTimeoutError",
    "SocketTimeoutError",
    "TooManyRedirects",
    "UnixClientConnectorError",
    "WSMessageTypeError",
    "WSServerHandshakeError",
    "WebSocketError",
    "warn_deprecated",
]


class RequestInfo(NamedTuple):
    """The request that something went wrong with.

    :ivar url: where to, as text.
    :ivar method: always GET.
    :ivar headers: its headers.
    :ivar real_url: the same as ``url``.
    """

    url: str
    method: str
    headers: Headers
    real_url: str


class ConnectionKey(NamedTuple):
    """Where a transport was to lead.

    :ivar host: the server's host.
    :ivar port: the server's port.
    :ivar is_ssl: whether over TLS.
    :ivar ssl: what the caller said about TLS.
    """

    host: str
    port: int | None
    is_ssl: bool
    ssl: Security


class WebSocketError(Exception):
    """The peer broke a rule, or a limit: the data of a message of type ERROR.

    :ivar code: the close code that told it so.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])


class WSMessageTypeError(TypeError):
    """The message received is not of the type that was asked for."""


class ClientError(Exception):
    """The root of what goes wrong with connections."""


class ClientResponseError(ClientError):
    """The server answered, and not as it should.

    :ivar request_info: what it was asked.
    :ivar history: the redirections that led there.
    :ivar status: the answer's HTTP status, or 0.
    :ivar message: what is wrong.
    :ivar headers: the answer's headers, or None.
    """

    def __init__(
        self,
        request_info: RequestInfo,
        history: tuple[Response, ...],
        *,
        code: int | None = None,
        status: int | None = None,
        message: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(request_info, history)
        if code is not None:
            if status is not None:
                raise ValueError("code and status are the same: give status")
            warn_deprecated("code argument", "use status instead")
        self.request_info = request_info
        self.history = history
        self.status = status if status is not None else code or 0
        self.message = message
        self.headers = headers

    @property
    def code(self) -> int:
        """``status``; deprecated by aiohttp."""
        warn_deprecated("code property", "use status instead")
        return self.status

    @code.setter
    def code(self, value: int) -> None:
        warn_deprecated("code property", "use status instead")
        self.status = value

    def __str__(self) -> str:
        url = str(self.request_info.real_url)
        return f"{self.status}, message={self.message!r}, url={url!r}"

    def __repr__(self) -> str:
        parts = {"status": self.status, "message": self.message, "headers": self.headers}
        said = [f"{name}={part!r}" for name, part in parts.items() if part not in (0, "", None)]
        arguments = ", ".join([repr(self.request_info), repr(self.history), *said])
        return f"{type(self).__name__}({arguments})"


class WSServerHandshakeError(ClientResponseError):
    """The server does not open a WebSocket."""


class ClientHttpProxyError(ClientResponseError):
    """A proxy answered and does not let us through."""


class TooManyRedirects(ClientResponseError):
    """There were more redirections than are followed."""


class ClientConnectionError(ClientError):
    """The connection did not come about, or broke."""


class ClientConnectionResetError(ClientConnectionError, ConnectionResetError):
    """Nothing can be sent: the connection is closing or closed."""


class ClientOSError(ClientConnectionError, OSError):
    """The system says what went wrong."""


class ClientConnectorError(ClientOSError):
    """There is no transport to the server."""

    def __init__(self, connection_key: ConnectionKey, os_error: OSError) -> None:
        super().__init__(os_error.errno, os_error.strerror)
        self.args = connection_key, os_error
        self._connection_key = connection_key
        self._os_error = os_error

    @property
    def os_error(self) -> OSError:
        """The system's error."""
        return self._os_error

    @property
    def host(self) -> str:
        """The server's host."""
        return self._connection_key.host

    @property
    def port(self) -> int | None:
        """The server's port."""
        return self._connection_key.port

    # bool is for ClientConnectorCertificateError, where aiohttp says whether it was TLS at all.
    @property
    def ssl(self) -> Security:
        """What the caller said about TLS."""
        return self._connection_key.ssl

    def __str__(self) -> str:
        how = "default" if self.ssl is True else self.ssl
        error = self.strerror or self._os_error
        return f"Cannot connect to host {self.host}:{self.port} ssl:{how} [{error}]"

    # OSError's own would make it anew from errno and strerror.
    __reduce__ = BaseException.__reduce__


class ClientConnectorDNSError(ClientConnectorError):
    """The server's name has no address."""


class ClientProxyConnectionError(ClientConnectorError):
    """There is no transport to the proxy."""


class UnixClientConnectorError(ClientConnectorError):
    """There is no transport through a Unix socket."""

    def __init__(self, path: str, connection_key: ConnectionKey, os_error: OSError) -> None:
        super().__init__(connection_key, os_error)
        self._path = path

    @property
    def path(self) -> str:
        """The socket's path."""
        return self._path

    def __str__(self) -> str:
        how = "default" if self.ssl is True else self.ssl
        error = self.strerror or self._os_error
        return f"Cannot connect to unix socket {self.path} ssl:{how} [{error}]"


class ClientSSLError(ClientConnectorError):
    """TLS went wrong."""


class ClientConnectorSSLError(ClientSSLError, tls.SSLError):
    """TLS went wrong before the connection was open."""


class ClientConnectorCertificateError(ClientSSLError, tls.CertificateError):
    """The server's certificate is not to be trusted."""

    def __init__(self, connection_key: ConnectionKey, certificate_error: Exception) -> None:
        os_error = certificate_error if isinstance(certificate_error, OSError) else OSError()
        super().__init__(connection_key, os_error)
        self.args = connection_key, certificate_error
        self._certificate_error = certificate_error

    @property
    def certificate_error(self) -> Exception:
        """What is wrong with it."""
        return self._certificate_error

    @property
    def ssl(self) -> bool:
        """Whether the connection was to be one over TLS."""
        return self._connection_key.is_ssl

    def __str__(self) -> str:
        return (
            f"Cannot connect to host {self.host}:{self.port} ssl:{self.ssl} "
            f"[{type(self.certificate_error).__name__}: {self.certificate_error.args}]"
        )


class ServerConnectionError(ClientConnectionError):
    """The server ended the connection, or does not answer."""


class ServerDisconnectedError(ServerConnectionError):
    """The connection ended without a word.

    :ivar message: how.
    """

    def __init__(self, message: str | None = None) -> None:
        self.message = "Server disconnected" if message is None else message
        super().__init__(self.message)


class ServerTimeoutError(ServerConnectionError, TimeoutError):
    """The server does not answer in time."""


class ConnectionTimeoutError(ServerTimeoutError):
    """There was no transport in time."""


class SocketTimeoutError(ServerTimeoutError):
    """There was nothing to read in time."""


class ServerFingerprintMismatch(ServerConnectionError):
    """The server's certificate is another one.

    :ivar expected: its SHA-256 as it should be.
    :ivar got: as it is.
    :ivar host: the server's address.
    :ivar port: the server's port.
    """

    def __init__(self, expected: bytes, got: bytes, host: str, port: int) -> None:
        super().__init__(expected, got, host, port)
        self.expected = expected
        self.got = got
        self.host = host
        self.port = port

    def __repr__(self) -> str:
        parts = ("expected", "got", "host", "port")
        values = " ".join(f"{name}={getattr(self, name)!r}" for name in parts)
        return f"<{type(self).__name__} {values}>"


class InvalidURL(ClientError, ValueError):
    """Such a URL leads nowhere.

    :ivar url: the URL.
    :ivar description: what is wrong with it, or None.
    """

    def __init__(self, url: StrOrURL, description: str | None = None) -> None:
        super().__init__(*((url, description) if description else (url,)))
        self._url = url
        self._description = description

    @property
    def url(self) -> StrOrURL:
        """The URL."""
        return self._url

    @property
    def description(self) -> str | None:
        """What is wrong with it, or None."""
        return self._description

    def __str__(self) -> str:
        return " - ".join(str(part) for part in self.args)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class InvalidUrlClientError(InvalidURL):
    """The URL to connect to leads nowhere."""


class NonHttpUrlClientError(ClientError):
    """The URL is for something else: neither ws, wss, http nor https."""


class RedirectClientError(ClientError):
    """The server redirects to where this side does not go."""


class InvalidUrlRedirectClientError(InvalidUrlClientError, RedirectClientError):
    """The server redirects to a URL that leads nowhere."""


class NonHttpUrlRedirectClientError(NonHttpUrlClientError, RedirectClientError):
    """The server redirects to a URL that is neither http nor https."""


def warn_deprecated(what: str, instead: str) -> None:
    """Warn as aiohttp itself does: the next library will not be as patient.

    :param what: what is deprecated, as aiohttp's own warning begins: filters go by that.
    """
    warnings.warn(f"{what} is deprecated, {instead}", DeprecationWarning, stacklevel=3)
