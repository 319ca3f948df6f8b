"""What the documentation tells people to type exists."""

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError

from perpdesk.cli.main import build_app
from tests.unit.docs.pages import PAGES, ROOT, links, name_of, named_commands, typed_commands

README = ROOT / "README.md"


def words_of(line: str) -> list[str]:
    """Arguments after the program's name: no comment, no redirection, optional parts taken as given."""
    plain = re.sub(r"[\[\]]", "", line)
    return shlex.split(re.split(r" [>|] ", plain)[0], comments=True)[1:]


def parse(line: str) -> None:
    """Bind a whole command line without running it; raises what the command line would answer."""
    build_app().parse_args(words_of(line), exit_on_error=False, print_error=False)


def resolve(line: str) -> None:
    """Find the command that `line` names; its arguments may be missing. AssertionError when there is none."""
    app = build_app()
    chain, found, rest = app.parse_commands(words_of(line))
    is_group = bool(commands_of(found[-1]))
    assert chain or (rest and rest[0].startswith("-")), f"{line!r} names no command"
    assert not is_group or not rest or rest[0].startswith("-"), f"{line!r}: there is no {rest[0]!r}"


def commands_of(app: App) -> list[str]:
    """Names of the commands registered on `app`."""
    return [name for name in app if not name.startswith("-")]


def every_command(app: App, path: tuple[str, ...] = ()) -> list[str]:
    """All commands that do something, such as "arb scan"."""
    names = commands_of(app)
    if not names:
        return [" ".join(path)]
    return [found for name in names for found in every_command(app[name], (*path, name))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_can_be_typed_as_they_stand(page: Path) -> None:
    for line in typed_commands(page.read_text(encoding="utf-8"), "perpdesk"):
        parse(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_prose_names_exist(page: Path) -> None:
    for line in named_commands(page.read_text(encoding="utf-8"), "perpdesk"):
        resolve(line)


@pytest.mark.parametrize("line", ["perpdesk arb skan", "perpdesk ran", "perpdesk run --fore 60s", "perpdesk arb close"])
def test_a_command_that_does_not_exist_would_be_noticed(line: str) -> None:
    with pytest.raises(CycloptsError):
        parse(line)


@pytest.mark.parametrize("line", ["perpdesk arb skan", "perpdesk ran"])
def test_a_name_that_does_not_exist_would_be_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        resolve(line)


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    missing = [command for command in every_command(build_app()) if f"perpdesk {command}" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in typed_commands(text, "make") + named_commands(text, "make"):
        assert words_of(line)[0] in targets, line


def test_the_readme_tests_by_make_test_alone() -> None:
    lines = typed_commands(README.read_text(encoding="utf-8"), "make")
    assert [words_of(line) for line in lines if "test" in line.split("#")[0]] == [["test"]]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    broken = [target for target in links(page.read_text(encoding="utf-8")) if not (page.parent / target).exists()]
    assert not broken
