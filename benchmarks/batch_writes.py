"""100 rows written in one transaction, beside an ORM that adds and flushes row by row."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from io import FileIO
from itertools import count
from pathlib import Path
from statistics import quantiles
from time import perf_counter_ns

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, registry

from benchmarks.rows import Row, at_most, within
from benchmarks.timing import interleaved_us
from perpdesk.domain.assets import VenueName
from perpdesk.store.engine import make_engine
from perpdesk.store.schema import ensure_schema
from perpdesk.store.tables import opportunities
from perpdesk.store.trail import Opportunity, insert_opportunities

ROWS = 100
ROUNDS = 5
PER_ROUND = 100
WARM_UPS = 150
"""Until the write-ahead log has its size; before that each sync also grows the file."""
BARE_BYTES = 36 * 1024
"""About what one such transaction appends to the log."""
RATIO_MAX = 1 / 20
P90_MS_MAX = 2.0

Write = Callable[[list[Opportunity]], None]
"""Writes the rows of one scan and commits."""


def measure() -> list[Row]:
    """The ratio to the ORM in memory, where only the code differs, and the 90th percentile on disk, commit and all."""
    ours_us, orm_us = _beside_orm()
    p90_ms, bare_p90_ms = _on_disk()
    note = f"{ROWS} sampled scan rows in one transaction on SQLite"
    return [
        at_most("batch_writes", "us", ours_us, orm_us, RATIO_MAX, f"{note} in memory, vs ORM add + flush of each"),
        within(
            "batch_writes.p90",
            "ms",
            p90_ms,
            bare_p90_ms,
            P90_MS_MAX,
            f"{note} on disk, synced, 90th percentile; baseline: writing and syncing {BARE_BYTES // 1024} KiB to a plain file",
        ),
    ]


def _beside_orm() -> tuple[float, float]:
    """Microseconds of one transaction, ours and the ORM's."""
    engines = [_new_engine("sqlite:///:memory:") for _ in range(2)]
    scans = count()
    with engines[0].connect() as connection:
        write, write_orm = partial(_write, connection), _orm_writer(engines[1])
        return interleaved_us(lambda: write(_scan(next(scans))), lambda: write_orm(_scan(next(scans))))


def _on_disk() -> tuple[float, float]:
    """90th percentiles of the least disturbed round, milliseconds: ours, and what the disk alone takes for as many bytes."""
    with tempfile.TemporaryDirectory() as folder:
        engine = _new_engine(f"sqlite:///{Path(folder) / 'bench.db'}")
        ours_ms, bare_ms = [], []
        with engine.connect() as connection, (Path(folder) / "bare").open("wb", buffering=0) as bare:
            for number in range(WARM_UPS + ROUNDS * PER_ROUND):
                ours_ms.append(_time_ms(partial(_write, connection, _scan(number))))
                bare_ms.append(_time_ms(partial(_write_bare, bare)))
        engine.dispose()
    return _best_p90(ours_ms[WARM_UPS:]), _best_p90(bare_ms[WARM_UPS:])


def _write_bare(file: FileIO) -> None:
    file.seek(0)
    file.write(bytes(BARE_BYTES))
    os.fsync(file.fileno())


def _time_ms(call: Callable[[], None]) -> float:
    began = perf_counter_ns()
    call()
    return (perf_counter_ns() - began) / 1e6


def _best_p90(times: list[float]) -> float:
    rounds = [times[start : start + PER_ROUND] for start in range(0, len(times), PER_ROUND)]
    return min(quantiles(round_, n=10)[-1] for round_ in rounds)


def _new_engine(url: str) -> Engine:
    engine = make_engine(url)
    ensure_schema(engine)
    return engine


def _scan(number: int) -> list[Opportunity]:
    """What one scan samples: rows of one moment, later than those of the scan before."""
    document = {"net_bps_per_hour": 1.25, "depth_usd": 15_250.5, "fees_bps": 7.0, "refused": ["depth", "spread"]}
    at_ms = 1_700_000_000_000 + number * 1_000
    return [Opportunity(at_ms, f"COIN{n}", VenueName.LIGHTER, VenueName.EXTENDED, document) for n in range(ROWS)]


def _write(connection: Connection, samples: list[Opportunity]) -> None:
    with connection.begin():
        insert_opportunities(connection, None, samples)


def _orm_writer(engine: Engine) -> Write:
    """What a usual ORM repository does: build an object per row, add it, flush it; one commit at the end."""

    class Sample:
        """Mapped to the same table."""

        def __init__(self, **values: object) -> None:
            for name, value in values.items():
                setattr(self, name, value)

    registry().map_imperatively(Sample, opportunities)

    def write(samples: list[Opportunity]) -> None:
        with Session(engine) as session:
            for s in samples:
                session.add(
                    Sample(
                        at_ms=s.at_ms,
                        asset=s.asset,
                        long_venue=s.long_venue,
                        short_venue=s.short_venue,
                        document=s.document,
                    )
                )
                session.flush()
            session.commit()

    return write
