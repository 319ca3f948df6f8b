"""`POST /exchange`: who signed, whether the action may run, and what it does.

Texts marked [own] are worded by us: what the venue says there is not on record. All others were read off the live venue or
testnet by third parties (reference `venues/hyperliquid.md`, section 9; public issue threads and testnet logs of 2026).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import plain
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.wire.hyperliquid.info import BROKEN, OVER_BUDGET, UNDECODABLE, Answer
from perpdesk.sandbox.wire.hyperliquid.ledger import AddressRecord, Ledger
from perpdesk.sandbox.wire.hyperliquid.limits import WeightBudget
from perpdesk.sandbox.wire.hyperliquid.orders import OrderActions, Refused
from perpdesk.sandbox.wire.hyperliquid.query import Undecodable, parse_address
from perpdesk.sandbox.wire.hyperliquid.signatures import SignatureVerifier, SignedAction, WireSignature
from perpdesk.sandbox.wire.hyperliquid.standing import FREE_REQUESTS

log = structlog.get_logger(__name__)

THROTTLE_MS = 10_000
"""Once the address allowance is used up, one action per this long."""
EXPIRED_COST = 5

_USER_SIGNED = frozenset(
    (
        "usdSend spotSend withdraw3 usdClassTransfer sendAsset approveAgent approveBuilderFee tokenDelegate "
        "userSetAbstraction userDexAbstraction convertToMultiSigUser cDeposit cWithdraw"
    ).split()
)
_CANCELS = frozenset(("cancel", "cancelByCloid", "scheduleCancel"))
_BATCH_KEYS = {"order": "orders", "cancel": "cancels", "cancelByCloid": "cancels", "batchModify": "modifies"}


class Envelope(msgspec.Struct, rename="camel"):
    """The body of every action; the action keeps its key order because the signature covers it."""

    action: dict[str, Any]
    nonce: int
    signature: WireSignature
    vault_address: str | None = None
    expires_after: int | None = None


@dataclass(frozen=True, slots=True)
class _Signer:
    """Who signed and for whom."""

    address: str
    account_id: str


class ExchangeEndpoint:
    """Answers actions; orders take effect before the answer is made."""

    def __init__(
        self, exchange: Exchange, ledger: Ledger, budget: WeightBudget, clock: Clock, verifier: SignatureVerifier
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._budget = budget
        self._clock = clock
        self._verifier = verifier
        orders = OrderActions(exchange, ledger, clock)
        self._handlers: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            **orders.handlers(),
            "noop": lambda account_id, action: {"type": "default"},
        }

    def answer(self, body: bytes) -> Answer:
        """Run the action in `body`; business errors are HTTP 200 with status "err" or an error per order."""
        try:
            envelope = msgspec.json.decode(body, type=Envelope)
            if not self._budget.admit(_weight(envelope.action), self._clock.wall_ms()):
                return OVER_BUDGET
            response = self._run(envelope)
        except Refused as refused:
            return _answer({"status": "err", "response": str(refused)})
        except (msgspec.DecodeError, RecursionError, Undecodable) as error:
            log.info("action_undecodable", error=str(error))
            return UNDECODABLE
        except Exception:
            log.exception("action_failed")
            return BROKEN
        return _answer({"status": "ok", "response": response})

    def _run(self, envelope: Envelope) -> Any:
        kind = envelope.action.get("type")
        if kind in _USER_SIGNED:
            raise Refused(f"{kind} is not simulated: move collateral through the sandbox's own controls.")  # [own]
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            raise Undecodable(f"unknown action type {str(kind)[:40]!r}")
        signer = self._identify(envelope)
        record = self._ledger.record(signer.account_id)
        self._spend_nonce(signer, envelope.nonce)
        now_ms = self._clock.wall_ms()
        if envelope.expires_after is not None and now_ms > envelope.expires_after:
            record.requests_used += EXPIRED_COST
            raise Refused("Action already expired")
        self._spend_allowance(record, envelope.action, now_ms)
        try:
            return handler(signer.account_id, envelope.action)
        except msgspec.ValidationError as error:
            raise Undecodable(str(error)) from error

    # Who -------------------------------------------------------------------------------------------------------------

    def _identify(self, envelope: Envelope) -> _Signer:
        """The first recovered address that the venue knows, and the account it acts for."""
        vault = None if envelope.vault_address is None else parse_address(envelope.vault_address)
        signed = SignedAction(envelope.action, envelope.nonce, vault, envelope.expires_after, envelope.signature)
        found = self._verifier.signers(signed)
        if not found:
            raise Refused("Unable to recover signer.")
        for signer in found:
            actor = self._ledger.actor(signer)
            if actor is not None:
                return self._acting_for(signer, actor, vault)
        raise Refused(f"User or API Wallet {found[0]} does not exist.")

    def _acting_for(self, signer: str, actor: str, vault: str | None) -> _Signer:
        """A vault or sub-account is traded by whoever is registered as its agent."""
        target = actor if vault is None else vault
        if vault is not None and vault != actor and not {signer, actor} & set(self._ledger.agents(vault)):
            raise Refused(f"Vault not registered: {vault}")
        if self._exchange.account(target) is None:
            raise Refused(f"Must deposit before performing actions. User: {target}")
        return _Signer(signer, target)

    # Whether ---------------------------------------------------------------------------------------------------------

    def _spend_nonce(self, signer: _Signer, nonce: int) -> None:
        window = self._ledger.nonces(signer.address)
        refusal = window.refusal(nonce, self._clock.wall_ms())
        if refusal is not None:
            raise Refused(refusal)
        window.use(nonce)

    def _spend_allowance(self, record: AddressRecord, action: dict[str, Any], now_ms: int) -> None:
        """10000 actions and one more per USDC traded, cancels more; beyond that one every 10 s. Refusals cost nothing."""
        cap = FREE_REQUESTS + int(record.volume_usd)
        if action["type"] in _CANCELS:
            cap = min(cap + 100_000, 2 * cap)
        if record.requests_used >= cap:
            if record.throttled_at_ms is not None and now_ms < record.throttled_at_ms + THROTTLE_MS:
                raise Refused(
                    f"Too many cumulative requests sent ({record.requests_used + 1} > {cap}) for cumulative volume traded "
                    f"${plain(round(record.volume_usd, 2))}. Place taker orders to free up 1 request per USDC traded."
                )
            record.throttled_at_ms = now_ms
        record.requests_used += max(_batch_length(action), 1)


def _answer(value: Any) -> Answer:
    return Answer(200, msgspec.json.encode(value))


def _batch_length(action: dict[str, Any]) -> int:
    kind = action.get("type")
    batch = action.get(_BATCH_KEYS.get(kind, "")) if isinstance(kind, str) else None
    return len(batch) if isinstance(batch, list) else 0


def _weight(action: dict[str, Any]) -> int:
    """One, and one more per 40 entries of a batch."""
    return 1 + _batch_length(action) // 40
