"""Rules of the house that ruff and mypy don't check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "dictamen"
MODULES = sorted(SOURCE.rglob("*.py"))
WORDS = sorted({ROOT / "README.md", *(p for place in ("src", "docs") for p in (ROOT / place).rglob("*"))})
LONGEST_MODULE = 450
"""Lines; a longer module has more than one subject."""
MACHINE_PATH = re.compile(r"(?<![\w.<>{}])/(?:work|root|tmp)(?:/|\b(?!\w))")
"""A path of a development machine; `data/work/` or `https://a.org/work/` are none."""
NOT_TEXT = frozenset({".pyc", ".png", ".gz"})


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(tree(path))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 100 and SOURCE / "errors.py" in MODULES
    assert ROOT / "docs" / "architecture.md" in WORDS


def test_source_raises_errors_instead_of_asserting() -> None:
    assert not [place(path, node) for path in MODULES for node in nodes(path) if isinstance(node, ast.Assert)]


def test_only_the_command_line_prints() -> None:
    quiet = [path for path in MODULES if not path.is_relative_to(SOURCE / "cli")]
    assert not [place(path, node) for path in quiet for node in nodes(path) if is_print(node)]


def test_imports_are_absolute() -> None:
    assert not [
        place(path, node)
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


def test_modules_are_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {str(path): length for path, length in lengths.items() if length > LONGEST_MODULE}


def test_modules_say_what_they_are_for() -> None:
    public = [path for path in MODULES if not path.name.startswith("_") or path.stem in ("__init__", "__main__")]
    silent = [path for path in public if not ast.get_docstring(tree(path))]
    assert not [str(path.relative_to(ROOT)) for path in silent]


def test_no_path_of_a_development_machine() -> None:
    texts = [path for path in WORDS if path.is_file() and path.suffix not in NOT_TEXT]
    assert not [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see /work/anything/x", True),
        ("'/tmp/out'", True),
        ("HOME=/root", True),
        ("file:///root/a", True),
        ("https://example.org/work/1", False),
        ("data/tmp/1", False),
        ("<tmp>/work/", False),
        ("a /workshop", False),
    ],
)
def test_machine_paths_are_recognised(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found
