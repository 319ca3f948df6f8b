"""The simulated Hyperliquid with two funded wallets and a moved-by-hand clock, and helpers that speak its wire."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import TimeInForce
from perpdesk.sandbox.exchange import Exchange, ListedMarket, NewOrder, SimOrder
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules
from perpdesk.sandbox.server import WireRequest, WireResponse
from perpdesk.sandbox.wire.hyperliquid import DeterministicVerifier, HyperliquidServer
from perpdesk.sandbox.wire.hyperliquid.signatures import cheap_digest

D = Decimal
START_MS = 1_760_000_000_000
ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20
AGENT = "0x" + "a9" * 20
STRANGER = "0x" + "57" * 20
CLOID = "0x" + "0c" * 16

MARKETS = (
    hyperliquid_market("BTC", 0, "BTC", 5, 40),
    hyperliquid_market("ETH", 1, "ETH", 4, 25),
    hyperliquid_market("kPEPE", 2, "PEPE", 0, 10, D(1000)),
)


class Client:
    """The client's end of a socket: keeps what it was sent, decoded."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def send(self, frame: bytes) -> None:
        self.raw.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def take(self, channel: str | None = None) -> list[Any]:
        """Messages since the last call, of one channel (only their data) or all."""
        frames, self.raw = [msgspec.json.decode(raw) for raw in self.raw], []
        return frames if channel is None else [f["data"] for f in frames if f["channel"] == channel]


class Socket:
    """An open session with its client."""

    def __init__(self, server: HyperliquidServer) -> None:
        self.client = Client()
        session = server.open_socket("/ws", {}, self.client)
        assert session is not None
        self.session = session

    def say(self, message: Any) -> None:
        self.session.on_frame(msgspec.json.encode(message))

    def subscribe(self, **subscription: Any) -> None:
        self.say({"method": "subscribe", "subscription": subscription})


class Bench:
    """One venue, ALICE and BOB with 10000 USD each; AGENT signs for ALICE."""

    def __init__(self, markets: Sequence[ListedMarket] = MARKETS, cash_usd: int = 10_000, **options: Any) -> None:
        self.clock = ManualClock(START_MS)
        self.exchange = Exchange(VenueName.HYPERLIQUID, markets, hyperliquid_rules(), self.clock)
        self.exchange.open_account(ALICE, D(cash_usd))
        self.exchange.open_account(BOB, D(cash_usd))
        options.setdefault("verifier", DeterministicVerifier())
        self.server = HyperliquidServer(self.exchange, self.clock, random.Random(7), **options)
        self.server.register(ALICE, [AGENT])
        self.server.register(BOB)
        self.move("BTC", 97_000, 1)
        self.move("ETH", 3_000, D("0.5"))
        self._nonce = START_MS

    def move(self, symbol: str, mid: Any, half_spread: Any, size: Any = 5, levels: int = 10) -> None:
        """Lay a ladder around `mid`, levels two half spreads apart."""
        mid, half = D(mid), D(half_spread)
        bids = [(mid - half * (1 + 2 * n), D(size)) for n in range(levels)]
        asks = [(mid + half * (1 + 2 * n), D(size)) for n in range(levels)]
        self.exchange.set_prices(symbol, mid, bids, asks)

    def rest(self, account_id: str, symbol: str, side: Side, size: str, price: str) -> SimOrder:
        """Put an order on the book without the wire."""
        new = NewOrder(account_id, symbol, side, D(size), D(price), TimeInForce.GTC)
        return self.exchange.submit(new)

    # Wire ------------------------------------------------------------------------------------------------------------

    def post(self, path: str, body: Any) -> WireResponse:
        return self.server.handle(WireRequest("POST", path, body=msgspec.json.encode(body)))

    def info(self, type_: str, **fields: Any) -> Any:
        response = self.post("/info", {"type": type_, **fields})
        assert response.status == 200, response
        return msgspec.json.decode(response.body)

    def next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce

    def envelope(
        self,
        action: Any,
        signer: str = ALICE,
        nonce: int | None = None,
        vault: str | None = None,
        expires: int | None = None,
    ) -> dict[str, Any]:
        nonce = self.next_nonce() if nonce is None else nonce
        digest = cheap_digest(action, nonce, vault, expires)
        signature = {"r": hex(int(signer, 16)), "s": "0x" + digest.hex(), "v": 27}
        body = {"action": action, "nonce": nonce, "signature": signature}
        return {**body, "vaultAddress": vault, "expiresAfter": expires}

    def act(self, action: Any, signer: str = ALICE, **envelope: Any) -> Any:
        response = self.post("/exchange", self.envelope(action, signer, **envelope))
        assert response.status == 200, response
        return msgspec.json.decode(response.body)

    def statuses(self, action: Any, signer: str = ALICE) -> list[Any]:
        answer = self.act(action, signer)
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    def order(self, *orders: dict[str, Any], signer: str = ALICE) -> Any:
        """Place a batch; the single status of a single order."""
        statuses = self.statuses(order_action(*orders), signer)
        return statuses[0] if len(orders) == 1 else statuses

    def socket(self) -> Socket:
        return Socket(self.server)


def wire_order(
    asset: int,
    is_buy: bool,
    price: str,
    size: str,
    tif: str = "Gtc",
    reduce_only: bool = False,
    cloid: str | None = None,
) -> dict[str, Any]:
    """An order in the SDK's key order."""
    order = {"a": asset, "b": is_buy, "p": price, "s": size, "r": reduce_only, "t": {"limit": {"tif": tif}}}
    return order if cloid is None else {**order, "c": cloid}


def order_action(*orders: dict[str, Any]) -> dict[str, Any]:
    return {"type": "order", "orders": list(orders), "grouping": "na"}
