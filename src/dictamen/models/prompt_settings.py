"""What a prompted network is made of; apart from the network, so that model cards can be read without it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dictamen.models.query_decoder import QuerySettings
from dictamen.models.text_encoder import TextSettings


class PromptArchitecture(BaseModel):
    """All sizes of a prompted network; written into the model card.

    Attributes:
        backbone: a name of `presets.PRESETS`.
        arguments: overrides of its arguments, as `presets.build_backbone` takes them.
        dimension: of the text embeddings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "unet"
    arguments: dict[str, Any] = Field(default_factory=dict)
    query: QuerySettings = QuerySettings()
    text: TextSettings = TextSettings()
    dimension: int = Field(default=96, ge=8)
