"""The whole desk against the simulated venues, with faults, in virtual time."""

import os
import subprocess
import sys

import pytest

from perpdesk.arbitrage.engine import Desk
from perpdesk.sandbox.faults import ALL_FAULTS
from perpdesk.worlds.simulation import KILL, Episode, simulate, summarise
from tests.simulation.planted import HedgeConfiguredSize, JournalAfterWire, ResendOnUnknown

DAYS = 0.01
EVERYTHING = ALL_FAULTS | {KILL}
SEEDS_MAX = 200

TELL_HASH = """
from perpdesk.sandbox.faults import ALL_FAULTS
from perpdesk.worlds.simulation import KILL, simulate
print(simulate(3, 0.004, ALL_FAULTS | {KILL}).trace_sha256)
"""


def explain(episode: Episode) -> str:
    return "\n".join(f"seed {episode.seed}: ({v.invariant}) {v.message}" for v in episode.violations)


@pytest.mark.parametrize("seed", range(1, 13))
def test_no_invariant_breaks_under_every_fault_and_kills(seed: int) -> None:
    episode = simulate(seed, DAYS, EVERYTHING)
    assert not episode.violations, explain(episode)


def test_without_faults_pairs_open_and_close_and_every_cent_is_explained() -> None:
    episodes = [simulate(seed, DAYS, frozenset()) for seed in (1, 3)]
    assert all(episode.pairs_closed == episode.pairs_opened > 0 for episode in episodes)
    assert all(episode.residual_usd is not None and abs(episode.residual_usd) < 1 / 10**6 for episode in episodes)


@pytest.mark.parametrize(
    ("seed", "story"),
    [
        (7, "a venue reports a cancel of an order that filled"),
        (13, "fills of both closing orders come while frames are lost"),
        (34, "a partly closed leg leaves less than the least order"),
        (40, "a maker entry fills by dust and is cancelled"),
        (43, "a hedge leaves a difference below every least order"),
        (51, "a trim is smaller than the venue takes"),
    ],
)
def test_a_seed_that_once_failed_holds(seed: int, story: str) -> None:
    episode = simulate(seed, DAYS, EVERYTHING)
    assert not episode.violations, f"{story}\n{explain(episode)}"


def test_the_same_seed_gives_the_same_trace() -> None:
    first, second = (simulate(5, DAYS / 2, EVERYTHING) for _ in range(2))
    assert first == second


def test_a_trace_depends_on_nothing_but_the_seed_not_even_on_the_process() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", TELL_HASH],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        .stdout.strip()
        .splitlines()[-1]
        for hash_seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_different_seeds_give_different_traces() -> None:
    assert simulate(1, DAYS / 10, EVERYTHING).trace_sha256 != simulate(2, DAYS / 10, EVERYTHING).trace_sha256


@pytest.mark.parametrize(
    ("factory", "invariant"), [(ResendOnUnknown, 3), (HedgeConfiguredSize, 4), (JournalAfterWire, 1)]
)
def test_a_planted_bug_is_found_within_200_seeds(factory: type[Desk], invariant: int) -> None:
    for seed in range(1, SEEDS_MAX + 1):
        found = {violation.invariant for violation in simulate(seed, DAYS, EVERYTHING, factory).violations}
        if invariant in found:
            return
    pytest.fail(f"{factory.__name__} went unnoticed")


def test_the_summary_counts_what_the_episodes_did() -> None:
    episodes = [simulate(seed, DAYS / 5, EVERYTHING) for seed in (2, 1)]
    summary = summarise(episodes, real_s=1.0)
    assert summary["seeds"] == 2
    assert summary["first_seed"] == 1
    assert summary["steps"] == sum(episode.steps for episode in episodes)
    assert summary["violations"] == 0
    assert set(summary["naked_ms"]) == {"p50", "p99", "max"}
