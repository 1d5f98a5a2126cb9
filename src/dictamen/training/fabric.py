"""Lightning Fabric on the devices that a run asks for."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from dictamen.errors import UsageError
from dictamen.models import precision as precisions
from dictamen.models.precision import Precision


def launch(*, accelerator: str, devices: int, nodes: int, precision: Precision) -> Fabric:
    """Fabric, its processes started.

    Raises:
        UsageError: this machine doesn't have the devices.
    """
    kind = "cuda" if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"
    try:
        resolved = precisions.resolve(precision, kind, training=True)
        fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=resolved)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            "The devices can't be used.",
            got=f"accelerator={accelerator}, devices={devices}: {error}",
            expected="accelerator auto, cpu, cuda or mps, and at most as many devices as there are",
        ) from error
    fabric.launch()
    return fabric
