"""Checks of `perpdesk doctor` that ask the venues: are they there, do clocks agree, does the key belong to the account."""

import asyncio
import random
from typing import Any

import msgspec

from perpdesk.cli.assemble import live_access
from perpdesk.cli.checks import Finding, hyperliquid_address
from perpdesk.cli.config import Config, HyperliquidConfig, LighterConfig
from perpdesk.cli.config_errors import ConfigError
from perpdesk.domain.clock import SystemClock
from perpdesk.venues.base import Venue, VenueError
from perpdesk.venues.transport.http import AiohttpTransport
from perpdesk.venues.transport.ports import TransportError
from perpdesk.venues.transport.sockets import PicowsTransport
from perpdesk.worlds.connect import connect

SKEW_MS_MAX = 2_000
"""Orders carry deadlines of seconds, and Lighter tells its time in whole seconds."""
UNREACHABLE = "check the network and the address; perpdesk doctor --offline leaves the venues out"


async def check_venues_online(config: Config) -> list[Finding]:
    """Reachability and clock of each enabled venue, then its account."""
    http = AiohttpTransport()
    try:
        access = live_access(config, needs_keys=False)
    except ConfigError as error:
        return [Finding("venues", False, str(error), "enable two venues")]
    try:
        venues = connect(access, http, PicowsTransport(), SystemClock(), random.Random())
        findings = list(await asyncio.gather(*(_clock(venue) for venue in venues.values())))
        reached = {finding.name for finding in findings if "can not be reached" not in finding.detail}
        if config.venues.hyperliquid.enabled and "hyperliquid clock" in reached:
            findings += await _hyperliquid(config.venues.hyperliquid, http)
        if config.venues.lighter.enabled and "lighter clock" in reached:
            findings += await _lighter(config.venues.lighter, http)
        return findings
    finally:
        await http.close()


async def _clock(venue: Venue) -> Finding:
    clock, name = SystemClock(), f"{venue.name} clock"
    try:
        before_ms = clock.wall_ms()
        venue_ms = await venue.fetch_server_time_ms()
        ours_ms = (before_ms + clock.wall_ms()) // 2
    except VenueError as error:
        return Finding(name, False, f"{venue.name} can not be reached: {error}", UNREACHABLE)
    skew_ms = ours_ms - venue_ms
    detail = f"{venue.name} answers; our clock is {abs(skew_ms)} ms {'ahead' if skew_ms >= 0 else 'behind'}"
    return Finding(name, abs(skew_ms) <= SKEW_MS_MAX, detail, "set this machine's clock by NTP")


async def _ask(http: AiohttpTransport, method: str, url: str, body: Any = None) -> Any:
    """The JSON answer; TransportError or ValueError when there is none."""
    headers = None if body is None else {"content-type": "application/json"}
    raw = None if body is None else msgspec.json.encode(body)
    response = await http.request(method, url, body=raw, headers=headers)
    if response.status >= 500:
        raise ValueError(f"status {response.status}")
    return msgspec.json.decode(response.body)


async def _hyperliquid(venue: HyperliquidConfig, http: AiohttpTransport) -> list[Finding]:
    """An agent's address as the account, and a key of nobody the account knows, both fail silently at the venue."""
    if venue.address is None:
        return []
    try:
        role = await _role(http, venue.rest_url, venue.address)
        findings = [_account_finding(venue.address, role)]
        if venue.private_key is not None and findings[0].ok:
            findings.append(await _key_finding(venue, http))
    except (TransportError, ValueError, KeyError, VenueError) as error:
        return [Finding("hyperliquid account online", False, f"the venue did not answer: {error}", UNREACHABLE)]
    return findings


async def _role(http: AiohttpTransport, rest_url: str, address: str) -> dict[str, Any]:
    answer = await _ask(http, "POST", f"{rest_url.rstrip('/')}/info", {"type": "userRole", "user": address})
    if not isinstance(answer, dict) or "role" not in answer:
        raise ValueError("its answer was not understood")
    return answer


def _account_finding(address: str, role: dict[str, Any]) -> Finding:
    name = "hyperliquid account online"
    if role["role"] == "agent":
        master = role.get("data", {}).get("user", "its master")
        return Finding(
            name,
            False,
            f"{address} is an agent's address, not an account",
            f"configure the account it trades for: {master}",
        )
    if role["role"] == "missing":
        return Finding(name, False, f"the venue does not know {address}", "check the address, or deposit first")
    return Finding(name, True, f"{address} is a {role['role']} account")


async def _key_finding(venue: HyperliquidConfig, http: AiohttpTransport) -> Finding:
    assert venue.private_key is not None
    assert venue.address is not None
    name, signer = "hyperliquid key online", hyperliquid_address(venue.private_key, venue.rest_url)
    if signer.lower() == venue.address.lower():
        return Finding(name, True, "the key is the account's own; an agent's would be safer, it can not withdraw")
    role = await _role(http, venue.rest_url, signer)
    master = str(role.get("data", {}).get("user", "")).lower() if role["role"] == "agent" else None
    if master == venue.address.lower():
        return Finding(name, True, "the key is an agent's that the account approved")
    whose = f"an agent of {master}" if master else f"{signer}, no agent of this account"
    return Finding(name, False, f"the key signs as {whose}", "approve that agent on the account, or set the right key")


async def _lighter(venue: LighterConfig, http: AiohttpTransport) -> list[Finding]:
    if venue.account_index is None:
        return []
    base = f"{venue.rest_url.rstrip('/')}/api/v1"
    try:
        answer = await _ask(http, "GET", f"{base}/account?by=index&value={venue.account_index}")
        has_account = bool(answer.get("accounts"))
        findings = [
            Finding(
                "lighter account online",
                has_account,
                f"account {venue.account_index} {'exists' if has_account else 'is not known to the venue'}",
                "check the account index",
            )
        ]
        if has_account and venue.api_key_index is not None:
            query = f"account_index={venue.account_index}&api_key_index={venue.api_key_index}"
            keys = (await _ask(http, "GET", f"{base}/apikeys?{query}")).get("api_keys") or []
            where = f"API key {venue.api_key_index} of account {venue.account_index}"
            remedy = "make the API key on the venue, or correct its index"
            findings.append(
                Finding(
                    "lighter API key online", bool(keys), f"{where} {'is registered' if keys else 'is not'}", remedy
                )
            )
    except (TransportError, ValueError, AttributeError) as error:
        return [Finding("lighter account online", False, f"the venue did not answer: {error}", UNREACHABLE)]
    return findings
