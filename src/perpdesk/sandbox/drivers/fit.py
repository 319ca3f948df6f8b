"""Fits the simulated markets to recorded ones: `python -m perpdesk.sandbox.drivers.fit --data PATH [--write]`.

Prints every measured number beside the one in use. Exit codes: 0 they agree or were written, 1 they differ, 2 usage,
3 a recording is missing or unreadable.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from perpdesk.sandbox.drivers.measure import CLASS_OF, daily_volatility, measure
from perpdesk.sandbox.drivers.measure_funding import recorded_differences
from perpdesk.sandbox.drivers.parameters import PARAMETERS_PATH, ParametersUnreadable, parse_parameters
from perpdesk.sandbox.drivers.recordings import Recordings, RecordingUnreadable
from perpdesk.sandbox.drivers.render import flatten, render

Value = float | str | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="fit", description="Fit the simulated markets to recordings of real ones.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--write", action="store_true", help="rewrite the parameter file with what was measured")
    parser.add_argument("--parameters", type=Path, default=PARAMETERS_PATH, help="the parameter file")
    options = parser.parse_args(arguments)
    data = Recordings(options.data)
    try:
        measured = measure(data)
        known = facts(data)
    except RecordingUnreadable as error:
        sys.stderr.write(f"fit: {error}\n")
        return 3
    rows = compare(flatten(measured), _current(options.parameters))
    sys.stdout.write(table(rows))
    sys.stdout.write(
        "\nrecorded facts for comparison\n" + "".join(f"  {name:<58} {value:>12.4g}\n" for name, value in known)
    )
    differing = sum(now != then for _, now, then in rows)
    if options.write:
        options.parameters.write_text(render(measured), encoding="utf-8")
        sys.stdout.write(f"wrote {options.parameters.name}: {differing} of {len(rows)} values changed\n")
        return 0
    sys.stdout.write(
        f"{differing} of {len(rows)} values differ from {options.parameters.name}; --write takes the measured\n"
    )
    return 1 if differing else 0


def facts(data: Recordings) -> list[tuple[str, float]]:
    """Recorded numbers that no parameter holds but a simulation should resemble: (what and unit, value)."""
    differences = [
        (f"funding difference, {kind}, {share:.0%} point, bps/h", float(bps.quantile(share) or 0.0))
        for kind, bps in recorded_differences(data, CLASS_OF).items()
        for share in (0.5, 0.95)
    ]
    daily = [
        (f"daily volatility over sqrt(24), {coin}, fraction", volatility / 24**0.5)
        for coin, volatility in daily_volatility(data).items()
    ]
    return differences + daily


def compare(measured: dict[str, float | str], current: dict[str, float | str]) -> list[tuple[str, Value, Value]]:
    """(key, measured, in use) for every key of either, measured order first; None where one has no such key."""
    keys = [*measured, *(key for key in current if key not in measured)]
    return [(key, measured.get(key), current.get(key)) for key in keys]


def table(rows: Sequence[tuple[str, Value, Value]]) -> str:
    """Text with one line per value; a star marks a difference."""
    width = max((len(key) for key, _, _ in rows), default=0)
    head = f"  {'parameter':<{width}}  {'measured':>12}  {'in use':>12}\n"
    return head + "".join(
        f"{' ' if now == then else '*'} {key:<{width}}  {_shown(now):>12}  {_shown(then):>12}\n"
        for key, now, then in rows
    )


def _shown(value: Value) -> str:
    return "none" if value is None else str(value)


def _current(path: Path) -> dict[str, float | str]:
    """What is in use; nothing when there is no readable file yet, for then everything is new."""
    try:
        return flatten(parse_parameters(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except ParametersUnreadable as error:
        sys.stderr.write(f"fit: {error}\n")
        return {}


if __name__ == "__main__":
    sys.exit(main())
