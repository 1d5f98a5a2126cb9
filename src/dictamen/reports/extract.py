"""From one statement to drafts: what each lesion word of the sentence amounts to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from dictamen.interval import Interval
from dictamen.reports import describe
from dictamen.reports.anchors import Anchor, find_anchors
from dictamen.reports.discourse import (
    Context,
    adopt_from_last,
    complete,
    continues_last,
    item_structure,
    listed_as_node,
    means_distractor,
    opens_with_anaphor,
    refers_to_lesion,
)
from dictamen.reports.drafts import Draft, Place
from dictamen.reports.link import OrganMention, choose_organ, in_list, link_sizes
from dictamen.reports.measurements import Measurement
from dictamen.reports.places import enumerated_place, find_place, lesion_place, regions
from dictamen.reports.schema import Attenuation
from dictamen.reports.scope import assertion, called_normal, existence, is_differential, is_prior, trend
from dictamen.reports.statement import Statement


@dataclass(slots=True)
class Denied:
    """A denied lesion word and the organs that it clears."""

    structures: list[tuple[str, OrganMention | None]] = field(default_factory=list)


def read_anchors(statement: Statement, organs: list[OrganMention], context: Context) -> tuple[list[Draft], Denied]:
    """Drafts of the lesions that the sentence states, and the organs that it declares free of lesions."""
    anchors = find_anchors(statement)
    if not anchors and not statement.measurements:
        return [], Denied()
    linked, loose = link_sizes(statement, anchors) if statement.measurements else ({}, [])
    drafts: list[Draft] = []
    denied = Denied()
    home = _Home(None, None, "none")
    for index, anchor in enumerate(anchors):
        said = assertion(statement, anchor, anchors)
        goes_on = continues_last(statement, anchor, context) and context.last is not None
        before = home
        home = _home(statement, anchor, organs, anchors, context, goes_on=goes_on)
        if home.structure is None and statement.word(anchor.first) == "one":  # "a myoma and another one"
            home = before
        if said.denied and not said.resolved:
            if not said.only_new:
                denied.structures += _cleared(statement, anchor, home, organs)
            continue
        if anchor.negated_only or is_differential(statement, anchor) or called_normal(statement, anchor, anchors):
            continue
        if home.structure is None:
            if linked.get(index) and not anchor.history:
                context.unplaced = _drafts(statement, anchor, home, (None, None), linked[index], organs)[0]
            continue
        if means_distractor(statement, anchor, context):
            continue
        neighbours = (anchors[index - 1] if index else None, anchors[index + 1] if index + 1 < len(anchors) else None)
        made = _drafts(statement, anchor, home, neighbours, linked.get(index, []), organs)
        adopt_from_last(statement, made, context)
        _link_group(made, context)
        if goes_on:
            complete(statement, context, made[0])
        if said.resolved or anchor.history:
            made = [replace(draft, temporal="prior", existence="absent") for draft in made]
        drafts += made
        drafts += _also(statement, anchor, home, organs, made)
    if not anchors and loose:
        drafts += _without_anchor(statement, loose, organs, context)
    return drafts, denied


class _Home(NamedTuple):
    """The organ of a lesion, the words that name it, and the rule that found it."""

    structure: str | None
    mention: OrganMention | None
    rule: str


def _home(
    statement: Statement,
    anchor: Anchor,
    organs: list[OrganMention],
    anchors: list[Anchor],
    context: Context,
    *,
    goes_on: bool,
) -> _Home:
    """Structure of a lesion: by its own name, the sentence, the heading, or what the text was about."""
    if goes_on and context.last is not None:
        anchor.definite = True
        return _Home(context.last.structure, None, "earlier_lesion")
    if anchor.node and not listed_as_node(statement, anchor, context):
        return _Home("lymph_node", None, "own_name")
    for implied in statement.of("lesion_organ"):
        if implied.start == anchor.start:
            return _Home(implied.value, None, "own_name")
    chosen = choose_organ(statement, anchor, organs, anchors)
    if chosen is not None:
        return _Home(chosen.structure, chosen, "sentence")
    if statement.heading.organ is not None:
        return _Home(statement.heading.organ, None, "heading")
    last_resort = next((word.value for word in statement.of("lesion_organ_last") if word.start == anchor.start), None)
    if any(organ.near for organ in organs) and not anchor.definite:
        return _Home(last_resort, None, "own_name")
    refers = anchor.definite or opens_with_anaphor(statement)
    if refers and context.last is not None:
        return _Home(context.last.structure, None, "earlier_lesion")
    if anchor.history:
        return _Home(None, None, "none")
    return _Home(context.topic, None, "topic") if context.topic else _Home(last_resort, None, "own_name")


def _coordinated(statement: Statement, chosen: OrganMention, organs: list[OrganMention]) -> list[OrganMention]:
    """Organs in one list with the chosen one: "in the liver, spleen and both kidneys"."""
    group = [chosen]
    for organ in organs:
        if organ.mention.start >= group[-1].mention.end and not organ.near and not organ.part:
            gap = statement.between(group[-1].mention.end, organ.mention.start)
            if not in_list(gap):
                break
            group.append(organ)
    for organ in reversed(organs):
        if organ.mention.end <= group[0].mention.start and not organ.near and not organ.part:
            if not in_list(statement.between(organ.mention.end, group[0].mention.start)):
                break
            group.insert(0, organ)
    return group


def _cleared(
    statement: Statement, anchor: Anchor, home: _Home, organs: list[OrganMention]
) -> list[tuple[str, OrganMention | None]]:
    if home.structure is None or anchor.history:
        return []
    if home.mention is None:
        return [(home.structure, None)]
    return [(each.structure, each) for each in _coordinated(statement, home.mention, organs)]


def _link_group(made: list[Draft], context: Context) -> None:
    """Link single lesions to the group that a list gives as examples of."""
    group = context.listing
    if group is None or group.structure == "" or not group.plural:
        return
    for draft in made:
        if draft.structure == group.structure and not draft.plural:
            draft.group = group


def _also(
    statement: Statement,
    anchor: Anchor,
    home: _Home,
    organs: list[OrganMention],
    made: list[Draft],
) -> list[Draft]:
    """One draft for each further organ of the list: "cysts in the liver and both kidneys"."""
    mention = home.mention
    if mention is None or not anchor.plural or any(draft.measurement for draft in made) or mention.part:
        return []
    others = [each for each in _coordinated(statement, mention, organs) if each.structure != mention.structure]
    unique = {each.structure: each for each in others}
    return [
        replace(
            made[0],
            structure=each.structure,
            place=find_place(statement, each.structure, each.mention.start - 20, each.mention.end, each.mention.start),
            slices=[],
            mentions=[],
        )
        for each in unique.values()
        if not statement.lexicon.attribute("organ", each.structure, "compartment", False)
    ]


def _drafts(
    statement: Statement,
    anchor: Anchor,
    home: _Home,
    neighbours: tuple[Anchor | None, Anchor | None],
    sizes: list[Measurement],
    organs: list[OrganMention],
) -> list[Draft]:
    """One draft, or one for each size of "a 7 mm and a 5 mm nodule"."""
    before, after = neighbours
    floor = before.last if before else 0
    ceiling = after.first if after else statement.last
    prior = [size for size in sizes if is_prior(statement, size)]
    current = describe.with_third_axis(statement, [size for size in sizes if size not in prior])
    template = _template(statement, anchor, home, neighbours, floor, ceiling)
    template.prior_diameters_mm = prior[0].values_mm if prior else ()
    limit = after.start if after else statement.end
    if anchor.plural and len(current) == 1 and _lists_one(statement, anchor, current[0]):
        template.count, template.plural = Interval.exact(1), False
        return [_sized(statement, template, current[0], group=False, limit=limit)]
    if anchor.plural and len(current) == 1 and _gives_examples(statement, anchor, current[0]):
        return _examples(template, [_one_of_several(statement, template, current, 0, prior, organs)])
    if not current:
        template.qualifier = describe.stated_size(statement, anchor, floor)
        template.slices = describe.slice_reference(statement, anchor.end, limit)
        return [template]
    group = anchor.plural and (
        len(current) == 1 or describe.is_largest(statement, current[0]) or current[0].qualifier == "max"
    )
    apart = anchor.plural and len(current) > 1 and _enumerated_organ(statement, organs, current, 0) is not None
    if not apart and (len(current) == 1 or group or not _each_its_own(statement, anchor, current)):
        return [_sized(statement, template, current[0], group=group, limit=limit)]
    several = [_one_of_several(statement, template, current, number, prior, organs) for number in range(len(current))]
    return several if not _gives_examples(statement, anchor, current[0]) else _examples(template, several)


_SAME_LESION = re.compile(
    r"\b(?:axial|coronal|sagittal|plane|dimension|diameter|thick|deep|wide|AP|transverse)\b", re.IGNORECASE
)


def _gives_examples(statement: Statement, anchor: Anchor, size: Measurement) -> bool:
    """Whether the sizes are examples of a larger group: "many lesions, e.g. L3 22 mm and the manubrium 18 mm"."""
    return any(anchor.end <= cue.start and cue.end <= size.start for cue in statement.of("group", "example"))


def _examples(group: Draft, several: list[Draft]) -> list[Draft]:
    """The group, and its examples linked to it."""
    return [group, *(replace(draft, group=group) for draft in several)]


def _lists_one(statement: Statement, anchor: Anchor, size: Measurement) -> bool:
    """Whether the plural only opens a list of a single item: "Renal cysts: left upper pole 14 mm"."""
    return (
        statement.text[anchor.end : anchor.end + 1] == ":"
        and size.qualifier is None
        and not describe.is_largest(statement, size)
        and not any(cue.end <= size.start for cue in statement.of("count", "many", "both"))
    )


def _each_its_own(statement: Statement, anchor: Anchor, sizes: list[Measurement]) -> bool:
    """Whether several sizes at one noun are several lesions."""
    if anchor.plural:
        return True
    gap = statement.between(sizes[0].end, sizes[1].start)
    return (
        re.search(r"\band\b|,", gap) is not None and _SAME_LESION.search(gap) is None and sizes[1].end <= anchor.start
    )


def _template(
    statement: Statement,
    anchor: Anchor,
    home: _Home,
    neighbours: tuple[Anchor | None, Anchor | None],
    floor: int,
    ceiling: int,
) -> Draft:
    structure = home.structure or ""
    return Draft(
        structure=structure,
        kind=anchor.kind,
        kind_certainty=anchor.kind_certainty,
        place=lesion_place(statement, anchor, structure, home.mention, neighbours),
        regions=regions(statement) if structure == "lymph_node" else frozenset(),
        count=describe.count(statement, anchor, floor),
        span=(anchor.start, anchor.end),
        sentence=(0, statement.end),
        section=statement.heading.name,
        impression=statement.impression,
        plural=anchor.plural,
        definite=anchor.definite,
        indefinite=anchor.indefinite,
        trend=trend(statement, anchor),
        attenuation=describe.attenuation(statement, anchor, floor, ceiling),
        enhancement=describe.enhancement(statement, anchor, floor, ceiling),
        existence=existence(statement, anchor),
        rules=(home.rule,),
    )


def _sized(statement: Statement, template: Draft, size: Measurement, *, group: bool, limit: int) -> Draft:
    if group and size.qualifier is None and describe.is_largest(statement, size):
        size = size._replace(qualifier="max")
    template.measurement = size
    template.span = (min(template.span[0], size.start), max(template.span[1], size.end))
    template.short_axis = describe.is_short_axis(statement, size)
    template.slices = describe.slice_reference(statement, size.end, limit) or describe.slice_reference(
        statement, template.span[1], limit
    )
    return template


def _enumerated_organ(
    statement: Statement, organs: list[OrganMention], sizes: list[Measurement], number: int
) -> str | None:
    """Organ of one of several sizes, where each has its own: "in the liver (2 cm), the left kidney (4 cm)"."""
    named = []
    for index, size in enumerate(sizes):
        low = sizes[index - 1].end if index else 0
        named.append([o.structure for o in organs if not o.near and low <= o.mention.start < size.start])
    if not all(named) or len({structures[-1] for structures in named}) == 1:
        return None
    return named[number][-1]


def _one_of_several(
    statement: Statement,
    template: Draft,
    sizes: list[Measurement],
    number: int,
    prior: list[Measurement],
    organs: list[OrganMention],
) -> Draft:
    size = sizes[number]
    high = sizes[number + 1].start if number + 1 < len(sizes) else statement.end
    structure = _enumerated_organ(statement, organs, sizes, number) or template.structure
    own = enumerated_place(statement, structure, sizes, number)
    if structure != template.structure:
        template = replace(template, structure=structure, place=Place())
    old = [measurement.values_mm for measurement in prior if size.end <= measurement.start < high]
    draft = replace(
        template,
        count=describe.counted(statement, size),
        plural=False,
        place=own if own else template.place,
        slices=[],
        mentions=[],
    )
    draft.prior_diameters_mm = old[0] if old else ()
    draft.span = (size.start, size.end)
    return _sized(statement, draft, size, group=False, limit=high)


def _each_of_pair(statement: Statement, last: Draft, sizes: list[Measurement]) -> list[Draft]:
    """The lesions of a group, named one by one: "The right one measures 94 mm, the left one 62 mm"."""
    places = [enumerated_place(statement, last.structure, sizes, number) for number in range(len(sizes))]
    if len(set(places)) < len(places):
        return []
    drafts = [
        replace(last, place=place, measurement=size, count=Interval.exact(1), plural=False, slices=[], mentions=[],
                antecedent=None, span=(size.start, size.end), sentence=(0, statement.end))
        for place, size in zip(places, sizes, strict=True)
    ]  # fmt: skip
    last.place, last.measurement, last.count, last.plural = places[0], sizes[0], Interval.exact(1), False
    return drafts[1:]


def _group_of_item(statement: Statement, last: Draft) -> Draft | None:
    """The group that a sentence names one lesion of: "Three lesions ... The second is 18 mm"."""
    group = last if last.plural else last.group
    if group is None or group.measurement is not None:
        return None
    return group if any(cue.first <= 1 for cue in statement.of("anaphor", "item")) else None


def _item(statement: Statement, group: Draft, size: Measurement) -> Draft:
    start, end = 0, statement.end
    return replace(
        group,
        count=Interval.exact(1),
        plural=False,
        definite=False,
        measurement=size,
        place=find_place(statement, group.structure, start, end, size.start),
        span=(size.start, size.end),
        sentence=(start, end),
        slices=describe.slice_reference(statement, size.end, end),
        mentions=[],
        antecedent=None,
        group=group,
        rules=("earlier_lesion",),
    )


def _without_anchor(
    statement: Statement, loose: list[Measurement], organs: list[OrganMention], context: Context
) -> list[Draft]:
    """Sizes in a sentence that names no lesion: an item of a list, or a size in the sentence after."""
    current = [size for size in loose if not is_prior(statement, size)]
    current = describe.with_third_axis(statement, current)
    structure = item_structure(statement, organs) or (context.listing.structure if context.listing else "")
    if context.listing is not None and current and structure:
        template = replace(
            context.listing,
            structure=structure,
            antecedent=None,
            definite=False,
            plural=False,
            count=Interval.exact(1),
            measurement=None,
            slices=[],
            prior_diameters_mm=(),
            sentence=(0, statement.end),
            span=(0, current[0].end),
            attenuation=next((cast(Attenuation, cue.value) for cue in statement.of("attenuation")), None),
            existence="present",
            trend=None,
            qualifier=None,
            place=Place(),
            mentions=[],
            rules=("list",),
            group=context.listing if context.listing.plural and context.listing.structure == structure else None,
        )
        old = [size for size in loose if is_prior(statement, size)]
        if len(current) == 1 and current[0].qualifier in ("max", "range"):  # "Lymph nodes: up to 8 mm"
            template.count, template.plural = describe.MANY, True
            template.place = enumerated_place(statement, structure, current, 0)
            return [_sized(statement, template, current[0], group=True, limit=statement.end)]
        return [_one_of_several(statement, template, current, number, old, []) for number in range(len(current))]
    last = context.last
    if last is not None and current and (group := _group_of_item(statement, last)) is not None:
        return [_item(statement, group, current[0])]
    if last is None or not refers_to_lesion(statement):
        return []
    if len(current) > 1 and last.plural and last.measurement is None:
        return _each_of_pair(statement, last, current)
    if current and last.measurement is None:
        size = current[0]
        if last.plural and describe.is_largest(statement, size) and size.qualifier is None:
            size = size._replace(qualifier="max")
        last.measurement = size
        last.slices += describe.slice_reference(statement, size.end, statement.end)
    old = [size for size in loose if size not in current and is_prior(statement, size)]
    if old and not last.prior_diameters_mm:
        last.prior_diameters_mm = old[0].values_mm
    return []
