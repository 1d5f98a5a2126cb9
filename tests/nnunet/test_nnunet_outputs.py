"""What is known of each output, and its logit, for a softmax over labels and for sigmoids over regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_cases import DATASET, LABELS, TEXT, body, preprocessed

from dictamen.errors import InputError
from dictamen.losses.total import LossWeights, report_losses
from dictamen.nnunet.cases import ReportCase, report_case
from dictamen.nnunet.dataset import read_findings, read_labels
from dictamen.nnunet.losses import at_resolution, deep_report_losses
from dictamen.nnunet.outputs import Outputs
from dictamen.reports.rules import read_report
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.rasterise import StudySupervisor, collate

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2
SOFTMAX = Outputs.of_labels(LABELS, [0, 1, 2, 3], None)
SPACING = (4.0, 3.0, 2.0)


def case(text: str = TEXT) -> tuple[np.ndarray, ReportCase]:
    array, properties = preprocessed(body(), order=(0, 1, 2), signs=(1, 1, 1), transpose=(0, 1, 2), crop=0)
    report = read_report(text, "case")
    return array, report_case(array, properties, report=report, labels=LABELS, spacing_mm=SPACING, transpose=(0, 1, 2))


def test_outputs_are_the_lesions_then_the_labels_joined_with_the_lesions_within() -> None:
    assert SOFTMAX.values == (frozenset({3}), frozenset({1, 3}), frozenset({2, 3}))
    regions = Outputs.of_regions(LABELS, [(1, 2, 3), 3], None)
    assert regions.values == (frozenset({3}), frozenset({1, 2, 3})) and regions.heads == (1, 0)


def test_the_logits_of_a_softmax_are_those_of_its_probabilities() -> None:
    scores = torch.randn(2, 4, 3, 3, 3, dtype=torch.float64)
    probability = torch.softmax(scores, 1)
    expected = torch.stack(
        [probability[:, [3]].sum(1), probability[:, [1, 3]].sum(1), probability[:, [2, 3]].sum(1)], 1
    )
    assert torch.allclose(SOFTMAX.logits(scores).sigmoid().double(), expected, atol=1e-6)
    chosen = Outputs.of_regions(LABELS, [(1, 2, 3), 3], None).logits(scores[:, :2])
    assert torch.equal(chosen, scores[:, [1, 0]])


def test_what_a_voxel_may_be_decides_what_is_known() -> None:
    array, known = case()
    array = array.copy()
    array[:, :, 0] = -1  # outside the scan
    maps = known.regions.maps((0, 0, 0), array.shape)
    tumour, right, left = SOFTMAX.state(array, maps, known.regions)
    kinds = {number: region.kind for region, number in known.regions.numbered()}
    positive = np.isin(maps[0], [n for n, kind in kinds.items() if kind == "positive"])
    beside = positive & (array == 0)
    assert beside.any()
    assert (tumour[positive & (array >= 0)] == UNKNOWN).all()
    assert (tumour[(array == 1)] == NEGATIVE).all()  # the right kidney is normal
    assert (left[(array == 2)] == POSITIVE).all()  # kidney, or tumour in it
    assert (left[beside] == UNKNOWN).all() and (right[beside] == UNKNOWN).all()  # a tumour may bulge
    assert (right[array == 1] == POSITIVE).all() and (left[array == 1] == NEGATIVE).all()
    far = (array == 0) & ~positive
    assert not tumour[far].any() and not left[far].any()
    assert (SOFTMAX.state(array, maps, known.regions)[:, array == -1] == UNKNOWN).all()


def test_voxels_of_the_ignore_label_are_unknown() -> None:
    array, known = case()
    array = np.where(array == 1, 4, array)
    state = Outputs.of_labels(LABELS, [0, 1, 2, 3], 4).state(
        array, known.regions.maps((0, 0, 0), array.shape), known.regions
    )
    assert (state[:, array == 4] == UNKNOWN).all()


def test_an_organ_of_which_nothing_is_said_may_hold_a_lesion() -> None:
    array, known = case("FINDINGS: The liver is normal.")
    tumour = SOFTMAX.state(array, known.regions.maps((0, 0, 0), array.shape), known.regions)[0]
    assert (tumour[array > 0] == UNKNOWN).all() and not known.is_positive


def test_a_patch_of_moved_maps_equals_one_that_was_cut() -> None:
    array, known = case()
    supervisor = StudySupervisor(LABELS.targets, [], LABELS.organs, LABELS.lesions)
    maps, ledgers = known.regions.maps((0, 0, 0), array.shape), (Ledger(), Ledger())
    state = SOFTMAX.state(array, maps, known.regions)
    moved = supervisor.patch_from_maps(known.regions, maps, state, SPACING, ledger=ledgers[0])
    cut = supervisor.patch_from_regions(known.regions, array, (0, 0, 0), array.shape, ledger=ledgers[1])
    assert (moved.region[:1] == cut.region).all() and ledgers[0].to_json() == ledgers[1].to_json()
    for name in ("volume_lo", "volume_hi", "weight", "absent", "rest_negative", "attenuation"):
        assert (getattr(moved, name)[:1] == getattr(cut, name)).all()
    assert (moved.lesion_diameters_mm == cut.lesion_diameters_mm).all() and len(moved.lesion_index) == 1
    halved = supervisor.patch_from_maps(known.regions, maps, state, (2.0, 3.0, 2.0))  # half of the region is missing
    assert not halved.volume_lo.any() and not len(halved.lesion_index)


def test_lower_resolutions_keep_the_volume() -> None:
    array, known = case()
    supervisor = StudySupervisor(LABELS.targets, [], LABELS.organs, LABELS.lesions)
    maps = known.regions.maps((0, 0, 0), array.shape)
    patch = supervisor.patch_from_maps(known.regions, maps, SOFTMAX.state(array, maps, known.regions), SPACING)
    full = collate([patch])
    half = at_resolution(full, [n // 2 for n in array.shape])
    volumes = [float((s.region > 0).sum() * s.spacing_mm.prod()) for s in (full, half)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.1) and half.spacing_mm.tolist() == [[8, 6, 4]]


def test_full_resolution_alone_is_the_ordinary_loss_and_all_have_gradients() -> None:
    array, known = case()
    supervisor = StudySupervisor(LABELS.targets, [], LABELS.organs, LABELS.lesions)
    maps = known.regions.maps((0, 0, 0), array.shape)
    full = collate(
        [supervisor.patch_from_maps(known.regions, maps, SOFTMAX.state(array, maps, known.regions), SPACING)]
    )
    generator = torch.Generator().manual_seed(0)
    output = [torch.randn(1, 4, *(n // f for n in array.shape), generator=generator) for f in (1, 2, 5)]
    for scores in output:
        scores.requires_grad_()
    one = deep_report_losses(output, SOFTMAX, full, (1.0, 0.0, 0.0), LossWeights(), targets=1)
    plain = report_losses(SOFTMAX.logits(output[0]), None, full.state, full.narrow(0, 1), LossWeights())
    assert one.keys() == plain.keys() and all(torch.equal(one[name], plain[name]) for name in plain)
    deep_report_losses(output, SOFTMAX, full, (0.6, 0.4, 0.0), LossWeights(), targets=1)["total"].backward()
    assert all(scores.grad is not None and scores.grad.abs().sum() > 0 for scores in output[:2])
    assert output[2].grad is None


def test_labels_that_mean_nothing_are_told(tmp_path: Path) -> None:
    labels = read_labels({"labels": {**DATASET["labels"], "gizmo": 4}}, tmp_path)
    assert labels.others == ("gizmo",) and set(labels.organs) == {1, 2}
    joined = read_labels({"labels": {"background": 0, "kidney": [1, 2], "tumor": 2}}, tmp_path)
    assert joined.targets[0].structure == "kidney" and joined.around(joined.targets[0]) == {1}
    with pytest.raises(InputError, match="No label is a lesion"):
        read_labels({"labels": {"background": 0, "kidney": 1}}, tmp_path)
    with pytest.raises(InputError, match="no region of its own"):
        Outputs.of_regions(joined, [(1, 2)], None)


def test_reports_must_belong_to_cases(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no reports"):
        read_findings(tmp_path, ["case"])
    (tmp_path / "reports.csv").write_text(f'study_id,report\ncase,"{TEXT}"\nother,"{TEXT}"\n', encoding="utf-8")
    assert list(read_findings(tmp_path, ["case", "third"])) == ["case"]
    with pytest.raises(InputError, match="No report belongs to a case") as raised:
        read_findings(tmp_path, ["third"])
    assert TEXT[:20] not in str(raised.value)
