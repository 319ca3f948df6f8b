"""The simulated Hyperliquid from outside: `POST /info`, `POST /exchange` and `/ws` over one exchange."""

import random
from collections.abc import Mapping, Sequence

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.server import SocketPeer, WireRequest, WireResponse, WireSession
from perpdesk.sandbox.wire.hyperliquid.accounts import AccountReads
from perpdesk.sandbox.wire.hyperliquid.actions import ExchangeEndpoint
from perpdesk.sandbox.wire.hyperliquid.hub import Hub
from perpdesk.sandbox.wire.hyperliquid.info import Answer, InfoEndpoint
from perpdesk.sandbox.wire.hyperliquid.ledger import Ledger
from perpdesk.sandbox.wire.hyperliquid.limits import WeightBudget
from perpdesk.sandbox.wire.hyperliquid.markets import MarketReads
from perpdesk.sandbox.wire.hyperliquid.signatures import RecoverSigner, SignatureVerifier
from perpdesk.sandbox.wire.hyperliquid.sockets import SocketSession, SocketShared
from perpdesk.sandbox.wire.hyperliquid.standing import StandingReads


class HyperliquidServer:
    """Speaks the venue's protocol for one exchange; see `WireServer`.

    Exchange account ids are the wire's addresses in lower case. Build the server before anything trades: what it remembers
    beyond the exchange (order history, funding sums, volumes) starts then. All clients share one rate budget, as if they had
    one network address.

    Attributes of the constructor:
        rng: Draws the salt of transaction hashes, so that two venues of one run differ and a seed repeats.
        action_delay_ms: From an action's effect to its answer. book_every_ms: Beat of the l2Book channel.
        weight_per_minute: Request weight; None switches the limit off.
        idle_limit_ms: A socket that was sent nothing for so long is closed; None never closes one.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        rng: random.Random,
        *,
        verifier: SignatureVerifier | None = None,
        action_delay_ms: int = 200,
        book_every_ms: int = 500,
        weight_per_minute: int | None = 1200,
        idle_limit_ms: int | None = 60_000,
    ) -> None:
        self._action_delay_ms = action_delay_ms
        self._idle_limit_ms = idle_limit_ms
        budget = WeightBudget(weight_per_minute)
        self._ledger = Ledger(exchange, clock, rng.getrandbits(64))
        markets = MarketReads(exchange, self._ledger, clock)
        accounts = AccountReads(exchange, self._ledger, clock)
        standing = StandingReads(exchange, self._ledger, clock)
        self._info = InfoEndpoint((markets, accounts, standing), budget, clock)
        self._actions = ExchangeEndpoint(exchange, self._ledger, budget, clock, verifier or RecoverSigner())
        hub = Hub(exchange, self._ledger, markets, accounts, clock, book_every_ms)
        exchange.listen(self._ledger)
        exchange.listen(hub)
        self._shared = SocketShared(hub, self._info, self._actions, clock, set(exchange.markets), action_delay_ms)

    @property
    def venue(self) -> VenueName:
        return VenueName.HYPERLIQUID

    def register(self, address: str, agents: Sequence[str] = ()) -> None:
        """Know `address` as a wallet and let `agents` sign for it; replaces what was registered before."""
        self._ledger.register(address, agents)

    def handle(self, request: WireRequest) -> WireResponse:
        """Answer one HTTP request."""
        if request.path not in ("/info", "/exchange"):
            return WireResponse(404, b"Not Found", "text/plain; charset=utf-8")
        if request.method != "POST":
            return WireResponse(405, b"Method Not Allowed", "text/plain; charset=utf-8")
        if request.path == "/info":
            return _response(self._info.answer(request.body))
        return _response(self._actions.answer(request.body), self._action_delay_ms)

    def open_socket(self, path: str, headers: Mapping[str, str], peer: SocketPeer) -> WireSession | None:
        """Accept `/ws`; the venue greets nobody."""
        return SocketSession(self._shared, peer, self._idle_limit_ms) if path == "/ws" else None


def _response(answer: Answer, delay_ms: int = 0) -> WireResponse:
    return WireResponse(answer.status, answer.body, answer.content_type, delay_ms)
