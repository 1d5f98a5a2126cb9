"""Whether knowledge contradicts itself: circles, relations that lead nowhere, parts without a whole, sides alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dictamen.anatomy.concept import ROOT, Concept


def find_problems(concepts: Mapping[str, Concept]) -> list[str]:
    """What is wrong, one sentence each; nothing for knowledge that holds together."""
    problems = []
    for concept in concepts.values():
        for relation, ids in concept.relations.items():
            problems += [f"{concept.id}: {relation} leads to {i}, which is unknown" for i in ids if i not in concepts]
            problems += [f"{concept.id}: {relation} leads to itself" for i in ids if i == concept.id]
        for mirror in concept.relations.get("mirror_of", ()):
            back = concepts[mirror].relations.get("mirror_of", ()) if mirror in concepts else (concept.id,)
            if concept.id not in back:
                problems.append(f"{concept.id}: its mirror {mirror} has another mirror")
    if problems:
        return problems
    if closing := closing_edges({concept.id: concept.above for concept in concepts.values()}):
        return [f"{one}: {other} is above it and below it" for one, other in closing]
    return [f"{i}: nothing above it leads to {ROOT}" for i in concepts if i != ROOT and not _leads_up(i, concepts)] + [
        f"{concept.id}: a part without a whole"
        for concept in concepts.values()
        if concept.category == "part" and not _has_whole(concept, concepts)
    ]


def closing_edges(above: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """The steps upward (from, to) that close a circle; without them there is none."""
    closing = []
    done: set[str] = set()
    for start in above:
        path = {start: iter(above[start])} if start not in done else {}  # in the order of the way up
        while path:
            node = next(reversed(path))
            other = next(path[node], None)
            if other is None:
                done.add(node)
                del path[node]
            elif other in path:
                closing.append((node, other))
            elif other not in done and other in above:
                path[other] = iter(above[other])
    return closing


def _leads_up(concept_id: str, concepts: Mapping[str, Concept]) -> bool:
    seen: set[str] = set()
    waiting = [concept_id]
    while waiting:
        at = waiting.pop()
        if at == ROOT:
            return True
        if at not in seen:
            seen.add(at)
            waiting += concepts[at].above
    return False


def _has_whole(concept: Concept, concepts: Mapping[str, Concept]) -> bool:
    """Whether it, or something that it is a kind of, is a part of something."""
    line, waiting = set(), [concept.id]
    while waiting:
        at = waiting.pop()
        if concepts[at].relations.get("part_of"):
            return True
        if at not in line:
            line.add(at)
            waiting += concepts[at].above
    return False
