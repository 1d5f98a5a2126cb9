"""A generated cohort as nnU-Net's raw layout: imagesTr, labelsTr, imagesTs, labelsTs, dataset.json and reports.csv."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np

from dictamen.anatomy import vocabulary
from dictamen.errors import UsageError
from dictamen.files import write_json, write_text
from dictamen.imaging.geometry import to_canonical
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.read import read_label_map
from dictamen.imaging.volume import Volume

NAME = re.compile(r"Dataset\d{3}_\w+")
"""What nnU-Net calls a data set."""
SPLITS = "splits_final.json"


def check_name(output: Path) -> None:
    """Raise a UsageError where nnU-Net would not take the folder for a data set."""
    if not NAME.fullmatch(output.name):
        raise UsageError(
            "nnU-Net would not find the data set.", got=output.name, expected="a name like Dataset001_Phantom"
        )


def write_nnunet(plain: Path, output: Path) -> None:
    """Write the plain cohort of the folder `plain` once more, in nnU-Net's raw layout.

    One label map holds the organs of the tasks and, over them, the lesions; that of a training study without lesion
    mask holds organs alone. Studies for validation stand with those for training, and splits_final.json names them;
    copied into nnU-Net's folder of preprocessed data, it is the one fold. All files are RAS+: nnU-Net reads arrays as
    they lie in the file.
    """
    names = json.loads((plain / "labels.json").read_text(encoding="utf-8"))
    organs, labels = _labels(names["organs"], names["lesions"])
    rows = list(csv.DictReader(io.StringIO((plain / "studies.csv").read_text(encoding="utf-8"))))
    for row in rows:
        folder = "Ts" if row["split"] == "test" else "Tr"
        image = to_canonical(read_volume(plain / row["image"], row["study_id"]))
        write_volume(image, output / f"images{folder}" / f"{row['study_id']}_0000.nii.gz")
        write_volume(_label_map(plain, row, organs), output / f"labels{folder}" / f"{row['study_id']}.nii.gz")
    split = {name: [row["study_id"] for row in rows if row["split"] == name] for name in ("train", "val")}
    write_json(output / SPLITS, [split])
    write_text(output / "reports.csv", _reports(plain, rows))
    write_json(output / "dataset.json", {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": len(split["train"]) + len(split["val"]),
        "file_ending": ".nii.gz",
    })  # fmt: skip


def _labels(organs: dict[str, str], lesions: dict[str, str]) -> tuple[dict[int, int], dict[str, int]]:
    """(value of the organ map -> value here, name -> value here); of the organs, those that have a lesion label."""
    words = vocabulary.load()
    wanted = {lesion.removesuffix("_tumour") for lesion in lesions.values()}
    kept = {int(value): name for value, name in organs.items() if words.whole(name)[0] in wanted}
    names = ["background", *kept.values(), *lesions.values()]
    return {old: new for new, old in enumerate(kept, start=1)}, {name: value for value, name in enumerate(names)}


def _label_map(plain: Path, row: dict[str, str], organs: dict[int, int]) -> Volume:
    source = to_canonical(read_label_map(plain / row["organs"], row["study_id"]))
    merged = np.zeros(source.array.shape, np.uint8)
    for old, new in organs.items():
        merged[source.array == old] = new
    if row["lesions"]:
        lesions = to_canonical(read_label_map(plain / row["lesions"], row["study_id"])).array
        merged = np.where(lesions != 0, lesions.astype(np.uint8) + len(organs), merged).astype(np.uint8)
    return Volume(merged, source.affine, row["study_id"])


def _reports(plain: Path, rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("study_id", "report"))
    writer.writerows((row["study_id"], (plain / row["report"]).read_text(encoding="utf-8")) for row in rows)
    return text.getvalue()
