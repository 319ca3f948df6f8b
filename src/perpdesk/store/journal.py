"""The desk's journal: every call is one transaction, and what it wrote is durable when it returns.

To commit several things together, hand `Store.run` a function that calls those of `store.pairs`, `store.orders` and so on.
"""

from collections.abc import Sequence
from random import Random

from sqlalchemy.engine import Connection

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill
from perpdesk.domain.pairs import OrderRecord, Pair
from perpdesk.store import commands, orders, pairs, trail
from perpdesk.store.cash import FILLS, PAYMENTS
from perpdesk.store.commands import Command, CommandState
from perpdesk.store.ids import SALT_MAX
from perpdesk.store.trail import Event, Json, Opportunity, Run
from perpdesk.store.writer import Store

_SALT = "salt"
_ERA = "era"


class Journal:
    """What a desk keeps, over a `Store`. Every method raises StoreUnavailable when the database fails; then nothing was kept.

    Args:
        clock: Stamps starts, ends and changes.
        random: Draws the salt of a new store's client order ids.
    """

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self.store = store
        self._clock = clock
        self._random = random
        self._run_id: int | None = None
        self._salt: int | None = None
        self._era: int | None = None

    # Runs ------------------------------------------------------------------------------------------------------------

    async def begin_run(self, world: str, seed: int | None, pid: int) -> int:
        """Note that a desk starts; later events and samples belong to this run. Returns its id."""
        at_ms = self._clock.wall_ms()
        self._run_id = await self.store.run(lambda c: trail.insert_run(c, world, seed, pid, at_ms))
        return self._run_id

    async def end_run(self, run_id: int, summary: Json) -> None:
        """Note that a run ended by itself."""
        at_ms = self._clock.wall_ms()
        await self.store.run(lambda c: trail.end_run(c, run_id, summary, at_ms))

    async def load_run(self, run_id: int) -> Run | None:
        return await self.store.read(lambda c: trail.select_run(c, run_id))

    async def load_runs(self, limit: int = 20) -> list[Run]:
        """The latest runs, newest first."""
        return await self.store.read(lambda c: trail.select_runs(c, limit))

    async def salt(self) -> int:
        """The store's part of every client order id, 1 to 4095: drawn once, the same for ever after."""
        if self._salt is None:
            held = await self.store.read(lambda c: trail.get_meta(c, _SALT))
            if held is None:
                drawn = str(self._random.randint(1, SALT_MAX))
                held = await self.store.run(lambda c: trail.add_meta(c, _SALT, drawn))
            self._salt = int(held)
        return self._salt

    # Pairs -----------------------------------------------------------------------------------------------------------

    async def add_pair(self, pair: Pair) -> Pair:
        """Write a new pair and return it with the id it was given; its own `pair_id` is ignored."""
        return await self.store.run(lambda c: pairs.insert_pair(c, pair))

    async def save_pair(self, pair: Pair) -> None:
        """Overwrite a pair; StoreError when it was never added."""
        await self.store.run(lambda c: pairs.update_pair(c, pair))

    async def load_pair(self, pair_id: int) -> Pair | None:
        return await self.store.read(lambda c: pairs.select_pair(c, pair_id))

    async def load_open_pairs(self) -> list[Pair]:
        """Pairs that have not ended, oldest first."""
        return await self.store.read(pairs.select_open_pairs)

    async def load_pairs(self, limit: int = 100, since_ms: int | None = None, run_id: int | None = None) -> list[Pair]:
        """The latest pairs, newest first, decided at or after `since_ms`, of one run or all."""
        return await self.store.read(lambda c: pairs.select_pairs(c, limit, since_ms, run_id))

    async def abandon_open_pairs(self, reason: str, at_ms: int) -> int:
        """Call this when the venues themselves begin anew (a new sandbox), never merely because a desk restarts.

        Pairs still alive end as ABANDONED, and a new era of fills and payments begins, in which venues may use their ids
        again. Returns how many pairs there were.
        """
        era = await self._current_era() + 1

        def work(c: Connection) -> int:
            trail.set_meta(c, _ERA, str(era))
            return pairs.abandon_pairs(c, reason, at_ms)

        count = await self.store.run(work)
        self._era = era
        return count

    # Orders ----------------------------------------------------------------------------------------------------------

    async def record_intent(self, order: OrderRecord) -> None:
        """Write an order down before a byte of it leaves; DuplicateOrder when its client id was used before."""
        at_ms = self._clock.wall_ms()
        await self.store.run(lambda c: orders.insert_order(c, order, at_ms))

    async def update_order(self, record: OrderRecord) -> None:
        """Overwrite what can change of an order; OrderNotJournalled when its intent was never recorded."""
        at_ms = self._clock.wall_ms()
        await self.store.run(lambda c: orders.update_order(c, record, at_ms))

    async def load_order(self, client_id: int) -> OrderRecord | None:
        return await self.store.read(lambda c: orders.select_order(c, client_id))

    async def load_orders(self, pair_id: int) -> list[OrderRecord]:
        """Orders of a pair, in the order of their client ids."""
        return await self.store.read(lambda c: orders.select_orders(c, pair_id))

    async def load_unsettled_orders(self) -> list[OrderRecord]:
        """Orders that are not final, of every pair."""
        return await self.store.read(orders.select_unsettled_orders)

    # Money -----------------------------------------------------------------------------------------------------------

    async def record_fills(self, entries: Sequence[tuple[Fill, int | None]]) -> list[tuple[Fill, int | None]]:
        """Keep (fill, pair id) entries; returns those that were new. A known fill that had no pair yet gets this one."""
        era = await self._current_era()
        return await self.store.run(lambda c: FILLS.insert(c, era, entries))

    async def record_payments(
        self, entries: Sequence[tuple[FundingPayment, int | None]]
    ) -> list[tuple[FundingPayment, int | None]]:
        """Keep (payment, pair id) entries, as `record_fills` does."""
        era = await self._current_era()
        return await self.store.run(lambda c: PAYMENTS.insert(c, era, entries))

    async def load_fills(self, pair_id: int) -> list[Fill]:
        """Fills of a pair, oldest first."""
        return await self.store.read(lambda c: FILLS.of_pair(c, pair_id))

    async def load_payments(self, pair_id: int) -> list[FundingPayment]:
        """Funding payments of a pair, oldest first."""
        return await self.store.read(lambda c: PAYMENTS.of_pair(c, pair_id))

    async def load_fills_since(self, since_ms: int) -> list[tuple[Fill, int | None]]:
        """(fill, pair id) of every venue at or after `since_ms`, oldest first, also those that belong to no pair."""
        era = await self._current_era()
        return await self.store.read(lambda c: FILLS.since(c, era, since_ms))

    async def load_payments_since(self, since_ms: int) -> list[tuple[FundingPayment, int | None]]:
        """(payment, pair id) of every venue at or after `since_ms`, oldest first."""
        era = await self._current_era()
        return await self.store.read(lambda c: PAYMENTS.since(c, era, since_ms))

    async def load_latest_fill_ms(self) -> dict[VenueName, int]:
        """Time of the newest fill by venue; a venue without one is missing."""
        era = await self._current_era()
        return await self.store.read(lambda c: FILLS.latest_ms(c, era))

    async def load_latest_payment_ms(self) -> dict[VenueName, int]:
        """Time of the newest funding payment by venue; a venue without one is missing."""
        era = await self._current_era()
        return await self.store.read(lambda c: PAYMENTS.latest_ms(c, era))

    async def _current_era(self) -> int:
        if self._era is None:
            self._era = int(await self.store.read(lambda c: trail.get_meta(c, _ERA)) or 0)
        return self._era

    # Trail -----------------------------------------------------------------------------------------------------------

    async def record_events(self, entries: Sequence[tuple[int, str, Json]]) -> None:
        """Append (at_ms, kind, document) entries to the audit trail of the current run."""
        run_id = self._run_id
        await self.store.run(lambda c: trail.insert_events(c, run_id, entries))

    async def load_events(
        self, limit: int = 1_000, after_seq: int = 0, run_id: int | None = None, kind: str | None = None
    ) -> list[Event]:
        """The first `limit` entries after `after_seq`, oldest first."""
        return await self.store.read(lambda c: trail.select_events(c, limit, after_seq, run_id, kind))

    async def sample_opportunities(self, samples: Sequence[Opportunity]) -> None:
        """Keep rows of the scan for later study."""
        run_id = self._run_id
        await self.store.run(lambda c: trail.insert_opportunities(c, run_id, samples))

    async def load_opportunities(self, limit: int = 1_000, since_ms: int = 0) -> list[Opportunity]:
        """The first `limit` samples at or after `since_ms`, oldest first."""
        return await self.store.read(lambda c: trail.select_opportunities(c, limit, since_ms))

    # Commands --------------------------------------------------------------------------------------------------------

    async def post_command(self, kind: str, argument: Json | None = None) -> int:
        """Ask the desk that runs on this store for something; returns the command's id."""
        at_ms = self._clock.wall_ms()
        return await self.store.run(lambda c: commands.insert_command(c, kind, argument, at_ms))

    async def take_pending_commands(self) -> list[Command]:
        """Commands to carry out, oldest first. Each stays pending until `finish_command`, so a crash loses none."""
        return await self.store.read(commands.select_pending_commands)

    async def finish_command(self, command_id: int, result: Json | None = None, error: str | None = None) -> None:
        """Say what came of a command: its result, or why it failed. StoreError when it is not pending."""
        at_ms = self._clock.wall_ms()
        state = CommandState.DONE if error is None else CommandState.FAILED
        document = (result or {}) if error is None else {"error": error}
        await self.store.run(lambda c: commands.finish_command(c, command_id, state, document, at_ms))

    async def load_command(self, command_id: int) -> Command | None:
        return await self.store.read(lambda c: commands.select_command(c, command_id))
