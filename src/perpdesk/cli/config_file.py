"""The commented configuration file, written from the models, and the configuration as a document without secrets."""

import textwrap
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from perpdesk.cli.config import Config, password_in
from perpdesk.cli.config_errors import model_of
from perpdesk.cli.config_sources import PREFIX, SEPARATOR
from perpdesk.telemetry.logs import REDACTED

WIDTH = 110
HEAD = f"""\
Perpdesk configuration. Every key is optional; what stands here are the defaults.
An environment variable overrides a key: {PREFIX}DESK{SEPARATOR}ENTRY{SEPARATOR}PAIRS_MAX=1
Private keys never stand here: they are read from the environment or from .env."""


def commented_yaml() -> str:
    """Every key with its default under its description; loading it gives the defaults."""
    lines = [*_comment(HEAD, ""), "", *_section(Config, (), "")]
    return "\n".join(lines) + "\n"


def _section(model: type[BaseModel], path: tuple[str, ...], indent: str) -> Iterator[str]:
    for number, (name, field) in enumerate(model.model_fields.items()):
        inner = model_of(field)
        words = field.description or (inner.__doc__ if inner is not None else "") or ""
        if inner is not None:
            if number:
                yield ""
            yield from _comment(words, indent)
            yield f"{indent}{name}:"
            yield from _section(inner, (*path, name), indent + "  ")
        elif _is_secret(field.annotation):
            variable = PREFIX + SEPARATOR.join((*path, name)).upper()
            yield from _comment(f"{name} ({words}) is secret: set {variable} in the environment or in .env", indent)
        else:
            yield from _comment(words, indent)
            yield f"{indent}{name}: {_scalar(field.get_default())}"


def _is_secret(annotation: Any) -> bool:
    return "SecretStr" in str(annotation)


def _comment(words: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for part in words.splitlines() for line in textwrap.wrap(part, WIDTH - len(indent) - 2)]


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, width=1_000)
    return text.removesuffix("...\n").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return list(value) if isinstance(value, tuple) else value


def masked(model: BaseModel) -> dict[str, Any]:
    """The configuration in force; of a secret only whether it is set."""
    document: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            document[name] = masked(value)
        elif isinstance(value, SecretStr):
            document[name] = REDACTED
        elif isinstance(value, str) and (password := password_in(value)) is not None:
            document[name] = value.replace(password, REDACTED)
        else:
            document[name] = _plain(value)
    return document
