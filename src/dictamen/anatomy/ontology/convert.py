"""Terms of an ontology as rows of a concept file: those that are known join the known concept, the others are new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dictamen.anatomy.concept import ROOT, UPWARD, Relation
from dictamen.anatomy.consistency import closing_edges
from dictamen.anatomy.knowledge import Knowledge
from dictamen.anatomy.ontology.meaning import category_of, relation_of, side_of
from dictamen.anatomy.ontology.term import Ontology, Term
from dictamen.anatomy.words import normalise
from dictamen.errors import InputError

Synonyms = Literal["exact", "all"]
KEPT_CODES = ("UBERON", "FMA")
"""Ontologies of anatomy whose ids are kept as codes where a term refers to them."""
_SWAP = {"left": "right", "right": "left"}


@dataclass
class Import:
    """What an ontology became.

    Attributes:
        rows: of a concept file.
        joined: ids of concepts that were known; their definitions and places stay ours.
        left_out: why terms were left out -> how many.
        unused: relations that have no counterpart -> how often.
        cut: relations that were left out because they closed a circle, as "a part_of b".
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)
    cut: list[str] = field(default_factory=list)


def convert(ontology: Ontology, known: Knowledge, *, below: str | None = None, synonyms: Synonyms = "exact") -> Import:
    """Rows for the terms of an ontology.

    Args:
        below: id or name of a term: only it and what is a kind or a part of it.
        synonyms: "exact" ones; "all" takes broad, narrow and related ones too, which often name something else.

    Raises:
        InputError: no term is called `below`.
    """
    made = Import()
    terms = _named(ontology, made)
    edges = _edges(ontology, terms, made)
    if below is not None:
        inside = _closure(_find(terms, below), edges)
        made.left_out["not below the chosen term"] = len(terms) - len(inside)
        terms = {term_id: term for term_id, term in terms.items() if term_id in inside}
    ids = _concept_ids(terms, known, made)
    relations = _relations(edges, ids, known, made)
    kinds = _kinds(terms, edges)
    new: dict[str, str] = {}
    for term_id, term in terms.items():
        if ids[term_id] not in known:
            new.setdefault(normalise(term.name), ids[term_id])
    for term_id, term in terms.items():
        concept_id = ids[term_id]
        row = _row(term, concept_id, relations.get(concept_id, {}), synonyms)
        if concept_id not in known:
            row["side"] = side_of(term.name)
            row["category"] = category_of(term.name, kinds[term_id], is_part=row.get("part_of", [ROOT]) != [ROOT])
            row["mirror_of"] = _mirror(term.name, concept_id, new) if row["side"] else []
        made.rows.append({key: value for key, value in row.items() if value})
    return made


def _named(ontology: Ontology, made: Import) -> dict[str, Term]:
    terms = {}
    for term_id, term in ontology.terms.items():
        if term.obsolete:
            made.left_out["obsolete"] += 1
        elif not normalise(term.name):
            made.left_out["without a name"] += 1
        else:
            terms[term_id] = term
    return terms


def _edges(ontology: Ontology, terms: Mapping[str, Term], made: Import) -> list[tuple[str, Relation, str]]:
    """Relations between the terms, in our words."""
    edges: dict[tuple[str, Relation, str], None] = {}
    for term_id, term in terms.items():
        for word, other in term.relations:
            relation, turned = relation_of(word, ontology.relation_names)
            if relation is None:
                made.unused[ontology.relation_names.get(word, word)] += 1
            elif other in terms and other != term_id:
                edges[(other, relation, term_id) if turned else (term_id, relation, other)] = None
    return list(edges)


def _find(terms: Mapping[str, Term], wanted: str) -> str:
    key = normalise(wanted)
    found = next((i for i, term in terms.items() if i == wanted or normalise(term.name) == key), None)
    if found is None:
        raise InputError(
            "No term of the ontology has this id or name.",
            got=repr(wanted),
            expected="an id such as UBERON:0000468, or the name of a term that is not obsolete",
        )
    return found


def _closure(top: str, edges: Iterable[tuple[str, Relation, str]]) -> set[str]:
    below: dict[str, list[str]] = {}
    for one, relation, other in edges:
        if relation in UPWARD:
            below.setdefault(other, []).append(one)
    inside, waiting = {top}, [top]
    while waiting:
        new = [one for one in below.get(waiting.pop(), ()) if one not in inside]
        inside.update(new)
        waiting += new
    return inside


def _concept_ids(terms: Mapping[str, Term], known: Knowledge, made: Import) -> dict[str, str]:
    """Term id -> concept id: a known concept of that name, else one that is also called so, else a new id."""
    names = {normalise(concept.name): concept.id for concept in known}
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for by_synonym in (False, True):
        for term_id, term in terms.items():
            if term_id in ids:
                continue
            found = known.find(term.name) if by_synonym else None
            concept_id = found.id if found else names.get(normalise(term.name)) if not by_synonym else None
            if concept_id and concept_id not in taken:
                ids[term_id] = concept_id
                taken.add(concept_id)
    made.joined = sorted(taken)
    for term_id, term in terms.items():
        if term_id not in ids:
            ids[term_id] = _new_id(term, known, taken)
            taken.add(ids[term_id])
    return ids


def _new_id(term: Term, known: Knowledge, taken: set[str]) -> str:
    plain = re.sub(r"\W+", "_", term.name.casefold()).strip("_")
    if plain and plain not in taken and plain not in known:
        return plain
    return re.sub(r"\W+", "_", f"{plain}_{term.id}").strip("_")


def _relations(
    edges: Iterable[tuple[str, Relation, str]], ids: Mapping[str, str], known: Knowledge, made: Import
) -> dict[str, dict[Relation, list[str]]]:
    """Relations of each concept. A known one keeps its place, so that only new ones could close a circle."""
    found: dict[str, dict[Relation, list[str]]] = {i: {} for i in ids.values()}
    for one, relation, other in edges:
        if one in ids and other in ids and not (relation in UPWARD and ids[one] in known):
            found[ids[one]].setdefault(relation, []).append(ids[other])
    new = {i: dict.fromkeys(o for r in UPWARD for o in found[i].get(r, ())) for i in found if i not in known}
    for one, other in closing_edges(new):
        made.cut.append(f"{one} in {other}")
        for relation in UPWARD:
            found[one][relation] = [i for i in found[one].get(relation, ()) if i != other]
    for one in new:
        if not any(found[one].get(relation) for relation in UPWARD):
            found[one]["part_of"] = [ROOT]
    return found


def _kinds(terms: Mapping[str, Term], edges: Iterable[tuple[str, Relation, str]]) -> dict[str, list[str]]:
    """Names of all that a term is a kind of, directly or not."""
    above: dict[str, list[str]] = {}
    for one, relation, other in edges:
        if relation == "is_a":
            above.setdefault(one, []).append(other)
    found = {}
    for term_id in terms:
        line: dict[str, None] = {}
        waiting = list(above.get(term_id, ()))
        while waiting:
            if (other := waiting.pop()) not in line:
                line[other] = None
                waiting += above.get(other, ())
        found[term_id] = [terms[other].name for other in line if other in terms]
    return found


def _row(term: Term, concept_id: str, relations: Mapping[Relation, list[str]], synonyms: Synonyms) -> dict[str, Any]:
    codes = [term.id, *(code for code in term.xrefs if code.partition(":")[0] in KEPT_CODES)]
    others = [*term.synonyms, *(term.other_synonyms if synonyms == "all" else ())]
    own = [word for word in dict.fromkeys(others) if word not in term.abbreviations and word != term.name]
    return {
        "id": concept_id,
        "name": term.name,
        "synonyms": own,
        "abbreviations": list(dict.fromkeys(term.abbreviations)),
        "definition": term.definition,
        "codes": list(dict.fromkeys(codes)),
        **{str(relation): ids for relation, ids in relations.items()},
    }


def _mirror(name: str, concept_id: str, new: Mapping[str, str]) -> list[str]:
    """The new concept of the same name on the other side, unless another concept has this name too."""
    swapped = re.sub(r"\b(left|right)\b", lambda match: _SWAP[match[0]], name.casefold())
    mirror = new.get(normalise(swapped))
    return [mirror] if mirror not in (None, concept_id) and new[normalise(name)] == concept_id else []
