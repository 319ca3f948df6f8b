"""Hyperliquid: main-dex perpetuals behind the `Venue` port.

Protocol facts come from the venue's documentation and recordings, read 2026-11; names and units of the venue stop at
`frames.py` and `actions.py`.
"""

from perpdesk.venues.hyperliquid.client import HyperliquidVenue
from perpdesk.venues.hyperliquid.settings import HyperliquidSettings
from perpdesk.venues.hyperliquid.signing import OfficialSigner, Signer, SigningUnavailable, SimulatedSigner

__all__ = [
    "HyperliquidSettings",
    "HyperliquidVenue",
    "OfficialSigner",
    "Signer",
    "SigningUnavailable",
    "SimulatedSigner",
]
