"""Radiology reports on phantom lesions: varied language, and what was said as findings in the reader's own schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from dictamen.interval import Interval
from dictamen.phantom.wording import NUMBERS, Size, fill, place_words, plural, stated_size
from dictamen.reports.schema import Attenuation, Finding, Kind, ReportFindings, SliceReference, Trend

ORDER = (
    "lung_lower_lobe", "liver", "gallbladder", "pancreas", "spleen", "adrenal_gland", "kidney", "bowel", "vessels",
    "nodes", "peritoneum", "bones",
)  # fmt: skip
"""Order of the organs in a report."""
SCHEMA_STRUCTURE = {"lung_lower_lobe": "lung"}
SIZE_OMITTED = 0.35
"""Real reports omit 22 % (pancreas) to 59 % (kidney)."""
PART_OMITTED = 0.25
NORMAL_MENTIONED = 0.75
"""How often an organ without lesion is said to be normal; otherwise it is not spoken of."""
GROUP_FROM = 4
"""So many lesions of one kind in one organ become "multiple"."""
REMOVAL_MENTIONED = 0.9
"""How often a report says that an organ was removed."""
PRIOR_STATED = 0.8
SERIES = 2
"""Of the axial images that a report names."""
CHANGED_BY = 0.12
"""A relative change of the diameter below this is called stable."""


@dataclass(frozen=True)
class Fact:
    """A lesion that the radiologist saw.

    Args:
        index: row in the lesion table of the study.
        diameters_mm: long axial axis, perpendicular, craniocaudal, without the reader's error.
        prior_mm: long axial axis in the earlier study, where there is one.
        image: number of the axial slice through its middle, counted from the head, where the radiologist names it.
    """

    index: int
    structure: str
    side: Literal["left", "right"] | None
    part: str | None
    kind: Literal["tumour", "metastasis", "cyst", "benign"]
    diameters_mm: tuple[float, float, float]
    attenuation: Attenuation
    prior_mm: float | None = None
    image: int | None = None


@dataclass(frozen=True)
class WrittenReport:
    """Text, what it says, and for each fact whether it and its size are stated (`sized` is a subset of `stated`)."""

    text: str
    findings: ReportFindings
    stated: frozenset[int]
    sized: frozenset[int]


@dataclass
class _Statement:
    text: str
    findings: list[dict[str, Any]] = field(default_factory=list)
    noun: str = ""
    place: str = ""
    size: str = ""
    count: int = 1


@cache
def phrases() -> dict[str, Any]:
    """The wording, as data."""
    loaded: dict[str, Any] = json.loads(
        (files("dictamen.phantom") / "data" / "phrases.json").read_text(encoding="utf-8")
    )
    return loaded


def write_report(
    study_id: str,
    facts: Sequence[Fact],
    habitus: Mapping[str, float],
    rng: np.random.Generator,
    *,
    removed: Sequence[str] = (),
) -> WrittenReport:
    """A report on `facts`; every fact is in it, alone or in a group.

    Args:
        removed: organs that the patient lost (`kidney_left`).
    """
    sized: set[int] = set()
    gone: list[str] = []
    clear: list[str] = []
    style = str(rng.choice(["sections", "lines", "prose"], p=[0.45, 0.25, 0.3]))
    centimetres = rng.random() < 0.45
    paragraphs: dict[str, list[_Statement]] = {}
    for organ in ORDER:
        here = [fact for fact in facts if fact.structure == organ]
        lost = [name for name in removed if name.startswith(organ)]
        paragraphs[organ] = [
            *_removed(organ, lost, gone, rng),
            *_organ(organ, here, habitus, clear, sized, lost=lost, centimetres=centimetres, rng=rng),
        ]
    text, findings = _assemble(study_id, paragraphs, style=style, follow_up=any(f.prior_mm for f in facts), rng=rng)
    report = ReportFindings(
        study_id=study_id, findings=tuple(findings), clear_structures=tuple(clear), removed_structures=tuple(gone),
        reader="truth",
    )  # fmt: skip
    return WrittenReport(text, report, frozenset(f.index for f in facts), frozenset(sized))


def _removed(organ: str, lost: Sequence[str], gone: list[str], rng: np.random.Generator) -> list[_Statement]:
    """What is said of surgery on one organ; notes it in `gone`."""
    out = []
    for name in lost:
        if rng.random() < REMOVAL_MENTIONED:
            side = name.removeprefix(organ).removeprefix("_")
            out.append(_Statement(_pick(phrases()["removed"][organ], rng).format(side=side)))
            gone.append(f"{organ}:{side}" if side else organ)
    return out


def _organ(
    organ: str,
    facts: Sequence[Fact],
    habitus: Mapping[str, float],
    clear: list[str],
    sized: set[int],
    *,
    lost: Sequence[str],
    centimetres: bool,
    rng: np.random.Generator,
) -> list[_Statement]:
    """The sentences on what is left of one organ; notes in `clear` and `sized` what they say."""
    if organ in lost:
        return []
    book = phrases()
    out: list[_Statement] = []
    groups: dict[tuple[str | None, str], list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.side, fact.kind), []).append(fact)
    for group in groups.values():
        out += _group(sorted(group, key=lambda f: -max(f.diameters_mm)), sized, centimetres=centimetres, rng=rng)
    if not facts and not lost and organ in book["clear"] and rng.random() < NORMAL_MENTIONED:
        out.append(_Statement(_pick(book["clear"][organ], rng)))
        clear.append(SCHEMA_STRUCTURE.get(organ, organ))
    sides = {fact.side for fact in facts} | {_side(name) for name in lost}
    if organ == "kidney" and len(sides) == 1 and rng.random() < NORMAL_MENTIONED:
        other = "left" if "right" in sides else "right"
        out.append(_Statement(_pick(book["clear"]["kidney_side"], rng).format(side=other)))
        clear.append(f"kidney:{other}")
    if not lost and rng.random() < 0.5:
        remarks = book["remarks"].get(organ) or book["other"].get(organ) or []
        if remarks:
            out.append(_Statement(_pick(remarks, rng).format(**_distractors(habitus, rng))))
    return out


def _side(name: str) -> Literal["left", "right"]:
    return "left" if name.endswith("_left") else "right"


def _distractors(habitus: Mapping[str, float], rng: np.random.Generator) -> dict[str, str]:
    """Measurements that are no lesion's."""
    return {
        "duct": str(rng.integers(3, 8)), "stone": str(rng.integers(2, 6)), "appendix": str(rng.integers(4, 8)),
        "hernia": str(rng.integers(8, 25)),
        "aorta": f"{habitus.get('aorta_mm', 20):.0f}", "spleen": f"{habitus.get('spleen_mm', 110) / 10:.1f}",
    }  # fmt: skip


def _group(facts: Sequence[Fact], sized: set[int], *, centimetres: bool, rng: np.random.Generator) -> list[_Statement]:
    """Lesions of one kind in one organ and side, largest first: one sentence each, or one for all."""
    if len(facts) >= GROUP_FROM or (len(facts) > 1 and rng.random() < 0.3):
        return [_together(facts, sized, centimetres=centimetres, rng=rng)]
    return [_alone(fact, sized, centimetres=centimetres, rng=rng) for fact in facts]


def _alone(fact: Fact, sized: set[int], *, centimetres: bool, rng: np.random.Generator) -> _Statement:
    book = phrases()
    noun, density = _noun(fact, rng), _density(fact, rng)
    place, parts = place_words(fact.structure, fact.side, None if rng.random() < PART_OMITTED else fact.part, rng)
    size = None if rng.random() < SIZE_OMITTED else stated_size(fact.diameters_mm, centimetres=centimetres, rng=rng)
    details: dict[str, Any] = {}
    if size is None:
        text = fill(_pick(book["single_unsized"], rng), noun=noun, density=density, place=place)
        return _Statement(text, [_finding(fact, parts, None, density, noun, details)], noun, place)
    sized.add(fact.index)
    if fact.prior_mm is not None and rng.random() < PRIOR_STATED:
        prior = stated_size((fact.prior_mm,) * 3, centimetres=centimetres, rng=rng, axes=1)
        details = {"prior_diameters_mm": prior.millimetres, "trend": _trend(size.millimetres[0], prior.millimetres[0])}
        text = fill(
            _pick(book["single_prior"], rng), noun=noun, density=density, place=place, size=size.text, prior=prior.text
        )
    else:
        text = fill(_pick(book["single_sized"], rng), noun=noun, density=density, place=place, size=size.text)
        if "approximately" in text:
            details["size_qualifier"] = "approx"
    if fact.image is not None:
        text = f"{text.removesuffix('.')} (series {SERIES}, image {fact.image})."
        details["slices"] = (SliceReference(series=SERIES, image=fact.image),)
    return _Statement(text, [_finding(fact, parts, size, density, noun, details)], noun, place, size.text)


def _together(facts: Sequence[Fact], sized: set[int], *, centimetres: bool, rng: np.random.Generator) -> _Statement:
    book = phrases()
    first = facts[0]
    noun, density = _noun(first, rng), _density(first, rng)
    place, parts = place_words(first.structure, first.side, None, rng)
    many = len(facts) >= GROUP_FROM
    number = _pick(book["many"], rng) if many else NUMBERS[len(facts)]
    count = Interval(4.0) if number == "at least four" else Interval(2.0) if many else Interval.exact(len(facts))
    words = {"noun": noun, "nouns": plural(noun), "density": density, "place": place, "number": number}
    if rng.random() < SIZE_OMITTED:
        text = fill(_pick(book["group_unsized"], rng), **words)
        return _Statement(
            text, [_finding(first, parts, None, density, noun, {"count": count})], noun, place, count=len(facts)
        )
    size = stated_size(first.diameters_mm, centimetres=centimetres, rng=rng)
    sized.add(first.index)
    if len(facts) == 2 and rng.random() < 0.4:
        sizes = [stated_size(fact.diameters_mm, centimetres=centimetres, rng=rng, axes=1) for fact in facts]
        sized.add(facts[1].index)
        text = fill(_pick(book["pair_sized"], rng), size=sizes[0].text, size2=sizes[1].text, **words)
        pair = [_finding(fact, parts, one, density, noun, {}) for fact, one in zip(facts, sizes, strict=True)]
        return _Statement(text, pair, noun, place, sizes[0].text, 2)
    text = fill(_pick(book["group_sized"], rng), size=size.text, **words)
    qualifier = {"size_qualifier": "max"} if "up to" in text else {}
    return _Statement(
        text,
        [_finding(first, parts, size, density, noun, {"count": count, **qualifier})],
        noun,
        place,
        size.text,
        len(facts),
    )


def _finding(
    fact: Fact, parts: tuple[str, ...], size: Size | None, density: str, noun: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of a `Finding`, still without span and section."""
    attenuation = fact.attenuation if density and density != "hypovascular" else None
    base: dict[str, Any] = {
        "kind": _kind(fact, noun), "structure": SCHEMA_STRUCTURE.get(fact.structure, fact.structure),
        "side": fact.side, "parts": parts,
        "attenuation": attenuation, "diameters_mm": tuple(sorted(size.millimetres, reverse=True)) if size else (),
        "size_qualifier": "exact" if size else None,
    }  # fmt: skip
    return base | dict(details)


def _kind(fact: Fact, noun: str) -> Kind:
    """What the words say, which may be less than what the lesion is."""
    if noun.startswith("malignant"):
        return "malignant"
    return "uncertain" if noun.endswith(("nodule", "solid lesion", "focal lesion")) else fact.kind


def _trend(now: float, before: float) -> Trend:
    ratio = now / before
    return "increased" if ratio > 1 + CHANGED_BY else "decreased" if ratio < 1 - CHANGED_BY else "stable"


def _noun(fact: Fact, rng: np.random.Generator) -> str:
    return _pick(phrases()["nouns"][f"{fact.structure}:{fact.kind}"], rng)


def _density(fact: Fact, rng: np.random.Generator) -> str:
    """An adjective of attenuation, or nothing; cysts and benign lesions are named by what they are."""
    if fact.kind in ("cyst", "benign") or fact.structure == "lung_lower_lobe" or rng.random() < 0.3:
        return ""
    return _pick(phrases()["density"].get(fact.attenuation, [""]), rng)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _assemble(
    study_id: str,
    paragraphs: Mapping[str, Sequence[_Statement]],
    *,
    style: str,
    follow_up: bool,
    rng: np.random.Generator,
) -> tuple[str, list[Finding]]:
    """Join the sentences into a report; findings get the span of the sentence that states them first."""
    book, text, findings = phrases(), "", []
    if style != "lines" or rng.random() < 0.5:
        comparison = _pick(book["comparison" if follow_up else "no_comparison"], rng)
        text += f"INDICATION: {_pick(book['indication'], rng)}\nTECHNIQUE: {_pick(book['technique'], rng)}\n"
        text += f"COMPARISON: {comparison}\n\n"
    text += "" if style == "lines" else "FINDINGS:\n"
    capitals = int(rng.integers(2))
    for organ in ORDER:
        if not paragraphs[organ]:
            continue
        text += "" if style == "prose" else f"{book['headings'][organ][capitals]}: "
        for statement in paragraphs[organ]:
            span = (len(text), len(text) + len(statement.text))
            findings += [
                Finding(study_id=study_id, span=span, section="findings", reader="truth", **f)
                for f in statement.findings
            ]
            text += statement.text + " "
        text = text.rstrip() + (" " if style == "prose" else "\n")
    return text.rstrip() + "\n\nIMPRESSION:\n" + _impression(paragraphs, rng) + "\n", findings


def _impression(paragraphs: Mapping[str, Sequence[_Statement]], rng: np.random.Generator) -> str:
    """Repeat the lesions, sometimes with size, else say that there is nothing."""
    book = phrases()
    lines = []
    for statement in (s for organ in ORDER for s in paragraphs[organ] if s.findings):
        noun = statement.noun if statement.count == 1 else plural(statement.noun)
        count = (
            ""
            if statement.count == 1
            else "Multiple "
            if statement.count >= GROUP_FROM
            else f"{NUMBERS[statement.count].capitalize()} "
        )
        size = f" measuring {statement.size}" if statement.size and statement.count == 1 and rng.random() < 0.5 else ""
        line = _pick(book["impression_lesion"], rng).format(Count=count, noun=noun, place=statement.place, sized=size)
        lines.append(line[0].upper() + line[1:])
    lines = lines or [_pick(book["impression_normal"], rng)]
    if rng.random() < 0.4:
        lines.append(_pick(book["impression_other"], rng))
    numbered = len(lines) > 1 and rng.random() < 0.7
    return "\n".join(f"{i}. {line}" if numbered else line for i, line in enumerate(lines, start=1))
