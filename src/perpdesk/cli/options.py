"""What command options have in common: durations, assets, the two options every command takes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

MS_OF_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")


class UsageError(Exception):
    """The command was called wrongly; the message is for its caller. Exit code 2."""


class Refused(Exception):
    """The command ran and the answer is no; the message says why and what to do. Exit code 1."""


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command.

    Attributes:
        config: Configuration file; perpdesk.yaml of the current folder when there is one.
        json: Print exactly one JSON document on stdout; everything else goes to stderr.
    """

    config: Annotated[Path | None, Parameter(help="Configuration file (default: perpdesk.yaml, if there is one)")] = (
        None
    )
    json: Annotated[bool, Parameter(help="One JSON document on stdout, logs on stderr", negative="")] = False


def parse_duration_ms(text: str) -> int:
    """Milliseconds of "500ms", "60s", "10m", "2h" or "1d"; ValueError for anything else, zero included."""
    found = _DURATION.match(text)
    duration_ms = 0 if found is None else round(float(found.group(1)) * MS_OF_UNIT[found.group(2)])
    if duration_ms <= 0:
        raise ValueError(f"{text!r} is no duration; write for example 60s, 10m, 2h or 1d")
    return duration_ms


def _convert_duration(_type: Any, tokens: Sequence[Any]) -> int:
    return parse_duration_ms(tokens[0].value)


@Parameter(converter=_convert_duration, n_tokens=1)
class Duration(int):
    """A duration option such as 60s; milliseconds once read."""


WorldName = Literal["sandbox", "live"]
StoreWorld = Literal["sandbox", "live", "paper"]
"""Which world's store is read; "paper" is the live world while its orders are only on paper."""


def parse_assets(text: str | None) -> tuple[str, ...]:
    """Canonical names of a comma list; UsageError when it names nothing."""
    if text is None:
        return ()
    names = tuple(canonical_asset(part.strip()) for part in text.split(",") if part.strip())
    if not names:
        raise UsageError(f"--assets {text!r} names no asset; write for example --assets BTC,ETH")
    return names


def canonical_asset(name: str) -> str:
    """Our name of an asset given by it or by a venue's market name: kPEPE, 1000PEPE and 1000PEPE-USD are PEPE."""
    from perpdesk.domain.assets import VenueName, listing_of

    is_scaled_by_k = re.match(r"^k(?=[A-Z])", name) is not None
    venue = VenueName.HYPERLIQUID if is_scaled_by_k else VenueName.EXTENDED
    upper = name if is_scaled_by_k else name.upper()
    try:
        return listing_of(venue, upper).asset
    except ValueError:
        raise UsageError(f"{name!r} is no asset; write for example BTC") from None


def parse_since_ms(text: str, now_ms: int) -> int:
    """Unix milliseconds of a date (UTC) such as 2026-01-31, a time such as 2026-01-31T12:00, or a duration ago such as 7d."""
    from datetime import UTC, datetime

    if _DURATION.match(text):
        return now_ms - parse_duration_ms(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since {text!r} is neither a date such as 2026-01-31 nor a duration such as 7d") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
