"""The review server: who is let in, what is refused, what is kept."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from dictamen.cohort.store import Cohort
from dictamen.review.guard import COOKIE, Guard, new_token
from dictamen.review.server import STATIC, create_app
from dictamen.review.session import Session
from dictamen.review.view import IN_MASK, PLANES

with warnings.catch_warnings():  # starlette would like another client than httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PORT, TOKEN = 8123, "a-token-for-tests"
BASE = f"http://127.0.0.1:{PORT}"
ORIGIN = {"origin": BASE}


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    with TestClient(create_app(session, Guard(TOKEN, PORT)), base_url=BASE, follow_redirects=False) as made:
        made.cookies.set(COOKIE, TOKEN)
        made.headers["x-rater"] = "anna"
        yield made


def say(client: TestClient, region: int, **fields: object) -> str:
    body = {"study": 0, "region": region, "score": 3, "direction": "over", "seconds": 2.5} | fields
    response = client.post("/api/answers", json=body, headers=ORIGIN)
    assert response.status_code == 200, response.text
    record: str = response.json()["record_id"]
    return record


def test_the_token_opens_the_page_once_and_stays_in_a_cookie(session: Session) -> None:
    with TestClient(create_app(session, Guard(TOKEN, PORT)), base_url=BASE, follow_redirects=False) as stranger:
        assert stranger.get("/").status_code == 401
        assert stranger.get("/?token=wrong").status_code == 401
        assert stranger.get("/static/app.js").status_code == 401
        assert stranger.get(f"/api/session?token={TOKEN}", headers={"x-rater": "a"}).status_code == 401
        entered = stranger.get(f"/?token={TOKEN}")
        assert entered.status_code == 303 and entered.headers["location"] == "/"
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert stranger.get("/").status_code == 200
    assert len({new_token() for _ in range(50)}) == 50 and len(new_token()) > 40


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:9", f"evil.example:{PORT}"])
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421


def test_other_origins_are_refused(client: TestClient) -> None:
    body = {"study": 0, "region": 1, "score": 5, "direction": "none"}
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {}):
        assert client.post("/api/answers", json=body, headers=headers).status_code == 403
    assert client.get("/api/session", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/api/session").json()["studies"][0]["answered"] == 0


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/session", "/nowhere", "/api/studies/99"])
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


def test_only_files_of_the_table_are_served(client: TestClient) -> None:
    for name in STATIC:
        assert client.get(f"/static/{name}").status_code == 200
    for name in ("index.html", "../server.py", "..%2Fserver.py", "%2Fetc%2Fpasswd", "app.js%00", "docs"):
        assert client.get(f"/static/{name}").status_code == 404
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(path).status_code == 404


def test_slices_are_those_of_the_native_volume(client: TestClient, livers: Cohort) -> None:
    volume = livers.study("first").level("image", 0)
    for axis, plane in enumerate(PLANES):
        index = volume.shape[axis] // 2
        got = np.frombuffer(client.get(f"/api/studies/0/image/{plane}/{index}").content, dtype="<i2")
        assert np.array_equal(got, np.take(volume, index, axis).ravel())
        organs = np.take(livers.study("first").level("organs", 0), index, axis)
        overlay = np.frombuffer(client.get(f"/api/studies/0/overlay/{plane}/{index}").content, dtype=np.uint8)
        inside = overlay.reshape(organs.shape) >= IN_MASK
        assert 2 * (inside & (organs > 0)).sum() / (inside.sum() + (organs > 0).sum()) > 0.9  # of another grid
        assert set(np.unique(overlay % IN_MASK)) <= set(range(7))
    for path in ("image/axial/999", "image/axial/-1", "image/oblique/1"):
        assert client.get(f"/api/studies/0/{path}").status_code in (400, 422)


def test_a_study_is_told_with_its_report_and_places(client: TestClient) -> None:
    told = client.get("/api/studies/0").json()
    assert told["study_id"] == "first" and told["shape"] == [40, 36, 26]
    assert told["spacing_mm"] == pytest.approx([1.5, 1.5, 3.0])
    assert "".join(part["text"] for part in told["report"]["stretches"]).startswith("FINDINGS: <b id=injected>")
    finding = told["report"]["findings"][0]
    assert (finding["structure"], finding["kind"], finding["diameters_mm"]) == ("liver", "cyst", [23.0])
    voxel = client.get("/api/studies/0/findings/0/place").json()["voxel"]
    assert np.abs(np.subtract(voxel, (20, 18, 13))).max() <= 3
    assert client.get("/api/studies/0/findings/7/place").json()["voxel"] is None
    regions = client.get("/api/studies/0/regions").json()["regions"]
    assert [one["region"] for one in regions] == [1, 2, 3, 4, 5, 6]
    heights = [one["voxel"][2] for one in regions]
    assert heights == sorted(heights)
    surface = client.get("/api/studies/0/surface").content
    count = int(np.frombuffer(surface[:4], dtype="<u4")[0])
    assert count > 100 and len(surface) == 4 + 13 * count


def test_answers_are_kept_and_taken_back(client: TestClient, session: Session) -> None:
    first = say(client, 1)
    second = say(client, 1, score=2, direction="under")
    say(client, 2, score=5, direction="none")
    kept = session.store.answers("first")
    assert [(a.region, a.score, a.seconds) for a in kept] == [(1, 3, 2.5), (1, 2, 2.5), (2, 5, 2.5)]
    assert {a.mask_sha256 for a in kept} == {session.view(0).seen.sha256}  # type: ignore[union-attr]
    told = client.get("/api/studies/0/regions").json()["answers"]
    assert [(a["region"], a["score"]) for a in told] == [(1, 2), (2, 5)]
    undone = client.post("/api/undo", json={"study": 0, "record_id": second}, headers=ORIGIN).json()
    assert undone["region"] == 1 and undone["answer"]["record_id"] == first
    undone = client.post("/api/undo", json={"study": 0, "record_id": first}, headers=ORIGIN).json()
    assert undone["answer"] is None
    assert client.get("/api/session").json()["studies"][0]["answered"] == 1
    assert len(session.store.answers()) == 5


def test_raters_do_not_see_nor_undo_each_other(client: TestClient) -> None:
    record = say(client, 1)
    ben = {"x-rater": "ben", **ORIGIN}
    assert client.post("/api/undo", json={"study": 0, "record_id": record}, headers=ben).status_code == 400
    assert client.get("/api/studies/0/regions", headers=ben).json()["answers"] == []
    row = client.get("/api/session", headers=ben).json()["studies"][0]
    assert (row["answered"], row["by_others"], row["for_all"]) == (0, True, True)


@pytest.mark.parametrize(
    "body",
    [
        {"region": 7, "score": 3, "direction": "over"},
        {"region": 1, "score": 5, "direction": "over"},
        {"region": 1, "score": 3},
        {"region": 1, "score": 9, "direction": "over"},
        {"region": 1, "score": 3, "direction": "over", "path": "/etc/passwd"},
        {"region": 1, "score": 3, "direction": "over", "study": 44},
    ],
    ids=["no-region", "contradiction", "no-direction", "no-score", "unknown-key", "no-study"],
)
def test_wrong_answers_are_refused_and_not_kept(client: TestClient, session: Session, body: dict[str, object]) -> None:
    assert client.post("/api/answers", json={"study": 0, **body}, headers=ORIGIN).status_code in (400, 422)
    assert session.store.answers() == []


def test_verdicts_on_findings(client: TestClient, session: Session) -> None:
    body: dict[str, object] = {"study": 0, "finding": 0, "verdict": "corrected", "diameters_mm": [25, 20]}
    assert client.post("/api/verdicts", json=body, headers=ORIGIN).status_code == 200
    (kept,) = session.store.verdicts("first")
    assert (kept.structure, kept.diameters_mm) == ("liver", (25.0, 20.0))
    assert client.get("/api/studies/0").json()["report"]["findings"][0]["verdict"] == "corrected"
    for wrong in ({"finding": 9}, {"verdict": "corrected", "diameters_mm": None}, {"diameters_mm": [-3]}):
        assert client.post("/api/verdicts", json=body | wrong, headers=ORIGIN).status_code in (400, 422)


def test_statistics_of_two_raters(client: TestClient) -> None:
    for region, score in enumerate((1, 2, 3, 4), start=1):
        say(client, region, score=score)
    client.headers["x-rater"] = "ben"
    for region, score in enumerate((1, 2, 4, 4), start=1):
        say(client, region, score=score, seconds=4)
    say(client, 5, skipped=True, score=None, direction=None)
    told = client.get("/api/statistics").json()
    anna, ben = told["raters"]
    assert (anna["rater"], anna["answers"], anna["scores"], anna["seconds"]) == ("anna", 4, [1, 1, 1, 1, 0], 2.5)
    assert (ben["skipped"], ben["seconds"], told["regions"]) == (1, 4, 4)
    (pair,) = told["pairs"]
    assert pair["regions"] == 4 and 0.8 < pair["kappa"] < 1
    assert anna["severity"] is None  # four double reads say too little
    for region in (5, 6):
        say(client, region, score=4)
        client.post("/api/answers", json={"study": 0, "region": region, "score": 2, "direction": "over"},
                    headers=ORIGIN | {"x-rater": "anna"})  # fmt: skip
    anna, ben = client.get("/api/statistics").json()["raters"]
    assert anna["severity"] > ben["severity"] and anna["noise"] > 0 and 0 < anna["direction_trust"] <= 1
