"""Writes the tables of docs/configuration.md from the configuration's models, where every key is stated once.

`python scripts/config_reference.py` rewrites the part between the marks; with `--check` it only compares, and exits 1 when the
page is stale.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from perpdesk.cli.config import Config
from perpdesk.cli.config_errors import model_of
from perpdesk.cli.config_sources import PREFIX, SEPARATOR

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- begin: written by scripts/config_reference.py -->"
END = "<!-- end: written by scripts/config_reference.py -->"

# Names carry their unit (then a qualifier), so the first of these that a name holds is the key's.
UNITS = (
    ("bps_per_hour", "bps/h"),
    ("usd", "USD"),
    ("bps", "bps"),
    ("ms", "ms"),
    ("hours", "h"),
    ("share", "fraction"),
    ("leverage", "x"),
)
NUMBERS = (int, float, Decimal)
BOUNDS = (("gt", "> "), ("ge", ">= "), ("lt", "< "), ("le", "<= "))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Write the tables of docs/configuration.md.")
    parser.add_argument("--check", action="store_true", help="only say whether the page is stale")
    options = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    fresh = renewed(page)
    if options.check:
        if fresh == page:
            return 0
        print(f"{PAGE.name} is stale; run: python scripts/config_reference.py", file=sys.stderr)
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


def renewed(page: str) -> str:
    """`page` with the part between the marks as the models have it now; ValueError without the marks."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} lacks the marks of its written part")
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{tail}"


def tables() -> str:
    """One table a section, in the order of the models."""
    return "\n".join("\n".join(block) for block in _sections(Config, ()))


def every_key(
    model: type[BaseModel] = Config, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key that holds a value, with its path."""
    for name, field in model.model_fields.items():
        inner = model_of(field)
        if inner is None:
            yield (*path, name), field
        else:
            yield from every_key(inner, (*path, name))


def unit_of(name: str, field: FieldInfo) -> str:
    """The unit a number is in, empty for counts and for what is no number."""
    if not isinstance(field.get_default(), NUMBERS) or isinstance(field.get_default(), bool):
        return ""
    parts = f"_{name}_"
    return next((unit for part, unit in UNITS if f"_{part}_" in parts), "")


def _sections(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[list[str]]:
    plain = {name: field for name, field in model.model_fields.items() if model_of(field) is None}
    if plain:
        heading = ".".join(path) if path else "top level"
        words = _words_of(model, path)
        lines = [f"### {heading}", "", *([words, ""] if words else [])]
        lines += ["| key | default | unit | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
        yield [*lines, *(_row(path, name, field) for name, field in plain.items()), ""]
    for name, field in model.model_fields.items():
        inner = model_of(field)
        if inner is not None:
            yield from _sections(inner, (*path, name))


def _words_of(model: type[BaseModel], path: tuple[str, ...]) -> str:
    return " ".join((model.__doc__ or "").split()) if path else ""


def _row(path: tuple[str, ...], name: str, field: FieldInfo) -> str:
    unit = unit_of(name, field)
    meaning = (field.description or "").removesuffix(f", {unit}" if unit else "\0")
    if _is_secret(field):
        variable = PREFIX + SEPARATOR.join((*path, name)).upper()
        return f"| `{name}` | | | secret | {meaning}. Only from the environment or `.env`: `{variable}` |"
    return f"| `{name}` | {_default(field)} | {unit} | {_allowed(field)} | {meaning} |"


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    return f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return ", ".join(f"`{choice}`" for choice in get_args(kind))
    found = [f"{words}{_bound(each, name)}" for each in field.metadata for name, words in BOUNDS if hasattr(each, name)]
    return ", ".join(found)


def _bound(constraint: Any, name: str) -> str:
    return re.sub(r"\.0$", "", str(getattr(constraint, name)))


if __name__ == "__main__":
    sys.exit(main())
