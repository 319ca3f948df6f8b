"""Carries out what other processes ask of a running desk through its store: `close` one asset, or `close_all`."""

import structlog

from perpdesk.arbitrage.engine import Desk
from perpdesk.domain.clock import Clock
from perpdesk.domain.numbers import ZERO, plain
from perpdesk.domain.pairs import Pair
from perpdesk.store.commands import Command
from perpdesk.store.failures import StoreError, StoreUnavailable
from perpdesk.store.journal import Journal

log = structlog.get_logger(__name__)

CLOSE = "close"
CLOSE_ALL = "close_all"
POLL_MS = 500


class CommandDesk:
    """Polls the journal for commands and finishes each when the pairs it concerns have ended.

    A command stays pending in the store until then, so one that outlives its desk is taken up by the next desk.
    """

    def __init__(self, desk: Desk, journal: Journal, clock: Clock) -> None:
        self._desk = desk
        self._journal = journal
        self._clock = clock
        self._under_way: dict[int, list[int]] = {}

    async def run(self) -> None:
        """Poll until cancelled; a failing store is tried again."""
        while True:
            try:
                await self.step()
            except StoreError as error:
                log.warning("commands_not_read", error=str(error))
            await self._clock.sleep_ms(POLL_MS)

    async def step(self) -> None:
        """Start what is new and finish what is done."""
        for command in await self._journal.take_pending_commands():
            if command.command_id not in self._under_way:
                await self._start(command)
        for command_id, pair_ids in list(self._under_way.items()):
            await self._follow(command_id, pair_ids)

    async def _start(self, command: Command) -> None:
        asset = None
        if command.kind == CLOSE:
            asset = str((command.argument or {}).get("asset", ""))
        elif command.kind != CLOSE_ALL:
            await self._journal.finish_command(command.command_id, error=f"this desk knows no command {command.kind!r}")
            return
        pair_ids = [led.pair.pair_id for led in self._desk.portfolio.open if asset in (None, led.pair.asset)]
        if asset is not None and not pair_ids:
            await self._journal.finish_command(command.command_id, error=f"no pair of {asset} is open")
            return
        log.info("command_taken", command_id=command.command_id, kind=command.kind, asset=asset, pair_ids=pair_ids)
        self._under_way[command.command_id] = pair_ids

    async def _follow(self, command_id: int, pair_ids: list[int]) -> None:
        """Ask again each time: a request that met a busy pair was dropped."""
        ledgers = [self._desk.portfolio.ledgers[pair_id] for pair_id in pair_ids]
        for ledger in ledgers:
            if not ledger.pair.state.is_ended:
                self._desk.request_close(ledger.pair.asset, "closed by command")
        if all(ledger.pair.state.is_ended for ledger in ledgers):
            closed = [pair_result(ledger.pair) for ledger in ledgers]
            try:
                await self._journal.finish_command(command_id, result={"closed": closed})
            except StoreUnavailable:
                raise  # still pending: told again at the next step
            except StoreError as error:
                log.warning("command_finished_elsewhere", command_id=command_id, error=str(error))
            del self._under_way[command_id]


def pair_result(pair: Pair) -> dict[str, object]:
    """What an ended pair brought, for a command's result; money as text, exact, None where it was not accounted."""
    parts = {"price": pair.price_usd, "funding": pair.funding_usd, "fees": pair.fees_usd, "slippage": pair.slippage_usd}
    known = [usd for usd in parts.values() if usd is not None]
    total = sum(known, ZERO) if len(known) == len(parts) else None
    return {
        "pair_id": pair.pair_id,
        "asset": pair.asset,
        "exit_reason": pair.exit_reason,
        "pnl_usd": {name: None if usd is None else plain(usd) for name, usd in {**parts, "total": total}.items()},
    }


async def refuse_pending(journal: Journal, reason: str) -> None:
    """Fail every command still waiting."""
    for command in await journal.take_pending_commands():
        await journal.finish_command(command.command_id, error=reason)
