"""Build the project's virtual environment: a private .venv with every locked dependency and this package, editable.

Runs on the bare interpreter (standard library only), without root. Steps whose inputs did not change are skipped.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "perpdesk-setup.sha256"
LOCKS = (ROOT / "requirements" / "bootstrap.lock", ROOT / "requirements" / "dev.lock", ROOT / "pyproject.toml")
PYTHON_MIN = (3, 11)


def stop(message: str) -> None:
    """End with one line that says what to do."""
    sys.exit(f"setup: {message}")


def require_interpreter() -> None:
    """Say in one line what this machine lacks, and the remedy."""
    if sys.version_info < PYTHON_MIN:
        found = ".".join(map(str, sys.version_info[:3]))
        stop(
            f"Python 3.11 or newer is needed, {sys.executable} is {found}; install one and run: make PYTHON=python3.11"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stop(f"this Python has no venv module; on Debian or Ubuntu: sudo apt install python{version}-venv")


def fingerprint() -> str:
    """Hash of everything the environment is built from."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sys.prefix}".encode())
    for path in LOCKS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def venv_bin(name: str) -> str:
    """Path of a program inside the environment."""
    folder = VENV / ("Scripts" if os.name == "nt" else "bin")
    return str(folder / name)


def run(title: str, command: list[str], env: dict[str, str] | None = None, optional: bool = False) -> bool:
    """Run one step, showing its name and how long it took; its output only when it fails."""
    print(f"setup: {title} ...", end="", flush=True)
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    print(f" {time.monotonic() - started:.1f} s" if done.returncode == 0 else " failed", flush=True)
    if done.returncode and not optional:
        print((done.stdout + done.stderr)[-4000:], file=sys.stderr)
        stop(f"'{title}' failed with exit code {done.returncode}; the output is above")
    return done.returncode == 0


def uv_environment() -> dict[str, str]:
    """uv ignores pip's configuration, so a configured index is handed on to it."""
    env = dict(os.environ, UV_SYSTEM_CERTS="1", VIRTUAL_ENV=str(VENV), UV_NO_PROGRESS="1")
    if "UV_DEFAULT_INDEX" not in env:
        asked = subprocess.run([venv_bin("pip"), "config", "get", "global.index-url"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.strip():
            env["UV_DEFAULT_INDEX"] = asked.stdout.strip()
    return env


def install() -> None:
    """Create the environment and install the locks into it, with uv when it can be had and plain pip otherwise."""
    if not Path(venv_bin("python")).exists():
        run("creating .venv", [sys.executable, "-m", "venv", str(VENV)])
    pip = [venv_bin("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = str(LOCKS[1])
    has_uv = run("installing uv", [*pip, "--require-hashes", "-r", str(LOCKS[0])], optional=True)
    uv = [venv_bin("uv"), "pip", "install", "--quiet"]
    locked = ["--no-deps", "--require-hashes", "-r", lock]
    if not (has_uv and run("installing the locked dependencies", [*uv, *locked], uv_environment(), optional=True)):
        run("installing the locked dependencies with pip", [*pip, *locked])
    run("installing perpdesk", [*pip, "--no-deps", "--no-build-isolation", "-e", "."])


def main() -> None:
    require_interpreter()
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    install()
    STAMP.write_text(wanted)
    print("setup: done", flush=True)


if __name__ == "__main__":
    main()
