"""One real PostgreSQL for the whole session, and a database of its own for each test.

PERPDESK_TEST_POSTGRES_URL names a server to use instead of starting one; its user must be allowed to make databases.
"""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from sqlalchemy.engine import make_url

from perpdesk.store.engine import make_engine
from perpdesk.store.migrations import upgrade
from tests.services.postgres import NoPostgres, start_postgres
from tests.unit.store.fixtures import Database, journal, store

SUITES = ("journal_suite", "store_suite", "group_commit_suite", "schema_suite")
pytest.register_assert_rewrite(*(f"tests.unit.store.{name}" for name in SUITES))

__all__ = ["journal", "store"]

GIVEN_SERVER = "PERPDESK_TEST_POSTGRES_URL"

Sql = Callable[[str], None]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Address of a server, with a user that may make databases."""
    if given := os.environ.get(GIVEN_SERVER):
        yield given
        return
    try:
        server = start_postgres()
    except NoPostgres as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no PostgreSQL for the tests: {missing}")
        pytest.skip(f"no PostgreSQL for the tests: {missing}")
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def administer(server_url: str) -> Iterator[Sql]:
    """Runs a statement on the server outside any transaction."""
    engine = make_engine(server_url)

    def run(statement: str) -> None:
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(statement)

    yield run
    engine.dispose()


@pytest.fixture(scope="session")
def template(server_url: str, administer: Sql) -> Iterator[str]:
    """Name of a database with every table and no row, which the others are copied from."""
    name = f"perpdesk_test_{secrets.token_hex(4)}"
    administer(f"CREATE DATABASE {name}")
    upgrade(address_of(server_url, name))
    yield name
    drop_if_borrowed(administer, name)


@pytest.fixture
def new_url(server_url: str, administer: Sql) -> Iterator[str]:
    """Address of an empty database."""
    name = f"perpdesk_test_{secrets.token_hex(4)}"
    administer(f"CREATE DATABASE {name}")
    yield address_of(server_url, name)
    drop_if_borrowed(administer, name)


@pytest.fixture
def database_url(server_url: str, template: str, administer: Sql) -> Iterator[str]:
    """Address of a database with every table and no row."""
    name = f"{template}_{secrets.token_hex(4)}"
    administer(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield address_of(server_url, name)
    drop_if_borrowed(administer, name)


@pytest.fixture(params=["thread", "inline"])
async def database(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url, request.param)
    yield made
    await made.close()


def drop_if_borrowed(administer: Sql, name: str) -> None:
    """Leave nothing on a server that is not ours; our own is removed whole, which is faster."""
    if GIVEN_SERVER in os.environ:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


def address_of(server_url: str, database: str) -> str:
    """The same server, another database; with its password, so never for a message."""
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)
