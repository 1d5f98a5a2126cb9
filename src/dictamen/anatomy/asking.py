"""What a prompt asks for: a label that a model was trained on, another concept, or a sentence of its own.

A label is the id of a structure ("kidney_left") or the name of a lesion label ("kidney_tumour"). All of its names lead
to the same text, so that synonym, abbreviation, plural, case and a typing error give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from typing import Literal

from dictamen.anatomy import knowledge, lesion_labels, vocabulary
from dictamen.anatomy.lesion_labels import LESION_WORDS, LesionLabel
from dictamen.anatomy.words import american, normalise, split_side
from dictamen.errors import InputError

How = Literal["name", "spelling", "concept", "text"]
"""Whether a prompt is a name of a label, one with a typing error, a concept that is no label, or words of its own."""

MISSPELT = 0.84
"""Similarity of spelling from which a short prompt is taken for a name: one wrong letter in six."""
LONGEST_NAME = 6
"""Words; a longer prompt is a sentence and is never taken for a misspelt name."""
ROUNDING = 1e-3
"""Of similarities that `Knowledge.search` gives."""
NEAREST = 3
"""Near names that are told."""
_SOLID = frozenset({"organ", "part", "bone", "muscle"})
"""Categories whose members fill space: two of them that are not one within the other share no voxel."""
_ENDS = re.compile(r"^[\s\"'(]+|[\s\"').;:,]+$")
_NOUNS = ("lesion", "nodule", "tumor", "mass", "neoplasm", "cancer", "metastasis", "cyst")
"""Words for lesions in prompts of training; others lead to the same labels by `lesion_labels.parse`."""
_MIRROR = {"left": "right", "right": "left"}
_SIDE_WORD = re.compile(r"\b(left|right)\b")


@dataclass(frozen=True, slots=True)
class Near:
    """A name near a prompt, and how near: 1 for the same."""

    name: str
    score: float
    trained: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, understood.

    Attributes:
        prompt: as the user wrote it.
        text: what the text encoder reads, in normal form.
        how: see `How`.
        label: the trained label that is meant; None for others.
        concept: id of the concept that is meant, trained or not; None for words of its own.
        nearest: near names, best first; of labels and concepts.
    """

    prompt: str
    text: str
    how: How
    label: str | None
    concept: str | None
    nearest: tuple[Near, ...] = ()


def normal(text: str) -> str:
    """The form in which texts are embedded, in training and in use: lower case, American, one space, no end point."""
    plain = " ".join(text.replace("_", " ").casefold().split())
    return " ".join(american(word) for word in _ENDS.sub("", plain).split())


@cache
def texts(label: str) -> tuple[str, ...]:
    """The names of a label in normal form, the preferred one first.

    Raises:
        InputError: neither a structure, nor a concept, nor the name of a lesion label.
    """
    known = knowledge.load()
    if label in known:
        names = (*known[label].words, *(known[SAME[label]].words if label in SAME else ()))
    else:
        lesion = lesion_labels.parse(label)
        own = [word for word in normalise(label).split() if word in LESION_WORDS]
        nouns = [noun for noun in _NOUNS if LESION_WORDS[noun] == lesion.kinds]
        ordered = list(dict.fromkeys([*own, *nouns]))
        if lesion.structure is None:
            names = tuple(ordered)
        else:
            organ = vocabulary.load()[lesion.structure]
            side = f"{lesion.side} " if lesion.side else ""
            names = tuple(
                form
                for noun in ordered
                for form in (
                    f"{side}{organ.name} {noun}",
                    f"{noun} of the {side}{organ.name}",
                    f"{noun} in the {side}{organ.name}",
                    *(f"{side}{adjective} {noun}" for adjective in organ.synonyms[:1]),
                )
            )
    return tuple(dict.fromkeys(normal(name) for name in names))


_SAID_SIDES = (
    (re.compile(r"\b(left|right)[ -](?:hand[ -])?sided?\b"), r"\1"),
    (re.compile(r"\b(?:on|at) the (?:patient's )?(left|right)\b"), r"\1"),
    (re.compile(r"\bsinist(?:er|ra|rum)\b"), "left"),
    (re.compile(r"\bdext(?:er|ra|rum)\b"), "right"),
)
"""Other ways to say a side in the name of a structure."""
SAME = {
    one: other
    for pair in (("bladder", "urinary_bladder"), ("liver_caudate_lobe", "liver_segment_1"))
    for one, other in (pair, pair[::-1])
}
"""Two concepts that are one thing: as reports name it, and as label maps do."""


@lru_cache(maxsize=65536)
def understand(prompt: str, labels: tuple[str, ...]) -> Asked:
    """What a prompt asks of a model with these labels.

    Raises:
        InputError: the prompt has no word.
    """
    text = normal(prompt)
    if not re.search(r"[^\W_]", text):
        raise InputError("The prompt has no word.", got=repr(prompt), expected='words such as "left kidney"')
    index, named = _index(labels), _with_plain_side(text)
    label = prompt if prompt in labels else index.get(normalise(named)) or _lesion(named, labels)
    if label is not None:
        return Asked(prompt, texts(label)[0], "name", label, label)
    concept = knowledge.load().find(named)
    if concept is not None and concept.id in labels:
        return Asked(prompt, texts(concept.id)[0], "name", concept.id, concept.id)
    if concept is not None:
        return Asked(prompt, normal(concept.name), "concept", None, concept.id, _nearest(text, index))
    if len(named.split()) <= LONGEST_NAME and (near := _misspelt(named, index)):
        return Asked(prompt, texts(near)[0], "spelling", near, near, _nearest(text, index))
    return Asked(prompt, text, "text", None, None, _nearest(text, index))


def _with_plain_side(text: str) -> str:
    """The text with its side as one word: "left-sided kidney", "kidney on the left side", "ren sinister"."""
    for pattern, side in _SAID_SIDES:
        text = pattern.sub(side, text)
    return text


def mirrored(text: str) -> str:
    """The text with left and right swapped."""
    return _SIDE_WORD.sub(lambda match: _MIRROR[match[0]], text)


def mirror_label(label: str) -> str:
    """The label of the other side; of one without a side itself."""
    return "_".join(_MIRROR.get(word, word) for word in label.split("_"))


def is_sided(label: str) -> bool:
    """Whether the label is of one side."""
    return any(word in _MIRROR for word in label.split("_"))


@lru_cache(maxsize=65536)
def is_below(label: str, other: str) -> bool:
    """Whether a label lies within another: a side or part of it, or a lesion of it or of a part of it."""
    if label == other:
        return False
    place = _place(label)
    whole = _place(other)
    if place is None or whole is None:
        return False
    (concept, lesion), (above, other_lesion) = place, whole
    if other_lesion is not None:
        return lesion is not None and concept == above and lesion.kinds < other_lesion.kinds
    return above == concept or above in knowledge.load().ancestors(concept)


@lru_cache(maxsize=65536)
def are_disjoint(label: str, other: str) -> bool:
    """Whether anatomy forbids that both are in one voxel: two solid structures, neither within the other.

    A lesion stands for its organ: a lesion of the kidney is not in the liver. Vessels, nodes and regions may be
    anywhere.
    """
    known, words = knowledge.load(), vocabulary.load()
    places = [_place(label), _place(other)]
    if places[0] is None or places[1] is None:
        return False
    (one, _), (two, _) = places[0], places[1]
    if one == two or any(known[c].category not in _SOLID or (c in words and words[c].spread) for c in (one, two)):
        return False
    above, below = known.ancestors(one), known.ancestors(two)
    if one in below or two in above:
        return False
    return not _regions_between(one, two, known)


def _regions_between(one: str, two: str, known: knowledge.Knowledge) -> bool:
    """Whether one of them is a region of the body or holds the other by any relation that is told."""
    held = {
        other
        for concept, fellow in ((one, two), (two, one))
        for relation in ("contains", "found_in")
        for other in known[concept].relations.get(relation, ())
        if other == fellow or other in known.ancestors(fellow)
    }
    return bool(held)


@cache
def _place(label: str) -> tuple[str, LesionLabel | None] | None:
    """Concept of the structure of a label, and the lesion in it; None where no organ is told."""
    known = knowledge.load()
    if label in known:
        return label, None
    try:
        lesion = lesion_labels.parse(label)
    except InputError:
        return None
    if lesion.structure is None or lesion.structure not in known:
        return None
    side = vocabulary.load().on_side(lesion.structure, lesion.side) if lesion.side else None
    return (side.id if side else lesion.structure), lesion


@lru_cache(maxsize=64)
def _index(labels: tuple[str, ...]) -> Mapping[str, str]:
    """Normalised name -> label."""
    index: dict[str, str] = {}
    for label in labels:
        for text in texts(label):
            index.setdefault(normalise(text), label)
    return index


def _lesion(text: str, labels: Iterable[str]) -> str | None:
    """The label whose organ, kinds and side are those that the words name."""
    try:
        asked = lesion_labels.parse(text)
    except InputError:
        return None
    if asked.structure is None:
        return None
    for label in labels:
        place = _place(label)
        if (
            place
            and place[1]
            and (place[1].structure, place[1].kinds, place[1].side)
            == (
                asked.structure,
                asked.kinds,
                asked.side,
            )
        ):
            return label
    return None


def _misspelt(text: str, index: Mapping[str, str]) -> str | None:
    """The label of the name that the text nearly is; never one of the other side, nor one of two that are as near."""
    key = normalise(text)
    side = split_side(key)[1]
    best: dict[str, float] = {}
    for name, label in index.items():
        if split_side(name)[1] == side and (score := _similarity(key, name)) >= MISSPELT:
            best[label] = max(best.get(label, 0.0), score)
    ranked = sorted(best.items(), key=lambda item: -item[1])
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    concepts = knowledge.load().search(text, limit=1)
    return ranked[0][0] if not concepts or concepts[0].score <= ranked[0][1] + ROUNDING else None


def _nearest(text: str, index: Mapping[str, str]) -> tuple[Near, ...]:
    """The nearest trained labels and the nearest concepts, best first."""
    key = normalise(text)
    scores: dict[str, float] = {}
    for name, label in index.items():
        scores[label] = max(scores.get(label, 0.0), _similarity(key, name), _within(name, key))
    trained = [Near(texts(label)[0], round(score, 2), True) for label, score in scores.items()]
    others = [
        Near(normal(match.concept.name), round(match.score, 2), False)
        for match in knowledge.load().search(text, limit=NEAREST)
        if match.concept.id not in scores
    ]
    return tuple(sorted((*trained, *others), key=lambda near: (-near.score, near.name))[:NEAREST])


def _within(name: str, key: str) -> float:
    """Share of the name's words that a sentence has; it speaks of the label then, however long it is."""
    words = name.split()
    return 0.9 * (len(set(words) & set(key.split())) / len(words)) if len(key.split()) > len(words) else 0.0


def _similarity(a: str, b: str) -> float:
    matcher = SequenceMatcher(None, a, b)
    return matcher.ratio() if matcher.real_quick_ratio() >= 0.4 else 0.0
