"""Simulated venues ready to be connected to: exchanges, wire servers, driver, funded accounts."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from perpdesk.domain.assets import VenueName
from perpdesk.domain.clock import Clock
from perpdesk.sandbox.exchange import Exchange
from perpdesk.sandbox.listings import listed_markets
from perpdesk.sandbox.rules import hyperliquid_rules, lighter_rules
from perpdesk.sandbox.server import WireServer
from perpdesk.sandbox.wire.hyperliquid.server import HyperliquidServer
from perpdesk.sandbox.wire.hyperliquid.signatures import DeterministicVerifier, RecoverSigner
from perpdesk.sandbox.wire.lighter.server import LighterServer

SANDBOX_VENUES = (VenueName.HYPERLIQUID, VenueName.LIGHTER)
"""Venues that can be simulated."""

LIGHTER_FIRST_ACCOUNT = 7
LIGHTER_KEY_INDEX = 4
KEY_BYTES = {VenueName.HYPERLIQUID: 32, VenueName.LIGHTER: 40}


@dataclass(frozen=True, slots=True)
class SandboxAccount:
    """A funded account on a simulated venue, with the throwaway keys that trade it.

    Attributes:
        address: Hyperliquid wallet, or the L1 address of a Lighter account.
        account_index, api_key_index: Lighter's numbers, None elsewhere.
        private_key: Of the signing key, hex without 0x; None under cheap signatures, which need none.
        public_key: Lighter's of the same key, None where it was not made by the venue's library.
    """

    venue: VenueName
    address: str
    account_index: int | None
    api_key_index: int | None
    private_key: str | None = field(repr=False)
    public_key: str | None = None

    @property
    def exchange_id(self) -> str:
        """How the exchange core names the account."""
        return self.address if self.account_index is None else str(self.account_index)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Simulated venues and the accounts on them, by venue; the first account of each is the desk's."""

    exchanges: Mapping[VenueName, Exchange]
    servers: Mapping[VenueName, WireServer]
    accounts: Mapping[VenueName, tuple[SandboxAccount, ...]]


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What a sandbox is made of.

    Attributes:
        assets: Which assets are listed, None for all there are. cash_usd: Per account.
        has_real_signatures: Real keys and signature checks, as on loopback; without it cheap ones, for virtual time.
        accounts: How many per venue.
        lighter_keys: Makes (private, public) keys by the venue's library; without it private keys are drawn and the venue
            shows made-up public ones, which only a client that compares them notices.
    """

    assets: frozenset[str] | None = None
    cash_usd: Decimal = Decimal(10_000)
    has_real_signatures: bool = False
    accounts: int = 1
    hyperliquid_book_every_ms: int = 500
    lighter_book_every_ms: int = 50
    has_idle_limits: bool = True
    has_rate_limits: bool = True
    lighter_keys: Callable[[], tuple[str, str]] | None = None


def build_sandbox(options: SandboxOptions, clock: Clock, rng: random.Random) -> Sandbox:
    """Assemble the venues. Nothing moves until a driver is opened on `exchanges`."""
    rules = {VenueName.HYPERLIQUID: hyperliquid_rules(), VenueName.LIGHTER: lighter_rules()}
    exchanges = {
        venue: Exchange(venue, listed_markets(venue, options.assets), rules[venue], clock) for venue in SANDBOX_VENUES
    }
    hyperliquid = HyperliquidServer(
        exchanges[VenueName.HYPERLIQUID],
        clock,
        random.Random(rng.getrandbits(64)),
        verifier=RecoverSigner() if options.has_real_signatures else DeterministicVerifier(),
        book_every_ms=options.hyperliquid_book_every_ms,
        weight_per_minute=1200 if options.has_rate_limits else None,
        idle_limit_ms=60_000 if options.has_idle_limits else None,
    )
    lighter = LighterServer(
        exchanges[VenueName.LIGHTER],
        clock,
        random.Random(rng.getrandbits(64)),
        book_every_ms=options.lighter_book_every_ms,
        silence_limit_ms=120_000 if options.has_idle_limits else None,
        ping_every_ms=60_000 if options.has_idle_limits else 24 * 3_600_000,
        messages_per_minute=200 if options.has_rate_limits else None,
    )
    accounts = {venue: _accounts(venue, options, rng) for venue in SANDBOX_VENUES}
    for venue, opened in accounts.items():
        for account in opened:
            exchanges[venue].open_account(account.exchange_id, options.cash_usd)
    for account in accounts[VenueName.HYPERLIQUID]:
        hyperliquid.register(account.address)
    for account in accounts[VenueName.LIGHTER]:
        assert account.account_index is not None
        lighter.register(account.account_index, {LIGHTER_KEY_INDEX: _public_key(account)}, account.address)
    return Sandbox(exchanges, {hyperliquid.venue: hyperliquid, lighter.venue: lighter}, accounts)


def _accounts(venue: VenueName, options: SandboxOptions, rng: random.Random) -> tuple[SandboxAccount, ...]:
    return tuple(_account(venue, number, options, rng) for number in range(options.accounts))


def _account(venue: VenueName, number: int, options: SandboxOptions, rng: random.Random) -> SandboxAccount:
    has_key = options.has_real_signatures
    key = rng.randbytes(KEY_BYTES[venue])
    address = "0x" + rng.randbytes(20).hex()
    if venue is VenueName.LIGHTER:
        private, public = (_lighter_private_key(key) if has_key else None), None
        if has_key and options.lighter_keys is not None:
            private, public = options.lighter_keys()
        return SandboxAccount(venue, address, LIGHTER_FIRST_ACCOUNT + number, LIGHTER_KEY_INDEX, private, public)
    return SandboxAccount(
        venue, _wallet_address(key) if has_key else address, None, None, key.hex() if has_key else None
    )


def _wallet_address(key: bytes) -> str:
    from eth_account import Account  # slow to import, and an extra

    return str(Account.from_key(key).address).lower()


def _lighter_private_key(key: bytes) -> str:
    """Five 64-bit field elements below the Goldilocks prime, as the signer wants them."""
    return b"".join(
        (int.from_bytes(key[at : at + 8], "little") >> 1).to_bytes(8, "little") for at in range(0, 40, 8)
    ).hex()


def _public_key(account: SandboxAccount) -> str:
    """Any stable 80 hex digits will do: the simulated venue can not verify this curve, see the Lighter reference, section 11."""
    if account.public_key is not None:
        return account.public_key
    return (account.address[2:] * 2)[:80]
