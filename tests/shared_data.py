"""Finds the shared recordings beside the checkout; a test that needs them skips without them, but fails in CI."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def shared_path(*parts: str) -> Path:
    """Path of a shared file or folder that the calling test needs."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        message = f"this test needs the shared file {Path('..', 'shared', *parts)}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
