"""Configuration mistakes in plain words: which key, where, what was expected, what was probably meant."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

SHOWN_MAX = 60

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "decimal_parsing": "a number",
    "decimal_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list, such as [BTC, ETH]",
    "list_type": "a list, such as [BTC, ETH]",
    "model_type": "keys and values of their own",
    "model_attributes_type": "keys and values of their own",
    "dict_type": "keys and values of their own",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


class ConfigError(Exception):
    """The configuration can not be used; the message is for its owner. Exit code 3."""


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section a field holds, None for a plain value."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that looks most like `word`, None when none does."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None


def check_keys(model: type[BaseModel], document: Mapping[Any, Any], where: str, path: tuple[str, ...] = ()) -> None:
    """ConfigError for the first key of `document` that the models do not have."""
    for key, value in document.items():
        field = model.model_fields.get(key) if isinstance(key, str) else None
        if field is None:
            raise ConfigError(_unknown(model, str(key), where, path))
        inner = model_of(field)
        if inner is not None and isinstance(value, Mapping):
            check_keys(inner, value, where, (*path, key))


def _unknown(model: type[BaseModel], key: str, where: str, path: tuple[str, ...]) -> str:
    section = f" in section {'.'.join(path)}" if path else ""
    close = nearest(key, list(model.model_fields))
    if close is not None:
        return f"{where}: there is no key {key!r}{section}; did you mean {'.'.join((*path, close))}?"
    return f"{where}: there is no key {key!r}{section}; known there: {', '.join(model.model_fields)}"


def explain(error: ValidationError, where: str, set_elsewhere: Callable[[tuple[str, ...]], str | None]) -> str:
    """Every mistake of a validation on a line of its own.

    Args:
        where: The file. set_elsewhere: Names what else set a key, None when the file did.
    """
    lines = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"] if isinstance(part, str))
        place = set_elsewhere(path) or f"{where}: {'.'.join(path)}"
        lines.append(f"{place}: {_problem(dict(problem), path)}")
    return "\n".join(lines)


def _problem(problem: dict[str, Any], path: tuple[str, ...]) -> str:
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind == "extra_forbidden":
        return "there is no such key"
    shown = "" if "private_key" in path else f", not {_short(problem['input'])}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {float(context[name]):g}{shown}"
    if kind == "literal_error":
        return f"must be one of {context['expected']}{shown}"
    if kind in _EXPECTED:
        return f"must be {_EXPECTED[kind]}{shown}"
    return f"{problem['msg']}{shown}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
