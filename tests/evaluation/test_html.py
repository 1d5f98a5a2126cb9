import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser

from markupsafe import Markup

from dictamen.evaluation import html
from dictamen.evaluation.bootstrap import Estimate


class Tags(HTMLParser):
    """Checks that tags are closed in order, and gathers attributes."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "!doctype"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def whole() -> str:
    rows: list[dict[str, html.Cell]] = [
        {"a": 1.234, "b": "x < y"},
        {"a": float("nan"), "c": Estimate(0.5, 0.4, 0.6, 9)},
    ]
    body = [
        html.cards({"Dice": Estimate(0.7, 0.6, 0.8), "n": 3}),
        html.table(rows, caption="A & B", sortable=True),
        html.figure(b"\x89PNG", "A picture"),
        html.columns(html.paragraph("left"), html.details("more", html.notice("careful"))),
        html.legend({"truth": ("mark-truth", "-")}),
    ]
    return html.page("Title <1>", [html.section("Part", *body, lead="Lead")])


def test_well_formed() -> None:
    parser = Tags()
    parser.feed(whole())
    assert parser.open == []


def test_no_request_leaves_the_page() -> None:
    parser = Tags()
    text = whole()
    parser.feed(text)
    links = [value for name, value in parser.attributes if name in ("src", "href", "action", "srcset")]
    assert links and all(value and value.startswith("data:") for value in links)
    assert "default-src 'none'" in unescape(text) and "unsafe" not in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_policy_allows_exactly_our_style_and_script() -> None:
    text = whole()
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in unescape(text)
    assert " style=" not in text.split("</style>")[1] and "onclick" not in text


def test_text_is_escaped_once() -> None:
    text = whole()
    assert "x &lt; y" in text and "A &amp; B" in text and "Title &lt;1&gt;" in text and "&amp;lt;" not in text
    assert html.paragraph(Markup("<b>bold</b>")) == "<p><b>bold</b></p>"


def test_values() -> None:
    assert html.format_value(Estimate(0.712, 0.6, 0.8)) == "0.71 [0.60, 0.80]"
    assert html.format_value(Estimate(0.5)) == "0.50"
    assert [html.format_value(v) for v in (None, float("nan"), True, 3, "x")] == ["–", "–", "yes", "3", "x"]


def test_research_use_is_said() -> None:
    assert html.RESEARCH_USE in whole()


def test_undefined_numbers_sort_last() -> None:
    text = html.table([{"a": 1.5}, {"a": None}, {"a": Estimate(float("nan"))}], sortable=True)
    assert 'data-sort="1.5"' in text and text.count('data-sort=""') == 2
