"""Arrays of a study on disk: Zarr v3, sharded, OME-Zarr 0.5 metadata, through tensorstore.

arrays/<study>.zarr/zarr.json            group; attribute "dictamen" holds geometry, labels, boxes
                    image/zarr.json      group; attribute "ome" holds the multiscale
                    image/0, image/1     arrays [X, Y, Z]
                    organs/..., lesions/...
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dictamen.errors import InputError, ResourceError, bytes_left, resource_errors

INNER_CHUNK = 32
"""Voxels along each axis that are read together: a 96^3 patch touches 27-64 chunks, whatever its position."""
SHARD = 256
"""Voxels along each axis of one file: a CT is 2-12 files, and the index of a shard is 8 kB."""
COMPRESSION: dict[str, Any] = {
    # of a CT it leaves 39 % and costs 5 ms of CPU a 96^3 patch; zstd 1 leaves 33 % and costs 8.5 ms
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "bitshuffle", "blocksize": 0},
}
FILL = {"image": -1024, "organs": 0, "lesions": 0}
"""Value outside the volume, by kind: air, and no label."""
FULL_DISK_WORDS = ("No space left", "Disk quota exceeded")
BUILD_AGAIN = "delete the study's folder below arrays/, then build the cohort again with --resume"
"""Next step where arrays are damaged: resuming keeps whatever studies are there."""
PARTIAL_SUFFIX = ".partial"

Array = npt.NDArray[np.generic]


def write_study(
    folder: Path,
    arrays: Mapping[str, Sequence[Array]],
    *,
    affines: Sequence[npt.NDArray[np.float64]],
    attributes: Mapping[str, Any],
) -> None:
    """Write all arrays of one study to `folder`, whole or not at all.

    Args:
        folder: `arrays/<study>.zarr`; replaced where it exists.
        arrays: kind -> levels, each [X, Y, Z].
        affines: 4x4 of each level, index to mm, RAS+.
        attributes: what the group says of the study.

    Raises:
        ResourceError: disk full or folder not writable.
    """
    temporary = folder.with_name(folder.name + PARTIAL_SUFFIX)
    with resource_errors(folder), _disk_full_of_tensorstore(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            for kind, levels in arrays.items():
                for level, array in enumerate(levels):
                    _write_array(temporary / kind / str(level), array, fill=FILL[kind])
                _write_group(temporary / kind, {"ome": _multiscales(kind, affines[: len(levels)])})
            _write_group(temporary, {"dictamen": attributes})
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def read_attributes(folder: Path) -> dict[str, Any]:
    """The group's attributes.

    Raises:
        InputError: no such study, or its metadata are damaged.
    """
    try:
        group = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
        attributes: dict[str, Any] = group["attributes"]["dictamen"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("The arrays of the study can't be read.", where=folder, next_step=BUILD_AGAIN) from error
    return attributes


def open_array(folder: Path) -> Any:
    """The tensorstore of one level, read only.

    Raises:
        InputError: it is missing or damaged.
    """
    import tensorstore

    try:
        return tensorstore.open({**_location(folder), "recheck_cached_metadata": "open"}, open=True, read=True).result()
    except (ValueError, OSError) as error:
        raise InputError("An array of the cohort can't be opened.", where=folder, next_step=BUILD_AGAIN) from error


def read_region(store: Any, lo: Sequence[int], hi: Sequence[int]) -> Array:
    """Voxels from `lo` to `hi` (exclusive), both inside the array.

    Raises:
        InputError: the stored bytes are damaged.
    """
    try:
        region: Array = store[tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))].read().result()
    except (ValueError, OSError) as error:
        raise InputError(
            "An array of the cohort is damaged.",
            where=store.kvstore.path,
            next_step=BUILD_AGAIN,
        ) from error
    return region


def _write_array(folder: Path, array: Array, *, fill: int) -> None:
    import tensorstore

    shard = [min(SHARD, -(-n // INNER_CHUNK) * INNER_CHUNK) for n in array.shape]
    compression = {**COMPRESSION, "configuration": {**COMPRESSION["configuration"], "typesize": array.dtype.itemsize}}
    metadata = {
        "shape": list(array.shape),
        "data_type": array.dtype.name,
        "fill_value": fill,
        "dimension_names": ["x", "y", "z"],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "codecs": [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [INNER_CHUNK] * 3,
                    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, compression],
                },
            }
        ],
    }
    store = tensorstore.open({**_location(folder), "metadata": metadata}, create=True).result()
    store.write(np.ascontiguousarray(array)).result()


def _location(folder: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder.resolve())}}


def _write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(group, indent=1, allow_nan=False), encoding="utf-8")


def _multiscales(kind: str, affines: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """OME-Zarr 0.5: scale and translation of each level (exact for axis-aligned grids; the affine is kept beside)."""
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": np.linalg.norm(affine[:3, :3], axis=0).tolist()},
                {"type": "translation", "translation": affine[:3, 3].tolist()},
            ],
        }
        for level, affine in enumerate(affines)
    ]
    axes = [{"name": name, "type": "space", "unit": "millimeter"} for name in "xyz"]
    return {"version": "0.5", "multiscales": [{"name": kind, "axes": axes, "datasets": datasets}]}


@contextmanager
def _disk_full_of_tensorstore(folder: Path) -> Iterator[None]:
    """tensorstore reports a full disk as a ValueError with the system's words."""
    try:
        yield
    except ValueError as error:
        if any(words in str(error) for words in FULL_DISK_WORDS):
            raise ResourceError(
                "The disk is full.",
                where=folder,
                got=bytes_left(folder),
                next_step="free space, then run the same command with --resume",
            ) from error
        raise
