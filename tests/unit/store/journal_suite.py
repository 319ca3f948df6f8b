"""What every database must do for the journal. Run on SQLite by `test_journal.py`, on PostgreSQL by `tests/services`."""

from dataclasses import replace
from decimal import Decimal

import pytest

from perpdesk.domain.assets import VenueName
from perpdesk.domain.pairs import OrderState, PairState
from perpdesk.store import DuplicateOrder, Journal, OrderNotJournalled, StoreError
from perpdesk.store.commands import CommandState
from perpdesk.store.ids import PAIR_ID_MAX, SALT_MAX
from perpdesk.store.tables import pairs
from perpdesk.store.trail import Opportunity
from tests.unit.store.examples import a_fill, a_pair, a_payment, an_order
from tests.unit.store.fixtures import NOW_MS, Database

# Runs -----------------------------------------------------------------------------------------------------------------


async def test_a_run_that_was_killed_has_no_end(database: Database) -> None:
    run_id = await database.journal().begin_run("live", seed=None, pid=77)
    run = await database.journal().load_run(run_id)
    assert run is not None
    assert (run.world, run.seed, run.pid, run.started_at_ms) == ("live", None, 77, NOW_MS)
    assert run.ended_at_ms is None
    assert run.summary is None


async def test_a_run_keeps_its_summary_and_end(journal: Journal, database: Database) -> None:
    database.clock.advance_ms(5_000)
    await journal.end_run(1, {"pairs": 2, "pnl_usd": Decimal("1.50")})
    run = await journal.load_run(1)
    assert run is not None
    assert run.ended_at_ms == NOW_MS + 5_000
    assert run.summary == {"pairs": 2, "pnl_usd": "1.50"}


async def test_a_seed_of_sixty_three_bits_is_kept(journal: Journal) -> None:
    run_id = await journal.begin_run("simulation", seed=2**63 - 1, pid=1)
    run = await journal.load_run(run_id)
    assert run is not None
    assert run.seed == 2**63 - 1


async def test_runs_are_listed_newest_first(journal: Journal) -> None:
    await journal.begin_run("sandbox", 2, 124)
    await journal.begin_run("sandbox", 3, 125)
    assert [run.run_id for run in await journal.load_runs(limit=2)] == [3, 2]


async def test_ending_an_unknown_run_is_an_error(journal: Journal) -> None:
    with pytest.raises(StoreError, match="run 99 is not in the store"):
        await journal.end_run(99, {})


async def test_a_run_that_does_not_exist_is_none(journal: Journal) -> None:
    assert await journal.load_run(99) is None


async def test_the_salt_is_drawn_once_per_store(database: Database) -> None:
    first = await database.journal(seed=1).salt()
    second = await database.journal(seed=2).salt()
    assert first == second
    assert 1 <= first <= SALT_MAX


# Pairs ----------------------------------------------------------------------------------------------------------------


async def test_a_pair_gets_an_id_and_is_kept_whole(journal: Journal) -> None:
    added = await journal.add_pair(a_pair(run_id=1))
    assert added == replace(a_pair(run_id=1), pair_id=1)
    assert await journal.load_pair(1) == added


async def test_every_field_of_a_pair_survives_saving(journal: Journal) -> None:
    added = await journal.add_pair(a_pair(run_id=1))
    changed = replace(
        added,
        state=PairState.CLOSED,
        opened_at_ms=2_000,
        closing_at_ms=3_000,
        closed_at_ms=4_000,
        exit_reason="edge gone",
        naked_ms=120,
        naked_ms_max=80,
        naked_usd_ms=Decimal("1234.5000"),
        size_closed=Decimal("1200.50"),
        price_usd=Decimal("-0.10"),
        funding_usd=Decimal("0.25"),
        fees_usd=Decimal("-0.01"),
        slippage_usd=Decimal("0E-8"),
    )
    await journal.save_pair(changed)
    loaded = await journal.load_pair(added.pair_id)
    assert loaded == changed
    assert str(loaded.slippage_usd) == "0E-8"


async def test_pair_ids_are_not_used_twice(journal: Journal) -> None:
    first = await journal.add_pair(a_pair(run_id=1))
    await journal.store.run(lambda c: c.execute(pairs.delete()).rowcount)
    second = await journal.add_pair(a_pair(run_id=1))
    assert second.pair_id > first.pair_id


async def test_a_store_out_of_pair_ids_says_so_and_writes_nothing(journal: Journal) -> None:
    row = {**{f: getattr(a_pair(1), f) for f in a_pair(1).__slots__}, "pair_id": PAIR_ID_MAX + 1}
    await journal.store.run(lambda c: c.execute(pairs.insert(), row).rowcount)
    if journal.store.engine.dialect.name == "postgresql":
        await journal.store.run(
            lambda c: c.exec_driver_sql(f"SELECT setval('pairs_pair_id_seq', {PAIR_ID_MAX + 1})").scalar()
        )
    with pytest.raises(StoreError, match="start a new store"):
        await journal.add_pair(a_pair(run_id=1))
    assert len(await journal.load_pairs()) == 1


async def test_saving_an_unknown_pair_is_an_error(journal: Journal) -> None:
    with pytest.raises(StoreError, match="pair 9 is not in the store"):
        await journal.save_pair(replace(a_pair(run_id=1), pair_id=9))


async def test_open_pairs_are_those_that_have_not_ended(journal: Journal) -> None:
    for state in PairState:
        await journal.add_pair(a_pair(run_id=1, state=state))
    loaded = await journal.load_open_pairs()
    assert [pair.state for pair in loaded] == [PairState.OPENING, PairState.OPEN, PairState.CLOSING]


async def test_pairs_are_listed_newest_first_and_can_be_limited(journal: Journal) -> None:
    await journal.begin_run("sandbox", 2, 124)
    for run_id, at_ms in ((1, 1_000), (2, 2_000), (2, 3_000)):
        await journal.add_pair(a_pair(run_id, decided_at_ms=at_ms))
    assert [pair.decided_at_ms for pair in await journal.load_pairs(limit=2)] == [3_000, 2_000]
    assert [pair.decided_at_ms for pair in await journal.load_pairs(since_ms=2_000)] == [3_000, 2_000]
    assert [pair.decided_at_ms for pair in await journal.load_pairs(run_id=1)] == [1_000]


async def test_abandoning_ends_only_pairs_that_are_alive(journal: Journal) -> None:
    await journal.add_pair(a_pair(run_id=1, state=PairState.CLOSED))
    await journal.add_pair(a_pair(run_id=1, state=PairState.OPEN))
    assert await journal.abandon_open_pairs("sandbox is gone", at_ms=9_000) == 1
    closed, abandoned = sorted(await journal.load_pairs(), key=lambda pair: pair.pair_id)
    assert closed.state is PairState.CLOSED
    assert (abandoned.state, abandoned.exit_reason, abandoned.closed_at_ms) == (
        PairState.ABANDONED,
        "sandbox is gone",
        9_000,
    )


# Orders ---------------------------------------------------------------------------------------------------------------


async def test_an_order_is_kept_whole(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    order = an_order(pair.pair_id)
    await journal.record_intent(order)
    assert await journal.load_orders(pair.pair_id) == [order]
    assert await journal.load_order(order.intent.client_id) == order


async def test_a_client_id_is_journalled_only_once(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    order = an_order(pair.pair_id)
    await journal.record_intent(order)
    with pytest.raises(DuplicateOrder, match=str(order.intent.client_id)):
        await journal.record_intent(replace(order, reason="again"))
    assert await journal.load_orders(pair.pair_id) == [order]


async def test_a_changed_order_is_kept(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    order = an_order(pair.pair_id)
    await journal.record_intent(order)
    changed = replace(
        order,
        state=OrderState.FINAL,
        filled_reported=Decimal("600.0"),
        reason="canceled by user",
        cancel_requested_at_ms=2_500,
    )
    await journal.update_order(changed)
    assert await journal.load_orders(pair.pair_id) == [changed]


async def test_changing_an_order_that_was_never_journalled_is_an_error(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    with pytest.raises(OrderNotJournalled, match="record its intent first"):
        await journal.update_order(an_order(pair.pair_id))


async def test_unsettled_orders_are_all_but_final_ones(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    for number, state in enumerate(OrderState):
        await journal.record_intent(replace(an_order(pair.pair_id, number), state=state))
    states = [order.state for order in await journal.load_unsettled_orders()]
    assert states == [state for state in OrderState if state is not OrderState.FINAL]


async def test_an_order_of_no_pair_is_refused(journal: Journal) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await journal.record_intent(an_order(pair_id=5))
    assert await journal.load_unsettled_orders() == []
    assert journal.store.is_healthy


async def test_a_reason_that_is_not_proper_text_is_kept_readable(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    await journal.record_intent(replace(an_order(pair.pair_id), reason="bad\x00\udc80 – price"))
    (order,) = await journal.load_orders(pair.pair_id)
    assert order.reason == "bad\ufffd? – price"


# Money ----------------------------------------------------------------------------------------------------------------


async def test_fills_are_kept_whole_and_oldest_first(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    late, early = a_fill("1", at_ms=3_000), replace(a_fill("2", at_ms=2_000), client_id=2**48 - 1)
    assert await journal.record_fills([(late, pair.pair_id), (early, pair.pair_id)]) == [
        (late, pair.pair_id),
        (early, pair.pair_id),
    ]
    assert await journal.load_fills(pair.pair_id) == [early, late]


async def test_a_fill_reported_twice_is_new_once(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    entry = (a_fill("1"), pair.pair_id)
    assert await journal.record_fills([entry, entry]) == [entry]
    assert await journal.record_fills([entry, (a_fill("2"), pair.pair_id)]) == [(a_fill("2"), pair.pair_id)]
    assert len(await journal.load_fills(pair.pair_id)) == 2


async def test_the_same_trade_id_elsewhere_is_another_fill(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    fills = [a_fill("1"), a_fill("1", venue=VenueName.LIGHTER), replace(a_fill("1"), asset="BTC")]
    assert len(await journal.record_fills([(fill, pair.pair_id) for fill in fills])) == 3


async def test_a_fill_without_a_pair_gets_one_when_it_is_known(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    await journal.record_fills([(a_fill("1"), None)])
    assert await journal.load_fills(pair.pair_id) == []
    assert await journal.record_fills([(a_fill("1"), pair.pair_id)]) == []
    assert await journal.load_fills(pair.pair_id) == [a_fill("1")]


async def test_a_fill_never_changes_its_pair(journal: Journal) -> None:
    first, second = [await journal.add_pair(a_pair(run_id=1)) for _ in range(2)]
    await journal.record_fills([(a_fill("1"), first.pair_id)])
    await journal.record_fills([(a_fill("1"), second.pair_id)])
    assert await journal.load_fills(first.pair_id) == [a_fill("1")]
    assert await journal.load_fills(second.pair_id) == []


async def test_recording_no_fills_is_harmless(journal: Journal) -> None:
    assert await journal.record_fills([]) == []


async def test_a_trade_id_with_a_stray_byte_is_still_new_once(journal: Journal) -> None:
    entry = (a_fill("1\x00"), None)
    assert await journal.record_fills([entry]) == [entry]
    assert await journal.record_fills([entry]) == []


async def test_fills_since_a_time_include_those_of_no_pair(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    await journal.record_fills([(a_fill("1", 1_000), None), (a_fill("2", 2_000), None), (a_fill("3", 3_000), 1)])
    assert await journal.load_fills_since(2_000) == [(a_fill("2", 2_000), None), (a_fill("3", 3_000), pair.pair_id)]


async def test_payments_are_kept_once(journal: Journal) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    payment = a_payment("PEPE-1")
    unsized = replace(a_payment("PEPE-2", at_ms=7_200_000), size=None)
    assert len(await journal.record_payments([(payment, pair.pair_id), (unsized, pair.pair_id)])) == 2
    assert await journal.record_payments([(payment, pair.pair_id)]) == []
    assert await journal.load_payments(pair.pair_id) == [payment, unsized]
    assert await journal.load_payments_since(7_200_000) == [(unsized, pair.pair_id)]


async def test_latest_times_are_told_by_venue(journal: Journal) -> None:
    await journal.record_fills(
        [(a_fill("1", 5_000), None), (a_fill("2", 4_000), None), (a_fill("1", 3_000, VenueName.LIGHTER), None)]
    )
    await journal.record_payments([(a_payment("p", 6_000), None)])
    assert await journal.load_latest_fill_ms() == {VenueName.HYPERLIQUID: 5_000, VenueName.LIGHTER: 3_000}
    assert await journal.load_latest_payment_ms() == {VenueName.LIGHTER: 6_000}


async def test_a_new_sandbox_may_use_trade_ids_again(journal: Journal, database: Database) -> None:
    """Otherwise its fills would pass for duplicates and silently be lost."""
    await journal.record_fills([(a_fill("1", at_ms=9_000), None)])
    await journal.abandon_open_pairs("sandbox is gone", at_ms=9_500)
    restarted = database.journal()
    assert await restarted.load_latest_fill_ms() == {}
    for desk in (journal, restarted):
        again = (a_fill("1", at_ms=10_000), None)
        assert await desk.record_fills([again]) == ([again] if desk is journal else [])


# Trail ----------------------------------------------------------------------------------------------------------------


async def test_events_are_told_in_their_order(journal: Journal) -> None:
    await journal.record_events([(10, "pair_opened", {"pair_id": 1}), (10, "order_sent", {"size": Decimal("1.20")})])
    await journal.record_events([(9, "pair_closed", {"why": "é\x00"})])
    told = await journal.load_events()
    assert [(e.run_id, e.at_ms, e.kind, e.document) for e in told] == [
        (1, 10, "pair_opened", {"pair_id": 1}),
        (1, 10, "order_sent", {"size": "1.20"}),
        (1, 9, "pair_closed", {"why": "é\x00"}),
    ]


async def test_events_can_be_read_on_from_where_one_stopped(journal: Journal) -> None:
    await journal.record_events([(at_ms, "tick", {}) for at_ms in range(5)])
    first = await journal.load_events(limit=3)
    rest = await journal.load_events(after_seq=first[-1].seq)
    assert [event.at_ms for event in (*first, *rest)] == [0, 1, 2, 3, 4]


async def test_events_can_be_chosen_by_run_and_kind(journal: Journal) -> None:
    await journal.record_events([(1, "a", {}), (2, "b", {})])
    await journal.begin_run("sandbox", 2, 124)
    await journal.record_events([(3, "a", {})])
    assert [event.at_ms for event in await journal.load_events(kind="a")] == [1, 3]
    assert [event.at_ms for event in await journal.load_events(kind="a", run_id=2)] == [3]


async def test_recording_no_events_is_harmless(journal: Journal) -> None:
    await journal.record_events([])
    assert await journal.load_events() == []


async def test_opportunities_are_kept_with_their_numbers(journal: Journal) -> None:
    samples = [
        Opportunity(at_ms, "BTC", VenueName.LIGHTER, VenueName.EXTENDED, {"net_bps": 1.5, "refused": ["depth"]})
        for at_ms in (1_000, 2_000)
    ]
    await journal.sample_opportunities(samples)
    assert await journal.load_opportunities() == samples
    assert await journal.load_opportunities(since_ms=1_001) == samples[1:]


# Commands -------------------------------------------------------------------------------------------------------------


async def test_a_second_process_can_ask_and_read_the_answer(database: Database) -> None:
    desk, asker = database.journal(), database.journal()
    command_id = await asker.post_command("close", {"pair_id": 3})
    (command,) = await desk.take_pending_commands()
    assert (command.command_id, command.kind, command.argument) == (command_id, "close", {"pair_id": 3})
    database.clock.advance_ms(40)
    await desk.finish_command(command_id, result={"closed": True})
    answered = await asker.load_command(command_id)
    assert answered is not None
    assert (answered.state, answered.result) == (CommandState.DONE, {"closed": True})
    assert (answered.created_at_ms, answered.done_at_ms) == (NOW_MS, NOW_MS + 40)
    assert await desk.take_pending_commands() == []


async def test_a_command_stays_pending_until_it_is_finished(database: Database) -> None:
    await database.journal().post_command("close")
    assert len(await database.journal().take_pending_commands()) == 1
    assert len(await database.journal().take_pending_commands()) == 1


async def test_a_failed_command_says_why(journal: Journal) -> None:
    command_id = await journal.post_command("close", {"pair_id": 3})
    await journal.finish_command(command_id, error="pair 3 has ended")
    command = await journal.load_command(command_id)
    assert command is not None
    assert (command.state, command.result) == (CommandState.FAILED, {"error": "pair 3 has ended"})


async def test_a_command_is_finished_only_once(journal: Journal) -> None:
    command_id = await journal.post_command("close")
    await journal.finish_command(command_id)
    with pytest.raises(StoreError, match="not pending"):
        await journal.finish_command(command_id, error="late")


async def test_a_command_that_was_never_asked_is_none(journal: Journal) -> None:
    assert await journal.load_command(5) is None


# Restarts -------------------------------------------------------------------------------------------------------------


async def test_a_restarted_desk_finds_what_the_last_one_committed(journal: Journal, database: Database) -> None:
    pair = await journal.add_pair(a_pair(run_id=1))
    order, fill, payment = an_order(pair.pair_id), a_fill("1"), a_payment("1")
    await journal.record_intent(order)
    await journal.record_fills([(fill, pair.pair_id)])
    await journal.record_payments([(payment, pair.pair_id)])
    restarted = database.journal()
    assert await restarted.load_open_pairs() == [pair]
    assert await restarted.load_unsettled_orders() == [order]
    assert await restarted.load_fills(pair.pair_id) == [fill]
    assert await restarted.load_payments(pair.pair_id) == [payment]
