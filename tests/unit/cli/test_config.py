"""The configuration: where values come from, and what each mistake is answered with."""

import itertools
from decimal import Decimal
from pathlib import Path

import pytest

from perpdesk.cli.config import Config, load_config
from perpdesk.cli.config_errors import ConfigError
from perpdesk.cli.config_file import commented_yaml, masked
from tests.unit.cli.conftest import Call

KEY = "0x" + "ab" * 32


def write(text: str, name: str = "perpdesk.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refusal(path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    config = load_config(None)
    assert config.live_trading is False
    assert config.desk.entry.notional_usd_max == Decimal(500)
    assert config.sandbox.funding_every_ms == 10_000


def test_perpdesk_yaml_of_the_folder_is_read_without_being_named() -> None:
    write("desk: {entry: {pairs_max: 7}}")
    assert load_config(None).desk.entry.pairs_max == 7


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("desk: {entry: {pairs_max: 1, leverage: 1, hold_hours: 1}}")
    write("PERPDESK__DESK__ENTRY__PAIRS_MAX=2\nPERPDESK__DESK__ENTRY__LEVERAGE=2\n", ".env")
    monkeypatch.setenv("PERPDESK__DESK__ENTRY__PAIRS_MAX", "3")
    entry = load_config(None).desk.entry
    assert (entry.pairs_max, entry.leverage, entry.hold_hours) == (3, 2, 1.0)


def test_lists_in_the_environment_are_joined_by_commas_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__DESK__ASSETS", "BTC, ETH")
    monkeypatch.setenv("PERPDESK__SANDBOX__ASSETS", '["SOL"]')
    config = load_config(None)
    assert (config.desk.assets, config.sandbox.assets) == (("BTC", "ETH"), ("SOL",))


def test_other_programs_names_in_dotenv_are_left_alone() -> None:
    write("DATABASE_PASSWORD=x\n", ".env")
    assert load_config(None) == Config()


def test_an_unknown_key_names_its_nearest_neighbour_and_where_it_stands() -> None:
    write("desk:\n  entry:\n    pairs_mx: 3\n")
    assert (
        refusal()
        == "perpdesk.yaml: there is no key 'pairs_mx' in section desk.entry; did you mean desk.entry.pairs_max?"
    )


def test_an_unknown_section_that_resembles_nothing_lists_what_there_is() -> None:
    write("zzz: 1")
    assert "there is no key 'zzz'; known there: live_trading, desk, venues" in refusal()


def test_an_unknown_variable_names_its_nearest_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__DESK__ENTRY__PAIRS_MX", "1")
    assert "did you mean PERPDESK__DESK__ENTRY__PAIRS_MAX?" in refusal()


def test_an_unknown_variable_in_dotenv_is_told_with_the_file() -> None:
    write("PERPDESK__LOG__LEVL=info\n", ".env")
    assert refusal() == ".env: PERPDESK__LOG__LEVL stands for no key; did you mean PERPDESK__LOG__LEVEL?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("desk: {entry: {pairs_max: many}}", "desk.entry.pairs_max: must be a whole number, not 'many'"),
        ("desk: {entry: {leverage: 0}}", "desk.entry.leverage: must be at least 1, not 0"),
        ("desk: {entry: {notional_usd_max: -5}}", "desk.entry.notional_usd_max: must be more than 0, not -5"),
        ("desk: {entry: {depth_share_max: 2}}", "desk.entry.depth_share_max: must be at most 1, not 2"),
        ("desk: {entry: 3}", "desk.entry: must be keys and values of their own, not 3"),
        ("desk: {assets: BTC}", "desk.assets: must be a list, such as [BTC, ETH], not 'BTC'"),
        ("live_trading: perhaps", "live_trading: must be true or false, not 'perhaps'"),
        ("log: {level: loud}", "log.level: must be one of 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("venues: {lighter: {account_index: 0}}", "venues.lighter.account_index: must be at least 1, not 0"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_expected(text: str, message: str) -> None:
    write(text)
    assert refusal() == f"perpdesk.yaml: {message}"


def test_every_wrong_value_is_told_at_once() -> None:
    write("desk: {entry: {leverage: 0}, heartbeat_ms: soon}")
    assert len(refusal().splitlines()) == 2


def test_a_wrong_value_from_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__DESK__ENTRY__LEVERAGE", "much")
    assert refusal() == "environment variable PERPDESK__DESK__ENTRY__LEVERAGE: must be a whole number, not 'much'"


def test_a_wrong_value_from_dotenv_names_the_file() -> None:
    write("PERPDESK__DESK__ENTRY__LEVERAGE=much\n", ".env")
    assert refusal() == ".env: PERPDESK__DESK__ENTRY__LEVERAGE: must be a whole number, not 'much'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("desk: [1", "line 1, column 9 is no valid YAML"),
        ("- a", "must hold keys and values"),
        ("just words", "must hold keys and values"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_plainly(text: str, message: str) -> None:
    write(text)
    assert message in refusal()


def test_a_named_file_that_is_not_there_is_refused_with_the_remedy() -> None:
    assert refusal(Path("no.yaml")) == "no.yaml does not exist; write one with: perpdesk config init --config no.yaml"


# Secrets --------------------------------------------------------------------------------------------------------------


def test_a_private_key_in_the_file_is_refused_without_repeating_it() -> None:
    write(f"venues: {{hyperliquid: {{private_key: '{KEY}'}}}}")
    message = refusal()
    assert "PERPDESK__VENUES__HYPERLIQUID__PRIVATE_KEY" in message
    assert KEY not in message


def test_a_password_in_the_file_is_refused_without_repeating_it() -> None:
    write("store: {url: 'postgresql://me:hunter22@db/desk'}")
    message = refusal()
    assert "PERPDESK__STORE__URL" in message
    assert "hunter22" not in message


def test_the_second_key_of_live_trading_can_not_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__LIVE_TRADING", "true")
    assert "only there" in refusal()


def test_secrets_come_from_the_environment_and_are_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__VENUES__LIGHTER__PRIVATE_KEY", KEY)
    monkeypatch.setenv("PERPDESK__STORE__URL", "postgresql://me:hunter22@db/desk")
    config = load_config(None)
    assert KEY in config.secrets()
    assert "hunter22" in config.secrets()
    for shown in (repr(config), str(masked(config))):
        assert KEY not in shown
    assert "hunter22" not in str(masked(config))


# The file that is written ---------------------------------------------------------------------------------------------


def test_the_written_file_gives_the_defaults_again() -> None:
    write(commented_yaml())
    assert load_config(None) == Config()


def test_every_key_of_the_written_file_has_its_meaning_above_it() -> None:
    lines = commented_yaml().splitlines()
    for before, line in itertools.pairwise(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert before.lstrip().startswith("#"), line


def test_init_writes_once_and_overwrites_only_when_forced(perpdesk: Call) -> None:
    assert perpdesk("config", "init", "--json").document == {"written": "perpdesk.yaml"}
    again = perpdesk("config", "init")
    assert again.code == 1
    assert "--force overwrites it" in again.err
    assert perpdesk("config", "init", "--force").code == 0


def test_init_can_write_elsewhere(perpdesk: Call) -> None:
    assert perpdesk("config", "init", "--config", "deep/desk.yaml").code == 0
    assert perpdesk("config", "show", "--config", "deep/desk.yaml").code == 0


def test_show_prints_what_is_in_force_and_masks_secrets(perpdesk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__VENUES__HYPERLIQUID__PRIVATE_KEY", KEY)
    monkeypatch.setenv("PERPDESK__DESK__ENTRY__PAIRS_MAX", "9")
    document = perpdesk("config", "show", "--json").document
    assert document["desk"]["entry"]["pairs_max"] == 9
    assert document["venues"]["hyperliquid"]["private_key"] == "(secret)"
    assert document["venues"]["lighter"]["private_key"] is None
