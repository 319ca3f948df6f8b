"""Checks of `perpdesk doctor` that ask nobody: configuration, machine, stores, signing libraries, keys."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from perpdesk.cli.config import DEFAULT_FILE, Config, load_config
from perpdesk.cli.config_errors import ConfigError
from perpdesk.cli.options import StoreWorld
from perpdesk.cli.session import store_url
from perpdesk.domain.clock import SystemClock
from perpdesk.store.engine import describe, parse_url, sqlite_path
from perpdesk.store.failures import StoreError
from perpdesk.store.lock import DeskLock
from perpdesk.store.schema import SCHEMA_REVISION
from perpdesk.venues.base import VenueError
from perpdesk.venues.hyperliquid.settings import MAINNET_REST_URL

PYTHON_MIN = (3, 11)
FREE_BYTES_MIN = 500_000_000
STORE_WORLDS: tuple[StoreWorld, ...] = ("sandbox", "paper", "live")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        remedy: What to do when it failed; empty when there is nothing to do.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a check that passed needs no remedy."""
        return {**asdict(self), "remedy": "" if self.ok else self.remedy}


def check_config(path: Path | None) -> tuple[Config, Finding]:
    """The configuration, or the defaults where it can not be used, and whether it can."""
    try:
        config = load_config(path)
    except ConfigError as error:
        finding = Finding(
            "configuration", False, str(error), "correct it; perpdesk config init writes a commented file"
        )
        return Config.model_construct(), finding
    used = path or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    detail = "defaults and environment, there is no file" if used is None else f"{used} is readable"
    live = "live trading is allowed" if config.live_trading else "live trading is not allowed"
    return config, Finding("configuration", True, f"{detail}; {live}")


def check_machine(config: Config) -> list[Finding]:
    """Python and the disk the stores are on."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    wanted = ".".join(str(part) for part in PYTHON_MIN)
    python = Finding("python", sys.version_info >= PYTHON_MIN, version, f"install Python {wanted} or newer")
    folder = _existing(_folder_of(config.store.url))
    free = shutil.disk_usage(folder).free
    disk = Finding("disk", free >= FREE_BYTES_MIN, f"{free / 1e9:.1f} GB free at {folder}", "free some space")
    return [python, disk]


def _folder_of(url: str) -> Path:
    try:
        path = sqlite_path(parse_url(url))
    except StoreError:
        path = None
    return Path() if path is None else path.parent


def _existing(folder: Path) -> Path:
    """The nearest folder that exists, from `folder` upwards."""
    resolved = folder.resolve()
    return next(each for each in (resolved, *resolved.parents) if each.is_dir())


# Stores ---------------------------------------------------------------------------------------------------------------


def check_stores(config: Config) -> list[Finding]:
    """Each world's store and its lock."""
    findings = []
    for world in STORE_WORLDS:
        url = store_url(config, world)
        store = _store(world, url)
        findings.append(store)
        if store.ok:
            findings.append(_lock(world, url))
    return findings


def _store(world: StoreWorld, url: str) -> Finding:
    name = f"store of {world}"
    try:
        address = parse_url(url)
        path = sqlite_path(address)
        if path is not None and not path.exists():
            return _new_store(name, path)
        if path is not None and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            return Finding(name, False, f"{path} can not be written", "make the file and its folder writable")
        from perpdesk.store.migrations import current_revision

        revision = current_revision(url)
    except StoreError as error:
        return Finding(name, False, str(error), "correct the address, or start the database")
    if revision in (None, SCHEMA_REVISION):
        tables = "no tables yet" if revision is None else f"revision {revision}"
        return Finding(name, True, f"{describe(address)}, {tables}")
    detail = f"{describe(address)} is at revision {revision}, needed is {SCHEMA_REVISION}"
    return Finding(name, False, detail, f"run: perpdesk db upgrade --world {world}")


def _new_store(name: str, path: Path) -> Finding:
    folder = _existing(path.parent)
    is_writable = os.access(folder, os.W_OK)
    detail = f"{path} is not there yet" + ("; the first run makes it" if is_writable else f" and {folder} is read-only")
    return Finding(name, is_writable, detail, f"make {folder} writable")


def _lock(world: StoreWorld, url: str) -> Finding:
    """Held is fine: it says who; files a killed desk left hold nobody up."""
    name = f"lock of {world}"
    path = sqlite_path(parse_url(url))
    if path is not None and not path.exists():
        return Finding(name, True, "free")
    was_named = path is not None and Path(f"{path}.lock.json").exists()
    try:
        holder = DeskLock(url, SystemClock()).holder()
    except StoreError as error:
        return Finding(name, False, str(error), "make its folder writable")
    if holder is not None:
        return Finding(name, True, f"held by a running desk, {holder}")
    stale = "; a desk that was killed had left its name behind, which did no harm and is cleared"
    return Finding(name, True, f"free{stale if was_named else ''}")


# Venues ---------------------------------------------------------------------------------------------------------------


def check_venues_offline(config: Config) -> list[Finding]:
    """Signing libraries, keys and accounts of the enabled venues."""
    findings = []
    if config.venues.hyperliquid.enabled:
        findings += _hyperliquid(config)
    if config.venues.lighter.enabled:
        findings += _lighter(config)
    return findings


def _missing(config: Config, name: str, what: str, variable: str) -> Finding:
    """A key or account that is not set: needed for live trading only."""
    detail = f"{what} is not set" + ("" if config.live_trading else "; only live trading needs it")
    return Finding(
        name, not config.live_trading, detail, f"set PERPDESK__VENUES__{variable} in the environment or in .env"
    )


def _hyperliquid(config: Config) -> list[Finding]:
    venue = config.venues.hyperliquid
    library = _library("hyperliquid", _load_hyperliquid)
    findings = [library]
    if venue.address is None:
        findings.append(_missing(config, "hyperliquid account", "the address", "HYPERLIQUID__ADDRESS"))
    elif not _is_address(venue.address):
        remedy = "write 0x and 40 hexadecimal digits, the master account's"
        findings.append(Finding("hyperliquid account", False, f"{venue.address!r} is no address", remedy))
    if venue.private_key is None:
        return [*findings, _missing(config, "hyperliquid key", "the private key", "HYPERLIQUID__PRIVATE_KEY")]
    if not library.ok:
        return findings
    try:
        signer = hyperliquid_address(venue.private_key, venue.rest_url)
    except VenueError as error:
        remedy = "set the 32 bytes of hex that the account or its agent was given"
        return [*findings, Finding("hyperliquid key", False, str(error), remedy)]
    findings.append(Finding("hyperliquid key", True, f"well-formed, it signs as {signer}"))
    if venue.address is not None and _is_address(venue.address):
        findings.append(_hyperliquid_match(signer, venue.address))
    return findings


def _hyperliquid_match(signer: str, address: str) -> Finding:
    """The classic mistake is an agent's address as the account: the venue answers with an empty account, not an error."""
    if signer.lower() == address.lower():
        detail = (
            "the configured account is the key's own; right for a master's key, wrong for an agent's (see online check)"
        )
    else:
        detail = (
            "the key is another wallet's than the account; right for an agent the account approved (see online check)"
        )
    return Finding("hyperliquid key and account", True, detail)


def hyperliquid_address(key: SecretStr, rest_url: str) -> str:
    """Address of the wallet that signs. Raises VenueError for a malformed key."""
    from perpdesk.venues.hyperliquid.signing import OfficialSigner

    return OfficialSigner(key.get_secret_value(), rest_url.rstrip("/") == MAINNET_REST_URL).address


def _is_address(text: str) -> bool:
    return len(text) == 42 and text.startswith("0x") and all(c in "0123456789abcdefABCDEF" for c in text[2:])


def _lighter(config: Config) -> list[Finding]:
    venue = config.venues.lighter
    library = _library("lighter", _load_lighter)
    findings = [library]
    if venue.account_index is None:
        findings.append(_missing(config, "lighter account", "the account index", "LIGHTER__ACCOUNT_INDEX"))
    if venue.api_key_index is None:
        findings.append(_missing(config, "lighter API key index", "it", "LIGHTER__API_KEY_INDEX"))
    if venue.private_key is None:
        return [*findings, _missing(config, "lighter key", "the API private key", "LIGHTER__PRIVATE_KEY")]
    if not library.ok or venue.account_index is None or venue.api_key_index is None:
        return findings
    from perpdesk.venues.lighter.signing import OfficialSigner, SigningFailed

    try:
        key = venue.private_key.get_secret_value()
        OfficialSigner(venue.rest_url, venue.account_index, venue.api_key_index, key, venue.chain_id)
    except SigningFailed as error:
        remedy = "set the key that was shown when the API key was made"
        return [*findings, Finding("lighter key", False, str(error), remedy)]
    return [*findings, Finding("lighter key", True, f"well-formed, for account {venue.account_index}")]


def _library(venue: str, load: Callable[[], None]) -> Finding:
    name, remedy = f"{venue} signer", f"run: pip install 'perpdesk[{venue}]'"
    try:
        load()
    except Exception as error:  # native libraries and SDKs raise what they like
        return Finding(name, False, f"the signing library can not be used: {type(error).__name__}: {error}", remedy)
    return Finding(name, True, "the signing library works")


def _load_hyperliquid() -> None:
    from eth_account import Account
    from hyperliquid.utils import signing

    assert Account is not None
    assert signing is not None


def _load_lighter() -> None:
    from lighter import signer_client

    signer_client.get_signer()
