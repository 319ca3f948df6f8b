"""Money of a dry run: cash, positions, funding, liquidation, restart."""

from decimal import Decimal

import pytest
from tests.unit.venues.paper_fakes import CASH, FEES, HOUR_MS, NOW_MS, SETTINGS, VENUE, PaperTable, market

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderStatus, TimeInForce
from perpdesk.venues.base import (
    FundingChanged,
    OrderRejected,
    PrivateFeedLost,
    PrivateFeedRestored,
    RequestRefused,
)
from perpdesk.venues.paper import PaperSettings

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
TO_BOUNDARY_MS = HOUR_MS - NOW_MS % HOUR_MS


async def long(size: str = "2") -> PaperTable:
    """Bought at 100, spread 99 to 100."""
    t = await PaperTable().open()
    t.book([(99.0, 50.0)], [(100.0, 50.0)])
    await t.send(t.intent(BUY, size, "100"))
    return t


async def test_equity_is_cash_less_fees_and_spread() -> None:
    t = await long("2")
    account = await t.venue.fetch_account()
    assert account.equity_usd == CASH - 200 * FEES.taker - 2 * D("0.5")
    assert account.cash_usd == CASH - 200 * FEES.taker
    assert account.available_usd == account.equity_usd - 2 * D("99.5") / 10


async def test_a_mark_price_values_positions_before_the_mid() -> None:
    t = await long("2")
    t.funding("0", 110.0)
    position = (await t.venue.fetch_account()).positions["ETH"]
    assert (position.mark_price, position.unrealised_usd) == (D("110.0"), D(20))


async def test_an_old_mark_price_gives_way_to_a_live_mid() -> None:
    t = await long("2")
    t.funding("0", 110.0)
    t.clock.advance_ms(60_001)
    t.book([(99.0, 50.0)], [(100.0, 50.0)])
    assert (await t.venue.fetch_account()).positions["ETH"].mark_price == D("99.5")


async def test_a_position_without_any_price_counts_at_its_entry() -> None:
    t = await long("2")
    t.lose()
    account = await t.venue.fetch_account()
    assert account.positions["ETH"].mark_price is None
    assert account.equity_usd == CASH - 200 * FEES.taker


async def test_a_round_trip_leaves_exactly_its_price_difference_and_fees() -> None:
    t = await long("2")
    await t.send(t.intent(SELL, "2", "99"))
    account = await t.venue.fetch_account()
    assert account.equity_usd == CASH - 2 - (200 + 198) * FEES.taker
    assert account.positions == {}


# Funding --------------------------------------------------------------------------------------------------------------


async def test_funding_is_booked_at_the_hour_by_estimate_and_mark() -> None:
    t = await long("2")
    t.funding("0.0001", 101.0)
    t.clock.advance_ms(TO_BOUNDARY_MS)
    (payment,) = t.payments
    assert (payment.usd, payment.size) == (D("-0.0202"), D(2))
    assert payment.at_ms % HOUR_MS == 0
    assert await t.venue.fetch_funding_payments(0) == (payment,)


async def test_a_short_receives_what_a_long_would_pay() -> None:
    t = await PaperTable().open()
    t.book([(100.0, 50.0)], [(101.0, 50.0)])
    await t.send(t.intent(SELL, "2", "100"))
    t.funding("0.0001", 100.0)
    t.clock.advance_ms(TO_BOUNDARY_MS)
    assert t.payments[0].usd == D("0.02")


async def test_the_last_estimate_before_the_hour_counts() -> None:
    t = await long("2")
    t.funding("0.0005", 100.0)
    t.funding("0.0001", 100.0)
    t.clock.advance_ms(TO_BOUNDARY_MS)
    assert t.payments[0].usd == D("-0.02")


async def test_each_hour_pays_once() -> None:
    t = await long("2")
    for _ in range(3):
        t.funding("0.0001", 100.0)
        t.clock.advance_ms(HOUR_MS)
    assert len({payment.payment_id for payment in t.payments}) == len(t.payments) == 3


async def test_without_an_estimate_nothing_is_paid_and_it_is_counted() -> None:
    t = await long("2")
    t.clock.advance_ms(TO_BOUNDARY_MS)
    assert t.payments == []
    assert t.paper.paper.fundings_unknown == 1


async def test_an_estimate_of_an_earlier_hour_is_not_used_again() -> None:
    t = await long("2")
    t.funding("0.0001", 100.0)
    t.clock.advance_ms(TO_BOUNDARY_MS + HOUR_MS)
    assert len(t.payments) == 1
    assert t.paper.paper.fundings_unknown == 1


async def test_an_estimate_without_any_price_pays_nothing() -> None:
    t = await long("2")
    t.lose()
    t.clock.advance_ms(TO_BOUNDARY_MS - 1_000)
    t.funding("0.0001", None)
    t.clock.advance_ms(1_000)
    assert t.payments == []
    assert t.paper.paper.fundings_unknown == 1


async def test_a_position_opened_after_the_hour_pays_nothing_for_it() -> None:
    t = await PaperTable().open()
    t.book([(99.0, 50.0)], [(100.0, 50.0)])
    t.funding("0.0001", 100.0)
    t.clock.advance_ms(TO_BOUNDARY_MS)
    t.book([(99.0, 50.0)], [(100.0, 50.0)])
    await t.send(t.intent(BUY, "1", "100"))
    assert t.payments == []
    assert t.paper.paper.fundings_unknown == 0


# Liquidation ----------------------------------------------------------------------------------------------------------


async def test_equity_below_maintenance_closes_everything_at_mark() -> None:
    t = await PaperTable().open()
    t.book([(99.0, 2000.0)], [(100.0, 2000.0)])
    await t.send(t.intent(BUY, "990", "100"))
    t.funding("0", 93.0)  # 10,000 - 990 x 7 - fees is above 3 % of 92,070
    assert t.paper.paper.liquidations == 0
    t.funding("0", 92.0)
    fill = t.fills[-1]
    assert (fill.client_id, fill.side, fill.size, fill.price) == (None, SELL, D(990), D("92.0"))
    assert (await t.venue.fetch_account()).positions == {}
    assert t.paper.paper.liquidations == 1


async def test_a_liquidation_takes_open_orders_with_it() -> None:
    t = await PaperTable().open()
    t.book([(99.0, 2000.0)], [(100.0, 2000.0)])
    await t.send(t.intent(BUY, "900", "100"))
    resting, under_way = t.intent(BUY, "1", "90", TimeInForce.GTC), t.intent(BUY, "1", "100")
    await t.send(resting)
    await t.venue.place(under_way)
    t.funding("0", 91.0)
    t.clock.advance_ms(1_000)
    assert {(await t.report(o)).reason for o in (resting, under_way)} == {"liquidated"}
    assert (await t.report(under_way)).filled_size == 0
    assert (await t.venue.fetch_account()).positions == {}


# Start and restart ----------------------------------------------------------------------------------------------------


async def test_the_private_feed_is_restored_at_start_and_the_inner_one_is_not_heard() -> None:
    t = await PaperTable().open()
    assert t.events == [PrivateFeedRestored(VENUE)]
    t.hear(PrivateFeedLost(VENUE, "inner"))
    assert t.events == [PrivateFeedRestored(VENUE)]


async def test_market_data_is_passed_on() -> None:
    t = await PaperTable().open()
    t.funding("0.0001", 100.0)
    assert isinstance(t.events[-1], FundingChanged)


async def test_without_fees_from_anywhere_the_dry_run_does_not_start() -> None:
    t = PaperTable(settings=PaperSettings(CASH))
    with pytest.raises(RequestRefused):
        await t.open()
    assert t.inner.listener is None


async def test_fees_come_from_the_venue_when_the_settings_name_none() -> None:
    t = await PaperTable(settings=PaperSettings(CASH), fees=FEES).open()
    assert await t.venue.fetch_fees() == FEES


def _past_fill(trade_id: str, size: str, at_ms: int, venue: VenueName = VENUE) -> Fill:
    return Fill(venue, "ETH", trade_id, 17, BUY, D(size), D(100), D("0.1"), False, at_ms)


async def test_a_restored_dry_run_goes_on_where_the_journal_ends() -> None:
    t = PaperTable()
    paid = FundingPayment(VENUE, "ETH", "paper-ETH-1", D("-0.5"), D(2), NOW_MS - 60_000)
    fills = [_past_fill("a", "2", NOW_MS - 90_000), _past_fill("a", "2", NOW_MS - 90_000)]
    foreign = _past_fill("b", "5", NOW_MS - 90_000, VenueName.HYPERLIQUID)
    t.paper.restore([*fills, foreign], [paid, paid])
    await t.open()
    t.book([(100.0, 5.0)], [(101.0, 5.0)])
    await t.send(t.intent(SELL, "2", "100", reduces=True, client_id=18))
    account = await t.venue.fetch_account()
    assert account.equity_usd == CASH - D("0.1") - D("0.5") - 200 * FEES.taker
    assert account.positions == {}
    assert (await t.venue.fetch_fills(0))[0].trade_id == "a"


async def test_an_order_of_an_earlier_process_is_known_by_its_fills() -> None:
    t = PaperTable()
    t.paper.restore([_past_fill("a", "1", NOW_MS - 9), _past_fill("c", "2", NOW_MS - 8)], [])
    await t.open()
    report = await t.venue.fetch_order("ETH", 17)
    assert report is not None
    assert (report.status, report.filled_size) == (OrderStatus.CANCELED, D(3))
    with pytest.raises(OrderRejected, match="duplicate_client_id"):
        await t.venue.place(t.intent(BUY, "1", "100", client_id=17))


async def test_hours_between_two_processes_are_counted_as_unknown() -> None:
    t = PaperTable()
    t.paper.restore([_past_fill("a", "1", NOW_MS - 3 * HOUR_MS)], [])
    await t.open()
    assert t.paper.paper.fundings_unknown == 3


async def test_restoring_a_running_dry_run_is_an_error() -> None:
    t = await PaperTable().open()
    with pytest.raises(RuntimeError):
        t.paper.restore([], [])


async def test_starting_twice_is_an_error() -> None:
    t = await PaperTable().open()
    with pytest.raises(RuntimeError):
        await t.open()


@pytest.mark.parametrize("changes", [{"cash_usd": D(0)}, {"order_delay_ms": -1}, {"funding_every_ms": 0}])
def test_settings_that_can_not_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"positive|negative"):
        PaperSettings(**{"cash_usd": CASH, "fees": SETTINGS.fees, **changes})  # type: ignore[arg-type]


async def test_assets_in_two_markets_share_one_margin() -> None:
    t = await PaperTable(market(), market("BTC")).open()
    t.book([(99.0, 900.0)], [(100.0, 900.0)])
    t.book([(99.0, 900.0)], [(100.0, 900.0)], "BTC")
    await t.send(t.intent(BUY, "900", "100"))
    with pytest.raises(OrderRejected, match="margin"):
        await t.venue.place(t.intent(BUY, "900", "100", asset="BTC"))
