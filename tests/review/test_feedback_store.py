"""The feedback store: nothing is lost, nothing is changed, several people at once; SQLite and a real PostgreSQL."""

import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.review.store import FeedbackStore, export_jsonl, read_jsonl
from dictamen.supervision.feedback import FindingVerdict, RegionAnswer

SCHEME = RegionScheme().to_text()
POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
RATERS, EACH = 4, 25


def answer(region: int = 1, rater: str = "anna", study_id: str = "s1") -> RegionAnswer:
    return RegionAnswer(
        study_id=study_id, rater=rater, label="spleen", mask_sha256="ab", scheme=SCHEME, region=region, score=2,
        direction="over", seconds=3.5,
    )  # fmt: skip


def verdict() -> FindingVerdict:
    return FindingVerdict(study_id="s1", rater="anna", span=(2, 9), structure="kidney", verdict="rejected")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a server of our own, on a socket in a temporary folder."""
    if POSTGRES is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    as_root = os.geteuid() == 0
    user = ["runuser", "-u", "postgres", "--"] if as_root else []
    try:
        if as_root:
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        run = lambda *words: subprocess.run([*user, *words], check=True, capture_output=True, cwd="/", timeout=120)  # noqa: E731
        run(str(POSTGRES / "initdb"), "-D", data, "-U", "tester", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(str(POSTGRES / "pg_ctl"), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run(str(POSTGRES / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.sqlite'}"
    found: str = request.getfixturevalue("postgres")
    engine = sqlalchemy.create_engine(found)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS feedback"))
    engine.dispose()
    return found


def test_records_come_back_in_order_and_twice_adds_nothing(url: str) -> None:
    store = FeedbackStore(url)
    records = [answer(2), verdict(), answer(1), answer(3, study_id="s2")]
    assert store.add(records) == 4
    assert store.add([*records, answer(4)]) == 1
    assert store.answers("s1") == [records[0], records[2], store.answers("s1")[-1]]
    assert [one.region for one in store.answers()] == [2, 1, 3, 4]
    assert store.verdicts() == [records[1]] and store.verdicts("s2") == []
    assert store.add([]) == 0
    store.close()
    again = FeedbackStore(url)
    assert len(again.answers()) == 4
    again.close()


@pytest.mark.parametrize("statement", ["UPDATE feedback SET rater = 'eve'", "DELETE FROM feedback"])
def test_the_database_refuses_changes(url: str, statement: str) -> None:
    store = FeedbackStore(url)
    store.add([answer()])
    engine = sqlalchemy.create_engine(url)
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    assert len(store.answers()) == 1
    store.close()


def write_some(url: str, rater: str) -> None:
    store = FeedbackStore(url)
    for number in range(EACH):
        store.add([answer(number + 1, rater)])
    store.close()


def test_several_people_at_once_lose_nothing(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_some, args=(url, f"rater{n}")) for n in range(RATERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert [writer.exitcode for writer in writers] == [0] * RATERS
    store = FeedbackStore(url)
    found = {(one.rater, one.region) for one in store.answers()}
    store.close()
    assert found == {(f"rater{n}", k + 1) for n in range(RATERS) for k in range(EACH)}


def test_export_and_import(tmp_path: Path) -> None:
    first, second = FeedbackStore(tmp_path / "a.sqlite"), FeedbackStore(tmp_path / "b.sqlite")
    undone = answer()
    undo = RegionAnswer(
        study_id="s1", rater="anna", label="spleen", mask_sha256="ab", scheme=SCHEME, region=1, undoes=undone.record_id
    )
    first.add([undone, undo, verdict()])
    lines = list(export_jsonl(first))
    assert second.add(read_jsonl(lines)) == 3
    assert second.answers() == first.answers() and second.verdicts() == first.verdicts()
    assert second.add(read_jsonl([*lines, "\n"])) == 0
    for store in (first, second):
        store.close()


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"kind": "poem", "record": {}}', '{"kind": "answer", "record": {"a": 1}}']
)
def test_a_bad_line_is_told_by_its_number(line: str) -> None:
    with pytest.raises(InputError, match="Line 2 is no feedback"):
        read_jsonl(["\n", line], "file.jsonl")


def test_urls_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="can't be used"):
        FeedbackStore(tmp_path / "none" / "feedback.sqlite")
    with pytest.raises(UsageError, match="can't be opened"):
        FeedbackStore("nonsense://here")
    with pytest.raises(ResourceError) as told:
        FeedbackStore("postgresql+psycopg://anna:secret@127.0.0.1:1/x")
    assert "secret" not in str(told.value)
