"""Sizes of prompted networks by name: a backbone of `presets`, a query decoder, a text encoder, a patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dictamen.errors import UsageError
from dictamen.models import presets
from dictamen.models.prompt_settings import PromptArchitecture
from dictamen.models.prompted import PromptedNetwork
from dictamen.models.query_decoder import QuerySettings
from dictamen.models.text_encoder import TextSettings

PatchSize = tuple[int, int, int]


@dataclass(frozen=True)
class PromptPreset:
    """One size.

    Attributes:
        patch_size: voxels of a training patch that suit it.
        why: what it is for.
    """

    architecture: PromptArchitecture
    patch_size: PatchSize
    why: str


PROMPT_PRESETS: Mapping[str, PromptPreset] = {
    "test": PromptPreset(
        PromptArchitecture(
            arguments={"features": 8, "channels": (16, 32, 64), "strides": (2, 2)},
            query=QuerySettings(width=64, layers=2, heads=4, feedforward=128),
            text=TextSettings(width=64, layers=2, heads=4),
            dimension=64,
        ),
        (32, 32, 32),
        "tests and dry runs: seconds on one core",
    ),
    "tiny": PromptPreset(
        PromptArchitecture(
            arguments={"features": 8, "channels": (16, 32, 64, 96), "strides": (2, 2, 2)},
            query=QuerySettings(width=96, layers=2, heads=4, feedforward=192),
            dimension=96,
        ),
        (64, 64, 64),
        "the default: trains on two CPU cores in an hour",
    ),
    "small": PromptPreset(
        PromptArchitecture(
            backbone="dynunet",
            arguments={"filters": (16, 32, 64, 128, 192), "features": 16},
            query=QuerySettings(width=192, layers=3, heads=6, feedforward=384),
            text=TextSettings(width=384, layers=6, heads=12),
            dimension=192,
        ),
        (96, 96, 96),
        "one GPU",
    ),
    "nano": PromptPreset(
        PromptArchitecture(
            backbone="dynunet",
            arguments={
                "filters": (64, 64, 128, 256, 512, 768),
                "kernel_size": (3,) * 6,
                "strides": (1, 2, 2, 2, 2, 2),
                "upsample_kernel_size": (2,) * 5,
                "features": 64,
            },
            query=QuerySettings(width=768, layers=6, heads=8, feedforward=2048),
            text=TextSettings(width=768, layers=12, heads=12),
            dimension=768,
        ),
        (288, 288, 96),
        "the size of SAT-Nano; several GPUs, voxels of 1 x 1 x 3 mm",
    ),
}
"""Prompted networks by name."""


def architecture(preset: str, **overrides: Any) -> PromptArchitecture:
    """The sizes of a preset with overrides.

    Args:
        preset: a name of `PROMPT_PRESETS`; or one of `presets.PRESETS`, which is then the backbone of the size "tiny".
        overrides: fields of `PromptArchitecture`; those of `query`, `text` and `arguments` are merged.

    Raises:
        UsageError: unknown preset, or a size that is not possible (named).
    """
    if preset in PROMPT_PRESETS:
        base = PROMPT_PRESETS[preset].architecture
    elif preset in presets.PRESETS and preset != "custom":
        base = PROMPT_PRESETS["tiny"].architecture.model_copy(update={"backbone": preset, "arguments": {}})
    else:
        raise UsageError(
            "The preset is unknown.",
            got=preset,
            expected=f"one of {', '.join(PROMPT_PRESETS)}, or a backbone: {', '.join(presets.PRESETS)} but custom",
        )
    values = base.model_dump()
    for key, value in overrides.items():
        merged = isinstance(value, Mapping) and isinstance(values.get(key), dict)
        values[key] = {**values[key], **value} if merged else value
    try:
        return PromptArchitecture.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors())
        raise UsageError(f"The network can't be built: {problems}.") from error


def build(made: PromptArchitecture, *, in_channels: int, labels: int) -> PromptedNetwork:
    """A prompted network with fresh weights from torch's generator.

    Args:
        labels: texts in its table.

    Raises:
        UsageError: the backbone can't be built.
    """
    features = made.arguments.get("features", presets.PRESETS[made.backbone].features)
    return PromptedNetwork(
        presets.build_backbone(made.backbone, in_channels=in_channels, **made.arguments),
        features=features,
        in_channels=in_channels,
        divisor=_divisor(made),
        query=made.query,
        text=made.text,
        dimension=made.dimension,
        labels=labels,
    )


def _divisor(made: PromptArchitecture) -> int:
    """What sides must be multiples of; a backbone with other strides has another one."""
    return presets.divisor(made.backbone, **made.arguments)
