"""Holding: both legs stay equal; whatever makes them differ (a late fill, a liquidation) is taken back."""

from perpdesk.arbitrage.legs import is_balanced, set_right, trim
from perpdesk.arbitrage.steps import Become, Situation, Step, tend_live_order
from perpdesk.domain.pairs import Leg, PairState


def decide_holding(s: Situation) -> list[Step]:
    """The next steps of an open pair; nothing while its legs agree."""
    if reversed_steps := set_right(s):
        return reversed_steps
    steps: list[Step] = []
    is_bound = False
    for leg in Leg:
        leg_bound, step = tend_live_order(s, leg)
        is_bound = is_bound or leg_bound
        if step is not None:
            steps.append(step)
    if steps or is_bound:
        return steps
    if s.ledger.is_flat:
        return [Become(PairState.CLOSING, "legs gone")]
    return [] if is_balanced(s) else trim(s)
