"""The stream's protocol: sessions, subscriptions, heartbeats and transactions sent over a socket."""

import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from perpdesk.domain.clock import Clock, Timer
from perpdesk.sandbox.server import SocketPeer
from perpdesk.sandbox.wire.lighter.accounts import Refused, check_token
from perpdesk.sandbox.wire.lighter.channels import Channel, Snapshots, parse_channel
from perpdesk.sandbox.wire.lighter.encode import Json, encode_json
from perpdesk.sandbox.wire.lighter.execution import SOCKET_BATCH_MAX, Accepted, Sequencer
from perpdesk.sandbox.wire.lighter.feeds import MarketFeed, encode_frame
from perpdesk.sandbox.wire.lighter.state import LighterState

log = structlog.get_logger(__name__)

SUBSCRIPTIONS_MAX = 500
"""Per connection."""

SESSION_MS_MAX = 24 * 3_600_000
"""The venue ends every connection after this."""

_MINUTE_MS = 60_000
_PING = encode_json({"type": "ping"})
_PONG = encode_json({"type": "pong"})


@dataclass(frozen=True, slots=True)
class SocketRules:
    """Heartbeats and limits of one connection; None switches a rule off."""

    ping_every_ms: int
    silence_limit_ms: int | None
    messages_per_minute: int | None


class Subscriptions:
    """Which sessions follow which channel; publishing hands the same bytes to each."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[LighterSession, None]] = {}
        self._count_by_name: dict[str, int] = {}

    def add(self, key: str, session: "LighterSession") -> None:
        followers = self._by_key.setdefault(key, {})
        if session not in followers:
            followers[session] = None
            name = key.split(":", 1)[0]
            self._count_by_name[name] = self._count_by_name.get(name, 0) + 1

    def remove(self, key: str, session: "LighterSession") -> None:
        followers = self._by_key.get(key, {})
        if session in followers:
            del followers[session]
            self._count_by_name[key.split(":", 1)[0]] -= 1
        if not followers:
            self._by_key.pop(key, None)

    def has(self, key: str) -> bool:
        return key in self._by_key

    def has_any(self, name: str) -> bool:
        return self._count_by_name.get(name, 0) > 0

    def publish(self, key: str, frame: bytes) -> None:
        for session in list(self._by_key.get(key, ())):
            session.send(frame)


class StreamHub:
    """What all sessions of one server share."""

    def __init__(
        self,
        state: LighterState,
        sequencer: Sequencer,
        subscriptions: Subscriptions,
        market_feed: MarketFeed,
        rules: SocketRules,
        rng: random.Random,
        admit_request: Callable[[], bool],
    ) -> None:
        self.state = state
        self.sequencer = sequencer
        self.subscriptions = subscriptions
        self.rules = rules
        self.admit_request = admit_request
        self._market_feed = market_feed
        self._snapshots = Snapshots(state, sequencer)
        self._rng = rng

    @property
    def clock(self) -> Clock:
        return self.state.clock

    def open(self, peer: SocketPeer) -> "LighterSession":
        """Greet a new client."""
        session_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        session = LighterSession(self, peer)
        session.send(encode_json({"session_id": session_id, "type": "connected"}))
        return session

    def first_frame(self, channel: Channel) -> bytes:
        kind = f"subscribed/{channel.name}"
        if channel.name in ("order_book", "ticker") and channel.symbol is not None:
            return self._market_feed.first_frame(channel, channel.symbol)
        return encode_frame(kind, channel.key, self._snapshots.payload(channel))

    def subscribed(self, channel: Channel) -> None:
        if channel.name == "height":
            self._market_feed.height_wanted()


class LighterSession:
    """One client's connection."""

    def __init__(self, hub: StreamHub, peer: SocketPeer) -> None:
        self._hub = hub
        self._peer = peer
        self._channels: dict[str, None] = {}
        self._is_open = True
        self._heard_at_ms = hub.clock.monotonic_ms()
        self._messages_at_ms: deque[int] = deque()
        self._timers: dict[str, Timer] = {}
        self._ping_later()
        self._cut_later(hub.rules.silence_limit_ms)
        self._timers["life"] = hub.clock.call_later_ms(SESSION_MS_MAX, lambda: self._end(1000, "session expired"))

    def send(self, frame: bytes) -> None:
        if self._is_open:
            self._peer.send(frame)

    def on_closed(self) -> None:
        self._is_open = False
        for timer in self._timers.values():
            timer.cancel()
        for key in self._channels:
            self._hub.subscriptions.remove(key, self)
        self._channels.clear()

    def on_frame(self, frame: bytes) -> None:
        """Never raises: what can not be read is answered with an error frame."""
        self._heard_at_ms = self._hub.clock.monotonic_ms()
        try:
            self._handle(frame)
        except Refused as refused:
            self._refuse(refused)
        except Exception:
            log.exception("lighter_frame_failed", frame=frame[:200])
            self._refuse(Refused(29500, "internal server error"))

    def _handle(self, frame: bytes) -> None:
        try:
            message = msgspec.json.decode(frame)
        except msgspec.DecodeError as error:
            raise Refused(30000, "Invalid JSON") from error
        kind = message.get("type") if isinstance(message, dict) else None
        if kind in ("jsonapi/sendtx", "jsonapi/sendtxbatch"):
            self._send_tx(kind, message)
            return
        self._count_message()
        if kind == "subscribe":
            self._subscribe(message)
        elif kind == "unsubscribe":
            self._unsubscribe(message)
        elif kind == "ping":
            self.send(_PONG)
        elif kind != "pong":
            raise Refused(30001, "Invalid Type")

    def _refuse(self, refused: Refused) -> None:
        self.send(encode_json({"error": {"code": refused.code, "message": refused.message}}))

    def _count_message(self) -> None:
        limit = self._hub.rules.messages_per_minute
        if limit is None:
            return
        recent, now_ms = self._messages_at_ms, self._heard_at_ms
        while recent and recent[0] <= now_ms - _MINUTE_MS:
            recent.popleft()
        if len(recent) >= limit:
            raise Refused(30009, "Too Many Websocket Messages!")
        recent.append(now_ms)

    # Subscriptions --------------------------------------------------------------------------------------------------

    def _subscribe(self, message: Json) -> None:
        hub = self._hub
        channel = parse_channel(hub.state, message.get("channel"))
        if channel.key in self._channels:
            raise Refused(30003, f"Already Subscribed to : {channel.key}")
        if len(self._channels) >= SUBSCRIPTIONS_MAX:
            raise Refused(23001, "Too Many Subscriptions!")
        if channel.needs_token and channel.account is not None:
            check_token(str(message.get("auth", "")), channel.account, hub.clock.wall_ms())
        self.send(hub.first_frame(channel))
        self._channels[channel.key] = None
        hub.subscriptions.add(channel.key, self)
        hub.subscribed(channel)

    def _unsubscribe(self, message: Json) -> None:
        key = str(message.get("channel", "")).replace("/", ":")
        if key not in self._channels:
            raise Refused(30002, f"Not Subscribed to : {key[:60]}")
        del self._channels[key]
        self._hub.subscriptions.remove(key, self)
        self.send(encode_json({"type": "unsubscribed", "channel": key}))

    # Transactions ---------------------------------------------------------------------------------------------------

    def _send_tx(self, kind: str, message: Json) -> None:
        data = message.get("data")
        echoed = {"id": data["id"]} if isinstance(data, dict) and "id" in data else {}
        try:
            if not self._hub.admit_request():
                raise Refused(23000, "Too Many Requests!", 429)
            if not isinstance(data, dict):
                raise Refused(30007, "Invalid Data")
            if kind == "jsonapi/sendtx":
                accepted = self._hub.sequencer.accept(_integer(data.get("tx_type")), _text(data.get("tx_info")))
                hashes: str | list[str] = accepted.hashes[0]
            else:
                accepted = self._accept_batch(data)
                hashes = accepted.hashes
        except Refused as refused:
            self.send(encode_json({"type": kind, **echoed, "code": refused.code, "message": refused.message}))
            return
        self.send(
            encode_json(
                {
                    "type": kind,
                    **echoed,
                    "code": 200,
                    "message": accepted.message,
                    "tx_hash": hashes,
                    "predicted_execution_time_ms": accepted.executes_at_ms,
                    "volume_quota_remaining": accepted.quota_remaining,
                }
            )
        )

    def _accept_batch(self, data: Json) -> Accepted:
        types, infos = parse_batch(data.get("tx_types"), data.get("tx_infos"))
        return self._hub.sequencer.accept_batch(types, infos, SOCKET_BATCH_MAX)

    # Heartbeats -----------------------------------------------------------------------------------------------------

    def _ping_later(self) -> None:
        def ping() -> None:
            self.send(_PING)
            self._ping_later()

        self._timers["ping"] = self._hub.clock.call_later_ms(self._hub.rules.ping_every_ms, ping)

    def _cut_later(self, wait_ms: int | None) -> None:
        """Cut the connection once the client was silent for the limit; looks again when it was not."""
        limit_ms = self._hub.rules.silence_limit_ms
        if wait_ms is None or limit_ms is None:
            return

        def look() -> None:
            silent_ms = self._hub.clock.monotonic_ms() - self._heard_at_ms
            if silent_ms >= limit_ms:
                self._end(1001, "no message from the client")
            else:
                self._cut_later(limit_ms - silent_ms)

        self._timers["silence"] = self._hub.clock.call_later_ms(wait_ms, look)

    def _end(self, code: int, reason: str) -> None:
        if self._is_open:
            self.on_closed()
            self._peer.close(code, reason)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(30007, "Invalid Data: tx_type must be an integer")
    return value


def _text(value: object) -> str:
    """`tx_info` may come as an object or as its text."""
    if isinstance(value, dict):
        return encode_json(value).decode()
    if isinstance(value, str):
        return value
    raise Refused(21501, "invalid tx info")


def parse_batch(types: object, infos: object) -> tuple[list[int], list[str]]:
    """The two JSON lists of a batch, each of which may come as text; Refused 21501 for anything else."""
    try:
        types = msgspec.json.decode(types) if isinstance(types, str) else types
        infos = msgspec.json.decode(infos) if isinstance(infos, str) else infos
        return msgspec.convert(types, list[int]), [_text(info) for info in msgspec.convert(infos, list[object])]
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Refused(21501, "invalid tx info: tx_types and tx_infos must be lists") from error
