"""Teaching the encoder of names: what is held out is never taught, resume equals no interruption, it learns."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dictamen.anatomy import knowledge
from dictamen.anatomy.words import SIDES, normalise
from dictamen.cli.main import main
from dictamen.errors import UsageError
from dictamen.models.name_encoder import load_name_encoder
from dictamen.models.text_encoder import TextSettings
from dictamen.pretraining.held_out import divide
from dictamen.pretraining.knowledge import pretrain_knowledge
from dictamen.pretraining.knowledge_config import KnowledgeConfig, resolve_knowledge
from dictamen.pretraining.knowledge_measure import NameIndex, all_names, failures, search
from dictamen.pretraining.knowledge_texts import QUESTIONS, KnowledgeTexts

KNOWLEDGE = knowledge.load()
SMALL = KnowledgeConfig(
    text=TextSettings(width=32, layers=1, heads=2), dimension=32, steps=6, concepts=8, definitions=4, questions=6,
    checkpoint_every=3, log_every=2, hold_out=0.15,
)  # fmt: skip


def bare(word: str) -> frozenset[str]:
    return frozenset(normalise(word).split()) - set(SIDES)


def test_a_held_out_synonym_is_held_out_of_both_sides_and_of_the_pair() -> None:
    taught = divide(KNOWLEDGE, share=0.15, seed=0)
    assert len(taught.held_out) > 100
    for (concept_id, word), _ in taught.held_out:
        line = {
            concept_id,
            *KNOWLEDGE[concept_id].relations.get("is_a", ()),
            *KNOWLEDGE[concept_id].relations.get("mirror_of", ()),
        }
        for other in line:
            if other.startswith(concept_id.removesuffix("_left").removesuffix("_right")):
                assert normalise(word) not in {normalise(name) for name in taught.names[other]}
    assert all(words and words[0] == KNOWLEDGE[i].name for i, words in taught.names.items())
    total = sum(map(len, taught.names.values())) + len(taught.held_out)
    assert total == sum(len(concept.words) for concept in KNOWLEDGE)


def test_synonyms_can_be_held_out_each_by_itself() -> None:
    whole, single = (divide(KNOWLEDGE, share=0.15, seed=0, whole=each) for each in (True, False))
    held = {name for name, _ in single.held_out}
    assert len(held) == len(single.held_out) and abs(len(single.held_out) - len(whole.held_out)) < 40
    assert all(name[1] not in single.names[name[0]] for name in held)
    parted = [
        name
        for (concept_id, word), _ in single.held_out
        for mirror in KNOWLEDGE[concept_id].relations.get("mirror_of", ())
        for name in single.names[mirror]
        if bare(name) == bare(word)
    ]
    assert parted  # the left is taught, the right asked for


def test_nothing_is_held_out_by_default() -> None:
    taught = divide(KNOWLEDGE, share=0, seed=0)
    assert not taught.held_out
    assert not taught.held_out_relations


def test_a_batch_is_a_function_of_the_step_and_holds_hard_negatives() -> None:
    taught = divide(KNOWLEDGE, share=0.15, seed=0)
    one, two = (KnowledgeTexts(KNOWLEDGE, taught, SMALL).batch(5) for _ in range(2))
    assert one.texts == two.texts
    assert torch.equal(one.positive, two.positive)
    rows, columns = one.positive.shape
    assert (rows - columns, len(one.texts)) == (SMALL.questions, rows)
    assert one.positive.any(dim=1).all()
    names = one.texts[:columns]
    for row, text in enumerate(one.texts):
        assert all(one.ignored[row, column] for column in range(columns) if names[column].casefold() == text.casefold())
    asked = one.texts[columns:]
    assert all(any(question.removeprefix("{}") in text for question in QUESTIONS.values()) for text in asked)


def test_held_out_names_are_never_among_the_texts() -> None:
    taught = divide(KNOWLEDGE, share=0.3, seed=1)
    texts = KnowledgeTexts(KNOWLEDGE, taught, SMALL.model_copy(update={"variations": False, "seed": 1}))
    said = {text for step in range(30) for text in texts.batch(step).texts}
    taught_words = {word for words in taught.names.values() for word in words}
    assert not said & ({word for (_, word), _ in taught.held_out} - taught_words)


def test_resume_equals_no_interruption(tmp_path: Path) -> None:
    whole = pretrain_knowledge(tmp_path / "whole", SMALL)

    def stop(step: int, *_: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain_knowledge(tmp_path / "parts", SMALL, progress=stop)
    parts = pretrain_knowledge(tmp_path / "parts", SMALL, resume=True)
    assert parts.metrics == whole.metrics
    fingerprints = {load_name_encoder(tmp_path / name).fingerprint for name in ("whole", "parts")}
    assert len(fingerprints) == 1
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]
    with pytest.raises(UsageError, match="another configuration"):
        pretrain_knowledge(tmp_path / "parts", SMALL.model_copy(update={"steps": 7}), resume=True)
    with pytest.raises(UsageError, match="not empty"):
        pretrain_knowledge(tmp_path / "parts", SMALL)


def test_it_learns(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"steps": 60, "concepts": 16})
    before = pretrain_knowledge(tmp_path / "before", SMALL.model_copy(update={"steps": 1})).metrics
    after = pretrain_knowledge(tmp_path / "after", config).metrics
    assert after["held_out_names"] > before["held_out_names"]
    assert after["mirror_cosine"] < before["mirror_cosine"]
    encoder = load_name_encoder(tmp_path / "after")
    assert encoder.card.metrics == after
    index = NameIndex(encoder, all_names(KNOWLEDGE))
    assert search(KNOWLEDGE, index, "left kidney", limit=2)[0].concept.id == "kidney_left"
    wrong = failures(encoder, divide(KNOWLEDGE, share=config.hold_out, seed=config.seed))
    held = len(divide(KNOWLEDGE, share=config.hold_out, seed=config.seed).held_out)
    assert len(wrong) == held - round(after["held_out_names"] * held)


def test_an_index_takes_the_nearest_name_of_each_concept() -> None:
    table = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.6, 0.8], "asked": [0.8, 0.6]}
    encoder = SimpleNamespace(embed=lambda texts: torch.tensor([table[text] for text in texts]))
    index = NameIndex(encoder, [("x", "a"), ("y", "b"), ("x", "c")])  # type: ignore[arg-type]
    assert torch.allclose(index.scores(["asked"]), torch.tensor([[0.96, 0.6]]))
    assert index.nearest(["asked", "b"]) == ["x", "y"]


def test_settings(tmp_path: Path) -> None:
    found = resolve_knowledge(None, ["text.width=64", "steps=3"], seed=4)
    assert (found.text.width, found.text.layers, found.steps, found.seed) == (64, 1, 3, 4)
    with pytest.raises(UsageError, match="multiple"):
        resolve_knowledge(None, ["text.width=66"])
    with pytest.raises(UsageError, match="stepz"):
        resolve_knowledge(None, ["stepz=1"])


def test_as_a_user_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--set", "text.width=16", "--set", "steps=2", "--set", "concepts=4", "--set", "hold_out=0.1"]
    run = str(tmp_path / "names")
    with pytest.raises(SystemExit) as end:
        main(["anatomy", "pretrain", "-o", run, *small])
    out, _ = capsys.readouterr()
    assert end.value.code == 0
    assert "2 steps on 617 concepts" in out
    with pytest.raises(SystemExit):
        main(["anatomy", "search", "food pipe", "--encoder", run, "--limit", "3", "--json"])
    out, _ = capsys.readouterr()
    assert len(json.loads(out)) == 3
    with pytest.raises(SystemExit) as end:
        main(["anatomy", "pretrain", "-o", run, "--resume", "--set", "steps=3"])
    assert end.value.code == 2
