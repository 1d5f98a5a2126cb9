"""The vocabulary of anatomical structures: ids, names, parts, relations. Data only: nothing heavy is imported.

The data file `data/structures.json` is ours. Ids of single labels are TotalSegmentator's class names (v2, "total")
where it has one; SNOMED CT codes name the structure, a side is kept apart in `side`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

from dictamen.anatomy.words import normalise, split_side
from dictamen.errors import InputError

Side = Literal["left", "right"]

SUGGESTIONS = 3
"""So many near names are offered for an unknown one: enough to spot a typing error, short enough for a message."""
SUGGESTION_CUTOFF = 0.6
"""difflib's own default similarity; lower offers unrelated organs."""


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of the body.

    Args:
        id: unique, lower case with underscores (vertebra levels keep their capital: `vertebrae_L1`).
        name: as a radiologist writes it, without capitals.
        synonyms: other words for it in a report, adjectives ("renal") and Latin included; plurals are left to `find`.
        parents: ids of the structures of which it is a part.
        side: of a paired structure, the patient's left or right; None for the pair as a whole and for unpaired ones.
        parts: plain names of the parts that a report may give ("upper pole", "segment 6"); for whole organs.
        part: what a whole organ above it calls it ("segment 6" for `liver_segment_6`); None when it isn't a named part.
        whole: findings name this structure (kidney); False for sides and parts (kidney_left, liver_segment_6).
        spread: its labelled parts never make up all of it (lymph_node, soft_tissue, mediastinum), so that the union
            of their masks must not stand for it.
        sided: a finding in it has a side: pairs, bones, and structures on both sides of the body (chest_wall).
        snomed_ct: concept id without its side, or None where we aren't certain of it.
        definition: one sentence.
    """

    id: str
    name: str
    synonyms: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    side: Side | None = None
    parts: tuple[str, ...] = ()
    part: str | None = None
    whole: bool = False
    spread: bool = False
    sided: bool = False
    snomed_ct: str | None = None
    definition: str = ""


class Vocabulary:
    """All structures, with look-up by id and by the words of a report."""

    def __init__(self, structures: Iterable[Structure]) -> None:
        self._structures: Mapping[str, Structure] = {structure.id: structure for structure in structures}

    def __getitem__(self, structure_id: str) -> Structure:
        """The structure with this id.

        Raises:
            InputError: no such id; similar names are offered.
        """
        try:
            return self._structures[structure_id]
        except KeyError:
            raise InputError(
                "Unknown anatomical structure.", got=repr(structure_id), expected=self._expected(structure_id)
            ) from None

    def __contains__(self, structure_id: object) -> bool:
        return structure_id in self._structures

    def __iter__(self) -> Iterator[Structure]:
        return iter(self._structures.values())

    def __len__(self) -> int:
        return len(self._structures)

    def find(self, term: str) -> Structure | None:
        """The structure that `term` names: an id, name or synonym, in any case, singular or plural, side anywhere.

        "Kidneys", "left kidney", "kidney (L)", "renal", "oesophagus" and "RUL" are all found; None for other words.
        """
        if term in self._structures:
            return self._structures[term]
        key = normalise(term)
        found = self._look_up(key)
        if found is None:
            rest, side = split_side(key)
            base = self._look_up(rest) if side is not None else None
            return self._on_side(base, side) if base is not None and side is not None else None
        return self._structures[found]

    def whole(self, structure_id: str) -> tuple[str, Side | None]:
        """The whole organ, as findings name it, and the side.

        `kidney_left` -> (`kidney`, "left"); `liver_segment_6` -> (`liver`, None); a whole organ is its own.

        Raises:
            InputError: unknown id.
        """
        structure = self[structure_id]
        side = structure.side
        while not structure.whole:
            structure = self[structure.parents[0]]
            side = side or structure.side
        return structure.id, side

    def suggest(self, term: str) -> list[str]:
        """Ids of structures whose name resembles `term`, best first."""
        near = get_close_matches(normalise(term), self._index, n=2 * SUGGESTIONS, cutoff=SUGGESTION_CUTOFF)
        return list(dict.fromkeys(self._index[key] for key in near))[:SUGGESTIONS]

    def ancestors(self, structure_id: str) -> frozenset[str]:
        """Ids of everything that contains the structure, itself not included."""
        return self._ancestors[self[structure_id].id]

    def descendants(self, structure_id: str) -> frozenset[str]:
        """Ids of everything within the structure, itself not included."""
        wanted = self[structure_id].id
        return frozenset(other for other, above in self._ancestors.items() if wanted in above)

    def named_part(self, structure_id: str, part: str) -> frozenset[str]:
        """Ids of the structures that are called `part` within a whole organ ("upper lobe" of the lung: both sides)."""
        within = self.descendants(structure_id)
        return frozenset(other for other in within if (self[other].part or "").casefold() == part.casefold())

    def on_side(self, structure_id: str, side: Side) -> Structure | None:
        """The left or right structure of a pair (`kidney`, "left" -> `kidney_left`); None where there is none."""
        return self._on_side(self[structure_id].id, side)

    def _look_up(self, key: str) -> str | None:
        """Id for normalised words, in any order ("colon ascending")."""
        return self._index.get(key) or self._unordered.get(frozenset(key.split()))

    def _on_side(self, base: str, side: Side) -> Structure | None:
        structure = self._structures[base]
        if structure.side == side:
            return structure
        same = (other for other in self if base in other.parents and other.side == side)
        return next((other for other in same if other.part == structure.part or other.part is None), None)

    def _expected(self, term: str) -> str:
        near = self.suggest(term)
        return f"one of {near}, or another id of the vocabulary" if near else "an id of the vocabulary"

    @cached_property
    def _index(self) -> dict[str, str]:
        """Normalised word -> id; ids win over names, names over synonyms, earlier structures over later ones."""
        index: dict[str, str] = {}
        for words in (lambda s: (s.id,), lambda s: (s.name,), lambda s: s.synonyms):
            for structure in self:
                for word in words(structure):
                    index.setdefault(normalise(word), structure.id)
        return index

    @cached_property
    def _unordered(self) -> dict[frozenset[str], str]:
        unordered: dict[frozenset[str], str] = {}
        for key, structure_id in self._index.items():
            unordered.setdefault(frozenset(key.split()), structure_id)
        return unordered

    @cached_property
    def _ancestors(self) -> dict[str, frozenset[str]]:
        above: dict[str, frozenset[str]] = {}

        def climb(structure_id: str) -> frozenset[str]:
            if structure_id not in above:
                parents = self._structures[structure_id].parents
                above[structure_id] = frozenset(parents).union(*(climb(parent) for parent in parents))
            return above[structure_id]

        for structure in self:
            climb(structure.id)
        return above


@cache
def load() -> Vocabulary:
    """The vocabulary that comes with dictamen; read once."""
    text = files("dictamen.anatomy").joinpath("data/structures.json").read_text(encoding="utf-8")
    return Vocabulary(_structure(row) for row in json.loads(text)["structures"])


def _structure(row: Mapping[str, Any]) -> Structure:
    lists = {key: tuple(row[key]) for key in ("synonyms", "parents", "parts") if key in row}
    return Structure(**{**row, **lists})
