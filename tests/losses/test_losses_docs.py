"""The loops in docs/losses.md run and learn."""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


def test_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    assert names["reports"].lesion_diameters_mm.amax().item() == 23
    assert names["reports"].attenuation[0, 0].tolist() == [-1, 0]
    for term in ("volume", "overlap", "total"):
        assert names["terms"][term].isfinite() and names["terms"][term] > 0
    assert names["loss"].isfinite()
