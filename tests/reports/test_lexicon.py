from __future__ import annotations

from pathlib import Path

import pytest

from dictamen.anatomy import vocabulary
from dictamen.errors import InputError
from dictamen.reports.lexicon import Lexicon, expand, load
from dictamen.reports.mentions import find_mentions
from dictamen.reports.rules import read_report
from dictamen.reports.tokens import tokenize


def values(text: str, lexicon: Lexicon | None = None) -> list[tuple[str, str]]:
    return [(m.category, m.value) for m in find_mentions(tokenize(text), lexicon or load())]


def test_every_organ_is_in_the_vocabulary() -> None:
    known = vocabulary.load()
    lexicon = load()
    named = [*lexicon.values("organ"), *lexicon.values("removed"), *lexicon.values("lesion_organ")]
    assert [name for name in named if name not in known or known.whole(name) != (name, None)] == []


def test_every_part_belongs_to_known_organs() -> None:
    lexicon = load()
    organs = set(lexicon.values("organ"))
    for name, part in lexicon.values("part").items():
        assert part["name"], name
        assert set(part["organs"]) <= organs, name
        assert part.get("implies", "liver") in organs, name


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("lymph node", {("lymph", "node")}),
        ("low|high density", {("low", "density"), ("high", "density")}),
        ("no significant? change", {("no", "significant", "change"), ("no", "change")}),
        ("ground-glass", {("ground", "glass")}),
        ("a b-c|d", {("a", "b", "c"), ("a", "d")}),
    ],
)
def test_expand(line: str, phrases: set[tuple[str, ...]]) -> None:
    assert set(expand(line)) == phrases


@pytest.mark.parametrize(
    "line", ["", "a b c d e f g h i", "|".join("abcdefghij") + " " + "|".join("abcdefghij") + " 1|2|3|4|5|6|7"]
)
def test_a_term_that_is_empty_or_too_wide_is_an_error(line: str) -> None:
    with pytest.raises(InputError, match="empty or too wide"):
        list(expand(line))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pulmonary artery", [("distractor", "vessel")]),
        ("No significant change", [("negation", "pseudo"), ("time", "stable")]),
        ("gall bladder", [("organ", "gallbladder")]),
        ("ground-glass opacity", [("distractor", "lung")]),
        ("pulmonary. Artery", [("organ", "lung"), ("distractor", "vessel")]),
    ],
)
def test_the_longest_term_wins(text: str, expected: list[tuple[str, str]]) -> None:
    assert [value for value in values(text) if value in expected] == expected
    assert len(values(text)) == len(expected)


def test_a_site_overlay_adds_and_removes_terms_and_changes_the_hash(tmp_path: Path) -> None:
    overlay = tmp_path / "site.toml"
    overlay.write_text(
        '[organ.kidney]\nterms = ["niere"]\n[lesion.cyst]\nterms = ["zyste"]\nremove = ["pseudocyst"]\n',
        encoding="utf-8",
    )
    lexicon = load(overlay)
    assert lexicon.hash != load().hash
    (finding,) = read_report("Linke Niere: eine Zyste, 12 mm.", "S", lexicon=lexicon).findings
    assert (finding.structure, finding.kind, finding.diameters_mm) == ("kidney", "cyst", (12.0,))
    assert ("lesion", "cyst") not in values("pseudocyst", lexicon)
    assert ("lesion", "cyst") in values("pseudocyst")


@pytest.mark.parametrize("content", ["[organ", "organ = 3", "[organ]\nliver = 1"])
def test_a_broken_overlay_is_an_input_error(tmp_path: Path, content: str) -> None:
    overlay = tmp_path / "site.toml"
    overlay.write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        load(overlay)


def test_a_missing_overlay_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        load(tmp_path / "none.toml")
