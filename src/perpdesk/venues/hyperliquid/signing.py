"""Signatures of L1 actions (orders, cancels, noop): the official ones, and a cheap deterministic stand-in for simulation."""

from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from perpdesk.venues.base import VenueError

INSTALL_HINT = "Hyperliquid's signing library is not installed; run: pip install 'perpdesk[hyperliquid]'"


class SigningUnavailable(VenueError):
    """No signature can be made on this machine or with this key; the message says what to do."""


class Signer(Protocol):
    """Signs for one wallet: the account's own or, better, an agent it approved.

    Attributes:
        address: Of the signing wallet, "0x" and 40 hex digits.
    """

    address: str

    async def sign_l1(
        self, action: dict[str, Any], nonce: int, vault_address: str | None, expires_after: int | None
    ) -> dict[str, Any]:
        """The signature of `action` as it will be posted, keys in the same order.

        Args:
            nonce: Unix milliseconds, never used before by this signer.
            expires_after: Unix milliseconds after which the venue drops the action, None for never.

        Returns:
            {"r": hex, "s": hex, "v": 27 or 28}. r and s are not zero-padded: verifiers read them as integers.
        """


class OfficialSigner:
    """The venue's own rules, by its Python SDK (0.24): msgpack, keccak, EIP-712, secp256k1.

    About 0.45 ms a signature with coincurve installed and 6.5 ms without. The key never shows in repr, logs or errors.
    """

    def __init__(self, private_key: str, is_mainnet: bool) -> None:
        """Take the key of the wallet that signs.

        Args:
            private_key: 32 bytes in hex, "0x" optional.
            is_mainnet: Mainnet signatures name source "a"; testnet and simulated venues expect "b".

        Raises:
            SigningUnavailable: The library is missing, or the key is not a key.
        """
        try:
            from eth_account import Account
            from hyperliquid.utils import signing
        except ImportError as error:
            raise SigningUnavailable(INSTALL_HINT) from error
        try:
            wallet = Account.from_key(private_key)
        except Exception:
            # The library's own message may quote the key, so neither it nor the cause is kept.
            raise SigningUnavailable("Hyperliquid: the private key is not 32 bytes of hex; check the secret") from None
        self._wallet = wallet
        self._sign = signing.sign_l1_action
        self._is_mainnet = is_mainnet
        self.address: str = wallet.address

    def __repr__(self) -> str:
        return f"OfficialSigner(address={self.address!r}, is_mainnet={self._is_mainnet})"

    async def sign_l1(
        self, action: dict[str, Any], nonce: int, vault_address: str | None, expires_after: int | None
    ) -> dict[str, Any]:
        signature: dict[str, Any] = self._sign(
            self._wallet, action, vault_address, nonce, expires_after, self._is_mainnet
        )
        return signature


class SimulatedSigner:
    """A stand-in that simulated venues recompute and compare: it proves what was signed, not who signed.

    r carries the address, s a blake2b-256 over the action's JSON, the nonce, the vault and the expiry, joined by "|".
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __repr__(self) -> str:
        return f"SimulatedSigner(address={self.address!r})"

    async def sign_l1(
        self, action: dict[str, Any], nonce: int, vault_address: str | None, expires_after: int | None
    ) -> dict[str, Any]:
        expiry = "" if expires_after is None else str(expires_after)
        rest = f"|{nonce}|{vault_address or ''}|{expiry}"
        digest = blake2b(msgspec.json.encode(action) + rest.encode(), digest_size=32).hexdigest()
        return {"r": "0x" + self.address.removeprefix("0x"), "s": "0x" + digest, "v": 27}
