"""A trainer for nnU-Net that learns from reports where no lesion is drawn."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.helpers import dummy_context
from torch import Tensor, autocast

from dictamen.anatomy.lesion_labels import LesionLabel
from dictamen.errors import InputError, UsageError
from dictamen.losses.attenuation import STEP_HU
from dictamen.losses.total import LossWeights, Tissue
from dictamen.nnunet.dataset import Labels, read_labels
from dictamen.nnunet.loading import LEDGER, PLAN, REPORTS, MixedDataLoader, MixedDataset
from dictamen.nnunet.losses import deep_report_losses
from dictamen.nnunet.outputs import Outputs
from dictamen.nnunet.preprocessed import Reports
from dictamen.nnunet.transforms import with_regions
from dictamen.supervision.ledger import Ledger
from dictamen.supervision.patch import POSITIVE


class nnUNetTrainerReports(nnUNetTrainer):  # type: ignore[misc]  # noqa: N801 - as nnU-Net names trainers
    """nnU-Net's trainer; in cases whose label map shows no lesion and that have a report, the report speaks of lesions.

    A batch has cases with masks, under nnU-Net's own loss, and cases with reports, under dictamen's. Nobody can
    validate on a report: such cases train in every fold.

    Attributes:
        report_share: of the cases of a batch.
        masks_only_fraction: of the epochs; until then reports say where no lesion is, afterwards also where some are.
        loss_weights: of the losses of reports.
    """

    report_share = 0.5  # one of nnU-Net's batch of two
    masks_only_fraction = 0.4  # as in dictamen's own training
    loss_weights = LossWeights()

    @cached_property
    def labels(self) -> Labels:
        """The labels of dataset.json."""
        return read_labels(self.dataset_json, Path(self.preprocessed_dataset_folder_base) / "dataset.json")

    @cached_property
    def outputs(self) -> Outputs:
        """What the losses of reports look at."""
        manager = self.label_manager
        if manager.has_regions:
            return Outputs.of_regions(self.labels, manager.foreground_regions, manager.ignore_label)
        return Outputs.of_labels(self.labels, manager.all_labels, manager.ignore_label)

    @cached_property
    def reports(self) -> Reports:
        """The cases with reports; an object of its own, since nnU-Net writes the trainer's attributes to debug.json."""
        return Reports(self)

    def do_split(self) -> tuple[list[str], list[str]]:
        """nnU-Net's split; cases with reports train in every fold.

        Raises:
            InputError: nothing is left to validate on.
        """
        train, validation = super().do_split()
        reports = set(self.reports.findings)
        kept = [case for case in validation if case not in reports]
        if not kept:
            raise InputError(
                "No case of this fold shows a lesion mask to validate on.",
                where=f"fold {self.fold}",
                got=f"{len(validation)} cases, all with reports alone",
                next_step="write splits_final.json with cases with masks under `val`, or train another fold",
            )
        return sorted({*train, *(case for case in validation if case in reports)}), kept

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """nnU-Net's data sets; the one for training carries the regions of reports."""
        train, validation = super().get_tr_and_val_datasets()
        used = {case: report for case, report in self.reports.cases.items() if case in set(train.identifiers)}
        lost = set(self.reports.findings) - set(self.reports.cases)
        train.identifiers = [case for case in train.identifiers if case not in lost]
        masks = len(train.identifiers) - len(used)
        self.print_to_log_file(
            f"Training on {masks} cases with masks and {len(used)} with reports "
            f"({sum(case.is_positive for case in used.values())} with a lesion), validating on "
            f"{len(validation.identifiers)} with masks. Lesions: {', '.join(t.name for t in self.labels.targets)}."
        )
        if self.labels.others:
            self.print_to_log_file(f"Reports can't speak of these labels: {', '.join(self.labels.others)}.")
        mixed = MixedDataset(train, used, len(self.labels.targets), self.configuration_manager.patch_size)
        return mixed, validation

    def get_dataloaders(self) -> tuple[Any, Any]:
        """As nnU-Net's (whose method this follows), with batches of masks and reports for training.

        Raises:
            UsageError: a 2D configuration, a cascade, or one case a batch.
        """
        manager = self.configuration_manager
        if len(manager.patch_size) != 3 or self.is_cascaded or self.batch_size < 2:
            raise UsageError(
                "Reports can't supervise this configuration.",
                got=f"{self.configuration_name} with {self.batch_size} cases a batch and GPU",
                expected="a 3D configuration that is no cascade, such as 3d_fullres, with two cases a batch or more",
            )
        scales = self._get_deep_supervision_scales()
        rotation, dummy_2d, initial_patch_size, mirror_axes = (
            self.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        labels = {
            "is_cascaded": False,
            "foreground_labels": self.label_manager.foreground_labels,
            "regions": self.label_manager.foreground_regions if self.label_manager.has_regions else None,
            "ignore_label": self.label_manager.ignore_label,
        }
        augment = self.get_training_transforms(
            manager.patch_size, rotation, scales, mirror_axes, dummy_2d,
            use_mask_for_norm=manager.use_mask_for_norm, **labels,
        )  # fmt: skip
        train, validation = self.get_tr_and_val_datasets()
        sampling = {
            "oversample_foreground_percent": self.oversample_foreground_percent,
            "probabilistic_oversampling": self.probabilistic_oversampling,
        }
        reports = min(self.batch_size - 1, max(1, round(self.report_share * self.batch_size)))
        if not train.reports:
            reports = 0
        elif len(train.reports) == len(train.identifiers):
            reports = self.batch_size
        loader = MixedDataLoader(
            train, self.batch_size, initial_patch_size, manager.patch_size, self.label_manager,
            transforms=with_regions(augment), **sampling,
        ).mix(
            reports_per_batch=reports, outputs=self.outputs, spacing_mm=manager.spacing,
            labels=self.labels, deep_supervision=scales is not None,
        )  # fmt: skip
        validation_loader = nnUNetDataLoader(
            validation, self.batch_size, manager.patch_size, manager.patch_size, self.label_manager,
            transforms=self.get_validation_transforms(scales, **labels), **sampling,
        )  # fmt: skip
        processes = get_allowed_n_proc_DA()
        loaders = self._workers(loader, processes), self._workers(validation_loader, processes // 2)
        for each in loaders:
            next(each)
        return loaders

    def _workers(self, loader: Any, processes: int) -> Any:
        if get_allowed_n_proc_DA() == 0:
            return SingleThreadedAugmenter(loader, None)
        return NonDetMultiThreadedAugmenter(
            data_loader=loader, transform=None, num_processes=max(1, processes), num_cached=max(3, processes // 2),
            seeds=None, pin_memory=self.device.type == "cuda", wait_time=0.002,
        )  # fmt: skip

    def on_train_epoch_start(self) -> None:
        """Also: begin to count what reports say."""
        super().on_train_epoch_start()
        self.ledger = Ledger()
        self.report_terms: list[dict[str, Tensor]] = []

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As nnU-Net's, with the losses of reports on the last cases of the batch."""
        data = batch["data"].to(self.device, non_blocking=True)
        deep = isinstance(batch["target"], list)
        target = [t.to(self.device, non_blocking=True) for t in (batch["target"] if deep else [batch["target"]])]
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device.type, enabled=True) if self.device.type == "cuda" else dummy_context():
            output = self.network(data)
            loss = self._mixed_loss(data, output if deep else [output], target, batch, deep=deep)
        if self.grad_scaler is not None:
            self.grad_scaler.scale(loss).backward()
            self.grad_scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.grad_scaler.step(self.optimizer)
            self.grad_scaler.update()
        else:
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.optimizer.step()
        return {"loss": loss.detach().cpu().numpy()}

    def _mixed_loss(
        self, data: Tensor, output: list[Tensor], target: list[Tensor], batch: dict[str, Any], *, deep: bool
    ) -> Tensor:
        """Mean over the cases of nnU-Net's loss where masks are, and of dictamen's where reports are."""
        supervision = batch.get(REPORTS)
        reports = 0 if supervision is None else len(supervision.state)
        masks = len(data) - reports
        loss = data.new_zeros(())
        if masks:
            own, known = [o[:masks] for o in output], [t[:masks] for t in target]
            loss = loss + masks * (self.loss(own, known) if deep else self.loss(own[0], known[0]))
        if supervision is not None:
            terms = deep_report_losses(
                [o[masks:] for o in output],
                self.outputs,
                supervision.to(self.device),
                self.loss.weight_factors if deep else (1.0,),
                self._weights_now(),
                targets=len(self.labels.targets),
                plan=batch[PLAN].to(self.device),
                tissue=self._tissue(data[masks:], supervision.state),
            )
            loss = loss + reports * terms["total"]
            self.ledger += batch[LEDGER]
            self.report_terms.append({name: value.detach() for name, value in terms.items()})
        return loss / len(data)

    def _weights_now(self) -> LossWeights:
        if self.current_epoch >= round(self.masks_only_fraction * self.num_epochs):
            return self.loss_weights
        return replace(self.loss_weights, report=0.0, ball=0.0)

    def _tissue(self, image: Tensor, state: Tensor) -> Tissue | None:
        """Images and organs for the attenuation loss, where the images are CT."""
        if self.configuration_manager.normalization_schemes[0] != "CTNormalization":
            return None
        deviation = self.plans_manager.foreground_intensity_properties_per_channel["0"]["std"]
        organs = [
            (state[:, self._organs_of(target)] == POSITIVE).any(1, keepdim=True) for target in self.labels.targets
        ]
        return Tissue(image[:, :1], torch.cat(organs, 1).to(self.device, non_blocking=True), STEP_HU / deviation)

    def _organs_of(self, target: LesionLabel) -> list[int]:
        """The outputs that hold the organ of a lesion label."""
        first, around = len(self.labels.targets), self.labels.around(target)
        return [index for index, values in enumerate(self.outputs.values) if index >= first and values & around]

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Also: tell what the reports said, what of it could not be used and why, and the terms of their losses.

        The lesions that were placed are part of the overlap.
        """
        super().on_train_epoch_end(train_outputs)
        if not self.report_terms:
            return
        means = {
            name: torch.stack([terms[name] for terms in self.report_terms]).mean().item()
            for name in self.report_terms[0]
        }
        self.print_to_log_file("reports", ", ".join(f"{name} {value:.4f}" for name, value in means.items() if value))
        told = self.ledger.to_json()
        self.print_to_log_file(
            f"reports in {told['patches']} patches: used {told['used']}, deferred {told['deferred']}"
        )
