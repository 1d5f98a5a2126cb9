"""Bad input, each tried on purpose: one message that says what, where and what next, the right exit code, no traceback,
nothing half-written, the other studies unharmed."""

import csv
import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from dictamen.cli.main import main
from dictamen.training.config import TrainConfig

USAGE, BAD_INPUT, RESOURCES, INTERRUPTED = 2, 3, 4, 130
STUDIES = [f"phantom_{number:04d}" for number in range(1, 7)]
SHORT_RUN = (
    *("--preset", "unet_tiny", "--set", "steps=2", "--set", "patch_size=[16,16,16]", "--set", "validate_every=9"),
    *("--set", "checkpoint_every=1", "--set", "validation_studies=1", "--set", "log_every=1"),
)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process; a traceback fails the test that runs it."""

    def call(*words: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call


def quiet(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "source"
    quiet(
        *("phantom", "-o", folder, "--studies", 6, "--masks", 2, "--validation", 1, "--test", 1, "--spacing-mm", 8),
    )
    return folder


@pytest.fixture(scope="module")
def cohort(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    quiet("cohort", "build", source, "-o", folder)
    return folder


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    quiet("train", cohort, "-o", folder, *SHORT_RUN)
    return folder


@pytest.fixture(scope="module")
def predicted(trained: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "out"
    quiet("predict", trained, source, "-o", folder)
    return folder


@pytest.fixture
def studies(source: Path, tmp_path: Path) -> Path:
    """A copy of the source, to be damaged."""
    return Path(shutil.copytree(source, tmp_path / "studies"))


def one_message(done: Done, *, code: int, says: Sequence[str]) -> None:
    assert done.code == code, done.err
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("Error: ")
    assert all(words in lines[0] for words in says), lines[0]


# --- read


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("no_column.csv", b"study_id,text\nA,x\n", ("no column 'report'", "--report-column text")),
        ("latin.csv", "study_id,report\nA,Lésion\n".encode("latin1"), ("not utf-8", "byte 19", "--encoding")),
        ("empty.csv", b"", ("is empty", "study_id, report")),
        ("header.csv", b"study_id,report\n", ("no report",)),
        ("twice.csv", b"study_id,report\nA,x\nA,y\n", ("occurs twice", "line 2 and line 3")),
        ("cut.csv", b"study_id,report\nA,no mass, but a cyst\n", ("more cells", "line 2", "quotes")),
        ("short.csv", b"study_id,report\nA\n", ("fewer cells", "line 2")),
        ("open.csv", b'study_id,report\nA,"x\n', ("csv is broken",)),
        ("nobody.csv", b"study_id,report\n,x\n", ("no study id", "line 2")),
        ("outside.csv", b"study_id,report\nA,../secret.txt\n", ("leaves the folder", "line 2")),
        ("gone.csv", b"study_id,report\nA,gone.txt\n", ("does not exist", "gone.txt")),
        ("bad.jsonl", b'{"study_id": 1,\n', ("not valid JSON", "line 1")),
        ("list.jsonl", b'{"study_id": "A", "report": ["x"]}\n', ("no text", "a JSON list")),
        ("bad.parquet", b"xx", ("parquet file can't be read",)),
    ],
)
def test_reports_that_cannot_be_read(
    run: Run, tmp_path: Path, name: str, content: bytes, says: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    done = run("read", tmp_path / name, "-o", tmp_path / "f.jsonl")
    one_message(done, code=BAD_INPUT, says=(name, *says))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_semicolons_and_files_named_in_a_table_are_read(run: Run, tmp_path: Path, source: Path) -> None:
    (tmp_path / "r.csv").write_text("study_id;report\nA;A 2 cm cyst in the liver.\n", encoding="utf-8")
    assert json.loads(run("read", tmp_path / "r.csv", "-o", tmp_path / "f.jsonl", "--json").out)["findings"] == 1
    facts = [
        json.loads(run("read", reports, "-o", tmp_path / "g.jsonl", "--json").out)
        for reports in (source / "studies.csv", source / "reports")
    ]
    assert facts[0] == facts[1]
    assert facts[0]["findings"] > 0


def test_outputs_that_cannot_be_files(run: Run, tmp_path: Path) -> None:
    reports = tmp_path / "r.csv"
    reports.write_text("study_id,report\nA,A 2 cm cyst in the liver.\n", encoding="utf-8")
    (tmp_path / "folder.jsonl").mkdir()
    one_message(run("read", reports, "-o", tmp_path / "folder.jsonl"), code=USAGE, says=("is a folder",))
    one_message(run("read", reports, "-o", reports / "f.jsonl"), code=USAGE, says=("is a file",))
    one_message(run("read", reports, "-o", tmp_path / "f.xls"), code=USAGE, says=(".jsonl or .parquet",))
    same = tmp_path / "f.jsonl"
    one_message(run("read", reports, "-o", same, "--html", same), code=USAGE, says=("one file",))
    assert not same.exists()


# --- cohort build and check


def resave(path: Path, change: Callable[[Any, Any], Any]) -> None:
    image = nib.load(path)
    nib.save(change(np.asanyarray(image.dataobj), image.affine), path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1500])


def claim_too_much(path: Path) -> None:
    """A header of 30000^3 voxels in a file of 416 bytes."""
    header = bytearray(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()[:416])
    struct.pack_into("<8h", header, 40, 3, 30000, 30000, 30000, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(header)))


def flatten(path: Path) -> None:
    resave(path, lambda array, affine: nib.Nifti1Image(array[:, :, 0], affine))


def double(path: Path) -> None:
    resave(path, lambda array, affine: nib.Nifti1Image(np.stack([array, array], -1), affine))


def put_nan(path: Path) -> None:
    def change(array: Any, affine: Any) -> Any:
        array = array.astype(np.float32)
        array[3, 3, 3] = np.nan
        return nib.Nifti1Image(array, affine)

    resave(path, change)


def spacing_x(path: Path, value: float) -> None:
    raw = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<f", raw, 80, value)
    path.write_bytes(gzip.compress(bytes(raw)))


def shift(path: Path) -> None:
    moved = np.eye(4)
    moved[:3, 3] = 5
    resave(path, lambda array, affine: nib.Nifti1Image(array, moved @ affine))


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "truncated": ("images", truncate, "unreadable"),
    "no NIfTI": ("images", lambda path: path.write_bytes(b"junk" * 100) and None, "unreadable"),
    "empty": ("images", lambda path: path.write_bytes(b"") and None, "unreadable"),
    "missing": ("images", Path.unlink, "missing_file"),
    "huge": ("images", claim_too_much, "unreadable"),
    "2D": ("images", flatten, "not_3d"),
    "4D": ("images", double, "not_3d"),
    "NaN": ("images", put_nan, "not_finite"),
    "no spacing": ("images", lambda path: spacing_x(path, 0.0), "spacing_not_positive"),
    "negative spacing": ("images", lambda path: spacing_x(path, -2.0), "spacing_not_positive"),
    "other grid": ("organs", shift, "geometry_mismatch"),
    "mask truncated": ("organs", truncate, "unreadable"),
    "mask 2D": ("lesions", flatten, "not_3d"),
    "report in Latin-1": ("reports", lambda path: path.write_bytes(b"L\xe9sion") and None, "unreadable_report"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_study_is_listed_and_the_others_are_built(run: Run, studies: Path, name: str) -> None:
    kind, damage, code = DAMAGES[name]
    damage(studies / kind / f"phantom_0001{'.txt' if kind == 'reports' else '.nii.gz'}")
    (problem,) = json.loads(run("cohort", "check", studies, "--json").out)
    assert (problem["study_id"], problem["code"], problem["severity"]) == ("phantom_0001", code, "error")
    assert problem["file"].startswith(f"{kind}/phantom_0001")
    done = run("cohort", "build", studies, "-o", studies.parent / "cohort")
    assert done.code == 0
    assert len(done.err.strip().splitlines()) == 1
    assert f"error [{code}] phantom_0001" in done.err
    built = sorted(path.name for path in (studies.parent / "cohort" / "arrays").iterdir())
    assert built == [f"{study}.zarr" for study in STUDIES[1:]]


def table(folder: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    path = folder / "studies.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("column", "value", "code", "failed"),
    [
        ("study_id", "phantom_0001", "duplicate_study_id", {"phantom_0001"}),
        ("image", "../studies/../elsewhere/phantom_0002.nii.gz", "unusable_row", {"phantom_0002"}),
        ("report", "/etc/report.txt", "unusable_row", {"phantom_0002"}),
        ("patient_id", "patient_0001", "patient_in_several_splits", {"phantom_0001", "phantom_0002"}),
        ("split", "dev", "unusable_row", {"phantom_0002"}),
    ],
)
def test_a_wrong_row_costs_its_studies_alone(
    run: Run, studies: Path, column: str, value: str, code: str, failed: set[str]
) -> None:
    table(studies, lambda rows: rows[1].update({column: value}))
    done = run("cohort", "build", studies, "-o", studies.parent / "cohort", "--json")
    facts = json.loads(done.out)
    assert done.code == 0
    assert {problem["code"] for problem in facts["problems"] if problem["severity"] == "error"} == {code}
    assert set(facts["failed"]) == failed
    assert facts["built"] == 6 - len(failed | {"phantom_0002"})


def test_a_table_that_cannot_be_used_is_one_message(run: Run, studies: Path, tmp_path: Path) -> None:
    path = studies / "studies.csv"
    good = path.read_text(encoding="utf-8")
    for content, says in (
        (good.replace("image", "picture", 1).encode(), ("`image` is missing",)),
        (good.replace("patient_0003", "patiént").encode("latin1"), ("not in UTF-8", "iconv")),
        (b"", ("is empty", "study_id, image")),
        (b"study_id,image\n", ("no study",)),
    ):
        path.write_bytes(content)
        for words in (("check", studies), ("build", studies, "-o", tmp_path / "cohort")):
            one_message(run("cohort", *words), code=BAD_INPUT, says=says)
        assert not (tmp_path / "cohort").exists()


def test_labels_without_names_say_how_to_name_them(run: Run, studies: Path) -> None:
    (studies / "labels.json").unlink()
    problems = json.loads(run("cohort", "check", studies, "--json").out)
    assert sum(problem["code"] == "labels_without_names" for problem in problems) == 6
    assert all("labels.json" in p["message"] for p in problems if p["code"] == "labels_without_names")
    (studies / "labels.json").write_text("{", encoding="utf-8")
    one_message(run("cohort", "check", studies), code=BAD_INPUT, says=("labels.json", "Expected"))


def test_reports_without_finding_and_organs_without_mask_are_warnings(run: Run, studies: Path) -> None:
    for study in STUDIES:
        (studies / "reports" / f"{study}.txt").write_text("There is a 21 mm lesion in the prostate.", encoding="utf-8")
    (studies / "reports" / "phantom_0001.txt").write_text("Limited examination.", encoding="utf-8")
    (studies / "reports" / "phantom_0002.txt").write_text("", encoding="utf-8")
    done = run("cohort", "check", studies, "--json")
    codes = {problem["study_id"]: problem["code"] for problem in json.loads(done.out)}
    assert done.code == 0
    assert codes == {
        "phantom_0001": "report_without_finding",
        "phantom_0002": "empty_report",
        **dict.fromkeys(STUDIES[2:], "organ_mask_missing"),
    }
    assert "21 mm" not in done.out  # the text of a report


def test_build_refuses_wrong_options_before_it_writes(run: Run, source: Path, cohort: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in cohort.iterdir())
    build = ("cohort", "build", source, "-o")
    one_message(run(*build, cohort), code=USAGE, says=("not empty", "--resume"))
    one_message(run(*build, source, "--overwrite"), code=USAGE, says=("no cohort",))
    one_message(run(*build, cohort, "--overwrite", "--jobs", 0), code=USAGE, says=("jobs",))
    one_message(run(*build, tmp_path / "c", "--spacing-mm", "0"), code=USAGE, says=("spacing_mm",))
    one_message(run(*build, tmp_path / "c", "--layout", "bids"), code=USAGE, says=("studies_csv",))
    one_message(run("cohort", "info", source), code=BAD_INPUT, says=("no cohort", "cohort build"))
    assert sorted(path.name for path in cohort.iterdir()) == before
    assert not (tmp_path / "c").exists()


def test_a_damaged_cohort_says_what_to_do(run: Run, cohort: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(cohort, tmp_path / "cohort"))
    (damaged / "findings.parquet").unlink()
    shutil.rmtree(damaged / "arrays" / "phantom_0001.zarr")
    problems = json.loads(run("cohort", "check", damaged, "--json").out)
    assert [problem["code"] for problem in problems] == ["damaged", "damaged"]
    (damaged / "studies.parquet").write_bytes(b"x")
    one_message(run("cohort", "info", damaged), code=BAD_INPUT, says=("studies.parquet", "--resume"))
    (damaged / "cohort.json").write_text("{", encoding="utf-8")
    one_message(run("cohort", "info", damaged), code=BAD_INPUT, says=("cohort.json", "--overwrite"))


# --- train and experiment


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--preset", "unett"), ("unett", "swinunetr")),
        (("--set", "stepz=3"), ("`stepz`", "steps")),
        (("--set", "losses.bal=1"), ("`losses.bal`", "volume_mode")),
        (("--set", "steps=0"), ("`steps`",)),
        (("--set", "steps"), ("key=value",)),
        (("--set", "network.foo=1"), ("foo",)),
        (("--set", "patch_size=[30,30,30]"), ("(30, 30, 30)", "multiples")),
        (("--set", 'targets=["nose_tumour"]'), ("nose_tumour",)),
        (("--set", 'organs=["nose"]'), ("nose", "kidney")),
        (("--supervision", "dreams"), ("supervision",)),
        (("--set", "accelerator=quantum"), ("quantum", "cpu")),
    ],
)
def test_wrong_settings_leave_no_run(
    run: Run, cohort: Path, tmp_path: Path, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    one_message(run("train", cohort, "-o", tmp_path / "run", *words), code=USAGE, says=says)
    assert not (tmp_path / "run").exists()


def test_no_command_harms_a_run_that_it_refuses(run: Run, cohort: Path, trained: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(trained, tmp_path / "run"))
    before = {path: path.read_bytes() for path in older.rglob("*") if path.is_file()}
    train = ("train", cohort, "-o", older, *SHORT_RUN)
    usual = f"learning_rate={TrainConfig().learning_rate}"
    one_message(run(*train), code=USAGE, says=("not empty",))
    one_message(run(*train, "--resume", "--set", "learning_rate=0.1"), code=USAGE, says=("learning_rate=0.1", usual))
    one_message(run(*train, "--overwrite", "--preset", "nope"), code=USAGE, says=("nope",))
    assert before == {path: path.read_bytes() for path in older.rglob("*") if path.is_file()}
    for path in (older / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:1000])
    one_message(run(*train, "--resume"), code=BAD_INPUT, says=("No checkpoint can be read", "--overwrite"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--arms", "foo"), USAGE, "masks+reports"),
        (("--split", "dev"), USAGE, "dev"),
        (("--set", "stepz=1"), USAGE, "stepz"),
        (("--masks", "0"), USAGE, "--masks"),
        (("--masks", "3,x"), USAGE, "3,x"),
        (("--reports", "many"), USAGE, "many"),
        (("--arms", "masks,none.toml"), BAD_INPUT, "none.toml"),
    ],
)
def test_an_experiment_is_refused_before_its_first_step(
    run: Run, cohort: Path, tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    one_message(run("experiment", cohort, "-o", tmp_path / "x", *words), code=code, says=(says,))
    assert not (tmp_path / "x").exists()


# --- audit


def test_an_audit_is_refused_before_it_writes(run: Run, cohort: Path, tmp_path: Path) -> None:
    one_message(run("audit", cohort, "-o", tmp_path / "x", "--split", "dev"), code=USAGE, says=("dev",))
    assert not (tmp_path / "x").exists()


def test_an_audit_of_no_cohort_is_refused(run: Run, tmp_path: Path) -> None:
    one_message(run("audit", tmp_path), code=BAD_INPUT, says=("no cohort", "cohort build"))


# --- predict and evaluate


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("model.json", b"{", "can't be read"),
        ("model.json", None, "no model.json"),
        ("model.safetensors", None, "no model.safetensors"),
        ("model.safetensors", b"", "can't be read"),
        ("model.safetensors", b"\0" * 5000, "can't be read"),
    ],
)
def test_a_damaged_model_is_one_message(
    run: Run, trained: Path, source: Path, tmp_path: Path, file: str, content: bytes | None, says: str
) -> None:
    model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
    (model / file).unlink()
    if content is not None:
        (model / file).write_bytes(content)
    one_message(run("predict", model, source, "-o", tmp_path / "out"), code=BAD_INPUT, says=(says,))
    assert not (tmp_path / "out").exists()


def test_weights_of_another_configuration_are_refused(run: Run, trained: Path, source: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(trained / "model", tmp_path / "model"))
    card = json.loads((model / "model.json").read_text(encoding="utf-8"))
    card["architecture"]["preset"] = "unet"
    (model / "model.json").write_text(json.dumps(card), encoding="utf-8")
    done = run("predict", model, source, "-o", tmp_path / "out")
    one_message(done, code=BAD_INPUT, says=("another configuration", "model.json"))


def test_bad_images_fail_alone(run: Run, trained: Path, studies: Path, tmp_path: Path) -> None:
    images = studies / "images"
    for study, damage in zip(STUDIES, (truncate, flatten, claim_too_much, put_nan), strict=False):
        damage(images / f"{study}.nii.gz")
    spacing_x(images / "phantom_0005.nii.gz", 0.0)
    done = run("predict", trained, images, "-o", tmp_path / "out", "--json")
    facts = json.loads(done.out)
    assert done.code == 0
    assert facts["predicted"] == ["phantom_0006"]
    assert [failure["study_id"] for failure in facts["failed"]] == STUDIES[:5]
    alone = run("predict", trained, images / "phantom_0001.nii.gz", "-o", tmp_path / "alone")
    assert alone.code == BAD_INPUT
    assert "No study could be predicted" in alone.err


def test_evaluation_of_what_is_none_writes_nothing(
    run: Run, predicted: Path, cohort: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "evaluation"
    unnamed = Path(shutil.copytree(predicted, tmp_path / "unnamed"))
    (unnamed / "labels.json").unlink()
    for words, code, says in (
        ((unnamed, cohort), BAD_INPUT, ("labels.json", "--labels")),
        ((predicted, source), BAD_INPUT, ("no cohort",)),
        ((source / "images", cohort), BAD_INPUT, ("labels.json",)),
        ((predicted, cohort, "--split", "dev"), USAGE, ("dev", "test")),
        ((predicted, cohort, "--against", "truth"), USAGE, ("truth", "masks")),
        ((predicted, cohort, "--labels", tmp_path / "none.json"), BAD_INPUT, ("none.json",)),
    ):
        one_message(run("evaluate", *words, "-o", out), code=code, says=says)
        assert not out.exists()


def test_a_damaged_prediction_fails_alone(run: Run, predicted: Path, cohort: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(predicted, tmp_path / "out"))
    (damaged / "phantom_0001.nii.gz").write_bytes(b"junk" * 100)
    words = ("evaluate", damaged, cohort, "--split", "all", "--no-pictures", "-o", tmp_path / "e", "--json")
    done = run(*words)
    assert done.code == 0
    assert list(json.loads(done.out)["failed"]) == ["phantom_0001"]


# --- all verbs


def test_errors_of_the_option_parser_are_json_too(run: Run) -> None:
    for words in (("train",), ("read", "r.csv", "-o", "f.jsonl", "--jobs", "many"), ("cohort", "paint")):
        done = run(*words, "--json")
        assert done.code == USAGE
        assert json.loads(done.err)["error"] == "UsageError"
        assert done.out == ""


def test_an_unforeseen_error_is_no_traceback_and_quotes_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, cohort: Path
) -> None:
    def break_down(path: Path) -> None:
        raise ZeroDivisionError("text of a report")

    monkeypatch.setattr("dictamen.cohort.describe.describe", break_down)
    done = run("cohort", "info", cohort)
    one_message(done, code=1, says=("ZeroDivisionError", "--debug"))
    assert "text of a report" not in done.err
    with pytest.raises(ZeroDivisionError):
        main(["cohort", "info", str(cohort), "--debug"])


def test_a_full_disk_is_named_and_leaves_no_half_file(
    run: Run, monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path
) -> None:
    def full(handle: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    reports = source / "reports"
    done = run("read", reports, "-o", tmp_path / "f.jsonl")
    one_message(done, code=RESOURCES, says=("disk is full", "f.jsonl", "free space"))
    done = run("phantom", "-o", tmp_path / "p", "--studies", 3, "--masks", 1, "--validation", 0, "--test", 0)
    one_message(done, code=RESOURCES, says=("disk is full", "phantom_0001"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["f.jsonl.partial"]  # for --resume


# --- Ctrl-C


def interrupt(words: Sequence[object], *, when: Callable[[], bool]) -> Done:
    """Start a command, send SIGINT once `when` holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dictamen", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until = time.monotonic() + 60
    while not when() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)


def found(folder: Path, pattern: str) -> Callable[[], bool]:
    return lambda: any(folder.glob(pattern))


def interrupted(done: Done, *, says: str) -> None:
    assert done.code == INTERRUPTED, done.err
    *warned, last = done.err.strip().splitlines()
    assert last.startswith("Interrupted. ") and says in last
    assert all(line.startswith("no training study has a ") for line in warned), warned  # ours; no library speaks


def test_ctrl_c_while_reading_can_go_on(tmp_path: Path) -> None:
    sentence = "There is a 2.3 cm lesion in segment 6 of the liver."
    rows = "".join(f"S{number},{sentence}\n" for number in range(100_000))
    (tmp_path / "r.csv").write_text("study_id,report\n" + rows, encoding="utf-8")
    done = interrupt(["read", tmp_path / "r.csv", "-o", tmp_path / "f.jsonl"], when=found(tmp_path, "*.partial"))
    interrupted(done, says="--resume")
    assert {path.name for path in tmp_path.iterdir()} <= {"r.csv", "f.jsonl.partial"}


def test_ctrl_c_while_generating(tmp_path: Path) -> None:
    words = ["phantom", "-o", tmp_path / "p", "--spacing-mm", 4, "--studies", 100]
    interrupted(interrupt(words, when=found(tmp_path, "p/images/*.gz")), says="--overwrite")
    assert not (tmp_path / "p" / "studies.csv").exists()


def test_ctrl_c_while_building_can_go_on(run: Run, source: Path, studies: Path, tmp_path: Path) -> None:
    def more(rows: list[dict[str, str]]) -> None:
        rows += [{**row, "study_id": f"{row['study_id']}_{copy}"} for row in rows for copy in range(8)]

    table(studies, more)
    words = ["cohort", "build", studies, "-o", tmp_path / "c"]
    interrupted(interrupt(words, when=found(tmp_path, "c/arrays/phantom_0002.zarr")), says="--resume")
    assert not list(tmp_path.rglob("*.partial"))
    done = run(*words, "--resume", "--json")
    facts = json.loads(done.out)
    assert (facts["built"], facts["failed"]) == (54, [])
    assert facts["reused"] > 0


def test_ctrl_c_while_training_keeps_checkpoints(cohort: Path, tmp_path: Path) -> None:
    words = ["train", cohort, "-o", tmp_path / "run", *SHORT_RUN, "--set", "steps=1000"]
    done = interrupt(words, when=found(tmp_path, "run/checkpoints/step_*2.safetensors"))
    interrupted(done, says="--resume")  # and no library said which device and precision it uses
    assert not list(tmp_path.rglob(".partial-*"))


def test_ctrl_c_while_predicting_can_go_on(run: Run, trained: Path, source: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(16):
        (images / f"copy_{number}.nii.gz").symlink_to(source / "images" / "phantom_0001.nii.gz")
    words = ["predict", trained, images, "-o", tmp_path / "out"]
    done = interrupt(words, when=found(tmp_path, "out/copy_1.nii.gz"))  # the second: the first is recorded by now
    assert done.code == INTERRUPTED
    assert done.err.strip().splitlines() == [
        "Research use only; not a medical device.",
        "Interrupted. What was done is kept: run the same command with --resume to go on.",
    ]
    facts = json.loads(run(*words, "--resume", "--json").out)
    assert facts["skipped"]
    assert len(facts["skipped"]) + len(facts["predicted"]) == 16
