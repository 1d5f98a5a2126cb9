"""The feedback store: SQLite by default, PostgreSQL by URL. Records are added, never changed nor removed.

The database itself refuses UPDATE and DELETE (triggers). Several people may write at once: PostgreSQL by nature, SQLite
with a write-ahead log and patience.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dictamen.cohort.manifest import COHORT_JSON
from dictamen.errors import InputError, ResourceError, UsageError
from dictamen.supervision.feedback import FindingVerdict, RegionAnswer

FEEDBACK_SQLITE = "feedback.sqlite"
"""In the cohort's folder."""
PATIENCE_S = 30
"""SQLite: a writer waits so long for another one."""
SETUP_LOCK = 4711
"""PostgreSQL: advisory lock held while the table is made."""
AT_ONCE = 500
"""Rows of one statement."""

Record = TypeVar("Record", RegionAnswer, FindingVerdict)
_KINDS: dict[type[BaseModel], str] = {RegionAnswer: "answer", FindingVerdict: "verdict"}

_REFUSE_SQLITE = """CREATE TRIGGER IF NOT EXISTS feedback_keeps_{action} BEFORE {action} ON feedback
BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END"""
_REFUSE_POSTGRESQL = """CREATE OR REPLACE FUNCTION feedback_is_append_only() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'feedback is append-only'; END $$ LANGUAGE plpgsql;
CREATE OR REPLACE TRIGGER feedback_keeps BEFORE UPDATE OR DELETE ON feedback
FOR EACH ROW EXECUTE FUNCTION feedback_is_append_only()"""


class FeedbackStore:
    """An open store.

    Args:
        url: SQLAlchemy URL ("sqlite:////path", "postgresql+psycopg://user@host/database"), or a path for SQLite.

    Raises:
        UsageError: SQLAlchemy or the driver is not installed, or the URL is none.
        ResourceError: the database can't be reached or written.
    """

    def __init__(self, url: str | Path) -> None:
        try:
            import sqlalchemy
        except ImportError as error:
            raise UsageError(
                "Feedback needs SQLAlchemy.", got="not installed", next_step="pip install 'dictamen[review]'"
            ) from error
        text = str(url)
        full = text if "://" in text else f"sqlite:///{Path(text).resolve()}"
        self.where = full.split("@")[-1]
        is_sqlite = full.startswith("sqlite")
        try:
            self._engine = sqlalchemy.create_engine(
                full, connect_args={"timeout": PATIENCE_S} if is_sqlite else {}, pool_pre_ping=True
            )
        except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
            raise UsageError(
                "The feedback database can't be opened.",
                where=self.where,
                got=type(error).__name__,
                expected="a file, or postgresql+psycopg://user@host/database",
                next_step="correct the URL; PostgreSQL needs pip install 'dictamen[postgres]'",
            ) from error
        self._table = sqlalchemy.Table(
            "feedback",
            sqlalchemy.MetaData(),
            sqlalchemy.Column("number", sqlalchemy.Integer, primary_key=True, autoincrement=True),
            sqlalchemy.Column("record_id", sqlalchemy.String(64), nullable=False, unique=True),
            sqlalchemy.Column("kind", sqlalchemy.String(16), nullable=False),
            sqlalchemy.Column("study_id", sqlalchemy.String(200), nullable=False, index=True),
            sqlalchemy.Column("rater", sqlalchemy.String(200), nullable=False),
            sqlalchemy.Column("created", sqlalchemy.String(40), nullable=False),
            sqlalchemy.Column("record", sqlalchemy.Text, nullable=False),
        )
        with self._errors():
            self._prepare(is_sqlite)

    def _prepare(self, is_sqlite: bool) -> None:
        import sqlalchemy

        if is_sqlite:
            with self._engine.connect() as connection:
                connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        with self._engine.begin() as connection:
            if not is_sqlite:  # servers that start at the same moment wait for each other
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({SETUP_LOCK})"))
            connection.execute(sqlalchemy.schema.CreateTable(self._table, if_not_exists=True))
            for index in self._table.indexes:
                connection.execute(sqlalchemy.schema.CreateIndex(index, if_not_exists=True))
            for action in ("UPDATE", "DELETE") if is_sqlite else ():
                connection.execute(sqlalchemy.text(_REFUSE_SQLITE.format(action=action)))
            if not is_sqlite:
                connection.execute(sqlalchemy.text(_REFUSE_POSTGRESQL))

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def add(self, records: Sequence[RegionAnswer | FindingVerdict]) -> int:
        """Add records in one transaction; those whose `record_id` is known already are left out.

        Returns:
            How many were new.
        """
        import sqlalchemy

        if not records:
            return 0
        rows, known = [_row(record) for record in records], 0
        dialect = self._engine.dialect.name
        insert = _insert(dialect)(self._table).on_conflict_do_nothing(index_elements=["record_id"])
        with self._errors(), self._engine.begin() as connection:
            for start in range(0, len(rows), AT_ONCE):
                block = rows[start : start + AT_ONCE]
                ids = [row["record_id"] for row in block]
                column = self._table.c.record_id
                known += len(connection.execute(sqlalchemy.select(column).where(column.in_(ids))).all())
                connection.execute(insert, block)
        return len(rows) - known

    def answers(self, study_id: str | None = None) -> list[RegionAnswer]:
        """All answers on regions, in the order they came, undone ones included."""
        return self._records(RegionAnswer, study_id)

    def verdicts(self, study_id: str | None = None) -> list[FindingVerdict]:
        """All verdicts on findings, in the order they came, undone ones included."""
        return self._records(FindingVerdict, study_id)

    def _records(self, kind: type[Record], study_id: str | None) -> list[Record]:
        import sqlalchemy

        table = self._table
        query = sqlalchemy.select(table.c.record).where(table.c.kind == _KINDS[kind]).order_by(table.c.number)
        if study_id is not None:
            query = query.where(table.c.study_id == study_id)
        with self._errors(), self._engine.connect() as connection:
            return [kind.model_validate_json(text) for text in connection.execute(query).scalars()]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What the database says, without the statement and its values."""
        import sqlalchemy

        try:
            yield
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise ResourceError(
                "The feedback database can't be used.",
                where=self.where,
                got=type(getattr(error, "orig", None) or error).__name__,
                next_step="check that it can be reached and written; nothing of this request was saved",
            ) from error


def _insert(dialect: str) -> Any:
    """The dialect's INSERT, which can leave out rows that are there already."""
    from sqlalchemy.dialects import postgresql, sqlite

    if dialect == "sqlite":
        return sqlite.insert
    if dialect == "postgresql":
        return postgresql.insert
    raise UsageError("The database is not supported.", got=dialect, expected="sqlite or postgresql")


def _row(record: RegionAnswer | FindingVerdict) -> dict[str, str]:
    return {
        "record_id": record.record_id,
        "kind": _KINDS[type(record)],
        "study_id": record.study_id,
        "rater": record.rater,
        "created": record.created,
        "record": record.model_dump_json(),
    }


def export_jsonl(store: FeedbackStore) -> Iterator[str]:
    """One JSON object a line, {"kind": ..., "record": ...}: answers, then verdicts, each in the order they came."""
    for record in (*store.answers(), *store.verdicts()):
        yield json.dumps({"kind": _KINDS[type(record)], "record": record.model_dump(mode="json")}) + "\n"


def read_jsonl(lines: Iterable[str], where: object = None) -> list[RegionAnswer | FindingVerdict]:
    """Read exported lines.

    Raises:
        InputError: a line that is no record (its number is told, not its content).
    """
    kinds = {name: kind for kind, name in _KINDS.items()}
    records: list[RegionAnswer | FindingVerdict] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            records.append(kinds[value["kind"]].model_validate(value["record"]))  # type: ignore[arg-type]
        except ValidationError as error:
            problems = "; ".join(
                f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors(include_url=False)
            )
            raise InputError(f"Line {number} is no feedback: {problems}.", where=where) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"Line {number} is no feedback.", where=where, expected='{"kind": "answer", "record": {...}}'
            ) from error
    return records


def open_store(cohort: Path, feedback: str | None) -> FeedbackStore:
    """The store at a URL or path, else that of the cohort.

    Raises:
        InputError: neither is given: the folder is no cohort.
    """
    if feedback is None and not (cohort / COHORT_JSON).is_file():
        raise InputError(
            "The folder is no cohort.", where=cohort, next_step="make one with `dictamen cohort build SRC -o COHORT`"
        )
    return FeedbackStore(feedback or cohort / FEEDBACK_SQLITE)
