"""A simulated Lighter with two markets and one funded account, driven by hand in the tests beside it."""

import base64
import json
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import ManualClock, Timer
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.rules import lighter_market, lighter_rules
from perpdesk.sandbox.server import WireRequest, WireSession
from perpdesk.sandbox.wire.lighter import LighterServer

D = Decimal
CASH_USD = D(10_000)
NOW_MS = 1_780_000_200_000
ME = 7
KEY, OTHER_KEY = 4, 5
ADDRESS = "0x" + "Ab" * 20
SIGNATURE = base64.b64encode(bytes(80)).decode()
HOUR_MS = 3_600_000
Json = dict[str, Any]


class CountingClock(ManualClock):
    """Counts how many calls were ever scheduled."""

    scheduled = 0

    def call_later_ms(self, delay: int, call: Callable[[], None]) -> Timer:
        self.scheduled += 1
        return super().call_later_ms(delay, call)


class Ear:
    """A client's end of a socket that keeps what it hears."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.session: WireSession | None = None

    def send(self, frame: bytes) -> None:
        self.raw.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def say(self, **message: Any) -> None:
        assert self.session is not None
        self.session.on_frame(json.dumps(message).encode())

    def subscribe(self, channel: str, auth: str | None = None) -> Json:
        """The frame that answers."""
        self.say(type="subscribe", channel=channel, **({"auth": auth} if auth else {}))
        return self.heard[-1]

    @property
    def heard(self) -> list[Json]:
        return [json.loads(frame) for frame in self.raw]

    def of(self, kind: str) -> list[Json]:
        return [frame for frame in self.heard if frame.get("type") == kind]


class LighterBench:
    """Account 7 with 10,000 USDC; ETH (index 0) quoted 1999.90 / 2000.10, and 1000PEPE (index 4)."""

    def __init__(self, cash_usd: Decimal = CASH_USD, fee_tier: str = "standard", **options: Any) -> None:
        self.clock = CountingClock(NOW_MS)
        markets = [
            lighter_market("ETH", 0, "ETH", 4, 2, D("0.0050"), D(10), 50),
            lighter_market("1000PEPE", 4, "PEPE", 0, 6, D(500), D(10), 10, D(1000)),
        ]
        self.exchange = Exchange(VenueName.LIGHTER, markets, lighter_rules(), self.clock)
        self.exchange.open_account(str(ME), cash_usd, fee_tier)
        self.server = LighterServer(self.exchange, self.clock, random.Random(1), **options)
        self.server.register(ME, {KEY: "ab" * 40, OTHER_KEY: "cd" * 40}, ADDRESS)
        self.nonces = {KEY: 0, OTHER_KEY: 0}
        self.quote("2000.00", [("1999.90", 5), ("1999.50", 9)], [("2000.10", 5), ("2000.60", 9)])
        self.exchange.set_prices("1000PEPE", D("0.007"), [(D("0.006990"), D(90_000))], [(D("0.007010"), D(90_000))])

    def quote(self, index: str, bids: Sequence[tuple[str, object]], asks: Sequence[tuple[str, object]]) -> None:
        """Move ETH."""
        levels = [[(D(price), D(str(size))) for price, size in side] for side in (bids, asks)]
        self.exchange.set_prices("ETH", D(index), levels[0], levels[1])

    def token(self, life_s: int = 600, account: int = ME, key: int = KEY) -> str:
        return f"{self.clock.wall_ms() // 1000 + life_s}:{account}:{key}:{'0f' * 80}"

    # HTTP -----------------------------------------------------------------------------------------------------------

    def fetch(self, path: str, token: str | None = None, **params: object) -> tuple[int, Json]:
        query = tuple((name, str(value)) for name, value in params.items())
        headers = {"authorization": token} if token is not None else {}
        response = self.server.handle(WireRequest("GET", path, query, headers))
        return response.status, json.loads(response.body)

    def get(self, name: str, **params: object) -> Json:
        """A signed read that must succeed."""
        status, body = self.fetch(f"/api/v1/{name}", self.token(), **params)
        assert (status, body["code"]) == (200, 200), body
        return body

    def post(self, name: str, form: dict[str, object]) -> tuple[int, Json]:
        response = self.server.handle(WireRequest("POST", f"/api/v1/{name}", body=urlencode(form).encode()))
        return response.status, json.loads(response.body)

    # Transactions ---------------------------------------------------------------------------------------------------

    def signed(self, key: int = KEY, **fields: object) -> Json:
        return {
            "AccountIndex": ME,
            "ApiKeyIndex": key,
            **{name: value for name, value in fields.items() if name not in SIGNED_LAST},
            "ExpiredAt": fields.get("ExpiredAt", self.clock.wall_ms() + 599_000),
            "Nonce": fields.get("Nonce", self.nonces.get(key, 0)),
            "Sig": fields.get("Sig", SIGNATURE),
            "L2TxAttributes": fields.get("L2TxAttributes"),
        }

    def order_info(self, key: int = KEY, **changes: object) -> Json:
        """A post-only bid of 0.1 ETH at 1990.00 for a day, as changed."""
        fields: Json = {
            "MarketIndex": 0,
            "ClientOrderIndex": 1,
            "BaseAmount": 1000,
            "Price": 199_000,
            "IsAsk": 0,
            "Type": 0,
            "TimeInForce": 2,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.clock.wall_ms() + 24 * HOUR_MS,
        }
        return self.signed(key, **(fields | changes))

    def send(self, tx_type: int, info: Json) -> tuple[int, Json]:
        """Submit; the nonce moves on when it is accepted."""
        status, body = self.post("sendTx", {"tx_type": tx_type, "tx_info": json.dumps(info)})
        if status == 200:
            self.nonces[info["ApiKeyIndex"]] = info["Nonce"] + 1
        return status, body

    def refused(self, tx_type: int, info: Json) -> int:
        """The code of a refusal, which must be an HTTP 400 and consume no nonce."""
        before = self.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"]
        status, body = self.send(tx_type, info)
        assert status == 400, body
        assert self.get("nextNonce", account_index=ME, api_key_index=KEY)["nonce"] == before
        return int(body["code"])

    def place(self, **changes: object) -> Json:
        """Send an order that must be accepted and let it execute; returns the transaction as it ended."""
        status, body = self.send(14, self.order_info(**changes))
        assert status == 200, body
        self.clock.advance_ms(200)
        return self.get("tx", by="hash", value=body["tx_hash"])

    def take(self, client: int, lots: int, is_ask: int = 0, **changes: object) -> Json:
        """An immediate limit order through the book."""
        price = 190_000 if is_ask else 210_000
        fields = {"ClientOrderIndex": client, "BaseAmount": lots, "Price": price, "IsAsk": is_ask}
        return self.place(**fields, TimeInForce=0, OrderExpiry=0, **changes)

    def order_row(self, client: int) -> Json:
        rows = self.get("accountOrders", account_index=ME, client_order_indexes=client)["orders"]
        assert len(rows) == 1, rows
        return rows[0]

    def order_rows(self, client: int) -> list[Json]:
        return self.get("accountOrders", account_index=ME, client_order_indexes=client)["orders"]

    def position(self) -> Json:
        account = self.get("account", by="index", value=ME)["accounts"][0]
        return next(p for p in account["positions"] if p["symbol"] == "ETH")

    # Sockets --------------------------------------------------------------------------------------------------------

    def connect(self, path: str = "/stream") -> Ear:
        ear = Ear()
        ear.session = self.server.open_socket(path, {}, ear)
        assert ear.session is not None
        return ear

    def listen(self, *channels: str) -> Ear:
        """A client subscribed to all of `channels`, with a token, that has forgotten the first frames."""
        ear = self.connect()
        for channel in channels:
            assert ear.subscribe(channel, self.token())["type"] == f"subscribed/{channel.split('/')[0]}"
        ear.raw.clear()
        return ear


SIGNED_LAST = ("ExpiredAt", "Nonce", "Sig", "L2TxAttributes")
