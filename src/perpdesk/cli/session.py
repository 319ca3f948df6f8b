"""What commands share once they run: configuration read, logs set up, an event loop."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TextIO, TypeVar

from perpdesk.cli.config import Config, load_config
from perpdesk.cli.config_errors import ConfigError
from perpdesk.cli.options import Common, StoreWorld
from perpdesk.telemetry.logs import configure_logs, redactor

T = TypeVar("T")


def open_session(common: Common) -> Config:
    """Read the configuration and set logs up. ConfigError when either can not be done."""
    config = load_config(common.config)
    redactor.add(config.secrets())
    start_logs(config, sys.stderr)
    return config


def start_logs(config: Config, stream: TextIO | None) -> None:
    """Logs as configured, to `stream` (None: nowhere, because the screen shows them)."""
    file = None if config.log.file is None else Path(config.log.file)
    try:
        configure_logs(config.log.level, stream, file)
    except OSError as error:
        raise ConfigError(f"log.file: {file} can not be written: {error.strerror}") from None


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the fastest event loop this machine has."""
    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def store_url(config: Config, world: StoreWorld, override: str | None = None) -> str:
    """Where `world` keeps its journal."""
    if override is not None:
        return override
    urls = {"sandbox": config.store.sandbox_url, "live": config.store.url, "paper": config.store.paper_url}
    return urls[world]
