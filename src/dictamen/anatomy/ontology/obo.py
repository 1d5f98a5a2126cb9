"""OBO files (format 1.2 and 1.4), line by line: memory holds the terms, never the file.

Source: the OBO Flat File Format 1.4 guide of the OBO Foundry. A line that can't be understood is counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dictamen.anatomy.ontology.term import Ontology, Term, short_id

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(.*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": " ", "W": " ", "t": " "}
_MODIFIERS = re.compile(r"\s\{[^{}]*\}\s*$")
_OLD_SYNONYMS = {f"{scope}_synonym": scope.upper() for scope in ("exact", "broad", "narrow", "related")}


def read_obo(lines: Iterable[str]) -> Ontology:
    """The terms of an OBO file's lines."""
    found = Ontology()
    kind, stanza = "header", Term("")
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("!"):
            continue
        if line.startswith("[") and line.endswith("]"):
            kind, stanza = line[1:-1], Term("")
            continue
        tag, mark, value = line.partition(":")
        if not mark:
            _skip(found, f"line without a tag (first: line {number})", "line without a tag")
            continue
        value = value.strip()
        if tag == "id" and kind == "Term":
            stanza = found.term(short_id(_bare(value)))
        elif kind == "Term" and not stanza.id:
            _skip(found, f"term without an id (first: line {number})", "term without an id")
        elif kind == "Term" and not _fill(stanza, tag, value):
            _skip(found, f"broken {tag} (first: line {number})", f"broken {tag}")
        elif kind == "Typedef":
            _name_relation(found, stanza, tag, value)
    return found


def _fill(term: Term, tag: str, value: str) -> bool:
    """Put one tag into the term; False where its value has the wrong form."""
    if tag == "name":
        term.name = term.name or _unescape(_bare(value))
    elif tag in ("def", "synonym") or tag in _OLD_SYNONYMS:
        return _fill_quoted(term, tag, value)
    elif tag in ("is_a", "relationship", "intersection_of"):
        return _fill_relation(term, tag, _bare(value).split())
    elif tag == "xref":
        term.xrefs += _bare(value).split()[:1]
    elif tag == "is_obsolete":
        term.obsolete = _bare(value) == "true"
    return True


def _fill_quoted(term: Term, tag: str, value: str) -> bool:
    quoted = _QUOTED.match(value)
    if quoted is None:
        return False
    text, rest = " ".join(_unescape(quoted[1]).split()), quoted[2].split("[")[0].split()
    if tag == "def":
        term.definition = term.definition or text
        return True
    if not text:
        return True
    scope = _OLD_SYNONYMS.get(tag) or (rest[0] if rest else "RELATED")
    if any("ABBREVIATION" in word or "ACRONYM" in word for word in map(str.upper, rest[1:])):
        term.abbreviations.append(text)
    elif scope == "EXACT":
        term.synonyms.append(text)
    else:
        term.other_synonyms.append(text)
    return True


def _fill_relation(term: Term, tag: str, words: list[str]) -> bool:
    if (tag == "relationship" and len(words) < 2) or not words:
        return False
    if tag == "is_a" or len(words) == 1:
        term.relations.append(("is_a", short_id(words[0])))
    else:
        term.relations.append((words[0], short_id(words[1])))
    return True


def _name_relation(found: Ontology, stanza: Term, tag: str, value: str) -> None:
    if tag == "id":
        stanza.id = _bare(value)
    elif tag == "name" and stanza.id:
        found.relation_names[stanza.id] = _unescape(_bare(value))


def _bare(value: str) -> str:
    """A value without its comment and its trailing modifiers."""
    value = re.split(r"(?<!\\)\s!(?:\s|$)", value)[0]
    return _MODIFIERS.sub("", value).strip()


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)


def _skip(found: Ontology, first: str, again: str) -> None:
    """Count a problem under the words that name the line where it was first met."""
    known = next((key for key in found.skipped if key.startswith(f"{again} (")), first)
    found.skipped[known] += 1
