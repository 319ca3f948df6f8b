"""What goes into the store comes out again, digit for digit; and each fill counts once however often it is reported."""

from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.store.examples import a_fill, a_pair

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.pairs import Pair
from perpdesk.store import Journal, Store
from perpdesk.store.ids import ORDER_NUMBER_MAX, PAIR_ID_MAX, SALT_MAX, ClientIdParts, client_id, split_client_id

T = TypeVar("T")

exact = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False),
    st.builds(
        lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
        st.integers(0, 1),
        st.lists(st.integers(0, 9), min_size=1, max_size=28).map(tuple),
        st.integers(-400, 400),
    ),
    st.sampled_from([Decimal("-0"), Decimal("0E-18"), Decimal("1E+3"), Decimal("9" * 28), Decimal("1E-28")]),
)


def finish(call: Coroutine[Any, Any, T]) -> T:
    """Result of a coroutine that never waits, as everything does over an inline store."""
    try:
        call.send(None)
    except StopIteration as finished:
        value: T = finished.value
        return value
    raise AssertionError("an inline store has waited")


def new_journal() -> Journal:
    journal = Journal(Store.open("sqlite:///:memory:", mode="inline", clock=ManualClock()), ManualClock(), Random(1))
    finish(journal.begin_run("simulation", 1, 1))
    return journal


JOURNAL = new_journal()


def spelled(pair: Pair) -> list[str]:
    return [str(getattr(pair, name)) for name in pair.__slots__]


@given(st.lists(exact, min_size=5, max_size=5))
def test_exact_numbers_survive_with_exponent_and_sign_of_zero(numbers: list[Decimal]) -> None:
    target, notional, naked, closed, price = numbers
    pair = replace(
        a_pair(1), size_target=target, notional_usd=notional, naked_usd_ms=naked, size_closed=closed, price_usd=price
    )
    added = finish(JOURNAL.add_pair(pair))
    loaded = finish(JOURNAL.load_pair(added.pair_id))
    assert loaded is not None
    assert spelled(loaded) == spelled(added) == spelled(replace(pair, pair_id=added.pair_id))


@given(st.integers(1, SALT_MAX), st.integers(1, PAIR_ID_MAX), st.integers(0, ORDER_NUMBER_MAX))
def test_a_client_id_tells_its_parts(salt: int, pair_id: int, number: int) -> None:
    assert split_client_id(client_id(salt, pair_id, number)) == ClientIdParts(salt, pair_id, number)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(list(VenueName)), st.sampled_from("1 2 3 4".split())), max_size=5),
        max_size=6,
    )
)
def test_every_fill_is_new_exactly_once(reports: list[list[tuple[VenueName, str]]]) -> None:
    journal = new_journal()
    fills = [[(a_fill(trade_id, venue=venue), None) for venue, trade_id in report] for report in reports]
    new = [entry for report in fills for entry in finish(journal.record_fills(report))]
    reported = {(venue, trade_id) for report in reports for venue, trade_id in report}
    assert len(new) == len(reported)
    assert {(fill.venue, fill.trade_id) for fill, _ in new} == reported


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=8), st.integers(-(2**53), 2**53) | st.text(max_size=8)))
def test_an_event_is_told_as_it_was_recorded(kind: str, document: dict[str, Any]) -> None:
    last = max((event.seq for event in finish(JOURNAL.load_events(limit=100_000))), default=0)
    finish(JOURNAL.record_events([(5, kind, document)]))
    (told,) = finish(JOURNAL.load_events(after_seq=last))
    assert told.document == document
    assert told.kind == kind.replace("\x00", "\ufffd")
