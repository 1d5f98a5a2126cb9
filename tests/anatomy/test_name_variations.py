"""Other ways to write a name: reproducible, never on the other side, and mostly still found."""

from random import Random

import pytest

from dictamen.anatomy import knowledge
from dictamen.anatomy.name_variations import vary
from dictamen.anatomy.word_roots import ROOTS
from dictamen.anatomy.words import normalise

KNOWLEDGE = knowledge.load()


def test_the_same_draw_gives_the_same_name() -> None:
    names = [concept.name for concept in KNOWLEDGE]
    assert [vary(n, Random(1)) for n in names] == [vary(n, Random(1)) for n in names]


def test_a_name_never_changes_its_side() -> None:
    for seed in range(10):
        for concept in KNOWLEDGE:
            other = {"left": "right", "right": "left"}.get(concept.side or "")
            words = normalise(vary(concept.name, Random(seed))).split()
            assert other is None or not {other, other[0]} & set(words) or other in concept.name, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("left kidney", {"kidney (l)", "kidney on the left", "left-sided kidney", "L kidney"}),
        ("head of the pancreas", {"pancreas head"}),
        ("superior mesenteric vein", {"SMV", "upper mesenteric vein", "superior mesenteric vena"}),
        ("esophagus", {"oesophagus", "the esophagus"}),
        ("liver segment 4", {"liver segment IV"}),
        ("sternum", {"sternal"}),
        ("coracoid process", {"coracoid"}),
    ],
)
def test_ways_to_write(name: str, expected: set[str]) -> None:
    assert expected <= {vary(name, Random(seed)) for seed in range(1500)}


def test_roots_are_of_known_concepts() -> None:
    assert all(concept_id in KNOWLEDGE for concept_id in ROOTS)
    roots = [root for group in ROOTS.values() for root in group]
    assert len(roots) == len(set(roots))
