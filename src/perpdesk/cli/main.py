"""`perpdesk`: reads the command line and hands over. Commands are imported when they are called, so that help is quick."""

import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from perpdesk.cli.options import Refused, UsageError

DONE, ANSWER_IS_NO, USAGE, CONFIGURATION = 0, 1, 2, 3
"""Exit codes."""


def _version() -> str:
    from importlib.metadata import version

    return version("perpdesk")


def build_app() -> App:
    """All commands, none of them loaded."""
    app = App(
        name="perpdesk",
        help="A trading desk for perpetual-futures DEXs: funding-rate carry, on simulated venues until told otherwise.",
        version=_version,
        help_format="plaintext",
        result_action="return_value",
    )
    for target, name, words in COMMANDS:
        app.command(f"perpdesk.cli.{target}", name=name, help=words)
    return app


RUN_HELP = """Run the desk; on simulated venues unless --world live.

It watches the venues, opens pairs that pay, holds them, closes them, and accounts for every cent. In a terminal it shows
itself while it runs; at the end comes a summary, with --json as one document. Ctrl-C ends it in order: the sandbox closes
its pairs, the live world leaves them open for the next run."""

COMMANDS = (
    ("run:run", "run", RUN_HELP),
    ("arb:app", "arb", "Carry trades: scan, positions, history, close, backtest."),
    ("simulate:simulate", "simulate", "Seeded fault simulation of the whole desk in virtual time."),
    ("sandbox:app", "sandbox", "The simulated venues alone, for any client."),
    ("doctor:doctor", "doctor", "Check configuration, keys, store, clock and venues."),
    ("configure:app", "config", "Write or show the configuration."),
    ("store:app", "db", "The store's schema."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        result = build_app()(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _fail(tokens, f"{_usage_message(error)}\nTry: perpdesk {_command_words(tokens)}--help", USAGE)
    except UsageError as error:
        return _fail(tokens, str(error), USAGE)
    except Refused as error:
        return _fail(tokens, str(error), ANSWER_IS_NO)
    except KeyboardInterrupt:
        return _fail(tokens, "interrupted", ANSWER_IS_NO)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left: nobody to tell
        return ANSWER_IS_NO
    except Exception as error:
        return _fail(tokens, *_explain(error))
    return result if isinstance(result, int) else DONE


def _usage_message(error: CycloptsError) -> str:
    cause = error.__cause__
    name = getattr(getattr(error, "argument", None), "name", None)
    if isinstance(cause, ValueError) and name:
        return f"{name}: {cause}"
    return " ".join(str(error).split())


def _command_words(tokens: Sequence[str]) -> str:
    """The leading words of a call, as far as they name commands."""
    known = {name for _, name, _ in COMMANDS}
    return f"{tokens[0]} " if tokens and tokens[0] in known else ""


def _explain(error: Exception) -> tuple[str, int]:
    """A failure in plain words, and its exit code; what nobody foresaw comes with its traceback."""
    from perpdesk.cli.config_errors import ConfigError
    from perpdesk.telemetry.logs import redactor

    if isinstance(error, ConfigError):
        return redactor.text(str(error)), CONFIGURATION
    if isinstance(error, _foreseen()):
        remedy = "; check the network and the addresses: perpdesk doctor" if type(error).__name__ == "NotSent" else ""
        return redactor.text(str(error)) + remedy, ANSWER_IS_NO
    return redactor.text("".join(traceback.format_exception(error)).rstrip()), ANSWER_IS_NO


def _foreseen() -> tuple[type[Exception], ...]:
    """Errors whose message is for the user, of those modules that were loaded at all."""
    names = (
        ("perpdesk.store.failures", "StoreError"),
        ("perpdesk.venues.base", "VenueError"),
        ("perpdesk.venues.lighter.signing", "SigningFailed"),
        ("perpdesk.sandbox.loopback", "PortUnavailable"),
        ("perpdesk.worlds.running", "RunEnded"),
    )
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _fail(tokens: Sequence[str], message: str, code: int) -> int:
    """Say what went wrong on stderr, and in the one JSON document if that was asked for."""
    print(f"perpdesk: {message}", file=sys.stderr, flush=True)
    if "--json" in tokens:
        from perpdesk.cli.output import print_json

        print_json({"error": message, "exit_code": code})
    return code


if __name__ == "__main__":
    sys.exit(main())
