"""Signing of Lighter transactions and tokens, behind a port: the venue's own library, or a simulation's stand-in."""

import asyncio
import base64
import hashlib
import importlib.util
import json
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from perpdesk.domain.clock import Clock
from perpdesk.domain.orders import CLIENT_ID_MAX

TX_CREATE_ORDER = 14
TX_CANCEL_ORDER = 15
TX_CANCEL_ALL = 16
TX_UPDATE_LEVERAGE = 20

ORDER_LIMIT = 0
TIF_IOC = 0
TIF_GTC = 1
TIF_POST_ONLY = 2

PRICE_MAX = (1 << 32) - 1
BASE_MAX = (1 << 48) - 1
MARKET_MAX = (1 << 15) - 1
NIL_MARKET = 255
"""The venue's "no market" in cancel-all; never the index of a perpetual."""
NONCE_MAX = (1 << 63) - 1
TX_LIFETIME_MS = 599_000
"""A signed transaction dies 10 minutes less a second after signing; the library sets this by itself."""


class SigningFailed(Exception):
    """Nothing was signed, so nothing can have been sent. The message never holds key material."""


class SignerUnavailable(SigningFailed):
    """The venue's signing library is not installed or does not run on this machine."""


@dataclass(frozen=True, slots=True)
class SignedTx:
    """A transaction ready for `sendTx`.

    Attributes:
        tx_info: JSON text exactly as signed. tx_hash: 80 hex digits, for looking its fate up later.
    """

    tx_type: int
    tx_info: str
    tx_hash: str


@dataclass(frozen=True, slots=True)
class OrderFields:
    """What a create-order transaction says, in the venue's integers.

    Attributes:
        base_amount: size / lot. price: price / tick. is_ask: 1 sells. order_expiry: Unix ms; 0 for immediate-or-cancel.
    """

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    is_ask: int
    order_type: int
    time_in_force: int
    reduce_only: int
    trigger_price: int
    order_expiry: int


class Signer(Protocol):
    """Signs for one account and key. Every method raises SigningFailed when it can not."""

    async def create_order(self, order: OrderFields, nonce: int) -> SignedTx:
        """A new order."""

    async def cancel_order(self, market_index: int, order_index: int, nonce: int) -> SignedTx:
        """Cancel by client order index (below 2^48) or the venue's own (above)."""

    async def cancel_all(self, market_index: int, nonce: int) -> SignedTx:
        """Cancel every order of the account in one market, at once."""

    async def update_leverage(
        self, market_index: int, initial_margin_fraction: int, margin_mode: int, nonce: int
    ) -> SignedTx:
        """Set leverage: fraction in 1e-4 (2000 is 5x), mode 0 cross, 1 isolated."""

    async def auth_token(self, deadline_s: int) -> str:
        """A token for private reads and channels, valid until `deadline_s` (Unix seconds)."""


def _check(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SigningFailed(f"{name} must be a whole number from {low} to {high}, was {value!r}")


def _check_market(market_index: int) -> None:
    _check("market index", market_index, 0, MARKET_MAX)
    if market_index == NIL_MARKET:
        raise SigningFailed(f"market index {NIL_MARKET} stands for no market")


def check_order(order: OrderFields, nonce: int) -> None:
    """SigningFailed for a field that the native library would silently wrap (2^32 + 5 becomes price 5)."""
    _check_market(order.market_index)
    _check("client order index", order.client_order_index, 1, CLIENT_ID_MAX)
    _check("base amount", order.base_amount, 1, BASE_MAX)
    _check("price", order.price, 1, PRICE_MAX)
    _check("is_ask", order.is_ask, 0, 1)
    _check("order type", order.order_type, 0, 6)
    _check("time in force", order.time_in_force, 0, 2)
    _check("reduce_only", order.reduce_only, 0, 1)
    _check("trigger price", order.trigger_price, 0, PRICE_MAX)
    _check("order expiry", order.order_expiry, 0, NONCE_MAX)
    check_nonce(nonce)


def check_nonce(nonce: int) -> None:
    """SigningFailed for a negative nonce: -1 would make the library fetch one by itself, blocking."""
    _check("nonce", nonce, 0, NONCE_MAX)


def check_leverage(market_index: int, initial_margin_fraction: int, margin_mode: int, nonce: int) -> None:
    """SigningFailed outside the ranges the venue documents."""
    _check_market(market_index)
    _check("initial margin fraction", initial_margin_fraction, 1, 10_000)
    _check("margin mode", margin_mode, 0, 1)
    check_nonce(nonce)


def check_cancel(market_index: int, order_index: int, nonce: int) -> None:
    """SigningFailed outside the ranges the venue documents."""
    _check_market(market_index)
    _check("order index", order_index, 1, (1 << 60) - 1)
    check_nonce(nonce)


def _check_key(account_index: int, api_key_index: int) -> None:
    _check("Lighter account index", account_index, 1, (1 << 48) - 1)
    _check("Lighter API key index", api_key_index, 0, 254)


class OfficialSigner:
    """The venue's own native library out of `lighter-sdk`, called in a worker thread: one signature blocks 4 to 10 ms.

    Nothing is imported or loaded before the first signature. The library keeps clients by key index and account in one
    process-wide table; a lock keeps loading and signing apart.
    """

    def __init__(self, rest_url: str, account_index: int, api_key_index: int, private_key: str, chain_id: int) -> None:
        """SignerUnavailable when the SDK is not installed; SigningFailed for a malformed key or index."""
        _check_key(account_index, api_key_index)
        if importlib.util.find_spec("lighter") is None:
            raise SignerUnavailable("Lighter's signing library is not installed; run: pip install 'perpdesk[lighter]'")
        key = private_key.strip().removeprefix("0x")
        if len(key) != 80 or any(c not in "0123456789abcdefABCDEF" for c in key):
            raise SigningFailed("the Lighter API private key must be 80 hexadecimal digits; check the one configured")
        self._rest_url = rest_url
        self._account_index = account_index
        self._api_key_index = api_key_index
        self._private_key = key
        self._chain_id = chain_id
        self._lock = threading.Lock()
        self._library: Any = None
        self._decode: Any = None

    def __repr__(self) -> str:
        return f"OfficialSigner(account_index={self._account_index}, api_key_index={self._api_key_index})"

    async def create_order(self, order: OrderFields, nonce: int) -> SignedTx:
        check_order(order, nonce)
        fields = (
            *(order.market_index, order.client_order_index, order.base_amount, order.price, order.is_ask),
            *(order.order_type, order.time_in_force, order.reduce_only, order.trigger_price, order.order_expiry),
        )
        no_integrator_and_default_self_trade = (0, 0, 0, 0, 0)
        return await asyncio.to_thread(
            self._sign, "SignCreateOrder", *fields, *no_integrator_and_default_self_trade, 0, nonce
        )

    async def cancel_order(self, market_index: int, order_index: int, nonce: int) -> SignedTx:
        check_cancel(market_index, order_index, nonce)
        return await asyncio.to_thread(self._sign, "SignCancelOrder", market_index, order_index, 0, nonce)

    async def cancel_all(self, market_index: int, nonce: int) -> SignedTx:
        _check_market(market_index)
        check_nonce(nonce)
        return await asyncio.to_thread(self._sign, "SignCancelAllOrders", 0, 0, market_index, 0, nonce)

    async def update_leverage(
        self, market_index: int, initial_margin_fraction: int, margin_mode: int, nonce: int
    ) -> SignedTx:
        check_leverage(market_index, initial_margin_fraction, margin_mode, nonce)
        return await asyncio.to_thread(
            self._sign, "SignUpdateLeverage", market_index, initial_margin_fraction, margin_mode, 0, nonce
        )

    async def auth_token(self, deadline_s: int) -> str:
        return await asyncio.to_thread(self._sign_token, deadline_s)

    def _load(self) -> None:
        """Load the library and register the key once; the lock is held."""
        if self._library is not None:
            return
        try:
            from lighter import signer_client
        except ImportError as error:
            raise SignerUnavailable(
                "Lighter's signing library can not be imported; run: pip install 'perpdesk[lighter]'"
            ) from error
        try:
            library = signer_client.get_signer()
        except Exception as error:  # the SDK raises a bare Exception for platforms it has no library for
            raise SignerUnavailable(f"Lighter's signing library does not run on this machine: {error}") from error
        self._decode = signer_client.decode_and_free
        url, key = self._rest_url.encode(), self._private_key.encode()
        failed = self._decode(library.CreateClient(url, key, self._chain_id, self._api_key_index, self._account_index))
        if failed:
            raise SigningFailed(self._without_key(f"Lighter's signing library refused the key: {failed}"))
        self._library = library

    def _sign(self, function: str, *fields: int) -> SignedTx:
        with self._lock:
            self._load()
            result = getattr(self._library, function)(*fields, self._api_key_index, self._account_index)
            error, info, tx_hash = (self._decode(p) for p in (result.err, result.txInfo, result.txHash))
            self._decode(result.messageToSign)
        if error or not info or not tx_hash:
            raise SigningFailed(self._without_key(f"Lighter's signing library refused: {error or 'empty answer'}"))
        return SignedTx(int(result.txType), info, tx_hash)

    def _sign_token(self, deadline_s: int) -> str:
        with self._lock:
            self._load()
            result = self._library.CreateAuthToken(deadline_s, self._api_key_index, self._account_index)
            token, error = self._decode(result.str), self._decode(result.err)
        if error or not token:
            raise SigningFailed(
                self._without_key(f"Lighter's signing library gave no token: {error or 'empty answer'}")
            )
        return str(token)

    def _without_key(self, text: str) -> str:
        return text.replace(self._private_key, "(key)")


class SimulatedSigner:
    """Deterministic stand-in for simulations: the same transaction JSON, a digest where the signature would be. No threads."""

    def __init__(self, account_index: int, api_key_index: int, clock: Clock) -> None:
        _check_key(account_index, api_key_index)
        self._account_index = account_index
        self._api_key_index = api_key_index
        self._clock = clock

    async def create_order(self, order: OrderFields, nonce: int) -> SignedTx:
        check_order(order, nonce)
        fields = {
            "MarketIndex": order.market_index,
            "ClientOrderIndex": order.client_order_index,
            "BaseAmount": order.base_amount,
            "Price": order.price,
            "IsAsk": order.is_ask,
            "Type": order.order_type,
            "TimeInForce": order.time_in_force,
            "ReduceOnly": order.reduce_only,
            "TriggerPrice": order.trigger_price,
            "OrderExpiry": order.order_expiry,
        }
        return self._sign(TX_CREATE_ORDER, fields, nonce)

    async def cancel_order(self, market_index: int, order_index: int, nonce: int) -> SignedTx:
        check_cancel(market_index, order_index, nonce)
        return self._sign(TX_CANCEL_ORDER, {"MarketIndex": market_index, "Index": order_index}, nonce)

    async def cancel_all(self, market_index: int, nonce: int) -> SignedTx:
        _check_market(market_index)
        check_nonce(nonce)
        return self._sign(TX_CANCEL_ALL, {"TimeInForce": 0, "Time": 0}, nonce, {"5": market_index})

    async def update_leverage(
        self, market_index: int, initial_margin_fraction: int, margin_mode: int, nonce: int
    ) -> SignedTx:
        check_leverage(market_index, initial_margin_fraction, margin_mode, nonce)
        fields = {
            "MarketIndex": market_index,
            "InitialMarginFraction": initial_margin_fraction,
            "MarginMode": margin_mode,
        }
        return self._sign(TX_UPDATE_LEVERAGE, fields, nonce)

    async def auth_token(self, deadline_s: int) -> str:
        head = f"{deadline_s}:{self._account_index}:{self._api_key_index}"
        return f"{head}:{_digest(head.encode()).hex()}"

    def _sign(
        self, tx_type: int, fields: dict[str, int], nonce: int, attributes: dict[str, int] | None = None
    ) -> SignedTx:
        head = {"AccountIndex": self._account_index, "ApiKeyIndex": self._api_key_index}
        tail = {"ExpiredAt": self._clock.wall_ms() + TX_LIFETIME_MS, "Nonce": nonce}
        signed = head | fields | tail
        message = json.dumps([tx_type, signed, attributes], separators=(",", ":")).encode()
        signature = base64.b64encode(_digest(message)).decode()
        info = json.dumps(signed | {"Sig": signature, "L2TxAttributes": attributes}, separators=(",", ":"))
        return SignedTx(tx_type, info, hashlib.blake2b(message, digest_size=40).hexdigest())


def _digest(message: bytes) -> bytes:
    """80 bytes, the length of a real signature."""
    return hashlib.blake2b(message).digest() + hashlib.blake2b(message, digest_size=16).digest()
