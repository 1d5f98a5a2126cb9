"""The words that the rule reader knows, as data: TOML files become one trie of terms, compiled once.

File format: tables `[category.value]` with `terms` (and `plurals`) plus attributes. A term is words separated by
spaces; `a|b` are alternatives (`ct|plain-film` has one of two words), a trailing `?` makes a word optional, a trailing
`*` matches any ending. A hyphen counts as a space, in the files and in reports. Where terms overlap, the longest one
wins, so that "no significant change" is not "no", and "pulmonary artery" is not the lung.
A site overlay has the same format; `remove = [...]` takes terms away.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from itertools import product
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dictamen.anatomy.words import american
from dictamen.errors import InputError
from dictamen.reports.tokens import Tokens

_LISTS = frozenset(["terms", "plurals", "remove"])
MAX_WORDS = 8
"""Longest term in words; bounds the work for each word of a report."""
MAX_STEM = 24
"""Longest stem in characters; bounds the work on endless words."""
MAX_CACHED_WORDS = 100_000
"""Words whose look-up is remembered; bounds the memory on adversarial text."""
MAX_EXPANSIONS = 600
"""Most terms that one line of a file may stand for; more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a phrase means: its category, the value within it, and attributes from the file."""

    category: str
    value: str
    plural: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict, compare=False)


_NOTHING: tuple[int, tuple[Term, ...]] = (0, ())


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()


class Lexicon:
    """Compiled terms. Build with `load`; treat as read-only.

    Attributes:
        headings: the terms of headings, category "headings"; apart, so that "lungs and pleura" in a sentence stays two
            organs.
        hash: first 16 hex digits of the SHA-256 of all files read, written into every output.
    """

    def __init__(self, tables: Iterable[Mapping[str, Any]], digest: str) -> None:
        self.hash = digest
        self._root = _Node()
        self._values: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._symbols: dict[str, tuple[str, ...]] = {}
        self._starts: dict[str, tuple[_Node, ...]] = {}
        headings = []
        for table in tables:
            for category, values in table.items():
                if category == "heading":
                    headings.append(values)
                    continue
                for value, entry in values.items():
                    self._add(category, value, entry)
        self.headings: Lexicon | None = (
            Lexicon([{"headings": values} for values in headings], digest) if headings else None
        )

    def values(self, category: str) -> Mapping[str, Mapping[str, Any]]:
        """Attributes of each value of a category, in the order of the files."""
        return MappingProxyType(self._values.get(category, {}))

    def attribute(self, category: str, value: str, name: str, default: Any = None) -> Any:
        """One attribute of one value."""
        return self._values.get(category, {}).get(value, {}).get(name, default)

    def longest(self, tokens: Tokens, first: int) -> tuple[int, tuple[Term, ...]]:
        """The longest term that starts at word `first`: (words, meanings); (0, ()) where there is none."""
        words = tokens.words
        nodes = self._starts.get(words[first])
        if nodes is None:
            nodes = self._first_nodes(words[first])
        best = _NOTHING
        index = first
        while nodes:
            for node in nodes:
                if node.terms:
                    length = index - first + 1
                    best = (length, node.terms if best[0] < length else _union(best[1], node.terms))
            index += 1
            if index == len(words):
                break
            symbols = self._symbols.get(words[index])
            if symbols is None:
                symbols = self._symbols_of(words[index])
            nodes = tuple(node.children[symbol] for symbol in symbols for node in nodes if symbol in node.children)
            if nodes and not tokens.joined(index):
                break
        return best

    def _first_nodes(self, word: str) -> tuple[_Node, ...]:
        children = self._root.children
        nodes = tuple(children[symbol] for symbol in self._symbols_of(word) if symbol in children)
        if len(self._starts) < MAX_CACHED_WORDS:
            self._starts[word] = nodes
        return nodes

    def _symbols_of(self, word: str) -> tuple[str, ...]:
        """The trie's symbols that `word` matches: itself, then the stems that it begins with, longest first."""
        if word not in self._exact:
            word = american(word)
        stems = [word[:n] + "*" for n in range(min(len(word), MAX_STEM), 2, -1) if word[:n] in self._prefixes]
        symbols = ((word,) if word in self._exact else ()) + tuple(stems)
        if len(self._symbols) < MAX_CACHED_WORDS:
            self._symbols[word] = symbols
        return symbols

    def _add(self, category: str, value: str, entry: Mapping[str, Any]) -> None:
        attributes = {key: item for key, item in entry.items() if key not in _LISTS}
        known = self._values.setdefault(category, {})
        known[value] = {**known.get(value, {}), **attributes}
        for plural, key in ((False, "terms"), (True, "plurals")):
            for line in entry.get(key, ()):
                for phrase in expand(line):
                    self._insert(phrase, Term(category, value, plural, known[value]))
        for line in entry.get("remove", ()):
            for phrase in expand(line):
                self._remove(phrase, category)

    def _insert(self, phrase: tuple[str, ...], term: Term) -> None:
        node = self._root
        for symbol in phrase:
            (self._prefixes if symbol.endswith("*") else self._exact).add(symbol.removesuffix("*"))
            node = node.children.setdefault(symbol, _Node())
        if term not in node.terms:
            node.terms = (*node.terms, term)

    def _remove(self, phrase: tuple[str, ...], category: str) -> None:
        node: _Node | None = self._root
        for symbol in phrase:
            node = node.children.get(symbol) if node else None
        if node:
            node.terms = tuple(term for term in node.terms if term.category != category)


def _union(a: tuple[Term, ...], b: tuple[Term, ...]) -> tuple[Term, ...]:
    return a + tuple(term for term in b if term not in a)


def expand(line: str) -> Iterator[tuple[str, ...]]:
    """All word sequences that a line of a file stands for.

    Raises:
        InputError: too many words or alternatives.
    """
    choices: list[list[tuple[str, ...]]] = []
    for word in line.lower().split():
        options = [tuple(option.replace("-", " ").split()) for option in word.removesuffix("?").split("|")]
        choices.append([*options, *([()] if word.endswith("?") else [])])
    size = prod(len(options) for options in choices)
    if not choices or size > MAX_EXPANSIONS or len(choices) > MAX_WORDS:
        raise InputError(
            "A lexicon term is empty or too wide.",
            got=line,
            expected=f"1-{MAX_WORDS} words, up to {MAX_EXPANSIONS} variants",
        )
    for combination in product(*choices):
        phrase = tuple(word for option in combination for word in option)
        if phrase:
            yield phrase


@lru_cache(maxsize=8)
def load(overlay: Path | None = None) -> Lexicon:
    """The built-in lexicon, with a site's overlay on top.

    Raises:
        InputError: the overlay is missing, is not TOML, or has another shape.
    """
    folder = files("dictamen.reports").joinpath("data")
    sources = sorted(
        (item.name, item.read_text(encoding="utf-8")) for item in folder.iterdir() if item.name.endswith(".toml")
    )
    if overlay is not None:
        sources.append((str(overlay), _read(overlay)))
    digest = hashlib.sha256("\0".join(text for _, text in sources).encode()).hexdigest()[:16]
    return Lexicon([_parse(name, text) for name, text in sources], digest)


def _read(overlay: Path) -> str:
    try:
        return overlay.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The site overlay can't be read.", where=overlay, got=type(error).__name__, expected="a TOML file in UTF-8"
        ) from error


def _parse(name: str, text: str) -> dict[str, dict[str, Any]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("A lexicon file is not valid TOML.", where=name, got=str(error)) from error
    for category, values in table.items():
        if not isinstance(values, dict) or not all(isinstance(entry, dict) for entry in values.values()):
            raise InputError(
                "A lexicon file has a wrong shape.", where=name, got=category, expected="tables [category.value]"
            )
    return table
