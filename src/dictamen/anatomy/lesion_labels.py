"""The names that people give to lesion labels, and what they mean: which organ, which kinds of finding."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dictamen.anatomy.vocabulary import Side, load
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError

ALL_KINDS = frozenset({"cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"})
"""Every `Finding.kind`."""
_SOLID = ALL_KINDS - {"cyst", "benign"}
_MALIGNANT = frozenset({"malignant", "metastasis", "tumour", "uncertain"})

LESION_WORDS: dict[str, frozenset[str]] = {
    "lesion": ALL_KINDS,
    "nodule": ALL_KINDS,
    "finding": ALL_KINDS,
    "abnormality": ALL_KINDS,
    "tumor": _SOLID,
    "mass": _SOLID,
    "neoplasm": _SOLID,
    "gtv": _SOLID,
    "gtvp": _SOLID,
    "lymphadenopathy": ALL_KINDS,
    "adenopathy": ALL_KINDS,
    "cancer": _MALIGNANT,
    "carcinoma": _MALIGNANT,
    "malignancy": _MALIGNANT,
    "sarcoma": _MALIGNANT,
    "adenocarcinoma": _MALIGNANT,
    "pdac": _MALIGNANT,
    "hcc": _MALIGNANT,
    "rcc": _MALIGNANT,
    "nsclc": _MALIGNANT,
    "lymphoma": _MALIGNANT,
    "metastasis": frozenset({"metastasis", "malignant", "uncertain"}),
    "metastatic": frozenset({"metastasis", "malignant", "uncertain"}),
    "met": frozenset({"metastasis", "malignant", "uncertain"}),
    "cyst": frozenset({"cyst"}),
    "hemangioma": frozenset({"benign"}),
    "adenoma": frozenset({"benign"}),
}
"""Normalised word -> the kinds of finding it covers. "uncertain" kinds never count as certain presence; that is for
`supervision` to decide."""

IMPLIED_ORGAN = {
    "pdac": "pancreas",
    "hcc": "liver",
    "rcc": "kidney",
    "nsclc": "lung",
    "sarcoma": "soft_tissue",
    "lymphoma": "lymph_node",
    "lymphadenopathy": "lymph_node",
    "adenopathy": "lymph_node",
}
"""Words that name their organ; used only when the label names none."""
NEUTRAL_WORDS = frozenset(
    {"primary", "core", "whole", "mask", "label", "segmentation", "seg", "focal", "all", "any", "and"}
)
"""Words beside the organ that say nothing: "colon cancer primaries" (Decathlon) is colon cancer."""


@dataclass(frozen=True, slots=True)
class LesionLabel:
    """One output label for lesions.

    Args:
        name: as the user wrote it.
        structure: vocabulary id of the whole organ, or None for lesions of any organ.
        kinds: values of `Finding.kind` that this label covers.
        side: "left" or "right" where the label is of one side only.
    """

    name: str
    structure: str | None
    kinds: frozenset[str]
    side: Side | None = None


def parse(name: str, organs: Collection[str] = ()) -> LesionLabel:
    """What a lesion label's name means.

    Args:
        name: such as "kidney_tumour", "liver lesion", "PancreasCyst", "metastasis".
        organs: vocabulary ids of the organs in question; a name without organ takes the only one of them.

    Raises:
        InputError: no word of the name says that it is a lesion, or its organ is unknown.
    """
    words = normalise(_separate(name)).split()
    kinds = [LESION_WORDS[word] for word in words if word in LESION_WORDS]
    if not kinds:
        raise InputError(
            "The lesion label's name has no word for a lesion.",
            got=repr(name),
            expected="<organ>_<kind>, where kind is lesion, tumour, mass, nodule, cancer, metastasis or cyst",
            next_step="rename the label, for example liver_lesion",
        )
    structure, side = _organ(name, words, organs)
    return LesionLabel(name, structure, frozenset.intersection(*kinds) or kinds[-1], side)


def is_lesion(name: str) -> bool:
    """Whether the name of a label speaks of a lesion rather than of an organ."""
    words = normalise(_separate(name)).split()
    return any(word in LESION_WORDS for word in words) and name not in load()


def _separate(name: str) -> str:
    """Break CamelCase: "PancreasCyst" -> "Pancreas Cyst"."""
    return "".join(
        f" {letter}" if letter.isupper() and name[place - 1 : place].islower() else letter
        for place, letter in enumerate(name)
    )


def _organ(name: str, words: list[str], organs: Collection[str]) -> tuple[str | None, Side | None]:
    rest = " ".join(word for word in words if word not in LESION_WORDS and word not in NEUTRAL_WORDS)
    if rest:
        found = load().find(rest)
        if found is None:
            raise InputError(
                "The lesion label's name has an unknown organ.",
                got=repr(name),
                expected=f"one of {near}" if (near := load().suggest(rest)) else "an organ of the vocabulary",
            )
        return load().whole(found.id)
    implied = next((IMPLIED_ORGAN[word] for word in words if word in IMPLIED_ORGAN), None)
    wholes = {load().whole(organ)[0] for organ in organs}
    return implied or (wholes.pop() if len(wholes) == 1 else None), None
