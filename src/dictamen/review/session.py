"""A review session: the list of studies, who has scored what, and the views of the studies last looked at."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from dictamen.anatomy.region_scheme import RegionScheme
from dictamen.cohort.store import Cohort
from dictamen.errors import InputError
from dictamen.review.masks import MaskSource
from dictamen.review.store import FeedbackStore
from dictamen.review.view import StudyView
from dictamen.supervision.feedback import RegionAnswer, current_answers

VIEWS_KEPT = 3
"""A view of a large study holds some hundred megabytes: this one, the one before, the next one."""
SECOND_READS = 0.15
"""Share of studies that every rater reads, for agreement."""


@dataclass
class Session:
    """What the server knows.

    Attributes:
        cohort: opened.
        masks: under review.
        label: structure that is scored.
        scheme: how it is cut.
        store: feedback.
        second_reads: share of studies that are read by everybody.
    """

    cohort: Cohort
    masks: MaskSource
    label: str
    scheme: RegionScheme
    store: FeedbackStore
    second_reads: float = SECOND_READS
    studies: list[str] = field(init=False)
    _views: OrderedDict[str, StudyView] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        self.studies = self.masks.studies()
        if not self.studies:
            raise InputError(
                "There is no mask to review.",
                where=self.cohort.path,
                next_step="give a folder of masks with --masks, or build the cohort with organ masks",
            )

    def study_id(self, number: int) -> str:
        """The study at a place of the list.

        Raises:
            InputError: no such place.
        """
        if not 0 <= number < len(self.studies):
            raise InputError("There is no such study.", got=number)
        return self.studies[number]

    def view(self, number: int) -> StudyView:
        """The study's view; the last few are kept."""
        study_id = self.study_id(number)
        with self._lock:
            if study_id not in self._views:
                seen = self.masks.mask(study_id, self.label)
                self._views[study_id] = StudyView(self.cohort.study(study_id), seen, self.scheme)
                while len(self._views) > VIEWS_KEPT:
                    self._views.popitem(last=False)
            self._views.move_to_end(study_id)
            return self._views[study_id]

    def view_without_mask(self, number: int) -> StudyView:
        """For images alone, which must not wait until the mask is cut."""
        study_id = self.study_id(number)
        return self._views.get(study_id) or StudyView(self.cohort.study(study_id), None, self.scheme)

    def worklist(self, rater: str) -> list[dict[str, Any]]:
        """One row a study: how many regions this rater has answered, and whether another one has."""
        mine: dict[str, int] = {}
        others: set[str] = set()
        for answer in self.answers():
            if answer.rater == rater:
                mine[answer.study_id] = mine.get(answer.study_id, 0) + 1
            else:
                others.add(answer.study_id)
        return [
            {
                "number": number,
                "study_id": study_id,
                "answered": mine.get(study_id, 0),
                "by_others": study_id in others,
                "for_all": self.is_for_all(study_id),
                "report": self.cohort.report(study_id) is not None,
            }
            for number, study_id in enumerate(self.studies)
        ]

    def answers(self, study_id: str | None = None) -> list[RegionAnswer]:
        """Current answers on this label and scheme, of whatever version of the mask."""
        text = self.scheme.to_text()
        found = current_answers(self.store.answers(study_id))
        return [answer for answer in found if answer.label == self.label and answer.scheme == text]

    def is_for_all(self, study_id: str) -> bool:
        """Whether every rater reads it: a fixed share of the studies, the same on every machine."""
        return int(hashlib.sha256(study_id.encode()).hexdigest()[:8], 16) / 2**32 < self.second_reads
