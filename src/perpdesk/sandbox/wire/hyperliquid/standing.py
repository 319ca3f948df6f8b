"""The reads about an address's standing: fees, limits, role, and how its value went."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from perpdesk.domain.clock import Clock
from perpdesk.domain.fees import FeeRates
from perpdesk.domain.numbers import ZERO
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.wire.hyperliquid.candles import DAY_MS
from perpdesk.sandbox.wire.hyperliquid.encode import Row, decimal_text, money_text
from perpdesk.sandbox.wire.hyperliquid.ledger import AddressRecord, DayVolume, EquitySample, Ledger
from perpdesk.sandbox.wire.hyperliquid.query import Query

FREE_REQUESTS = 10_000
"""Actions an address may send before it has traded."""
FEE_DAYS = 15
POINTS_MAX = 76
"""Most points of one portfolio curve, as in the recorded reply."""

_VIP_CUTOFFS_USD = ("5000000.0", "25000000.0", "100000000.0", "500000000.0", "2000000000.0", "7000000000.0")
_WINDOWS_MS = (("day", DAY_MS), ("week", 7 * DAY_MS), ("month", 30 * DAY_MS), ("allTime", None))


class StandingReads:
    """Answers `/info` types about what an address is and may do, and its portfolio curves."""

    def __init__(self, exchange: Exchange, ledger: Ledger, clock: Clock) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._clock = clock

    def handlers(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "userFees": self._fees,
            "userRateLimit": self._rate_limit,
            "userRole": self._role,
            "userAbstraction": self._abstraction,
            "extraAgents": self._extra_agents,
            "subAccounts": self._no_sub_accounts,
            "maxBuilderFee": self._max_builder_fee,
            "portfolio": self._portfolio,
        }

    def _fees(self, query: Query) -> Row:
        address = query.address()
        account = self._ledger.account(address)
        rules = self._exchange.rules
        base = rules.fee_tiers[rules.default_tier]
        rates = base if account is None else rules.fee_tiers.get(account.fee_tier, base)
        record = self._ledger.record(account.account_id) if account is not None else AddressRecord()
        today = self._clock.wall_ms() // DAY_MS
        return {
            "dailyUserVlm": [self._day_row(record, day) for day in range(today - FEE_DAYS + 1, today + 1)],
            "feeSchedule": self._fee_schedule(),
            "userCrossRate": decimal_text(rates.taker),
            "userAddRate": decimal_text(rates.maker),
            "userSpotCrossRate": "0.0007",
            "userSpotAddRate": "0.0004",
            "activeReferralDiscount": "0.0",
            "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
            "stakingLink": None,
            "trial": None,
            "feeTrialEscrow": "0.0",
            "nextTrialAvailableTimestamp": None,
        }

    def _day_row(self, record: AddressRecord, day: int) -> Row:
        own = record.days.get(day, DayVolume())
        return {
            "date": datetime.fromtimestamp(day * DAY_MS / 1000, UTC).strftime("%Y-%m-%d"),
            "userCross": money_text(own.cross_usd),
            "userAdd": money_text(own.add_usd),
            "exchange": money_text(self._ledger.venue_days.get(day, ZERO)),
        }

    def _fee_schedule(self) -> Row:
        tiers = dict(self._exchange.rules.fee_tiers)
        base = tiers.pop(self._exchange.rules.default_tier)
        vip = [
            {"ntlCutoff": cutoff, **_schedule_rates(rates)}
            for cutoff, rates in zip(_VIP_CUTOFFS_USD, tiers.values(), strict=False)
        ]
        return {
            **_schedule_rates(base),
            "tiers": {"vip": vip, "mm": []},
            "referralDiscount": "0.0",
            "stakingDiscountTiers": [],
        }

    def _rate_limit(self, query: Query) -> Row:
        account = self._ledger.account(query.address())
        record = self._ledger.record(account.account_id) if account is not None else AddressRecord()
        return {
            "cumVlm": money_text(record.volume_usd),
            "nRequestsUsed": record.requests_used,
            "nRequestsCap": FREE_REQUESTS + int(record.volume_usd),
            "nRequestsSurplus": 0,
        }

    def _role(self, query: Query) -> Row:
        address = query.address()
        if self._ledger.account(address) is not None:
            return {"role": "user"}
        master = self._ledger.master_of(address)
        return {"role": "missing"} if master is None else {"role": "agent", "data": {"user": master}}

    def _abstraction(self, query: Query) -> str:
        query.address()
        return "default"

    def _extra_agents(self, query: Query) -> list[Row]:
        agents = self._ledger.agents(query.address())
        return [{"name": f"agent{n}", "address": agent, "validUntil": None} for n, agent in enumerate(agents, 1)]

    def _no_sub_accounts(self, query: Query) -> None:
        query.address()

    def _max_builder_fee(self, query: Query) -> int:
        query.address()
        query.address("builder")
        return 0

    # Portfolio -------------------------------------------------------------------------------------------------------

    def _portfolio(self, query: Query) -> list[Any]:
        account = self._ledger.account(query.address())
        samples: list[EquitySample] = []
        if account is not None:
            record = self._ledger.notice_transfers(account.account_id)
            samples = [*record.samples, self._ledger.sample(account.account_id)]
        windows = [(name, self._window(samples, width_ms)) for name, width_ms in _WINDOWS_MS]
        perps = [("perp" + name[0].upper() + name[1:], dict(window)) for name, window in windows]
        return [[name, window] for name, window in windows + perps]

    def _window(self, samples: list[EquitySample], width_ms: int | None) -> Row:
        """Value and profit curves of the last `width_ms`; profit is value less transfers and starts at zero."""
        start_ms = 0 if width_ms is None else self._clock.wall_ms() - width_ms
        inside = [sample for sample in samples if sample.at_ms >= start_ms]
        if not inside:
            return {"accountValueHistory": [], "pnlHistory": [], "vlm": "0.0"}
        step = max(-(-len(inside) // POINTS_MAX), 1)
        shown = [*inside[:-1:step], inside[-1]]
        origin = inside[0].equity_usd - inside[0].transferred_usd
        before = ZERO if width_ms is None or inside[0] is samples[0] else inside[0].volume_usd
        return {
            "accountValueHistory": [[s.at_ms, money_text(s.equity_usd)] for s in shown],
            "pnlHistory": [[s.at_ms, money_text(s.equity_usd - s.transferred_usd - origin)] for s in shown],
            "vlm": money_text(inside[-1].volume_usd - before),
        }


def _schedule_rates(rates: FeeRates) -> Row:
    return {
        "cross": decimal_text(rates.taker),
        "add": decimal_text(rates.maker),
        "spotCross": "0.0007",
        "spotAdd": "0.0004",
    }
