"""Write real kidneys and tumours with generated intensities as a plain dataset with reports.

usage: python benchmarks/real/kidney_cohort.py SHARED_DATA OUTPUT [--seed 0]

Geometry, size distribution and the reader's error are real (KiTS19, CC BY-NC-SA 4.0: 297 kidneys of 150 patients at
2.5 mm, 154 with tumours, and the radiologist's own size of each); the Hounsfield units are generated: cortex, medulla,
sinus with fat and collecting system, tumours of varied contrast, part of them necrotic, cysts and vessels that are no
tumours, neighbours of the kidney's own density, correlated texture, noise. One kidney is one study.

The truth reaches the reports only as text: the radiologist's size of the largest tumour (one diameter), further tumours
with a size or without, part and side, sizes missing in 25 %, cysts mentioned in half of the cases; a kidney without a
tumour is called normal, or free of solid lesions. Split by patient: 50 % training, 15 % validation, the rest test.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from dictamen.imaging.nifti import write_volume
from dictamen.imaging.volume import Volume

SPACING_MM = 2.5
TRAIN, VALIDATION = 0.5, 0.15
SIZE_MISSING = 0.25
CYST_CHANCE, CYST_MENTIONED = 0.45, 0.5
AFFINE = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
SIDES = ("right", "left")

OPENINGS = (
    "CT of the abdomen with intravenous contrast, portal-venous phase.",
    "TECHNIQUE: Contrast-enhanced CT of the kidneys.",
    "CT abdomen. Indication: haematuria.",
)
SIZED = (
    "There is a {size} {adjective} mass in the {part} of the {side} kidney.",
    "{Side} kidney: {adjective} mass in the {part} measuring {size}.",
    "An {adjective} mass arises from the {part} of the {side} kidney. It measures {size}.",
)
UNSIZED = (
    "There is an {adjective} mass in the {part} of the {side} kidney.",
    "{Side} kidney: {adjective} tumour of the {part}, concerning for renal cell carcinoma.",
)
SECOND = (
    "A further {adjective} mass of {size} lies in the {part} of the {side} kidney.",
    "Second {adjective} tumour in the {side} kidney, {part}, {size}.",
)
NORMAL = (
    "The {side} kidney is unremarkable.",
    "{Side} kidney: no focal lesion.",
    "No solid mass in the {side} kidney.",
    "Normal {side} kidney without mass or hydronephrosis.",
)
CYST = (
    "Simple cyst in the {side} kidney measuring {size}.",
    "A {size} simple cyst of the {part} of the {side} kidney.",
)
ADJECTIVES = ("enhancing", "enhancing solid", "heterogeneously enhancing")


@dataclass(frozen=True)
class Lesion:
    """What a radiologist sees of a tumour or cyst: its voxels and the diameter that is dictated, mm."""

    mask: np.ndarray
    diameter_mm: float


def main() -> None:
    """Read the geometries, write studies.csv and what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = arguments.shared / "kidney_geometry"
    labels = np.load(source / "kidneys_2p5mm.npz")["labels"]
    facts = json.loads((source / "facts.json").read_text(encoding="utf-8"))
    split = split_by_patient([fact["case"] for fact in facts], arguments.seed)
    seen: dict[str, int] = defaultdict(int)
    rows = []
    for fact in facts:
        side = SIDES[seen[fact["case"]] % 2]
        seen[fact["case"]] += 1
        rng = np.random.default_rng((arguments.seed, fact["index"]))
        geometry = np.transpose(labels[fact["index"]], (2, 1, 0))  # stored with the craniocaudal axis first
        rows.append(write_study(geometry, fact, side, split[fact["case"]], arguments.output, rng))
    with (arguments.output / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    names = {"organs": {"1": "kidney_right", "2": "kidney_left"}, "lesions": {"1": "kidney_tumour"}}
    (arguments.output / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    print(f"{len(rows)} studies in {arguments.output / 'studies.csv'}")


def split_by_patient(cases: list[str], seed: int) -> dict[str, str]:
    """Each patient's split, the same for both kidneys."""
    patients = sorted(set(cases))
    order = np.random.default_rng(seed).permutation(len(patients))
    bounds = (TRAIN * len(patients), (TRAIN + VALIDATION) * len(patients))
    names = ["train" if rank < bounds[0] else "val" if rank < bounds[1] else "test" for rank in range(len(patients))]
    return {patients[index]: names[rank] for rank, index in enumerate(order)}


def write_study(
    geometry: np.ndarray, fact: dict[str, object], side: str, split: str, output: Path, rng: np.random.Generator
) -> dict[str, str]:
    """One kidney: image, kidney mask, tumour mask, report; its row of studies.csv."""
    study_id = f"kidney_{fact['index']:03d}"
    tumour, kidney = geometry == 2, geometry >= 1
    cysts = grow_cysts(geometry == 1, rng)
    volumes = {
        "images": intensities(kidney, tumour, cysts, rng),
        "organs": kidney.astype(np.uint8) * (1 + SIDES.index(side)),
        "lesions": tumour.astype(np.uint8),
    }
    for kind, array in volumes.items():
        write_volume(Volume(array[None], AFFINE, study_id), output / kind / f"{study_id}.nii.gz")
    report = output / "reports" / f"{study_id}.txt"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(dictate(kidney, tumours_of(tumour, fact), cysts, side, rng), encoding="utf-8")
    return {
        "study_id": study_id,
        "patient_id": str(fact["case"]),
        "image": f"images/{study_id}.nii.gz",
        "report": f"reports/{study_id}.txt",
        "organs": f"organs/{study_id}.nii.gz",
        "lesions": f"lesions/{study_id}.nii.gz",
        "split": split,
    }


def tumours_of(tumour: np.ndarray, fact: dict[str, object]) -> list[Lesion]:
    """Components, largest first; the largest has the size that its radiologist wrote, the others that of the mask."""
    labels, count = ndimage.label(tumour, structure=np.ones((3, 3, 3)))
    found = [labels == value for value in range(1, count + 1)]
    found.sort(key=np.count_nonzero, reverse=True)
    stated = fact["radiographic_size_cm"]
    lesions = []
    for index, mask in enumerate(found):
        size = 10.0 * float(stated) if index == 0 and stated else equivalent_diameter(mask)  # type: ignore[arg-type]
        lesions.append(Lesion(mask, size))
    return lesions


def equivalent_diameter(mask: np.ndarray) -> float:
    """Diameter in mm of the ball of the same volume."""
    return float((np.count_nonzero(mask) * SPACING_MM**3 * 6 / np.pi) ** (1 / 3))


def grow_cysts(parenchyma: np.ndarray, rng: np.random.Generator) -> list[Lesion]:
    """Round cysts at the rim of the kidney, outside the tumour."""
    cysts: list[Lesion] = []
    rim = np.argwhere(parenchyma & ~ndimage.binary_erosion(parenchyma, iterations=2))
    while len(rim) and rng.random() < CYST_CHANCE and len(cysts) < 4:
        diameter = float(np.clip(rng.lognormal(np.log(15), 0.5), 7, 45))
        centre = rim[rng.integers(len(rim))]
        grid = np.indices(parenchyma.shape).reshape(3, *parenchyma.shape)
        distance = np.sqrt((((grid - centre.reshape(3, 1, 1, 1)) * SPACING_MM) ** 2).sum(0))
        near_kidney = ndimage.binary_dilation(parenchyma, iterations=3)
        cysts.append(Lesion((distance <= diameter / 2) & near_kidney, diameter))
    return cysts


def field(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Correlated noise of mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), scale)
    return (noise - noise.mean()) / noise.std()


def intensities(kidney: np.ndarray, tumour: np.ndarray, cysts: list[Lesion], rng: np.random.Generator) -> np.ndarray:
    """Hounsfield units of a portal-venous scan, int16."""
    shape = kidney.shape
    hu = -100 + 8 * field(shape, 3, rng)
    soft = field(shape, 7, rng) > rng.uniform(0.1, 0.6)  # muscle, bowel, liver or spleen around
    hu[soft] = rng.uniform(45, 70) + 12 * field(shape, 4, rng)[soft]
    organ = field(shape, 9, rng) > rng.uniform(0.6, 1.1)
    hu[organ] = rng.uniform(95, 130) + 6 * field(shape, 3, rng)[organ]
    vessel = np.abs(field(shape, 5, rng)) < 0.05
    hu[vessel & soft] = rng.uniform(130, 170)
    depth = ndimage.distance_transform_edt(kidney) * SPACING_MM
    cortex = rng.uniform(140, 190)
    hu[kidney] = cortex + 5 * field(shape, 2, rng)[kidney]
    hu[(depth > 8) & (field(shape, 1.5, rng) > 0)] = cortex - rng.uniform(15, 45)  # pyramids
    sinus = (depth > 12) & (field(shape, 2.5, rng) > 0.2) & ~tumour
    hu[sinus] = np.where(field(shape, 1.5, rng)[sinus] > 0, -70, rng.uniform(0, 25))
    labels, count = ndimage.label(tumour, structure=np.ones((3, 3, 3)))
    for value in range(1, count + 1):
        mask = labels == value
        level = cortex - rng.uniform(15, 90) if rng.random() < 0.9 else cortex + rng.uniform(10, 25)
        hu[mask] = level + rng.uniform(4, 18) * field(shape, 2.0, rng)[mask]
        if np.count_nonzero(mask) > 1000 and rng.random() < 0.5:
            core = mask & (ndimage.distance_transform_edt(mask) * SPACING_MM > 6) & (field(shape, 3, rng) > 0.3)
            hu[core] = rng.uniform(15, 35)
    for cyst in cysts:
        hu[cyst.mask & ~tumour] = rng.uniform(0, 18) if rng.random() < 0.85 else rng.uniform(55, 75)
    blurred = ndimage.gaussian_filter(hu, rng.uniform(0.5, 0.8))
    noise = rng.uniform(9, 18) * field(shape, 0.6, rng)
    return np.clip(np.rint(blurred + noise), -1024, 3071).astype(np.int16)


def part_of(mask: np.ndarray, kidney: np.ndarray) -> str:
    """The third of the kidney's craniocaudal extent in which the lesion's centre lies."""
    z = np.nonzero(kidney.any((0, 1)))[0]
    relative = (np.nonzero(mask)[2].mean() - z[0]) / max(z[-1] - z[0], 1)
    return "lower pole" if relative < 1 / 3 else "upper pole" if relative > 2 / 3 else "interpolar region"


def dictate(kidney: np.ndarray, tumours: list[Lesion], cysts: list[Lesion], side: str, rng: np.random.Generator) -> str:
    """The report on one kidney."""

    def said(templates: tuple[str, ...], lesion: Lesion | None = None) -> str:
        diameter = lesion.diameter_mm if lesion else 0.0
        size = f"{diameter / 10:.1f} cm" if rng.random() < 0.7 else f"{round(diameter)} mm"
        part = part_of(lesion.mask, kidney) if lesion else ""
        words = {"side": side, "Side": side.capitalize(), "size": size, "part": part}
        return str(rng.choice(templates)).format(**words, adjective=rng.choice(ADJECTIVES))

    sentences = []
    for index, tumour in enumerate(tumours):
        sized = rng.random() >= SIZE_MISSING
        sentences.append(said(SECOND if index else SIZED if sized else UNSIZED, tumour))
    if not tumours:
        sentences.append(said(NORMAL) if not cysts or rng.random() < CYST_MENTIONED else "")
    sentences += [said(CYST, cyst) for cyst in cysts if rng.random() < CYST_MENTIONED]
    if not any(sentences):
        sentences = [f"No solid mass in the {side} kidney."]
    return f"{rng.choice(OPENINGS)}\n\nFINDINGS:\n{' '.join(filter(None, sentences))}\n"


if __name__ == "__main__":
    main()
