"""The numbers that make a simulated market move like a recorded one, loaded from `synthetic.toml`.

The file is written by `fit.py`, which measures every number it can; each line of it states unit and source.
Market data and model parameters are float; only what reaches the exchange is made exact.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from perpdesk.domain.assets import VenueName

PARAMETERS_PATH = Path(__file__).with_name("synthetic.toml")


class AssetClass(StrEnum):
    """Assets that behave alike: liquidity, flow and funding are fitted per class, because few assets have recordings."""

    MAJOR = "major"
    LARGE = "large"
    SMALL = "small"
    STOCK = "stock"


class ParametersUnreadable(ValueError):
    """The parameter file lacks something or holds the wrong kind of value; the message names the key."""


@dataclass(frozen=True, slots=True)
class AssetParameters:
    """How one asset's fair price moves, the same on every venue.

    Attributes:
        start_price_usd: Per unit of the asset.
        volatility_hourly: Standard deviation of the diffusive hourly log return, a fraction.
        jumps_per_hour: Expected jumps. jump_size: Standard deviation of a jump's log return, a fraction.
    """

    asset_class: AssetClass
    start_price_usd: float
    volatility_hourly: float
    jumps_per_hour: float
    jump_size: float


@dataclass(frozen=True, slots=True)
class Liquidity:
    """The shape of one market's ambient ladder.

    Attributes:
        spread_bps: Best ask less best bid, of the mid. level_spacing_bps: Distance between levels.
        level_usd: Mean notional resting at each level. levels: Per side.
    """

    spread_bps: float
    level_spacing_bps: float
    level_usd: float
    levels: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Ladder shape without the spread, which is per asset: spacing in bps, notional per level in USD."""

    level_spacing_bps: float
    level_usd: float


@dataclass(frozen=True, slots=True)
class Flow:
    """Anonymous aggressive orders of one market.

    Attributes:
        orders_per_second: Mean of a Poisson process.
        order_usd_median, order_usd_sigma: Lognormal notional of one order; sigma is of its natural logarithm.
    """

    orders_per_second: float
    order_usd_median: float
    order_usd_sigma: float


@dataclass(frozen=True, slots=True)
class PremiumParameters:
    """A market's premium over the index: calm inside the band in which funding sits at the baseline, with episodes beyond.

    Attributes:
        calm_mean_bps, calm_sd_bps: Of the premium in calm hours. memory_hours: Relaxation time of its noise.
        onsets_per_hour: Episodes that begin in a calm hour.
        duration_hours_median, duration_sigma: Lognormal length; sigma is of the natural logarithm.
        excess_bps_median, excess_sigma: Lognormal distance beyond the band's edge, in premium; an eighth of it is hourly rate.
        positive_share: Part of the episodes in which longs pay more than the baseline.
    """

    calm_mean_bps: float
    calm_sd_bps: float
    memory_hours: float
    onsets_per_hour: float
    duration_hours_median: float
    duration_sigma: float
    excess_bps_median: float
    excess_sigma: float
    positive_share: float


@dataclass(frozen=True, slots=True)
class CommonEpisodes:
    """Episodes that all venues of an asset have together, in one direction; each venue goes its own distance.

    Attributes: as in PremiumParameters.
    """

    onsets_per_hour: float
    duration_hours_median: float
    duration_sigma: float
    positive_share: float


@dataclass(frozen=True, slots=True)
class PremiumBand:
    """What both venues' funding formulas share, and how an episode comes and goes.

    Attributes:
        low_bps, high_bps: Premiums between these settle at the baseline rate.
        ramp_hours: Relaxation time towards a new level. wobble: Noise of an episode, as a part of its excess.
        excess_bps_max: Longest tail that is allowed.
    """

    low_bps: float
    high_bps: float
    ramp_hours: float
    wobble: float
    excess_bps_max: float


@dataclass(frozen=True, slots=True)
class DemoEpisode:
    """The episode a demo starts with: the rate difference between two venues (bps of notional per hour), and its length."""

    spread_bps_per_hour: float
    duration_hours: float


@dataclass(frozen=True, slots=True)
class LadderParameters:
    """Ladder shape common to all: levels per side, and the standard deviation of a size's natural logarithm."""

    levels: int
    size_sigma: float


@dataclass(frozen=True, slots=True)
class SyntheticParameters:
    """Everything in `synthetic.toml`.

    Attributes:
        jump_hours: Relaxation time over which a jump of the fair price plays out.
    """

    assets: Mapping[str, AssetParameters]
    jump_hours: float
    spread_bps: Mapping[VenueName, Mapping[str, float]]
    depth: Mapping[VenueName, Mapping[AssetClass, Depth]]
    flow: Mapping[VenueName, Mapping[AssetClass, Flow]]
    premium: Mapping[VenueName, Mapping[AssetClass, PremiumParameters]]
    common: Mapping[AssetClass, CommonEpisodes]
    band: PremiumBand
    demo: DemoEpisode
    ladder: LadderParameters

    def asset(self, asset: str) -> AssetParameters:
        """Raises ParametersUnreadable when `asset` was never fitted."""
        if asset not in self.assets:
            raise ParametersUnreadable(f"no parameters for asset {asset}; add it to fit.py and run it with --write")
        return self.assets[asset]

    def liquidity(self, venue: VenueName, asset: str) -> Liquidity:
        """Ladder of one market; an asset without a row is treated as a small coin with the class's own spread."""
        row = self.assets.get(asset)
        asset_class = row.asset_class if row is not None else AssetClass.SMALL
        spreads = self.spread_bps.get(venue, {})
        spread_bps = spreads.get(asset, spreads.get(asset_class))
        depth = _of_class(self.depth, venue, asset_class, "depth")
        if spread_bps is None:
            raise ParametersUnreadable(f"[spread_bps.{venue}] has neither {asset} nor its class {asset_class}")
        return Liquidity(spread_bps, depth.level_spacing_bps, depth.level_usd, self.ladder.levels)

    def flow_of(self, venue: VenueName, asset: str) -> Flow:
        """Raises ParametersUnreadable when the venue has none for the asset's class."""
        return _of_class(self.flow, venue, self.asset(asset).asset_class, "flow")

    def common_of(self, asset: str) -> CommonEpisodes:
        """Raises ParametersUnreadable when the asset's class has none."""
        asset_class = self.asset(asset).asset_class
        if asset_class not in self.common:
            raise ParametersUnreadable(f"the parameter file has no [common.{asset_class}]; add it in fit.py")
        return self.common[asset_class]

    def premium_of(self, venue: VenueName, asset: str) -> PremiumParameters:
        """Raises ParametersUnreadable when the venue has none for the asset's class."""
        return _of_class(self.premium, venue, self.asset(asset).asset_class, "premium")


@cache
def load_parameters(path: Path = PARAMETERS_PATH) -> SyntheticParameters:
    """Read `path`; ParametersUnreadable when a key is missing, unknown or of the wrong kind."""
    return parse_parameters(path.read_text(encoding="utf-8"))


def parse_parameters(text: str) -> SyntheticParameters:
    """The parameters that a TOML document spells."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParametersUnreadable(f"the parameter file is not TOML: {error}") from error
    return SyntheticParameters(
        assets={name: _asset(name, row) for name, row in _table(tree, "assets").items()},
        jump_hours=_positive(_table(tree, "jumps"), "hours", "jumps"),
        spread_bps={venue: _numbers(row, f"spread_bps.{venue}") for venue, row in _by_venue(tree, "spread_bps")},
        depth={venue: _by_class(Depth, row, f"depth.{venue}") for venue, row in _by_venue(tree, "depth")},
        flow={venue: _by_class(Flow, row, f"flow.{venue}") for venue, row in _by_venue(tree, "flow")},
        premium={
            venue: _by_class(PremiumParameters, row, f"premium.{venue}") for venue, row in _by_venue(tree, "premium")
        },
        common=_by_class(CommonEpisodes, _table(tree, "common"), "common"),
        band=_record(PremiumBand, _table(tree, "band"), "band"),
        demo=_record(DemoEpisode, _table(tree, "demo"), "demo"),
        ladder=_record(LadderParameters, _table(tree, "ladder"), "ladder"),
    )


Record = TypeVar("Record")


def _of_class(
    tables: Mapping[VenueName, Mapping[AssetClass, Record]], venue: VenueName, asset_class: AssetClass, where: str
) -> Record:
    row = tables.get(venue, {}).get(asset_class)
    if row is None:
        raise ParametersUnreadable(f"the parameter file has no [{where}.{venue}.{asset_class}]; add it in fit.py")
    return row


def _table(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = tree.get(key)
    if not isinstance(table, dict):
        raise ParametersUnreadable(f"the parameter file has no table [{key}]; write it again with fit.py --write")
    return table


def _by_venue(tree: Mapping[str, Any], key: str) -> list[tuple[VenueName, Mapping[str, Any]]]:
    table = _table(tree, key)
    try:
        return [(VenueName(name), _table(table, name)) for name in table]
    except ValueError as error:
        raise ParametersUnreadable(f"[{key}]: {error}") from error


def _by_class(record: type[Record], table: Mapping[str, Any], where: str) -> dict[AssetClass, Record]:
    if unknown := table.keys() - set(AssetClass):
        raise ParametersUnreadable(f"[{where}] has unknown classes {', '.join(sorted(unknown))}")
    return {AssetClass(kind): _record(record, _table(table, kind), f"{where}.{kind}") for kind in table}


def _asset(name: str, row: Any) -> AssetParameters:
    values = dict(row) if isinstance(row, dict) else {}
    kind = values.pop("class", None)
    if kind not in set(AssetClass):
        raise ParametersUnreadable(f"[assets.{name}] class must be one of {', '.join(AssetClass)}, was {kind!r}")
    return _record(AssetParameters, {"asset_class": AssetClass(kind), **values}, f"assets.{name}")


def _record(record: type[Record], values: Mapping[str, Any], where: str) -> Record:
    wanted = {field.name: field.type for field in fields(record)}  # type: ignore[arg-type]
    if missing := wanted.keys() - values.keys():
        raise ParametersUnreadable(f"[{where}] lacks {', '.join(sorted(missing))}")
    if unknown := values.keys() - wanted.keys():
        raise ParametersUnreadable(f"[{where}] has unknown {', '.join(sorted(unknown))}")
    for name, value in values.items():
        if not isinstance(value, AssetClass) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ParametersUnreadable(f"[{where}] {name} must be a number, was {value!r}")
    return record(**{name: values[name] for name in wanted})


def _numbers(row: Mapping[str, Any], where: str) -> dict[str, float]:
    for name, value in row.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ParametersUnreadable(f"[{where}] {name} must be a number, was {value!r}")
    return dict(row)


def _positive(row: Mapping[str, Any], name: str, where: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ParametersUnreadable(f"[{where}] {name} must be a positive number, was {value!r}")
    return float(value)
