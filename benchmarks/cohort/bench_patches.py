"""Random 96^3 patches of int16 from disk: the cohort's store against a memory map, MONAI and npz, in one process.

All take turns patch by patch, so that a busy machine slows all alike. Run:

    OMP_NUM_THREADS=1 python benchmarks/cohort/bench_patches.py [--image CT.nii.gz]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from monai.data import PersistentDataset
from monai.transforms import Compose, EnsureChannelFirstd, EnsureTyped, LoadImaged, SpatialCrop
from scipy import ndimage

from dictamen.cohort import arrays
from dictamen.cohort.store import StudyArrays
from dictamen.imaging import geometry
from dictamen.imaging.nifti import read_volume, write_volume
from dictamen.imaging.volume import Volume

SIZE = (96, 96, 96)
SHAPE = (512, 512, 300)
SPACING_MM = 1.0
ROUNDS = 60
ROUNDS_OF_WHOLE = 5
"""Of those that read the whole volume for a patch."""
RESULT = Path(__file__).parents[1] / "results/cohort_patches.md"


def generated(rng: np.random.Generator) -> np.ndarray:
    """Noise of 20 HU, correlated over two voxels, on smooth structures: compresses like a CT of the trunk."""
    coarse = rng.normal(0, 300, tuple(-(-n // 16) for n in SHAPE))
    smooth = ndimage.zoom(coarse, 16, order=1)[tuple(slice(n) for n in SHAPE)]
    return np.asarray(smooth + ndimage.uniform_filter(rng.normal(0, 60, SHAPE), 2), dtype=np.int16)


def real(path: Path) -> np.ndarray:
    """A CT, resampled to 1 mm so that it is large enough."""
    volume = geometry.to_canonical(read_volume(path))
    image = Volume(volume.array.astype(np.int16), volume.affine)
    return geometry.resample(image, spacing_mm=[SPACING_MM] * 3).array[0]


def readers(folder: Path, image: np.ndarray) -> dict[str, tuple[Callable[[list[int]], np.ndarray], Path]]:
    """name -> (read the patch at a start, where it is on disk)."""
    affine = np.eye(4)
    grid = {"shape": list(image.shape), "affine": affine.tolist()}
    empty = {"boxes": {}, "component_boxes": {}, "organ_names_annotated": (), "lesion_names_annotated": ()}
    attributes = {"levels": {"image": 1}, "grids": [grid], **empty}
    arrays.write_study(folder / "a.zarr", {"image": [image]}, affines=[affine], attributes=attributes)
    np.savez_compressed(folder / "a.npz", image=image)
    np.save(folder / "a.npy", image)
    study, mapped = StudyArrays(folder / "a.zarr", "a"), np.load(folder / "a.npy", mmap_mode="r")
    monai = monai_dataset(folder, image)

    def cut(array: np.ndarray, start: list[int]) -> np.ndarray:
        return np.array(array[tuple(slice(s, s + n) for s, n in zip(start, SIZE, strict=True))])

    return {
        "dictamen (Zarr v3, tensorstore)": (lambda start: study.patch("image", start, SIZE), folder / "a.zarr"),
        "npy, memory-mapped": (lambda start: cut(mapped, start), folder / "a.npy"),
        "MONAI PersistentDataset, whole volume": (lambda start: monai_patch(monai, start), folder / "monai"),
        "npz, compressed, whole volume": (
            lambda start: cut(np.load(folder / "a.npz")["image"], start),
            folder / "a.npz",
        ),
    }


def monai_dataset(folder: Path, image: np.ndarray) -> PersistentDataset:
    """MONAI's way to keep a study on disk: what its deterministic transforms made, as a file of torch."""
    write_volume(Volume(image[None], np.eye(4)), folder / "a.nii.gz")
    load = Compose(
        [LoadImaged("image", dtype=np.int16), EnsureChannelFirstd("image"), EnsureTyped("image", track_meta=False)]
    )
    dataset = PersistentDataset([{"image": str(folder / "a.nii.gz")}], load, cache_dir=folder / "monai")
    dataset[0]
    return dataset


def monai_patch(dataset: PersistentDataset, start: list[int]) -> np.ndarray:
    """The patch of its one study."""
    return np.asarray(
        SpatialCrop(roi_start=start, roi_end=[s + n for s, n in zip(start, SIZE, strict=True)])(dataset[0]["image"])[0]
    )


def measure(image: np.ndarray) -> list[str]:
    """Rows of the table."""
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        ways = readers(Path(folder), image)
        times: dict[str, list[float]] = {name: [] for name in ways}
        work: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(ROUNDS):
            start = [int(rng.integers(0, n - size + 1)) for n, size in zip(image.shape, SIZE, strict=True)]
            patches = []
            for name, (read, _) in ways.items():
                if name.endswith("whole volume") and turn >= ROUNDS_OF_WHOLE:
                    continue
                begin, spent = time.perf_counter(), time.process_time()
                patches.append(read(start))
                times[name].append(time.perf_counter() - begin)
                work[name].append(time.process_time() - spent)
            assert all((patch == patches[0]).all() for patch in patches)
        sizes = {name: size_of(place) for name, (_, place) in ways.items()}
    ours = float(np.median(times[next(iter(ways))]))
    return [row(name, times[name], work[name], ours=ours, share=sizes[name] / image.nbytes) for name in ways]


def row(name: str, seconds: list[float], work: list[float], *, ours: float, share: float) -> str:
    """One line of the table."""
    median, high = np.quantile(seconds, [0.5, 0.9])
    cpu = np.median(work) * 1e3
    return f"| {name} | {median * 1e3:.2f} | {high * 1e3:.2f} | {cpu:.2f} | {median / ours:.2f} | {share:.2f} |"


def size_of(path: Path) -> int:
    """Bytes on disk."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="a CT (NIfTI) instead of a generated volume")
    image_path = parser.parse_args().image
    image = real(image_path) if image_path else generated(np.random.default_rng(0))
    what = f"{'x'.join(map(str, image.shape))} int16, {'a CT at 1 mm' if image_path else 'generated'}"
    table = [
        f"Patches of {'x'.join(map(str, SIZE))} from {what}; page cache warm; "
        f"{ROUNDS} reads (of whole volumes {ROUNDS_OF_WHOLE}).",
        "",
        "| store | median ms | 90 % ms | median CPU ms | against ours | bytes on disk / raw |",
        "|---|---|---|---|---|---|",
        *measure(image),
    ]
    print("\n".join(table))
    command = f"python {Path(sys.argv[0]).name}{' --image CT.nii.gz' if image_path else ''}"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    head = f"# Reading patches\n\n{date.today()}, {machine}, Python {platform.python_version()}, `{command}`\n\n"
    old = RESULT.read_text(encoding="utf-8") if RESULT.exists() and image_path else ""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text((old + "\n" if old else "") + head + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
