"""Logs: no secret gets out, levels are kept, the latest events are remembered."""

import io
import logging

import pytest
import structlog

from perpdesk.telemetry.logs import REDACTED, Redactor, configure_logs, recent, redactor

KEY = "0x" + "c0ffee" * 10


@pytest.fixture
def stream() -> io.StringIO:
    redactor.add([KEY])
    made = io.StringIO()
    configure_logs("info", made)
    return made


def test_a_known_secret_is_blotted_out_wherever_it_stands(stream: io.StringIO) -> None:
    log = structlog.get_logger("test")
    log.warning("refused", text=f"key {KEY}", nested={"list": [KEY.removeprefix("0x")]}, raw=KEY.encode())
    assert KEY.removeprefix("0x") not in stream.getvalue()
    assert REDACTED in stream.getvalue()


def test_a_known_secret_in_a_traceback_is_blotted_out(stream: io.StringIO) -> None:
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("aiohttp").exception("failed there")
    assert "Traceback" in stream.getvalue()
    assert KEY.removeprefix("0x") not in stream.getvalue()


def test_other_libraries_loggers_go_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp").warning("signed with %s", KEY)
    assert "signed with" in stream.getvalue()
    assert KEY not in stream.getvalue()


@pytest.mark.parametrize("name", ["private_key", "api_private_key", "auth", "auth_token", "password", "secret_key"])
def test_a_field_of_a_telling_name_is_blotted_out_whatever_it_holds(name: str) -> None:
    assert Redactor()(None, "info", {name: "x", "event": "e"}) == {name: REDACTED, "event": "e"}


def test_ordinary_fields_keep_their_values() -> None:
    record = {"event": "order_sent", "author": "me", "size": 3, "asset": "BTC", "missing": None}
    assert Redactor()(None, "info", dict(record)) == record


def test_short_secrets_do_not_blot_out_ordinary_words() -> None:
    made = Redactor()
    made.add(["abc"])
    assert made.text("abcdef") == "abcdef"


def test_events_below_the_level_are_not_shown_but_remembered_from_info_on() -> None:
    made = io.StringIO()
    configure_logs("warning", made)
    recent.events.clear()
    log = structlog.get_logger("test")
    log.debug("silent")
    log.info("quiet", asset="BTC")
    log.warning("loud")
    assert "quiet" not in made.getvalue()
    assert "loud" in made.getvalue()
    assert [(event.event, event.level) for event in recent.events] == [("quiet", "info"), ("loud", "warning")]
