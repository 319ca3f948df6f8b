"""Each test calls `perpdesk` in an empty folder, without the caller's configuration, and leaves logging as it was."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from perpdesk.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What one call printed and returned."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Stdout as one JSON document."""
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("PERPDESK__"):
            monkeypatch.delenv(name)
    root, handlers, level = logging.getLogger(), list(logging.getLogger().handlers), logging.getLogger().level
    configured = structlog.get_config()
    yield tmp_path
    structlog.configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def perpdesk(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in this process."""

    def call(*argv: str) -> Answer:
        code = main(argv)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call
