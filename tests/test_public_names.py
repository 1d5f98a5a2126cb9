"""The package's public surface and what its import costs."""

import subprocess
import sys

import dictamen

HEAVY = ("torch", "monai", "SimpleITK", "tensorstore", "matplotlib", "polars", "scipy", "lightning_fabric")


def test_public_names_are_sorted_and_resolve() -> None:
    assert dictamen.__all__ == sorted(dictamen.__all__)
    assert set(dictamen.__all__) == set(dictamen._HOMES)
    for name in dictamen.__all__:
        assert getattr(dictamen, name).__name__ == name


def test_command_line_and_reports_import_nothing_heavy() -> None:
    code = (
        f"import sys, dictamen, dictamen.cli, dictamen.reports.rules; print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
