"""One WebSocket on the venue's side: requests in, acknowledgements, posts and errors out, closed when silent."""

from typing import Any

import msgspec
import structlog

from perpdesk.domain.clock import Clock, Timer
from perpdesk.sandbox.server import SocketPeer
from perpdesk.sandbox.wire.hyperliquid.actions import ExchangeEndpoint
from perpdesk.sandbox.wire.hyperliquid.hub import Hub
from perpdesk.sandbox.wire.hyperliquid.info import Answer, InfoEndpoint
from perpdesk.sandbox.wire.hyperliquid.query import Undecodable
from perpdesk.sandbox.wire.hyperliquid.subscriptions import InvalidSubscription, Topic, parse_topic

log = structlog.get_logger(__name__)

USERS_MAX = 14
"""Distinct users over all sockets; the venue's own error text says 15."""
POSTS_MAX = 100
ECHO_MAX = 500
_PONG = b'{"channel":"pong"}'
_REASONS = {422: "422 Unprocessable Entity", 429: "429 Too Many Requests", 500: "500 Internal Server Error"}


class _Message(msgspec.Struct):
    """What a client sends; which fields count depends on the method."""

    method: str
    subscription: dict[str, Any] | None = None
    id: int | None = None
    request: "_PostRequest | None" = None


class _PostRequest(msgspec.Struct):
    type: str
    payload: msgspec.Raw


class _PendingPosts:
    """Posts not answered yet, over all sockets of the venue's one client address."""

    def __init__(self) -> None:
        self.count = 0


class SocketShared:
    """What all sockets of a server share."""

    def __init__(
        self,
        hub: Hub,
        info: InfoEndpoint,
        actions: ExchangeEndpoint,
        clock: Clock,
        coins: set[str],
        action_delay_ms: int,
    ) -> None:
        self.hub = hub
        self.info = info
        self.actions = actions
        self.clock = clock
        self.coins = coins
        self.action_delay_ms = action_delay_ms
        self.posts = _PendingPosts()


class SocketSession:
    """A connection; see `WireSession`. Hashes by identity, so it can be a key of the hub's subscriber tables."""

    def __init__(self, shared: SocketShared, peer: SocketPeer, idle_limit_ms: int | None) -> None:
        self._shared = shared
        self._peer = peer
        self._idle_limit_ms = idle_limit_ms
        self._topics: dict[Topic, None] = {}
        self._is_open = True
        self._sent_at_ms = shared.clock.monotonic_ms()
        self._idle: Timer | None = None
        self._watch_idle()

    # From the client -------------------------------------------------------------------------------------------------

    def on_frame(self, frame: bytes) -> None:
        """Answer one request; what can not be read is echoed on the error channel."""
        if not self._is_open:
            return
        try:
            self._handle(msgspec.json.decode(frame, type=_Message))
        except InvalidSubscription as error:
            self._error(f"Invalid subscription {error}")
        except (msgspec.DecodeError, RecursionError, Undecodable):
            echo = frame[:ECHO_MAX].decode(errors="replace")
            log.info("socket_request_unreadable", raw=frame[:200])
            self._error(f"Error parsing JSON into valid websocket request: {echo}")

    def on_closed(self) -> None:
        self._is_open = False
        if self._idle is not None:
            self._idle.cancel()
        for topic in self._topics:
            self._shared.hub.remove(topic, self)
        self._topics.clear()

    def _handle(self, message: _Message) -> None:
        if message.method == "ping":
            self.deliver(_PONG)
        elif message.method in ("subscribe", "unsubscribe") and message.subscription is not None:
            topic = parse_topic(message.subscription, self._shared.coins)
            (self._subscribe if message.method == "subscribe" else self._unsubscribe)(topic)
        elif message.method == "post" and message.id is not None and message.request is not None:
            self._post(message.id, message.request)
        else:
            raise Undecodable(f"no method {message.method[:40]!r}")

    def _subscribe(self, topic: Topic) -> None:
        hub = self._shared.hub
        if topic in self._topics:
            self._error(f"Already subscribed: {topic.echo_text()}")
        elif topic.user and not hub.is_watched(topic.user) and hub.watched_users >= USERS_MAX:
            self._error("Cannot track more than 15 total users.")
        else:
            self._topics[topic] = None
            self._acknowledge("subscribe", topic)
            hub.add(topic, self)

    def _unsubscribe(self, topic: Topic) -> None:
        if topic not in self._topics:
            self._error(f"Already unsubscribed: {topic.echo_text()}")
            return
        del self._topics[topic]
        self._shared.hub.remove(topic, self)
        self._acknowledge("unsubscribe", topic)

    def _acknowledge(self, method: str, topic: Topic) -> None:
        self._send("subscriptionResponse", {"method": method, "subscription": topic.echo()})

    # Posts -----------------------------------------------------------------------------------------------------------

    def _post(self, post_id: int, request: _PostRequest) -> None:
        """Run a read or an action sent over the socket; actions take as long to answer as over HTTP."""
        if request.type not in ("info", "action"):
            raise Undecodable(f"no post of type {request.type[:40]!r}")
        shared = self._shared
        if shared.posts.count >= POSTS_MAX:
            self._error(f"too many pending post requests id={post_id}")
            return
        if request.type == "info":
            self._reply(post_id, info_response(shared.info.answer(bytes(request.payload))))
            return
        response = action_response(shared.actions.answer(bytes(request.payload)))
        shared.posts.count += 1
        shared.clock.call_later_ms(shared.action_delay_ms, lambda: self._finish_post(post_id, response))

    def _finish_post(self, post_id: int, response: dict[str, Any]) -> None:
        self._shared.posts.count -= 1
        self._reply(post_id, response)

    def _reply(self, post_id: int, response: dict[str, Any]) -> None:
        self._send("post", {"id": post_id, "response": response})

    # To the client ---------------------------------------------------------------------------------------------------

    def deliver(self, frame: bytes) -> None:
        """Send one frame unless the connection is gone."""
        if self._is_open:
            self._sent_at_ms = self._shared.clock.monotonic_ms()
            self._peer.send(frame)

    def _send(self, channel: str, data: Any) -> None:
        self.deliver(msgspec.json.encode({"channel": channel, "data": data}))

    def _error(self, text: str) -> None:
        self._send("error", text)

    def _watch_idle(self) -> None:
        """Close when nothing was sent for the limit: the clock runs on the venue's own frames, so a ping's answer resets it."""
        if self._idle_limit_ms is None or not self._is_open:
            return
        clock = self._shared.clock
        left_ms = self._sent_at_ms + self._idle_limit_ms - clock.monotonic_ms()
        if left_ms > 0:
            self._idle = clock.call_later_ms(left_ms, self._watch_idle)
            return
        self.on_closed()
        self._peer.close(1000, "Inactive")


def info_response(answer: Answer) -> dict[str, Any]:
    """A read's answer as the post channel wraps it."""
    if answer.status != 200:
        return {"type": "error", "payload": _REASONS[answer.status]}
    return {"type": "info", "payload": {"type": answer.type, "data": msgspec.Raw(answer.body)}}


def action_response(answer: Answer) -> dict[str, Any]:
    """An action's answer; a refused order is still an action, only transport faults are errors."""
    if answer.status != 200:
        return {"type": "error", "payload": _REASONS[answer.status]}
    return {"type": "action", "payload": msgspec.Raw(answer.body)}
