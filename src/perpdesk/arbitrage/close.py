"""Closing: both legs at once, reduce-only, until both are flat."""

from perpdesk.arbitrage.legs import is_balanced, reduce_leg, withdraw
from perpdesk.arbitrage.steps import Become, PlaceOrder, RefreshBook, Situation, Step, tend_live_order
from perpdesk.domain.pairs import Leg, PairState, Purpose


def decide_closing(s: Situation) -> list[Step]:
    """The next steps of a pair that must end.

    While the legs agree they leave together or not at all: a leg whose book is stale holds the other one back. Once they
    differ, whatever can still be reduced is reduced.
    """
    steps = [step for leg in Leg if (step := _next_for(s, leg)) is not None]
    is_bound = any(tend_live_order(s, leg)[0] for leg in Leg)
    if not steps and not is_bound and s.ledger.is_flat:
        return [Become(PairState.CLOSED)]
    leave_together = is_balanced(s) and not is_bound and all(s.ledger.held(leg) > 0 for leg in Leg)
    can_both_leave = len(steps) == len(Leg) and all(isinstance(step, PlaceOrder) for step in steps)
    if leave_together and not can_both_leave:
        return [step for step in steps if isinstance(step, RefreshBook)]
    return steps


def _next_for(s: Situation, leg: Leg) -> Step | None:
    return withdraw(s, leg, 0) or reduce_leg(s, leg, Purpose.CLOSE, abs(s.ledger.held(leg)))
