"""The live world against simulated venues: keys and addresses from the environment, a desk that is killed, and closing."""

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.pairs import PairState
from perpdesk.worlds.realtime import SandboxPlan, ServedSandbox, serve_sandbox
from tests.loopback.desks import CLOCK, call, journal_at, start, until

pytest.importorskip("eth_account")
pytest.importorskip("lighter")

LIVE = ("--world", "live", "--live-trading")


@dataclass(frozen=True)
class Market:
    """Simulated venues, and the environment of a desk that takes them for real ones."""

    served: ServedSandbox
    environment: Mapping[str, str]

    def positions(self) -> dict[VenueName, dict[str, Decimal]]:
        """What the venues' own books hold, units of the asset, by venue and asset."""
        held = {}
        for venue, exchange in self.served.sandbox.exchanges.items():
            account = exchange.account(self.served.sandbox.accounts[venue][0].exchange_id)
            assert account is not None
            held[venue] = {
                exchange.markets[symbol].asset: position.size * exchange.markets[symbol].multiplier
                for symbol, position in account.positions.items()
                if position.size
            }
        return held

    def imbalance(self) -> dict[str, Decimal]:
        """Sum of both venues' positions by asset, without those that balance."""
        sums: dict[str, Decimal] = {}
        for held in self.positions().values():
            for asset, size in held.items():
                sums[asset] = sums.get(asset, Decimal(0)) + size
        return {asset: size for asset, size in sums.items() if size}


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[Market]:
    (tmp_path / "perpdesk.yaml").write_text("live_trading: true\n")
    plan = SandboxPlan(seed=3, assets=frozenset({"TRUMP", "PENGU", "FARTCOIN"}), funding_every_ms=2_000)
    async with serve_sandbox(plan, CLOCK, random.Random(plan.seed)) as served:
        yield Market(served, environment_of(served))


def environment_of(served: ServedSandbox) -> dict[str, str]:
    hyperliquid = served.sandbox.accounts[VenueName.HYPERLIQUID][0]
    lighter = served.sandbox.accounts[VenueName.LIGHTER][0]
    at = served.endpoints
    values = {
        "HYPERLIQUID__REST_URL": at[VenueName.HYPERLIQUID].http_url,
        "HYPERLIQUID__WS_URL": at[VenueName.HYPERLIQUID].ws_url + "/ws",
        "HYPERLIQUID__ADDRESS": hyperliquid.address,
        "HYPERLIQUID__PRIVATE_KEY": hyperliquid.private_key,
        "LIGHTER__REST_URL": at[VenueName.LIGHTER].http_url,
        "LIGHTER__WS_URL": at[VenueName.LIGHTER].ws_url + "/stream",
        "LIGHTER__ACCOUNT_INDEX": lighter.account_index,
        "LIGHTER__API_KEY_INDEX": lighter.api_key_index,
        "LIGHTER__PRIVATE_KEY": lighter.private_key,
    }
    # One pair at a time keeps three desks in half a minute inside the venue's request budget; one that was taken back is
    # entered again soon.
    entry = {"PERPDESK__DESK__ENTRY__COOLDOWN_MS": "500", "PERPDESK__DESK__ENTRY__PAIRS_MAX": "1"}
    return entry | {f"PERPDESK__VENUES__{name}": str(value) for name, value in values.items()}


async def test_a_desk_killed_while_opening_is_balanced_by_the_next_and_closed_by_command(
    market: Market, tmp_path: Path
) -> None:
    store = tmp_path / "var" / "perpdesk.db"
    first = await start(tmp_path, "run", *LIVE, environment=market.environment)

    async def an_order_has_left() -> bool:
        return any(market.positions().values())

    await until(an_order_has_left, "a first leg was filled")
    first.process.kill()
    await first.process.wait()

    async with journal_at(store) as journal:
        assert any(not pair.state.is_ended for pair in await journal.load_open_pairs())
    code, summary, errors = await call(tmp_path, "run", *LIVE, "--for", "8s", environment=market.environment)
    assert code == 0, errors
    assert market.imbalance() == {}
    assert abs(summary["pnl_usd"]["residual"]) < 0.01
    assert {pair["state"] for pair in summary["pairs_open"]} == {"open"}

    code, closed, errors = await call(tmp_path, "arb", "close-all", *LIVE, environment=market.environment)
    assert code == 0, errors
    assert {pair["pair_id"] for pair in closed["closed"]} >= {pair["pair_id"] for pair in summary["pairs_open"]}
    assert not any(market.positions().values())
    async with journal_at(store) as journal:
        pairs = await journal.load_pairs()
        assert pairs
        assert all(pair.state is PairState.CLOSED for pair in pairs)


async def test_without_the_flag_orders_stay_on_paper_and_the_doctor_finds_everything_in_order(
    market: Market, tmp_path: Path
) -> None:
    code, summary, errors = await call(
        tmp_path, "run", "--world", "live", "--for", "3s", environment=market.environment
    )
    assert code == 0, errors
    assert summary["world"] == "paper"
    assert summary["pairs_opened"] >= 1
    assert abs(summary["pnl_usd"]["residual"]) < 0.01
    assert not any(market.positions().values())
    code, document, errors = await call(tmp_path, "doctor", environment=market.environment)
    assert code == 0, document
    assert {"hyperliquid account online", "lighter API key online"} <= {check["name"] for check in document["checks"]}
