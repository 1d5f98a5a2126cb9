from pathlib import Path

import pytest
from small_models import CARD, random_network

from dictamen.models.package import save_model


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a tiny model of random weights."""
    folder = tmp_path_factory.mktemp("run")
    save_model(folder / "model", random_network(), CARD)
    return folder
