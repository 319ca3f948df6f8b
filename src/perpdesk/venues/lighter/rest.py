"""Requests to Lighter over HTTP: what each answer, or its absence, lets us conclude; and the token for private reads."""

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.venues.base import FrameUnreadable, NotSent, RequestRefused, VenueCounters
from perpdesk.venues.lighter.frames import BAD_DATA
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.lighter.signing import Signer, SigningFailed
from perpdesk.venues.transport.ports import HttpResponse, HttpTransport, RequestNotSent, ResponseLost

log = structlog.get_logger(__name__)

RATE_LIMITED = 23000
AUTH_REFUSED = "20013"
FIREWALL_HOLD_MS = 60_000
"""The firewall in front of the venue holds offenders for about this long; asking again sooner prolongs it."""
RATE_LIMIT_WAIT_MS = 15_000
"""The budget is a rolling minute and the venue does not say when it frees up: a quarter of it."""
MESSAGE_MAX = 200
NO_KEY = (
    "this Lighter connection has no API key, so it can only read market data; "
    "configure account index, API key index and private key to trade"
)


class AnswerHead(msgspec.Struct):
    """What every JSON answer begins with. Code 200 (or none) is good; refusals carry 2xxxx."""

    code: int = 200
    message: str = ""


_HEAD = msgspec.json.Decoder(AnswerHead)


def parse_head(body: bytes) -> AnswerHead | None:
    """Code and message of an answer, None when it is not the venue's JSON."""
    try:
        return _HEAD.decode(body)
    except BAD_DATA:
        return None


class Tokens:
    """The authorisation token: made by the signer, kept until shortly before its end."""

    def __init__(self, signer: Signer | None, clock: Clock, settings: LighterSettings) -> None:
        self._signer = signer
        self._clock = clock
        self._settings = settings
        self._token: str | None = None
        self._deadline_s = 0

    async def fetch(self) -> tuple[str, int]:
        """(token, Unix seconds of its end). RequestRefused without a key, NotSent when signing failed."""
        if self._signer is None:
            raise RequestRefused("no-key", NO_KEY)
        now_s = self._clock.wall_ms() // 1000
        if self._token is None or now_s >= self._deadline_s - self._settings.auth_refresh_s:
            deadline_s = now_s + self._settings.auth_lifetime_s
            try:
                token = await self._signer.auth_token(deadline_s)
            except SigningFailed as error:
                raise NotSent(f"no authorisation token: {error}") from error
            self._token, self._deadline_s = token, deadline_s
        return self._token, self._deadline_s

    def drop(self) -> None:
        """The venue does not take the token any more."""
        self._token = None


class LighterRest:
    """Reads by GET, and the one POST. Counts requests and errors; keeps quiet while the venue's firewall holds us off."""

    def __init__(
        self, http: HttpTransport, clock: Clock, settings: LighterSettings, tokens: Tokens, counters: VenueCounters
    ) -> None:
        self._http = http
        self._clock = clock
        self._settings = settings
        self._tokens = tokens
        self._counters = counters
        self._held_until_ms: int | None = None

    async def get(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        is_private: bool = False,
        is_urgent: bool = False,
    ) -> bytes:
        """Body of a good answer to GET `/api/v1/<path>`. Urgent reads are tried even while the firewall holds us off.

        Raises:
            NotSent: No answer, or the venue's own failure; reads are safe to repeat.
            RequestRefused: The venue said no; `.code` is its number, or the HTTP status where it gave none.
            FrameUnreadable: Not the venue's JSON.
        """
        url = f"{self._settings.rest_url}/api/v1/{path}"
        if not is_urgent:
            self._require_not_held()
        if not is_private:
            return await self._get(url, query, {})
        token, _ = await self._tokens.fetch()
        try:
            return await self._get(url, query, {"Authorization": token})
        except RequestRefused as error:
            if error.code not in (AUTH_REFUSED, "401", "403"):
                raise
            self._tokens.drop()
        token, _ = await self._tokens.fetch()
        return await self._get(url, query, {"Authorization": token})

    async def get_root(self) -> bytes:
        """Body of GET `/`, the venue's status. Raises as `get`."""
        self._require_not_held()
        return await self._get(f"{self._settings.rest_url}/", None, {})

    async def post_form(self, path: str, form: Mapping[str, str | int]) -> HttpResponse:
        """Send a form to `/api/v1/<path>` and return whatever complete answer comes; RequestNotSent, ResponseLost."""
        self._counters.requests += 1
        try:
            return await self._http.request(
                "POST",
                f"{self._settings.rest_url}/api/v1/{path}",
                body=urlencode(form).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                timeout_ms=self._settings.request_timeout_ms,
            )
        except (RequestNotSent, ResponseLost):
            self._counters.errors += 1
            raise

    async def _get(self, url: str, query: Mapping[str, str | int] | None, headers: Mapping[str, str]) -> bytes:
        self._counters.requests += 1
        target = f"{url}?{urlencode(query)}" if query else url
        try:
            response = await self._http.request(
                "GET", target, headers=headers, timeout_ms=self._settings.request_timeout_ms
            )
        except (RequestNotSent, ResponseLost) as error:
            self._counters.errors += 1
            raise NotSent(f"Lighter did not answer: {error}") from error
        try:
            return self._judge(response)
        except (NotSent, RequestRefused, FrameUnreadable):
            self._counters.errors += 1
            raise

    def _judge(self, response: HttpResponse) -> bytes:
        head = parse_head(response.body)
        status = response.status
        if status >= 500:
            raise NotSent(f"Lighter failed to answer (HTTP {status}); try again")
        if status == 429 or (head is not None and head.code == RATE_LIMITED):
            raise RequestRefused(str(RATE_LIMITED), "Lighter's request limit is used up", RATE_LIMIT_WAIT_MS)
        if head is None:
            raise self._not_json(response)
        if status == 200 and head.code in (0, 200):
            return response.body
        code = str(head.code) if head.code not in (0, 200) else str(status)
        raise RequestRefused(code, head.message[:MESSAGE_MAX] or f"Lighter refused the request (HTTP {status})")

    def _not_json(self, response: HttpResponse) -> FrameUnreadable | RequestRefused:
        status = response.status
        if not 400 <= status < 500:
            return FrameUnreadable(f"answer (HTTP {status})", response.body)
        if status in (401, 403, 404):
            return RequestRefused(str(status), f"Lighter refused the request (HTTP {status})")
        self._held_until_ms = self._clock.monotonic_ms() + FIREWALL_HOLD_MS
        log.warning("firewall_hold", venue=VenueName.LIGHTER.value, status=status, hold_ms=FIREWALL_HOLD_MS)
        return RequestRefused(str(status), "Lighter's firewall refused us; reads pause for a minute", FIREWALL_HOLD_MS)

    def _require_not_held(self) -> None:
        """Reads wait for the firewall; transactions are always tried, for a naked leg must not wait behind a read."""
        if self._held_until_ms is None:
            return
        left = self._held_until_ms - self._clock.monotonic_ms()
        if left > 0:
            raise RequestRefused("firewall", "Lighter's firewall refused us; reads pause for a minute", left)
        self._held_until_ms = None
