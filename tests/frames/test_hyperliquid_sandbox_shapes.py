"""Every answer of the simulated Hyperliquid against what the real one was recorded to send: same keys, same JSON types.

A shape is learned from all rows of a recording: which keys are always there, which sometimes, and what types their values have.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import yaml
from tests.shared_data import shared_path
from tests.unit.sandbox.hyperliquid_wire_bench import AGENT, ALICE, CLOID, START_MS, Bench, order_action, wire_order

NUMBER = re.compile(r"^-?[0-9]+\.[0-9]+$")


# Shapes -------------------------------------------------------------------------------------------------------------


@dataclass
class Shape:
    """What was seen at one place of a document; `items` is the union over a list's elements."""

    types: set[str] = field(default_factory=set)
    objects: int = 0
    keys: dict[str, "Shape"] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    items: "Shape | None" = None

    def learn(self, value: Any) -> "Shape":
        self.types.add(kind_of(value))
        if isinstance(value, dict):
            self.objects += 1
            for key, inner in value.items():
                self.keys.setdefault(key, Shape()).learn(inner)
                self.seen[key] = self.seen.get(key, 0) + 1
        elif isinstance(value, list):
            self.items = self.items or Shape()
            for inner in value:
                self.items.learn(inner)
        return self

    def faults(self, value: Any, extra: frozenset[str], path: str = "$") -> list[str]:
        """Where `value` differs; `extra` names keys that are documented but newer than the recording."""
        if kind_of(value) not in self.types:
            return [f"{path}: {kind_of(value)}, recorded {sorted(self.types)}"]
        if isinstance(value, dict):
            found = [f"{path}.{key} is not recorded" for key in value if key not in self.keys and key not in extra]
            missing = (key for key in self.keys if self.seen[key] == self.objects and key not in value)
            found += [f"{path}.{key} is missing" for key in missing]
            for key in value.keys() & self.keys.keys():
                found += self.keys[key].faults(value[key], extra, f"{path}.{key}")
            return found
        if isinstance(value, list) and self.items is not None and self.items.types:
            return [fault for n, inner in enumerate(value) for fault in self.items.faults(inner, extra, f"{path}[{n}]")]
        return []


def kind_of(value: Any) -> str:
    """JSON type, with decimal strings apart from other text."""
    if isinstance(value, str):
        return "decimal" if NUMBER.match(value) else "text"
    return {type(None): "null", bool: "bool", int: "integer", float: "float", dict: "object", list: "array"}[
        type(value)
    ]


# Recordings ---------------------------------------------------------------------------------------------------------


def cassette(name: str, type_: str) -> Any:
    """The answer to `type_` in a recording of the official SDK's tests."""
    with shared_path("data", "fixtures_hl_python_sdk", f"{name}.yaml").open() as file:
        for interaction in yaml.safe_load(file)["interactions"]:
            if msgspec.json.decode(interaction["request"]["body"])["type"] == type_:
                return msgspec.json.decode(interaction["response"]["body"]["string"])
    raise AssertionError(f"{name} has no {type_}")


def account_file(name: str) -> Any:
    return msgspec.json.decode(shared_path("data", "hl_api_responses_account_2025_11", name).read_bytes())


def dotnet(name: str) -> Any:
    """A REST sample: three lines of request, then the answer."""
    text = shared_path("data", "fixtures_hl_dotnet", f"{name}.txt").read_text()
    return msgspec.json.decode(text.split("\n", 3)[3].strip())


def dotnet_frame(name: str, marker: str = "=") -> Any:
    """A socket sample: the compared message (=), or what was sent (>) or received (<)."""
    text = shared_path("data", "fixtures_hl_dotnet", f"Subscriptions__{name}.txt").read_text()
    if marker == "=":
        return msgspec.json.decode(text[text.index("\n=") + 2 :].strip())
    (line,) = (line for line in text.splitlines() if line.startswith(marker))
    return msgspec.json.decode(line[1:].strip())


def historical_orders() -> list[Any]:
    """The recording knows only orders without a client id; the same rows of another account have one."""
    open_orders = account_file("frontendOpenOrders.json")
    wrapped = [{"order": row, "status": "open", "statusTimestamp": row["timestamp"]} for row in open_orders]
    return [*cassette("test_historical_orders", "historicalOrders"), *wrapped]


def deposits(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row["delta"]["type"] == "deposit"]


# Our side -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> Bench:
    """An account with a long, a short, a resting order, fills on both sides, funding and a deposit."""
    bench = Bench(weight_per_minute=None)
    bench.move("kPEPE", "0.01", "0.00001", size=1_000_000)
    for n, (asset, is_buy, price) in enumerate(((0, True, "97100"), (1, False, "2990"), (0, False, "96900"))):
        bench.order(wire_order(asset, is_buy, price, "0.1" if n < 2 else "0.05", "Ioc", cloid=f"0x{n + 1:032x}"))
    bench.order(wire_order(0, True, "90000", "0.01", "Alo", cloid=CLOID))
    bench.order(wire_order(0, True, "97000", "0.01", "Ioc", cloid=f"0x{99:032x}"))
    bench.clock.advance_ms(3_600_000)
    bench.exchange.sample_premium("BTC")
    bench.exchange.settle_funding()
    bench.move("BTC", 97_100, 1)
    bench.clock.advance_ms(3_600_000)
    return bench


USER = {"user": ALICE}
SINCE = {"startTime": 0}
CANDLES = {"req": {"coin": "BTC", "interval": "1h", "startTime": 0, "endTime": START_MS + 10**9}}
META_NEW = frozenset(("marginTableId", "marginTables", "collateralToken"))
CONTEXT_NEW = frozenset(("dayBaseVlm", *META_NEW))
ORDER_NEW = frozenset(("origSz", "cloid", "reduceOnly", "children"))
FILL_NEW = frozenset(("cloid", "twapId", "feeToken", "tid"))
FRONTEND_NEW = frozenset(("cloid",))

READS: list[tuple[str, dict[str, Any], Callable[[], Any], frozenset[str]]] = [
    ("clearinghouseState", USER, lambda: account_file("clearinghouseState.json"), frozenset()),
    ("frontendOpenOrders", USER, lambda: account_file("frontendOpenOrders.json"), frozenset()),
    ("userFillsByTime", USER | SINCE, lambda: account_file("userFillsByTime_first60.json"), frozenset()),
    ("userFills", USER, lambda: cassette("test_get_user_fills", "userFills"), FILL_NEW),
    (
        "userFunding",
        USER | SINCE,
        lambda: account_file("userFunding.json") + dotnet("Endpoints__Futures__Account__GetFundingHistory"),
        frozenset(),
    ),
    (
        "userNonFundingLedgerUpdates",
        USER | SINCE,
        lambda: deposits(account_file("userNonFundingLedgerUpdates.json")),
        frozenset(),
    ),
    ("openOrders", USER, lambda: cassette("test_get_open_orders", "openOrders"), ORDER_NEW),
    ("historicalOrders", USER, historical_orders, frozenset()),
    ("portfolio", USER, lambda: cassette("test_portfolio", "portfolio"), frozenset()),
    (
        "userRateLimit",
        USER,
        lambda: cassette("test_user_rate_limit", "userRateLimit"),
        frozenset(("nRequestsSurplus",)),
    ),
    ("userRole", USER, lambda: cassette("test_user_role", "userRole"), frozenset()),
    ("meta", {}, lambda: cassette("test_get_info", "meta"), META_NEW),
    (
        "metaAndAssetCtxs",
        {},
        lambda: dotnet("Endpoints__Futures__ExchangeData__GetExchangeInfoAndTickers"),
        CONTEXT_NEW,
    ),
    ("l2Book", {"coin": "BTC"}, lambda: cassette("test_get_l2_snapshot", "l2Book"), frozenset()),
    ("candleSnapshot", CANDLES, lambda: cassette("test_get_candles_snapshot", "candleSnapshot"), frozenset()),
    (
        "fundingHistory",
        {"coin": "BTC"} | SINCE,
        lambda: cassette("test_get_funding_history[None]", "fundingHistory"),
        frozenset(),
    ),
    ("spotClearinghouseState", USER, lambda: dotnet("Endpoints__Spot__Account__GetBalances"), frozenset()),
    (
        "spotMeta",
        {},
        lambda: dotnet("Endpoints__Spot__ExchangeData__GetExchangeInfo"),
        frozenset(("deployerTradingFeeShare",)),
    ),
    ("recentTrades", {"coin": "BTC"}, lambda: dotnet_frame("Trades")["data"], frozenset()),
]


@pytest.mark.parametrize(("type_", "fields", "recorded", "extra"), READS, ids=[read[0] for read in READS])
def test_a_read_has_the_recorded_shape(
    bench: Bench, type_: str, fields: dict[str, Any], recorded: Callable[[], Any], extra: frozenset[str]
) -> None:
    ours = bench.info(type_, **fields)
    assert ours, "an empty answer proves nothing"
    assert Shape().learn(recorded()).faults(ours, extra) == []


def test_mids_are_a_map_of_decimals(bench: Bench) -> None:
    recorded = list(cassette("test_get_all_mids", "allMids").values())
    assert Shape().learn(recorded).faults(list(bench.info("allMids").values()), frozenset()) == []


def test_agents_differ_from_the_recording_only_in_never_expiring(bench: Bench) -> None:
    shape = Shape().learn(cassette("test_extra_agents", "extraAgents"))
    ours = bench.info("extraAgents", user=ALICE)
    assert [row["address"] for row in ours] == [AGENT]
    assert shape.faults(ours, frozenset()) == ["$[0].validUntil: null, recorded ['integer']"]


def test_actions_answer_like_the_recorded_ones(bench: Bench) -> None:
    placed = bench.act(order_action(wire_order(0, True, "90000", "0.01")))
    assert Shape().learn(dotnet("Endpoints__Spot__Trading__PlaceOrder")).faults(placed, frozenset()) == []
    settings = bench.act({"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 20})
    assert settings == dotnet("Endpoints__Futures__Trading__SetLeverage")


FRAMES: list[tuple[str, dict[str, Any], frozenset[str]]] = [
    ("BookTicker", {"type": "bbo", "coin": "BTC"}, frozenset()),
    ("OrderBook", {"type": "l2Book", "coin": "BTC"}, frozenset()),
    ("Klines", {"type": "candle", "coin": "BTC", "interval": "1d"}, frozenset()),
    ("Trades", {"type": "trades", "coin": "BTC"}, frozenset()),
    ("Order", {"type": "orderUpdates", "user": ALICE}, frozenset(("cloid", "reduceOnly"))),
    ("UserEventTrade", {"type": "userEvents", "user": ALICE}, frozenset(("cloid",))),
]


@pytest.mark.parametrize(("name", "subscription", "extra"), FRAMES, ids=[frame[0] for frame in FRAMES])
def test_a_frame_has_the_recorded_shape(name: str, subscription: dict[str, Any], extra: frozenset[str]) -> None:
    bench = Bench()
    socket = bench.socket()
    socket.subscribe(**subscription)
    bench.order(wire_order(0, True, "97100", "0.01", "Ioc", cloid=CLOID))
    bench.clock.advance_ms(2_000)
    acknowledged, *messages = socket.client.take()
    shape = Shape().learn(dotnet_frame(name))
    assert messages
    assert [fault for message in messages for fault in shape.faults(message, extra)] == []
    newer = frozenset(("fast",))
    assert Shape().learn(dotnet_frame(name, "<")).faults(acknowledged, newer) == []


def test_the_map_of_mids_is_framed_as_recorded() -> None:
    socket = Bench().socket()
    socket.subscribe(type="allMids")
    acknowledged, message = socket.client.take()
    recorded = dotnet_frame("Prices")
    assert acknowledged == dotnet_frame("Prices", "<")
    assert (message["channel"], set(message["data"])) == (recorded["channel"], set(recorded["data"]))


def test_a_shape_tells_a_missing_key_an_unknown_key_and_another_type_apart() -> None:
    shape = Shape().learn([{"px": "1.0", "n": 1}, {"px": "2.0", "n": 2, "cloid": None}])
    assert shape.faults([{"px": "1.5", "n": 3}], frozenset()) == []
    assert shape.faults([{"px": 1.5, "oid": 3}], frozenset()) == [
        "$[0].oid is not recorded",
        "$[0].n is missing",
        "$[0].px: float, recorded ['decimal']",
    ]
