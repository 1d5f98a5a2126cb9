"""The prompts of a prediction: understood, united where they mean the same, and named like labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dictamen.anatomy import asking, knowledge, vocabulary
from dictamen.anatomy.asking import Asked
from dictamen.anatomy.lesion_labels import LESION_WORDS
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError, UsageError
from dictamen.models.card import ModelCard, OutputLabel

Policy = Literal["hierarchy", "argmax", "independent"]
"""Where masks of several prompts overlap, the label map shows: what lies within the other ("left kidney" in "kidney", a
lesion in its organ), else the more probable; always the more probable; as `hierarchy`, with a mask a prompt beside."""
POLICIES: tuple[Policy, ...] = ("hierarchy", "argmax", "independent")
LONGEST_SLUG = 60
"""Characters of a name that is made of a sentence: DICOM allows 64 for the name of a segment."""
COMMENT = "#"


@dataclass(frozen=True)
class Prompts:
    """What is asked, each thing once.

    Attributes:
        asked: the first way in which each thing was asked.
        names: of the outputs, as file names can be.
        others: further prompts of the user that mean the same, for each.
    """

    asked: tuple[Asked, ...]
    names: tuple[str, ...]
    others: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, prompts: Sequence[str], card: ModelCard) -> Prompts:
        """Understand the prompts of a user; the model's own labels where there is none.

        Raises:
            UsageError: the model answers fixed labels only.
            InputError: a prompt without a word.
        """
        if card.architecture.prompts is None:
            raise UsageError(
                "This model can't be asked in words.",
                got="prompts for a model with fixed labels",
                expected=f"its labels: {', '.join(card.names)}",
                next_step="leave the prompts out, or train a model with --supervision prompts",
            )
        first: dict[str, Asked] = {}
        others: dict[str, list[str]] = {}
        for prompt in prompts or card.names:
            understood = asking.understand(prompt, card.names)
            if first.setdefault(understood.text, understood) is not understood:
                others.setdefault(understood.text, []).append(prompt)
        names: list[str] = []
        for one in first.values():
            name = one.label or one.concept or _slug(one.text)
            taken = sum(other == name or other.startswith(f"{name}~") for other in names)
            names.append(f"{name}~{taken + 1}" if taken else name)
        return cls(tuple(first.values()), tuple(names), tuple(tuple(others.get(text, ())) for text in first))

    @property
    def texts(self) -> tuple[str, ...]:
        """What the text encoder reads."""
        return tuple(one.text for one in self.asked)

    @cached_property
    def below(self) -> npt.NDArray[np.bool_]:
        """[N + 1, N + 1]: whether the label of value a lies within that of value b; 0 is background."""
        table = np.zeros((len(self.asked) + 1,) * 2, dtype=bool)
        for a, one in enumerate(self.asked, start=1):
            for b, other in enumerate(self.asked, start=1):
                table[a, b] = a != b and _within(one, other)
        return table

    def card(self, card: ModelCard) -> ModelCard:
        """The model's card with these prompts as its labels."""
        trained = {label.name: label for label in card.labels}
        labels = tuple(
            trained[one.label] if one.label in trained else _label(one, name)
            for one, name in zip(self.asked, self.names, strict=True)
        )
        made = card.architecture.model_copy(update={"out_channels": len(labels)})
        return card.model_copy(update={"labels": labels, "architecture": made})

    def to_json(self) -> list[dict[str, Any]]:
        """For prompts.json: how each prompt was understood."""
        return [
            {
                "value": value,
                "name": name,
                "prompt": one.prompt,
                "also": list(others),
                "text": one.text,
                "understood": one.how,
                "trained": one.label is not None,
                "concept": one.concept,
                "nearest": [vars_of(near) for near in one.nearest],
            }
            for value, (one, name, others) in enumerate(zip(self.asked, self.names, self.others, strict=True), start=1)
        ]

    def remarks(self) -> list[str]:
        """What a user should know of prompts that are no label of the model."""
        said = []
        for one in self.asked:
            near = ", ".join(f"{n.name} ({n.score:.2f}{', trained' if n.trained else ''})" for n in one.nearest)
            if one.how == "spelling":
                said.append(f"{one.prompt!r} is read as {one.text!r}")
            elif one.how == "concept":
                said.append(f"{one.prompt!r} is a known concept that this model was not trained on; nearest: {near}")
            elif one.how == "text":
                said.append(
                    f"{one.prompt!r} is no name that is known: its words are asked as they are; nearest: {near}"
                )
        return said


def read_prompts(file: Path) -> list[str]:
    """The prompts of a text file, one a line; empty lines and those that begin with # are left out.

    Raises:
        InputError: not readable as text, or without a prompt.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("The file of prompts can't be read.", where=file, got=error) from error
    found = [line for line in lines if line and not line.startswith(COMMENT)]
    if not found:
        raise InputError("The file holds no prompt.", where=file, expected="one prompt a line")
    return found


def vars_of(near: asking.Near) -> dict[str, Any]:
    """A near name as JSON."""
    return {"name": near.name, "score": near.score, "trained": near.trained}


def _label(one: Asked, name: str) -> OutputLabel:
    """A prompt that is no trained label, as a label."""
    words = vocabulary.load()
    known = knowledge.load()
    structure = one.concept if one.concept in words else None
    lesion = known[one.concept].category == "lesion" if one.concept else _speaks_of_lesion(one.text)
    return OutputLabel(
        name=name,
        kind="lesion" if lesion else "organ",
        structure=structure,
        snomed_ct=words[structure].snomed_ct if structure else None,
    )


def _speaks_of_lesion(text: str) -> bool:
    return any(word in LESION_WORDS for word in normalise(text).split())


def _within(one: Asked, other: Asked) -> bool:
    if one.concept is not None and other.concept is not None:
        return asking.is_below(one.concept, other.concept)
    return one.concept is None and _speaks_of_lesion(one.text) and not _speaks_of_lesion(other.text)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text)[:LONGEST_SLUG].strip("_") or "prompt"
