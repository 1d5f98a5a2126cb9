"""Reports per second of spaCy with negspaCy, or of medspaCy; run by bench_peers.py in an environment that has them.

usage: python peer_spacy.py negspacy|medspacy REPORTS.jsonl

Prints one JSON object: reports of 1,600 characters a CPU second, best of three, and versions. Both look for the same
sixteen words of lesions and tell which are denied: less than the rule reader does.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path

WORDS = (
    *("lesion", "lesions", "nodule", "nodules", "mass", "masses", "cyst", "cysts", "metastasis", "metastases"),
    *("adenoma", "hemangioma", "tumor", "lymphadenopathy", "polyp", "carcinoma"),
)


def negspacy():
    """A blank English pipeline with sentences, the words, and negex."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 - registers the component
    from negspacy.termsets import termset

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "LESION", "pattern": [{"LOWER": word}]} for word in WORDS])
    terms = termset("en_clinical").get_patterns()
    nlp.add_pipe("negex", config={"neg_termset": terms, "ent_types": ["LESION"]})
    return nlp


def medspacy():
    """medspaCy's own pipeline: PyRuSH sentences, target matcher, ConText."""
    import medspacy
    from medspacy.ner import TargetRule

    nlp = medspacy.load()
    nlp.get_pipe("medspacy_target_matcher").add([TargetRule(word, "LESION") for word in WORDS])
    return nlp


def main() -> None:
    """Measure and print."""
    name, path = sys.argv[1:]
    texts = [json.loads(line)["report"] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    nlp = {"negspacy": negspacy, "medspacy": medspacy}[name]()
    if name == "medspacy":
        texts = texts[:30]  # slow
    list(nlp.pipe(texts[:3]))
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        list(nlp.pipe(texts))
        best = max(best, sum(map(len, texts)) / 1600 / (time.process_time() - start))
    versions = {package: importlib.metadata.version(package) for package in ("spacy", name)}
    print(json.dumps({"reports_per_second": best, "versions": versions}))


if __name__ == "__main__":
    main()
