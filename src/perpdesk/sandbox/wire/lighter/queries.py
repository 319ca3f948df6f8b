"""Request parameters, read strictly: what the venue would call an invalid parameter is refused with 20001."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from perpdesk.sandbox.wire.lighter.accounts import Refused

TIMESTAMP_MAX = 5_000_000_000_000
"""The venue's schema bounds timestamps below this; milliseconds fit, microseconds do not."""

_MS_FROM = 100_000_000_000


class Query:
    """Decoded name-value pairs of a query string or a form."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    def of_form(cls, body: bytes) -> "Query":
        try:
            return cls(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32))
        except (UnicodeDecodeError, ValueError) as error:
            raise Refused(20001, "invalid param: body is not a form") from error

    def text(self, name: str) -> str:
        """The last value given; Refused when missing."""
        value = self.text_or_none(name)
        if value is None:
            raise Refused(20001, f"invalid param: {name} is required")
        return value

    def text_or_none(self, name: str) -> str | None:
        return next((value for key, value in reversed(self._pairs) if key == name), None)

    def all_integers(self, name: str) -> list[int]:
        """Every value, whether repeated or comma-separated."""
        texts = [part for key, value in self._pairs if key == name for part in value.split(",") if part]
        return [_integer(name, text) for text in texts]

    def integer(self, name: str, low: int = 0, high: int = 1 << 60) -> int:
        value = _integer(name, self.text(name))
        if not low <= value <= high:
            raise Refused(20001, f"invalid param: {name} must lie between {low} and {high}")
        return value

    def integer_or(self, name: str, default: int, low: int = 0, high: int = 1 << 60) -> int:
        return default if self.text_or_none(name) in (None, "") else self.integer(name, low, high)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self.text_or_none(name) or default
        if value is None or value not in allowed:
            raise Refused(20001, f"invalid param: {name} must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        return self.text_or_none(name) == "true"

    def timestamp_ms(self, name: str) -> int:
        """Milliseconds; a value too small to be that is taken as seconds."""
        value = self.integer(name, 0, TIMESTAMP_MAX)
        return value if value >= _MS_FROM else value * 1000


def _integer(name: str, text: str) -> int:
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise Refused(20001, f"invalid param: {name} must be a whole number")
    return int(text)
