"""The import rules of pyproject.toml hold, and they can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINT), "--no-cache"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_imports_point_inward() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages without what is in them, which is enough to break a rule in."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder / "pyproject.toml")
    for source in (ROOT / "src").rglob("*.py"):
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    return folder


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("domain/pnl.py", "perpdesk.store.ids"),
        ("domain/pnl.py", "perpdesk.venues.base"),
        ("store/ids.py", "perpdesk.venues.base"),
        ("store/ids.py", "perpdesk.sandbox.exchange"),
        ("venues/base.py", "perpdesk.market.view"),
        ("venues/base.py", "perpdesk.store.ids"),
        ("venues/base.py", "perpdesk.venues.lighter.client"),
        ("venues/lighter/client.py", "perpdesk.venues.hyperliquid.client"),
        ("venues/lighter/client.py", "perpdesk.sandbox.wire.lighter.encode"),
        ("sandbox/wire/lighter/encode.py", "perpdesk.venues.lighter.frames"),
        ("sandbox/exchange.py", "perpdesk.venues.base"),
        ("sandbox/network.py", "perpdesk.venues.transport.http"),
        ("market/view.py", "perpdesk.venues.lighter.client"),
        ("market/view.py", "perpdesk.arbitrage.engine"),
        ("arbitrage/engine.py", "perpdesk.venues.hyperliquid.client"),
        ("arbitrage/engine.py", "perpdesk.venues.transport.http"),
        ("arbitrage/engine.py", "perpdesk.sandbox.exchange"),
        ("arbitrage/engine.py", "perpdesk.worlds.virtual"),
    ],
)
def test_an_import_against_the_rules_is_refused(copy: Path, importer: str, imported: str) -> None:
    file = copy / "src" / "perpdesk" / importer
    try:
        file.write_text(f"import {imported}\n", encoding="utf-8")
        done = lint(copy)
    finally:
        file.write_text("", encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert imported in done.stdout


def test_a_package_without_a_place_in_the_layers_is_refused(copy: Path) -> None:
    package = copy / "src" / "perpdesk" / "utils"
    try:
        package.mkdir()
        (package / "__init__.py").touch()
        done = lint(copy)
    finally:
        shutil.rmtree(package)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "perpdesk.utils" in done.stdout + done.stderr
