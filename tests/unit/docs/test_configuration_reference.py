"""docs/configuration.md says what the models say."""

import importlib.util
from types import ModuleType

import pytest

from tests.unit.docs.pages import ROOT

SCRIPT = ROOT / "scripts" / "config_reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(reference: ModuleType) -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    assert reference.renewed(page) == page, "stale; run: python scripts/config_reference.py"


def test_a_stale_page_is_noticed(reference: ModuleType) -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    stale = page.replace("`notional_usd_max` | `500`", "`notional_usd_max` | `501`")
    assert stale != page
    assert reference.renewed(stale) == page


def test_a_page_without_marks_is_refused(reference: ModuleType) -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        reference.renewed("# Configuration\n")


def test_every_key_is_in_the_tables_and_says_what_it_means(reference: ModuleType) -> None:
    tables = reference.tables()
    for path, field in reference.every_key():
        assert f"| `{path[-1]}` |" in tables
        assert field.description, path


def test_every_number_has_its_unit_or_is_a_count(reference: ModuleType) -> None:
    counts = {"pairs_max", "hedge_attempts_max", "seed", "episodes_at_start", "chain_id"}
    for path, field in reference.every_key():
        value = field.get_default()
        if isinstance(value, reference.NUMBERS) and not isinstance(value, bool):
            assert bool(reference.unit_of(path[-1], field)) != (path[-1] in counts), path


def test_no_secret_has_a_default_in_the_tables(reference: ModuleType) -> None:
    rows = [line for line in reference.tables().splitlines() if "`private_key`" in line]
    assert len(rows) == 2
    assert all("| secret |" in row and row.startswith("| `private_key` | | |") for row in rows)
