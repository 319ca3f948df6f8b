"""Perpdesk: an open trading desk for perpetual-futures DEXs."""
