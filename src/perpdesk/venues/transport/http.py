"""HTTP to real venues (and to simulated ones on loopback): one pooled aiohttp session, every failure sorted into two kinds."""

from collections.abc import Mapping

import aiohttp
from yarl import URL

from perpdesk.venues.transport.ports import HttpResponse, RequestNotSent, ResponseLost

RESPONSE_BYTES_MAX = 64 * 1024 * 1024
"""Longest answer that is read; a longer one is given up as lost."""


class AiohttpTransport:
    """`HttpTransport` over pooled, kept-alive connections.

    A request counts as sent from the moment it holds a connection: a kept-alive connection that the venue closes just then
    gives ResponseLost, because nobody can tell whether the venue read it. Redirects are answers, not followed. The URL goes
    out exactly as given. Response header names are in lower case.
    """

    def __init__(
        self,
        *,
        connections_max: int = 200,
        connections_per_host_max: int = 100,
        dns_cache_s: int = 1_800,
        keep_alive_s: int = 300,
    ) -> None:
        self._connections_max = connections_max
        self._connections_per_host_max = connections_per_host_max
        self._dns_cache_s = dns_cache_s
        self._keep_alive_s = keep_alive_s
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        """Send one request and read its whole answer.

        Raises:
            RequestNotSent: No connection was had: refused, no such host, TLS, no free connection in time, closed transport.
            ResponseLost: The request may have taken effect.
        """
        shown = f"{method} {url.partition('?')[0]}"  # a query can hold an auth token
        if self._is_closed:
            raise RequestNotSent(f"{shown}: the transport is closed")
        progress = _Progress()
        try:
            async with self._open_session().request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_ms / 1000, ceil_threshold=float("inf")),
                trace_request_ctx=progress,
            ) as response:
                whole = await _read(response)
                names = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status, whole, names)
        except TimeoutError as error:
            why = f"no answer within {timeout_ms} ms"
            raise _sorted(progress, f"{shown}: {why}") from error
        except (aiohttp.ClientError, OSError, ValueError, _TooLong) as error:
            raise _sorted(progress, f"{shown}: {_described(error)}") from error

    async def close(self) -> None:
        """Close every connection; idempotent. Requests under way end as lost, later ones as not sent."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections_max,
                    limit_per_host=self._connections_per_host_max,
                    ttl_dns_cache=self._dns_cache_s,
                    keepalive_timeout=self._keep_alive_s,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_tracing()],
            )
        return self._session


class _Progress:
    """How far one request got."""

    __slots__ = ("has_connection",)

    def __init__(self) -> None:
        self.has_connection = False


class _TooLong(Exception):
    """The answer exceeds RESPONSE_BYTES_MAX."""


def _tracing() -> aiohttp.TraceConfig:
    async def note(_session: aiohttp.ClientSession, context: object, _details: object) -> None:
        context.trace_request_ctx.has_connection = True  # type: ignore[attr-defined]

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(note)
    tracing.on_connection_reuseconn.append(note)
    return tracing


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > RESPONSE_BYTES_MAX:
            raise _TooLong(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _sorted(progress: _Progress, message: str) -> RequestNotSent | ResponseLost:
    return ResponseLost(message) if progress.has_connection else RequestNotSent(message)


def _described(error: Exception) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return "this is no address"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the venue's TLS certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"can not connect ({error.os_error.strerror or type(error).__name__})"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the venue closed the connection"
    return str(error) or type(error).__name__
