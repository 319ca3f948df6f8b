"""The official Python SDK drives the simulated Hyperliquid over real HTTP and a real WebSocket.

The SDK blocks, so it runs in a thread beside the loop that serves the venue. Keys are throwaways made here.
"""

import asyncio
import queue
import random
from decimal import Decimal
from typing import Any

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import SystemClock
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.loopback import serve
from perpdesk.sandbox.rules import hyperliquid_market, hyperliquid_rules
from perpdesk.sandbox.wire.hyperliquid import HyperliquidServer

pytest.importorskip("hyperliquid")

D = Decimal
OWNER_KEY = "0x" + "11" * 32
AGENT_KEY = "0x" + "22" * 32


class Desk:
    """A served venue and what the SDK needs to reach it."""

    def __init__(self) -> None:
        from eth_account import Account

        self.clock = SystemClock()
        self.owner = Account.from_key(OWNER_KEY)
        self.agent = Account.from_key(AGENT_KEY)
        markets = [hyperliquid_market("BTC", 0, "BTC", 5, 40), hyperliquid_market("ETH", 1, "ETH", 4, 25)]
        self.exchange = Exchange(VenueName.HYPERLIQUID, markets, hyperliquid_rules(), self.clock)
        self.exchange.open_account(self.owner.address.lower(), D(10_000))
        self.server = HyperliquidServer(
            self.exchange, self.clock, random.Random(1), action_delay_ms=0, book_every_ms=50
        )
        self.server.register(self.owner.address, [self.agent.address])
        self.move(D(97_000))

    def move(self, mid: Decimal) -> None:
        bids = [(mid - 1 - n, D(1)) for n in range(20)]
        asks = [(mid + 1 + n, D(1)) for n in range(20)]
        self.exchange.set_prices("BTC", mid, bids, asks)


async def test_the_sdk_reads_trades_and_closes() -> None:
    desk = Desk()
    async with serve(desk.server) as endpoint:
        await asyncio.to_thread(_trade, desk, endpoint.http_url)


def _trade(desk: Desk, url: str) -> None:
    from hyperliquid.exchange import Exchange as SdkExchange
    from hyperliquid.info import Info

    address = desk.owner.address
    info = Info(url, skip_ws=True)
    sdk = SdkExchange(desk.owner, url)

    assert [row["name"] for row in info.meta()["universe"]] == ["BTC", "ETH"]
    assert info.user_state(address)["marginSummary"]["accountValue"] == "10000.0"

    placed = sdk.order("BTC", True, 0.001, 90_000, {"limit": {"tif": "Gtc"}})
    oid = placed["response"]["data"]["statuses"][0]["resting"]["oid"]
    assert [row["oid"] for row in info.open_orders(address)] == [oid]
    assert info.query_order_by_oid(address, oid)["order"]["status"] == "open"
    assert sdk.cancel("BTC", oid)["response"]["data"]["statuses"] == ["success"]
    assert info.open_orders(address) == []

    opened = sdk.market_open("BTC", True, 0.01)
    assert opened["response"]["data"]["statuses"][0]["filled"]["totalSz"] == "0.01"
    (row,) = info.user_state(address)["assetPositions"]
    assert row["position"]["szi"] == "0.01"

    closed = sdk.market_close("BTC")
    assert closed["response"]["data"]["statuses"][0]["filled"]["avgPx"] == "96999.0"
    assert info.user_state(address)["assetPositions"] == []
    assert [fill["dir"] for fill in info.user_fills(address)] == ["Close Long", "Open Long"]


async def test_an_agent_of_the_sdk_signs_for_its_owner_with_a_deadline() -> None:
    desk = Desk()
    async with serve(desk.server) as endpoint:
        await asyncio.to_thread(_trade_as_agent, desk, endpoint.http_url)


def _trade_as_agent(desk: Desk, url: str) -> None:
    from eth_account import Account
    from hyperliquid.exchange import Exchange as SdkExchange
    from hyperliquid.utils.types import Cloid

    sdk = SdkExchange(desk.agent, url, account_address=desk.owner.address)
    sdk.set_expires_after(desk.clock.wall_ms() + 60_000)
    cloid = Cloid.from_int(7)
    placed = sdk.order("BTC", False, 0.001, 99_000, {"limit": {"tif": "Alo"}}, cloid=cloid)
    assert placed["response"]["data"]["statuses"][0]["resting"]["cloid"] == cloid.to_raw()
    modified = sdk.modify_order(cloid, "BTC", False, 0.002, 99_001, {"limit": {"tif": "Alo"}})
    assert "resting" in modified["response"]["data"]["statuses"][0]
    (row,) = sdk.info.frontend_open_orders(desk.owner.address)
    assert (row["limitPx"], row["sz"]) == ("99001.0", "0.002")
    assert sdk.update_leverage(5, "BTC") == {"status": "ok", "response": {"type": "default"}}
    assert sdk.noop(desk.clock.wall_ms())["status"] == "ok"

    stranger = SdkExchange(Account.from_key("0x" + "33" * 32), url)
    answer = stranger.order("BTC", True, 0.001, 90_000, {"limit": {"tif": "Gtc"}})
    assert answer == {
        "status": "err",
        "response": f"User or API Wallet {stranger.wallet.address.lower()} does not exist.",
    }


async def test_the_sdk_hears_trades_books_and_its_own_fills() -> None:
    desk = Desk()
    async with serve(desk.server) as endpoint:
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heard = asyncio.create_task(asyncio.to_thread(_listen, desk, endpoint.http_url, listening))
        await asyncio.wait_for(listening, 5)
        desk.move(D(97_010))
        desk.exchange.take_ambient("BTC", Side.BUY, D("0.5"), D(97_020))
        await asyncio.wait_for(heard, 10)


def _listen(desk: Desk, url: str, listening: "asyncio.Future[None]") -> None:
    from hyperliquid.info import Info

    info = Info(url)
    messages: queue.Queue[Any] = queue.Queue()
    try:
        info.subscribe({"type": "trades", "coin": "BTC"}, messages.put)
        info.subscribe({"type": "l2Book", "coin": "BTC"}, messages.put)
        info.subscribe({"type": "userFills", "user": desk.owner.address}, messages.put)
        first = {messages.get(timeout=5)["channel"] for _ in range(2)}  # the empty backfill of trades is not dispatched
        assert first == {"l2Book", "userFills"}
        listening.get_loop().call_soon_threadsafe(listening.set_result, None)
        seen: dict[str, Any] = {}
        while not {"trades", "l2Book"} <= seen.keys():
            message = messages.get(timeout=5)
            seen[message["channel"]] = message["data"]
        assert (seen["trades"][0]["px"], seen["trades"][0]["side"]) == ("97011.0", "B")
        assert seen["l2Book"]["levels"][0][0]["px"] == "97009.0"
    finally:
        info.disconnect_websocket()
