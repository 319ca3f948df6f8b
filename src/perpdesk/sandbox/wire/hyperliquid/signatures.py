"""Who signed an action: the venue's real recovery, and a cheap stand-in for simulation.

A wrong signature never fails loudly: it recovers some other address, which the venue then does not know. Both verifiers keep
that. The venue reads an action into its own types and hashes what it writes back, so hexadecimal text is hashed in lower case and
order numbers without trailing zeros, whatever the client sent; `canonical` repeats that.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from perpdesk.domain.numbers import plain

_NUMBER = re.compile(r"^[0-9]{1,20}(\.[0-9]{1,20})?$")
_NUMBER_KEYS = frozenset(("p", "s", "triggerPx"))
_DOMAIN_SEPARATOR = bytes.fromhex("d79297fcdf2ffcd4ae223d01edaa2ba214ff8f401d7c9300d995d17c82aa4040")
_AGENT_TYPE_HASH = bytes.fromhex("26f05c2f7239b6983075e58321292d77b3aa173d19b27257ac96ab362570f508")
_SOURCES = ("b", "a")
"""Phantom-agent sources in the order tried: what clients sign against anything but mainnet, then mainnet."""


class WireSignature(msgspec.Struct):
    """r and s as hexadecimal numbers, not zero-padded; v is 27 or 28."""

    r: str
    s: str
    v: int


@dataclass(frozen=True, slots=True)
class SignedAction:
    """What a signature covers.

    Attributes:
        action: As received, in the sender's key order.
        expires_after: Deadline in Unix milliseconds.
    """

    action: Mapping[str, Any]
    nonce: int
    vault_address: str | None
    expires_after: int | None
    signature: WireSignature


class SignatureVerifier(Protocol):
    """Finds out who signed."""

    def signers(self, signed: SignedAction) -> tuple[str, ...]:
        """Addresses (lower case) the signature may stand for, likeliest first; empty when none can be recovered."""


def canonical(value: Any, key: str = "") -> Any:
    """An action as the venue hashes it: hexadecimal text in lower case, order numbers without trailing zeros."""
    if isinstance(value, dict):
        return {name: canonical(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if not isinstance(value, str):
        return value
    if value[:2] in ("0x", "0X"):
        return value.lower()
    return plain(Decimal(value)) if key in _NUMBER_KEYS and _NUMBER.match(value) else value


def expiry_bytes(expires_after: int | None) -> bytes:
    """The part of the hashed bytes a deadline adds."""
    return b"" if expires_after is None else b"\x00" + expires_after.to_bytes(8, "big")


def vault_bytes(vault_address: str | None) -> bytes:
    """The part of the hashed bytes the vault adds; ValueError when it is not 20 bytes of hexadecimal."""
    if vault_address is None:
        return b"\x00"
    raw = bytes.fromhex(vault_address.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError(f"vault address has {len(raw)} bytes")
    return b"\x01" + raw


class RecoverSigner:
    """Real recovery: MessagePack, keccak-256, EIP-712, secp256k1 (reference `venues/hyperliquid.md`, section 7.1).

    msgpack, eth-hash (by eth-utils) and coincurve or eth-keys come with the `hyperliquid` extra and are imported on first use.
    """

    def signers(self, signed: SignedAction) -> tuple[str, ...]:
        try:
            connection_id = self._connection_id(signed)
            found = [self._recover(connection_id, source, signed.signature) for source in _SOURCES]
        except (ValueError, OverflowError):
            return ()
        return tuple(address for address in found if address is not None)

    @staticmethod
    def _connection_id(signed: SignedAction) -> bytes:
        import msgpack
        from eth_utils.crypto import keccak

        packed: bytes = msgpack.packb(canonical(signed.action))
        data = packed + signed.nonce.to_bytes(8, "big") + vault_bytes(signed.vault_address)
        hashed: bytes = keccak(data + expiry_bytes(signed.expires_after))
        return hashed

    @staticmethod
    def _recover(connection_id: bytes, source: str, signature: WireSignature) -> str | None:
        from eth_keys.datatypes import Signature
        from eth_keys.exceptions import BadSignature
        from eth_utils.crypto import keccak
        from eth_utils.exceptions import ValidationError

        struct_hash = keccak(_AGENT_TYPE_HASH + keccak(source.encode()) + connection_id)
        digest = keccak(b"\x19\x01" + _DOMAIN_SEPARATOR + struct_hash)
        try:
            vrs = (signature.v - 27, int(signature.r, 16), int(signature.s, 16))
            key = Signature(vrs=vrs).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            return None
        return str(key.to_address())


class DeterministicVerifier:
    """Cheap signatures for simulated months: r is the signer's address, s a digest of what it covers.

    Nothing secret is involved: it proves that both sides agree on the bytes, not who wrote them.
    """

    def signers(self, signed: SignedAction) -> tuple[str, ...]:
        digest = cheap_digest(canonical(signed.action), signed.nonce, signed.vault_address, signed.expires_after)
        try:
            address, claimed = int(signed.signature.r, 16), int(signed.signature.s, 16)
        except ValueError:
            return ()
        if signed.signature.v != 27 or address >> 160:
            return ()
        if claimed == int.from_bytes(digest, "big"):
            return (f"0x{address:040x}",)
        return ("0x" + hashlib.blake2b(digest + address.to_bytes(20, "big"), digest_size=20).hexdigest(),)


def cheap_digest(action: Any, nonce: int, vault_address: str | None, expires_after: int | None) -> bytes:
    """The 32 bytes `DeterministicVerifier` expects as s: blake2b over JSON action, nonce, vault and deadline."""
    deadline = "" if expires_after is None else str(expires_after)
    covered = f"|{nonce}|{vault_address or ''}|{deadline}".encode()
    return hashlib.blake2b(msgspec.json.encode(action) + covered, digest_size=32).digest()
