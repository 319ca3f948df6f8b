"""A scripted Lighter for tests: answers by path, sockets moved by hand, and the venue's sample rows."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import LoopClock
from perpdesk.domain.markets import Market
from perpdesk.domain.orders import OrderIntent, TimeInForce
from perpdesk.sandbox.virtual_time import run_virtual
from perpdesk.venues.base import VenueEvent
from perpdesk.venues.lighter.client import LighterVenue
from perpdesk.venues.lighter.frames import parse_markets
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.lighter.signing import SimulatedSigner
from perpdesk.venues.transport.ports import HttpResponse, ResponseLost, SocketUnavailable

T = TypeVar("T")
EPOCH_MS = 1_795_314_000_000
REST_URL = "http://lighter.test"
WS_URL = "ws://lighter.test/stream"
SETTINGS = LighterSettings(REST_URL, WS_URL, account_index=7, api_key_index=4)
D = Decimal


def market_row(market_id: int, symbol: str, **changes: object) -> dict[str, object]:
    """A row of orderBookDetails: the venue's real ETH row, shortened."""
    return {
        "symbol": symbol,
        "market_id": market_id,
        "market_type": "perp",
        "status": "active",
        "min_base_amount": "0.0050",
        "min_quote_amount": "10.000000",
        "size_decimals": 4,
        "price_decimals": 2,
        "min_initial_margin_fraction": 200,
        "maintenance_margin_fraction": 120,
        "last_trade_price": 2361.31,
        "market_config": {"market_margin_mode": 0, "force_reduce_only": False, "hidden": False},
        **changes,
    }


PEPE_ROW = market_row(4, "1000PEPE", size_decimals=0, price_decimals=6, min_base_amount="500")
DETAILS = {
    "code": 200,
    "order_book_details": [market_row(0, "ETH"), market_row(1, "BTC"), PEPE_ROW],
    "spot_order_book_details": [],
}


def markets() -> dict[str, Market]:
    return parse_markets(json.dumps(DETAILS).encode())


def by_index() -> dict[int, Market]:
    return {m.venue_index: m for m in markets().values()}


def order_row(client_id: int, status: str = "open", filled: str = "0.0000", **changes: object) -> dict[str, object]:
    """An order row in the venue's shape; filled at 2352.74."""
    quote = D(filled) * D("2352.74")
    return {
        "order_index": 281476929510110,
        "client_order_index": client_id,
        "market_index": 0,
        "initial_base_amount": "0.0050",
        "filled_base_amount": filled,
        "filled_quote_amount": str(quote),
        "is_ask": True,
        "side": "sell",
        "status": status,
        "timestamp": EPOCH_MS,
        **changes,
    }


def trade_row(trade_id: int, **changes: object) -> dict[str, object]:
    """A trade in which account 7 sold as maker of client order 42."""
    return {
        "trade_id": trade_id,
        "type": "trade",
        "market_id": 0,
        "size": "0.5000",
        "price": "2000.00",
        "usd_amount": "1000.000000",
        "ask_id": 1,
        "bid_id": 2,
        "ask_client_id": 42,
        "bid_client_id": 0,
        "ask_account_id": 7,
        "bid_account_id": 8,
        "is_maker_ask": True,
        "taker_fee": 196,
        "maker_fee": 28,
        "timestamp": EPOCH_MS,
        **changes,
    }


def order(client_id: int = 42, **changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "client_id": client_id,
        "venue": VenueName.LIGHTER,
        "asset": "ETH",
        "side": Side.SELL,
        "size": D("0.57"),
        "limit_price": D("2352.74"),
        "time_in_force": TimeInForce.IOC,
        "is_reduce_only": False,
        "expires_at_ms": EPOCH_MS + 3_600_000,
    }
    return OrderIntent(**fields | changes)


class Request:
    """One request as the fake received it."""

    def __init__(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None) -> None:
        parts = urlsplit(url)
        self.method = method
        self.path = parts.path.removeprefix("/api/v1/")
        self.query = dict(parse_qsl(parts.query))
        self.form = dict(parse_qsl((body or b"").decode()))
        self.headers = dict(headers or {})

    @property
    def tx(self) -> dict[str, Any]:
        return json.loads(self.form["tx_info"])


Answer = object
"""A dict (200), (status, dict or bytes), an exception to raise, or a function of the request that gives one of these."""


class FakeHttp:
    """Answers by path: each path has a queue of answers whose last one repeats."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {
            "orderBookDetails": [DETAILS],
            "nextNonce": [{"code": 200, "nonce": 100}],
        }
        self.requests: list[Request] = []

    def script(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def sent(self, path: str = "sendTx") -> list[Request]:
        return [r for r in self.requests if r.path == path]

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        request = Request(method, url, body, headers)
        self.requests.append(request)
        await asyncio.sleep(0.01)
        queue = self.answers.get(request.path, [(404, b"404 page not found")])
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if callable(answer) and not isinstance(answer, type):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        return HttpResponse(status, content if isinstance(content, bytes) else json.dumps(content).encode())

    async def close(self) -> None: ...


class FakeSocket:
    """One open socket; the test pushes what the venue would say."""

    def __init__(self, on_frame: Callable[[bytes], None], on_closed: Callable[[str], None]) -> None:
        self._on_frame, self._on_closed = on_frame, on_closed
        self.sent: list[dict[str, Any]] = []
        self.is_closed = False

    def send(self, data: bytes) -> None:
        if not self.is_closed:
            self.sent.append(json.loads(data))

    def close(self) -> None:
        self.drop("1000 closed by the client")

    def drop(self, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._on_closed(reason)

    def push(self, frame: object) -> None:
        self._on_frame(frame if isinstance(frame, bytes) else json.dumps(frame).encode())

    def subscribed(self) -> list[str]:
        return [f["channel"] for f in self.sent if f["type"] == "subscribe"]


class FakeSockets:
    """Opens sockets, or refuses as long as `refusals` says."""

    def __init__(self) -> None:
        self.opened: list[FakeSocket] = []
        self.refusals = 0

    async def connect(
        self,
        url: str,
        on_frame: Callable[[bytes], None],
        on_closed: Callable[[str], None],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> FakeSocket:
        await asyncio.sleep(0.01)
        if self.refusals:
            self.refusals -= 1
            raise SocketUnavailable("connection refused")
        self.opened.append(FakeSocket(on_frame, on_closed))
        return self.opened[-1]


class Bench:
    """A connector between fakes, on virtual time."""

    def __init__(self, settings: LighterSettings = SETTINGS, is_read_only: bool = False) -> None:
        self.clock = LoopClock(EPOCH_MS)
        self.http = FakeHttp()
        self.sockets = FakeSockets()
        self.events: list[VenueEvent] = []
        signer = None if is_read_only else SimulatedSigner(7, 4, self.clock)
        self.venue = LighterVenue(self.http, self.sockets, self.clock, random.Random(1), settings, signer)

    @property
    def socket(self) -> FakeSocket:
        return self.sockets.opened[-1]

    def seen(self, kind: type) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]

    async def start(self, assets: frozenset[str] = frozenset({"ETH"})) -> None:
        """Start and greet."""
        await self.venue.start(self.events.append, assets)
        await self.clock.sleep_ms(100)
        self.socket.push({"session_id": "x", "type": "connected"})


def on_bench(test: Callable[[Bench], Coroutine[Any, Any, T]], **options: Any) -> T:
    """Run `test` in virtual time and stop its connector."""

    async def main() -> T:
        bench = Bench(**options)
        try:
            return await test(bench)
        finally:
            await bench.venue.stop()

    return run_virtual(main())


def accepted(request: Request) -> Answer:
    """sendTx answers as the venue does when it queued the transaction."""
    return {
        "code": 200,
        "message": '{"ratelimit": "didn\'t use volume quota"}',
        "tx_hash": f"{request.tx['Nonce']:080x}",
    }


class Ledger:
    """sendTx and nextNonce that keep the key's nonce as the venue does."""

    def __init__(self, http: FakeHttp, nonce: int = 100) -> None:
        self.nonce = nonce
        self.taken: list[dict[str, Any]] = []
        self.late: list[Request] = []
        http.script("sendTx", self.send)
        http.script("nextNonce", lambda _: {"code": 200, "nonce": self.nonce})

    def send(self, request: Request) -> Answer:
        if request.tx["Nonce"] != self.nonce:
            return 400, {"code": 21104, "message": "invalid nonce"}
        self.nonce += 1
        self.taken.append(request.tx)
        return accepted(request)

    def send_then_lose(self, request: Request) -> Answer:
        """Takes effect; the answer never arrives."""
        self.send(request)
        return ResponseLost("timed out")

    def delay(self, request: Request) -> Answer:
        """Still on its way when the client gives up; arrives with `deliver_late`."""
        self.late.append(request)
        return ResponseLost("timed out")

    def deliver_late(self) -> list[Answer]:
        late, self.late = self.late, []
        return [self.send(request) for request in late]
