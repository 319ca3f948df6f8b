"""Configuration: one YAML file, overridden by the environment, with secrets only from the environment or `.env`.

Every key, its default and its meaning are stated once, in these models and those they contain; the commented file of
`perpdesk config init` is written from them.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.cli.config_errors import ConfigError, check_keys, explain
from perpdesk.cli.config_sources import PREFIX, SEPARATOR, CommaDotEnv, CommaEnv, stray_names, where_set

DEFAULT_FILE = Path("perpdesk.yaml")
DOTENV_FILE = Path(".env")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HyperliquidConfig(_Section):
    """Access to Hyperliquid."""

    enabled: bool = Field(True, description="Whether the live world uses this venue")
    rest_url: str = Field("https://api.hyperliquid.xyz", description="REST address, without path")
    ws_url: str = Field("wss://api.hyperliquid.xyz/ws", description="WebSocket address, path included")
    address: str | None = Field(
        None, description="The account that is traded for: the master account's address, never an agent's"
    )
    private_key: SecretStr | None = Field(None, description="Of the account or, better, of an agent it approved")


class LighterConfig(_Section):
    """Access to Lighter."""

    enabled: bool = Field(True, description="Whether the live world uses this venue")
    rest_url: str = Field("https://mainnet.zklighter.elliot.ai", description="REST address, without path")
    ws_url: str = Field("wss://mainnet.zklighter.elliot.ai/stream", description="WebSocket address, path included")
    account_index: int | None = Field(None, ge=1, description="The account that is traded for")
    api_key_index: int | None = Field(
        None, ge=0, le=254, description="Slot of the API key that signs, 4 to 254 for bots"
    )
    chain_id: int = Field(304, ge=1, description="Named in signatures: 304 is mainnet, 300 testnet")
    private_key: SecretStr | None = Field(None, description="API private key, 80 hexadecimal digits")


class VenuesConfig(_Section):
    """Venues of the live world."""

    hyperliquid: HyperliquidConfig = HyperliquidConfig()
    lighter: LighterConfig = LighterConfig()


class StoreConfig(_Section):
    """Where each world keeps its journal: sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE."""

    url: str = Field("sqlite:///var/perpdesk.db", description="Store of live trading")
    paper_url: str = Field(
        "sqlite:///var/paper.db", description="Store of the live world while orders are only on paper"
    )
    sandbox_url: str = Field("sqlite:///var/sandbox.db", description="Store of the sandbox")


class SandboxConfig(_Section):
    """The simulated venues of `perpdesk run`."""

    seed: int = Field(1, ge=0, description="What all chance of the sandbox is drawn from")
    assets: tuple[str, ...] = Field((), description="Assets the simulated venues list; empty means all they know")
    cash_usd: Decimal = Field(Decimal(10_000), gt=0, description="Cash of the account on each venue, USD")
    funding_every_ms: int = Field(10_000, ge=1_000, description="One funding interval, which stands for an hour, ms")
    episodes_at_start: int = Field(3, ge=0, description="Assets that begin with funding worth trading")


class PaperConfig(_Section):
    """The live world while orders are only on paper: the account is a pretence, carried on from run to run."""

    cash_usd: Decimal = Field(Decimal(10_000), gt=0, description="Cash the account began with on each venue, USD")


class LogConfig(_Section):
    """Logs go to stderr; while the live view is shown, its last lines are part of it."""

    level: Literal["debug", "info", "warning", "error"] = Field("warning", description="Least level that is shown")
    file: str | None = Field(None, description="Also write everything from info on to this file")


class Config(BaseSettings):
    """Perpdesk's configuration."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter=SEPARATOR)

    live_trading: bool = Field(
        False,
        description="One of the two keys of live trading, read from this file only; the other is the flag --live-trading",
    )
    desk: DeskSettings = Field(DeskSettings(), description="What the desk trades, how and within which limits")
    venues: VenuesConfig = Field(VenuesConfig(), description="Venues of the live world")
    store: StoreConfig = Field(StoreConfig(), description="Where each world keeps its journal")
    sandbox: SandboxConfig = Field(SandboxConfig(), description="The simulated venues")
    paper: PaperConfig = Field(PaperConfig(), description="The live world while orders are only on paper")
    log: LogConfig = Field(LogConfig(), description="Logs")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over `.env` over the file."""
        return CommaEnv(settings_cls), CommaDotEnv(settings_cls, env_file=DOTENV_FILE), init_settings

    def secrets(self) -> list[str]:
        """Every secret value, for the redactor."""
        keys = (self.venues.hyperliquid.private_key, self.venues.lighter.private_key)
        values = [key.get_secret_value() for key in keys if key is not None]
        return values + [p for url in self.store.model_dump().values() if (p := password_in(url)) is not None]


def password_in(url: str) -> str | None:
    """The password inside a store address."""
    user_and_host = url.partition("://")[2].rpartition("@")[0]
    return user_and_host.partition(":")[2] or None


def load_config(path: Path | None) -> Config:
    """Read the configuration.

    Args:
        path: The file; None takes perpdesk.yaml of the current folder where there is one.

    Raises:
        ConfigError: It can not be used; the message says where and what to do.
    """
    if path is None and DEFAULT_FILE.is_file():
        path = DEFAULT_FILE
    document = {} if path is None else read_file(path)
    where = str(path or DEFAULT_FILE)
    check_keys(Config, document, where)
    _refuse_secrets(document, where)
    stray_names(Config, DOTENV_FILE)
    if (place := where_set(("live_trading",), DOTENV_FILE)) is not None:
        raise ConfigError(
            f"{place}: one key of live trading is live_trading: true in the configuration file, and only there;"
            " remove the variable"
        )
    try:
        config = Config(**document)
    except ValidationError as error:
        raise ConfigError(explain(error, where, lambda key: where_set(key, DOTENV_FILE))) from None
    except ValueError as error:
        raise ConfigError(f"the environment holds a value that can not be read: {error}") from None
    return config


def read_file(path: Path) -> dict[str, Any]:
    """The YAML document in `path`; ConfigError when it can not be read or is no mapping."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; write one with: perpdesk config init --config {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise ConfigError(f"{path} can not be read: {reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" line {mark.line + 1}, column {mark.column + 1}"
        raise ConfigError(f"{path}{place} is no valid YAML: {getattr(error, 'problem', None) or error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold keys and values, such as live_trading: false")
    return document


def _refuse_secrets(document: Mapping[str, Any], where: str) -> None:
    """Keys and passwords in a file end up in a repository or a backup."""
    venues = document.get("venues")
    for venue, access in (venues if isinstance(venues, dict) else {}).items():
        if isinstance(access, dict) and access.get("private_key") is not None:
            name = f"{PREFIX}VENUES{SEPARATOR}{str(venue).upper()}{SEPARATOR}PRIVATE_KEY"
            raise ConfigError(
                f"{where}: venues.{venue}.private_key is a secret and must not be in a file; "
                f"remove it, and set {name} in the environment or in .env"
            )
    store = document.get("store")
    for key, url in (store if isinstance(store, dict) else {}).items():
        if isinstance(url, str) and password_in(url) is not None:
            name = f"{PREFIX}STORE{SEPARATOR}{str(key).upper()}"
            raise ConfigError(
                f"{where}: store.{key} holds a password and must not be in a file; "
                f"set {name} in the environment or in .env instead"
            )
