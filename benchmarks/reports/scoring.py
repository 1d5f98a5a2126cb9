"""Score findings against gold labels: lesions one to one, their attributes, organs said to be clear.

Gold lesions are those of benchmarks/reports/labelled (see its README). Lesions of one report and organ are matched so
that as many sizes, places and counts as possible agree; what has no partner of its organ is extra or missed.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dictamen.reports.schema import Finding, ReportFindings

LABELLED = Path(__file__).parent / "labelled"
SETS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
GERMAN = ("german", "german_second")
"""Labelled sets in English and German, in the order in which they were written."""
ATTRIBUTES = ("size", "place", "count", "attenuation", "kind")
_SIZE_MM, _SIZE_FRACTION = 1.0, 0.05
"""A largest diameter is right within a millimetre or 5 %."""
_GOLD_ORGANS = {
    "adnexa": "adnexa",
    "ovary": "adnexa",
    "vertebra": "bone",
    "rib": "bone",
    "adrenal": "adrenal gland",
    "thyroid": "thyroid gland",
}
_SAME_WORD = {
    **dict.fromkeys(("superior", "apex", "apical"), "upper"),
    **dict.fromkeys(("inferior", "base", "basal", "low"), "lower"),
    **dict.fromkeys(("middle", "interpolar"), "mid"),
}
_FILLERS = frozenset(["pole", "lobe", "segment", "colon", "wall", "zone", "the", "of", "and", "bone", "process"])
_ROMAN = {
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "iva": "4a",
    "ivb": "4b",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
}


@dataclass(slots=True)
class Score:
    """Counts of agreement; add scores to pool reports."""

    counts: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Score) -> Score:
        return Score(self.counts + other.counts)

    @property
    def f1(self) -> float:
        """F1 of lesions; 1 where there was nothing to find and nothing found."""
        n = self.counts
        total = 2 * n["tp"] + n["fp"] + n["fn"]
        return 2 * n["tp"] / total if total else 1.0

    def ratio(self, name: str) -> float:
        """Share of matched lesions with the attribute right; 1 where none was labelled."""
        return self.counts[f"{name}_ok"] / self.counts[f"{name}_n"] if self.counts[f"{name}_n"] else 1.0

    def figures(self) -> dict[str, float | int]:
        """Everything that is reported, rounded."""
        n = self.counts
        return {
            "reports": n["reports"], "lesions": n["tp"] + n["fn"], "f1": round(self.f1, 4),
            "precision": round(n["tp"] / max(n["tp"] + n["fp"], 1), 4),
            "recall": round(n["tp"] / max(n["tp"] + n["fn"], 1), 4),
            **{name: round(self.ratio(name), 4) for name in ATTRIBUTES},
            "clear_recall": round(n["clear_tp"] / (n["clear_tp"] + n["clear_fn"]), 4)
            if n["clear_tp"] + n["clear_fn"]
            else 1.0,
            "clear_wrong": n["clear_fp"], "contradictions": n["contradiction"],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Error:
    """One disagreement, for people."""

    report: str
    what: str
    organ: str
    detail: str


def labelled(name: str) -> list[dict[str, Any]]:
    """Reports of one set with their gold labels."""
    rows: list[dict[str, Any]] = tomllib.loads((LABELLED / f"{name}.toml").read_text(encoding="utf-8"))["report"]
    return rows


def score(gold: dict[str, Any], read: ReportFindings) -> tuple[Score, list[Error], dict[str, Score]]:
    """Score of one report, its errors, and the same by organ."""
    lesions = [
        x
        for x in gold["lesions"]
        if x.get("certainty", "present") != "absent" and x.get("temporal", "current") == "current"
    ]
    found = [f for f in read.findings if f.existence != "absent" and f.temporal == "current"]
    pairs = _matched(found, lesions)
    by_organ: dict[str, Score] = {}
    errors: list[Error] = []

    def note(organ: str, key: str) -> None:
        by_organ.setdefault(organ, Score()).counts[key] += 1

    for i, f in enumerate(found):
        if i not in dict(pairs):
            note(_organ(f.structure), "fp")
            errors.append(
                Error(
                    gold["id"],
                    "extra",
                    _organ(f.structure),
                    f"{f.kind} {f.diameters_mm} {gold['text'][slice(*f.span)]!r}",
                )
            )
    for j, x in enumerate(lesions):
        if j not in {b for _, b in pairs} and not x.get("optional"):
            note(_organ(x["organ"]), "fn")
            errors.append(
                Error(gold["id"], "missed", _organ(x["organ"]), f"{x['type']} {x['location']} {x['diameters_mm']}")
            )
    for i, j in pairs:
        f, x = found[i], lesions[j]
        organ = _organ(x["organ"])
        if not x.get("optional"):
            note(organ, "tp")
        for name, right in _checks(f, x).items():
            note(organ, f"{name}_n")
            note(organ, f"{name}_ok") if right else errors.append(
                Error(
                    gold["id"],
                    f"wrong {name}",
                    organ,
                    f"{f.side} {f.parts} {f.count} {f.diameters_mm} {f.attenuation} {f.kind} | {x}",
                )
            )
    _score_clear(gold, read, lesions, note, errors)
    total = sum(by_organ.values(), Score(Counter({"reports": 1})))
    return total, errors, by_organ


def _matched(found: list[Finding], lesions: list[dict[str, Any]]) -> list[tuple[int, int]]:
    gain = np.zeros((len(found), len(lesions)))
    for i, f in enumerate(found):
        for j, x in enumerate(lesions):
            if _organ(f.structure) in {_organ(o) for o in (x["organ"], *x.get("alt_organs", ()))}:
                checks = _checks(f, x)
                gain[i, j] = 10 + 4 * checks["size"] + 2 * checks["place"] + checks["count"]
    rows, columns = linear_sum_assignment(-gain)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if gain[i, j] > 0]


def _checks(f: Finding, x: dict[str, Any]) -> dict[str, bool]:
    checks = {"size": _size_ok(f, x), "place": _place_ok(f, x), "count": _count_ok(f, x)}
    if x.get("attenuation"):
        checks["attenuation"] = (f.attenuation or "") in (x["attenuation"], *x.get("alt_attenuations", ()))
    if x["type"] != "uncertain":
        checks["kind"] = f.kind in (x["type"], *x.get("alt_types", ()))
    return checks


def _size_ok(f: Finding, x: dict[str, Any]) -> bool:
    for gold in (x["diameters_mm"], *x.get("alt_diameters_mm", ())):
        if not gold and not f.diameters_mm:
            return True
        if gold and f.diameters_mm and abs(f.diameters_mm[0] - max(gold)) <= max(_SIZE_MM, _SIZE_FRACTION * max(gold)):
            return True
    return False


def _place_ok(f: Finding, x: dict[str, Any]) -> bool:
    said = _words(f.side or "", *f.parts)
    for place in (x["location"], *x.get("alt_locations", ())):
        gold = _words(place)
        if gold <= said or (
            said and len(gold & said) / len(gold | said) >= 0.5 and not {"left", "right"} & (gold ^ said)
        ):
            return True
    return False


def _count_ok(f: Finding, x: dict[str, Any]) -> bool:
    return any(
        f.count.hi > 1 if count == "multiple" else f.count.lo <= count <= f.count.hi
        for count in (x["count"], *x.get("alt_counts", ()))
    )


def _score_clear(
    gold: dict[str, Any],
    read: ReportFindings,
    lesions: list[dict[str, Any]],
    note: Callable[[str, str], None],
    errors: list[Error],
) -> None:
    wanted = {_organ(name.split(":")[0]) for name in gold["organs_negative"]}
    allowed = wanted | {_organ(name.split(":")[0]) for name in gold.get("organs_negative_optional", ())}
    diseased = {
        _organ(x["organ"]) for x in lesions if x.get("certainty", "present") == "present" and not x.get("optional")
    }
    said = {_organ(name.split(":")[0]) for name in read.clear_structures}
    for organ in wanted:
        note(organ, "clear_tp" if organ in said else "clear_fn")
        if organ not in said:
            errors.append(Error(gold["id"], "not clear", organ, ""))
    for organ in said - allowed:
        note(organ, "contradiction" if organ in diseased else "clear_fp")
        errors.append(Error(gold["id"], "contradiction" if organ in diseased else "wrongly clear", organ, ""))


def _organ(name: str) -> str:
    plain = re.sub(r"^(left|right) ", "", name.lower().replace("_", " "))
    return _GOLD_ORGANS.get(plain, plain)


def _words(*texts: str) -> set[str]:
    words = (w for text in texts for w in re.findall(r"[a-z0-9]+", text.lower().replace("para-aortic", "paraaortic")))
    return {_ROMAN.get(w, _SAME_WORD.get(w, w)) for w in words if w not in _FILLERS}


def pooled(
    rows: Iterable[dict[str, Any]], reader: Callable[[str, str], ReportFindings]
) -> tuple[list[Score], list[Error], dict[str, list[Score]], dict[str, list[Score]]]:
    """Scores of the reports; errors; scores of the reports by organ and by phenomenon."""
    scores, errors = [], []
    organs: dict[str, list[Score]] = {}
    phenomena: dict[str, list[Score]] = {}
    for row in rows:
        total, wrong, by_organ = score(row, reader(row["text"], row["id"]))
        scores.append(total)
        errors += wrong
        for name, part in by_organ.items():
            organs.setdefault(name, []).append(part)
        for name in row.get("phenomena", ()):
            phenomena.setdefault(name, []).append(total)
    return scores, errors, organs, phenomena


def interval(
    scores: list[Score], value: Callable[[Score], float], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a figure, by bootstrap over reports."""
    random = np.random.default_rng(seed)
    names = sorted({name for score in scores for name in score.counts})
    table = np.array([[score.counts[name] for name in names] for score in scores])
    sums = (table[random.integers(0, len(scores), len(scores))].sum(axis=0).tolist() for _ in range(draws))
    values = [value(Score(Counter(dict(zip(names, row, strict=True))))) for row in sums]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def by_rule(rows: Iterable[dict[str, Any]], reader: Callable[[str, str], ReportFindings]) -> dict[str, tuple[int, int]]:
    """Rule -> (findings with the right organ and size, findings), of those that the rule took part in."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in rows:
        found = [
            f for f in reader(row["text"], row["id"]).findings if f.existence != "absent" and f.temporal == "current"
        ]
        partner = dict(_matched(found, row["lesions"]))
        for index, finding in enumerate(found):
            lesion = row["lesions"][partner[index]] if index in partner else None
            total.update(finding.rules)
            right.update(finding.rules if lesion is not None and _size_ok(finding, lesion) else ())
    return {rule: (right[rule], number) for rule, number in sorted(total.items())}
