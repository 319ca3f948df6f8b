"""Desks with a bug planted on purpose: what the fault simulation must find."""

from dataclasses import replace
from types import MappingProxyType

from perpdesk.arbitrage.engine import DECIDERS, Desk
from perpdesk.arbitrage.enter import decide_opening
from perpdesk.arbitrage.execute import Executor
from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.steps import PlaceOrder, SettleOrder, Situation, Step
from perpdesk.domain.pairs import OrderState, PairState, Purpose
from perpdesk.venues.base import OutcomeUnknown


class ResendingExecutor(Executor):
    """Takes a lost answer for a refusal, so that the next decision sends the order again."""

    async def settle(self, ledger: Ledger, step: SettleOrder) -> None:
        client_id = step.record.intent.client_id
        ledger.orders[client_id] = replace(ledger.orders[client_id], state=OrderState.FINAL, reason="no answer")
        await self._journal.update_order(ledger.orders[client_id])


class ResendOnUnknown(Desk):
    """Breaks invariant 3."""

    executor_type = ResendingExecutor


def hedge_the_configured_size(situation: Situation) -> list[Step]:
    """Opens the second leg with the size the pair wanted, whatever the first leg filled."""
    wanted = situation.ledger.pair.size_target
    return [
        replace(step, size=wanted) if isinstance(step, PlaceOrder) and step.purpose is Purpose.HEDGE else step
        for step in decide_opening(situation)
    ]


class HedgeConfiguredSize(Desk):
    """Breaks invariant 4."""

    deciders = MappingProxyType({**DECIDERS, PairState.OPENING: hedge_the_configured_size})


class WireFirstExecutor(Executor):
    """Sends the order, and journals it when the venue has answered."""

    async def place(self, ledger: Ledger, step: PlaceOrder) -> None:
        record = self._new_record(ledger, step)
        state = OrderState.ACCEPTED
        try:
            await self._venues[record.intent.venue].place(record.intent)
        except OutcomeUnknown:
            state = OrderState.UNKNOWN
        await self._journal.record_intent(replace(record, state=state))
        ledger.orders[record.intent.client_id] = replace(record, state=state)


class JournalAfterWire(Desk):
    """Breaks invariant 1."""

    executor_type = WireFirstExecutor
