"""`doctor --offline`: each mistake fails one check and names its remedy."""

from pathlib import Path
from typing import Any

import pytest

from perpdesk.domain.clock import ManualClock
from perpdesk.store.lock import DeskLock
from tests.unit.cli.conftest import Call

KEY = "0x" + "11" * 32
KEY_ADDRESS = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


def checks(perpdesk: Call) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in perpdesk("doctor", "--offline", "--json").document["checks"]}


def failed(perpdesk: Call) -> list[str]:
    return [name for name, check in checks(perpdesk).items() if not check["ok"]]


def test_an_empty_folder_is_fine_for_the_sandbox(perpdesk: Call) -> None:
    answer = perpdesk("doctor", "--offline", "--json")
    assert answer.code == 0
    assert answer.document["failed"] == 0
    assert not Path("var").exists()


def test_in_words_it_says_that_all_is_fine(perpdesk: Call) -> None:
    assert "everything is fine" in perpdesk("doctor", "--offline").out


def test_a_broken_configuration_fails_its_check_and_the_others_still_run(perpdesk: Call) -> None:
    Path("perpdesk.yaml").write_text("desc: {}")
    answer = perpdesk("doctor", "--offline", "--json")
    assert answer.code == 1
    found = {check["name"]: check for check in answer.document["checks"]}
    assert "did you mean desk?" in found["configuration"]["detail"]
    assert found["configuration"]["remedy"]
    assert found["python"]["ok"]


def test_live_trading_makes_missing_keys_and_accounts_fail(perpdesk: Call) -> None:
    Path("perpdesk.yaml").write_text("live_trading: true")
    assert {"hyperliquid key", "hyperliquid account", "lighter key", "lighter account"} <= set(failed(perpdesk))


def test_a_malformed_key_fails_and_is_not_repeated(perpdesk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "not-a-key-but-secret"
    monkeypatch.setenv("PERPDESK__VENUES__HYPERLIQUID__PRIVATE_KEY", secret)
    monkeypatch.setenv("PERPDESK__VENUES__LIGHTER__PRIVATE_KEY", secret)
    monkeypatch.setenv("PERPDESK__VENUES__LIGHTER__ACCOUNT_INDEX", "7")
    monkeypatch.setenv("PERPDESK__VENUES__LIGHTER__API_KEY_INDEX", "4")
    answer = perpdesk("doctor", "--offline", "--json")
    assert answer.code == 1
    assert [c["name"] for c in answer.document["checks"] if not c["ok"]] == ["hyperliquid key", "lighter key"]
    assert secret not in answer.out + answer.err


def test_the_address_a_key_signs_as_is_shown(perpdesk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__VENUES__HYPERLIQUID__PRIVATE_KEY", KEY)
    monkeypatch.setenv("PERPDESK__VENUES__HYPERLIQUID__ADDRESS", KEY_ADDRESS)
    found = checks(perpdesk)
    assert KEY_ADDRESS in found["hyperliquid key"]["detail"].lower()
    assert "wrong for an agent's" in found["hyperliquid key and account"]["detail"]


def test_an_address_that_is_none_fails(perpdesk: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPDESK__VENUES__HYPERLIQUID__ADDRESS", "0x12")
    assert failed(perpdesk) == ["hyperliquid account"]


def test_a_held_lock_names_the_desk_and_a_dead_ones_name_does_no_harm(perpdesk: Call) -> None:
    perpdesk("db", "upgrade")
    with DeskLock("sqlite:///var/sandbox.db", ManualClock(1_000)):
        left_behind = Path("var/sandbox.db.lock.json").read_bytes()
        assert "held by a running desk, pid" in checks(perpdesk)["lock of sandbox"]["detail"]
    Path("var/sandbox.db.lock.json").write_bytes(left_behind)
    found = checks(perpdesk)["lock of sandbox"]
    assert (found["ok"], "had left its name behind" in found["detail"]) == (True, True)


def test_a_file_that_is_no_database_fails(perpdesk: Call) -> None:
    Path("var").mkdir()
    Path("var/sandbox.db").write_text("this is no database at all, whatever its name says")
    assert failed(perpdesk) == ["store of sandbox"]
