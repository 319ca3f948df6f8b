"""`perpdesk simulate`: many seeded episodes of the whole desk in virtual time, over the machine's cores."""

import difflib
import multiprocessing
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from perpdesk.cli.options import Common, UsageError
from perpdesk.domain.clock import SystemClock

if TYPE_CHECKING:
    from rich.console import Console

    from perpdesk.worlds.simulation import Episode

PROGRESS_MS = 10_000
SEEDS_MAX = 1_000_000


def simulate(
    *,
    seeds: Annotated[int, Parameter(help="How many episodes, one per seed")],
    first: Annotated[int, Parameter(help="The first seed; the others follow it")] = 1,
    days: Annotated[float, Parameter(help="Length of an episode in simulated days, before its calm end")] = 0.01,
    faults: Annotated[str, Parameter(help="all, none, or names joined by commas, such as lost_after,kill")] = "all",
    jobs: Annotated[int | None, Parameter(help="Worker processes; as many as there are cores without")] = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Run the desk against the simulated venues with faults on the wire, and check after every step what must always hold.

    A violation is printed with its seed and trace, and the exit code is 1. Equal seeds give equal traces.
    """
    from perpdesk.cli.output import emit, say
    from perpdesk.cli.session import open_session
    from perpdesk.worlds.simulation import summarise

    _check(seeds, first, days, jobs)
    names = parse_faults(faults)
    open_session(common)
    say(
        f"seeds {first} to {first + seeds - 1}, {days:g} simulated days each, faults: {', '.join(sorted(names)) or 'none'}"
    )
    clock = SystemClock()
    began_ms = clock.monotonic_ms()
    episodes, failed = _run_all(range(first, first + seeds), days, names, jobs or os.cpu_count() or 1)
    document = {**summarise(episodes, (clock.monotonic_ms() - began_ms) / 1000), "failed_seeds": sorted(failed)}
    emit(document, common.json, lambda console: _print_result(console, document))
    return 1 if document["violations"] or failed else 0


def _check(seeds: int, first: int, days: float, jobs: int | None) -> None:
    if not 1 <= seeds <= SEEDS_MAX:
        raise UsageError(f"--seeds must be within 1 and {SEEDS_MAX}, was {seeds}")
    if first < 0:
        raise UsageError(f"--first must not be negative, was {first}")
    if not 0 < days <= 10_000:
        raise UsageError(f"--days must be more than 0, was {days:g}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, was {jobs}")


def parse_faults(text: str) -> frozenset[str]:
    """Names of faults, `kill` among them; UsageError names the nearest for one that does not exist."""
    from perpdesk.sandbox.faults import ALL_FAULTS
    from perpdesk.worlds.simulation import KILL

    known = ALL_FAULTS | {KILL}
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names in (["all"], ["none"]):
        return known if names == ["all"] else frozenset()
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise UsageError(f"--faults: there is no fault {name!r}{hint} Known: all, none, {', '.join(sorted(known))}")
    if not names:
        raise UsageError("--faults: name at least one, or say all or none")
    return frozenset(names)


def _run_all(seeds: range, days: float, faults: frozenset[str], jobs: int) -> tuple[list["Episode"], set[int]]:
    """Every episode, and the seeds that ended in an error; tells violations and progress as they come."""
    from perpdesk.cli.output import say

    episodes: list[Episode] = []
    failed: set[int] = set()
    clock = SystemClock()
    told_ms = clock.monotonic_ms()
    for seed, outcome in _outcomes(seeds, days, faults, min(jobs, len(seeds))):
        if isinstance(outcome, str):
            failed.add(seed)
            say(f"seed {seed} ended in an error:\n{outcome}")
        else:
            episodes.append(outcome)
            _tell_violations(outcome)
        if clock.monotonic_ms() - told_ms >= PROGRESS_MS:
            told_ms = clock.monotonic_ms()
            broken = sum(len(episode.violations) for episode in episodes)
            say(f"{len(episodes) + len(failed)} of {len(seeds)} seeds, {broken} violations")
    return episodes, failed


def _outcomes(seeds: range, days: float, faults: frozenset[str], jobs: int) -> Iterator[tuple[int, "Episode | str"]]:
    if jobs == 1:
        for seed in seeds:
            yield seed, run_episode(seed, days, faults)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures: dict[Future[Any], int] = {pool.submit(run_episode, seed, days, faults): seed for seed in seeds}
        try:
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run_episode(seed: int, days: float, faults: frozenset[str]) -> "Episode | str":
    """One episode, or the traceback of what ended it; runs in a worker process. Its own log lines belong to nobody."""
    from perpdesk.telemetry.logs import configure_logs
    from perpdesk.worlds.simulation import simulate as run

    configure_logs("error", None)
    try:
        return run(seed, days, faults)
    except Exception:
        return traceback.format_exc()


def _tell_violations(episode: "Episode") -> None:
    from perpdesk.cli.output import say

    for violation in episode.violations:
        say(f"seed {episode.seed}: invariant {violation.invariant} broken at {violation.at_ms}: {violation.message}")
        for line in violation.trace:
            say(f"    {line}")


def _print_result(console: "Console", document: dict[str, Any]) -> None:
    from perpdesk.cli.output import span, table

    naked = document["naked_ms"]
    rows = [
        ("seeds", f"{document['seeds']}"),
        ("simulated days", f"{document['simulated_days']:.2f}"),
        ("x real time", "–" if document["x_real_time"] is None else f"{document['x_real_time']:,.0f}"),
        ("checks", f"{document['steps']:,}"),
        ("pairs", f"{document['pairs_opened']} opened, {document['pairs_closed']} closed"),
        ("kills", f"{document['kills']}"),
        ("faults", ", ".join(f"{name} {count}" for name, count in document["faults"].items()) or "none"),
        ("legs unequal", f"p50 {span(naked['p50'])}, p99 {span(naked['p99'])}, max {span(naked['max'])}"),
        ("largest residual", f"{document['residual_usd_max']:.9f} USD"),
        ("trace", document["trace_sha256"]),
        ("violations", f"{document['violations']}"),
    ]
    if document["violating_seeds"] or document["failed_seeds"]:
        rows.append(("failing seeds", ", ".join(map(str, document["violating_seeds"] + document["failed_seeds"]))))
    console.print(table(None, ("simulation", ""), rows))
