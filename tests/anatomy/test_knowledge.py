"""The knowledge graph: complete, consistent, and found under every name."""

from collections import Counter

import pytest

from dictamen.anatomy import knowledge, vocabulary
from dictamen.anatomy.concept import RELATIONS, ROOT
from dictamen.anatomy.consistency import find_problems
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError

KNOWLEDGE = knowledge.load()
ALONE = {"lung_middle_lobe_right", "lingula"}
"""Structures of one side that the other side doesn't have."""


def test_at_least_400_concepts_of_every_category() -> None:
    counts = Counter(concept.category for concept in KNOWLEDGE)
    assert len(KNOWLEDGE) >= 400
    assert set(counts) == {"organ", "part", "vessel", "bone", "muscle", "node", "lesion"}
    assert min(counts.values()) >= 20


def test_every_structure_of_the_vocabulary_is_a_concept() -> None:
    assert all(structure.id in KNOWLEDGE for structure in vocabulary.load())


def test_relations_lead_to_concepts_and_never_to_themselves() -> None:
    for concept in KNOWLEDGE:
        for relation, ids in concept.relations.items():
            assert relation in RELATIONS
            assert all(other in KNOWLEDGE and other != concept.id for other in ids), (concept.id, relation)


def test_every_concept_leads_up_to_the_body_without_a_cycle() -> None:
    for concept in KNOWLEDGE:
        assert concept.id not in KNOWLEDGE.ancestors(concept.id)
        assert concept.id == ROOT or ROOT in KNOWLEDGE.ancestors(concept.id), concept.id


def test_every_part_has_a_whole() -> None:
    for concept in KNOWLEDGE:
        line = {concept.id} | KNOWLEDGE.ancestors(concept.id)
        if concept.category == "part":
            assert any(KNOWLEDGE[other].relations.get("part_of") for other in line), concept.id


def test_every_lesion_has_a_place() -> None:
    for concept in KNOWLEDGE:
        if concept.category == "lesion":
            assert concept.relations.get("found_in") or concept.side, concept.id


def test_sides_are_paired_and_mirror_each_other() -> None:
    for concept in KNOWLEDGE:
        if concept.side and concept.id not in ALONE:
            (mirror,) = concept.relations["mirror_of"]
            assert KNOWLEDGE[mirror].side not in (None, concept.side)
            assert KNOWLEDGE[mirror].relations["mirror_of"] == (concept.id,)


def test_a_side_is_never_part_of_the_other_side() -> None:
    for concept in KNOWLEDGE:
        if concept.side:
            assert {KNOWLEDGE[other].side for other in KNOWLEDGE.ancestors(concept.id)} <= {None, concept.side}


def test_definitions_are_sentences_of_their_own_without_the_name() -> None:
    texts = [concept.definition for concept in KNOWLEDGE]
    assert len(set(texts)) == len(texts)
    for concept in KNOWLEDGE:
        assert concept.definition.endswith(".")
        assert concept.name.casefold() not in concept.definition.casefold(), concept.id


def test_no_name_belongs_to_two_concepts_and_each_finds_its_own() -> None:
    owners: dict[str, str] = {}
    for concept in KNOWLEDGE:
        for word in concept.words:
            assert owners.setdefault(normalise(word), concept.id) == concept.id, word
            found = KNOWLEDGE.find(word)
            assert found is not None and found.id == concept.id, word


@pytest.mark.parametrize(
    ("term", "concept"),
    [
        ("HCC", "hepatocellular_carcinoma"),
        ("Femoral heads", "femoral_head"),
        ("femoral head (L)", "femoral_head_left"),
        ("haemangiomas", "haemangioma"),
        ("SMV", "superior_mesenteric_vein"),
        ("left RCA artery", None),
    ],
)
def test_find(term: str, concept: str | None) -> None:
    found = KNOWLEDGE.find(term)
    assert (found.id if found else None) == concept


@pytest.mark.parametrize("typo", ["splean", "hepatocelular carcinoma", "pancreass", "gallblader"])
def test_a_typing_error_still_finds_the_nearest(typo: str) -> None:
    best, second = KNOWLEDGE.search(typo, limit=2)
    assert best.concept.id in {"spleen", "hepatocellular_carcinoma", "pancreas", "gallbladder"}
    assert 1 >= best.score > second.score


def test_a_finer_word_leaves_the_report_readers_word_alone() -> None:
    coarse, fine = vocabulary.load().find("femoral head"), KNOWLEDGE.find("femoral head")
    assert coarse is not None and coarse.id == "femur"
    assert fine is not None and fine.id == "femoral_head"
    assert "femur" in KNOWLEDGE.ancestors("femoral_head_left")


def test_the_other_side_is_a_sibling() -> None:
    assert "kidney_right" in {concept.id for concept in KNOWLEDGE.siblings("kidney_left")}


def test_unknown_name_offers_near_ones() -> None:
    with pytest.raises(InputError, match="spleen"):
        KNOWLEDGE.named("splean")


def test_nothing_contradicts_itself() -> None:
    assert find_problems({concept.id: concept for concept in KNOWLEDGE}) == []
