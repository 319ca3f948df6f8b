"""The HTML report: complete by itself, and nothing from the data reaches the page as markup."""

from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from perpdesk.history.chart import equity_svg
from perpdesk.history.report import render_report
from perpdesk.history.rows import HOUR_MS
from perpdesk.history.statistics import Coverage, summarise
from tests.unit.history.test_statistics import TRADE

CURVE = [(hour * HOUR_MS, Decimal(value)) for hour, value in ((0, 0), (1, 2), (2, -1), (30, 4), (31, 3))]


def document(trades, **changes):
    row = summarise(trades, Coverage(covered=5, skipped=27), CURVE, leverage=3)
    return {
        "venues": ["hyperliquid", "lighter"],
        "from": "2025-10-01T00:00:00+00:00",
        "to": "2025-10-03T00:00:00+00:00",
        "pairs": [{"coin": "SOL", **row}],
        "total": row,
        "assumptions": ["Books are fitted."],
        "data_quality": {"rows_dropped": {"funding_rates.parquet": {"repeated": 1}}},
        "settings": {"entry": {"leverage": 3}, "assets": []},
        "pacing": {"heartbeat_ms": 300_000},
        "warnings": [],
        **changes,
    }


class Reader(HTMLParser):
    """Tags that are open, and everything that would leave the file."""

    VOID = frozenset(("meta", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "onload")]
        if tag in ("script", "link", "iframe", "img"):
            self.outside.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    page = render_report(document([TRADE]), CURVE, {"SOL": CURVE}, [TRADE])
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.outside == []


@pytest.mark.parametrize(
    "said", ["max hold", "hyperliquid / lighter", "Books are fitted.", "entry.leverage", "repeated"]
)
def test_the_page_shows_trades_assumptions_settings_and_data(said) -> None:
    assert said in render_report(document([TRADE]), CURVE, {"SOL": CURVE}, [TRADE])


def test_refusing_everything_is_said_as_a_result() -> None:
    assert "refused every hour" in render_report(document([]), CURVE, {"SOL": CURVE}, [])


def test_names_from_the_data_are_escaped() -> None:
    trade = replace(TRADE, coin="<script>alert(1)</script>")
    page = render_report(document([trade]), CURVE, {trade.coin: CURVE, "BTC": CURVE}, [trade])
    assert "<script" not in page


def test_warnings_come_first() -> None:
    page = render_report(document([TRADE], warnings=["not closed at the end: SOL"]), CURVE, {}, [TRADE])
    assert page.index("not closed at the end") < page.index("<svg")


def test_the_curve_is_drawn_inside_its_frame_with_holes_shaded() -> None:
    svg = ElementTree.fromstring(equity_svg(CURVE, {}).split("<p ")[0])
    (line,) = (node for node in svg if node.tag.endswith("polyline"))
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(points) == len(CURVE)
    assert all(0 <= x <= 960 and 0 <= y <= 320 for x, y in points)
    assert points[3][1] < points[0][1] < points[2][1]
    assert len([node for node in svg if node.attrib.get("class") == "hole"]) == 1


def test_every_coin_has_its_line_when_there_are_several() -> None:
    assert equity_svg(CURVE, {"BTC": CURVE, "ETH": CURVE}).count("<polyline") == 3


@pytest.mark.parametrize("value", [0, -3, 1_000_000])
def test_a_flat_curve_can_be_drawn(value) -> None:
    assert "<polyline" in equity_svg([(0, Decimal(value)), (HOUR_MS, Decimal(value))], {})


def test_a_curve_of_one_point_is_said_in_words() -> None:
    assert "fewer than two hours" in equity_svg(CURVE[:1], {})
