"""Answers from reports, remarks and another tool's masks: what they say, and what they must not say."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cli.main import application
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume
from dictamen.review.inferred import WHOLE, from_comparison, from_remarks, from_reports
from dictamen.review.masks import MaskSource
from dictamen.supervision.feedback import most_trusted

REPORTS = {
    "short": "Spleen: Normal, measures 4.0 cm in length.",  # the mask has 8
    "right": "The spleen is normal and measures 7.8 cm in length.",
    "removed": "Status post splenectomy.",
    "silent": "The spleen is unremarkable. There is a 2.0 cm cyst in the liver.",
    "long": "Spleen measures 14 cm craniocaudal.",
}
SHAPE, SPACING = (24, 24, 50), 2.0


@pytest.fixture(scope="module")
def spleens(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder: Path = tmp_path_factory.mktemp("lengths")
    x, y, z = np.meshgrid(*(np.arange(n) - n // 2 for n in SHAPE), indexing="ij")
    organ = ((x / 8) ** 2 + (y / 8) ** 2 + (z / 20) ** 2 < 1).astype(np.uint8)
    image = np.where(organ, 90, -60).astype(np.int16)
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    write_volume(Volume(image[None], affine), folder / "ct.nii.gz")
    write_volume(Volume(organ[None], affine), folder / "organs.nii.gz", label_names={1: "spleen"})
    better = organ.copy()
    better[..., 36:] = 0
    for name in REPORTS:
        write_volume(Volume(better[None], affine), folder / "other" / f"{name}.nii.gz", label_names={1: "spleen"})
    (folder / "other" / "labels.json").write_text('{"labels": {"1": "spleen"}}', encoding="utf-8")
    rows = ["study_id,image,organs,report", *(f'{n},ct.nii.gz,organs.nii.gz,"{text}"' for n, text in REPORTS.items())]
    (folder / "studies.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    build_cohort(folder / "studies.csv", folder / "cohort", spacing_mm=SPACING)
    return Cohort.open(folder / "cohort")


def test_reports_label_the_violated_side_alone(spleens: Cohort) -> None:
    found = {a.study_id: a for a in from_reports(spleens, MaskSource(spleens), "spleen")}
    assert {name: (a.direction, a.rater) for name, a in found.items()} == {
        "short": ("over", "stated length"),
        "removed": ("over", "removed organ"),
        "long": ("under", "stated length"),
    }
    assert found["removed"].score == 1
    assert found["short"].score == 1  # half as long: Dice at most 2/3
    assert found["long"].score == 2  # Dice at most .73
    assert all(a.origin == "report" and a.scheme == WHOLE.to_text() for a in found.values())


def test_remarks_name_the_part_and_the_side(spleens: Cohort) -> None:
    said = {"right": ["Misses the superior pole."], "silent": ["leaks slightly into the stomach", "Nice."]}
    one, other = from_remarks(MaskSource(spleens), "spleen", said)
    assert (one.direction, one.score, RegionScheme.from_text(one.scheme).name, one.region) == ("under", 3, "parts", 3)
    assert (other.study_id, other.direction, other.score, other.scheme) == ("silent", "over", 4, WHOLE.to_text())


def test_another_tool_is_taken_as_right_but_weighs_less(spleens: Cohort) -> None:
    folder = spleens.path.parent / "other"
    scheme = RegionScheme("slab", 4)
    found = from_comparison(MaskSource(spleens), MaskSource(spleens, folder), "spleen", scheme)
    right = [(a.region, a.score, a.direction) for a in found if a.study_id == "right"]
    assert right[:3] == [(1, 5, "none"), (2, 5, "none"), (3, 5, "none")]
    assert right[3][2] == "over"
    person = found[0].model_copy(update={"origin": "person", "record_id": "p"})
    assert most_trusted([*found[:4], person]) == [person]


def test_command_line_adds_nothing_twice(spleens: Cohort, tmp_path: Path) -> None:
    (tmp_path / "remarks.csv").write_text("study_id,remark\nright,too small at the lower pole\n", encoding="utf-8")
    words = ["feedback", "infer", str(spleens.path), "--label", "spleen", "--remarks", str(tmp_path / "remarks.csv"),
             "--compare", str(spleens.path.parent / "other"), "--feedback", str(tmp_path / "f.sqlite")]  # fmt: skip
    done = CliRunner().invoke(application("feedback"), words)
    assert done.exit_code == 0, done.output
    assert "34 records added (3 from reports, 1 from remarks, 30 from comparison)." in done.output
    assert "0 records added" in CliRunner().invoke(application("feedback"), words).output
    (tmp_path / "remarks.csv").write_text("study,remark\nright,too small\n", encoding="utf-8")
    assert CliRunner().invoke(application("feedback"), words).exit_code != 0
