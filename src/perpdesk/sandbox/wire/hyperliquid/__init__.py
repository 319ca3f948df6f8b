"""The simulated Hyperliquid's wire, with its own encoders: it shares nothing with the connector it answers."""

from perpdesk.sandbox.wire.hyperliquid.server import HyperliquidServer
from perpdesk.sandbox.wire.hyperliquid.signatures import DeterministicVerifier, RecoverSigner, SignatureVerifier

__all__ = ["DeterministicVerifier", "HyperliquidServer", "RecoverSigner", "SignatureVerifier"]
