"""Every benchmark by the name it is asked for, in the order it runs: the longest last."""

from collections.abc import Callable, Iterable

from benchmarks import batch_writes, book, decode, exits, round_trips, scan, virtual_time
from benchmarks.rows import Row

Measure = Callable[[], Iterable[Row]]

BENCHMARKS: dict[str, Measure] = {
    "decode": decode.measure,
    "book": book.measure,
    "scan": scan.measure,
    "exits": exits.measure,
    "round_trips": round_trips.measure,
    "batch_writes": batch_writes.measure,
    "virtual_time": virtual_time.measure,
}
