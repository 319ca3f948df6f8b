"""Client order ids and the limits of their parts."""

import pytest

from perpdesk.domain.orders import CLIENT_ID_MAX
from perpdesk.store.ids import ORDER_NUMBER_MAX, PAIR_ID_MAX, SALT_MAX, client_id, split_client_id


def test_the_largest_parts_make_the_largest_id_a_venue_takes() -> None:
    assert client_id(SALT_MAX, PAIR_ID_MAX, ORDER_NUMBER_MAX) == CLIENT_ID_MAX


def test_the_parts_sit_where_they_are_said_to() -> None:
    assert client_id(2, 3, 5) == 2 << 36 | 3 << 16 | 5


@pytest.mark.parametrize(
    ("salt", "pair_id", "number", "named"),
    [
        (0, 1, 1, "salt 0"),
        (SALT_MAX + 1, 1, 1, "salt 4096"),
        (1, 0, 1, "pair id 0"),
        (1, PAIR_ID_MAX + 1, 1, "pair id 1048576"),
        (1, 1, -1, "order number -1"),
        (1, 1, ORDER_NUMBER_MAX + 1, "order number 65536"),
    ],
)
def test_a_part_out_of_its_range_is_named(salt: int, pair_id: int, number: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        client_id(salt, pair_id, number)


@pytest.mark.parametrize("value", [-1, 0, 1, 1 << 32, CLIENT_ID_MAX + 1])
def test_an_id_that_is_not_ours_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="is outside"):
        split_client_id(value)
