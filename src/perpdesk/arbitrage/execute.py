"""Carries out single steps: journal, then wire, then what became of it. Nothing else in the desk sends orders."""

from collections.abc import Mapping
from dataclasses import replace

import structlog

from perpdesk.arbitrage.ledger import Ledger
from perpdesk.arbitrage.reconcile import Reconciler
from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.arbitrage.steps import AskOrder, CancelOrder, PlaceOrder, SettleOrder
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.orders import OrderIntent
from perpdesk.domain.pairs import OrderRecord, OrderState
from perpdesk.store.ids import client_id
from perpdesk.store.journal import Journal
from perpdesk.venues.base import NotSent, OrderRejected, OutcomeUnknown, RequestRefused, Venue

log = structlog.get_logger(__name__)


class Executor:
    """Sends orders and cancels, and settles what stayed unknown.

    Every method may raise VenueError or StoreUnavailable for what did not work; the record then still says what is
    known, and the next decision starts from it.
    """

    def __init__(
        self,
        venues: Mapping[VenueName, Venue],
        journal: Journal,
        reconciler: Reconciler,
        clock: Clock,
        settings: DeskSettings,
        salt: int,
    ) -> None:
        self._venues = venues
        self._journal = journal
        self._reconciler = reconciler
        self._clock = clock
        self._settings = settings
        self._salt = salt
        self.reported_at_ms: dict[int, int] = {}
        """When each order last got an answer of any kind, wall milliseconds by client id."""

    async def place(self, ledger: Ledger, step: PlaceOrder) -> None:
        """Journal the order durably, send it, and note what the venue answered."""
        record = self._new_record(ledger, step)
        await self._journal.record_intent(record)
        ledger.orders[record.intent.client_id] = record
        await self._send(ledger, record)

    async def _send(self, ledger: Ledger, record: OrderRecord) -> None:
        intent = record.intent
        log.info(
            "order_sent", venue=intent.venue, asset=intent.asset, purpose=record.purpose, client_id=intent.client_id
        )
        try:
            await self._venues[intent.venue].place(intent)
        except OutcomeUnknown as error:
            await self._note_answer(ledger, intent.client_id, OrderState.UNKNOWN, str(error))
        except (NotSent, RequestRefused) as error:
            await self._note_answer(ledger, intent.client_id, OrderState.FINAL, f"not sent: {error}")
        except OrderRejected as error:
            await self._note_answer(ledger, intent.client_id, OrderState.FINAL, str(error))
        else:
            await self._note_answer(ledger, intent.client_id, OrderState.ACCEPTED, "")

    async def _note_answer(self, ledger: Ledger, client_id: int, state: OrderState, reason: str) -> None:
        """Note how a submission was answered. What the venue reported of the order meanwhile weighs more.

        An order that shows on the venue and whose submission was answered no is a contradiction: it is settled.
        """
        if ledger.orders[client_id].state is OrderState.ACCEPTED:
            if state is not OrderState.FINAL:
                return
            state = OrderState.UNKNOWN
        await self._note(ledger, client_id, state, reason)

    async def settle(self, ledger: Ledger, step: SettleOrder) -> None:
        """Find out what became of an order with an unknown outcome; it stays frozen if that fails."""
        intent = step.record.intent
        report = await self._venues[intent.venue].settle(intent)
        if report is None:
            # An order that showed on the venue meanwhile was taken after all: its state is asked for like any other's.
            if ledger.orders[intent.client_id].state in (OrderState.JOURNALLED, OrderState.UNKNOWN):
                await self._note(ledger, intent.client_id, OrderState.FINAL, "never taken by the venue")
        elif changed := ledger.take_report(report):
            await self._journal.update_order(changed)
        await self._reconciler.sync_fills(intent.venue)
        self._heard(intent.client_id)

    async def ask(self, ledger: Ledger, step: AskOrder) -> None:
        """Ask for a silent order, or confirm one that ended short of its size.

        An order the venue accepted and does not know any more becomes unknown, and is settled next.
        """
        client_id = step.record.intent.client_id
        was_ended = ledger.orders[client_id].state is OrderState.ENDED
        self._heard(client_id)
        report = await self._venues[step.record.intent.venue].fetch_order(step.record.intent.asset, client_id)
        await self._reconciler.sync_fills(step.record.intent.venue)
        if report is not None:
            if changed := ledger.take_report(report):
                await self._journal.update_order(changed)
        elif ledger.orders[client_id].state is OrderState.ACCEPTED:
            await self._note(ledger, client_id, OrderState.UNKNOWN, "accepted, then not known to the venue")
        if was_ended:
            still_rests = report is not None and not report.status.is_final
            changed = ledger.take_back_end(client_id) if still_rests else ledger.confirm_end(client_id)
            if changed is not None:
                await self._journal.update_order(changed)

    async def cancel(self, ledger: Ledger, step: CancelOrder) -> None:
        """Ask for a cancel; the order counts as live until the venue reports its end.

        Wire first: a cancel only ever makes the account safer, and a store that fails must not hold it back.
        """
        intent = step.record.intent
        requested = replace(ledger.orders[intent.client_id], cancel_requested_at_ms=self._clock.wall_ms())
        ledger.orders[intent.client_id] = requested
        try:
            await self._venues[intent.venue].cancel(intent.asset, intent.client_id)
        except RequestRefused:  # it is not resting: filled, or gone already
            await self.ask(ledger, AskOrder(step.leg, requested))
        except (OutcomeUnknown, NotSent) as error:
            log.warning("cancel_unanswered", client_id=intent.client_id, venue=intent.venue, error=str(error))
        await self._journal.update_order(ledger.orders[intent.client_id])

    async def _note(self, ledger: Ledger, client_id: int, state: OrderState, reason: str) -> None:
        """Move a record on; evidence that arrived meanwhile is never overwritten by the answer to the submission."""
        self._heard(client_id)
        record = ledger.orders[client_id]
        if record.state in (OrderState.FINAL, OrderState.ENDED):
            return
        changed = replace(record, state=state, reason=reason or record.reason)
        ledger.orders[client_id] = changed
        await self._journal.update_order(changed)
        if state is not OrderState.ACCEPTED:
            log.warning(
                "order_ended" if state is OrderState.FINAL else "order_unknown", client_id=client_id, reason=reason
            )

    def _heard(self, client_id: int) -> None:
        self.reported_at_ms[client_id] = self._clock.wall_ms()

    def _new_record(self, ledger: Ledger, step: PlaceOrder) -> OrderRecord:
        pair, now_ms = ledger.pair, self._clock.wall_ms()
        intent = OrderIntent(
            client_id(self._salt, pair.pair_id, ledger.take_order_number()),
            pair.venue_of(step.leg),
            pair.asset,
            step.side,
            step.size,
            step.limit_price,
            step.time_in_force,
            step.is_reduce_only,
            now_ms + self._settings.execution.order_ttl_ms,
        )
        return OrderRecord(intent, pair.pair_id, step.leg, step.purpose, step.decision_mid, now_ms)
