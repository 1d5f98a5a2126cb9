"""What an ontology's relations and names mean in our own terms: which relation, side and category."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dictamen.anatomy.concept import Category, Relation
from dictamen.anatomy.vocabulary import Side

RELATION_OF: dict[str, Relation] = {
    "is_a": "is_a",
    "part_of": "part_of",
    "BFO:0000050": "part_of",
    "regional_part_of": "part_of",
    "constitutional_part_of": "part_of",
    "systemic_part_of": "part_of",
    "member_of": "part_of",
    "branch_of": "part_of",
    "tributary_of": "part_of",
    "located_in": "part_of",
    "RO:0001025": "part_of",
    "has_part": "contains",
    "BFO:0000051": "contains",
    "regional_part": "contains",
    "constitutional_part": "contains",
    "contains": "contains",
    "RO:0001019": "contains",
    "adjacent_to": "adjacent_to",
    "RO:0002220": "adjacent_to",
    "continuous_with": "adjacent_to",
    "RO:0002150": "adjacent_to",
    "arterial_supply": "supplied_by",
    "venous_drainage": "drained_by",
    "disease_has_location": "found_in",
    "RO:0004026": "found_in",
}
"""Of UBERON, the Relation Ontology and the FMA, by name or by id."""
REVERSED: dict[str, Relation] = {
    "supplies": "supplied_by",
    "RO:0002178": "supplied_by",
    "drains": "drained_by",
    "RO:0002179": "drained_by",
}
"""Relations that say it the other way round: an artery supplies an organ."""
_CATEGORIES: tuple[tuple[Category, re.Pattern[str]], ...] = (
    ("lesion", re.compile(r"\b(disease|disorder|neoplasm|tumou?r|lesion|cancer|carcinoma|cyst)\b")),
    ("node", re.compile(r"\blymph (node|gland)s?\b")),
    ("vessel", re.compile(r"\b(artery|arteries|vein|veins|vena|venule|arteriole|blood vessel|aorta|vasculature)\b")),
    ("muscle", re.compile(r"\b(muscle|muscles|musculature)\b")),
    ("bone", re.compile(r"\b(bone|bones|bone organ|bone element|vertebra|rib)\b")),
    ("organ", re.compile(r"\b(organ|viscus|gland)\b")),
)
"""The first that fits what a concept is a kind of, or is called."""


def relation_of(relation: str, names: dict[str, str]) -> tuple[Relation | None, bool]:
    """Our relation for an ontology's, and whether subject and object change places; None where we have none.

    Args:
        relation: id or name.
        names: id -> name, as the file itself tells.
    """
    for word in (relation, names.get(relation, "")):
        word = re.sub(r"[\s-]+", "_", word.strip())
        if word in RELATION_OF:
            return RELATION_OF[word], False
        if word in REVERSED:
            return REVERSED[word], True
    return None, False


def side_of(name: str) -> Side | None:
    """The side that a name says; none where it says both or neither."""
    sides = set(re.findall(r"\b(left|right)\b", name.casefold()))
    return ("left" if "left" in sides else "right") if len(sides) == 1 else None


def category_of(name: str, kinds: Iterable[str], *, is_part: bool) -> Category:
    """The category by the concept's name and the names of what it is a kind of."""
    words = f"{name} | {' | '.join(kinds)}".casefold()
    found = next((category for category, pattern in _CATEGORIES if pattern.search(words)), None)
    if found is None or (found == "organ" and not re.search(_CATEGORIES[-1][1], name.casefold()) and is_part):
        return "part" if is_part else "organ"
    return found
