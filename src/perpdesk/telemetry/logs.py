"""Log set-up: events with fields to stderr or a file, the latest ones kept for a screen, secrets redacted everywhere."""

import logging
import sys
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")
REDACTED = "(secret)"
SECRET_LENGTH_MIN = 8
"""Shorter values would blot out ordinary words."""
SECRET_NAMES = ("private_key", "secret", "password", "passphrase", "mnemonic", "auth", "token")
EVENTS_KEPT = 200
DEPTH_MAX = 6

Record = MutableMapping[str, Any]


class Redactor:
    """Blots secrets out of log records: known values wherever they stand, and whatever a field of a telling name holds."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str]) -> None:
        """Know more values; the hex of a key with and without 0x."""
        found = set(self._values)
        for secret in secrets:
            found |= {form for form in (secret, secret.removeprefix("0x")) if len(form) >= SECRET_LENGTH_MIN}
        self._values = tuple(sorted(found, key=len, reverse=True))

    def __call__(self, _logger: object, _method: str, record: Record) -> Record:
        """As a structlog processor."""
        return {key: REDACTED if _is_telling(key) else self.clean(value) for key, value in record.items()}

    def clean(self, value: Any, depth: int = 0) -> Any:
        """`value` without secrets; containers are copied, what is no text is looked at by its repr."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float) or depth > DEPTH_MAX:
            return value
        if isinstance(value, Mapping):
            return {
                key: REDACTED if isinstance(key, str) and _is_telling(key) else self.clean(item, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.clean(item, depth + 1) for item in value]
        shown = repr(value)
        cleaned = self.text(shown)
        return value if cleaned == shown else cleaned

    def text(self, text: str) -> str:
        """`text` with every known secret blotted out."""
        for secret in self._values:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text


def _is_telling(name: str) -> bool:
    """Whether a field of this name holds a secret: `auth`, `auth_token`, `api_private_key`, but not `author`."""
    lowered = name.lower()
    return any(
        lowered == word or lowered.endswith(f"_{word}") or lowered.startswith(f"{word}_") for word in SECRET_NAMES
    )


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log line as a screen shows it."""

    at: str
    level: str
    event: str
    fields: dict[str, Any]


class RecentEvents:
    """Keeps the latest events of at least `info`."""

    def __init__(self) -> None:
        self.events: deque[LogEvent] = deque(maxlen=EVENTS_KEPT)

    def __call__(self, _logger: object, method: str, record: Record) -> Record:
        if method != "debug":
            fields = {
                k: v for k, v in record.items() if k not in ("event", "level", "timestamp", "exc_info", "exception")
            }
            at = str(record.get("timestamp", ""))[11:19]
            self.events.append(LogEvent(at, str(record.get("level", method)), str(record.get("event", "")), fields))
        return record


redactor = Redactor()
"""The process's one redactor: whoever reads a secret adds it here."""
recent = RecentEvents()
"""The process's latest events."""


def configure_logs(level: str, stream: TextIO | None = None, file: Path | None = None) -> None:
    """Send events of at least `level` to `stream` (None: nowhere), and all from `info` on to `file`.

    Standard library loggers, such as aiohttp's, go the same way from `warning` on. OSError when the file can not be written.
    """
    handlers = [] if stream is None else [_handler(logging.StreamHandler(stream), level, stream.isatty())]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_handler(logging.FileHandler(file, encoding="utf-8"), "info", is_coloured=False))
    root = logging.getLogger()
    root.handlers[:] = handlers or [logging.NullHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger("perpdesk").setLevel(logging.DEBUG if level == "debug" else logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor,
            recent,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if level == "debug" else logging.INFO),
        logger_factory=_Loggers(),
        cache_logger_on_first_use=False,
    )


def configure_quiet() -> None:
    """Say nothing but errors, for worker processes whose events belong to no one."""
    configure_logs("error", sys.stderr)


class _Loggers:
    """Every event goes through one standard library logger below our own name."""

    def __call__(self, *_names: Any) -> logging.Logger:
        return logging.getLogger("perpdesk.events")


def _handler(handler: logging.Handler, level: str, is_coloured: bool) -> logging.Handler:
    handler.setLevel(level.upper())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.ExtraAdder(),
                structlog.processors.format_exc_info,
                redactor,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redactor,
                structlog.dev.ConsoleRenderer(colors=is_coloured, pad_event_to=24),
            ],
        )
    )
    return handler
