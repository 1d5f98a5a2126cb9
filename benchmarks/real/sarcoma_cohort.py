"""Write the soft-tissue sarcomas as a plain dataset: real CTs, expert masks, and reports made from what the masks show.

usage: python benchmarks/real/sarcoma_cohort.py SHARED_DATA OUTPUT [--seed 0]

The truth reaches the report arm only as text: a radiologist's statement of number, largest axial diameter and its
perpendicular, with a reader's error of +-10 %, rounded to the millimetre, missing in 40 % of the reports. The organ is
the soft tissue of the limb, found by its Hounsfield units alone. Split by patient: 8 for test, 4 for validation.

Data: TCIA Soft-tissue-Sarcoma (10.7937/K9/TCIA.2015.7GO2GSKS), CC BY 3.0, IBSI validation set.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume
from dictamen.inference.diameters import diameters_mm

TEST, VALIDATION = 8, 4
SOFT_TISSUE_HU = (-30, 150)
"""Muscle and tumour with noise; fat lies below, cortical bone above."""
READER_ERROR = 0.10
SIZE_MISSING = 0.4
OPENINGS = (
    "CT of the extremity. Clinical question: staging of a palpable lump.",
    "EXAMINATION: CT of the lower extremity with contrast.",
    "CT thigh and pelvis for treatment planning.",
)
SIZED = (
    "There is a {size} soft tissue mass{density}.",
    "Large intramuscular soft tissue mass{density}, measuring {size}.",
    "A {density_first}mass of the soft tissues is seen. It measures {size}.",
    "Soft tissue tumour{density}, {size} in axial dimensions.",
)
UNSIZED = (
    "There is a soft tissue mass{density}.",
    "A {density_first}soft tissue mass is again demonstrated.",
    "Large soft tissue tumour{density}, consistent with the known sarcoma.",
)
CLOSINGS = (
    "No destructive osseous lesion.",
    "The visualized bones are intact.",
    "No enlarged inguinal lymph nodes.",
    "",
)


def main() -> None:
    """Read the cases, write studies.csv and what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cases = sorted((arguments.shared / "ct" / "sts_sarcoma").glob("*_ct.nii.gz"))
    rng = np.random.default_rng(arguments.seed)
    order = rng.permutation(len(cases))
    split = {
        int(index): "test" if rank < TEST else "val" if rank < TEST + VALIDATION else "train"
        for rank, index in enumerate(order)
    }
    rows = [write_case(path, arguments.output, split[index], rng) for index, path in enumerate(cases)]
    with (arguments.output / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = {"organs": {"1": "soft_tissue"}, "lesions": {"1": "soft_tissue_tumour"}}
    (arguments.output / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    print(f"{len(rows)} studies in {arguments.output / 'studies.csv'}")


def write_case(path: Path, output: Path, split: str, rng: np.random.Generator) -> dict[str, str]:
    """One study: image as it is, soft tissue, expert mask, report; its row of studies.csv."""
    study_id = path.name.removesuffix("_ct.nii.gz")
    image = to_canonical(read_volume(path, study_id))
    lesion = to_canonical(read_label_map(path.with_name(f"{study_id}_gtv.nii.gz"), study_id))
    files = {kind: f"{kind}/{study_id}.nii.gz" for kind in ("images", "organs", "lesions")}
    write_volume(Volume(image.array.astype(np.int16), image.affine, study_id), output / files["images"])
    write_volume(Volume((lesion.array > 0).astype(np.uint8), lesion.affine, study_id), output / files["lesions"])
    write_volume(Volume(soft_tissue(image.array[0])[None], image.affine, study_id), output / files["organs"])
    report = output / "reports" / f"{study_id}.txt"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(dictate(image, lesion.array[0] > 0, rng), encoding="utf-8")
    return {
        "study_id": study_id,
        "patient_id": study_id,
        "image": files["images"],
        "report": f"reports/{study_id}.txt",
        "organs": files["organs"],
        "lesions": files["lesions"],
        "split": split,
    }


def soft_tissue(hounsfield: np.ndarray) -> np.ndarray:
    """Muscle and what enhances like it, without bone and fat; from the image alone, never from the tumour's mask."""
    smooth = ndimage.gaussian_filter(hounsfield.astype(np.float32), 0.7)
    tissue = ndimage.binary_opening((smooth > SOFT_TISSUE_HU[0]) & (smooth < SOFT_TISSUE_HU[1]), iterations=1)
    labels, count = ndimage.label(tissue)
    if count == 0:
        return tissue.astype(np.uint8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= 0.02 * sizes.max()  # crumbs of skin and table
    return ndimage.binary_closing(kept[labels], iterations=2).astype(np.uint8)


def dictate(image: Volume, mask: np.ndarray, rng: np.random.Generator) -> str:
    """A report on the largest component, as a radiologist would state it."""
    labels, _ = ndimage.label(mask)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    first, second = sorted(diameters_mm(largest, image.affine)[:2], reverse=True)
    first, second = (round(value * rng.uniform(1 - READER_ERROR, 1 + READER_ERROR)) for value in (first, second))
    ring = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask, iterations=1)
    muscle = image.array[0][ring & (image.array[0] > SOFT_TISSUE_HU[0]) & (image.array[0] < SOFT_TISSUE_HU[1])]
    word = "hypodense" if np.median(image.array[0][mask]) < np.median(muscle) - 8 else "heterogeneous"
    size = rng.choice([f"{first} x {second} mm", f"{first / 10:.1f} x {second / 10:.1f} cm"])
    template = rng.choice(UNSIZED if rng.random() < SIZE_MISSING else SIZED)
    sentence = template.format(size=size, density=f", {word}" if rng.random() < 0.5 else "", density_first=f"{word} ")
    return f"{rng.choice(OPENINGS)}\n\nFINDINGS:\n{sentence} {rng.choice(CLOSINGS)}\n"


if __name__ == "__main__":
    main()
