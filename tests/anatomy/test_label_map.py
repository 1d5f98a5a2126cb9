"""Label tables."""

import pytest

from dictamen.anatomy.label_map import LabelNames, structure_id
from dictamen.errors import InputError


def test_both_json_forms() -> None:
    assert dict(LabelNames.from_json({"1": "liver", "2": "kidney_left"})) == {1: "liver", 2: "kidney_left"}
    assert dict(LabelNames.from_json({"background": 0, "liver": 1})) == {1: "liver"}  # type: ignore[dict-item]


@pytest.mark.parametrize("names", [{0: "liver"}, {-1: "liver"}, {70000: "liver"}, {1: " "}, {1: "liver", 2: "liver"}])
def test_bad_tables(names: dict[int, str]) -> None:
    with pytest.raises(InputError):
        LabelNames(names)


@pytest.mark.parametrize("table", [{"a": "b"}, {"liver": None}])
def test_bad_json(table: dict[str, str]) -> None:
    with pytest.raises(InputError, match="label table"):
        LabelNames.from_json(table)


def test_structures() -> None:
    names = LabelNames({1: "Left Kidney", 3: "spleen"})
    assert names.structures() == {1: "kidney_left", 3: "spleen"}
    assert names.values_of("spleen") == [3]
    assert LabelNames({1: "thing"}).unknown() == {1: "thing"}


def test_unknown_structure_offers_choices() -> None:
    with pytest.raises(InputError, match="spleen"):
        structure_id("splen")
