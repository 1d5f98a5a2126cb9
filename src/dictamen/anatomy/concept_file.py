"""Files of further concepts: what `dictamen anatomy import` writes, or people by hand, in the form of our own data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dictamen.anatomy.concept import Category
from dictamen.anatomy.vocabulary import Side
from dictamen.errors import InputError

MOST_TOLD = 3
"""Problems of a file that a message lists; the first ones mostly explain the others."""
Text = Annotated[str, Field(min_length=1)]


class Row(BaseModel):
    """One concept. Of a concept that is known, names, codes and relations are added; its definition stays.

    Attributes:
        sided: a pair: its left and right become concepts of their own.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^\w+$")
    name: Text
    category: Category = "organ"
    definition: str = ""
    synonyms: list[Text] = []
    abbreviations: list[Text] = []
    side: Side | None = None
    sided: bool = False
    codes: list[Text] = []
    is_a: list[Text] = []
    part_of: list[Text] = []
    found_in: list[Text] = []
    contains: list[Text] = []
    adjacent_to: list[Text] = []
    supplied_by: list[Text] = []
    drained_by: list[Text] = []
    mirror_of: list[Text] = []


class ConceptFile(BaseModel):
    """The whole file; `source` says where it came from."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    source: dict[str, str] = {}
    concepts: list[Row] = Field(min_length=1)


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a concept file, without what they leave empty.

    Raises:
        InputError: missing, no JSON, or wrong rows (which, and why).
    """
    try:
        found = ConceptFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("The concept file can't be read.", where=path, got=error.strerror) from error
    except ValidationError as error:
        told = [f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors(include_url=False)[:MOST_TOLD]]
        raise InputError(
            "The concept file is wrong.",
            where=path,
            got="; ".join(told),
            expected="a file as `dictamen anatomy import` writes it; fields of a concept: "
            + ", ".join(Row.model_fields),
        ) from error
    return [row.model_dump(exclude_defaults=True) for row in found.concepts]


def concept_text(rows: Iterable[Mapping[str, Any]], source: Mapping[str, str]) -> str:
    """The text of a concept file, one concept a line."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"version": 1, "source": {json.dumps(source, ensure_ascii=False)}, "concepts": [\n{lines}\n]}}\n'
