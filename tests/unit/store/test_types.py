"""What the column types refuse, and what they make of odd values."""

from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import StatementError

from perpdesk.domain.books import Side
from perpdesk.store.bulk import BulkInsert
from perpdesk.store.engine import make_engine
from perpdesk.store.types import Document, EnumText, ExactDecimal, SafeText

values = Table(
    "values",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("number", ExactDecimal),
    Column("side", EnumText(Side)),
    Column("document", Document),
    Column("text", SafeText),
)


@pytest.fixture
def connection() -> Connection:
    engine = make_engine("sqlite:///:memory:")
    values.metadata.create_all(engine)
    return engine.connect()


def stored(connection: Connection, **row: object) -> object:
    connection.execute(insert(values), row)
    return connection.execute(select(values.c[next(iter(row))])).scalar_one()


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_finite_are_refused(connection: Connection, number: str) -> None:
    with pytest.raises(StatementError, match="takes finite numbers"):
        stored(connection, number=Decimal(number))


@pytest.mark.parametrize("number", [1.5, 1, "1.5"])
def test_an_exact_column_takes_only_decimals(connection: Connection, number: object) -> None:
    with pytest.raises(StatementError, match="takes Decimal, not"):
        stored(connection, number=number)


def test_none_stays_none(connection: Connection) -> None:
    connection.execute(insert(values), {"number": None, "side": None, "document": None, "text": None})
    assert connection.execute(select(values)).one() == (1, None, None, None, None)


def test_an_enumeration_comes_back_as_its_member(connection: Connection) -> None:
    assert stored(connection, side=Side.SELL) is Side.SELL


def test_a_value_the_enumeration_does_not_know_is_refused(connection: Connection) -> None:
    with pytest.raises(StatementError, match="not a valid Side"):
        stored(connection, side="sideways")


def test_a_document_keeps_decimals_exact_and_drops_what_is_no_number(connection: Connection) -> None:
    document = {"price": Decimal("1.50"), "ratio": float("nan"), "side": Side.BUY, "list": [1, None]}
    assert stored(connection, document=document) == {"price": "1.50", "ratio": None, "side": "buy", "list": [1, None]}


def test_a_document_with_broken_text_is_kept_as_far_as_json_can(connection: Connection) -> None:
    assert stored(connection, document={"raw\udc80": ["a\ud800b", {"x": "ok\x00"}]}) == {
        "raw?": ["a?b", {"x": "ok\x00"}]
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [("plain", "plain"), ("", ""), ("naïve €", "naïve €"), ("a\x00b", "a\ufffdb"), ("a\ud800b", "a?b")],
)
def test_text_is_kept_as_far_as_every_database_can(connection: Connection, text: str, kept: str) -> None:
    assert stored(connection, text=text) == kept


def test_a_bulk_insert_stores_what_a_plain_one_does(connection: Connection) -> None:
    rows = [(Decimal("1.50"), Side.BUY, {"n": 1}, "a\x00"), (None, None, None, None)]
    names = ("number", "side", "document", "text")
    BulkInsert(values, names).run(connection, rows)
    connection.execute(insert(values), [dict(zip(names, row, strict=True)) for row in rows])
    bulk, plain = [connection.execute(select(values).where(values.c.id.in_(ids))).all() for ids in ((1, 2), (3, 4))]
    assert [row[1:] for row in bulk] == [row[1:] for row in plain]


def test_a_bulk_insert_refuses_what_a_plain_one_refuses(connection: Connection) -> None:
    with pytest.raises(TypeError, match="takes Decimal, not float"):
        BulkInsert(values, ("number",)).run(connection, [(1.5,)])
