"""A Dask cluster gives what one process gives, and says what is wrong with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dictamen.cli import main
from dictamen.errors import InputError, UsageError
from dictamen.parallel import map_studies

distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
NAME = "Quillfeather"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
    ) as local:
        yield local.scheduler_address


def run(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def square(number: int) -> int:
    if number == 2:
        raise InputError("A bad study.", where="s2")
    if number == 3:
        raise RuntimeError(f"{NAME} must not be seen")
    return number * number


def test_results_keep_their_order_and_a_failure_is_a_value(cluster: str) -> None:
    outcomes = list(map_studies(square, [(f"s{i}", i) for i in range(9)], cluster=cluster))
    assert [o.study_id for o in outcomes] == [f"s{i}" for i in range(9)]
    assert [o.value for o in outcomes] == [0, 1, None, None, 16, 25, 36, 49, 64]
    assert str(outcomes[2].error) == str(InputError("A bad study.", where="s2"))
    assert NAME not in str(outcomes[3].error)


def test_read_on_a_cluster_writes_the_same_file(cluster: str, tmp_path: Path) -> None:
    reports = tmp_path / "reports.jsonl"
    with reports.open("w", encoding="utf-8") as file:
        for number in range(150):
            text = f"{NAME}. Liver: {number % 40 + 3} mm cyst in segment {number % 8 + 1}. Spleen normal."
            file.write(json.dumps({"study_id": f"S{number}", "report": text}) + "\n")
    site = tmp_path / "site.toml"
    site.write_text('[lesion.cyst]\nterms = ["blob"]\n', encoding="utf-8")
    runs = {"one": [], "cores": ["-j", "0"], "cluster": ["--cluster", cluster]}
    for name, options in runs.items():
        arguments = ["read", str(reports), "-o", str(tmp_path / f"{name}.jsonl"), "--site", str(site), *options]
        assert run(arguments) == 0
    one = (tmp_path / "one.jsonl").read_text(encoding="utf-8")
    assert one.count("\n") == 150
    assert NAME not in one
    assert (tmp_path / "cores.jsonl").read_text(encoding="utf-8") == one
    assert (tmp_path / "cluster.jsonl").read_text(encoding="utf-8") == one


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:8786", "The address of the cluster is wrong"),
        ("tcp://127.0.0.1:port", "The address of the cluster is wrong"),
        ("tcp://8.8.8.8:8786", "Reports would leave this network"),
    ],
)
def test_a_wrong_or_public_address_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str, says: str
) -> None:
    reports = tmp_path / "reports.csv"
    reports.write_text("study_id,report\nS1,Normal liver.\n", encoding="utf-8")
    assert run(["read", str(reports), "-o", str(tmp_path / "f.jsonl"), "--cluster", address]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dictamen.parallel.CONNECT_S", 0.2)
    with pytest.raises(UsageError, match="does not answer"):
        list(map_studies(square, [("s0", 0)], cluster="tcp://127.0.0.1:1"))
