import pytest

from dictamen.errors import InputError
from dictamen.evaluation.label_pairs import pair_labels


def test_by_name_then_meaning_then_organ() -> None:
    cohort = {1: "kidney_tumour", 2: "kidney_cyst", 3: "liver_lesion"}
    pairs, warnings = pair_labels({1: "kidney cyst", 4: "kidney_tumour", 5: "liver_tumour"}, cohort)
    assert {(p.predicted_value, p.truth_value, p.name) for p in pairs} == {
        (1, 2, "kidney_cyst"),
        (4, 1, "kidney_tumour"),
        (5, 3, "liver_lesion"),
    }
    assert len(warnings) == 1 and "kinds differ" in warnings[0]


def test_organs_are_left_out_and_lesions_elsewhere_need_reports() -> None:
    pairs, warnings = pair_labels({1: "liver", 2: "kidney_tumour", 3: "pancreas_cyst", 4: "blob"}, {1: "kidney_tumour"})
    assert [(p.name, p.truth_value) for p in pairs] == [("kidney_tumour", 1), ("pancreas_cyst", None)]
    assert len(warnings) == 2


def test_without_mask_labels_reports_judge_all() -> None:
    pairs, warnings = pair_labels({1: "kidney_tumour"}, {})
    assert pairs[0].truth_value is None and not warnings


@pytest.mark.parametrize("predicted", [{1: "liver"}, {1: "liver_tumour"}])
def test_nothing_in_common_lists_both(predicted: dict[int, str]) -> None:
    with pytest.raises(InputError, match="no label of the cohort") as caught:
        pair_labels(predicted, {1: "kidney_tumour"})
    assert predicted[1] in str(caught.value) and "kidney_tumour" in str(caught.value)
