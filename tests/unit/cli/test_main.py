"""The front door: help, usage mistakes, exit codes, and one JSON document whatever happens."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Call

COMMANDS = ("run", "arb", "simulate", "sandbox", "doctor", "config", "db")


def test_help_names_every_command(perpdesk: Call) -> None:
    answer = perpdesk("--help")
    assert answer.code == 0
    assert all(name in answer.out for name in COMMANDS)


@pytest.mark.parametrize(
    "argv",
    [
        ("run",),
        ("arb",),
        ("arb", "scan"),
        ("arb", "positions"),
        ("arb", "history"),
        ("arb", "close"),
        ("arb", "close-all"),
        ("arb", "backtest"),
        ("simulate",),
        ("sandbox", "serve"),
        ("doctor",),
        ("config", "init"),
        ("db", "upgrade"),
    ],
)
def test_every_command_has_help_and_the_common_options(perpdesk: Call, argv: tuple[str, ...]) -> None:
    answer = perpdesk(*argv, "--help")
    assert answer.code == 0
    if argv != ("arb",):
        assert "--config" in answer.out
        assert "--json" in answer.out


def test_help_loads_nothing_heavy() -> None:
    heavy = ("polars", "numpy", "sqlalchemy", "aiohttp", "pydantic", "lighter")
    program = (
        "import sys; from perpdesk.cli.main import main; main(['--help']);"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("bogus",), "bogus"),
        (("run", "--fro", "5s"), "--fro"),
        (("run", "--for", "5x"), "--for: '5x' is no duration; write for example 60s, 10m, 2h or 1d"),
        (("run", "--funding-every", "0s"), "--funding-every: '0s' is no duration"),
        (("run", "--world", "mars"), "mars"),
        (("run", "--seed", "-1"), "--seed must not be negative"),
        (("run", "--assets", "XYZ"), "the sandbox does not list XYZ on two venues; it has"),
        (("run", "--assets", "AAPL"), "the sandbox does not list AAPL on two venues"),
        (("run", "--live-trading"), "--live-trading is for --world live"),
        (("run", "--world", "live", "--dry-run", "--live-trading"), "contradict each other"),
        (("run", "--world", "live", "--seed", "3"), "are for the sandbox"),
        (("arb", "scan", "--top", "0"), "--top must be at least 1"),
        (("arb", "close"), "SYMBOL"),
        (("arb", "close-all", "--live-trading"), "--live-trading is for --world live"),
        (("arb", "history", "--limit", "0"), "--limit must be at least 1"),
        (("simulate",), "--seeds"),
        (("simulate", "--seeds", "0"), "--seeds must be within 1"),
        (
            ("simulate", "--seeds", "1", "--faults", "lost_aftr"),
            "there is no fault 'lost_aftr'; did you mean lost_after?",
        ),
        (("simulate", "--seeds", "1", "--faults", "kil"), "did you mean kill?"),
        (("simulate", "--seeds", "1", "--days", "-1"), "--days must be more than 0"),
        (("simulate", "--seeds", "1", "--jobs", "0"), "--jobs must be at least 1"),
        (("sandbox", "serve", "--port-base", "70000"), "--port-base must be within"),
    ],
)
def test_a_wrong_call_is_answered_with_its_mistake_and_code_2(
    perpdesk: Call, argv: tuple[str, ...], message: str
) -> None:
    answer = perpdesk(*argv, "--json")
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert message in answer.document["error"]
    assert answer.document["exit_code"] == 2


@pytest.mark.parametrize(
    "argv",
    [
        ("run",),
        ("arb", "scan"),
        ("arb", "positions"),
        ("arb", "history"),
        ("arb", "close", "BTC"),
        ("simulate", "--seeds", "1"),
        ("sandbox", "serve"),
        ("config", "show"),
        ("db", "current"),
        ("db", "upgrade"),
    ],
)
def test_a_broken_configuration_stops_every_command_with_code_3(perpdesk: Call, argv: tuple[str, ...]) -> None:
    Path("perpdesk.yaml").write_text("desc: {}")
    answer = perpdesk(*argv, "--json")
    assert answer.code == 3
    assert "did you mean desk?" in answer.document["error"]
    assert "Traceback" not in answer.err


def test_live_trading_without_its_second_key_is_a_matter_of_configuration(perpdesk: Call) -> None:
    answer = perpdesk("run", "--world", "live", "--live-trading")
    assert answer.code == 3
    assert "set live_trading: true in the configuration file" in answer.err


def test_live_trading_without_keys_names_the_variables(perpdesk: Call) -> None:
    Path("perpdesk.yaml").write_text("live_trading: true")
    answer = perpdesk("run", "--world", "live", "--live-trading")
    assert answer.code == 3
    assert "PERPDESK__VENUES__HYPERLIQUID__PRIVATE_KEY" in answer.err


def test_one_venue_is_not_enough_for_a_pair(perpdesk: Call) -> None:
    Path("perpdesk.yaml").write_text("venues: {lighter: {enabled: false}}")
    answer = perpdesk("arb", "scan", "--world", "live")
    assert answer.code == 3
    assert "a pair needs two venues" in answer.err


def test_an_unreachable_venue_is_said_plainly(perpdesk: Call) -> None:
    nowhere = "{rest_url: 'http://127.0.0.1:9', ws_url: 'ws://127.0.0.1:9/x'}"
    Path("perpdesk.yaml").write_text(f"venues: {{hyperliquid: {nowhere}, lighter: {nowhere}}}")
    answer = perpdesk("run", "--world", "live", "--for", "5s", "--json")
    assert answer.code == 1
    assert "can not connect" in answer.document["error"]
    assert "perpdesk doctor" in answer.document["error"]
    assert "Traceback" not in answer.err


def test_a_store_address_that_is_none_is_refused(perpdesk: Call) -> None:
    answer = perpdesk("run", "--store", "nowhere")
    assert answer.code == 1
    assert "the store address is not one" in answer.err
