"""Answers on stdout, either one JSON document or text for people; messages on stderr."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def emit(document: Any, as_json: bool, render: Callable[["Console"], None]) -> None:
    """Print the answer: `document` as JSON, or what `render` makes of it."""
    if as_json:
        print_json(document)
        return
    render(console())


def print_json(document: Any) -> None:
    """One document and a newline; Decimals become exact JSON numbers."""
    import msgspec

    encoded = msgspec.json.Encoder(decimal_format="number").encode(document)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
    sys.stdout.flush()


def console() -> "Console":
    """Stdout as rich sees it; wide when it is no terminal, so that nothing is cut in a file."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False) if sys.stdout.isatty() else Console(highlight=False, width=160)


def say(message: str) -> None:
    """A message beside the answer."""
    print(message, file=sys.stderr, flush=True)


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Any:
    """A plain table; `right` names the columns that hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        made.add_column(name, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A number for people; a dash where it is unknown."""
    if value is None:
        return "–"
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def span(ms: float | None) -> str:
    """A duration for people."""
    if ms is None:
        return "–"
    if ms < 1_000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
