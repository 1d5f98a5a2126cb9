"""Ontologies: OBO and OWL say the same, damage is told, and what is imported always holds together."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dictamen.anatomy import knowledge
from dictamen.anatomy.concept_file import concept_text, read_rows
from dictamen.anatomy.concept_rows import extended, shipped
from dictamen.anatomy.consistency import find_problems
from dictamen.anatomy.ontology.convert import convert
from dictamen.anatomy.ontology.read import read_ontology
from dictamen.anatomy.ontology.term import Ontology, Term, short_id
from dictamen.errors import InputError

KNOWN = knowledge.load()
OBO = r"""format-version: 1.2
! a comment

[Term]
id: UBERON:0002113
name: kidney
def: "The \"bean\" that makes urine." [source:1]
synonym: "reniculate organ" EXACT []
synonym: "renes" RELATED PLURAL [source:1]
xref: FMA:7203 {source="x"} ! Kidney
relationship: part_of UBERON:0001008 {all="true"} ! renal system

[Term]
id: UBERON:0001008
name: renal system

[Term]
id: UBERON:0001284
name: left renal column
synonym: "left column of Bertin" EXACT []
synonym: "LRC" EXACT ABBREVIATION []
intersection_of: UBERON:0002113 ! genus
intersection_of: BFO:0000050 UBERON:0002113
relationship: develops_from UBERON:0001008

[Term]
id: UBERON:0001285
name: right renal column
is_a: UBERON:0002113

[Term]
id: UBERON:0001184
name: suprarenal branch artery
relationship: supplies UBERON:0002113

[Term]
id: UBERON:9
name: old thing
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
OWL = """<?xml version="1.0"?>
<!DOCTYPE rdf:RDF [<!ENTITY obo "http://purl.obolibrary.org/obo/">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:obo="http://purl.obolibrary.org/obo/"
 xmlns:o="http://www.geneontology.org/formats/oboInOwl#">
<owl:ObjectProperty rdf:about="&obo;X_1"><rdfs:label>part of</rdfs:label></owl:ObjectProperty>
<owl:ObjectProperty rdf:about="&obo;RO_0002178"><rdfs:label>supplies</rdfs:label></owl:ObjectProperty>
<owl:Class rdf:about="&obo;UBERON_0002113">
 <rdfs:label xml:lang="en">kidney</rdfs:label><rdfs:label xml:lang="de">Niere</rdfs:label>
 <obo:IAO_0000115>The "bean" that makes urine.</obo:IAO_0000115>
 <o:hasExactSynonym>reniculate organ</o:hasExactSynonym><o:hasRelatedSynonym>renes</o:hasRelatedSynonym>
 <o:hasDbXref>FMA:7203</o:hasDbXref>
 <rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="&obo;X_1"/>
  <owl:someValuesFrom rdf:resource="&obo;UBERON_0001008"/></owl:Restriction></rdfs:subClassOf>
</owl:Class>
<owl:Class rdf:about="&obo;UBERON_0001008"><rdfs:label>renal system</rdfs:label></owl:Class>
<owl:Class rdf:about="&obo;UBERON_0001284"><rdfs:label>left renal column</rdfs:label>
 <o:hasExactSynonym>left column of Bertin</o:hasExactSynonym><o:hasExactSynonym>LRC</o:hasExactSynonym>
 <owl:equivalentClass><owl:Class><owl:intersectionOf rdf:parseType="Collection">
  <rdf:Description rdf:about="&obo;UBERON_0002113"/>
  <owl:Restriction><owl:onProperty rdf:resource="&obo;X_1"/>
   <owl:someValuesFrom rdf:resource="&obo;UBERON_0002113"/></owl:Restriction>
 </owl:intersectionOf></owl:Class></owl:equivalentClass>
</owl:Class>
<owl:Axiom><owl:annotatedSource rdf:resource="&obo;UBERON_0001284"/>
 <owl:annotatedProperty rdf:resource="http://www.geneontology.org/formats/oboInOwl#hasExactSynonym"/>
 <owl:annotatedTarget>LRC</owl:annotatedTarget><o:hasSynonymType rdf:resource="x#ABBREVIATION"/></owl:Axiom>
<owl:Class rdf:about="&obo;UBERON_0001285"><rdfs:label>right renal column</rdfs:label>
 <rdfs:subClassOf rdf:resource="&obo;UBERON_0002113"/></owl:Class>
<owl:Class rdf:about="&obo;UBERON_0001184"><rdfs:label>suprarenal branch artery</rdfs:label>
 <rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="&obo;RO_0002178"/>
  <owl:someValuesFrom><owl:Class rdf:about="&obo;UBERON_0002113"/></owl:someValuesFrom></owl:Restriction>
 </rdfs:subClassOf></owl:Class>
<owl:Class rdf:about="&obo;UBERON_9"><rdfs:label>old thing</rdfs:label><owl:deprecated>true</owl:deprecated></owl:Class>
</rdf:RDF>
"""
FMA = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:fma="http://purl.org/sig/ont/fma/">
<owl:Class rdf:about="http://purl.org/sig/ont/fma/fma7203"><fma:preferred_name>Kidney</fma:preferred_name></owl:Class>
<owl:Class rdf:about="http://purl.org/sig/ont/fma/fma15581"><fma:preferred_name>Cortex corticis</fma:preferred_name>
 <fma:synonym>Cortex of the cortex</fma:synonym>
 <rdfs:subClassOf><owl:Restriction>
  <owl:onProperty rdf:resource="http://purl.org/sig/ont/fma/regional_part_of"/>
  <owl:someValuesFrom rdf:resource="http://purl.org/sig/ont/fma/fma7203"/></owl:Restriction></rdfs:subClassOf>
</owl:Class></rdf:RDF>
"""


def imported(tmp_path: Path, name: str, text: str, **options: str) -> knowledge.Knowledge:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    made = convert(read_ontology(path), KNOWN, **options)  # type: ignore[arg-type]
    file = tmp_path / f"{name}.json"
    file.write_text(concept_text(made.rows, {"file": name}), encoding="utf-8")
    return knowledge.load(file)


@pytest.mark.parametrize(("name", "text"), [("small.obo", OBO), ("small.owl", OWL)])
def test_terms_join_known_concepts_or_become_new_ones(tmp_path: Path, name: str, text: str) -> None:
    found = imported(tmp_path, name, text)
    kidney, column = found["kidney"], found.named("left column of Bertin")
    assert kidney.definition == KNOWN["kidney"].definition
    assert "reniculate organ" in kidney.synonyms
    assert "renes" not in kidney.words
    assert kidney.codes == ("UBERON:0002113", "FMA:7203")
    assert found.named("UBERON:0002113") == kidney
    assert "suprarenal_branch_artery" in kidney.relations["supplied_by"]
    assert "renal_system" not in found.ancestors("kidney")  # a known concept keeps its place
    assert (column.id, column.category, column.side) == ("left_renal_column", "part", "left")
    assert column.abbreviations == ("LRC",)
    assert column.relations["part_of"] == ("kidney_left",)
    assert column.relations["mirror_of"] == ("right_renal_column",)
    assert found["suprarenal_branch_artery"].category == "vessel"
    assert found.find("old thing") is None
    assert len(found) == len(KNOWN) + 4


def test_obo_and_owl_give_the_same_rows(tmp_path: Path) -> None:
    rows = []
    for name, text in (("a.obo", OBO), ("b.owl", OWL)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        rows.append(convert(read_ontology(tmp_path / name), KNOWN).rows)
    assert rows[0] == rows[1]


def test_fma_properties(tmp_path: Path) -> None:
    found = imported(tmp_path, "fma.owl", FMA)
    concept = found.named("Cortex of the cortex")
    assert concept.codes == ("FMA:15581",)
    assert concept.relations["part_of"] == ("kidney",)


def test_below_takes_a_branch_and_all_synonyms_takes_related_ones(tmp_path: Path) -> None:
    found = imported(tmp_path, "small.obo", OBO, below="Kidney", synonyms="all")
    assert "renes" in found["kidney"].synonyms
    assert "left_renal_column" in found
    assert "renal_system" not in found
    with pytest.raises(InputError, match="No term"):
        imported(tmp_path, "again.obo", OBO, below="banana")


def test_gzipped_and_with_a_mark_of_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "small.obo.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + OBO.encode()))
    assert read_ontology(path).terms["UBERON:0002113"].name == "kidney"


def test_a_broken_line_costs_the_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "small.obo"
    path.write_text(OBO + "\n[Term]\nid: X:1\nname: x\nno tag here\nsynonym: x EXACT\nnor here\n[Term]\nname: lost\n")
    found = read_ontology(path)
    assert found.terms["X:1"].name == "x"
    assert sorted(found.skipped.values()) == [1, 1, 2]
    assert any("line 49" in what for what in found.skipped)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.obo.gz", gzip.compress(OBO.encode())[:200], "gzipped file is damaged"),
        ("cut.owl", OWL.encode()[:900], "not well-formed"),
        ("small.ttl", b"@prefix a: <b> .", "Turtle"),
        ("small.json", b'{"graphs": []}', "JSON"),
        ("empty.obo", b"", "no ontology"),
        ("words.obo", b"hello", "no ontology"),
        ("header.obo", b"format-version: 1.2\n", "no named term"),
        ("noise.obo", bytes(range(256)) * 20, "no ontology"),
        ("file.owl", b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', "not well-formed"),
    ],
)
def test_what_is_no_ontology_is_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_ontology(tmp_path / name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_ontology(tmp_path / "none.obo")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["kidney", "left x", "right x", "x", "renal", "y muscle", "left left"]),
            st.lists(
                st.tuples(st.sampled_from(["is_a", "part_of", "supplies", "located_in", "odd"]), st.integers(0, 7))
            ),
            st.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_imported_holds_together(given_terms: list[tuple[str, list[tuple[str, int]], bool]]) -> None:
    terms = {
        f"T:{at}": Term(
            f"T:{at}", name, relations=[(word, f"T:{other}") for word, other in relations], obsolete=obsolete
        )
        for at, (name, relations, obsolete) in enumerate(given_terms)
    }
    rows = convert(Ontology(terms), KNOWN).rows
    assert len(rows) == sum(not term.obsolete for term in terms.values())
    assert find_problems(extended(shipped(), rows)) == []


@pytest.mark.parametrize(
    ("iri", "short"),
    [
        ("http://purl.obolibrary.org/obo/UBERON_0002113", "UBERON:0002113"),
        ("http://purl.org/sig/ont/fma/fma7203", "FMA:7203"),
        ("http://example.org/x#part_of", "part_of"),
        ("UBERON:0002113", "UBERON:0002113"),
    ],
)
def test_short_ids(iri: str, short: str) -> None:
    assert short_id(iri) == short


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "concepts": [{"id": "a b", "name": "x"}]}', "concepts.0.id"),
        ('{"version": 1, "concepts": [{"id": "a", "name": "x", "is": []}]}', "concepts.0.is"),
        ('{"version": 2, "concepts": [{"id": "a", "name": "x"}]}', "version"),
        ('{"version": 1, "concepts": []}', "concepts"),
        ("[", "JSON"),
    ],
)
def test_a_wrong_concept_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('"part_of": ["nowhere"]', "unknown"),
        ('"part_of": ["a"]', "itself"),
        ('"category": "part", "is_a": ["body"]', "without a whole"),
        ('"side": "left", "part_of": ["body"], "mirror_of": ["kidney"]', "mirror"),
    ],
)
def test_a_concept_file_that_contradicts_itself_is_told(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "c.json").write_text(f'{{"version": 1, "concepts": [{{"id": "a", "name": "a", {row}}}]}}')
    with pytest.raises(InputError, match=message):
        knowledge.load(tmp_path / "c.json")


def test_a_circle_is_told(tmp_path: Path) -> None:
    rows = '{"id": "a", "name": "a", "part_of": ["b"]}, {"id": "b", "name": "b", "is_a": ["a"]}'
    (tmp_path / "c.json").write_text(f'{{"version": 1, "concepts": [{rows}]}}')
    with pytest.raises(InputError, match="above it and below it"):
        knowledge.load(tmp_path / "c.json")


def test_a_pair_written_by_hand_gets_its_sides(tmp_path: Path) -> None:
    row = '{"id": "knob", "name": "knob", "sided": true, "part_of": ["kidney"], "category": "part"}'
    (tmp_path / "c.json").write_text(f'{{"version": 1, "concepts": [{row}]}}')
    found = knowledge.load(tmp_path / "c.json")
    assert found["knob_left"].relations["part_of"] == ("kidney_left",)
    assert found["knob_left"].relations["mirror_of"] == ("knob_right",)
