"""Organs of a few real CTs, asked in words and by fixed classes: one scan with all organs, others with the liver.

Training at 6 mm: the TotalSegmentator example (12 of its structures) and the livers of three abdominal CTs, two
cohorts with other labels in one run. Test, other patients: livers by an expert and a machine, an expert's spleen and
bladder. The prompts of the test are synonyms. Both arms have the same backbone, batches and steps. A handful of scans:
the figures say that it runs on real CTs and how the arms compare, not how good such a model can be.

    python benchmarks/prompts/real_organs.py SHARED [--steps 200]        # SHARED: folder of the real CTs
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import torch
from two_cohorts import answers, fixed

from dictamen.anatomy import totalsegmentator, vocabulary
from dictamen.cohort.build import build_cohort
from dictamen.cohort.store import Cohort
from dictamen.imaging.nifti import write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume
from dictamen.inference.encoded import EncodedVolume
from dictamen.models.package import load_model
from dictamen.models.prompted import PromptedNetwork
from dictamen.prompting.config import validated
from dictamen.prompting.train import train_prompts

matplotlib.use("Agg")
SPACING_MM = 6.0
PATCH = (32, 32, 32)
LABELS = ("liver", "spleen", "kidney_left", "kidney_right", "stomach", "aorta", "heart", "urinary_bladder", "colon",
          "hip_left", "hip_right", "sacrum")  # fmt: skip
PROMPTS = {"liver": "hepar", "spleen": "splenic", "urinary_bladder": "bladder"}
TRAIN_LIVERS = {
    "crlm/CRLM-CT-1004_ct": "crlm/CRLM-CT-1004_seg_machine",
    "tcia_atlas/adrenal_ct": "tcia_atlas/adrenal_liver_machine",
    "tcia_atlas/pancreas_ct": "tcia_atlas/pancreas_liver_machine",
}
TESTS = {  # scan: mask, its value, label, who drew it
    "tcia_atlas/liver_ct": ("tcia_atlas/liver_seg", None, "liver", "expert"),
    "crlm/CRLM-CT-1006_ct": ("crlm/CRLM-CT-1006_seg_machine", None, "liver", "machine"),
    "msd_spleen8/spleen_8_ct": ("msd_spleen8/spleen_8_spleen", None, "spleen", "expert"),
    "tcia_atlas/pelvis_ct": ("tcia_atlas/pelvis_seg", 2, "urinary_bladder", "expert"),
}

Rows = dict[str, tuple[Path, dict[int, int] | None]]


def cohort(ct: Path, folder: Path, name: str, rows: Rows, labels: dict[int, str], split: str) -> Path:
    """A cohort of one set of labels; `rows`: scan -> mask and its value -> value of `labels` (None: all of it is 1)."""
    made = folder / f"cohort_{name}"
    if (made / "cohort.json").is_file():
        return made
    data = folder / name
    data.mkdir(parents=True, exist_ok=True)
    lines = ["study_id,image,organs,split"]
    for scan, (mask, values) in rows.items():
        study, read = scan.replace("/", "_"), read_label_map(mask)
        array = np.zeros(read.array.shape, np.uint8)
        for value, new in (values or {}).items():
            array[read.array == value] = new
        array = (read.array > 0).astype(np.uint8) if values is None else array
        write_volume(Volume(array, read.affine, study), data / f"{study}_organs.nii.gz")
        lines.append(f"{study},{ct / (scan + '.nii.gz')},{study}_organs.nii.gz,{split}")
    (data / "labels.json").write_text(json.dumps({"organs": labels, "lesions": {}}), encoding="utf-8")
    (data / "studies.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    build_cohort(data / "studies.csv", made, spacing_mm=SPACING_MM, allow_outside=True)
    return made


def cohorts(ct: Path, folder: Path) -> tuple[list[Path], dict[str, Path]]:
    """Those of training, and one a test scan."""
    known = {value: vocabulary.load().find(name) for value, name in totalsegmentator.CLASS_NAMES.items()}
    wanted = {value: found.id for value, found in known.items() if found is not None and found.id in LABELS}
    numbered = {value: place for place, value in enumerate(wanted, start=1)}
    names = {numbered[value]: name for value, name in wanted.items()}
    masks = {scan: (ct / f"{mask}.nii.gz", None) for scan, mask in TRAIN_LIVERS.items()}
    whole = {"totalsegmentator/example_ct": (ct / "totalsegmentator/example_seg_117cls.nii.gz", numbered)}
    training = [
        cohort(ct, folder, "all", whole, names, "train"),
        cohort(ct, folder, "livers", masks, {1: "liver"}, "train"),
    ]
    tests = {}
    for scan, (mask, value, label, _) in TESTS.items():
        rows = {scan: (ct / f"{mask}.nii.gz", None if value is None else {value: 1})}
        tests[scan] = cohort(ct, folder, scan.replace("/", "_"), rows, {1: label}, "test")
    return training, tests


def measure(model: torch.nn.Module, tests: dict[str, Path], window: object, pictures: Path) -> dict[str, float]:
    """Dice of each test scan; a picture of each."""
    from matplotlib import pyplot

    found = {}
    for scan, path in tests.items():
        opened = Cohort.open(path)
        study = opened.study(opened.ids("test")[0])
        image, truth = study.level("image", 1), study.level("organs", 1) > 0
        label = TESTS[scan][2]
        if isinstance(model, PromptedNetwork):
            volume = EncodedVolume(model, window.apply(image), patch_size=PATCH)
            answer = next(iter(volume.ask(model.embed([PROMPTS[label]]))))
            probability, presence = answer.logits.sigmoid().detach().numpy(), answer.presence
        else:
            maps, scores = answers(model, LABELS, window.apply(image))
            probability, presence = maps[LABELS.index(label)], scores[LABELS.index(label)]
        painted = probability >= 0.5
        found[f"{scan}, {label}"] = float(2 * (painted & truth).sum() / max(1, painted.sum() + truth.sum()))
        found[f"{scan}, {label}, presence"] = presence
        middle = int(truth.any((0, 2)).nonzero()[0].mean())
        figure, axis = pyplot.subplots(figsize=(5, 5))
        axis.imshow(image[:, middle].T, origin="lower", cmap="gray", vmin=-160, vmax=240)
        axis.contour(truth[:, middle].T, levels=[0.5], colors="lime", linewidths=1)
        axis.contour(painted[:, middle].T.astype(float), levels=[0.5], colors="red", linewidths=1)
        axis.set_title(f"{scan}, {label}: {found[f'{scan}, {label}']:.2f}", fontsize=8)
        pictures.mkdir(parents=True, exist_ok=True)
        figure.savefig(pictures / f"{scan.replace('/', '_')}.png", dpi=80)
        pyplot.close(figure)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, required=True, help="folder for cohorts, runs and pictures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    training, tests = cohorts(given.shared / "ct", given.keep)
    config = validated({
        "preset": "test", "patch_size": PATCH, "steps": given.steps, "seed": given.seed, "labels": LABELS,
        "validate_every": given.steps, "checkpoint_every": given.steps, "accelerator": "cpu",
        "supervision": ["prompts", "masks"],
    })  # fmt: skip
    for arm in ("in words", "fixed classes"):
        if arm == "in words":
            run = given.keep / f"run-{given.steps}-{given.seed}"
            train_prompts(training, run, config, overwrite=True)
            model, _ = load_model(run)
        else:
            model = fixed(training, config, LABELS)
        row = {"arm": arm, "steps": given.steps, "seed": given.seed}
        row |= measure(model, tests, config.window, given.keep / f"pictures {arm}")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
