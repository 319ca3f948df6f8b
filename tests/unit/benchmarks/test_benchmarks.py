"""The benchmarks' frame: every one is found and gives rows of the agreed shape. How fast anything is, is not tested."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import __main__ as program
from benchmarks.registry import BENCHMARKS
from benchmarks.rows import Row, at_least, at_most, faster, within

KEYS = {"name", "value", "unit", "baseline", "ratio", "bar", "ok", "rule", "note"}
GOOD = faster("good", "us", value=1.0, baseline=4.0, bar=3.0, note="a made-up row")
BAD = faster("bad", "us", value=2.0, baseline=4.0, bar=3.0, note="a made-up row")


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three benchmarks of no work, and where their results go."""

    def broken() -> Iterator[Row]:
        yield GOOD
        raise AssertionError("the two sides disagree")

    made_up = {"good": lambda: iter([GOOD]), "bad": lambda: iter([GOOD, BAD]), "broken": broken}
    monkeypatch.setattr(program, "BENCHMARKS", made_up)
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(program.structlog, "configure", lambda **_: None)
    return tmp_path / "results.json"


def test_the_rows_of_the_design_that_exist_are_registered() -> None:
    wanted = {"decode", "book", "scan", "round_trips", "batch_writes", "exits", "virtual_time"}
    assert wanted <= set(BENCHMARKS)


@pytest.mark.parametrize("name", ["book", "round_trips"])
def test_a_benchmark_gives_rows_of_its_name(name: str) -> None:
    rows = list(BENCHMARKS[name]())
    assert rows
    for row in rows:
        assert row.name.split(".")[0] == name
        assert set(row.as_dict()) == KEYS


def test_a_ratio_is_judged_in_the_direction_its_rule_names() -> None:
    assert (GOOD.ratio, GOOD.ok, BAD.ratio, BAD.ok) == (4.0, True, 2.0, False)
    assert at_least("n", "s/s", 600.0, 1.0, 500.0, "").ok
    assert at_most("n", "trips", 1.0, 1.0, 1.1, "").ok
    assert not at_most("n", "ms", 2.0, 20.0, 0.05, "").ok
    assert within("n", "us", 40.0, 400.0, 50.0, "").ok
    assert not within("n", "us", 60.0, None, 50.0, "").ok


def test_json_is_one_document_a_row(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["good", "--json"]) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert documents == [GOOD.as_dict()]
    assert json.loads(results.read_text())["rows"] == documents


def test_a_missed_bar_is_the_exit_code_and_stands_in_the_table(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["bad"]) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.usefixtures("results")
def test_a_benchmark_that_fails_is_told_and_the_others_still_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["broken", "good", "--json"]) == 1
    told = capsys.readouterr()
    assert "broken could not be measured: AssertionError: the two sides disagree" in told.err
    assert len(told.out.splitlines()) == 2


@pytest.mark.usefixtures("results")
def test_an_unknown_name_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["goood"]) == 2
    assert "did you mean 'good'?" in capsys.readouterr().err
