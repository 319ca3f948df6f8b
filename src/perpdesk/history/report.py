"""The backtest as one HTML file that opens anywhere: no script, no request, readable on paper."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from perpdesk.history.chart import equity_svg
from perpdesk.history.statistics import Curve
from perpdesk.history.trades import Trade, utc

TRADES_SHOWN_MAX = 500

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --hole: #8882; --bad: #c33; --good: #2a7; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; white-space: normal; }
tr.total td { font-weight: 600; border-top: 2px solid var(--line); }
.wide { overflow-x: auto; } .bad { color: var(--bad); } .good { color: var(--good); } .soft { opacity: .7; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; opacity: .7; }
svg .grid { stroke: var(--line); } svg .axis { stroke: currentColor; opacity: .5; }
.hole { fill: var(--hole); background: var(--hole); }
.legend span { margin-right: 1rem; } .legend i { display: inline-block; width: 14px; height: 8px; margin-right: 5px; }
"""

_MONEY = (
    ("funding_usd", "funding"),
    ("price_usd", "price"),
    ("fees_usd", "fees"),
    ("slippage_usd", "slippage"),
    ("basis_unclaimed_usd", "not claimed"),
    ("net_usd", "net"),
)


def render_report(
    document: Mapping[str, Any], total: Curve, curves: Mapping[str, Curve], trades: Sequence[Trade]
) -> str:
    """The whole page.

    Args:
        document: What `worlds.backtest.backtest_command` returns. total, curves: Net USD over time, in all and by coin.
    """
    title = f"Backtest {' and '.join(document['venues'])}, {document['from'][:10]} to {document['to'][:10]}"
    sections = [
        f"<h1>{escape(title)}</h1>",
        _headline(document),
        equity_svg(total, curves),
        "<h2>Results, USD</h2>",
        _results(document),
        "<h2>Why no pair was open</h2>",
        "<p>Covered hours without a pair, by the first check that failed.</p>",
        _refusals(document),
        "<h2>Trades</h2>",
        _trades(trades),
        "<h2>What these numbers rest on</h2>",
        _list(document["assumptions"]),
        "<h2>Data</h2>",
        _quality(document["data_quality"]),
        "<h2>Settings</h2>",
        _table(("setting", "value"), _leaves("", document["settings"])),
        "<p>Stretched to hourly data, without effect on what is traded:</p>",
        _table(("setting", "value"), _leaves("", document["pacing"])),
    ]
    warnings = document["warnings"]
    if warnings:
        sections.insert(2, f'<div class="bad">{_list(warnings)}</div>')
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _headline(document: Mapping[str, Any]) -> str:
    total = document["total"]
    earned = "earned" if total["net_usd"] > 0 else "lost" if total["net_usd"] < 0 else "neither earned nor lost"
    sum_text = f"{earned} {abs(total['net_usd']):.2f} USD" if total["net_usd"] else earned
    yearly = total["annualised_return_pct"]
    on_capital = "" if yearly is None else f" That is {yearly:.1f} % a year on the capital while it was in use."
    sentence = (
        f"{total['trades']} trades {sum_text} net of all costs.{on_capital} "
        f"Pairs were open for {total['hours_in_market']:.0f} of {total['hours_covered']} covered coin-hours."
        if total["trades"]
        else "The desk refused every hour: no trade would have paid by these settings."
    )
    return f"<p>{escape(sentence)}</p>"


def _results(document: Mapping[str, Any]) -> str:
    head = (
        "coin",
        "hours",
        "skipped",
        "assumed",
        "trades",
        *(name for _, name in _MONEY),
        "drawdown",
        "% a year",
        "% in market",
    )
    rows = [(row["coin"], row) for row in document["pairs"]] + [("total", document["total"])]
    cells = [_row([name, *_figures(row)], "total" if name == "total" else "") for name, row in rows]
    return _wide(_row(head, cell="th") + "".join(cells))


def _figures(row: Mapping[str, Any]) -> list[str]:
    counts = [str(row[key]) for key in ("hours_covered", "hours_skipped", "price_assumed", "trades")]
    money = [f"{row[key]:.2f}" for key, _ in _MONEY]
    rest = [f"{row['max_drawdown_usd']:.2f}", _maybe(row["annualised_return_pct"]), _maybe(row["time_in_market_pct"])]
    return counts + money + rest


def _refusals(document: Mapping[str, Any]) -> str:
    reasons = document["total"]["refusals"]
    coins = [row["coin"] for row in document["pairs"]]
    rows = [
        [reason, *(str(row["refusals"].get(reason, 0)) for row in document["pairs"]), str(count)]
        for reason, count in reasons.items()
    ]
    return _table(("check", *coins, "total"), rows) if rows else "<p>There was none.</p>"


def _trades(trades: Sequence[Trade]) -> str:
    if not trades:
        return "<p>There was none.</p>"
    head = ("coin", "long / short", "opened (UTC)", "hours", "USD per leg", *(name for _, name in _MONEY), "exit")
    shown = "".join(_trade_row(trade) for trade in trades[:TRADES_SHOWN_MAX])
    left = len(trades) - TRADES_SHOWN_MAX
    more = f"<p>{left} more are in trades.parquet.</p>" if left > 0 else ""
    return _wide(_row(head, cell="th") + shown) + more


def _trade_row(trade: Trade) -> str:
    row = trade.as_row()
    money = [f"{row[key]:.3f}" for key, _ in _MONEY]
    cells = [
        trade.coin,
        f"{trade.long_venue} / {trade.short_venue}",
        f"{utc(trade.opened_at_ms):%Y-%m-%d %H:%M}",
        f"{trade.hours:.1f}",
        f"{row['notional_usd']:.0f}",
        *money,
        trade.exit_reason,
    ]
    return _row(cells, "good" if trade.net_usd > 0 else "")


def _quality(quality: Mapping[str, Any]) -> str:
    return _table(("", ""), _leaves("", quality))


def _leaves(key: str, node: Any) -> list[list[str]]:
    """Nested values as rows of a dotted name and a value."""
    if isinstance(node, Mapping):
        inner = [row for name, value in node.items() for row in _leaves(f"{key}.{name}" if key else str(name), value)]
        return inner or [[key, "none"]]
    return [[key, ", ".join(map(str, node)) if isinstance(node, list | tuple) else str(node)]]


def _maybe(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _row(cells: Iterable[str], css: str = "", cell: str = "td") -> str:
    inside = "".join(f"<{cell}>{escape(text)}</{cell}>" for text in cells)
    return f'<tr class="{css}">{inside}</tr>' if css else f"<tr>{inside}</tr>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return _wide(_row(head, cell="th") + "".join(_row(row) for row in rows))


def _wide(rows: str) -> str:
    return f'<div class="wide"><table>{rows}</table></div>'
