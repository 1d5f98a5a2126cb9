"""Another language is data: German words laid over the English ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scoring import GERMAN, Score, labelled, pooled

from dictamen.cli import main
from dictamen.errors import UsageError
from dictamen.reports.lexicon import load
from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding, ReportFindings


def read(text: str, study_id: str = "S1") -> ReportFindings:
    return read_report(text, study_id, lexicon=load(None, "de"))


def current(text: str) -> list[Finding]:
    return [f for f in read(text).findings if f.temporal == "current" and f.existence != "absent"]


@pytest.mark.parametrize(
    ("text", "structure", "side", "parts", "diameters_mm"),
    [
        ("Nierenzyste links am Oberpol, 3,4 cm.", "kidney", "left", ("upper pole",), (34.0,)),
        ("In der Leber eine 23 x 18 mm messende Läsion im Segment IVa.", "liver", None, ("segment 4a",), (23.0, 18.0)),
        ("Re. Nebenniere mit 2,1 cm großem Adenom.", "adrenal_gland", "right", (), (21.0,)),
        ("Rundherd im linken Unterlappen von ca. 12 mm.", "lung", "left", ("lower lobe",), (12.0,)),
        ("Osteolyse im LWK 3, 22 mm.", "bone", None, ("spine", "L3"), (22.0,)),
        ("Polyp im Sigma (9 mm).", "colon", None, ("sigmoid colon",), (9.0,)),
    ],
)
def test_place_and_size(
    text: str, structure: str, side: str | None, parts: tuple[str, ...], diameters_mm: tuple[float, ...]
) -> None:
    (finding,) = current(text)
    assert (finding.structure, finding.side, finding.parts) == (structure, side, parts)
    assert finding.diameters_mm == diameters_mm


@pytest.mark.parametrize(
    ("text", "clear"),
    [
        ("Leber, Milz und Pankreas unauffällig.", {"liver", "spleen", "pancreas"}),
        ("Die Nieren sind ohne Raumforderung.", {"kidney"}),
        ("Kein Nachweis von Lebermetastasen.", {"liver"}),
        ("Kein Pleuraerguss. Bauchaorta 22 mm. Gallenstein 8 mm.", set()),
        ("Schilddrüse: Knoten nicht abgrenzbar.", {"thyroid_gland"}),
    ],
)
def test_denials_and_normal_organs(text: str, clear: set[str]) -> None:
    report = read(text)
    assert not current(text)
    assert set(report.clear_structures) == clear


def test_old_sizes_limits_and_removed_organs() -> None:
    report = read("Lebermetastase im Segment V 28 mm (zuvor 41 mm). Lymphknoten bis 9 mm. Z.n. Cholezystektomie.")
    liver, node = report.findings
    assert (liver.diameters_mm, liver.prior_diameters_mm) == ((28.0,), (41.0,))
    assert (node.size_qualifier, node.count.lo) == ("max", 2)
    assert report.removed_structures == ("gallbladder",)


@pytest.mark.parametrize("name", GERMAN)
def test_labelled_german_reports(name: str) -> None:
    scores, errors, _, _ = pooled(labelled(name), lambda text, study: read(text, study))
    figures = sum(scores, Score()).figures()
    assert figures["f1"] >= 0.95, errors
    assert figures["contradictions"] == 0


def test_german_words_stay_in_german() -> None:
    assert load(None, "de").hash != load().hash
    assert not read_report("Nierenzyste links, 3 cm.", "S1").findings
    with pytest.raises(UsageError, match="Unknown language"):
        load(None, "xx")


def test_command_line(tmp_path: Path) -> None:
    reports, output = tmp_path / "reports.csv", tmp_path / "findings.jsonl"
    reports.write_text('study_id,report\nS1,"Leberzyste, 14 mm."\n', encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["read", str(reports), "-o", str(output), "--language", "de", "-j", "0"])
    assert not stop.value.code
    (line,) = output.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["findings"][0]["diameters_mm"] == [14.0]
