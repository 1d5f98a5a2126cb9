import math
from pathlib import Path

import pytest

from dictamen.errors import InputError
from dictamen.evaluation.predictions import Predictions

LABELS = '{"labels": {"1": "kidney_tumour"}, "model": "x"}'


def folder(path: Path, **files: str) -> Path:
    for name, text in ({"labels.json": LABELS, "A.nii.gz": "", "B.v2.nii": "", "notes.txt": ""} | files).items():
        (path / name).write_text(text)
    return path


def test_files_labels_and_scores(tmp_path: Path) -> None:
    line = '{"study_id": "A", "scores": {"kidney_tumour": 0.5}, "seconds": 3}\n'
    opened = Predictions.open(folder(tmp_path, **{"studies.jsonl": line, ".partial-1.nii.gz": ""}))
    assert set(opened.files) == {"A", "B.v2"} and opened.labels == {1: "kidney_tumour"}
    assert opened.score("A", "kidney_tumour") == 0.5 and math.isnan(opened.score("B.v2", "kidney_tumour"))


def test_labels_of_another_file(tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text('{"labels": {"2": "liver_cyst"}}')
    (tmp_path / "out").mkdir()
    assert Predictions.open(folder(tmp_path / "out"), labels_file=names).labels == {2: "liver_cyst"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "Nothing says"),
        ("{", "can't be read"),
        ('{"1": "kidney_tumour"}', "can't be read"),
        ('{"labels": {}}', "distinct numbers"),
        ('{"labels": {"0": "kidney_tumour"}}', "distinct numbers"),
        ('{"labels": {"1": "a", "2": "a"}}', "distinct numbers"),
    ],
)
def test_wrong_labels_say_what_to_write(tmp_path: Path, labels: str | None, words: str) -> None:
    folder(tmp_path)
    (tmp_path / "labels.json").unlink() if labels is None else (tmp_path / "labels.json").write_text(labels)
    with pytest.raises(InputError, match=words) as caught:
        Predictions.open(tmp_path)
    assert '{"labels": {"1": "kidney_tumour"}}' in str(caught.value)


def test_no_folder_no_maps_and_broken_scores(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        Predictions.open(tmp_path / "nowhere")
    (tmp_path / "labels.json").write_text(LABELS)
    with pytest.raises(InputError, match="no label map"):
        Predictions.open(tmp_path)
    with pytest.raises(InputError, match="study scores"):
        Predictions.open(folder(tmp_path, **{"studies.jsonl": '{"scores": 3}'}))
