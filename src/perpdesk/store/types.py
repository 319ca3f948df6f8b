"""Column types that store the same on SQLite and PostgreSQL: exact decimals, enumerations, documents and safe text."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Milliseconds = BigInteger
"""Unix time or a duration, integer milliseconds."""

RowNumber = BigInteger().with_variant(Integer(), "sqlite")
"""A key the database numbers itself: SQLite only does so for its own INTEGER."""


class ExactDecimal(TypeDecorator[Decimal]):
    """A finite Decimal kept digit for digit, exponent and sign of zero included.

    Text on both databases: SQLite would store NUMERIC as float, and PostgreSQL's NUMERIC drops exponents and the sign of
    zero. SQL therefore must not compare, order or add these columns; that is done on the values, in Python. For a look by hand
    PostgreSQL takes `price::numeric`.

    Raises:
        TypeError: For anything but a Decimal: a float has already lost what this column promises.
        ValueError: For NaN and infinities.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"an exact column takes Decimal, not {type(value).__name__}")
        if not value.is_finite():
            raise ValueError(f"an exact column takes finite numbers, not {value}")
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class EnumText(TypeDecorator[StrEnum]):
    """A StrEnum by its value, so that a row reads without our code. ValueError for a value the enumeration lost."""

    impl = Text
    cache_ok = True

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__()
        self.enumeration = enumeration

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        # A member is its own text; looking it up again would double the cost of converting a row.
        return str.__str__(value if type(value) is self.enumeration else self.enumeration(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.enumeration(value)


class Document(TypeDecorator[Any]):
    """A JSON document as text. Decimals are written as strings, floats that are not finite as null, lone
    surrogates as "?"; None is SQL's NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return _ENCODER.encode(value).decode()
        except UnicodeEncodeError:
            return _ENCODER.encode(_without_surrogates(value)).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _DECODER.decode(value)


class SafeText(TypeDecorator[str]):
    """Text that may come from a venue: what PostgreSQL can not hold (NUL, lone surrogates) becomes U+FFFD and "?"."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else safe_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)


def safe_text(value: str) -> str:
    """What `SafeText` stores for `value`."""
    if value.isascii() and "\x00" not in value:
        return value
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(entry) for entry in value]
    return value


_ENCODER = msgspec.json.Encoder(decimal_format="string")
_DECODER = msgspec.json.Decoder()
