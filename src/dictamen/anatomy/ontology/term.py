"""A term as an ontology's file has it, before anything is made of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Term:
    """One class of an ontology.

    Attributes:
        id: "UBERON:0002113"; a full IRI where it can't be shortened.
        synonyms: exact ones; `other_synonyms`: broad, narrow and related ones, which often name something else.
        relations: (name or id of the relation, id of the other term); `is_a` among them.
        xrefs: ids in other ontologies.
    """

    id: str
    name: str = ""
    definition: str = ""
    synonyms: list[str] = field(default_factory=list)
    other_synonyms: list[str] = field(default_factory=list)
    abbreviations: list[str] = field(default_factory=list)
    relations: list[tuple[str, str]] = field(default_factory=list)
    xrefs: list[str] = field(default_factory=list)
    obsolete: bool = False


@dataclass
class Ontology:
    """What was read of a file.

    Attributes:
        terms: by id.
        relation_names: id of a relation -> its name ("BFO:0000050" -> "part of").
        skipped: what could not be understood -> how often; with the line where it was first met.
    """

    terms: dict[str, Term] = field(default_factory=dict)
    relation_names: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def term(self, term_id: str) -> Term:
        """The term of an id; a file may tell of one in several places."""
        return self.terms.setdefault(term_id, Term(term_id))


def short_id(iri: str) -> str:
    """ "http://purl.obolibrary.org/obo/UBERON_0002113" -> "UBERON:0002113"; ".../fma/fma7203" -> "FMA:7203"."""
    last = iri.rstrip("/").replace("#", "/").rsplit("/", 1)[-1] if "/" in iri or "#" in iri else iri
    prefix, mark, number = last.partition("_")
    if mark and prefix.isalpha() and number.isalnum() and any(c.isdigit() for c in number):
        return f"{prefix}:{number}"
    if last[:3].casefold() == "fma" and last[3:].isdigit():
        return f"FMA:{last[3:]}"
    return last or iri
