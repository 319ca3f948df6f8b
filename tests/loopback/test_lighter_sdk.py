"""The venue's official SDK, with its native signer, against the simulated Lighter over real sockets.

The simulated venue's delays are zero here, so what is sent has executed one turn of the loop later.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import SystemClock
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.loopback import Endpoint, serve
from perpdesk.sandbox.rules import lighter_market, lighter_rules
from perpdesk.sandbox.wire.lighter import LighterServer

lighter = pytest.importorskip("lighter", reason="needs the extra 'lighter' (lighter-sdk)")

D = Decimal
ME = 7
KEY = 4
TURNS_MAX = 2_000


@dataclass
class Desk:
    """A served venue, the account's signing client, and the SDK's REST client."""

    exchange: Exchange
    endpoint: Endpoint
    signer: Any
    client: Any

    def token(self) -> str:
        token, error = self.signer.create_auth_token_with_expiry(600, api_key_index=KEY)
        assert error is None
        return str(token)

    @property
    def orders(self) -> Any:
        return lighter.OrderApi(self.client)

    async def order(self, client_index: int) -> Any:
        """The order's row once it is there."""

        async def look() -> Any:
            found = await self.orders.account_orders(
                authorization=self.token(), account_index=ME, client_order_indexes=str(client_index)
            )
            return found.orders[0] if found.orders else None

        return await until(look)

    async def active(self) -> Any:
        return (
            await self.orders.account_active_orders(account_index=ME, market_id=0, authorization=self.token())
        ).orders


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, asked again until it finds something; each try is a round trip, so no waiting is needed."""
    for _ in range(TURNS_MAX):
        if found := await look():
            return found
    raise AssertionError("it never came")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    private_key, public_key, error = lighter.create_api_key()
    assert error is None
    clock = SystemClock()
    market = lighter_market("ETH", 0, "ETH", 4, 2, D("0.0050"), D(10), 50)
    exchange = Exchange(VenueName.LIGHTER, [market], lighter_rules(), clock)
    exchange.open_account(str(ME), D(10_000), "premium")
    exchange.set_prices("ETH", D(2000), [(D("1999.90"), D(5))], [(D("2000.10"), D(5))])
    server = LighterServer(exchange, clock, random.Random(1), tier_delay_ms=0, maker_delay_ms=0, cancel_delay_ms=0)
    server.register(ME, {KEY: public_key}, "0x" + "ab" * 20)
    async with serve(server, host="127.0.0.1", port=0) as endpoint:
        signer = lighter.SignerClient(endpoint.http_url, ME, {KEY: private_key})
        client = lighter.ApiClient(configuration=lighter.Configuration(host=endpoint.http_url))
        try:
            yield Desk(exchange, endpoint, signer, client)
        finally:
            await signer.close()
            await client.close()


def resting(**changes: Any) -> dict[str, Any]:
    """A post-only bid of 0.1 ETH at 1990.00."""
    return {
        "market_index": 0,
        "client_order_index": 11,
        "base_amount": 1_000,
        "price": 199_000,
        "is_ask": False,
        "order_type": lighter.SignerClient.ORDER_TYPE_LIMIT,
        "time_in_force": lighter.SignerClient.ORDER_TIME_IN_FORCE_POST_ONLY,
    } | changes


# Signing client -------------------------------------------------------------------------------------------------------


async def test_check_client_finds_the_registered_key(desk: Desk) -> None:
    assert await asyncio.to_thread(desk.signer.check_client) is None


async def test_an_order_is_signed_queued_and_rests_and_is_cancelled(desk: Desk) -> None:
    _, answer, error = await desk.signer.create_order(**resting())
    assert (error, answer.code, len(answer.tx_hash)) == (None, 200, 80)
    row = await desk.order(11)
    assert (row.status, row.price, row.initial_base_amount, row.is_ask) == ("open", "1990.00", "0.1000", False)
    assert [order.client_order_index for order in await desk.active()] == [11]
    _, answer, error = await desk.signer.cancel_order(0, 11)
    assert (error, answer.code) == (None, 200)

    async def cancelled() -> bool:
        return bool((await desk.order(11)).status == "canceled")

    assert await until(cancelled)


async def test_a_market_order_fills_and_moves_the_position(desk: Desk) -> None:
    _, _, error = await desk.signer.create_market_order(0, 12, 1_000, 201_000, False)
    assert error is None
    row = await desk.order(12)
    assert (row.type, row.status, row.filled_base_amount) == ("market", "filled", "0.1000")
    account = (await lighter.AccountApi(desk.client).account(by="index", value=str(ME))).accounts[0]
    assert (account.positions[0].position, account.positions[0].sign) == ("0.1000", 1)
    found = await desk.orders.trades("timestamp", 10, account_index=ME, authorization=desk.token())
    assert (found.trades[0].bid_client_id, found.trades[0].taker_fee, found.trades[0].is_maker_ask) == (12, 280, True)


async def test_an_immediate_limit_order_carries_no_expiry(desk: Desk) -> None:
    tif = lighter.SignerClient.ORDER_TIME_IN_FORCE_IMMEDIATE_OR_CANCEL
    order = resting(client_order_index=13, price=201_000, time_in_force=tif, order_expiry=0)
    assert (await desk.signer.create_order(**order))[2] is None
    assert (await desk.order(13)).status == "filled"


async def test_leverage_is_updated(desk: Desk) -> None:
    _, answer, error = await desk.signer.update_leverage(0, lighter.SignerClient.CROSS_MARGIN_MODE, 5)
    assert (error, answer.code) == (None, 200)

    async def shown() -> bool:
        account = (await lighter.AccountApi(desk.client).account(by="index", value=str(ME))).accounts[0]
        return bool(account.positions and account.positions[0].initial_margin_fraction == "20.00")

    assert await until(shown)


async def test_an_order_is_modified_and_everything_is_cancelled(desk: Desk) -> None:
    await desk.signer.create_order(**resting())
    await desk.order(11)
    assert (await desk.signer.modify_order(0, 11, 900, 198_000, 0))[2] is None

    async def modified() -> bool:
        return bool((await desk.order(11)).price == "1980.00")

    assert await until(modified)
    now = lighter.SignerClient.CANCEL_ALL_TIF_IMMEDIATE
    assert (await desk.signer.cancel_all_orders(now, 0))[2] is None

    async def nothing_left() -> bool:
        return not await desk.active()

    assert await until(nothing_left)


async def test_refusals_reach_the_caller_with_their_code_and_the_nonce_stays_usable(desk: Desk) -> None:
    _, answer, error = await desk.signer.create_order(**resting(base_amount=40))
    assert answer is None
    assert "code=21706" in error
    _, _, error = await desk.signer.cancel_order(0, 999)
    assert "code=21600" in error
    assert (await desk.signer.create_order(**resting()))[2] is None
    assert "code=21728" in (await desk.signer.create_order(**resting()))[2]
    assert (await desk.order(11)).status == "open"


async def test_a_lost_nonce_is_refused_once_and_healed_by_the_sdk(desk: Desk) -> None:
    await desk.signer.create_order(**resting())
    desk.signer.nonce_manager.nonce[KEY] += 3
    assert "invalid nonce" in (await desk.signer.create_order(**resting(client_order_index=14)))[2]
    assert (await desk.signer.create_order(**resting(client_order_index=14)))[2] is None


async def test_orders_sent_together_all_arrive_in_nonce_order(desk: Desk) -> None:
    sends = [desk.signer.create_order(**resting(client_order_index=20 + n)) for n in range(5)]
    assert [error for _, _, error in await asyncio.gather(*sends)] == [None] * 5
    next_nonce = await lighter.TransactionApi(desk.client).next_nonce(ME, KEY)
    assert next_nonce.nonce == 5
    await desk.order(24)
    assert [order.client_order_index for order in await desk.active()] == [20, 21, 22, 23, 24]


async def test_a_signed_batch_is_accepted_with_a_hash_each(desk: Desk) -> None:
    types, infos = [], []
    for n in range(2):
        key, nonce = await desk.signer.nonce_manager.async_next_nonce(KEY)
        tx_type, info, _, error = desk.signer.sign_create_order(
            **resting(client_order_index=30 + n), nonce=nonce, api_key_index=key
        )
        assert error is None
        types.append(tx_type)
        infos.append(info)
    answer = await desk.signer.send_tx_batch(types, infos)
    assert (answer.code, len(answer.tx_hash)) == (200, 2)
    assert (await desk.order(31)).status == "open"


async def test_a_token_that_lives_too_long_is_refused(desk: Desk) -> None:
    token, error = desk.signer.create_auth_token_with_expiry(9 * 3600, api_key_index=KEY)
    assert error is None
    with pytest.raises(lighter.exceptions.UnauthorizedException, match="20013"):
        await lighter.AccountApi(desk.client).account_limits(ME, authorization=token)


# REST models ----------------------------------------------------------------------------------------------------------


async def test_the_sdks_models_read_every_market_answer(desk: Desk) -> None:
    orders, candles = desk.orders, lighter.CandlestickApi(desk.client)
    details = (await orders.order_book_details(market_id=0)).order_book_details[0]
    assert (details.symbol, details.price_decimals, details.size_decimals) == ("ETH", 2, 4)
    assert (await orders.order_books()).order_books[0].min_base_amount == "0.0050"
    book = await orders.order_book_orders(0, 5)
    assert (book.bids[0].price, book.asks[0].remaining_base_amount) == ("1999.90", "5.0000")
    assert (await orders.recent_trades(0, 10)).trades == []
    assert (await orders.exchange_stats()).total == 1
    assert (await candles.candles(0, "1m", 0, 4_000_000_000_000, 10)).code == 200
    assert (await lighter.FundingApi(desk.client).funding_rates()).funding_rates[0].rate == 0.000096
    desk.exchange.settle_funding()
    assert (await candles.fundings(0, "1h", 0, 4_000_000_000_000, 10)).fundings[0].rate == "0.0012"
    assert (await lighter.RootApi(desk.client).status()).network_id == 304
    assert (await lighter.RootApi(desk.client).info()).contract_address.startswith("0x")


async def test_the_sdks_models_read_every_account_answer(desk: Desk) -> None:
    accounts, token = lighter.AccountApi(desk.client), desk.token()
    await desk.signer.create_market_order(0, 12, 1_000, 201_000, False)
    await desk.order(12)
    desk.exchange.settle_funding()
    assert (await accounts.accounts_by_l1_address("0x" + "ab" * 20)).sub_accounts[0].index == ME
    assert (await accounts.account_limits(ME, authorization=token)).current_taker_fee_tick == 280
    assert (await accounts.apikeys(ME, api_key_index=255)).api_keys[0].api_key_index == KEY
    paid = await accounts.position_funding(ME, 10, authorization=token)
    assert (paid.position_fundings[0].position_side, paid.position_fundings[0].rate) == ("long", "0.0012")
    ended = await desk.orders.account_inactive_orders(account_index=ME, limit=10, authorization=token)
    assert ended.orders[0].client_order_index == 12
    tx = await lighter.TransactionApi(desk.client).tx(by="sequence_index", value="1")
    assert (tx.status, tx.nonce) == (2, 0)


async def test_an_unknown_account_raises_a_bad_request(desk: Desk) -> None:
    with pytest.raises(lighter.exceptions.BadRequestException, match="21100"):
        await lighter.AccountApi(desk.client).account(by="index", value="99")


# Stream ---------------------------------------------------------------------------------------------------------------


async def test_private_frames_arrive_over_a_real_socket_with_the_sdks_token(desk: Desk) -> None:
    async with connect(desk.endpoint.ws_url + "/stream") as socket:
        assert json.loads(await socket.recv())["type"] == "connected"
        channel = f"account_all_orders/{ME}"
        await socket.send(json.dumps({"type": "subscribe", "channel": channel, "auth": desk.token()}))
        assert json.loads(await socket.recv())["type"] == "subscribed/account_all_orders"
        await desk.signer.create_order(**resting())
        frame = json.loads(await socket.recv())
        assert frame["orders"]["0"][0]["client_order_index"] == 11


async def test_the_sdks_socket_client_subscribes_and_follows(desk: Desk) -> None:
    books: asyncio.Queue[Any] = asyncio.Queue()
    client = lighter.WsClient(
        ws_url=desk.endpoint.ws_url + "/stream",
        order_book_ids=[0],
        account_ids=[ME],
        on_order_book_update=lambda market, book: books.put_nowait((market, json.loads(json.dumps(book)))),
        on_account_update=lambda account, state: books.put_nowait((account, state)),
    )
    running = asyncio.create_task(client.run_async())
    try:
        assert (await books.get())[1]["bids"] == [{"price": "1999.90", "size": "5.0000"}]
        assert (await books.get())[1]["type"] == "subscribed/account_all"
        desk.exchange.set_prices("ETH", D(2000), [(D("1999.90"), D(6))], [(D("2000.10"), D(5))])
        assert (await books.get())[1]["bids"] == [{"price": "1999.90", "size": "6.0000"}]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
