"""Transactions of one Lighter key: one at a time, each with exactly the next nonce, and what each answer proves.

The venue accepts a transaction only if it carries the next nonce of its key (21104 otherwise). An accepted one consumes the
nonce, a refused one does not (reference section 12). A lost answer leaves it open: the next send asks `nextNonce` first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.venues.base import FrameUnreadable, NotSent, RequestRefused, VenueCounters, VenueError
from perpdesk.venues.lighter.account_frames import TX_ANSWER, TxAnswer, parse_nonce
from perpdesk.venues.lighter.frames import BAD_DATA
from perpdesk.venues.lighter.rest import MESSAGE_MAX, NO_KEY, RATE_LIMITED, LighterRest
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.lighter.signing import SignedTx, SigningFailed
from perpdesk.venues.transport.ports import HttpResponse, RequestNotSent, ResponseLost

log = structlog.get_logger(__name__)

BAD_NONCE = 21104
INTERNAL_FROM = 29000
"""29404 not found, 29500 internal, 29501 time-out: the venue itself does not say what became of a transaction."""

ACCEPTED_KEPT_MAX = 1_000
"""Nonces whose accepted transaction is remembered."""

Sign = Callable[[int], Awaitable[SignedTx]]
"""Signs for the nonce it is given."""


class TransactionRefused(VenueError):
    """The venue answered no: the transaction has no effect and consumed no nonce."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NonceRefused(TransactionRefused):
    """The nonce was not the next one; the next send reads it afresh."""


class TransactionLost(VenueError):
    """Sent, and no answer that says what became of it."""


class TransactionSender:
    """Holds the key's nonce. At most one transaction is in flight at any time."""

    def __init__(self, rest: LighterRest, settings: LighterSettings, counters: VenueCounters) -> None:
        self._rest = rest
        self._settings = settings
        self._counters = counters
        self._lock = asyncio.Lock()
        self._nonce: int | None = None
        self._is_doubted = False
        self._lost_nonce: int | None = None
        self._accepted: OrderedDict[int, str] = OrderedDict()
        self._sends: OrderedDict[int, int] = OrderedDict()

    def was_contended(self, nonce: int) -> bool:
        """Whether this process sent more than one transaction with `nonce`: any of them may be the one that was taken."""
        return self._sends.get(nonce, 0) > 1

    def accepted_hash(self, nonce: int) -> str | None:
        """Hash of the transaction that this process saw accepted with `nonce`, None if it saw none."""
        return self._accepted.get(nonce)

    def doubt_nonce(self) -> None:
        """Read the nonce afresh before the next send: the sequencer failed a transaction after it had been accepted."""
        self._is_doubted = True

    @property
    def is_door_open(self) -> bool:
        """Whether a transaction whose answer was lost may still be accepted by the venue."""
        return self._lost_nonce is not None

    async def send(
        self, sign: Sign, *, is_nonce_fresh: bool = False, before: Callable[[SignedTx, int], None] | None = None
    ) -> str:
        """Sign and send one transaction; returns its hash once the venue has queued it (not: executed it).

        Args:
            is_nonce_fresh: Ask the venue for the nonce even if it is known.
            before: Called with the signed transaction and its nonce right before it leaves; may raise NotSent to stop it.

        Raises:
            NotSent: Nothing left, or the venue certainly did not take it.
            TransactionRefused, NonceRefused: The venue said no.
            TransactionLost: It may have been taken.
        """
        async with self._lock:
            nonce = await self._next_nonce(is_nonce_fresh)
            try:
                signed = await sign(nonce)
            except SigningFailed as error:
                raise NotSent(f"the transaction could not be signed: {error}") from error
            if before is not None:
                before(signed, nonce)
            self._sends[nonce] = self._sends.get(nonce, 0) + 1
            while len(self._sends) > ACCEPTED_KEPT_MAX:
                self._sends.popitem(last=False)
            response = await self._post(signed, nonce)
            return self._judge(response, signed, nonce)

    async def _next_nonce(self, is_nonce_fresh: bool) -> int:
        if self._nonce is None or self._is_doubted or is_nonce_fresh:
            account, key = self._settings.account_index, self._settings.api_key_index
            if account is None or key is None:
                raise RequestRefused("no-key", NO_KEY)
            query = {"account_index": account, "api_key_index": key}
            try:
                self._nonce = parse_nonce(await self._rest.get("nextNonce", query, is_urgent=True))
            except (RequestRefused, FrameUnreadable) as error:
                raise NotSent(f"Lighter did not say the next nonce: {error}") from error
            self._is_doubted = False
        return self._nonce

    async def _post(self, signed: SignedTx, nonce: int) -> HttpResponse:
        form: dict[str, str | int] = {"tx_type": signed.tx_type, "tx_info": signed.tx_info}
        try:
            return await self._rest.post_form("sendTx", form)
        except RequestNotSent as error:
            raise NotSent(f"Lighter could not be reached: {error}") from error
        except ResponseLost as error:
            self._lose(nonce)
            raise TransactionLost(f"no answer: {error}") from error
        except BaseException:  # a cancelled caller leaves the request in flight just as a time-out does
            self._lose(nonce)
            raise

    def _judge(self, response: HttpResponse, signed: SignedTx, nonce: int) -> str:
        status, answer = response.status, _parse_answer(response.body)
        if status == 200 and answer is not None and answer.code == 200:
            self._accept(nonce, signed.tx_hash)
            return answer.tx_hash or signed.tx_hash
        self._counters.errors += 1
        if status == 429 or (answer is not None and answer.code == RATE_LIMITED):
            raise NotSent("Lighter's request limit is used up; the transaction was not taken")
        if answer is None and 400 < status < 500 and status != 408:
            raise NotSent(f"Lighter's front refused the request (HTTP {status}); the transaction was not taken")
        if answer is None or status >= 500 or answer.code >= INTERNAL_FROM or answer.code in (0, 200) or status < 200:
            self._lose(nonce)
            raise TransactionLost(f"HTTP {status} without a clear answer")
        if status == 200 or answer.code == BAD_NONCE:
            self._nonce = None
        message = answer.message[:MESSAGE_MAX]
        log.warning("transaction_refused", venue=VenueName.LIGHTER.value, code=answer.code, message=message)
        raise (NonceRefused if answer.code == BAD_NONCE else TransactionRefused)(answer.code, message)

    def _accept(self, nonce: int, tx_hash: str) -> None:
        self._nonce = nonce + 1
        self._accepted[nonce] = tx_hash
        while len(self._accepted) > ACCEPTED_KEPT_MAX:
            self._accepted.popitem(last=False)
        if self._lost_nonce is not None and nonce >= self._lost_nonce:
            self._lost_nonce = None  # the lost one carried a nonce that is spent now: it can not be accepted any more

    def _lose(self, nonce: int) -> None:
        self._nonce = None
        self._lost_nonce = nonce if self._lost_nonce is None else max(self._lost_nonce, nonce)


def _parse_answer(body: bytes) -> TxAnswer | None:
    try:
        return TX_ANSWER.decode(body)
    except BAD_DATA:
        return None
