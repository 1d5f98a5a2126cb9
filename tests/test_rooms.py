"""The order of the house: a room imports only from rooms above it."""

import ast
from pathlib import Path

import dictamen

ROOMS = [
    "anatomy", "reports", "imaging", "cohort", "supervision", "losses", "models", "inference", "evaluation",
    "training", "pretraining", "prompting", "review", "refinement", "nnunet", "phantom", "experiments", "cli",
]  # fmt: skip
FOUNDATION = {"addresses", "errors", "interval", "files", "parallel", "_version"}
SOURCE = Path(dictamen.__file__).parent


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"{node.module}.{a.name}" for a in node.names] if node.module == "dictamen" else [node.module or ""]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("dictamen.")}
    return found - FOUNDATION


def test_each_room_imports_only_from_rooms_above_it() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)} imports {other}"
        for place, room in enumerate(ROOMS)
        for path in (SOURCE / room).rglob("*.py")
        for other in imported_rooms(path)
        if other not in ROOMS[: place + 1]
    ]
    assert not wrong


def test_every_folder_is_a_known_room() -> None:
    assert {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"} <= set(ROOMS)


def test_foundation_imports_no_room() -> None:
    assert not {
        other for name in FOUNDATION if (path := SOURCE / f"{name}.py").exists() for other in imported_rooms(path)
    }
