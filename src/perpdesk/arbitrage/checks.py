"""Comparisons that remember both sides, so that every refusal explains itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison of a decision.

    Attributes:
        observed: What was measured; None when it could not be, which never passes.
        bound: What it is compared with. is_floor: observed must be at least the bound, else at most.
    """

    name: str
    observed: float | None
    bound: float
    unit: str
    is_floor: bool = True

    @property
    def passed(self) -> bool:
        if self.observed is None:
            return False
        return self.observed >= self.bound if self.is_floor else self.observed <= self.bound

    def __str__(self) -> str:
        relation = ("at least" if self.is_floor else "at most") if self.observed is None else self._relation()
        seen = "unknown" if self.observed is None else f"{self.observed:.4g}"
        return f"{self.name} {seen} {relation} {self.bound:.4g} {self.unit}".rstrip()

    def _relation(self) -> str:
        if self.is_floor:
            return ">=" if self.passed else "<"
        return "<=" if self.passed else ">"

    def as_dict(self) -> dict[str, object]:
        """For JSON output; `passed` included."""
        return {
            "name": self.name,
            "observed": self.observed,
            "bound": self.bound,
            "unit": self.unit,
            "is_floor": self.is_floor,
            "passed": self.passed,
        }


def fact(name: str, holds: bool) -> Check:
    """A yes-or-no condition as a check: 1 is yes."""
    return Check(name, 1.0 if holds else 0.0, 1.0, "")
