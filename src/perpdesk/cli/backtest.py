"""`perpdesk arb backtest`: the command itself lives beside what it runs."""

from perpdesk.worlds.backtest import backtest_command as backtest

__all__ = ["backtest"]
