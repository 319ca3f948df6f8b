"""Lighter's wire protocol over a simulated exchange: REST, transactions and streams as the venue speaks them.

Source: the venue's API documentation, its SDK's models and captured frames, read 2026-11. The encoders here are the
sandbox's own and share nothing with the connector, so that one misreading can not cancel itself out.
"""

from perpdesk.sandbox.wire.lighter.server import LighterServer

__all__ = ["LighterServer"]
