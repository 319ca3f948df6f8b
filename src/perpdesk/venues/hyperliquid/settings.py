"""How one Hyperliquid connector is set up; read once, each default stated here beside its unit."""

from dataclasses import dataclass
from typing import Literal

MAINNET_REST_URL = "https://api.hyperliquid.xyz"
MAINNET_WS_URL = "wss://api.hyperliquid.xyz/ws"


@dataclass(frozen=True, slots=True)
class HyperliquidSettings:
    """Addresses and limits of one connector. Times are milliseconds.

    Attributes:
        rest_url: Without path: "/info" and "/exchange" are added.
        account_address: Master account that is read and traded for, never the agent's: the venue answers reads of an
            agent's address with an empty account instead of an error. None follows market data only.
        book_channel: "l2Book" sends whole books on a timer; "bbo" only the best levels, on every change.
        is_book_fast: l2Book alone: 5 levels about every 0.5 s instead of 20 levels about every 5 s.
        ping_every_ms, pong_limit_ms: The venue drops sockets it sent nothing on for 60 s; a pong counts as sent.
        ack_limit_ms: A subscription that was not confirmed by then is sent again, three times, then the socket is cut.
        book_silence_limit_ms, bbo_silence_limit_ms, context_silence_limit_ms: A subscription silent for longer is
            renewed; only a silent book is called lost. Best levels come on change only, so quiet there is no fault.
        reconnect_min_ms, reconnect_max_ms: Bounds of the doubling wait between sockets (venue: 30 new ones a minute).
        connect_timeout_ms: How long opening a socket may take.
        tick_ms: How often pings, confirmations and silence are looked at.
    """

    rest_url: str = MAINNET_REST_URL
    ws_url: str = MAINNET_WS_URL
    account_address: str | None = None
    book_channel: Literal["l2Book", "bbo"] = "l2Book"
    is_book_fast: bool = True
    ping_every_ms: int = 20_000
    pong_limit_ms: int = 10_000
    ack_limit_ms: int = 5_000
    book_silence_limit_ms: int = 15_000
    bbo_silence_limit_ms: int = 60_000
    context_silence_limit_ms: int = 60_000
    reconnect_min_ms: int = 1_000
    reconnect_max_ms: int = 30_000
    connect_timeout_ms: int = 10_000
    request_timeout_ms: int = 5_000
    tick_ms: int = 1_000
