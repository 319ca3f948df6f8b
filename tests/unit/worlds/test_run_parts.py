"""Parts of a real-time run on their own: scaling, summaries, commands, money, and what a store may be used for."""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest

from perpdesk.arbitrage.engine import Desk
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.portfolio import Portfolio
from perpdesk.arbitrage.settings import DeskSettings, EntrySettings, ExitSettings
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.pairs import Leg, PairState, Purpose
from perpdesk.domain.pnl import PnlParts
from perpdesk.domain.positions import AccountState, VenuePosition
from perpdesk.sandbox.network import Sent
from perpdesk.store.commands import CommandState
from perpdesk.store.journal import Journal
from perpdesk.venues.transport.ports import HttpResponse
from perpdesk.worlds import money
from perpdesk.worlds.commands import CommandDesk, pair_result, refuse_pending
from perpdesk.worlds.realtime import WatchedHttp, require_listed, scale_to_interval
from perpdesk.worlds.run import require_same_world
from perpdesk.worlds.running import WorldMismatch
from perpdesk.worlds.summary import iso, percentile
from tests.unit.arbitrage.situations import HYPERLIQUID, LIGHTER, Scene, pair
from tests.unit.arbitrage.stores import HeldStore

D = Decimal

# Scaling --------------------------------------------------------------------------------------------------------------


SETTINGS = DeskSettings(
    entry=EntrySettings(cooldown_ms=60_000), exits=ExitSettings(flip_confirm_ms=600_000, hold_hours_max=168.0)
)


def test_exits_shrink_with_the_interval_that_stands_for_an_hour() -> None:
    scaled = scale_to_interval(SETTINGS, 36_000)
    assert scaled.exits.hold_hours_max == pytest.approx(1.68)
    assert scaled.exits.flip_confirm_ms == 6_000


def test_what_is_reckoned_per_hour_and_what_guards_execution_stay() -> None:
    plain, scaled = SETTINGS, scale_to_interval(SETTINGS, 10_000)
    assert scaled.entry.hold_hours == plain.entry.hold_hours
    assert scaled.entry.net_bps_per_hour_min == plain.entry.net_bps_per_hour_min
    assert scaled.execution == plain.execution


def test_waits_do_not_shrink_below_the_desks_own_pace() -> None:
    scaled = scale_to_interval(SETTINGS, 1_000)
    assert (scaled.exits.flip_confirm_ms, scaled.entry.cooldown_ms) == (1_000, 2_000)


def test_a_full_hour_changes_nothing() -> None:
    assert scale_to_interval(SETTINGS, 3_600_000) == SETTINGS


def test_assets_that_two_venues_do_not_list_are_named() -> None:
    require_listed(frozenset({"BTC", "PEPE"}))
    with pytest.raises(ValueError, match="does not list AAPL, XYZ on two venues; it has BONK, BTC"):
        require_listed(frozenset({"XYZ", "BTC", "AAPL"}))


# Watching the wire ----------------------------------------------------------------------------------------------------


class _Answers:
    """Notes what was already known when a request got here."""

    def __init__(self, seen: list[Sent]) -> None:
        self.seen = seen
        self.known_at_request = -1

    async def request(self, method: str, url: str, **_: Any) -> HttpResponse:
        self.known_at_request = len(self.seen)
        return HttpResponse(200, b"{}")

    async def close(self) -> None: ...


async def test_whoever_watches_hears_of_a_request_before_it_leaves() -> None:
    seen: list[Sent] = []
    inner = _Answers(seen)
    http = WatchedHttp(inner, {"http://127.0.0.1:1": LIGHTER}, ManualClock(5))
    http.on_sent = seen.append
    await http.request("POST", "http://127.0.0.1:1/api/v1/sendTx?x=1", body=b"tx")
    assert inner.known_at_request == 1
    assert seen == [Sent("desk", LIGHTER, "http", "POST", "/api/v1/sendTx", b"tx", 5)]


# Summaries ------------------------------------------------------------------------------------------------------------


def test_percentiles_are_values_that_occurred_and_unknown_without_any() -> None:
    assert (percentile([3, 1, 2], 0.5), percentile([1, 2], 0.99), percentile([], 0.5)) == (2, 2, None)


def test_times_are_told_in_utc() -> None:
    assert iso(1_000) == "1970-01-01T00:00:01Z"


# Stores and worlds ----------------------------------------------------------------------------------------------------


@pytest.fixture
def journal() -> Journal:
    clock = ManualClock(1_000_000)
    return Journal(HeldStore(clock), clock, random.Random(1))


async def test_a_new_store_belongs_to_whoever_uses_it_first(journal: Journal) -> None:
    await require_same_world(journal, "live")
    await journal.begin_run("live", None, 1)
    await require_same_world(journal, "live")
    with pytest.raises(WorldMismatch, match="belongs to the live world"):
        await require_same_world(journal, "sandbox")


# Commands -------------------------------------------------------------------------------------------------------------


@dataclass
class _Pairs:
    """A desk that closes what it is asked to when `finish` is called."""

    ledgers: dict[int, Ledger]
    asked: list[str | None] = field(default_factory=list)

    @property
    def portfolio(self) -> "_Pairs":
        return self

    @property
    def open(self) -> list[Ledger]:
        return [ledger for ledger in self.ledgers.values() if not ledger.pair.state.is_ended]

    def request_close(self, asset: str | None, reason: str) -> list[int]:
        self.asked.append(asset)
        return []

    def finish(self) -> None:
        for number, ledger in self.ledgers.items():
            ledger.pair = pair(pair_id=number, state=PairState.CLOSED, exit_reason="closed by command")


def desk_with(*pair_ids: int) -> _Pairs:
    return _Pairs({number: Ledger(pair(pair_id=number, state=PairState.OPEN), D(0)) for number in pair_ids})


async def test_a_command_is_done_only_when_its_pairs_have_ended(journal: Journal) -> None:
    pairs = desk_with(1)
    desk = CommandDesk(cast(Desk, pairs), journal, ManualClock())
    number = await journal.post_command("close", {"asset": "ETH"})
    await desk.step()
    pending = await journal.load_command(number)
    assert pending is not None
    assert (pending.state, pairs.asked) == (CommandState.PENDING, ["ETH"])
    pairs.finish()
    await desk.step()
    done = await journal.load_command(number)
    assert done is not None
    assert done.state is CommandState.DONE
    assert done.result is not None
    assert done.result["closed"][0]["exit_reason"] == "closed by command"


async def test_closing_is_asked_for_again_until_it_happens(journal: Journal) -> None:
    pairs = desk_with(1)
    desk = CommandDesk(cast(Desk, pairs), journal, ManualClock())
    await journal.post_command("close_all")
    await desk.step()
    await desk.step()
    assert len(pairs.asked) == 2


async def test_close_all_of_nothing_is_done_at_once(journal: Journal) -> None:
    number = await journal.post_command("close_all")
    await CommandDesk(cast(Desk, desk_with()), journal, ManualClock()).step()
    done = await journal.load_command(number)
    assert done is not None
    assert done.result == {"closed": []}


@pytest.mark.parametrize(
    ("kind", "argument", "message"),
    [("close", {"asset": "BTC"}, "no pair of BTC is open"), ("dance", None, "this desk knows no command 'dance'")],
)
async def test_what_can_not_be_done_fails_with_the_reason(
    journal: Journal, kind: str, argument: dict[str, Any] | None, message: str
) -> None:
    number = await journal.post_command(kind, argument)
    await CommandDesk(cast(Desk, desk_with(1)), journal, ManualClock()).step()
    command = await journal.load_command(number)
    assert command is not None
    assert (command.state, command.result) == (CommandState.FAILED, {"error": message})


async def test_commands_for_a_sandbox_that_ended_are_refused(journal: Journal) -> None:
    number = await journal.post_command("close_all")
    await refuse_pending(journal, "it ended")
    command = await journal.load_command(number)
    assert command is not None
    assert command.result == {"error": "it ended"}


def test_a_result_keeps_money_exact_and_unknown_money_unknown() -> None:
    accounted = pair(price_usd=D("0.1"), funding_usd=D("0.2"), fees_usd=D("-1E-9"), slippage_usd=D(0))
    assert cast(dict[str, Any], pair_result(accounted)["pnl_usd"])["total"] == "0.299999999"
    assert cast(dict[str, Any], pair_result(pair())["pnl_usd"])["total"] is None


# Money ----------------------------------------------------------------------------------------------------------------


def account(equity: str, size: str = "0", unrealised: str = "0", mark: str | None = None) -> AccountState:
    held = VenuePosition("ETH", D(size), None, None if mark is None else D(mark), D(unrealised))
    return AccountState(D(equity), D(equity), {"ETH": held} if D(size) else {}, 0)


class _Reconciler:
    """Answers account reads from a script; `on_read` runs while the first answer is on its way."""

    def __init__(self, accounts: dict[Any, AccountState], on_read: Any = None) -> None:
        self.books = accounts
        self.reads = 0
        self._on_read = on_read

    async def sync_account(self, venue: Any) -> AccountState:
        self.reads += 1
        if self._on_read is not None and self.reads == 1:
            self._on_read()
        return self.books[venue]

    async def sync_fills(self, venue: Any) -> None: ...

    async def sync_payments(self, venue: Any) -> None: ...


class _Portfolio:
    def __init__(self, ledger: Ledger) -> None:
        self.ledgers = {1: ledger}
        self.open = [ledger]

    def marks(self, ledger: Ledger) -> dict[tuple[str, str], Decimal]:
        return {(venue.value, "ETH"): D(1) for venue in (LIGHTER, HYPERLIQUID)}

    def pnl(self, marks: dict[tuple[str, str], Decimal]) -> PnlParts:
        return Portfolio.pnl(cast(Portfolio, self), marks)


@dataclass
class _MoneyDesk:
    portfolio: _Portfolio
    reconciler: _Reconciler

    def is_settled(self, _ledger: Ledger) -> bool:
        return True


def money_desk(accounts: dict[Any, AccountState], scene: Scene, on_read: Any = None) -> Desk:
    return cast(Desk, _MoneyDesk(_Portfolio(scene.ledger), _Reconciler(accounts, on_read)))


async def test_open_legs_are_valued_at_what_the_account_answers_say() -> None:
    """Long 1 at 100 has gained 3 on Lighter, short 1 at 100 has lost 2 on Hyperliquid."""
    accounts = {LIGHTER: account("1003", "1", "3"), HYPERLIQUID: account("998", "-1", "-2")}
    seen = await money.look(money_desk(accounts, Scene().open_both()), ManualClock(), with_history=True)
    assert seen.is_quiet
    assert seen.parts.total_usd == D(1)
    start = money.MoneyLook(0, {LIGHTER: D(1000), HYPERLIQUID: D(1000)}, PnlParts(), True)
    assert (seen.since(start).venue_reported_usd, seen.since(start).residual_usd) == (D(1), D(0))


async def test_money_that_nobody_explains_shows_as_residual() -> None:
    accounts = {LIGHTER: account("1010", "1", "3"), HYPERLIQUID: account("998", "-1", "-2")}
    seen = await money.look(money_desk(accounts, Scene().open_both()), ManualClock(), with_history=True)
    start = money.MoneyLook(0, {LIGHTER: D(1000), HYPERLIQUID: D(1000)}, PnlParts(), True)
    assert seen.since(start).residual_usd == D(7)


async def test_a_position_that_is_not_only_ours_is_valued_at_the_venues_mark() -> None:
    accounts = {LIGHTER: account("1000", "5", "15", "104"), HYPERLIQUID: account("998", "-1", "-2")}
    seen = await money.look(money_desk(accounts, Scene().open_both()), ManualClock(), with_history=True)
    assert seen.parts.total_usd == D(4) - D(2)


async def test_a_fill_while_the_accounts_are_read_makes_it_look_again() -> None:
    scene = Scene()
    ledger = scene.ledger
    accounts = {LIGHTER: account("1000"), HYPERLIQUID: account("1000")}
    record = scene.order(Leg.LONG, Purpose.ENTRY, "1")
    late = scene.fill(record, "1")
    reconciler = _Reconciler(accounts, on_read=lambda: ledger.add_fill(late))
    desk = cast(Desk, _MoneyDesk(_Portfolio(ledger), reconciler))
    seen = await money.look(desk, ManualClock(), with_history=True)
    assert (seen.is_quiet, reconciler.reads) == (True, 4)
