"""The fit reproduces the committed parameters, and the simulated funding resembles the recorded one."""

from decimal import Decimal
from random import Random

import polars as pl
import pytest
from tests.shared_data import shared_path

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import ManualClock
from perpdesk.sandbox.drivers import recordings
from perpdesk.sandbox.drivers.fit import compare, main, table
from perpdesk.sandbox.drivers.measure import CLASS_OF
from perpdesk.sandbox.drivers.measure_funding import recorded_differences
from perpdesk.sandbox.drivers.parameters import PARAMETERS_PATH, AssetClass, load_parameters, parse_parameters
from perpdesk.sandbox.drivers.premium import CommonRegime, PremiumProcess
from perpdesk.sandbox.drivers.recordings import Recordings, RecordingUnreadable
from perpdesk.sandbox.drivers.render import flatten, render
from perpdesk.sandbox.drivers.synthetic import HOUR_MS, SyntheticDriver
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.listings import listed_markets
from perpdesk.sandbox.rules import hyperliquid_funding, hyperliquid_rules, lighter_funding, lighter_rules

HYPERLIQUID, LIGHTER = VenueName.HYPERLIQUID, VenueName.LIGHTER


def test_the_fit_reproduces_the_committed_parameters(capsys) -> None:
    assert main(["--data", str(shared_path("data"))]) == 0
    assert f"0 of {len(flatten(load_parameters()))} values differ" in capsys.readouterr().out


def test_write_produces_the_committed_file_byte_for_byte(tmp_path, capsys) -> None:
    target = tmp_path / "synthetic.toml"
    assert main(["--data", str(shared_path("data")), "--write", "--parameters", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == PARAMETERS_PATH.read_text(encoding="utf-8")


def test_a_changed_parameter_is_shown_beside_the_measured_one(tmp_path, capsys) -> None:
    data = str(shared_path("data"))
    target = tmp_path / "synthetic.toml"
    text = PARAMETERS_PATH.read_text(encoding="utf-8").replace("size_sigma = 0.4", "size_sigma = 0.9")
    target.write_text(text, encoding="utf-8")
    assert main(["--data", data, "--parameters", str(target)]) == 1
    starred = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("* ")]
    assert starred == [["*", "ladder.size_sigma", "0.4", "0.9"]]


def test_the_rendered_file_reads_back_as_the_same_parameters() -> None:
    parameters = load_parameters()
    assert parse_parameters(render(parameters)) == parameters


def test_every_listed_asset_has_parameters_and_a_ladder_on_its_venue() -> None:
    parameters = load_parameters()
    for venue in (HYPERLIQUID, LIGHTER):
        for market in listed_markets(venue, None):
            assert parameters.asset(market.asset).start_price_usd > 0
            assert parameters.liquidity(venue, market.asset).level_usd > 0
            assert parameters.flow_of(venue, market.asset).orders_per_second > 0
            assert parameters.premium_of(venue, market.asset).onsets_per_hour > 0


def test_missing_recordings_are_named(tmp_path, capsys) -> None:
    assert main(["--data", str(tmp_path)]) == 3
    assert recordings.FUNDING in capsys.readouterr().err


def test_a_missing_column_is_named_with_its_file(tmp_path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "rates.parquet")
    with pytest.raises(RecordingUnreadable, match=r"rates\.parquet has no column b; it has a"):
        Recordings(tmp_path).table("rates.parquet", "a", "b")


def test_a_file_that_is_not_parquet_is_named(tmp_path) -> None:
    (tmp_path / "rates.parquet").write_bytes(b"nonsense")
    with pytest.raises(RecordingUnreadable, match=r"rates\.parquet can not be read"):
        Recordings(tmp_path).table("rates.parquet", "a")


def test_the_comparison_keeps_keys_that_only_one_side_has() -> None:
    rows = compare({"a": 1.0, "b": 2.0}, {"b": 2.0, "c": 3.0})
    assert rows == [("a", 1.0, None), ("b", 2.0, 2.0), ("c", None, 3.0)]
    assert [line[0] for line in table(rows).splitlines()[1:]] == ["*", " ", "*"]


def simulated_rates(kind, seed, hours, samples=6):
    """(Hyperliquid, Lighter) hourly rates in bps, from the premium model and the venues' own formulas."""
    rng, parameters = Random(seed), load_parameters()
    first, second = (
        PremiumProcess(parameters.premium[v][kind], parameters.band, 0.0, rng) for v in (HYPERLIQUID, LIGHTER)
    )
    common = CommonRegime(parameters.common[kind], [first, second], rng)
    rows = []
    for _ in range(hours):
        sums = [0.0, 0.0]
        for _ in range(samples):
            common.advance(1 / samples)
            sums[0] += first.advance(1 / samples)
            sums[1] += second.advance(1 / samples)
        premiums = [Decimal(repr(total / samples / 10_000)) for total in sums]
        rows.append((float(hyperliquid_funding(premiums[0])) * 10_000, float(lighter_funding(premiums[1])) * 10_000))
    return rows


@pytest.mark.parametrize("kind", [AssetClass.MAJOR, AssetClass.LARGE])
def test_simulated_funding_differences_lie_in_a_band_around_the_recorded_ones(kind) -> None:
    recorded = recorded_differences(Recordings(shared_path("data")), CLASS_OF)[kind]
    rows = [row for seed in (1, 2, 3, 4) for row in simulated_rates(kind, seed, 2_000)]
    simulated = pl.Series([abs(first - second) for first, second in rows])
    # Medians are a few hundredths of a bps, mostly two different roundings of one baseline: an absolute band.
    assert simulated.median() == pytest.approx(recorded.median(), abs=0.03)
    assert simulated.quantile(0.95) == pytest.approx(recorded.quantile(0.95), rel=0.5)
    assert simulated.quantile(0.75) == pytest.approx(recorded.quantile(0.75), rel=0.5)


def test_small_coins_pay_well_about_as_often_as_in_the_recorded_snapshot() -> None:
    rates = Recordings(shared_path("data")).document(recordings.SNAPSHOT)["funding_rates"]
    both = rates["lighter"].keys() & rates["hyperliquid"].keys()
    recorded = share_above(35, [abs(rates["lighter"][coin] - rates["hyperliquid"][coin]) / 8 for coin in both])
    rows = [row for seed in (1, 2, 3, 4) for row in simulated_rates(AssetClass.SMALL, seed, 2_000)]
    simulated = share_above(35, [abs(first - second) for first, second in rows])
    assert simulated == pytest.approx(recorded, abs=0.1)


def share_above(percent_per_year, bps_per_hour):
    return sum(bps / 10_000 * 8_760 * 100 > percent_per_year for bps in bps_per_hour) / len(bps_per_hour)


def test_the_whole_driver_leaves_most_hours_of_majors_at_the_baseline_and_pays_in_a_tail() -> None:
    clock = ManualClock(1_700_000_000_000)
    assets = frozenset(("BTC", "ETH"))
    exchanges = {
        HYPERLIQUID: Exchange(HYPERLIQUID, listed_markets(HYPERLIQUID, assets), hyperliquid_rules(), clock),
        LIGHTER: Exchange(LIGHTER, listed_markets(LIGHTER, assets), lighter_rules(), clock),
    }
    tick_ms = HOUR_MS // 6
    driver = SyntheticDriver(exchanges, load_parameters(), Random(11), clock, tick_ms=tick_ms, premium_every_ms=tick_ms)
    driver.open()
    for _ in range(1_500 * 6):
        clock.advance_ms(tick_ms)
        driver.step()
    differences = pl.Series(
        [
            abs(float(first.rate - second.rate)) * 10_000
            for asset in sorted(assets)
            for first, second in zip(
                exchanges[HYPERLIQUID].settled_rates(asset), exchanges[LIGHTER].settled_rates(asset), strict=True
            )
        ]
    )
    assert len(differences) == 3_000
    # Recorded over 2,512 hours of BTC and ETH: median 0.009, 95 % point 0.231 bps per hour.
    assert differences.median() < 0.05
    assert 0.1 < differences.quantile(0.95) < 0.5
