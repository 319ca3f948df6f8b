"""From configuration and options to worlds: the sandbox, or the live venues with or without real orders."""

import random
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from pydantic import SecretStr

from perpdesk.arbitrage.settings import DeskSettings
from perpdesk.cli.config import Config, HyperliquidConfig, LighterConfig
from perpdesk.cli.config_errors import ConfigError
from perpdesk.cli.config_sources import PREFIX, SEPARATOR
from perpdesk.cli.options import StoreWorld, UsageError, WorldName, canonical_asset
from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock, SystemClock
from perpdesk.domain.fees import PUBLISHED_TIERS, FeeRates
from perpdesk.venues.paper import PaperSettings
from perpdesk.worlds.connect import VenueAccess
from perpdesk.worlds.realtime import (
    SandboxPlan,
    World,
    open_live,
    open_sandbox,
    require_listed,
    scale_to_interval,
)

PAPER_TIERS = {VenueName.HYPERLIQUID: "base", VenueName.LIGHTER: "premium"}
"""What a paper account pays where its own fees can not be read: the dearer of the published tiers an API account can have."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options of one command say; None leaves it to the configuration."""

    world: WorldName
    is_real: bool = False
    seed: int | None = None
    funding_every_ms: int | None = None
    assets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assembly:
    """A world ready to be opened, with what the desk on it goes by.

    Attributes:
        store_world: Whose store it uses.
    """

    world: AbstractAsyncContextManager[World]
    settings: DeskSettings
    store_world: StoreWorld
    clock: Clock
    rng: random.Random


def choose(
    config: Config,
    world: WorldName,
    *,
    dry_run: bool = False,
    live_trading: bool = False,
    seed: int | None = None,
    funding_every_ms: int | None = None,
    assets: tuple[str, ...] = (),
) -> Choice:
    """Check options against each other and against the two keys of live trading.

    Raises:
        UsageError: Options that contradict each other. ConfigError: --live-trading without its second key.
    """
    if dry_run and live_trading:
        raise UsageError("--dry-run and --live-trading contradict each other; give one of them")
    if world == "sandbox" and live_trading:
        raise UsageError("--live-trading is for --world live; the sandbox has no real venue")
    if world == "live" and (seed is not None or funding_every_ms is not None):
        raise UsageError("--seed and --funding-every are for the sandbox; real venues set their own")
    if live_trading and not config.live_trading:
        raise ConfigError(
            "--live-trading needs its second key: set live_trading: true in the configuration file"
            " (perpdesk config init writes one); without both, orders stay on paper"
        )
    return Choice(world, live_trading, seed, funding_every_ms, assets)


def assemble(config: Config, choice: Choice) -> Assembly:
    """Raises ConfigError when the configuration lacks what the world needs, UsageError for assets the sandbox lacks."""
    wanted = choice.assets or tuple(canonical_asset(name) for name in config.desk.assets)
    settings = config.desk.model_copy(update={"assets": wanted})
    clock = SystemClock()
    if choice.world == "sandbox":
        return _sandbox(config, choice, settings, clock)
    paper = None if choice.is_real else _paper(config)
    rng = random.Random()
    access = live_access(config, needs_keys=choice.is_real)
    store_world: StoreWorld = "live" if choice.is_real else "paper"
    return Assembly(open_live(access, clock, rng, paper), settings, store_world, clock, rng)


def _sandbox(config: Config, choice: Choice, settings: DeskSettings, clock: Clock) -> Assembly:
    plan = sandbox_plan(config, choice)
    try:
        require_listed(plan.assets)
        require_listed(frozenset(settings.assets) or None)
    except ValueError as error:
        raise UsageError(str(error)) from None
    scaled = scale_to_interval(settings, plan.funding_every_ms)
    rng = random.Random(plan.seed)
    return Assembly(open_sandbox(plan, clock), scaled, "sandbox", clock, rng)


def sandbox_plan(config: Config, choice: Choice) -> SandboxPlan:
    """Options over configuration."""
    listed = choice.assets or tuple(canonical_asset(name) for name in config.sandbox.assets)
    return SandboxPlan(
        seed=config.sandbox.seed if choice.seed is None else choice.seed,
        assets=frozenset(listed) or None,
        cash_usd=config.sandbox.cash_usd,
        funding_every_ms=choice.funding_every_ms or config.sandbox.funding_every_ms,
        episodes_at_start=config.sandbox.episodes_at_start,
    )


def _paper(config: Config) -> dict[VenueName, PaperSettings]:
    """Hyperliquid tells an address's fees without a key; elsewhere the published tier stands in."""
    own_fees = {VenueName.HYPERLIQUID} if config.venues.hyperliquid.address else set[VenueName]()
    return {
        venue: PaperSettings(config.paper.cash_usd, fees=None if venue in own_fees else published_fees(venue))
        for venue in PAPER_TIERS
    }


def published_fees(venue: VenueName) -> FeeRates:
    """Of the tier in PAPER_TIERS."""
    return PUBLISHED_TIERS[venue.value][PAPER_TIERS[venue]]


def live_access(config: Config, *, needs_keys: bool) -> dict[VenueName, VenueAccess]:
    """How to reach each enabled venue; without `needs_keys` no key is handed on, so nothing can be signed.

    Raises:
        ConfigError: Fewer than two venues are enabled, or a key or account is missing.
    """
    venues = config.venues
    access: dict[VenueName, VenueAccess] = {}
    if venues.hyperliquid.enabled:
        access[VenueName.HYPERLIQUID] = _hyperliquid(venues.hyperliquid, needs_keys)
    if venues.lighter.enabled:
        access[VenueName.LIGHTER] = _lighter(venues.lighter, needs_keys)
    if len(access) < 2:
        raise ConfigError("a pair needs two venues; set venues.hyperliquid.enabled and venues.lighter.enabled to true")
    return access


def _hyperliquid(venue: HyperliquidConfig, needs_keys: bool) -> VenueAccess:
    if needs_keys:
        _require("hyperliquid", {"address": venue.address, "private_key": venue.private_key})
    key = _secret(venue.private_key) if needs_keys else None
    return VenueAccess(venue.rest_url, venue.ws_url, address=venue.address, private_key=key)


def _lighter(venue: LighterConfig, needs_keys: bool) -> VenueAccess:
    if needs_keys:
        _require(
            "lighter",
            {
                "account_index": venue.account_index,
                "api_key_index": venue.api_key_index,
                "private_key": venue.private_key,
            },
        )
    return VenueAccess(
        venue.rest_url,
        venue.ws_url,
        account_index=venue.account_index,
        api_key_index=venue.api_key_index,
        private_key=_secret(venue.private_key) if needs_keys else None,
        chain_id=venue.chain_id,
    )


def _require(venue: str, values: dict[str, object]) -> None:
    missing = [name for name, value in values.items() if value is None]
    if missing:
        names = " and ".join(PREFIX + SEPARATOR.join(("venues", venue, name)).upper() for name in missing)
        raise ConfigError(
            f"live trading on {venue} needs {', '.join(missing)}: set {names} in the environment or in .env"
        )


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()
