"""What the store makes of a PostgreSQL that goes away: nothing lost, nothing written twice."""

from collections.abc import Iterator, MutableMapping

import pytest
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from perpdesk.store import DuplicateOrder, StoreUnavailable
from perpdesk.store.engine import make_engine
from tests.services.cutting_proxy import Cut, CuttingProxy
from tests.unit.store.examples import a_pair, an_order
from tests.unit.store.fixtures import Database
from tests.unit.store.works import add, keys

pytestmark = pytest.mark.parametrize("database", ["thread"], indirect=True)


@pytest.fixture
def proxy(database: Database) -> Iterator[CuttingProxy]:
    """The way to the test's database from here on."""
    address = make_url(database.url)
    database.retry_delays_ms = (20,) * 5
    proxy = CuttingProxy(address.port or 5432)
    database.url = address.set(port=proxy.port, query={"sslmode": "disable"}).render_as_string(hide_password=False)
    yield proxy
    proxy.close()


def settled(logs: list[MutableMapping[str, object]]) -> object:
    """What the server at last said became of an unanswered commit."""
    return [entry["status"] for entry in logs if entry["event"] == "store_commit_settled"][-1]


def end_every_session(database: Database) -> None:
    engine = make_engine(database.url)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()


async def test_this_really_is_postgres(database: Database) -> None:
    version = await database.open().read(lambda c: c.exec_driver_sql("SELECT version()").scalar())
    assert str(version).startswith("PostgreSQL ")


async def test_a_lost_connection_is_made_again(database: Database) -> None:
    store = database.open()
    await store.run(add("a"))
    assert await store.read(keys) == ["a"]
    end_every_session(database)
    assert await store.run(add("b")) == "b"
    assert await store.read(keys) == ["a", "b"]
    assert store.is_healthy


async def test_a_session_that_ends_between_two_works_of_a_transaction_loses_neither(database: Database) -> None:
    store = database.open()
    ended: list[None] = []

    def work(connection: object) -> str:
        add("a")(connection)
        if not ended:
            ended.append(None)
            end_every_session(database)
        return add("b")(connection)

    assert await store.run(work) == "b"
    assert await store.read(keys) == ["a", "b"]


async def test_a_commit_whose_answer_is_lost_is_not_repeated(database: Database, proxy: CuttingProxy) -> None:
    journal = database.journal()
    await journal.begin_run("live", None, 1)
    pair = await journal.add_pair(a_pair(run_id=1))
    proxy.cut = Cut.BEFORE_CLIENT
    with capture_logs() as logs:
        await journal.record_intent(an_order(pair.pair_id))
    assert proxy.cuts == 1
    assert settled(logs) == "committed"
    assert await journal.load_orders(pair.pair_id) == [an_order(pair.pair_id)]
    with pytest.raises(DuplicateOrder):
        await journal.record_intent(an_order(pair.pair_id))


async def test_a_commit_that_never_arrived_is_repeated(database: Database, proxy: CuttingProxy) -> None:
    database.retry_delays_ms = (20,) * 100  # until the server has noticed that its client is gone
    journal = database.journal()
    await journal.begin_run("live", None, 1)
    proxy.cut = Cut.BEFORE_SERVER
    with capture_logs() as logs:
        pair = await journal.add_pair(a_pair(run_id=1))
    assert proxy.cuts == 1
    assert settled(logs) == "aborted"
    assert await journal.load_open_pairs() == [pair]


async def test_a_server_that_is_gone_makes_the_store_unavailable(database: Database, proxy: CuttingProxy) -> None:
    store = database.open()
    await store.run(add("a"))
    proxy.close()
    with pytest.raises(StoreUnavailable, match="the database does not answer") as told:
        await store.run(add("b"))
    assert not store.is_healthy
    assert str(make_url(database.url).password) not in str(told.value)


async def test_a_database_that_may_only_be_read_makes_the_store_unavailable(database: Database) -> None:
    store = database.open()
    name = make_url(database.url).database
    await store.run(
        lambda c: c.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on").rowcount
    )
    end_every_session(database)
    with pytest.raises(StoreUnavailable, match="can only be read"):
        await store.run(add("a"))
    assert not store.is_healthy
