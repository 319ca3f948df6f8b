"""Closing: both legs at once, reduce-only, until both are flat."""

from perpdesk.arbitrage.legs import is_balanced, reduce_leg
from perpdesk.arbitrage.steps import Become, CancelOrder, PlaceOrder, RefreshBook, Situation, Step, tend_live_order
from perpdesk.domain.orders import TimeInForce
from perpdesk.domain.pairs import Leg, OrderState, PairState, Purpose


def decide_closing(s: Situation) -> list[Step]:
    """The next steps of a pair that must end.

    While the legs agree they leave together or not at all: a leg whose book is stale holds the other one back. Once they
    differ, whatever can still be reduced is reduced.
    """
    steps = [step for leg in Leg if (step := _next_for(s, leg)) is not None]
    is_bound = any(tend_live_order(s, leg)[0] for leg in Leg)
    if not steps and not is_bound and s.ledger.is_flat:
        return [Become(PairState.CLOSED)]
    blind = [step for step in steps if isinstance(step, RefreshBook)]
    if blind and is_balanced(s) and not is_bound:
        return list(blind)
    if is_balanced(s) and not is_bound and len([s_ for s_ in steps if isinstance(s_, PlaceOrder)]) == 1:
        return []  # the other leg is pausing: wait for it
    return steps


def _next_for(s: Situation, leg: Leg) -> Step | None:
    record = s.ledger.live_order(leg)
    is_resting_entry = (
        record is not None
        and leg not in s.busy
        and record.state is OrderState.ACCEPTED
        and record.intent.time_in_force in (TimeInForce.POST_ONLY, TimeInForce.GTC)
        and record.cancel_requested_at_ms is None
    )
    if record is not None and is_resting_entry:
        return CancelOrder(leg, record)
    return reduce_leg(s, leg, Purpose.CLOSE, s.ledger.held(leg))
