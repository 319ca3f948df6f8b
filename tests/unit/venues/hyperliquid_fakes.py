"""Transports that replay scripted answers, and a clock whose sleeps pass at once."""

import asyncio
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from perpdesk.domain.assets import VenueName
from perpdesk.domain.books import Side
from perpdesk.domain.clock import ManualClock
from perpdesk.domain.orders import OrderIntent, TimeInForce
from perpdesk.venues.base import VenueEvent
from perpdesk.venues.hyperliquid import HyperliquidSettings, HyperliquidVenue, Signer, SimulatedSigner
from perpdesk.venues.transport.ports import HttpResponse, OnClosed, OnFrame, SocketUnavailable

NOW_MS = 1_784_683_656_000
USER = "0xAbCdefabcdefabcdefabcdefabcdefabcdefabcd"
AGENT = "0x1111111111111111111111111111111111111111"
ORDER_TTL_MS = 5_000

META = msgspec.json.encode(
    {
        "universe": [
            {"name": "BTC", "szDecimals": 5, "maxLeverage": 40},
            {"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "isDelisted": True},
            {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10},
            {"name": "ETH", "szDecimals": 4, "maxLeverage": 25},
        ]
    }
)

Answer = bytes | HttpResponse | Exception | Callable[[dict[str, Any]], "Answer"]


def ok(*statuses: object) -> bytes:
    return msgspec.json.encode({"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}})


def refused(text: str) -> bytes:
    return msgspec.json.encode({"status": "err", "response": text})


DONE = b'{"status":"ok","response":{"type":"default"}}'


class ScriptedHttp:
    """Answers by request type (reads) or action type (writes): each list in order, its last entry for ever."""

    def __init__(self, script: Mapping[str, list[Answer]]) -> None:
        self.script = {"meta": [META], **script}
        self.bodies: list[dict[str, Any]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: int = 5_000,
    ) -> HttpResponse:
        decoded = msgspec.json.decode(body or b"null")
        self.bodies.append(decoded)
        answers = self.script[kind_of(decoded)]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        while callable(answer):
            answer = answer(decoded)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, HttpResponse) else HttpResponse(200, answer)

    async def close(self) -> None: ...

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return [body for body in self.bodies if kind_of(body) == kind]


def kind_of(body: dict[str, Any]) -> str:
    return str(body["action"]["type"] if "action" in body else body["type"])


class FakeSocket:
    """The client's end of a socket that a test plays the venue of."""

    def __init__(self, on_frame: OnFrame, on_closed: OnClosed, acks: bool) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._acks = acks
        self.sent: list[dict[str, Any]] = []
        self.is_closed = False

    def send(self, data: bytes) -> None:
        message = msgspec.json.decode(data)
        self.sent.append(message)
        if self._acks and message["method"] in ("subscribe", "unsubscribe"):
            self.push("subscriptionResponse", message)

    def close(self) -> None:
        self.cut("1000")

    def cut(self, reason: str) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._on_closed(reason)

    def push(self, channel: str, data: object) -> None:
        self._on_frame(msgspec.json.encode({"channel": channel, "data": data}))

    def push_raw(self, raw: bytes) -> None:
        self._on_frame(raw)

    def subscribed(self, method: str = "subscribe") -> list[tuple[str, str]]:
        return [
            (m["subscription"]["type"], m["subscription"].get("coin") or m["subscription"]["user"])
            for m in self.sent
            if m["method"] == method
        ]


class FakeSockets:
    """Opens fake sockets; `unavailable` connects fail first."""

    def __init__(self, acks: bool = True, unavailable: int = 0) -> None:
        self.acks = acks
        self.unavailable = unavailable
        self.opened: list[FakeSocket] = []

    async def connect(
        self, url: str, on_frame: OnFrame, on_closed: OnClosed, *, headers: Mapping[str, str] | None = None
    ) -> FakeSocket:
        if self.unavailable:
            self.unavailable -= 1
            raise SocketUnavailable("refused")
        socket = FakeSocket(on_frame, on_closed, self.acks)
        self.opened.append(socket)
        return socket


class JumpClock(ManualClock):
    """Sleeping moves the clock on at once, running what falls due on the way."""

    async def sleep_ms(self, duration: int) -> None:
        self.advance_ms(max(duration, 0))
        await asyncio.sleep(0)


def settings(**changes: Any) -> HyperliquidSettings:
    return HyperliquidSettings(rest_url="http://venue", ws_url="ws://venue/ws", account_address=USER, **changes)


def venue_of(
    http: ScriptedHttp,
    sockets: FakeSockets | None = None,
    clock: ManualClock | None = None,
    signer: Signer | None = SimulatedSigner(AGENT),  # noqa: B008 - it holds no state
    **changes: Any,
) -> HyperliquidVenue:
    return HyperliquidVenue(
        http, sockets or FakeSockets(), clock or JumpClock(NOW_MS), random.Random(7), settings(**changes), signer
    )


def intent(
    client_id: int = 0x1234,
    asset: str = "BTC",
    size: str = "0.001",
    price: str = "95000",
    tif: TimeInForce = TimeInForce.IOC,
    is_reduce_only: bool = False,
    expires_at_ms: int = NOW_MS + ORDER_TTL_MS,
) -> OrderIntent:
    return OrderIntent(
        client_id,
        VenueName.HYPERLIQUID,
        asset,
        Side.BUY,
        Decimal(size),
        Decimal(price),
        tif,
        is_reduce_only,
        expires_at_ms,
    )


def cloid(client_id: int = 0x1234) -> str:
    return f"0x{client_id:032x}"


def order_record(
    status: str, left: str = "0.001", original: str = "0.001", client_id: int = 0x1234, coin: str = "BTC"
) -> dict[str, Any]:
    order = {"coin": coin, "side": "B", "limitPx": "95000.0", "sz": left, "oid": 7, "origSz": original}
    return {"order": {**order, "cloid": cloid(client_id)}, "status": status, "statusTimestamp": NOW_MS}


def order_answer(*args: Any, **kwargs: Any) -> bytes:
    return msgspec.json.encode({"status": "order", "order": order_record(*args, **kwargs)})


UNKNOWN_ORDER = b'{"status":"unknownOid"}'


def fill_row(time: int = NOW_MS, tid: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "coin": "BTC",
        "px": "95000.0",
        "sz": "0.001",
        "side": "B",
        "time": time,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x00",
        "oid": 7,
        "crossed": True,
        "fee": "0.04275",
        "feeToken": "USDC",
        "tid": tid,
        "cloid": cloid(),
        **changes,
    }


def book_data(coin: str = "BTC", bid: str = "94999.0", ask: str = "95001.0", time: int = NOW_MS) -> dict[str, Any]:
    return {
        "coin": coin,
        "time": time,
        "levels": [[{"px": bid, "sz": "1.5", "n": 1}], [{"px": ask, "sz": "2", "n": 1}]],
    }


class Recorder:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.events: list[VenueEvent] = []

    def __call__(self, event: VenueEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


async def settle_loop(times: int = 20) -> None:
    """Let tasks that are ready run."""
    for _ in range(times):
        await asyncio.sleep(0)
