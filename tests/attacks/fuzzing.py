"""Damaged and hostile inputs, made from sound ones by hypothesis, and the readers that must withstand them.

A reader withstands an input when it reads it, or refuses it with one of our errors. `tests/attacks/test_fuzzing.py`
tries some of each kind, `benchmarks/robustness/fuzz.py` thousands under limits of memory and time.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from hypothesis import strategies as st
from synthetic_dicom import Scan

from dictamen.errors import DictamenError
from dictamen.imaging.dicom.volume import read_dicom
from dictamen.imaging.nifti import read_header, read_volume, write_volume
from dictamen.imaging.read import read_image, read_image_header, read_label_map
from dictamen.imaging.volume import Volume
from dictamen.inference.inputs import find_inputs
from dictamen.models.card import Architecture, ModelCard, OutputLabel
from dictamen.models.package import CARD, load_card, load_model, save_model
from dictamen.models.presets import build
from dictamen.reports.llm_reader import LlmReader
from dictamen.reports.rules import read_report

WORDS = (
    *("cyst", "mass", "lesion", "nodule", "metastases", "no", "unchanged", "left", "right", "kidney", "liver", "lung"),
    *("segment", "VI", "upper pole", "measuring", "2.3", "x", "1,5", "cm", "mm", "10-15", "IMPRESSION:", "FINDINGS:"),
    *(
        ".",
        ",",
        ":",
        "\n",
        "\n\n",
        "(",
        ")",
        "-",
        "previously",
        "status post",
        "<b>",
        "\u00d7",
        "\u200b",
        "\x00",
        "1e999",
    ),
)
"""What the readers of reports look for, and what they don't expect."""
REPORT = "There is a 2.3 cm cyst in the upper pole of the left kidney. A lesion in segment VI of the liver."
INTERESTING = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff" * 8, b"[" * 64, b"\x00" * 64)
"""Bytes that lengths, counts and floats don't expect."""

Reader = Callable[[Any], object]


@st.composite
def damaged(draw: st.DrawFn, sound: bytes, *, first: int = 0) -> bytes:
    """Bytes of a file with some changed, taken out, doubled or cut off, most of them among its first `first`."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 6))):
        end = max(1, min(first, len(data)) if first and draw(st.booleans()) else len(data))
        place = draw(st.integers(0, end - 1))
        kind = draw(st.sampled_from(["change", "interesting", "remove", "double", "cut"]))
        if kind == "change":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "interesting":
            some = draw(st.sampled_from(INTERESTING))
            data[place : place + len(some)] = some
        elif kind == "remove":
            del data[place : place + draw(st.integers(1, 64))]
        elif kind == "double":
            data[place:place] = data[place : place + draw(st.integers(1, 256))]
        else:
            del data[place:]
    return bytes(data)


def nifti_files(folder: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """(suffix, bytes) of NIfTI files, plain and compressed."""
    write_volume(Volume(np.arange(60, dtype=np.int16).reshape(1, 3, 4, 5), np.diag([2.0, 2, 3, 1])), folder / "a.nii")
    plain = (folder / "a.nii").read_bytes()
    inside = damaged(plain, first=352).map(gzip.compress)
    made = st.one_of(
        damaged(plain, first=352).map(lambda data: (".nii", data)),
        inside.map(lambda data: (".nii.gz", data)),
        damaged(gzip.compress(plain)).map(lambda data: (".nii.gz", data)),
    )

    def read(given: tuple[str, bytes]) -> None:
        path = folder / f"fuzz{given[0]}"
        path.write_bytes(given[1])
        for reader in (read_header, read_volume, read_label_map):
            refused(lambda reader=reader: reader(path))

    return made, read


def text_headers(folder: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """(suffix, bytes) of NRRD and MetaImage files, plain and compressed."""
    image = SimpleITK.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(5, 4, 3))
    sound = {}
    for suffix, packed in itertools.product((".nrrd", ".mha"), (False, True)):
        SimpleITK.WriteImage(image, str(folder / f"a{suffix}"), useCompression=packed)
        sound[suffix, packed] = (folder / f"a{suffix}").read_bytes()
    made = st.one_of(
        *(damaged(data).map(lambda data, suffix=suffix: (suffix, data)) for (suffix, _), data in sound.items())
    )

    def read(given: tuple[str, bytes]) -> None:
        path = folder / f"fuzz{given[0]}"
        path.write_bytes(given[1])
        for reader in (read_image_header, read_image, read_label_map):
            refused(lambda reader=reader: reader(path))

    return made, read


def dicom_series(folder: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """The bytes of one slice among sound ones."""
    slices = Scan(shape=(5, 4, 4)).datasets()
    place = folder / "series"
    place.mkdir()
    for number, one in enumerate(slices):
        one.save_as(place / f"{number}.dcm", enforce_file_format=True)
    buffer = io.BytesIO()
    slices[1].save_as(buffer, enforce_file_format=True)

    def read(data: bytes) -> None:
        (place / "1.dcm").write_bytes(data)
        refused(lambda: find_inputs(place))
        refused(lambda: read_dicom(place))
        refused(lambda: read_dicom(place / "1.dcm"))

    return damaged(buffer.getvalue()), read


def reports(_: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """Texts of words that mean something in any order, and any text at all."""
    words = st.lists(st.sampled_from(WORDS), max_size=400).map(" ".join)
    return st.one_of(words, st.text(max_size=2000)), lambda text: read_report(text, "s")


def model_folders(folder: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """(model.json, header of model.safetensors) of a model folder."""
    card = ModelCard(
        architecture=Architecture(preset="unet_tiny", out_channels=1),
        labels=(OutputLabel(name="kidney", kind="organ"),),
        spacing_mm=(2, 2, 2),
        patch_size=(16, 16, 16),
    )
    model = save_model(folder / "model", build("unet_tiny", in_channels=1, out_channels=1), card)
    text, weights = (model / CARD).read_bytes(), (model / "model.safetensors").read_bytes()
    changed = st.builds(
        lambda path, value: _with(json.loads(text), path, value), st.lists(st.integers(0, 8), max_size=3), json_values()
    )
    header = struct.unpack("<Q", weights[:8])[0]
    made = st.one_of(
        st.tuples(st.one_of(damaged(text), changed), st.just(weights)),
        st.tuples(st.just(text), damaged(weights, first=8 + header)),
    )

    def read(given: tuple[bytes, bytes]) -> None:
        (model / CARD).write_bytes(given[0])
        (model / "model.safetensors").write_bytes(given[1])
        refused(lambda: load_card(model))
        refused(lambda: load_model(model))

    return made, read


def llm_answers(_: Path) -> tuple[st.SearchStrategy[Any], Reader]:
    """What a language model may say."""
    lesion = {"sentence": 1, "evidence": "2.3 cm cyst", "organ": "kidney", "side": "left", "size": "2.3 cm"}
    sound = json.dumps({"lesions": [lesion]})
    changed = st.builds(
        lambda path, value: _with(json.loads(sound), path, value).decode(),
        st.lists(st.integers(0, 8), max_size=4),
        json_values(),
    )
    deep = st.integers(1, 100_000).map(lambda n: '{"lesions":' * n + "}" * n)
    made = st.one_of(damaged(sound.encode()).map(lambda b: b.decode("utf-8", "replace")), changed, deep, st.text())

    class Server:
        model, said = "m", ""

        def ask(self, *_: object) -> str:
            return self.said

    def read(text: str) -> None:
        server = Server()
        server.said = text
        LlmReader(server, which="all").read(REPORT, "s")  # type: ignore[arg-type]

    return made, read


TARGETS = {
    "NIfTI": nifti_files,
    "NRRD, MetaImage": text_headers,
    "DICOM": dicom_series,
    "report": reports,
    "model": model_folders,
    "LLM answer": llm_answers,
}


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value, huge numbers and odd strings among them."""
    simple = st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from([2**63, -1, 0, 10**30, 1e308, "", "../../x", "custom"])
    )
    return st.recursive(
        st.one_of(simple, st.floats(allow_nan=False), st.text(max_size=20)),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
        max_leaves=8,
    )


def refused(read: Callable[[], object]) -> None:
    """Call; one of our errors is an answer, too, and tells something."""
    try:
        read()
    except DictamenError as error:
        assert str(error)


def _with(value: Any, path: list[int], new: Any) -> bytes:
    """JSON with one value replaced: at each level the n-th entry."""
    here, keys = value, []
    for number in path:
        if not isinstance(here, dict | list) or not here:
            break
        keys.append(list(here)[number % len(here)] if isinstance(here, dict) else number % len(here))
        here = here[keys[-1]]
    if not keys:
        return json.dumps(new).encode()
    here = value
    for key in keys[:-1]:
        here = here[key]
    here[keys[-1]] = new
    return json.dumps(value).encode()
