"""`perpdesk arb backtest`: options and output; what it does is in `perpdesk.worlds.backtest`."""

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
    from perpdesk.worlds.backtest import backtest_command

    config = open_session(common)
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
    import yaml

    console.print(yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=140), markup=False)
