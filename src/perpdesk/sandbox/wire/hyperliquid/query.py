"""Reading request bodies: what does not fit the venue's types is refused as a whole, with HTTP 422."""

import re
from typing import Any

import msgspec

_ADDRESS = re.compile(r"^0x[0-9a-f]{40}$")
_CLOID = re.compile(r"^0x[0-9a-f]{32}$")

UNDECODABLE_TEXT = "Failed to deserialize the JSON body into the target type"
FOREVER_MS = 1 << 62


class Undecodable(ValueError):
    """A body or a field of it that the venue can not read into its types."""


def parse_address(value: Any) -> str:
    """An account address in lower case; Undecodable for anything else."""
    text = value.lower() if isinstance(value, str) else ""
    if not _ADDRESS.match(text):
        raise Undecodable(f"not an address: {str(value)[:60]!r}")
    return text


def parse_cloid(value: Any) -> str:
    """A client order id, 0x and 32 hexadecimal digits, in lower case."""
    text = value.lower() if isinstance(value, str) else ""
    if not _CLOID.match(text):
        raise Undecodable(f"not a client order id: {str(value)[:60]!r}")
    return text


def parse_order_id(value: Any) -> int | str:
    """An order id or, in the same field, a client's."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return parse_cloid(value)


class Query:
    """One read or subscription request with typed access to its fields; null counts as absent."""

    def __init__(self, fields: Any) -> None:
        if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
            raise Undecodable("a request is an object with a type")
        self._fields: dict[str, Any] = fields
        self.type: str = fields["type"]

    @classmethod
    def parse(cls, body: bytes) -> "Query":
        """Decode a body; Undecodable when it is no JSON object with a type."""
        try:
            return cls(msgspec.json.decode(body))
        except (msgspec.DecodeError, RecursionError) as error:
            raise Undecodable(str(error)) from error

    def text(self, key: str) -> str:
        value = self._fields.get(key)
        if not isinstance(value, str):
            raise Undecodable(f"{key} must be text")
        return value

    def address(self, key: str = "user") -> str:
        return parse_address(self._fields.get(key))

    def order_id(self) -> int | str:
        return parse_order_id(self._fields.get("oid"))

    def optional_integer(self, key: str) -> int | None:
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise Undecodable(f"{key} must be an integer")
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        value = self.optional_integer(key)
        if value is None:
            value = default
        if value is None:
            raise Undecodable(f"{key} is missing")
        return value

    def flag(self, key: str) -> bool:
        value = self._fields.get(key)
        if value is not None and not isinstance(value, bool):
            raise Undecodable(f"{key} must be true or false")
        return bool(value)

    def times(self, start_default: int | None = None) -> tuple[int, int]:
        """Inclusive bounds; an absent end is the far future."""
        return self.integer("startTime", start_default), self.integer("endTime", FOREVER_MS)

    def nested(self, key: str) -> "Query":
        """An inner object without a type of its own."""
        value = self._fields.get(key)
        if not isinstance(value, dict):
            raise Undecodable(f"{key} must be an object")
        return Query({"type": self.type, **value})

    @property
    def is_main_dex(self) -> bool:
        """Whether the request means the venue's own perpetuals; builder dexes are not simulated."""
        return self._fields.get("dex") in (None, "")
