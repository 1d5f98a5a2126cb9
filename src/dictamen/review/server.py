"""The review server: FastAPI on loopback. Studies are numbers, files are names of a fixed table: no path is ever taken
from a request."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import numpy as np
from fastapi import Depends, FastAPI, Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from dictamen.errors import DictamenError
from dictamen.review.guard import Guard
from dictamen.review.report_view import place_of, report_of
from dictamen.review.session import Session
from dictamen.review.statistics import statistics
from dictamen.review.view import Plane
from dictamen.supervision.feedback import (
    Direction,
    FindingVerdict,
    RegionAnswer,
    Verdict,
    current_answers,
    current_verdicts,
)

STATIC = {
    "app.js": "text/javascript",
    "api.js": "text/javascript",
    "keys.js": "text/javascript",
    "planes.js": "text/javascript",
    "report.js": "text/javascript",
    "statistics.js": "text/javascript",
    "surface.js": "text/javascript",
    "style.css": "text/css",
}


def _rater(x_rater: Annotated[str, Header(min_length=1, max_length=600)]) -> str:
    """Who is scoring: a name or pseudonym that the page asks for once; headers hold ASCII alone."""
    return unquote(x_rater)[:100]


Rater = Annotated[str, Depends(_rater)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AnswerBody(_Body):
    """A region's score, as the page sends it."""

    study: int
    region: int
    score: int | None = None
    direction: Direction | None = None
    skipped: bool = False
    seconds: float = Field(default=0, ge=0, le=86_400)


class VerdictBody(_Body):
    """A verdict on a finding, as the page sends it."""

    study: int
    finding: int
    verdict: Verdict
    kind: Literal["cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"] | None = None
    structure: str | None = None
    side: Literal["left", "right", "bilateral"] | None = None
    diameters_mm: tuple[float, ...] | None = None
    seconds: float = Field(default=0, ge=0, le=86_400)


class UndoBody(_Body):
    """The record to take back."""

    study: int
    record_id: str


def create_app(session: Session, guard: Guard) -> FastAPI:
    """The application of one session."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(guard)
    app.add_exception_handler(DictamenError, _told)
    app.add_exception_handler(ValidationError, _inconsistent)
    _add_pages(app)
    _add_views(app, session)
    _add_feedback(app, session)
    return app


async def _told(_: Request, error: Exception) -> Response:
    told = error.to_dict() if isinstance(error, DictamenError) else {"what": "Something went wrong."}
    return JSONResponse(told, status_code=400)


async def _inconsistent(_: Request, error: Exception) -> Response:
    """A record that contradicts itself; the message of the rule, never the values."""
    found = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
    return JSONResponse({"what": "; ".join(str(one["msg"]) for one in found)}, status_code=422)


def _add_pages(app: FastAPI) -> None:
    folder = files("dictamen.review") / "templates"

    @app.get("/")
    def page() -> Response:
        return Response((folder / "index.html").read_bytes(), media_type="text/html; charset=utf-8")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)  # browsers ask for it whatever the page says

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in STATIC:
            return Response(status_code=404)
        return Response((folder / name).read_bytes(), media_type=STATIC[name])


def _add_views(app: FastAPI, session: Session) -> None:
    @app.get("/api/session")
    def told(rater: Rater) -> dict[str, Any]:
        return {
            "label": session.label,
            "scheme": session.scheme.name,
            "count": session.scheme.count,
            "studies": session.worklist(rater),
        }

    @app.get("/api/studies/{number}")
    def study(number: int, rater: Rater) -> dict[str, Any]:
        """Quick: what is needed for the first slice, and the report."""
        study_id = session.study_id(number)
        arrays = session.cohort.study(study_id)
        spacing = np.linalg.norm(arrays.native_affine[:3, :3], axis=0).tolist()
        verdicts = [v for v in current_verdicts(session.store.verdicts(study_id)) if v.rater == rater]
        return {
            "number": number,
            "study_id": study_id,
            "shape": arrays.native_shape,
            "spacing_mm": spacing,
            "report": report_of(session.cohort, study_id, verdicts),
        }

    @app.get("/api/studies/{number}/regions")
    def regions(number: int, rater: Rater) -> dict[str, Any]:
        """Where each region is, and this rater's answers on this version of the mask."""
        view, study_id = session.view(number), session.study_id(number)
        sha256 = view.seen.version(session.scheme) if view.seen else None
        mine = [a for a in session.answers(study_id) if a.rater == rater and a.mask_sha256 == sha256]
        return {
            "spacing_mm": max(view.arrays.spacing_mm),
            "regions": [{"region": region, "voxel": voxel} for region, voxel in view.regions.items()],
            "answers": [a.model_dump(include={"record_id", "region", "score", "direction", "skipped"}) for a in mine],
        }

    @app.get("/api/studies/{number}/image/{plane}/{index}")
    def image(number: int, plane: Plane, index: int) -> Response:
        pixels = session.view_without_mask(number).image(plane, index)
        return Response(np.ascontiguousarray(pixels).tobytes(), media_type="application/octet-stream")

    @app.get("/api/studies/{number}/overlay/{plane}/{index}")
    def overlay(number: int, plane: Plane, index: int) -> Response:
        pixels = session.view(number).overlay(plane, index)
        return Response(np.ascontiguousarray(pixels).tobytes(), media_type="application/octet-stream")

    @app.get("/api/studies/{number}/surface")
    def surface(number: int) -> Response:
        """N as uint32, N x 3 float32 positions, N uint8 regions; little endian."""
        points, region = session.view(number).surface()
        content = np.uint32(len(points)).tobytes() + points.tobytes() + region.tobytes()
        return Response(content, media_type="application/octet-stream")

    @app.get("/api/studies/{number}/findings/{finding}/place")
    def place(number: int, finding: int) -> dict[str, Any]:
        found = session.cohort.findings(session.study_id(number))
        known = found is not None and 0 <= finding < len(found.findings)
        voxel = place_of(session.cohort, session.view(number), found.findings[finding]) if found and known else None
        return {"voxel": voxel}

    @app.get("/api/statistics")
    def figures() -> dict[str, Any]:
        return statistics(session.answers())


def _add_feedback(app: FastAPI, session: Session) -> None:
    @app.post("/api/answers")
    def answer(body: AnswerBody, rater: Rater) -> dict[str, str]:
        view, study_id = session.view(body.study), session.study_id(body.study)
        if view.seen is None or body.region not in view.regions:
            raise DictamenError("There is no such region.", where=study_id, got=body.region)
        record = RegionAnswer(
            study_id=study_id,
            rater=rater,
            label=session.label,
            mask_sha256=view.seen.version(session.scheme),
            scheme=session.scheme.to_text(),
            region=body.region,
            score=body.score,
            direction=body.direction,
            skipped=body.skipped,
            seconds=body.seconds,
        )
        session.store.add([record])
        return {"record_id": record.record_id}

    @app.post("/api/undo")
    def undo(body: UndoBody, rater: Rater) -> dict[str, Any]:
        """Take back one's own answer; gives the answer that holds now, if an earlier one does."""
        records = session.store.answers(session.study_id(body.study))
        taken = next((r for r in records if r.record_id == body.record_id and r.rater == rater), None)
        if taken is None:
            raise DictamenError("There is no such answer of yours.", got=body.record_id[:64])
        blank = {"score": None, "direction": None, "skipped": False, "seconds": 0.0, "undoes": taken.record_id}
        kept = taken.model_dump(exclude={"record_id", "created", *blank})
        undone = RegionAnswer.model_validate(kept | blank)
        session.store.add([undone])
        now = [a for a in current_answers([*records, undone]) if a.rater == rater and a.place == taken.place]
        shown = {"record_id", "region", "score", "direction", "skipped"}
        return {"region": taken.region, "answer": now[-1].model_dump(include=shown) if now else None}

    @app.post("/api/verdicts")
    def verdict(body: VerdictBody, rater: Rater) -> dict[str, str]:
        study_id = session.study_id(body.study)
        found = session.cohort.findings(study_id)
        if found is None or not 0 <= body.finding < len(found.findings):
            raise DictamenError("There is no such finding.", where=study_id, got=body.finding)
        finding = found.findings[body.finding]
        record = FindingVerdict(
            study_id=study_id,
            rater=rater,
            span=finding.span,
            structure=finding.structure,
            verdict=body.verdict,
            kind=body.kind,
            corrected_structure=body.structure,
            side=body.side,
            diameters_mm=body.diameters_mm,
            seconds=body.seconds,
        )
        session.store.add([record])
        return {"record_id": record.record_id}


def serve(session: Session, *, port: int, token: str) -> None:
    """Serve on 127.0.0.1 until interrupted."""
    import uvicorn

    app = create_app(session, Guard(token, port))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, server_header=False)


def free_port() -> int:
    """A port of the loopback interface that nothing uses now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
