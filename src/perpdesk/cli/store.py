"""`perpdesk db`: the store's schema."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from perpdesk.cli.options import Common, StoreWorld

app = App(name="db", help="The store's schema.", help_format="plaintext")

World = Annotated[StoreWorld, Parameter(help="Whose store: the sandbox's, the live one, or that of paper orders")]
StoreUrl = Annotated[str | None, Parameter(help="Address of the store, instead of the configured one")]


@app.command
def upgrade(*, world: World = "sandbox", store: StoreUrl = None, common: Common = Common()) -> int:  # noqa: B008
    """Bring the store's tables to what this program needs; makes a new store where there is none."""
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import open_session, store_url
    from perpdesk.store import migrations
    from perpdesk.store.engine import describe, parse_url

    url = store_url(open_session(common), world, store)
    before = _revision(url)
    migrations.upgrade(url)
    document = {"store": describe(parse_url(url)), "before": before, "after": migrations.current_revision(url)}
    changed = "was up to date" if before == document["after"] else f"upgraded from {before or 'nothing'}"
    emit(
        document,
        common.json,
        lambda console: console.print(f"{document['store']}: {changed}, now at {document['after']}"),
    )
    return 0


@app.command
def current(*, world: World = "sandbox", store: StoreUrl = None, common: Common = Common()) -> int:  # noqa: B008
    """Show which revision the store's tables have, and which this program needs; exit code 1 when they differ."""
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import open_session, store_url
    from perpdesk.store.engine import describe, parse_url
    from perpdesk.store.schema import SCHEMA_REVISION

    url = store_url(open_session(common), world, store)
    found = _revision(url)
    document: dict[str, Any] = {
        "store": describe(parse_url(url)),
        "revision": found,
        "needed": SCHEMA_REVISION,
        "is_current": found == SCHEMA_REVISION,
    }
    words = "no tables yet" if found is None else f"revision {found}"
    remedy = "" if document["is_current"] else "; run: perpdesk db upgrade"
    emit(
        document,
        common.json,
        lambda console: console.print(f"{document['store']}: {words}, needed is {SCHEMA_REVISION}{remedy}"),
    )
    return 0 if document["is_current"] else 1


def _revision(url: str) -> str | None:
    """Of the tables, None when there are none; a missing file is left missing."""
    from perpdesk.store import migrations
    from perpdesk.store.engine import parse_url, sqlite_path

    path = sqlite_path(parse_url(url))
    return None if path is not None and not path.exists() else migrations.current_revision(url)
