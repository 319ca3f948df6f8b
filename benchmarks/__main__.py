"""`python -m benchmarks [NAME …] [--json]`: measure, print each row as it arrives, and write benchmarks/results.json.

Exit codes: 0 every row is ok, 1 a row misses its bar or could not be measured, 2 there is no benchmark of that name.
"""

import argparse
import difflib
import json
import logging
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog

from benchmarks.registry import BENCHMARKS
from benchmarks.rows import Row

RESULTS = Path(__file__).parent / "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(BENCHMARKS)}; all without"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document per row on stdout")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        print(_explain(unknown[0]), file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    rows: list[Row] = []
    failed: list[str] = []
    if not options.json:
        print(_line("row", "value", "baseline", "ratio", "bar", "", "what"))
    for name in options.names or BENCHMARKS:
        try:
            for row in _measured(name):
                rows.append(row)
                print(json.dumps(row.as_dict()) if options.json else _table_line(row), flush=True)
        except Exception as error:
            failed.append(name)
            print(f"{name} could not be measured: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    _save(rows)
    return 0 if not failed and all(row.ok for row in rows) else 1


def _measured(name: str) -> Iterator[Row]:
    yield from BENCHMARKS[name]()


def _explain(unknown: str) -> str:
    near = difflib.get_close_matches(unknown, BENCHMARKS, n=1, cutoff=0.0)
    return f"there is no benchmark {unknown!r}; did you mean {near[0]!r}? All of them: {', '.join(BENCHMARKS)}"


def _save(rows: list[Row]) -> None:
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    document = {"machine": machine, "rows": [row.as_dict() for row in rows]}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


# The table -----------------------------------------------------------------------------------------------------------


def _table_line(row: Row) -> str:
    value = f"{_number(row.value)} {row.unit}"
    baseline = "" if row.baseline is None else _number(row.baseline)
    ratio = "" if row.ratio is None else f"{_number(row.ratio)}x"
    return _line(row.name, value, baseline, ratio, _bar(row), "ok" if row.ok else "MISSED", row.note)


def _bar(row: Row) -> str:
    """The bar with its direction: a ratio, or a limit of the value itself."""
    if row.rule == "value <= bar":
        return f"<= {_number(row.bar)} {row.unit.split('/')[0]}"
    return f"{'>=' if row.rule == 'ratio >= bar' else '<='} {_number(row.bar)}x"


def _number(value: float) -> str:
    """Three significant digits, without exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _line(name: str, value: str, baseline: str, ratio: str, bar: str, verdict: str, what: str) -> str:
    return f"{name:<20} {value:>20} {baseline:>9} {ratio:>8} {bar:>11}  {verdict:<6}  {what}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
