"""Answers of a language model, kept in an SQLite file that only its owner may read: it holds words of reports."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

from dictamen.errors import InputError

OWNER_ONLY = 0o600


class AnswerCache:
    """Answers by question; a file for one process at a time, or memory where no path is given.

    Args:
        path: made when missing, with mode 0600. Keeping answers on disk is the user's choice.

    Raises:
        InputError: the file is no such cache.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY))
            path.chmod(OWNER_ONLY)
        self._base = sqlite3.connect(path or ":memory:")
        try:
            self._base.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, content TEXT NOT NULL)")
        except sqlite3.DatabaseError:
            self._base.close()
            raise InputError("The cache of answers can't be used.", where=path, expected="an SQLite file") from None

    def get(self, key: str) -> str | None:
        """The answer, if there is one."""
        row = self._base.execute("SELECT content FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, content: str) -> None:
        """Keep an answer."""
        with self._base:
            self._base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, content))

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def key(*parts: Any) -> str:
    """Hash of everything that an answer depends on: question, schema, prompt, model, sampling."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
