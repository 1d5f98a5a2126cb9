"""One lesion, one finding: mentions in findings, impression and addenda are brought together.

Merging never guesses: where two mentions agree on the size and contradict each other on the place, both places are kept
as alternatives and a flag says so.
"""

from __future__ import annotations

from dictamen.reports.drafts import Draft, Place
from dictamen.reports.places import compatible, joined
from dictamen.reports.schema import Flag

_SAME_SIZE_MM = 0.6
"""Rounding of one size dictated twice (cm with one decimal against mm)."""
_SAME_SIZE_FRACTION = 0.06


def merge(drafts: list[Draft]) -> tuple[list[Draft], list[Flag]]:
    """Unique lesions in order of their first mention, and flags on contradictions."""
    kept: list[Draft] = []
    flags: list[Flag] = []
    home: dict[int, Draft] = {}
    for draft in drafts:
        if draft.antecedent is not None and id(draft.antecedent) in home and draft.temporal == "current":
            known = home[id(draft)] = home[id(draft.antecedent)]
            known.adopt_kind(draft)
            known.mentions.append(draft.span)
            continue
        home[id(draft)] = draft
        if draft.temporal == "prior" or draft.existence == "absent":
            kept.append(draft)
            continue
        same = max(
            (other for other in kept if _same(other, draft)), key=lambda other: _likeness(other, draft), default=None
        )
        if same is None and (corrected := _corrected(kept, draft)) is not None:
            flags.append(
                Flag(
                    code="addendum",
                    message=f"An addendum gives another size ({draft.structure}); it is kept.",
                    span=draft.span,
                )
            )
            corrected.measurement = None
            same = corrected
        if same is None:
            conflict = _conflicting(kept, draft)
            if conflict is None:
                kept.append(draft)
                continue
            flags.append(_flag(conflict, draft))
            _widen(conflict, draft)
            conflict.rules = (*conflict.rules, "conflict")
            same = conflict
        place = same.place
        _absorb(same, draft)
        if "conflict" in same.rules:  # the later statement is no more right than the first
            same.place = place
        home[id(draft)] = same
    for draft in kept:
        if draft.group is not None:
            draft.group = home.get(id(draft.group))
    return kept, flags


def _organ(draft: Draft) -> str:
    """An ovarian lesion is an adnexal one."""
    return "adnexa" if draft.structure == "ovary" else draft.structure


def _likeness(old: Draft, new: Draft) -> tuple[bool, int, bool, bool]:
    """How well a new mention repeats an old one: size first, then shared place, kind, number."""
    shared = len(set(old.place.parts) & set(new.place.parts)) + (
        old.place.side is not None and old.place.side == new.place.side
    )
    return bool(old.diameters_mm and new.diameters_mm), shared, old.kind == new.kind, old.plural == new.plural


def same_size(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether two sizes are one, rounded differently: all axes where both have as many, else the largest."""
    pairs = zip(a, b, strict=True) if len(a) == len(b) else [(a[0], b[0])]
    return all(abs(x - y) <= max(_SAME_SIZE_MM, _SAME_SIZE_FRACTION * x) for x, y in pairs)


def _same(old: Draft, new: Draft) -> bool:
    if (
        _organ(old) != _organ(new)
        or old.temporal == "prior"
        or old.existence == "absent"
        or old.sentence == new.sentence
    ):
        return False
    if not compatible(old.place, new.place) or (old.regions and new.regions and not old.regions & new.regions):
        return False
    restated = old.impression != new.impression
    if old.diameters_mm and new.diameters_mm:
        return _same_sized(old, new, restated=restated)
    if _kinds_differ(old, new):
        return False
    if new.impression and not new.diameters_mm:
        return True
    if (restated or _names_disease(old, new)) and _one(old) and _one(new):
        return True
    if new.definite and not new.diameters_mm:
        return True
    return (
        not new.indefinite
        and not new.diameters_mm
        and not old.diameters_mm
        and old.place == new.place
        and old.kind == new.kind
        and old.count == new.count
    )


def _names_disease(old: Draft, new: Draft) -> bool:
    """Whether the first mention only names the disease ("Known prostate carcinoma") whose mass follows."""
    vague = not old.place or (old.place.side == new.place.side and not old.place.parts)
    return old.kind == "malignant" and not old.diameters_mm and vague and new.kind in ("tumour", "malignant")


def _same_sized(old: Draft, new: Draft, *, restated: bool) -> bool:
    if not same_size(old.diameters_mm, new.diameters_mm):
        return False
    if old.slices and new.slices and old.slices[0] != new.slices[0]:
        return False
    same_slice = bool(old.slices) and old.slices[:1] == new.slices[:1]
    other_axes = (
        len(old.diameters_mm) != len(new.diameters_mm)
        and not new.slices
        and old.place == new.place
        and not new.indefinite
    )
    if _kinds_differ(old, new) and not restated:
        return False
    return restated or same_slice or other_axes or new.definite


def _one(draft: Draft) -> bool:
    return draft.count.hi == 1


def _kinds_differ(old: Draft, new: Draft) -> bool:
    """Two specific kinds that are not one another's second name: a cyst is no metastasis."""
    specific = {"cyst", "benign", "malignant", "metastasis"}
    pair = {old.kind, new.kind}
    return pair <= specific and len(pair) == 2 and pair != {"malignant", "metastasis"}


def _conflicting(kept: list[Draft], new: Draft) -> Draft | None:
    """The one lesion of equal size, in another place of the same organ, that a restatement must mean."""
    if not new.impression or not new.diameters_mm:
        return None
    equal = [
        old
        for old in kept
        if _organ(old) == _organ(new)
        and old.diameters_mm
        and not old.impression
        and old.temporal == "current"
        and same_size(old.diameters_mm, new.diameters_mm)
    ]
    return equal[0] if len(equal) == 1 else None


def _corrected(kept: list[Draft], new: Draft) -> Draft | None:
    """The one lesion whose size an addendum states anew."""
    if not new.section.lower().startswith("addend") or not new.diameters_mm or new.plural or new.indefinite:
        return None
    meant = [
        old
        for old in kept
        if _organ(old) == _organ(new)
        and old.diameters_mm
        and not old.plural
        and old.temporal == "current"
        and compatible(old.place, new.place)
    ]
    return meant[0] if len(meant) == 1 else None


def _flag(old: Draft, new: Draft) -> Flag:
    return Flag(
        code="conflict",
        message=f"The place of a lesion ({old.structure}) differs between two statements; both are kept.",
        span=new.span if new.span != old.span else None,
    )


def _widen(old: Draft, new: Draft) -> None:
    side = old.place.side if old.place.side == new.place.side else None
    old.place = Place(side, tuple(dict.fromkeys((*old.place.parts, *new.place.parts))))


def _absorb(old: Draft, new: Draft) -> None:
    """Let a second mention complete the first."""
    old.mentions += [new.span, *new.mentions]
    old.rules = tuple(dict.fromkeys((*old.rules, "merged")))
    if old.plural == new.plural or not new.impression:
        old.adopt_kind(new)
    if new.structure != old.structure and old.structure == "adnexa":
        old.structure = new.structure
    if old.plural == new.plural:
        old.place = joined(old.place, new.place)
    if new.measurement and (not old.measurement or len(new.diameters_mm) > len(old.diameters_mm)):
        old.measurement = new.measurement
    old.attenuation = old.attenuation or new.attenuation
    old.enhancement = old.enhancement or new.enhancement
    old.trend = old.trend or new.trend
    old.slices += [reference for reference in new.slices if reference not in old.slices]
    old.prior_diameters_mm = old.prior_diameters_mm or new.prior_diameters_mm
    if old.count.hi == float("inf") and new.count.hi != float("inf") and new.count.lo > 1:
        old.count = new.count
