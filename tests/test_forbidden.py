"""What turns data into code is nowhere in the source: no pickle, eval, exec, shell, unpacking by an archive's own
names, unsafe loading."""

import ast
from pathlib import Path

import pytest

import dictamen

SOURCE = Path(dictamen.__file__).parent
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "shelve",
    "marshal",
    "jsonpickle",
    "yaml",
    "telnetlib",
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnv"),
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "joblib.load", "joblib.dump", "np.save"),
    *("numpy.save", "pandas.read_pickle", "pd.read_pickle", "polars.read_pickle", "tempfile.mktemp", "builtins.exec"),
    *("shutil.unpack_archive", "urllib.request.urlretrieve", "urllib.request.urlopen"),
}
METHODS = {"extractall", "extract", "unpack_archive", "load_from_checkpoint", "full_load", "unsafe_load"}
"""Of whatever object."""
SWITCHES = {"shell": True, "weights_only": False, "allow_pickle": True, "verify": False}
"""Arguments that must not have this value."""


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden(text: str) -> list[str]:
    """What of it a module holds, with its line."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{node.lineno}: import {name}" for name in names if name.split(".")[0] in MODULES]  # type: ignore[attr-defined]
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.lineno}: {name.name}" for name in node.names if f"{node.module}.{name.name}" in CALLS]
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        restricted = name == "torch.load" and any(
            word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
            for word in node.keywords
        )  # makes tensors and plain values only
        if (name in CALLS and not restricted) or method in METHODS:
            found.append(f"{node.lineno}: {name or method}")
        if name in ("np.load", "numpy.load") and "allow_pickle" not in {word.arg for word in node.keywords}:
            found.append(f"{node.lineno}: {name} without allow_pickle=False")
        for word in node.keywords:
            if word.arg in SWITCHES and isinstance(word.value, ast.Constant) and word.value.value is SWITCHES[word.arg]:
                found.append(f"{node.lineno}: {word.arg}={word.value.value}")
    return found


def test_the_source_holds_nothing_that_turns_data_into_code() -> None:
    modules = sorted(SOURCE.rglob("*.py"))
    assert len(modules) > 100
    found = {str(path.relative_to(SOURCE)): forbidden(path.read_text(encoding="utf-8")) for path in modules}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "eval('1')",
        "exec(text)",
        "import torch\ntorch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=maybe)",
        "f(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "archive.extractall(folder)",
        "zipfile.ZipFile(path).extract(name)",
        "from os import system",
        "os.system('ls')",
        "joblib.load(path)",
    ],
)
def test_each_of_them_would_be_found(text: str) -> None:
    assert forbidden(text)


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path, weights_only=True)",
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "re.compile('a')",
        "import json",
    ],
)
def test_what_is_harmless_is_not(text: str) -> None:
    assert not forbidden(text)
