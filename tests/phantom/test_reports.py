"""Report language: variety, truth with spans, and the rule reader on it."""

from __future__ import annotations

import numpy as np
import pytest

from dictamen.phantom.lesions import Kind
from dictamen.phantom.reports import Fact, WrittenReport, write_report
from dictamen.phantom.wording import fill, plural, stated_size
from dictamen.reports.rules import read_report

REPORTS = 80
HABITUS = {"aorta_mm": 21.0, "spleen_mm": 104.0}
LEAST_F1 = 0.9
"""The reader's F1 on real reports; on these it must not be worse."""


def facts(rng: np.random.Generator) -> list[Fact]:
    out = []
    kinds: list[tuple[str, Kind]] = [
        ("kidney", "tumour"),
        ("liver", "metastasis"),
        ("pancreas", "tumour"),
        ("liver", "cyst"),
        ("kidney", "cyst"),
    ]
    for structure, kind in kinds:
        for _ in range(int(rng.integers(0, 3))):
            part = {"kidney": "upper pole", "liver": "segment 6", "pancreas": "head"}[structure]
            size = float(rng.uniform(5, 50))
            side = "left" if structure == "kidney" else None
            prior = size * 0.7 if rng.random() < 0.2 else None
            out.append(Fact(len(out), structure, side, part, kind, (size, size * 0.9, size * 0.95), "hypo", prior))
    return out


@pytest.fixture(scope="module")
def written() -> list[tuple[list[Fact], WrittenReport]]:
    out = []
    for seed in range(REPORTS):
        rng = np.random.default_rng(seed)
        known = facts(rng)
        out.append((known, write_report(f"s{seed}", known, HABITUS, rng)))
    return out


def test_every_lesion_is_stated_and_sizes_are_often_omitted(written: list[tuple[list[Fact], WrittenReport]]) -> None:
    assert all(report.stated == {fact.index for fact in known} for known, report in written)
    stated = sum(len(report.stated) for _, report in written)
    assert 0.4 < sum(len(report.sized) for _, report in written) / stated < 0.8


def test_language_varies(written: list[tuple[list[Fact], WrittenReport]]) -> None:
    sentences = {
        sentence.strip() for _, report in written for line in report.text.splitlines() for sentence in line.split(". ")
    }
    assert len(sentences) > 5 * REPORTS
    assert len({report.text for _, report in written}) == REPORTS


def test_the_rule_reader_finds_what_is_written(written: list[tuple[list[Fact], WrittenReport]]) -> None:
    hits = found = true = contradictions = 0
    for _, report in written:
        read = read_report(report.text, report.findings.study_id)
        present = [f for f in read.findings if f.existence == "present" and f.temporal == "current"]
        left = [(f.structure, f.side) for f in report.findings.findings]
        true, found = true + len(left), found + len(present)
        for finding in present:
            if (finding.structure, finding.side) in left:
                left.remove((finding.structure, finding.side))
                hits += 1
        diseased = {f.structure for f in report.findings.findings}
        contradictions += len(diseased & set(read.clear_structures))
    assert 2 * hits / (found + true) > LEAST_F1
    assert contradictions == 0


def test_a_dictated_size_is_near_the_truth_and_reads_back() -> None:
    rng = np.random.default_rng(0)
    ratios = [
        stated_size((40.0, 30.0, 35.0), centimetres=True, rng=rng, axes=1).millimetres[0] / 40 for _ in range(300)
    ]
    assert abs(np.mean(ratios) - 1) < 0.02
    assert 0.02 < np.std(ratios) < 0.08
    size = stated_size((23.0, 20.0, 18.0), centimetres=False, rng=rng, axes=2)
    assert size.text.endswith("mm")
    assert len(size.millimetres) == 2


@pytest.mark.parametrize(
    ("template", "words", "expected"),
    [
        ("a {size} {noun}.", {"size": "8 mm", "noun": "cyst"}, "An 8 mm cyst."),
        ("There is a {density} {noun}.", {"density": "", "noun": "enhancing mass"}, "There is an enhancing mass."),
        ("a {noun}.", {"noun": "unilocular cyst"}, "A unilocular cyst."),
        ("{Noun} here.", {"noun": "mass"}, "Mass here."),
    ],
)
def test_templates_are_english(template: str, words: dict[str, str], expected: str) -> None:
    assert fill(template, **words) == expected


def test_plurals() -> None:
    assert [plural(noun) for noun in ("cyst", "mass", "metastasis")] == ["cysts", "masses", "metastases"]
