"""What a sentence states wherever it stands: reports repeat theirs, so that it is read once."""

from __future__ import annotations

from typing import NamedTuple

from dictamen.reports.discourse import ContextError, Unknown
from dictamen.reports.drafts import Draft
from dictamen.reports.extract import Denied, read_anchors
from dictamen.reports.link import OrganMention
from dictamen.reports.statement import Statement


class Alone(NamedTuple):
    """What a sentence states wherever it stands: drafts, organs free of lesions, a lesion without an organ."""

    drafts: list[Draft]
    denied: Denied
    unplaced: Draft | None

    def copies(self, offset: int) -> tuple[list[Draft], Draft | None]:
        """The drafts and the lesion without an organ, for a report where the sentence begins at `offset`."""
        made = {id(draft): draft.copy() for draft in (*self.drafts, *filter(None, [self.unplaced]))}
        for draft in made.values():
            draft.move(offset)
            draft.group = made.get(id(draft.group))
        return [made[id(draft)] for draft in self.drafts], made.get(id(self.unplaced))


def read_alone(statement: Statement, organs: list[OrganMention]) -> Alone | None:
    """What `read_anchors` reads outside of lists; None if it depends on the sentences before."""
    context = Unknown()
    try:
        drafts, denied = read_anchors(statement, organs, context)
    except ContextError:
        return None
    return Alone(drafts, denied, context.unplaced)
