"""Recovery of signers against the vectors of the venue reference (made with the official SDK 0.24.0; throwaway keys)."""

from dataclasses import replace
from typing import Any

import pytest

from perpdesk.sandbox.wire.hyperliquid.signatures import (
    DeterministicVerifier,
    RecoverSigner,
    SignedAction,
    WireSignature,
    canonical,
    cheap_digest,
)

ORDER = {
    "type": "order",
    "orders": [
        {
            "a": 0,
            "b": True,
            "p": "95000",
            "s": "0.001",
            "r": False,
            "t": {"limit": {"tif": "Ioc"}},
            "c": "0x00000000000000000000000000001234",
        }
    ],
    "grouping": "na",
}
CANCEL = {"type": "cancel", "cancels": [{"a": 1, "o": 123456789012}]}
V1_ADDRESS = "0xec1c82c500672f858d702244a6e9b6620c6a70a2"
V2_ADDRESS = "0x449c5ce92d4707c7cc3db5cb0025d3004b76df0b"
V1_AS_LOCAL = "0xaa1cbb884611d5735f9967ecd7d735b9a1508294"

V1_MAINNET = SignedAction(
    ORDER,
    1760000000000,
    None,
    None,
    WireSignature(
        "0x1bcd0332efeecc9985de778bd6152103816a8c53dcbca2ac088c7a8f8b580c37",
        "0x3d27c5a06cd5a9eda4e1d459517f9d687432b93640417a68aa1fd8d6e48b6dc0",
        27,
    ),
)
V1_LOCAL = replace(
    V1_MAINNET,
    signature=WireSignature(
        "0xd269f79ac2c824f5eb102fbc29acd9712a873a901b8fd4a92d3c82824f53d58d",
        "0x62419d0d8a1856116b12802392e37e33527308823bb7ae8305556842009f43b5",
        28,
    ),
)
V2_MAINNET = SignedAction(
    CANCEL,
    1760000000001,
    "0x1212121212121212121212121212121212121212",
    1760000060000,
    WireSignature(
        "0x300abdfb24f2465dad7b11b07998ba31e94729bf9e17a7c3c6ae7502123715f8",
        "0xb5b29a30a8b3ecebd1bac14aff32bc50385c88dfcd407a649d57da55e245905",
        28,
    ),
)
V2_LOCAL = replace(
    V2_MAINNET,
    signature=WireSignature(
        "0xba00da93dd6ff689d755d727ab8d92e353a69901127f003a8df5989b66f6a79b",
        "0x5aaca9fe556f77b2e6b52913f52c075931808fe7720630095157f41e4c5744a8",
        27,
    ),
)


@pytest.mark.parametrize(
    ("signed", "address", "rank"),
    [(V1_LOCAL, V1_ADDRESS, 0), (V1_MAINNET, V1_ADDRESS, 1), (V2_LOCAL, V2_ADDRESS, 0), (V2_MAINNET, V2_ADDRESS, 1)],
)
def test_the_signer_of_each_vector_is_recovered(signed: SignedAction, address: str, rank: int) -> None:
    """A local signature under source b first, a mainnet one under a second; V2's mainnet s has only 63 digits."""
    assert RecoverSigner().signers(signed)[rank] == address


def test_a_mainnet_signature_read_as_local_is_an_unrelated_wallet() -> None:
    assert RecoverSigner().signers(V1_MAINNET)[0] == V1_AS_LOCAL


@pytest.mark.parametrize(
    "changed",
    [
        replace(V1_LOCAL, nonce=1760000000001),
        replace(V1_LOCAL, expires_after=1760000060000),
        replace(V1_LOCAL, vault_address="0x" + "12" * 20),
        replace(V1_LOCAL, action=dict(sorted(ORDER.items()))),
    ],
    ids=["nonce", "deadline", "vault", "key order"],
)
def test_any_change_of_what_was_signed_recovers_someone_else(changed: SignedAction) -> None:
    assert V1_ADDRESS not in RecoverSigner().signers(changed)


@pytest.mark.parametrize("signature", [WireSignature("zz", "0x1", 27), WireSignature("0x1", "0x1", 99)])
def test_nonsense_recovers_nobody(signature: WireSignature) -> None:
    assert RecoverSigner().signers(replace(V1_LOCAL, signature=signature)) == ()


@pytest.mark.parametrize("number", [0, 1 << 256, (1 << 256) - 1])
def test_signature_numbers_outside_the_curve_recover_nobody(number: int) -> None:
    assert RecoverSigner().signers(replace(V1_LOCAL, signature=WireSignature(hex(number), "0x1", 27))) == ()


def test_the_venue_hashes_lower_case_and_stripped_numbers_whatever_was_sent() -> None:
    sent: dict[str, Any] = {"type": "order", "orders": [{"p": "1900.50", "s": "1.0", "c": "0xABCD"}]}
    assert canonical(sent) == {"type": "order", "orders": [{"p": "1900.5", "s": "1", "c": "0xabcd"}]}


def _cheaply_signed(address: str, action: Any, nonce: int) -> SignedAction:
    digest = cheap_digest(action, nonce, None, None)
    return SignedAction(action, nonce, None, None, WireSignature(hex(int(address, 16)), "0x" + digest.hex(), 27))


def test_a_cheap_signature_names_its_signer_even_with_leading_zeros() -> None:
    address = "0x00" + "ab" * 19
    assert DeterministicVerifier().signers(_cheaply_signed(address, CANCEL, 5)) == (address,)


def test_a_cheap_signature_over_other_bytes_is_some_other_wallet() -> None:
    signed = replace(_cheaply_signed(V1_ADDRESS, CANCEL, 5), nonce=6)
    (stranger,) = DeterministicVerifier().signers(signed)
    assert stranger != V1_ADDRESS
    assert len(stranger) == 42
