"""The words that the rule reader knows, as data: TOML files become one trie of terms, compiled once.

File format: tables `[category.value]` with `terms` (and `plurals`) plus attributes. A term is words separated by
spaces; `a|b` are alternatives (`ct|plain-film` has one of two words), a trailing `?` makes a word optional, a trailing
`*` matches any ending. A hyphen counts as a space, in the files and in reports. Where terms overlap, the longest one
wins, so that "no significant change" is not "no", and "pulmonary artery" is not the lung.
Some tables are apart: `[word.left]` lists words that are read as "left", `[abbreviation.any]` words whose stop ends no
sentence, `[misspelled.any]` words recognised with one wrong letter, `[language.X]` what is true of a language.
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
from dictamen.errors import InputError, UsageError
from dictamen.reports.spelling import Typos
from dictamen.reports.tokens import ABBREVIATED, JOINED, Tokens

_LISTS = frozenset(["terms", "plurals", "remove"])
ENGLISH = "en"
"""The language of the built-in lexicon; others are laid over it (languages/*.toml)."""
MAX_WORDS = 8
"""Longest term in words; bounds the work for each word of a report."""
MAX_STEM = 24
"""Longest stem in characters; bounds the work on endless words."""
MAX_REMEMBERED = 200_000
"""Steps from word to word that are remembered (some 20 MB); bounds the memory on adversarial text."""
MAX_EXPANSIONS = 600
"""Most terms that one line of a file may stand for; more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a phrase means: its category, the value within it, and attributes from the file."""

    category: str
    value: str
    plural: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict, compare=False)
    key: tuple[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.category, self.value))


_NOTHING: tuple[int, tuple[Term, ...]] = (0, ())


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()


@dataclass(slots=True)
class _State:
    """Nodes of the trie that one series of words reaches: through the words themselves and through stems of theirs."""

    nodes: tuple[_Node, ...]
    terms: tuple[Term, ...] = ()
    known: dict[str, _State | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            self.terms = _union(self.terms, node.terms)


class Lexicon:
    """Compiled terms. Build with `load`; treat as read-only.

    Attributes:
        meanings: words that are read as another one, category "word": "lt" -> "left".
        abbreviations: words whose full stop ends no sentence.
        capitalised_nouns: as in German; a capital within a sentence then says nothing.
        headings: the terms of headings, category "headings"; apart, so that "lungs and pleura" in a sentence stays two
            organs.
        hash: first 16 hex digits of the SHA-256 of all files read, written into every output.
    """

    def __init__(self, tables: Iterable[Mapping[str, Any]], digest: str) -> None:
        self.hash = digest
        self._trie = _Node()
        self._values: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._remembered = 0
        tables = list(tables)
        self.meanings = {
            word: value
            for table in tables
            for value, entry in table.get("word", {}).items()
            for word in entry.get("terms", ())
        }
        self.abbreviations = frozenset(
            word
            for table in tables
            for entry in table.get("abbreviation", {}).values()
            for word in entry.get("terms", ())
        )
        headings, misspelled = [], []
        for table in tables:
            for category, values in table.items():
                if category == "heading":
                    headings.append(values)
                    continue
                if category in ("word", "abbreviation"):
                    continue
                if category == "misspelled":
                    misspelled += [word for entry in values.values() for word in entry.get("terms", ())]
                    continue
                for value, entry in values.items():
                    self._add(category, value, entry)
        self._typos = Typos(misspelled)
        self.capitalised_nouns = any(item.get("capitalised_nouns") for item in self.values("language").values())
        self._root = _State((self._trie,))
        words = {
            value: {"terms": [w for w, meant in self.meanings.items() if meant == value]}
            for value in set(self.meanings.values())
        }
        self.headings: Lexicon | None = (
            Lexicon([{"headings": values, "word": words} for values in headings], digest) if headings else None
        )

    def values(self, category: str) -> Mapping[str, Mapping[str, Any]]:
        """Attributes of each value of a category, in the order of the files."""
        return MappingProxyType(self._values.get(category, {}))

    def attribute(self, category: str, value: str, name: str, default: Any = None) -> Any:
        """One attribute of one value."""
        return self._values.get(category, {}).get(value, {}).get(name, default)

    def find(self, tokens: Tokens, first: int, last: int) -> list[tuple[int, int, tuple[Term, ...]]]:
        """Terms among words [first, last), the longest where several begin: (first word, word behind, meanings).

        Written out in one loop: it runs over each word of each report.
        """
        words, starts, ends, text = tokens.words, tokens.starts, tokens.ends, tokens.text
        root, follow = self._root, self._follow
        found = []
        index = first
        while index < last:
            word = words[index]
            state = root.known[word] if word in root.known else follow(root, word)
            index += 1
            if state is None:
                continue
            begin, terms, stop = index - 1, state.terms, index
            behind = index
            while behind < last and state.nodes:
                word, known = words[behind], state.known
                reached = known[word] if word in known else follow(state, word)
                if reached is None:
                    break
                gap = text[ends[behind - 1] : starts[behind]]
                if gap not in JOINED and not (gap == ABBREVIATED and len(words[behind - 1]) == 1):
                    break
                state = reached
                behind += 1
                if state.terms:
                    terms, stop = state.terms, behind
            if terms:
                found.append((begin, stop, terms))
                index = stop
        return found

    def longest(self, tokens: Tokens, first: int) -> tuple[int, tuple[Term, ...]]:
        """The longest term that starts at word `first`: (words, meanings); (0, ()) where there is none."""
        found = self.find(tokens, first, min(first + MAX_WORDS, len(tokens.words)))
        return (found[0][1] - first, found[0][2]) if found and found[0][0] == first else _NOTHING

    def _follow(self, state: _State, word: str) -> _State | None:
        """Where `word` leads from a state; remembered, so that each pair is looked up once."""
        symbols = self._symbols_of(word)
        nodes = tuple(node.children[symbol] for symbol in symbols for node in state.nodes if symbol in node.children)
        reached = _State(nodes) if nodes else None
        if self._remembered < MAX_REMEMBERED:
            self._remembered += 1
            state.known[word] = reached
        return reached

    def _symbols_of(self, word: str) -> tuple[str, ...]:
        """The trie's symbols that `word` matches: itself, then the stems that it begins with, longest first."""
        if word not in self._exact:
            word = american(word)
        stems = [word[:n] + "*" for n in range(min(len(word), MAX_STEM), 2, -1) if word[:n] in self._prefixes]
        if word not in self._exact and not stems:
            word = self._typos.corrected(word) or word
        return ((word,) if word in self._exact else ()) + tuple(stems)

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
        node = self._trie
        for symbol in self._read_as(phrase):
            (self._prefixes if symbol.endswith("*") else self._exact).add(symbol.removesuffix("*"))
            node = node.children.setdefault(symbol, _Node())
        if term not in node.terms:
            node.terms = (*node.terms, term)

    def _read_as(self, phrase: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.meanings.get(word, word) if len(word) > 1 else word for word in phrase)

    def _remove(self, phrase: tuple[str, ...], category: str) -> None:
        node: _Node | None = self._trie
        for symbol in self._read_as(phrase):
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
def load(overlay: Path | None = None, language: str = ENGLISH) -> Lexicon:
    """The built-in lexicon, with a language and a site's overlay on top.

    Raises:
        UsageError: there is no such language.
        InputError: the overlay is missing, is not TOML, or has another shape.
    """
    folder = files("dictamen.reports").joinpath("data")
    sources = sorted(
        (item.name, item.read_text(encoding="utf-8")) for item in folder.iterdir() if item.name.endswith(".toml")
    )
    if language != ENGLISH:
        sources.append((f"{language}.toml", _language(language)))
    if overlay is not None:
        sources.append((str(overlay), _read(overlay)))
    digest = hashlib.sha256("\0".join(text for _, text in sources).encode()).hexdigest()[:16]
    return Lexicon([_parse(name, text) for name, text in sources], digest)


def _language(code: str) -> str:
    known = {
        item.name.removesuffix(".toml"): item for item in files("dictamen.reports").joinpath("languages").iterdir()
    }
    if code not in known:
        raise UsageError("Unknown language of reports.", got=code, expected=", ".join([ENGLISH, *sorted(known)]))
    return known[code].read_text(encoding="utf-8")


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
