"""`perpdesk sandbox`: the simulated venues alone, on real ports, for any client that speaks the venues' protocols."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from perpdesk.cli.options import Common, Duration, UsageError, parse_assets

if TYPE_CHECKING:
    from perpdesk.sandbox.loopback import Endpoint
    from perpdesk.worlds.realtime import ServedSandbox
    from perpdesk.worlds.sandbox import SandboxAccount

ACCOUNTS = 2
PORT_BASE = 8400

app = App(name="sandbox", help="The simulated venues alone, for any client.", help_format="plaintext")


@app.command
def serve(
    *,
    port_base: Annotated[
        int, Parameter(help="Hyperliquid listens here, Lighter on the next port; 0 takes free ones")
    ] = PORT_BASE,
    seed: Annotated[int | None, Parameter(help="What the markets and the throwaway keys are drawn from")] = None,
    funding_every: Annotated[Duration | None, Parameter(help="Length of a funding interval, such as 10s or 1h")] = None,
    assets: Annotated[str | None, Parameter(help="Only these, such as BTC,ETH")] = None,
    common: Common = Common(),  # noqa: B008  # frozen
) -> int:
    """Serve the simulated venues until Ctrl-C, each with two funded accounts whose throwaway keys are printed."""
    from perpdesk.cli.assemble import choose, sandbox_plan
    from perpdesk.cli.session import open_session, run_async

    if not 0 <= port_base <= 65_534:
        raise UsageError(f"--port-base must be within 0 and 65534, was {port_base}")
    config = open_session(common)
    names = parse_assets(assets)
    plan = sandbox_plan(config, choose(config, "sandbox", seed=seed, funding_every_ms=funding_every, assets=names))
    run_async(_serve(plan, port_base, common.json))
    return 0


async def _serve(plan: Any, port_base: int, as_json: bool) -> None:
    from dataclasses import replace

    from perpdesk.cli.output import emit, say
    from perpdesk.cli.run import stop_on_signals
    from perpdesk.domain.clock import SystemClock
    from perpdesk.worlds.realtime import serve_sandbox

    rng = random.Random(plan.seed)
    plan = replace(plan, accounts=ACCOUNTS)
    with stop_on_signals() as stop:
        try:
            async with serve_sandbox(plan, SystemClock(), rng, port_base, lighter_key_maker()) as served:
                document = describe(served, rng, plan.funding_every_ms)
                emit(document, as_json, lambda console: console.print(_words(document), soft_wrap=True))
                ended = asyncio.create_task(stop.wait())
                await asyncio.wait((ended, served.driver), return_when=asyncio.FIRST_COMPLETED)
                if served.driver.done():
                    served.driver.result()
        except ValueError as error:
            raise UsageError(str(error)) from None
    say("stopped")


def lighter_key_maker() -> Callable[[], tuple[str, str]] | None:
    """Keys by the venue's own library, so that its SDK finds the public key it expects; None without the library."""
    try:
        from lighter import signer_client
    except ImportError:
        return None

    def make() -> tuple[str, str]:
        private, public, error = signer_client.create_api_key()
        if error or not private or not public:
            raise ValueError(f"Lighter's library made no key: {error}")
        return str(private).removeprefix("0x"), str(public).removeprefix("0x")

    return make


def describe(served: "ServedSandbox", rng: random.Random, funding_every_ms: int) -> dict[str, Any]:
    """Addresses, accounts and throwaway keys; gives each Hyperliquid account an agent on the way."""
    from perpdesk.domain.assets import VenueName

    accounts = served.sandbox.accounts
    server: Any = served.sandbox.servers[VenueName.HYPERLIQUID]
    agents = {account.address: rng.randbytes(32).hex() for account in accounts[VenueName.HYPERLIQUID]}
    for address, key in agents.items():
        server.register(address, [_address_of(key)])
    return {
        "funding_every_s": funding_every_ms / 1000,
        "hyperliquid": {
            **_addresses(served.endpoints, VenueName.HYPERLIQUID, "/ws"),
            "accounts": [
                {
                    "address": account.address,
                    "private_key": f"0x{account.private_key}",
                    "agent_address": _address_of(agents[account.address]),
                    "agent_private_key": f"0x{agents[account.address]}",
                }
                for account in accounts[VenueName.HYPERLIQUID]
            ],
        },
        "lighter": {
            **_addresses(served.endpoints, VenueName.LIGHTER, "/stream"),
            "accounts": [_lighter_account(account) for account in accounts[VenueName.LIGHTER]],
        },
    }


def _addresses(endpoints: Mapping[Any, "Endpoint"], venue: Any, path: str) -> dict[str, str]:
    return {"rest": endpoints[venue].http_url, "ws": endpoints[venue].ws_url + path}


def _lighter_account(account: "SandboxAccount") -> dict[str, Any]:
    return {
        "account_index": account.account_index,
        "api_key_index": account.api_key_index,
        "api_private_key": account.private_key,
        "l1_address": account.address,
    }


def _address_of(private_key: str) -> str:
    from eth_account import Account

    return str(Account.from_key(bytes.fromhex(private_key)).address).lower()


def _words(document: Mapping[str, Any]) -> str:
    """How to point clients at it."""
    hyperliquid, lighter = document["hyperliquid"], document["lighter"]
    lines = [
        f"Simulated venues; one funding interval is {document['funding_every_s']:g} s. Keys are throwaway. Ctrl-C stops.",
        "",
        f"Hyperliquid  {hyperliquid['rest']}  {hyperliquid['ws']}",
    ]
    for account in hyperliquid["accounts"]:
        lines.append(f"  account {account['address']}  key {account['private_key']}")
        lines.append(f"    agent {account['agent_address']}  key {account['agent_private_key']}")
    lines.append(f"Lighter      {lighter['rest']}  {lighter['ws']}")
    lines += [
        f"  account {account['account_index']}  API key {account['api_key_index']}: {account['api_private_key']}"
        for account in lighter["accounts"]
    ]
    return "\n".join([*lines, "", *_sdk_words(hyperliquid, lighter), "", *_perpdesk_words(hyperliquid, lighter)])


def _sdk_words(hyperliquid: Mapping[str, Any], lighter: Mapping[str, Any]) -> list[str]:
    first, other = hyperliquid["accounts"][0], lighter["accounts"][0]
    return [
        "With the official Python SDKs:",
        f'  Info("{hyperliquid["rest"]}")',
        f'  Exchange(Account.from_key(AGENT_KEY), "{hyperliquid["rest"]}", account_address="{first["address"]}")',
        f'  lighter.SignerClient("{lighter["rest"]}", {other["account_index"]}, {{{other["api_key_index"]}: API_KEY}})',
    ]


def _perpdesk_words(hyperliquid: Mapping[str, Any], lighter: Mapping[str, Any]) -> list[str]:
    first, other = hyperliquid["accounts"][0], lighter["accounts"][0]
    values = {
        "HYPERLIQUID__REST_URL": hyperliquid["rest"],
        "HYPERLIQUID__WS_URL": hyperliquid["ws"],
        "HYPERLIQUID__ADDRESS": first["address"],
        "HYPERLIQUID__PRIVATE_KEY": first["agent_private_key"],
        "LIGHTER__REST_URL": lighter["rest"],
        "LIGHTER__WS_URL": lighter["ws"],
        "LIGHTER__ACCOUNT_INDEX": other["account_index"],
        "LIGHTER__API_KEY_INDEX": other["api_key_index"],
        "LIGHTER__PRIVATE_KEY": other["api_private_key"],
    }
    return ["With perpdesk --world live, in .env:", *(f"  PERPDESK__VENUES__{k}={v}" for k, v in values.items())]
