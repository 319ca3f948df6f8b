"""One measured line and how it is judged."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Rule = Literal["ratio >= bar", "ratio <= bar", "value <= bar"]
"""What has to hold for a row to be ok."""


@dataclass(frozen=True, slots=True)
class Row:
    """A number, what it was compared to, and whether it clears its bar.

    Attributes:
        name: The benchmark's name, a full stop and a word more where it has several rows.
        value, baseline: Ours and the other's, both in `unit`; baseline is None where nothing but the bar is compared to.
        ratio: How they relate, as `note` says; None without a baseline.
        bar: What `rule` compares with.
        note: What was measured on which input.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    bar: float
    ok: bool
    rule: Rule
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return asdict(self)


def faster(name: str, unit: str, value: float, baseline: float, bar: float, note: str) -> Row:
    """A row that is ok when `value` is at least `bar` times less than `baseline`."""
    ratio = baseline / value
    return Row(name, value, unit, baseline, ratio, bar, ratio >= bar, "ratio >= bar", note)


def at_least(name: str, unit: str, value: float, baseline: float, bar: float, note: str) -> Row:
    """A row that is ok when `value` is at least `bar` times `baseline`."""
    ratio = value / baseline
    return Row(name, value, unit, baseline, ratio, bar, ratio >= bar, "ratio >= bar", note)


def at_most(name: str, unit: str, value: float, baseline: float, bar: float, note: str) -> Row:
    """A row that is ok when `value` is at most `bar` times `baseline`."""
    ratio = value / baseline
    return Row(name, value, unit, baseline, ratio, bar, ratio <= bar, "ratio <= bar", note)


def within(name: str, unit: str, value: float, baseline: float | None, bar: float, note: str) -> Row:
    """A row that is ok when `value` itself is at most `bar`; the ratio is baseline / value, for orientation."""
    ratio = None if baseline is None else baseline / value
    return Row(name, value, unit, baseline, ratio, bar, value <= bar, "value <= bar", note)
