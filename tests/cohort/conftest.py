from pathlib import Path

import pytest
from small_studies import StudiesCsv


@pytest.fixture
def studies(tmp_path: Path) -> StudiesCsv:
    return StudiesCsv(tmp_path / "source")


@pytest.fixture
def good(studies: StudiesCsv) -> StudiesCsv:
    for name in ("a", "b", "c"):
        studies.add(name)
    return studies


@pytest.fixture(scope="session")
def shared_cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(source, cohort) of five good studies, built once: for tests that only read."""
    from dictamen.cohort.build import build_cohort

    folder = tmp_path_factory.mktemp("shared")
    source = StudiesCsv(folder / "source")
    for name in ("a", "b", "c", "d"):
        source.add(name)
    source.add("e", organs="", lesions="", report="")
    build_cohort(source.path, folder / "cohort", spacing_mm=2.0)
    return source.root, folder / "cohort"
