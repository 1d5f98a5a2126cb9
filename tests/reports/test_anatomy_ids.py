from __future__ import annotations

import pytest

from dictamen.anatomy import vocabulary
from dictamen.reports.anatomy_ids import structure_ids
from dictamen.reports.lexicon import load
from dictamen.reports.rules import read_report
from dictamen.reports.schema import Finding


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("A 5 mm nodule in the right upper lobe.", {"lung_upper_lobe_right"}),
        ("A 5 mm nodule in the right lung.", {"lung_right"}),
        ("A 2 cm lesion in segments 5 and 6 of the liver.", {"liver_segment_5", "liver_segment_6"}),
        ("Lytic lesion in L3, 12 mm.", {"vertebrae_L3"}),
        ("Lytic lesion of the left 5th rib.", {"rib_left_5"}),
        ("Bilateral renal cysts.", {"kidney_left", "kidney_right"}),
        ("A 3 cm mass in the sigmoid colon.", {"sigmoid_colon"}),
        ("A 3 cm cyst in the upper pole of the left kidney.", {"kidney_upper_pole_left"}),
        ("Mass of 2 cm in the stomach.", {"stomach"}),
        ("Lytic lesion of the right scapula, 2 cm.", {"scapula_right"}),
    ],
)
def test_the_smallest_structures_named(text: str, ids: set[str]) -> None:
    (finding,) = read_report(text, "S").findings
    assert structure_ids(finding) == ids


def test_every_part_of_every_organ_leads_into_the_vocabulary() -> None:
    known = vocabulary.load()
    for part in load().values("part").values():
        for organ in part["organs"]:
            finding = Finding(study_id="S", kind="uncertain", structure=organ, parts=(part["name"],), span=(0, 1))
            ids = structure_ids(finding)
            assert ids
            for structure in ids:
                assert known.whole(structure)[0] == organ or organ in {structure, *known.ancestors(structure)}
