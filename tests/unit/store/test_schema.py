"""The schema on SQLite, and how its columns mirror the domain."""

from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import Table

from perpdesk.domain.clock import ManualClock
from perpdesk.domain.funding import FundingPayment
from perpdesk.domain.orders import Fill, OrderIntent
from perpdesk.domain.pairs import OrderRecord, Pair
from perpdesk.store import Store, StoreOutdated, tables
from perpdesk.store.migrations import current_revision, head_revision, upgrade
from perpdesk.store.schema import SCHEMA_REVISION
from tests.unit.store.schema_suite import *  # noqa: F403


@pytest.fixture
def new_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'with 100% odd name.db'}"


def test_the_program_expects_the_newest_revision() -> None:
    assert head_revision() == SCHEMA_REVISION


async def test_opening_a_new_store_makes_its_tables(new_url: str) -> None:
    store = Store.open(new_url, mode="inline", clock=ManualClock())
    await store.close()
    assert current_revision(new_url) == head_revision()


async def test_a_store_written_by_a_later_program_is_not_touched(new_url: str) -> None:
    store = Store.open(new_url, mode="inline", clock=ManualClock())
    await store.run(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'").rowcount)
    await store.close()
    with pytest.raises(StoreOutdated, match="install a newer perpdesk"):
        upgrade(new_url)
    assert current_revision(new_url) == "9999"


@pytest.mark.parametrize(
    ("table", "kinds", "own"),
    [
        (tables.pairs, (Pair,), set()),
        (tables.orders, (OrderIntent, OrderRecord), {"updated_at_ms"}),
        (tables.fills, (Fill,), {"era", "pair_id"}),
        (tables.funding_payments, (FundingPayment,), {"era", "pair_id"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_field_of_the_domain_has_a_column(table: Table, kinds: tuple[type, ...], own: set[str]) -> None:
    names = {field.name for kind in kinds for field in fields(kind)} - {"intent"}
    assert set(table.columns.keys()) == names | own


@pytest.mark.parametrize(("table", "kind"), [(tables.pairs, Pair), (tables.orders, OrderIntent), (tables.fills, Fill)])
def test_a_column_is_required_where_its_field_is_never_none(table: Table, kind: type) -> None:
    for field in fields(kind):
        assert table.c[field.name].nullable == ("None" in str(field.type)), field.name
