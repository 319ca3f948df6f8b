"""Commands as rows: how a second process asks a running desk for something, and reads what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from perpdesk.store.failures import StoreError
from perpdesk.store.inserts import new_key
from perpdesk.store.tables import commands
from perpdesk.store.trail import Json


class CommandState(StrEnum):
    """Where a command is."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Command:
    """Something asked of the running desk.

    Attributes:
        kind: What is asked, such as "close". argument: Its details.
        result: What came of it; {"error": "..."} when it failed, None while it is pending.
    """

    command_id: int
    kind: str
    argument: Json | None
    state: CommandState
    result: Json | None
    created_at_ms: int
    done_at_ms: int | None


_INSERT = insert(commands)
_ONE = select(commands).where(commands.c.command_id == bindparam("id"))
_PENDING = select(commands).where(commands.c.state == CommandState.PENDING.value).order_by(commands.c.command_id)
_FINISH = update(commands).where(
    commands.c.command_id == bindparam("id"), commands.c.state == CommandState.PENDING.value
)


def insert_command(connection: Connection, kind: str, argument: Json | None, at_ms: int) -> int:
    """Ask for something; returns the command's id."""
    row = {"kind": kind, "argument": argument, "state": CommandState.PENDING.value, "created_at_ms": at_ms}
    return new_key(connection.execute(_INSERT, row))


def select_pending_commands(connection: Connection) -> list[Command]:
    """Commands nobody has finished, oldest first. They stay pending until they are finished, also through a crash."""
    return [_command(row) for row in connection.execute(_PENDING)]


def finish_command(connection: Connection, command_id: int, state: CommandState, result: Json, at_ms: int) -> None:
    """Say what came of a command; StoreError when it is not pending."""
    row = {"id": command_id, "state": state.value, "result": result, "done_at_ms": at_ms}
    if connection.execute(_FINISH, row).rowcount == 0:
        raise StoreError(f"command {command_id} is not pending; it was finished before or never asked")


def select_command(connection: Connection, command_id: int) -> Command | None:
    """One command, None when there is none with this id."""
    row = connection.execute(_ONE, {"id": command_id}).first()
    return None if row is None else _command(row)


def _command(row: Sequence[Any]) -> Command:
    command_id, kind, argument, state, *rest = row
    return Command(command_id, kind, argument, CommandState(state), *rest)
