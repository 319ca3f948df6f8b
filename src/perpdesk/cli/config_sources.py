"""The environment as configuration: PERPDESK__SECTION__KEY, lists also joined by commas."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from perpdesk.cli.config_errors import ConfigError, model_of, nearest

PREFIX = "PERPDESK__"
SEPARATOR = "__"


def _decoded(value: Any) -> Any:
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return [part.strip() for part in value.split(",") if part.strip()]
    return None


class CommaEnv(EnvSettingsSource):
    """The process's environment."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        plain = _decoded(value)
        return plain if plain is not None else super().decode_complex_value(field_name, field, value)


class CommaDotEnv(DotEnvSettingsSource):
    """The `.env` file; other programs' names in it are not ours to judge."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        plain = _decoded(value)
        return plain if plain is not None else super().decode_complex_value(field_name, field, value)

    def __call__(self) -> dict[str, Any]:
        found = EnvSettingsSource.__call__(self)
        return {name: value for name, value in found.items() if name in self.settings_cls.model_fields}


def stray_names(model: type[BaseModel], dotenv: Path) -> None:
    """ConfigError for a PERPDESK__ name, in the environment or `.env`, that stands for no key."""
    for where, names in (("the environment", list(os.environ)), (str(dotenv), _in_dotenv(dotenv))):
        for name in names:
            if name.upper().startswith(PREFIX):
                _check_name(model, name, where)


def _check_name(model: type[BaseModel], name: str, where: str) -> None:
    at: type[BaseModel] | None = model
    known = PREFIX
    for part in name[len(PREFIX) :].lower().split(SEPARATOR):
        if at is None or part not in at.model_fields:
            names = _env_names(model)
            hint = nearest(name.upper(), names)
            close = nearest(part, [] if at is None else list(at.model_fields))
            meant = hint or (None if close is None else known + close.upper())
            raise ConfigError(
                f"{where}: {name} stands for no key"
                + (f"; did you mean {meant}?" if meant else "; see perpdesk config show")
            )
        known += part.upper() + SEPARATOR
        at = model_of(at.model_fields[part])


def _env_names(model: type[BaseModel], prefix: str = PREFIX) -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = model_of(field)
        names += [prefix + name.upper()] if inner is None else _env_names(inner, prefix + name.upper() + SEPARATOR)
    return names


def where_set(path: tuple[str, ...], dotenv: Path) -> str | None:
    """How a message names what sets the key at `path`; None when the file or the default does."""
    wanted = PREFIX + SEPARATOR.join(path).upper()
    for name in os.environ:
        if name.upper() == wanted:
            return f"environment variable {name}"
    for name in _in_dotenv(dotenv):
        if name.upper() == wanted:
            return f"{dotenv}: {name}"
    return None


def _in_dotenv(dotenv: Path) -> list[str]:
    from dotenv import dotenv_values

    return list(dotenv_values(dotenv)) if dotenv.is_file() else []
