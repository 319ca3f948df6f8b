"""`perpdesk arb backtest`: options and output; what it does is in `perpdesk.worlds.backtest`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from perpdesk.cli.options import Common, Refused, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def backtest(
    *,
    data: Annotated[Path, Parameter(help="Folder with funding_rates.parquet and candles_1h.parquet")],
    coins: Annotated[str | None, Parameter(help="Only these, such as BTC,ETH")] = None,
    venues: Annotated[str | None, Parameter(help="Only these, such as hyperliquid,lighter")] = None,
    from_: Annotated[str | None, Parameter(name="--from", help="First day or month, such as 2025-10")] = None,
    to: Annotated[str | None, Parameter(help="Last day or month, included")] = None,
    out: Annotated[
        Path | None, Parameter(help="Folder for trades, report and result; var/backtest-TIME without")
    ] = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Run the same desk in virtual time over recorded funding and candles, and say what the months would have paid."""
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import open_session
    from perpdesk.history.rows import DataUnusable
    from perpdesk.telemetry.logs import configure_logs
    from perpdesk.worlds.backtest import backtest_command

    config = open_session(common)
    # What the simulated wire says in a replayed year belongs to no one.
    configure_logs("debug" if config.log.level == "debug" else "error", sys.stderr)
    try:
        document = backtest_command(data, coins, venues, from_, to, out, config.desk)
    except DataUnusable as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename or out} can not be written or read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    emit(document, common.json, lambda console: _print(console, document))
    return 0


def _print(console: "Console", document: dict[str, Any]) -> None:
    from perpdesk.cli.output import number, table

    console.print(f"{', '.join(document['venues'])}: {document['from'][:10]} to {document['to'][:10]}")
    money = ("price_usd", "funding_usd", "fees_usd", "slippage_usd", "net_usd")
    rows = []
    for row in (*document["pairs"], {"coin": "total", **document["total"]}):
        hours = (f"{row['hours_covered']:,}", f"{row['hours_skipped']:,}", f"{row['trades']:,}")
        cells = [number(row[key], 2, signed=True) for key in money]
        shares = (number(row["annualised_return_pct"], 1, signed=True), number(row["time_in_market_pct"], 1))
        refused = ", ".join(f"{name} {count:,}" for name, count in row["refusals"].items()) or "nothing"
        rows.append((row["coin"], *hours, *cells, *shares, refused))
    columns = (
        "coin",
        "hours",
        "skipped",
        "trades",
        "price",
        "funding",
        "fees",
        "slippage",
        "net USD",
        "% a year",
        "% in market",
    )
    console.print(table(None, (*columns, "hours refused for"), rows, right=tuple(range(1, 11))))
    for warning in document["warnings"]:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)
    for assumption in document["assumptions"]:
        console.print(f"- {assumption}", soft_wrap=True, markup=False)
    for path in document["files"].values():
        console.print(f"written: {path}", soft_wrap=True, markup=False)
