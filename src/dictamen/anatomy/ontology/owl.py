"""OWL files in RDF/XML, element by element: each class is let go once it is read.

Names and definitions are found under the properties of OBO ontologies (UBERON), of SKOS (BioPortal) and of the FMA.
Texts in other languages than English are left out. Source: OWL 2 mapping to RDF graphs (W3C, 2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, iterparse

from dictamen.anatomy.ontology.term import Ontology, Term, short_id

if TYPE_CHECKING:
    from _typeshed import SupportsRead

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
OWL = "{http://www.w3.org/2002/07/owl#}"
XML = "{http://www.w3.org/XML/1998/namespace}"
_NAMES = ("label", "prefLabel", "preferred_name", "preferred_label", "Preferred_Label")
_SYNONYMS = ("hasExactSynonym", "altLabel", "synonym", "Synonym", "exact_synonym")
_OTHER_SYNONYMS = ("hasRelatedSynonym", "hasBroadSynonym", "hasNarrowSynonym")
_DEFINITIONS = ("IAO_0000115", "definition", "hasDefinition", "Definition")
_XREFS = ("hasDbXref",)
_OBSOLETE = ("deprecated", "is_obsolete")


def read_owl(file: SupportsRead[bytes]) -> Ontology:
    """The classes of an RDF/XML file.

    Raises:
        xml.etree.ElementTree.ParseError: it is not well-formed XML.
    """
    found = Ontology()
    for element in _children_of_root(file):
        tag, about = element.tag, _about(element)
        is_class = tag == f"{OWL}Class" or (tag == f"{RDF}Description" and _is_a_class(element))
        if is_class and about:
            _fill(found.term(about), element, found)
        elif tag in (f"{OWL}ObjectProperty", f"{OWL}AnnotationProperty") and about:
            for child in element:
                if _local(child) == "label" and _text(child):
                    found.relation_names.setdefault(about, _text(child))
        elif tag == f"{OWL}Axiom":
            _read_axiom(found, element)
    return found


def _children_of_root(file: SupportsRead[bytes]) -> Iterator[Element]:
    depth, root = 0, None
    for event, element in iterparse(file, events=("start", "end")):
        if event == "start":
            root = element if root is None else root
            depth += 1
            continue
        depth -= 1
        if depth == 1 and root is not None:
            yield element
            root.clear()


def _fill(term: Term, element: Element, found: Ontology) -> None:
    for child in element:
        name, text = _local(child), _text(child)
        if name in ("subClassOf", "equivalentClass"):
            term.relations += _relations(child)
        elif name in _OBSOLETE:
            term.obsolete = term.obsolete or text == "true"
        elif not text or child.get(f"{XML}lang", "en")[:2] != "en":
            continue
        elif name == "label" or (name in _NAMES and not term.name):
            term.name = text
        elif name in _SYNONYMS:
            term.synonyms.append(text)
        elif name in _OTHER_SYNONYMS:
            term.other_synonyms.append(text)
        elif name in _DEFINITIONS:
            term.definition = term.definition or text
        elif name in _XREFS:
            term.xrefs.append(text)


def _relations(element: Element) -> Iterator[tuple[str, str]]:
    """What a class is a subclass of, or equal to: named classes, restrictions, and intersections of both."""
    if resource := element.get(f"{RDF}resource"):
        yield "is_a", short_id(resource)
    for child in element:
        name = _local(child)
        if name == "Restriction":
            yield from _restriction(child)
        elif name in ("Class", "Description") and _about(child):
            yield "is_a", _about(child)
        elif name in ("Class", "intersectionOf"):  # never unionOf: one of its members is not all of them
            yield from _relations(child)


def _restriction(element: Element) -> Iterator[tuple[str, str]]:
    relation = target = ""
    for child in element:
        resource = child.get(f"{RDF}resource") or next((_iri(inner) for inner in child if _iri(inner)), "")
        if _local(child) == "onProperty":
            relation = short_id(resource)
        elif _local(child) in ("someValuesFrom", "allValuesFrom", "hasValue", "onClass"):
            target = short_id(resource)
    if relation and target:
        yield relation, target


def _read_axiom(found: Ontology, element: Element) -> None:
    """A synonym that is marked as abbreviation; other axioms about axioms say nothing of names."""
    source = property_ = text = kind = ""
    for child in element:
        name = _local(child)
        resource = child.get(f"{RDF}resource", "")
        if name == "annotatedSource":
            source = short_id(resource)
        elif name == "annotatedProperty":
            property_ = resource
        elif name == "annotatedTarget":
            text = _text(child)
        elif name == "hasSynonymType":
            kind = resource or _text(child)
    if (
        source in found.terms
        and text
        and "ynonym" in property_
        and ("ABBREV" in kind.upper() or "ACRONYM" in kind.upper())
    ):
        found.terms[source].abbreviations.append(text)


def _is_a_class(element: Element) -> bool:
    return any(child.get(f"{RDF}resource", "").endswith("owl#Class") for child in element if child.tag == f"{RDF}type")


def _iri(element: Element) -> str:
    return element.get(f"{RDF}about") or element.get(f"{RDF}ID") or ""


def _about(element: Element) -> str:
    return short_id(_iri(element)) if _iri(element) else ""


def _local(element: Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _text(element: Element) -> str:
    return " ".join((element.text or "").split())
