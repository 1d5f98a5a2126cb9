"""Labels as coded concepts (SNOMED CT as DICOM uses it, PS3.16): what was segmented, and in which organ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dictamen.anatomy import lesion_labels, vocabulary
from dictamen.anatomy.vocabulary import Side
from dictamen.errors import InputError

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

PRIVATE_SCHEME = "99DICTAMEN"
"""For labels that no code is known for; PS3.3 8.2 wants private schemes to begin with 99."""
LONGEST_CODE = 16
"""Characters of a Code Value; a longer one is a Long Code Value, which few viewers show."""
LESION_CODES = {
    frozenset({"cyst"}): ("367643001", "Cyst"),
    lesion_labels.LESION_WORDS["metastasis"]: ("14799000", "Neoplasm, Secondary"),
    lesion_labels.LESION_WORDS["cancer"]: ("108369006", "Neoplasm"),
    lesion_labels.LESION_WORDS["mass"]: ("4147007", "Mass"),
}
"""Kinds that a lesion label covers -> type from CID 7159 "Lesion Segmentation Property Type"; others are "Lesion"."""


def lesion_type(label: str) -> Code:
    """What kind of lesion a label means ("kidney_cyst": Cyst)."""
    from pydicom.sr.coding import Code

    try:
        kinds = lesion_labels.parse(label).kinds
    except InputError:
        kinds = lesion_labels.ALL_KINDS
    return Code(*_with_scheme(LESION_CODES.get(kinds, ("52988006", "Lesion"))))


def organ_type(structure: str) -> Code:
    """An organ or part of one, without its side; a private code where the vocabulary has none."""
    from pydicom.sr.coding import Code

    words = vocabulary.load()
    if structure not in words:
        return Code(structure[:LONGEST_CODE], PRIVATE_SCHEME, structure.replace("_", " "))
    found = words[structure]
    name = found.name if found.side is None else found.name.replace(f"{found.side} ", "", 1)
    if found.snomed_ct is None:
        return Code(structure[:LONGEST_CODE], PRIVATE_SCHEME, name)
    return Code(found.snomed_ct, "SCT", name[:1].upper() + name[1:])


def side_of(structure: str) -> Side | None:
    """The side that a structure lies on by its name."""
    words = vocabulary.load()
    return words[structure].side if structure in words else None


def laterality(side: Side) -> Code:
    """Left or right."""
    from pydicom.sr.coding import Code

    return Code("7771000", "SCT", "Left") if side == "left" else Code("24028007", "SCT", "Right")


def _with_scheme(code: tuple[str, str]) -> tuple[str, str, str]:
    value, meaning = code
    return value, "SCT", meaning
