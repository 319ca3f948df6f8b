"""`arb positions`, `arb history`, `arb close` without a desk, and `db`, on stores with known pairs."""

from decimal import Decimal
from pathlib import Path

from perpdesk.domain.clock import ManualClock
from perpdesk.store.journal import Journal
from perpdesk.store.lock import DeskLock
from tests.unit.cli.conftest import Call
from tests.unit.cli.stores import SANDBOX, add_ended_pair, add_open_pair, fill_store

D = Decimal


async def _nothing(_journal: Journal) -> None: ...


async def _one_open(journal: Journal) -> None:
    await add_open_pair(journal)


async def _two_ended(journal: Journal) -> None:
    await add_ended_pair(journal, D("2.5"))
    await add_ended_pair(journal, D("-1.25"))
    await add_open_pair(journal)
    await journal.abandon_open_pairs("its sandbox ended", 2_000_000)


def test_a_store_that_is_not_there_is_said_plainly_and_not_made(perpdesk: Call) -> None:
    for command in (("arb", "positions"), ("arb", "history"), ("arb", "close", "BTC"), ("arb", "close-all")):
        answer = perpdesk(*command, "--json")
        assert answer.code == 1
        assert "the store var/sandbox.db does not exist" in answer.document["error"]
    assert not Path("var").exists()


def test_positions_show_both_legs_with_orders_and_fills(perpdesk: Call) -> None:
    fill_store(_one_open)
    document = perpdesk("arb", "positions", "--json").document
    (pair,) = document["pairs"]
    assert (document["desk"], pair["asset"], pair["state"]) == (None, "ETH", "open")
    assert pair["imbalance"] == 0
    for side in pair["legs"].values():
        assert (side["size"], side["entry_price"], len(side["orders"]), len(side["fills"])) == (1, 100, 1, 1)


def test_positions_in_words_say_when_nothing_is_open_or_its_sandbox_is_gone(perpdesk: Call) -> None:
    fill_store(_nothing)
    assert "no pair is open" in perpdesk("arb", "positions").out
    fill_store(_one_open)
    answer = perpdesk("arb", "positions").out
    assert "1 ETH" in answer
    assert "sandbox has ended" in answer


def test_positions_name_the_desk_that_holds_the_store(perpdesk: Call) -> None:
    fill_store(_one_open)
    with DeskLock(f"sqlite:///{SANDBOX}", ManualClock(1_000)):
        assert perpdesk("arb", "positions", "--json").document["desk"]["since"] == "1970-01-01T00:00:01Z"


def test_history_tells_where_each_pairs_money_came_from_and_the_totals(perpdesk: Call) -> None:
    fill_store(_two_ended)
    document = perpdesk("arb", "history", "--json").document
    lost, won = document["pairs"][1:]
    assert won["pnl_usd"] == {"price": 2, "funding": 1, "fees": -0.5, "slippage": 0, "total": 2.5}
    assert lost["pnl_usd"]["total"] == -1.25
    assert (won["exit_reason"], won["held_s"], won["naked_ms_max"], won["world"]) == (
        "funding flipped",
        10,
        20,
        "sandbox",
    )
    totals = document["totals"]
    assert (totals["pairs"], totals["accounted"], totals["won"], totals["pnl_usd"]["total"]) == (3, 2, 1, 1.25)


def test_money_of_an_abandoned_pair_is_unknown_not_zero(perpdesk: Call) -> None:
    fill_store(_two_ended)
    abandoned = perpdesk("arb", "history", "--json").document["pairs"][0]
    assert (abandoned["state"], abandoned["pnl_usd"]) == ("abandoned", None)


def test_history_is_cut_by_number_and_by_time(perpdesk: Call) -> None:
    fill_store(_two_ended)
    assert len(perpdesk("arb", "history", "--limit", "1", "--json").document["pairs"]) == 1
    assert perpdesk("arb", "history", "--since", "1d", "--json").document["pairs"] == []
    assert perpdesk("arb", "history", "--since", "soon").code == 2


def test_history_in_words_has_a_line_of_totals(perpdesk: Call) -> None:
    fill_store(_two_ended)
    answer = perpdesk("arb", "history")
    assert "3 pairs" in answer.out
    assert "+1.2500" in answer.out


def test_closing_in_a_sandbox_that_has_ended_says_so(perpdesk: Call) -> None:
    fill_store(_one_open)
    answer = perpdesk("arb", "close", "ETH")
    assert answer.code == 1
    assert "the sandbox ended with it, and nothing is left to close" in answer.err


def test_closing_live_pairs_without_a_desk_takes_both_keys(perpdesk: Call) -> None:
    fill_store(_one_open, Path("var/perpdesk.db"), "live")
    answer = perpdesk("arb", "close-all", "--world", "live")
    assert answer.code == 3
    assert "add --live-trading" in answer.err
    assert perpdesk("arb", "close-all", "--world", "live", "--live-trading").code == 3


def test_closing_what_is_not_open_is_refused(perpdesk: Call) -> None:
    fill_store(_one_open, Path("var/perpdesk.db"), "live")
    answer = perpdesk("arb", "close", "kPEPE", "--world", "live", "--live-trading")
    assert answer.code == 1
    assert "no PEPE pair is open" in answer.err


def test_a_desk_that_does_not_answer_leaves_the_command_to_be_done(perpdesk: Call) -> None:
    fill_store(_one_open)
    with DeskLock(f"sqlite:///{SANDBOX}", ManualClock(1_000)):
        answer = perpdesk("arb", "close", "ETH", "--timeout", "300ms")
    assert answer.code == 1
    assert "has not finished within 0.3 s; it goes on closing" in answer.err


# Schema ---------------------------------------------------------------------------------------------------------------


def test_upgrade_makes_a_new_store_and_leaves_a_current_one_alone(perpdesk: Call) -> None:
    assert perpdesk("db", "current", "--json").document["revision"] is None
    first = perpdesk("db", "upgrade", "--json").document
    again = perpdesk("db", "upgrade", "--json").document
    assert first["before"] is None
    assert again["before"] == again["after"] == first["after"]


def test_current_fails_until_the_tables_are_there(perpdesk: Call) -> None:
    assert perpdesk("db", "current").code == 1
    assert not SANDBOX.exists()
    perpdesk("db", "upgrade")
    assert perpdesk("db", "current").code == 0


def test_a_store_of_another_world_is_not_run_on(perpdesk: Call) -> None:
    fill_store(_one_open, world="live")
    answer = perpdesk("run", "--for", "1s")
    assert answer.code == 1
    assert "belongs to the live world" in answer.err


def test_a_second_desk_is_refused_with_the_holder(perpdesk: Call) -> None:
    fill_store(_nothing)
    with DeskLock(f"sqlite:///{SANDBOX}", ManualClock(1_000)):
        answer = perpdesk("run", "--for", "1s", "--json")
    assert answer.code == 1
    assert "is held by pid" in answer.document["error"]
    assert "since 1970-01-01T00:00:01Z" in answer.document["error"]
