"""The simulated Lighter: one WireServer over one exchange."""

import random
from collections import deque
from collections.abc import Mapping

import structlog

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.exchange import Exchange, SimFunding
from perpdesk.sandbox.server import SocketPeer, WireRequest, WireResponse, WireSession
from perpdesk.sandbox.wire.lighter.accounts import OrderRecord, Refused, WireAccount
from perpdesk.sandbox.wire.lighter.balances import account_object
from perpdesk.sandbox.wire.lighter.encode import Json, encode_json
from perpdesk.sandbox.wire.lighter.execution import Accepted, Delays, Sequencer, TxHash, digest_of
from perpdesk.sandbox.wire.lighter.feeds import AccountFeed, MarketFeed
from perpdesk.sandbox.wire.lighter.queries import Query
from perpdesk.sandbox.wire.lighter.reads import Reads
from perpdesk.sandbox.wire.lighter.snapshots import AccountSnapshots
from perpdesk.sandbox.wire.lighter.sockets import SocketRules, StreamHub, Subscriptions, parse_batch
from perpdesk.sandbox.wire.lighter.state import LighterState, TxRecord
from perpdesk.sandbox.wire.lighter.tape import TradeRecord

log = structlog.get_logger(__name__)

API_PREFIX = "/api/v1/"
NETWORK_ID = 304
"""Mainnet's chain id, which the official SDK signs for when a local address is given."""

CONTRACT_ADDRESS = "0x" + "0" * 40
STREAM_PATH = "/stream"
_MINUTE_MS = 60_000


class LighterServer:
    """Lighter's REST and stream over an exchange whose account ids are account indices as text.

    Args:
        rng: Only session ids come from it.
        tier_delay_ms, maker_delay_ms, cancel_delay_ms: How long an accepted transaction waits before it executes: orders
            that take, orders that rest (and modifications), cancels (and leverage).
        book_every_ms: Least time between two book deltas of a market.
        requests_per_minute: REST requests and transactions together; None for no limit.
        silence_limit_ms: A client that sends nothing for this long is cut off; None for never.
        messages_per_minute: Frames a client may send besides transactions; None for no limit.
        ghost_cancel: Orders that end filled are reported cancelled and unfilled, while the trades show.
        stale_account_ms: `/account` answers as it would have this long ago.
        tx_hash: From (type, `tx_info`) to the transaction's hash. The signer of a simulated client knows its hashes before
            it sends, as the venue's own does; give its function here to let it look a lost transaction up.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        rng: random.Random,
        *,
        tier_delay_ms: int = 200,
        maker_delay_ms: int = 200,
        cancel_delay_ms: int = 100,
        book_every_ms: int = 50,
        requests_per_minute: int | None = None,
        ping_every_ms: int = 60_000,
        silence_limit_ms: int | None = 120_000,
        messages_per_minute: int | None = 200,
        ghost_cancel: bool = False,
        stale_account_ms: int = 0,
        tx_hash: TxHash = digest_of,
    ) -> None:
        self._state = LighterState(exchange, clock, ghost_cancel)
        self._snapshots = AccountSnapshots(clock, lambda account: account_object(self._state, account))
        self._sequencer = Sequencer(self._state, Delays(tier_delay_ms, maker_delay_ms, cancel_delay_ms), tx_hash)
        self._reads = Reads(self._state, self._sequencer, self._snapshots)
        self._requests_per_minute = requests_per_minute
        self._requests_at_ms: deque[int] = deque()
        subscriptions = Subscriptions()
        self._market_feed = MarketFeed(self._state, subscriptions, book_every_ms)
        self._account_feed = AccountFeed(self._state, subscriptions, self._snapshots)
        rules = SocketRules(ping_every_ms, silence_limit_ms, messages_per_minute)
        self._hub = StreamHub(
            self._state, self._sequencer, subscriptions, self._market_feed, rules, rng, self._admit_request
        )
        self._state.news = self
        if stale_account_ms:
            self.stale_account_ms = stale_account_ms

    @property
    def venue(self) -> VenueName:
        return VenueName.LIGHTER

    def register(self, account_index: int, api_keys: Mapping[int, str], l1_address: str) -> None:
        """Give an exchange account its keys: public key hex by key index. ValueError when it is registered already."""
        account = self._state.register(account_index, api_keys, l1_address)
        if self._state.exchange.account(account.account_id) is not None:
            self._snapshots.note(account)

    @property
    def ghost_cancel(self) -> bool:
        return self._state.ghost_cancel

    @ghost_cancel.setter
    def ghost_cancel(self, is_on: bool) -> None:
        self._state.ghost_cancel = is_on

    @property
    def stale_account_ms(self) -> int:
        return self._snapshots.stale_ms

    @stale_account_ms.setter
    def stale_account_ms(self, lag_ms: int) -> None:
        exchange = self._state.exchange
        known = [a for a in self._state.accounts.values() if exchange.account(a.account_id) is not None]
        self._snapshots.lag(lag_ms, known)

    # Wire server ----------------------------------------------------------------------------------------------------

    def handle(self, request: WireRequest) -> WireResponse:
        try:
            if not self._admit_request():
                raise Refused(23000, "Too Many Requests!", 429)
            return WireResponse(200, encode_json(self._answer(request)))
        except Refused as refused:
            return _error(refused)
        except Exception:
            log.exception("lighter_request_failed", path=request.path[:200])
            return _error(Refused(29500, "internal server error", 500))

    def open_socket(self, path: str, headers: Mapping[str, str], peer: SocketPeer) -> WireSession | None:
        if path.split("?", 1)[0].rstrip("/") != STREAM_PATH:
            return None
        return self._hub.open(peer)

    def _admit_request(self) -> bool:
        """Count one request against the rolling minute; False when it is one too many."""
        limit = self._requests_per_minute
        if limit is None:
            return True
        recent, now_ms = self._requests_at_ms, self._state.clock.monotonic_ms()
        while recent and recent[0] <= now_ms - _MINUTE_MS:
            recent.popleft()
        if len(recent) >= limit:
            return False
        recent.append(now_ms)
        return True

    def _answer(self, request: WireRequest) -> Json:
        if request.method == "GET":
            return self._read(request)
        if request.method == "POST" and request.path == API_PREFIX + "sendTx":
            form = Query.of_form(request.body)
            accepted = self._sequencer.accept(form.integer("tx_type"), form.text("tx_info"))
            return _queued(accepted, accepted.hashes[0])
        if request.method == "POST" and request.path == API_PREFIX + "sendTxBatch":
            form = Query.of_form(request.body)
            types, infos = parse_batch(form.text("tx_types"), form.text("tx_infos"))
            accepted = self._sequencer.accept_batch(types, infos)
            return _queued(accepted, accepted.hashes)
        raise Refused(29404, "not found", 404)

    def _read(self, request: WireRequest) -> Json:
        if request.path in ("", "/"):
            return {"status": 1, "network_id": NETWORK_ID, "timestamp": self._state.clock.wall_ms() // 1000}
        if request.path == "/info":
            return {"contract_address": CONTRACT_ADDRESS}
        name = request.path.removeprefix(API_PREFIX)
        handler = self._reads.handlers.get(name) if request.path.startswith(API_PREFIX) else None
        if handler is None:
            raise Refused(29404, "not found", 404)
        return {"code": 200, **handler(Query(request.query), request.headers)}

    # News from the exchange, handed to whoever publishes it ---------------------------------------------------------

    def on_book(self, symbol: str) -> None:
        self._market_feed.on_book(symbol)

    def on_stats(self, symbol: str) -> None:
        self._market_feed.on_stats(symbol)

    def on_trade(self, record: TradeRecord) -> None:
        self._market_feed.on_trade(record)

    def on_account_trade(self, account: WireAccount, record: TradeRecord) -> None:
        self._account_feed.on_trade(account, record)

    def on_account_order(self, account: WireAccount, record: OrderRecord) -> None:
        self._account_feed.on_order(account, record)

    def on_account_funding(self, account: WireAccount, funding: SimFunding) -> None:
        self._account_feed.on_funding(account, funding)

    def on_account_settings(self, account: WireAccount, symbol: str) -> None:
        self._account_feed.on_settings(account, symbol)

    def on_account_tx(self, account: WireAccount, tx: TxRecord) -> None:
        self._account_feed.on_tx(account, tx)


def _queued(accepted: Accepted, hashes: str | list[str]) -> Json:
    """200 means queued, nothing more."""
    return {
        "code": 200,
        "message": accepted.message,
        "tx_hash": hashes,
        "predicted_execution_time_ms": accepted.executes_at_ms,
        "volume_quota_remaining": accepted.quota_remaining,
    }


def _error(refused: Refused) -> WireResponse:
    return WireResponse(refused.http_status, encode_json({"code": refused.code, "message": refused.message}))
