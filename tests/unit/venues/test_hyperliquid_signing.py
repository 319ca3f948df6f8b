"""Signatures: the venue's own test vectors, the stand-in, and silence about keys."""

import builtins
import sys
from hashlib import blake2b
from typing import Any

import pytest

from perpdesk.venues.hyperliquid import OfficialSigner, SigningUnavailable, SimulatedSigner

KEY_1 = "0x1549ef6f0ebfaaac90d901b649761980847293e626a457b2e648a5c2ee04d75f"
KEY_2 = "0xaff16057d56e397de6da8a3c932bb486dbd9eaf99cfb4eccde28ded7d7383703"
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
VAULT = "0x1212121212121212121212121212121212121212"


@pytest.mark.parametrize(
    ("is_mainnet", "r", "s", "v"),
    [
        (
            True,
            "0x1bcd0332efeecc9985de778bd6152103816a8c53dcbca2ac088c7a8f8b580c37",
            "0x3d27c5a06cd5a9eda4e1d459517f9d687432b93640417a68aa1fd8d6e48b6dc0",
            27,
        ),
        (
            False,
            "0xd269f79ac2c824f5eb102fbc29acd9712a873a901b8fd4a92d3c82824f53d58d",
            "0x62419d0d8a1856116b12802392e37e33527308823bb7ae8305556842009f43b5",
            28,
        ),
    ],
)
async def test_an_order_signs_to_the_first_test_vector(is_mainnet: bool, r: str, s: str, v: int) -> None:
    signer = OfficialSigner(KEY_1, is_mainnet)
    assert signer.address == "0xec1C82C500672f858D702244a6E9B6620C6a70A2"
    assert await signer.sign_l1(ORDER, 1760000000000, None, None) == {"r": r, "s": s, "v": v}


@pytest.mark.parametrize(
    ("is_mainnet", "r", "s", "v"),
    [
        (
            True,
            "0x300abdfb24f2465dad7b11b07998ba31e94729bf9e17a7c3c6ae7502123715f8",
            "0xb5b29a30a8b3ecebd1bac14aff32bc50385c88dfcd407a649d57da55e245905",
            28,
        ),
        (
            False,
            "0xba00da93dd6ff689d755d727ab8d92e353a69901127f003a8df5989b66f6a79b",
            "0x5aaca9fe556f77b2e6b52913f52c075931808fe7720630095157f41e4c5744a8",
            27,
        ),
    ],
)
async def test_a_cancel_with_vault_and_expiry_signs_to_the_second_vector(
    is_mainnet: bool, r: str, s: str, v: int
) -> None:
    signer = OfficialSigner(KEY_2, is_mainnet)
    assert await signer.sign_l1(CANCEL, 1760000000001, VAULT, 1760000060000) == {"r": r, "s": s, "v": v}


async def test_the_stand_in_covers_action_nonce_vault_and_expiry() -> None:
    address = "0x1111111111111111111111111111111111111111"
    payload = b'{"type":"noop"}|17|' + VAULT.encode() + b"|99"
    expected = "0x" + blake2b(payload, digest_size=32).hexdigest()
    signed = await SimulatedSigner(address).sign_l1({"type": "noop"}, 17, VAULT, 99)
    assert signed == {"r": address, "s": expected, "v": 27}


async def test_the_stand_in_leaves_absent_parts_empty() -> None:
    expected = "0x" + blake2b(b'{"type":"noop"}|17||', digest_size=32).hexdigest()
    assert (await SimulatedSigner("0x11").sign_l1({"type": "noop"}, 17, None, None))["s"] == expected


def test_a_key_shows_in_no_repr() -> None:
    signer = OfficialSigner(KEY_1, is_mainnet=True)
    assert KEY_1[2:12] not in repr(signer)
    assert signer.address in repr(signer)


@pytest.mark.parametrize("key", ["", "0x12", "not a key at all", KEY_1 + "00", "0x" + "f" * 64])
def test_a_bad_key_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(SigningUnavailable, match="check the secret") as caught:
        OfficialSigner(key, is_mainnet=True)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert not key or key not in str(caught.value)


def test_a_missing_library_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_signing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in ("hyperliquid", "eth_account"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_signing)
    with pytest.raises(SigningUnavailable, match=r"pip install 'perpdesk\[hyperliquid\]'"):
        OfficialSigner(KEY_1, is_mainnet=True)


def test_importing_the_connector_does_not_load_the_signing_libraries() -> None:
    import subprocess

    code = "import sys, perpdesk.venues.hyperliquid; sys.exit('eth_account' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
