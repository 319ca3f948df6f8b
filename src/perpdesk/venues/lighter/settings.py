"""What the Lighter connector is told: addresses, account, limits. Defaults fit the venue's published ones (read 2026-11)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LighterSettings:
    """Frozen configuration of one connector.

    Attributes:
        rest_url: Scheme and host without `/api/v1`, such as "https://mainnet.zklighter.elliot.ai".
        ws_url: Complete address of the stream, ending in `/stream`.
        account_index: The account whose state is read, None for market data only. Zero is never a real account.
        api_key_index: Key slot that signs (4 to 254 for bots), None for market data only.
        ping_every_ms: The venue drops clients that send nothing for 120 s.
        book_silence_ms_max: A book without any frame for longer is lost and subscribed again.
        stats_silence_ms_max: The same for funding and mark prices.
        socket_silence_ms_max: No frame at all, pongs included, for longer: the connection is dead. Above `ping_every_ms`.
        subscribe_answer_ms_max: A subscription not confirmed for longer is asked for again.
        reconnect_ms_min, reconnect_ms_max: First and longest wait before reconnecting; doubled each time, with jitter.
        request_timeout_ms: For every HTTP request.
        auth_lifetime_s: Life of an authorisation token; the venue allows 8 h.
        auth_refresh_s: A token is replaced when less than this is left of it.
        tick_ms: How often silence, pings and time-outs are looked at.
    """

    rest_url: str
    ws_url: str
    account_index: int | None
    api_key_index: int | None
    ping_every_ms: int = 30_000
    book_silence_ms_max: int = 30_000
    stats_silence_ms_max: int = 60_000
    socket_silence_ms_max: int = 45_000
    subscribe_answer_ms_max: int = 10_000
    reconnect_ms_min: int = 500
    reconnect_ms_max: int = 30_000
    request_timeout_ms: int = 5_000
    auth_lifetime_s: int = 6 * 3600
    auth_refresh_s: int = 600
    tick_ms: int = 1_000

    def __post_init__(self) -> None:
        if self.socket_silence_ms_max <= self.ping_every_ms:
            raise ValueError("socket_silence_ms_max must be above ping_every_ms, or every quiet connection looks dead")
        if self.auth_refresh_s >= self.auth_lifetime_s:
            raise ValueError("auth_refresh_s must be below auth_lifetime_s, or tokens are replaced without end")
