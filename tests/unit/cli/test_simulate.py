"""`simulate`: its document, and that worker processes change nothing."""

import pytest

from perpdesk.arbitrage.engine import Desk
from perpdesk.cli import simulate as command
from perpdesk.sandbox.faults import ALL_FAULTS
from perpdesk.worlds import simulation
from perpdesk.worlds.invariants import Violation
from tests.unit.cli.conftest import Call

SHORT = ("--seeds", "2", "--days", "0.001", "--faults", "lost_after,kill", "--json")


def test_the_same_seeds_give_the_same_trace_whatever_the_number_of_jobs(perpdesk: Call) -> None:
    alone, spread = perpdesk("simulate", *SHORT, "--jobs", "1"), perpdesk("simulate", *SHORT, "--jobs", "2")
    assert alone.code == spread.code == 0
    assert alone.document["trace_sha256"] == spread.document["trace_sha256"]
    assert alone.document["steps"] == spread.document["steps"]


def test_the_seeds_are_printed_first(perpdesk: Call) -> None:
    answer = perpdesk("simulate", *SHORT, "--first", "41", "--jobs", "1")
    assert answer.err.startswith("seeds 41 to 42, 0.001 simulated days each, faults: kill, lost_after")
    assert answer.document["first_seed"] == 41


def test_all_faults_include_the_kill() -> None:
    assert command.parse_faults("all") == ALL_FAULTS | {"kill"}
    assert command.parse_faults("none") == frozenset()


def test_a_violation_is_printed_with_seed_and_trace_and_the_answer_is_no(
    perpdesk: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Violation(4, "hedge 9 of 2 on 0, but the first leg holds 1", 5, ("1 placed", "2 filled"))
    changed = simulation.Episode(1, 3, {}, 0, (broken,), (), 0, 0, None, 60_000, "00")
    monkeypatch.setattr(simulation, "simulate", lambda *_: changed)
    answer = perpdesk("simulate", "--seeds", "1", "--json")
    assert answer.code == 1
    assert answer.document["violations"] == 1
    assert "seed 1: invariant 4 broken" in answer.err
    assert "2 filled" in answer.err


def test_an_episode_that_ends_in_an_error_names_its_seed(perpdesk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, *_: object) -> None:
        raise RuntimeError(f"the desk ended by itself in {seed} ({Desk.__name__})")

    monkeypatch.setattr(simulation, "simulate", fail)
    answer = perpdesk("simulate", "--seeds", "1", "--first", "7", "--json")
    assert answer.code == 1
    assert answer.document["failed_seeds"] == [7]
    assert "seed 7 ended in an error" in answer.err
