"""Open an ontology's file, plain or gzipped, find out its format and read it."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from xml.etree.ElementTree import ParseError

from dictamen.anatomy.ontology.obo import read_obo
from dictamen.anatomy.ontology.owl import read_owl
from dictamen.anatomy.ontology.term import Ontology
from dictamen.errors import InputError

GZIP = b"\x1f\x8b"
PEEK = 4096
"""Bytes from which the format is told: headers and comments come before."""
_OTHERS = {
    b"@prefix": "Turtle",
    b"Prefix(": "OWL functional syntax",
    b"Prefix:": "OWL Manchester syntax",
    b"Ontology(": "OWL functional syntax",
    b"{": "JSON",
}
_EXPECTED = "an OBO file, or an OWL file in RDF/XML, plain or gzipped"


def read_ontology(path: Path) -> Ontology:
    """The terms of a file.

    Raises:
        InputError: no such file, another format, damaged, or no term in it.
    """
    try:
        with path.open("rb") as raw, gzip.open(raw) if raw.peek(2)[:2] == GZIP else raw as file:
            found = _read(file, path)
    except ParseError as error:
        raise InputError(
            "The OWL file is not well-formed XML.", where=path, got=error, next_step="download or export it again"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError("The gzipped file is damaged.", where=path, got=error, next_step="copy it again") from error
    except OSError as error:
        raise InputError("The ontology can't be read.", where=path, got=error.strerror, expected=_EXPECTED) from error
    if not any(term.name for term in found.terms.values()):
        raise InputError("There is no named term in the ontology.", where=path, expected=_EXPECTED)
    return found


def _read(file: io.BufferedReader | gzip.GzipFile, path: Path) -> Ontology:
    start = file.peek(PEEK)[:PEEK].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return read_owl(file)
    if other := next((name for mark, name in _OTHERS.items() if start.startswith(mark)), None):
        raise InputError(
            f"This ontology is written in {other}.",
            where=path,
            expected=_EXPECTED,
            next_step="convert it, e.g. with `robot convert --output FILE.obo`",
        )
    if not start or b"\0" in start or b":" not in start:
        raise InputError("This is no ontology.", where=path, expected=_EXPECTED)
    return read_obo(line.decode("utf-8-sig", errors="replace") for line in file)
