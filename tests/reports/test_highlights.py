from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.reports.highlights import describe, html, page, segments
from dictamen.reports.rules import read_report

TEXT = "A 22 mm cyst in the upper pole of the left kidney <script>alert(1)</script>. The spleen is normal."


def test_segments_join_to_the_text_and_mark_the_finding() -> None:
    report = read_report(TEXT, "S")
    cut = segments(TEXT, report)
    assert "".join(segment.text for segment in cut) == TEXT
    assert [(s.text, s.style) for s in cut if "finding" in s.style] == [("22 mm cyst", "finding cyst")]
    assert any("lesion_free" in segment.style for segment in cut)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="<>&\"' lesion5m.kidney\n", max_size=120))
def test_segments_always_join_to_the_text(text: str) -> None:
    assert "".join(segment.text for segment in segments(text, read_report(text, "S"))) == text


def test_everything_is_escaped() -> None:
    fragment = html(TEXT, read_report(TEXT, '"><img src=x>'))
    assert "<script>" not in fragment and "<img" not in fragment
    assert "&lt;script&gt;" in fragment
    assert '<mark class="finding cyst" title="cyst, kidney left upper pole, 22 mm">' in fragment


def test_a_page_holds_all_reports() -> None:
    pairs = [(f"A {n} mm liver cyst.", read_report(f"A {n} mm liver cyst.", f"S{n}")) for n in (3, 4, 5)]
    text = "".join(page(iter(pairs)))
    assert text.count('<section class="report"') == 3
    assert text.rstrip().endswith("</html>")


def test_describe() -> None:
    (group,) = read_report("Possible multiple liver cysts measuring up to 2 cm.", "S").findings
    assert describe(group) == "cyst, liver, 2 or more, 20 mm (max), possible"
