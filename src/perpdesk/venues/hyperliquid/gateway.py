"""Requests: bytes through the HTTP port, nonces, signatures, and what each failure lets us conclude."""

from typing import Any

import msgspec

from perpdesk.domain.clock import Clock
from perpdesk.venues.base import RAW_SHOWN_MAX, FrameUnreadable, NotSent, RequestRefused, VenueError
from perpdesk.venues.hyperliquid.actions import Action, ActionRefused, ActionTaken, parse_answer
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.signing import Signer
from perpdesk.venues.hyperliquid.watch import Watch
from perpdesk.venues.transport.ports import HttpResponse, HttpTransport, RequestNotSent, ResponseLost

BACK_OFF_MS = 2_000
"""Least wait after a 429; the venue names none."""

_HEADERS = {"Content-Type": "application/json"}
_CERTAINLY_REFUSED = frozenset((400, 401, 403, 404, 405, 410, 413, 414, 415, 422, 431))
"""Statuses that say the action was not taken. Others of the 400s may come from something between us and the venue."""


class Unanswered(VenueError):
    """An action left and no readable answer came back: it may have taken effect. Never leaves the adapter."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Gateway:
    """One account's way to `/info` and `/exchange`."""

    def __init__(
        self,
        http: HttpTransport,
        clock: Clock,
        settings: HyperliquidSettings,
        signer: Signer | None,
        watch: Watch,
    ) -> None:
        self._http = http
        self._clock = clock
        self._settings = settings
        self._signer = signer
        self._watch = watch
        self._nonce_last = 0

    def require_signer(self) -> Signer:
        """RequestRefused without a signer: the connector is read-only then."""
        if self._signer is None:
            raise RequestRefused(
                "ReadOnly", "Hyperliquid is read-only here: configure an agent key to place or cancel orders"
            )
        return self._signer

    def next_nonce(self) -> int:
        """Unix milliseconds, or one more than the last where the clock did not move on."""
        self._nonce_last = max(self._clock.wall_ms(), self._nonce_last + 1)
        return self._nonce_last

    async def ask(self, request: dict[str, Any]) -> bytes:
        """Post a read and return the answer's body.

        Raises:
            NotSent: Unreachable, no answer in time, or the venue failed inside; safe to repeat.
            RequestRefused: The venue answered no, or "429" when we ask too often.
        """
        kind = str(request["type"])
        try:
            response = await self._post("/info", msgspec.json.encode(request))
        except (RequestNotSent, ResponseLost) as error:
            raise NotSent(f"Hyperliquid did not answer {kind}: {error}") from error
        if response.status == 200:
            return response.body
        self._watch.error("request_failed", request=kind, status=response.status, raw=_shown(response))
        if response.status >= 500:
            raise NotSent(f"Hyperliquid failed on {kind} with HTTP {response.status}; try again")
        retry_after_ms = BACK_OFF_MS if response.status == 429 else None
        raise RequestRefused(str(response.status), f"Hyperliquid refused {kind}", retry_after_ms)

    async def act(self, action: Action, nonce: int, expires_after: int | None) -> ActionTaken | ActionRefused:
        """Sign and post one action and return the venue's answer.

        Raises:
            NotSent: Nothing left, or the venue turned it away unread for its rate limit.
            RequestRefused: The venue could not even read it, or there is no signer; it took no effect.
            Unanswered: It may have taken effect.
        """
        signer = self.require_signer()
        try:
            signature = await signer.sign_l1(action, nonce, None, expires_after)
        except Exception as error:
            # Only the kind of failure is kept: a signing library's message may quote what it was given.
            raise NotSent(f"Hyperliquid: signing failed ({type(error).__name__})") from None
        body = {
            "action": action,
            "nonce": nonce,
            "signature": signature,
            "vaultAddress": None,
            "expiresAfter": expires_after,
        }
        return await self._post_action(str(action["type"]), msgspec.json.encode(body))

    async def _post_action(self, kind: str, body: bytes) -> ActionTaken | ActionRefused:
        try:
            response = await self._post("/exchange", body)
        except RequestNotSent as error:
            raise NotSent(f"Hyperliquid: {kind} not sent: {error}") from error
        except ResponseLost as error:
            raise Unanswered(f"no answer: {error}") from error
        if response.status == 200:
            return self._read(kind, response)
        self._watch.error("action_failed", action=kind, status=response.status, raw=_shown(response))
        if response.status == 429:
            raise NotSent(f"Hyperliquid turned {kind} away for asking too often (HTTP 429); try again later")
        if response.status in _CERTAINLY_REFUSED:
            raise RequestRefused(str(response.status), f"Hyperliquid could not take {kind}: {_shown(response)!r}")
        raise Unanswered(f"HTTP {response.status}")

    def _read(self, kind: str, response: HttpResponse) -> ActionTaken | ActionRefused:
        try:
            return parse_answer(response.body)
        except FrameUnreadable as error:
            self._watch.unreadable(f"{kind} answer", response.body, error)
            raise Unanswered("unreadable answer") from error

    async def _post(self, path: str, body: bytes) -> HttpResponse:
        self._watch.counters.requests += 1
        try:
            return await self._http.request(
                "POST",
                self._settings.rest_url + path,
                body=body,
                headers=_HEADERS,
                timeout_ms=self._settings.request_timeout_ms,
            )
        except (RequestNotSent, ResponseLost) as error:
            self._watch.error("request_unanswered", path=path, error=str(error))
            raise


def _shown(response: HttpResponse) -> bytes:
    return response.body[:RAW_SHOWN_MAX]
