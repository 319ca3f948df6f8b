"""`perpdesk config`: write a commented configuration file, or show what is in force."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from perpdesk.cli.options import Common, Refused

app = App(name="config", help="Write or show the configuration.", help_format="plaintext")


@app.command
def init(
    *,
    force: Annotated[bool, Parameter(help="Overwrite a file that is there", negative="")] = False,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Write a commented perpdesk.yaml (or the file of --config) with every key, its meaning and its default."""
    from perpdesk.cli.config import DEFAULT_FILE
    from perpdesk.cli.config_file import commented_yaml
    from perpdesk.cli.output import emit

    path = common.config or DEFAULT_FILE
    if path.exists() and not force:
        raise Refused(f"{path} exists already; --force overwrites it")
    _write(path, commented_yaml())
    emit({"written": str(path)}, common.json, lambda console: console.print(f"written: {path}"))
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} can not be written: {error.strerror}") from None


@app.command
def show(*, common: Common = Common()) -> int:  # noqa: B008  # frozen
    """Show the configuration in force: defaults, file and environment together; secrets only as set or not."""
    import yaml

    from perpdesk.cli.config_file import masked
    from perpdesk.cli.output import emit
    from perpdesk.cli.session import open_session

    document = masked(open_session(common))
    emit(document, common.json, lambda _: print(yaml.safe_dump(document, sort_keys=False), end=""))
    return 0
