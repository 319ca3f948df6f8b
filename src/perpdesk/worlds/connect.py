"""Connectors for given addresses, accounts and keys."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.venues.base import Venue
from perpdesk.venues.hyperliquid import signing as hyperliquid_signing
from perpdesk.venues.hyperliquid.client import HyperliquidVenue
from perpdesk.venues.hyperliquid.settings import MAINNET_REST_URL, HyperliquidSettings
from perpdesk.venues.lighter import signing as lighter_signing
from perpdesk.venues.lighter.client import LighterVenue
from perpdesk.venues.lighter.settings import LighterSettings
from perpdesk.venues.transport.ports import HttpTransport, SocketTransport
from perpdesk.worlds.sandbox import SandboxAccount

LIGHTER_CHAIN_ID = 304
"""Mainnet's number in Lighter signatures (reference lighter.md, section 1)."""


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """How to reach one venue and trade there.

    Attributes:
        ws_url: Complete, path included. address: Hyperliquid's account. account_index, api_key_index: Lighter's.
        private_key: None for market data only, unless `has_cheap_signatures`.
        silence_ms: Silence limit of every feed, None for the connector's own. ping_every_ms, tick_ms: How often it pings, and
            looks at the time.
        chain_id: Lighter's, named in its signatures.
    """

    rest_url: str
    ws_url: str
    address: str | None = None
    account_index: int | None = None
    api_key_index: int | None = None
    private_key: str | None = field(default=None, repr=False)
    has_cheap_signatures: bool = False
    silence_ms: int | None = None
    ping_every_ms: int | None = None
    tick_ms: int | None = None
    chain_id: int = LIGHTER_CHAIN_ID


def access_of(account: SandboxAccount, rest_url: str, ws_base_url: str, **options: int | None) -> VenueAccess:
    """Access to a simulated venue at `rest_url` through one of its accounts."""
    path = "/ws" if account.venue is VenueName.HYPERLIQUID else "/stream"
    return VenueAccess(
        rest_url,
        ws_base_url + path,
        account.address,
        account.account_index,
        account.api_key_index,
        account.private_key,
        has_cheap_signatures=account.private_key is None,
        silence_ms=options.get("silence_ms"),
        ping_every_ms=options.get("ping_every_ms"),
        tick_ms=options.get("tick_ms"),
    )


def connect(
    access: Mapping[VenueName, VenueAccess],
    http: HttpTransport,
    sockets: SocketTransport,
    clock: Clock,
    rng: random.Random,
) -> dict[VenueName, Venue]:
    """One connector per venue, not yet started. Raises VenueError or SigningFailed for a key or library that is missing."""
    build = {VenueName.HYPERLIQUID: _hyperliquid, VenueName.LIGHTER: _lighter}
    return {
        venue: build[venue](one, http, sockets, clock, random.Random(rng.getrandbits(64)))
        for venue, one in access.items()
    }


def _hyperliquid(
    access: VenueAccess, http: HttpTransport, sockets: SocketTransport, clock: Clock, rng: random.Random
) -> Venue:
    signer: hyperliquid_signing.Signer | None = None
    if access.private_key is not None:
        is_mainnet = access.rest_url.rstrip("/") == MAINNET_REST_URL
        signer = hyperliquid_signing.OfficialSigner(access.private_key, is_mainnet)
    elif access.has_cheap_signatures and access.address is not None:
        signer = hyperliquid_signing.SimulatedSigner(access.address)
    settings = HyperliquidSettings(
        access.rest_url, access.ws_url, access.address, **_limits(access, _HYPERLIQUID_LIMITS)
    )
    return HyperliquidVenue(http, sockets, clock, rng, settings, signer)


def _lighter(
    access: VenueAccess, http: HttpTransport, sockets: SocketTransport, clock: Clock, rng: random.Random
) -> Venue:
    signer: lighter_signing.Signer | None = None
    account, key = access.account_index, access.api_key_index
    if access.private_key is not None and account is not None and key is not None:
        signer = lighter_signing.OfficialSigner(access.rest_url, account, key, access.private_key, access.chain_id)
    elif access.has_cheap_signatures and account is not None and key is not None:
        signer = lighter_signing.SimulatedSigner(account, key, clock)
    settings = replace(
        LighterSettings(access.rest_url, access.ws_url, account, key), **_limits(access, _LIGHTER_LIMITS)
    )
    return LighterVenue(http, sockets, clock, rng, settings, signer)


_HYPERLIQUID_LIMITS = ("book_silence_limit_ms", "context_silence_limit_ms")
_LIGHTER_LIMITS = ("book_silence_ms_max", "stats_silence_ms_max", "socket_silence_ms_max")


def _limits(access: VenueAccess, silence_names: tuple[str, ...]) -> dict[str, Any]:
    """The connector's own defaults unless the world knows better (recorded data changes rarely)."""
    limits = {} if access.silence_ms is None else dict.fromkeys(silence_names, access.silence_ms)
    if access.ping_every_ms is not None:
        limits["ping_every_ms"] = access.ping_every_ms
    if access.tick_ms is not None:
        limits["tick_ms"] = access.tick_ms
    return limits
