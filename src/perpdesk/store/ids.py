"""Client order ids: 48 bits that say which store, pair and order, so that a venue's answer finds its way home.

    salt (12 bits) | pair id (20 bits) | order number within the pair (16 bits)

The salt is drawn once per store; two stores on one account therefore rarely share ids, and a new store hardly ever repeats
those of an old one.
"""

from typing import NamedTuple

SALT_MAX = (1 << 12) - 1
PAIR_ID_MAX = (1 << 20) - 1
ORDER_NUMBER_MAX = (1 << 16) - 1

_PAIR_SHIFT = 16
_SALT_SHIFT = 36


class ClientIdParts(NamedTuple):
    """What a client order id is made of."""

    salt: int
    pair_id: int
    number: int


def client_id(salt: int, pair_id: int, number: int) -> int:
    """Client order id of order `number` (0..65535) of a pair.

    Args:
        salt: 1 to 4095, so that no id is 0.
        pair_id: 1 to 1048575.

    Raises:
        ValueError: A part is out of its range.
    """
    _within("salt", salt, 1, SALT_MAX)
    _within("pair id", pair_id, 1, PAIR_ID_MAX)
    _within("order number", number, 0, ORDER_NUMBER_MAX)
    return salt << _SALT_SHIFT | pair_id << _PAIR_SHIFT | number


def split_client_id(value: int) -> ClientIdParts:
    """The parts of a client order id; ValueError for a number `client_id` can not have made."""
    parts = ClientIdParts(value >> _SALT_SHIFT, value >> _PAIR_SHIFT & PAIR_ID_MAX, value & ORDER_NUMBER_MAX)
    client_id(*parts)
    return parts


def _within(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} {value} is outside {lowest}..{highest}")
