"""Signing: ranges, the shape of transactions, and keys that never show."""

import base64
import importlib.util
import json
import sys

import pytest

from perpdesk.domain.clock import ManualClock
from perpdesk.venues.lighter.signing import (
    OfficialSigner,
    OrderFields,
    SignedTx,
    Signer,
    SignerUnavailable,
    SigningFailed,
    SimulatedSigner,
)

NOW_MS = 1_795_313_829_000
KEY = "a1" * 40
ORDER = OrderFields(0, 123, 1000, 236100, 0, 0, 1, 0, 0, NOW_MS + 86_400_000)
needs_sdk = pytest.mark.skipif(importlib.util.find_spec("lighter") is None, reason="lighter-sdk is not installed")


def simulated() -> SimulatedSigner:
    return SimulatedSigner(7, 4, ManualClock(NOW_MS))


async def every_kind(signer: Signer) -> list[SignedTx]:
    return [
        await signer.create_order(ORDER, 100),
        await signer.cancel_order(0, 123, 101),
        await signer.cancel_all(1, 102),
        await signer.update_leverage(0, 2000, 0, 103),
    ]


@needs_sdk
async def test_simulated_transactions_have_the_official_keys_in_the_official_order() -> None:
    """The private key is any number below the group's order; nothing is sent anywhere."""
    official = await every_kind(OfficialSigner("http://127.0.0.1:1", 7, 4, "0x" + "01" * 40, 304))
    for real, ours in zip(official, await every_kind(simulated()), strict=True):
        assert real.tx_type == ours.tx_type
        real_info, our_info = json.loads(real.tx_info), json.loads(ours.tx_info)
        assert list(real_info) == list(our_info)
        varying = {"Sig", "ExpiredAt"}
        assert {k: v for k, v in real_info.items() if k not in varying} == {
            k: v for k, v in our_info.items() if k not in varying
        }
        assert len(base64.b64decode(real_info["Sig"])) == len(base64.b64decode(our_info["Sig"])) == 80
        assert len(real.tx_hash) == len(ours.tx_hash) == 80


@needs_sdk
async def test_the_official_token_has_the_simulated_tokens_shape() -> None:
    official = await OfficialSigner("http://127.0.0.1:1", 7, 4, "01" * 40, 304).auth_token(1_800_000_000)
    ours = await simulated().auth_token(1_800_000_000)
    assert official.split(":")[:3] == ours.split(":")[:3] == ["1800000000", "7", "4"]
    assert len(official.split(":")[3]) == len(ours.split(":")[3]) == 160


async def test_a_transaction_expires_ten_minutes_less_a_second_after_signing() -> None:
    signed = await simulated().cancel_order(0, 1, 5)
    assert json.loads(signed.tx_info)["ExpiredAt"] == NOW_MS + 599_000


async def test_the_same_transaction_signs_the_same_and_another_nonce_differently() -> None:
    first, again, other = [await simulated().create_order(ORDER, nonce) for nonce in (5, 5, 6)]
    assert first == again
    assert first.tx_hash != other.tx_hash


@pytest.mark.parametrize(
    "change",
    [
        {"price": (1 << 32) + 5},
        {"price": 0},
        {"base_amount": 1 << 48},
        {"base_amount": 0},
        {"client_order_index": 0},
        {"client_order_index": 1 << 48},
        {"market_index": -1},
        {"market_index": 255},
        {"time_in_force": 3},
        {"is_ask": True},
        {"base_amount": 1.0},
    ],
)
async def test_a_number_the_library_would_wrap_is_refused_before_it_gets_there(change: dict) -> None:
    fields = {name: getattr(ORDER, name) for name in ORDER.__slots__} | change
    for signer in (simulated(), _official()):
        with pytest.raises(SigningFailed):
            await signer.create_order(OrderFields(**fields), 5)


async def test_a_negative_nonce_is_refused_because_the_library_would_fetch_one() -> None:
    for signer in (simulated(), _official()):
        with pytest.raises(SigningFailed):
            await signer.cancel_all(0, -1)


def _official() -> Signer:
    """Its ranges are checked before the library is loaded, so any key will do."""
    if importlib.util.find_spec("lighter") is None:
        return simulated()
    return OfficialSigner("http://127.0.0.1:1", 7, 4, KEY, 304)


@needs_sdk
def test_the_key_is_in_no_repr() -> None:
    signer = OfficialSigner("http://127.0.0.1:1", 7, 4, KEY, 304)
    assert KEY not in repr(signer)
    assert KEY not in str(signer)


@needs_sdk
@pytest.mark.parametrize("key", ["", "zz" * 40, "a1" * 39])
def test_a_malformed_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SigningFailed) as caught:
        OfficialSigner("http://127.0.0.1:1", 7, 4, key, 304)
    assert not key or key not in str(caught.value)


def test_a_missing_sdk_is_reported_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SignerUnavailable, match=r"pip install 'perpdesk\[lighter\]'"):
        OfficialSigner("http://127.0.0.1:1", 7, 4, KEY, 304)


@needs_sdk
async def test_an_sdk_that_can_not_be_imported_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = OfficialSigner("http://127.0.0.1:1", 7, 4, KEY, 304)
    monkeypatch.setitem(sys.modules, "lighter", None)
    with pytest.raises(SignerUnavailable, match=r"pip install 'perpdesk\[lighter\]'"):
        await signer.cancel_all(0, 5)


@pytest.mark.parametrize(("account", "key"), [(0, 4), (-1, 4), (7, 256), (7, 255)])
def test_account_and_key_indices_outside_the_venues_range_are_refused(account: int, key: int) -> None:
    with pytest.raises(SigningFailed):
        SimulatedSigner(account, key, ManualClock(NOW_MS))
