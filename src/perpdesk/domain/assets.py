"""One name per asset over all venues: kPEPE, 1000PEPE and 1000PEPE-USD are PEPE with a multiplier.

Past a venue's `frames.py` every price is per one unit of the asset and every size counts units of the asset.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from perpdesk.domain.numbers import ONE


class VenueName(StrEnum):
    """A venue the desk can trade on."""

    HYPERLIQUID = "hyperliquid"
    LIGHTER = "lighter"
    EXTENDED = "extended"


class AssetKind(StrEnum):
    """What a perpetual tracks; only crypto trades around the clock on every venue."""

    CRYPTO = "crypto"
    EQUITY = "equity"
    FX = "fx"
    COMMODITY = "commodity"
    INDEX = "index"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Listing:
    """How one venue's market name reads.

    Attributes:
        asset: Canonical name, such as "PEPE".
        multiplier: Units of the asset in one unit of the venue's contract, such as 1000.
        kind: What the asset is; the symbol map flags everything that is not crypto.
    """

    asset: str
    multiplier: Decimal
    kind: AssetKind


# Names seen on Lighter and Extended between 2025-11 and 2026-06 and on Hyperliquid's builder dexes (2025-10 to 2026-01).
_FX = frozenset(("EUR EURUSD GBP GBPUSD AUDUSD NZDUSD USDJPY JPY USDCAD USDCHF USDKRW").split())
_COMMODITIES = frozenset(
    ("XAU XAG XPT XPD XCU GOLD SILVER COPPER PLATINUM PALLADIUM CL WTI OIL BRENTOIL XBR NATGAS WHEAT URANIUM").split()
)
_INDICES = frozenset(
    (
        "SPX500M TECH100M US500 US100 SPY QQQ IWM DIA SOXX EWY URA BOTZ MAGS DRAM XYZ100 MAG7 SEMIS INFOTECH "
        "ROBOT USTECH H100"
    ).split()
)
_EQUITIES = frozenset(
    (
        "AAPL AMD AMZN ASML BABA BMNR CBRS COIN CRCL CRWV DELL GOOGL HOOD HYUNDAI IBM INTC LITE META MRVL "
        "MSFT MSTR MU NBIS NFLX NOW NVDA ORCL PLTR RIVN RKLB SAMSUNG SKHYNIX SNDK STRC TSLA TSM ANTHROPIC "
        "OPENAI SPACEX"
    ).split()
)
_ALIASES = {"HYUNDAIUSD": "HYUNDAI", "SAMSUNGUSD": "SAMSUNG", "SKHYNIXUSD": "SKHYNIX", "EURUSD": "EUR", "GBPUSD": "GBP"}
_SCALED = re.compile(r"^(1(?:000)+)(?=[A-Z])")
_MILLION = re.compile(r"^1M(?=[A-Z]{3})")
_KILO = re.compile(r"^k(?=[A-Z])")


def listing_of(venue: VenueName, market_name: str) -> Listing:
    """Read a venue's own market name; ValueError when it is empty.

    >>> listing_of(VenueName.HYPERLIQUID, "kPEPE").asset
    'PEPE'
    """
    name = market_name.strip()
    is_builder_dex = venue is VenueName.HYPERLIQUID and ":" in name
    if is_builder_dex:
        name = name.split(":", 1)[1]
    if venue is VenueName.EXTENDED:
        name = name.removesuffix("-USD")
    if not name:
        raise ValueError(f"{venue}: empty market name {market_name!r}")
    base, multiplier = _split_multiplier(venue, name)
    asset = _ALIASES.get(base.upper(), base.upper())
    kind = _kind_of(asset)
    if is_builder_dex and kind is AssetKind.CRYPTO:
        kind = AssetKind.UNKNOWN  # a deployer's own oracle: never the same thing as the main dex's market by name alone
    return Listing(asset, multiplier, kind)


def _split_multiplier(venue: VenueName, name: str) -> tuple[str, Decimal]:
    if venue is VenueName.HYPERLIQUID:
        return (name[1:], Decimal(1000)) if _KILO.match(name) else (name, ONE)
    if scaled := _SCALED.match(name):
        return name[scaled.end() :], Decimal(scaled.group(1))
    if million := _MILLION.match(name):
        return name[million.end() :], Decimal(1_000_000)
    return name, ONE


def _kind_of(asset: str) -> AssetKind:
    for kind, names in (
        (AssetKind.FX, _FX),
        (AssetKind.COMMODITY, _COMMODITIES),
        (AssetKind.INDEX, _INDICES),
        (AssetKind.EQUITY, _EQUITIES),
    ):
        if asset in names:
            return kind
    return AssetKind.CRYPTO
