"""Write a cohort of images, or of parts of volumes, with captions of what each shows, from CTs with organ masks.

usage: python benchmarks/pretraining/captions.py SOURCE OUTPUT [--crop_mm 300,250,14] [--per_study 3] [--seed 0]

SOURCE is a folder with studies.csv and labels.json (as `dictamen phantom` writes it); `--real SHARED_DATA` takes the
CTs with organ masks of that folder instead: one trunk for training and validation, another patient's slab for the test.
A crop of two slices, the fewest that a cohort takes, is an image to a 2D encoder. Organs vary from crop to crop, so
that a tag is not known from the mere fact that a patient has organs. A caption names what is there, in varied words,
leaves out 15 %, and says nothing of what is not there: pretrain with unmentioned=absent.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dictamen.anatomy import vocabulary
from dictamen.imaging import geometry
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume

UNMENTIONED = 0.15
FEWEST_VOXELS = 12
"""Of an organ in a crop; a reader does not name what fewer show."""
OPENINGS = ("CT of the abdomen.", "Contrast-enhanced CT.", "CT image, portal venous phase.", "Axial CT.", "")
LISTS = ("{organs} are seen.", "Shown are {organs}.", "The image shows {organs}.", "There are {organs}.", "{organs}.")
REAL = (("totalsegmentator/example_ct", "totalsegmentator/example_seg_117cls", "train"),
        ("totalsegmentator/example_dicom_ct_1p6mm", "totalsegmentator/example_dicom_seg_117cls", "test"))  # fmt: skip
VALIDATION = 0.15


class Case(NamedTuple):
    """A CT [X, Y, Z] with its organ map on one canonical grid."""

    patient: str
    split: str
    image: np.ndarray
    labels: np.ndarray
    names: dict[int, str]
    spacing_mm: tuple[float, float, float]


def main() -> None:
    """Read the CTs, write the crops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with studies.csv, or SHARED_DATA/ct with --real")
    parser.add_argument("output", type=Path)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--crop_mm", default="300,250,14", help="extent along x, y, z; at least two slices")
    parser.add_argument("--spacing_mm", type=float, default=0, help="resample to it; 0: as it is")
    parser.add_argument("--per_study", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    crop_mm = tuple(float(side) for side in arguments.crop_mm.split(","))
    rng = np.random.default_rng(arguments.seed)
    for folder in ("images", "organs"):
        (arguments.output / folder).mkdir(parents=True, exist_ok=True)
    rows, known = [], {}
    for case in real(arguments.source, arguments.spacing_mm) if arguments.real else plain(arguments.source):
        known |= case.names
        for number in range(arguments.per_study):
            place = crop(case, crop_mm, rng)
            text = caption(shown(case.labels[place], case.names), rng)
            rows.append(write(arguments.output, case, place, f"{case.patient}_{number:03d}", text, rng))
    with (arguments.output / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (arguments.output / "labels.json").write_text(json.dumps({"organs": {str(k): v for k, v in known.items()}}))
    print(f"{len(rows)} crops in {arguments.output}")


def plain(source: Path) -> Iterator[Case]:
    """The studies of a folder with studies.csv."""
    names = json.loads((source / "labels.json").read_text())["organs"]
    for row in csv.DictReader((source / "studies.csv").open(encoding="utf-8")):
        image = geometry.to_canonical(read_volume(source / row["image"], row["study_id"]))
        labels = geometry.to_canonical(read_label_map(source / row["organs"], row["study_id"]))
        yield Case(row["study_id"], row["split"], image.array[0], labels.array[0],
                   {int(value): name for value, name in names.items()}, spacing(image))  # fmt: skip


def real(source: Path, spacing_mm: float) -> Iterator[Case]:
    """The real CTs; every structure of the masks keeps its value."""
    from dictamen.anatomy.totalsegmentator import CLASS_NAMES

    for image_name, labels_name, split in REAL:
        found = []
        for name, labels in ((image_name, False), (labels_name, True)):
            read = (read_label_map if labels else read_volume)(source / f"{name}.nii.gz", name)
            volume = geometry.to_canonical(read)
            found.append(
                geometry.resample(volume, spacing_mm=(spacing_mm,) * 3, labels=labels) if spacing_mm else volume
            )
        image, organs = found
        yield Case(Path(image_name).name, split, image.array[0], organs.array[0].astype(np.uint8),
                   {int(value): name for value, name in CLASS_NAMES.items()}, spacing(image))  # fmt: skip


def spacing(volume: Volume) -> tuple[float, float, float]:
    """Of a canonical volume, mm."""
    x, y, z = np.linalg.norm(volume.affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def crop(case: Case, crop_mm: tuple[float, ...], rng: np.random.Generator) -> tuple[slice, slice, slice]:
    """A random crop whose middle lies on a labelled voxel."""
    middles = np.argwhere(case.labels > 0)
    middle = middles[rng.integers(len(middles))]
    shape = case.labels.shape
    sides = [min(max(2, round(mm / s)), n) for mm, s, n in zip(crop_mm, case.spacing_mm, shape, strict=True)]
    starts = [int(np.clip(m - side // 2, 0, n - side)) for m, side, n in zip(middle, sides, shape, strict=True)]
    x, y, z = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return x, y, z


def shown(labels: np.ndarray, names: dict[int, str]) -> list[str]:
    """Structures that a crop shows."""
    values, counts = np.unique(labels, return_counts=True)
    return [names[int(v)] for v, n in zip(values, counts, strict=True) if v and n >= FEWEST_VOXELS and int(v) in names]


def caption(structures: list[str], rng: np.random.Generator) -> str:
    """What a reader might write under it."""
    known, words = vocabulary.load(), []
    for name in structures:
        whole, side = known.whole(name)
        if rng.random() < UNMENTIONED or whole not in known:
            continue
        found = known[whole]
        word = str(rng.choice([found.name, *found.synonyms[:2]])) if rng.random() < 0.3 else found.name
        words.append(f"the {side} {word}" if side else f"the {word}")
    words = [words[index] for index in rng.permutation(len(words))]
    words = list(dict.fromkeys(words))
    if not words:
        return "CT image."
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    sentence = str(rng.choice(LISTS)).format(organs=listed)
    return f"{rng.choice(OPENINGS)} {sentence[0].upper()}{sentence[1:]}".strip()


def write(
    output: Path, case: Case, place: tuple[slice, slice, slice], name: str, text: str, rng: np.random.Generator
) -> dict[str, str]:
    """Write one crop; its row of studies.csv."""
    affine = np.diag([*case.spacing_mm, 1.0])
    for folder, array in (("images", case.image), ("organs", case.labels)):
        write_volume(Volume(np.ascontiguousarray(array[place])[None], affine, name), output / folder / f"{name}.nii.gz")
    split = "val" if case.split == "train" and rng.random() < VALIDATION and "phantom" not in name else case.split
    return {"study_id": name, "patient_id": case.patient, "image": f"images/{name}.nii.gz", "report": text,
            "organs": f"organs/{name}.nii.gz", "split": split}  # fmt: skip


if __name__ == "__main__":
    main()
