import csv
from pathlib import Path

import numpy as np
from small_models import grid, write_image

from dictamen.imaging.volume import Volume
from dictamen.inference.predict import Products, predict
from dictamen.inference.statistics import LabelStatistics, measure_labels


def test_against_the_plain_way() -> None:
    random = np.random.default_rng(0)
    hu = random.integers(-900, 900, (1, 9, 8, 7)).astype(np.int16)
    labels = random.integers(0, 3, hu.shape[1:]).astype(np.uint8)
    labels[0], labels[-1], labels[:, 0], labels[:, -1] = 0, 0, 0, 0
    labels[:, :, 0] = np.where(labels[:, :, 0] == 2, 0, labels[:, :, 0])
    labels[:, :, -1] = 0
    rows = measure_labels(
        labels, Volume(hu, grid("RAS", (1, 2, 3)), "s"), {1: "one", 2: "two", 3: "three"}, ["two", "two"]
    )
    for value, row in enumerate(rows, start=1):
        inside = hu[0][labels == value].astype(float)
        assert row.voxels == inside.size and row.volume_mm3 == inside.size * 6
        if inside.size:
            assert abs((row.mean_hu or 0) - inside.mean()) < 0.01 and abs((row.sd_hu or 0) - inside.std()) < 0.01
    assert [(row.label, row.cut_off, row.lesions) for row in rows] == [
        ("one", True, 0),
        ("two", False, 2),
        ("three", False, 0),
    ]
    assert rows[2].mean_hu is None and rows[2].sd_hu is None


def test_a_table_of_the_batch(run: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_image(tmp_path / "in" / f"s{number}.nii.gz", seed=number)
    out = tmp_path / "out"
    predict(run, tmp_path / "in", out, device="cpu", products=Products(statistics=True))
    with (out / "statistics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LabelStatistics.columns()
    assert [(row["study_id"], row["label"]) for row in rows] == [
        (study, label) for study in ("s0", "s1") for label in ("kidney_tumour", "kidney")
    ]
    predict(run, tmp_path / "in", out, device="cpu", overwrite=True)
    assert not (out / "statistics.csv").exists()
