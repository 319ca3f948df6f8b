"""What the owner of the desk decides, each default once, beside its unit."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EntrySettings(_Section):
    """When a pair may be opened, and how."""

    notional_usd_max: Decimal = Field(Decimal(500), gt=0, description="Most a pair carries per leg, USD")
    notional_usd_min: Decimal = Field(Decimal(25), gt=0, description="Least worth opening per leg, USD")
    pairs_max: int = Field(3, ge=0, description="Most pairs open at once")
    net_bps_per_hour_min: float = Field(0.10, description="Least edge after all costs spread over hold_hours, bps/h")
    carry_bps_per_hour_min: float = Field(0.30, description="Least difference of the funding rates, bps/h")
    carry_sane_bps_per_hour: float = Field(
        200.0, gt=0, description="Carry beyond which the rates are not believed, bps/h"
    )
    break_even_hours_max: float = Field(12.0, gt=0, description="Longest time for carry to repay all costs, hours")
    hold_hours: float = Field(12.0, gt=0, description="Hours that costs are spread over when an edge is judged")
    spread_bps_max: float = Field(15.0, gt=0, description="Widest book spread of either leg, bps")
    basis_bps_max: float = Field(25.0, gt=0, description="Most the long venue may be dearer than the short one, bps")
    basis_sane_bps: float = Field(
        300.0, gt=0, description="Price difference beyond which the data is not believed, bps"
    )
    depth_share_max: float = Field(0.25, gt=0, le=1, description="Most of the depth inside depth_bps that we may take")
    depth_bps: float = Field(20.0, gt=0, description="How far from the mid depth is counted, bps")
    margin_share_max: float = Field(0.5, gt=0, le=1, description="Most of a venue's free margin one leg may use")
    leverage: int = Field(3, ge=1, description="Leverage the margin of a leg is reckoned with, x")
    style: Literal["taker", "maker"] = Field("taker", description="How the first leg enters")
    maker_wait_ms: int = Field(8_000, ge=0, description="How long a resting first leg may wait, ms")
    cooldown_ms: int = Field(60_000, ge=0, description="Pause before the same asset is entered again, ms")
    only_crypto: bool = Field(True, description="Refuse tokenised stocks, FX and everything else with opening hours")


class ExecutionSettings(_Section):
    """How orders are priced, retried and watched."""

    band_bps: float = Field(10.0, gt=0, description="How far beyond the touch the first attempt may fill, bps")
    band_bps_max: float = Field(100.0, gt=0, description="Widest band any retry may reach, bps")
    hedge_attempts_max: int = Field(3, ge=1, description="Hedge orders before the first leg is taken back")
    naked_ms_max: int = Field(5_000, gt=0, description="Longest unequal legs are tolerated before flattening, ms")
    order_ttl_ms: int = Field(
        5_000, gt=0, description="Age at which the venue must refuse an order still in flight, ms"
    )
    order_check_ms: int = Field(1_500, gt=0, description="Silence after which an accepted order is asked for, ms")
    confirm_ms: int = Field(1_000, ge=0, description="Pause before the end of a partly filled order is believed, ms")
    retry_ms: int = Field(500, gt=0, description="Pause before the first retry; doubles up to retry_ms_max, ms")
    retry_ms_max: int = Field(8_000, gt=0, description="Longest pause between retries, ms")


class ExitSettings(_Section):
    """When an open pair is closed."""

    carry_bps_per_hour_min: float = Field(0.0, description="Carry below which funding counts as flipped, bps/h")
    flip_confirm_ms: int = Field(21_600_000, ge=0, description="How long it must stay flipped, ms")
    hold_hours_max: float = Field(168.0, gt=0, description="Longest a pair is held, hours")
    profit_target_bps: float = Field(
        60.0, gt=0, description="Profit after exit costs, of one leg's notional, that is taken, bps"
    )


class DeskSettings(_Section):
    """The carry desk as a whole."""

    entry: EntrySettings = EntrySettings()
    execution: ExecutionSettings = ExecutionSettings()
    exits: ExitSettings = ExitSettings()
    assets: tuple[str, ...] = Field((), description="Assets to trade; empty means every one two venues list")
    heartbeat_ms: int = Field(1_000, gt=0, description="Longest the loop sleeps without an event, ms")
    scan_every_ms: int = Field(1_000, gt=0, description="How often changed assets are scanned, ms")
    account_every_ms: int = Field(15_000, gt=0, description="How often balances and positions are read, ms")
    funding_poll_ms: int = Field(
        30_000, gt=0, description="How often funding payments are asked for while a pair is open"
    )
    fees_every_ms: int = Field(3_600_000, gt=0, description="How often the account's fee rates are read, ms")
    book_age_ms_max: int = Field(10_000, gt=0, description="Oldest book that is traded on, ms")
    funding_age_ms_max: int = Field(120_000, gt=0, description="Oldest funding rate that is acted on, ms")
    opportunity_sample_ms: int = Field(60_000, gt=0, description="How often scan results are kept in the store, ms")
