"""Opening: first leg, hedge what filled, until both legs agree or both are flat."""

from decimal import Decimal

from perpdesk.arbitrage.legs import is_balanced, open_leg, set_right, trim, withdraw
from perpdesk.arbitrage.steps import Become, Situation, Step, is_pausing, tend_live_order
from perpdesk.domain.pairs import EntryStyle, Leg, PairState, Purpose


def decide_opening(s: Situation) -> list[Step]:
    """The next steps of a pair that is being opened; both legs may move at once."""
    if reversed_steps := set_right(s):
        return reversed_steps
    first, second = s.ledger.pair.first_leg, s.ledger.pair.first_leg.other
    is_first_bound, first_step = tend_live_order(s, first)
    steps = [step for step in (withdraw(s, first, s.settings.entry.maker_wait_ms) or first_step,) if step is not None]
    is_second_bound, second_step = tend_live_order(s, second)
    if is_second_bound:
        if is_first_bound and not is_balanced(s) and _is_naked_too_long(s):
            steps = _give_up(s, is_first_bound) or steps  # a hedge without an answer must not let more of it pile up
        return steps if second_step is None else [*steps, second_step]
    if not is_balanced(s):
        return steps + _balance(s, is_first_bound)
    if is_first_bound:
        return steps
    if s.ledger.held(first) > s.ledger.tolerance:
        return [Become(PairState.OPEN)]
    if s.ledger.attempts(first, Purpose.ENTRY) == 0:
        if s.now_ms - s.ledger.pair.decided_at_ms > s.settings.execution.order_ttl_ms:
            return [Become(PairState.CLOSING, "entry came too late")]
        is_resting = s.ledger.pair.entry_style is EntryStyle.MAKER
        entry = open_leg(s, first, Purpose.ENTRY, s.ledger.pair.size_target, 0, is_resting)
        return [] if entry is None else [entry]
    return [Become(PairState.CLOSING, "entry not filled")]


def _balance(s: Situation, is_first_bound: bool) -> list[Step]:
    """Hedge what the first leg filled beyond the second; take it back when that can not be done in time."""
    first, second = s.ledger.pair.first_leg, s.ledger.pair.first_leg.other
    missing = s.markets[second].floor_size(s.ledger.held(first) - s.ledger.held(second))
    if missing <= 0:
        return trim(s)
    attempts = s.ledger.shortfalls(second, Purpose.HEDGE)
    if attempts >= s.settings.execution.hedge_attempts_max or _is_naked_too_long(s):
        return _give_up(s, is_first_bound)
    if not _is_hedgeable(s, second, missing):
        return [] if is_first_bound else trim(s)  # while the first leg still fills, more may come to hedge at once
    if is_pausing(s, second, attempts):
        return []
    hedge = open_leg(s, second, Purpose.HEDGE, missing, attempts, is_resting=False)
    return [] if hedge is None else [hedge]


def _give_up(s: Situation, is_first_bound: bool) -> list[Step]:
    """No more hedging: the first leg stops filling at once, then goes back to what the second one holds."""
    if not is_first_bound:
        return trim(s)
    withdrawal = withdraw(s, s.ledger.pair.first_leg, 0)
    return [] if withdrawal is None else [withdrawal]


def _is_naked_too_long(s: Situation) -> bool:
    since_ms = s.ledger.unequal_since_ms(s.now_ms)
    return since_ms is not None and s.now_ms - since_ms > s.settings.execution.naked_ms_max


def _is_hedgeable(s: Situation, leg: Leg, size: Decimal) -> bool:
    """Whether the leg's venue takes an opening order this small; an unknown price leaves it to the venue."""
    book = s.books[leg]
    mid = None if book is None else book.mid
    return mid is None or s.markets[leg].accepts(size, Decimal(repr(mid)))
