"""Reading many things by request, a bounded number at a time: after a start or a gap, before the feeds tell by themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from perpdesk.venues.base import VenueError

K = TypeVar("K")
V = TypeVar("V")

REQUESTS_MAX = 20
"""Requests under way at once unless the caller says otherwise: ten assets are one round trip, and no venue's limit is near."""


@dataclass(frozen=True, slots=True)
class Refreshed(Generic[K, V]):
    """What came of each key: it is in exactly one of the two.

    Attributes:
        found: Values by key, in the order of the keys. errors: Why a key has none.
    """

    found: dict[K, V]
    errors: dict[K, VenueError]


async def refresh(fetch: Callable[[K], Awaitable[V]], keys: Iterable[K], limit: int = REQUESTS_MAX) -> Refreshed[K, V]:
    """Fetch every key, at most `limit` at a time, in their order; the next one starts as soon as one ends.

    Args:
        fetch: Such as `venue.fetch_book`. Its VenueErrors belong to their key alone; anything else it raises ends the whole
            refresh, cancels what is under way and is raised here.
        keys: A repeated key is fetched once.

    Raises:
        ValueError: `limit` is not positive.
    """
    if limit < 1:
        raise ValueError(f"at least one request must be allowed at a time, was {limit}")
    wanted = list(dict.fromkeys(keys))
    waiting = iter(wanted)
    found: dict[K, V] = {}
    errors: dict[K, VenueError] = {}
    workers = [asyncio.create_task(_work(fetch, waiting, found, errors)) for _ in range(min(limit, len(wanted)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return Refreshed({key: found[key] for key in wanted if key in found}, errors)


async def _work(
    fetch: Callable[[K], Awaitable[V]], waiting: Iterator[K], found: dict[K, V], errors: dict[K, VenueError]
) -> None:
    """Take keys until none is left."""
    for key in waiting:
        try:
            found[key] = await fetch(key)
        except VenueError as error:
            errors[key] = error
