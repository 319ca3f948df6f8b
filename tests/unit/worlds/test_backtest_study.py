"""The rows of the study say what they are, and each of them is a setting of its own."""

from itertools import combinations

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.worlds.backtest_study import VARIANTS, render

EARLIER = "earlier defaults (costs over 48 h, break-even 36 h, flips of 10 min)"


def test_the_first_row_is_what_a_desk_without_configuration_does() -> None:
    assert VARIANTS[0].name == "defaults"
    assert VARIANTS[0].settings() == DeskSettings()
    assert VARIANTS[0].options == {}


def test_no_two_rows_replay_the_same_settings() -> None:
    for one, other in combinations(VARIANTS, 2):
        assert (one.settings(), one.options) != (other.settings(), other.options), (one.name, other.name)
        assert one.name != other.name


def test_the_earlier_defaults_are_what_their_name_says() -> None:
    (earlier,) = (variant.settings() for variant in VARIANTS if variant.name == EARLIER)
    assert (earlier.entry.hold_hours, earlier.entry.break_even_hours_max) == (48, 36)
    assert earlier.exits.flip_confirm_ms == 600_000


def test_a_row_without_a_trade_has_no_return_a_year() -> None:
    money = dict.fromkeys(("funding_usd", "fees_usd", "slippage_usd", "price_usd", "net_usd"), 0.0)
    total = {"trades": 0, "trades_won": 0, "hours_in_market": 0, **money, "annualised_return_pct": None}
    assert render([{"name": "nothing", "total": total}]).splitlines()[2] == (
        "| nothing | 0 | 0 | 0 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | – |"
    )
