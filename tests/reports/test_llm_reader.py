"""The language model's reader against a server that misbehaves: each defect is caught, none reaches the findings."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dictamen.errors import InputError, UsageError
from dictamen.reports.llm_cache import AnswerCache
from dictamen.reports.llm_reader import LlmReader
from dictamen.reports.llm_server import MODES, RETRIES, Server
from dictamen.reports.schema import ReportFindings

TEXT = (
    "FINDINGS: A 14 mm cyst in the left kidney. The aorta measures 32 mm. No nodule in the spleen. "
    "A lesion in the liver measures 25 mm, previously 19 mm. Zygomorph change of 9 mm in the pancreas."
)
KIDNEY = {"sentence": 1, "evidence": "14 mm cyst in the left kidney", "organ": "kidney", "side": "left"}
KIDNEY |= {"size": "14 mm", "kind": "cyst"}
LIVER = {"sentence": 4, "evidence": "lesion in the liver measures 25 mm", "organ": "liver", "size": "25 mm"}
PANCREAS = {"sentence": 5, "evidence": "Zygomorph change of 9 mm in the pancreas", "organ": "pancreas", "size": "9 mm"}
RIGHT = [KIDNEY, LIVER]

Reply = tuple[int, dict[str, Any]]


def completion(content: str, reason: str = "stop") -> Reply:
    return 200, {"choices": [{"message": {"content": content}, "finish_reason": reason}]}


class Stub:
    """A server that first gives the replies of `faults`, then right ones."""

    def __init__(self, lesions: list[dict[str, Any]], votes: list[bool]) -> None:
        self.lesions, self.votes = lesions, votes
        self.faults: list[Reply] = []
        self.accepts = set(MODES)
        self.bodies: list[dict[str, Any]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, reply = stub.reply(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(reply).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reply(self, body: dict[str, Any]) -> Reply:
        question = body["messages"][-1]["content"]
        mode = (body.get("response_format") or {}).get("type") or ("guided_json" if "guided_json" in body else "plain")
        if mode not in self.accepts:
            return 500, {}
        if '{"ok": true}' in question:
            return completion('{"ok": true}')
        self.bodies.append(body)
        if self.faults:
            return self.faults.pop(0)
        if '{"yes": true}' in question:
            return completion(json.dumps({"yes": self.votes.pop(0)}))
        return completion(json.dumps({"lesions": self.lesions}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Make = Callable[..., tuple[Stub, LlmReader]]


@pytest.fixture
def make() -> Iterator[Make]:
    opened = ExitStack()

    def build(
        lesions: list[dict[str, Any]], votes: list[bool] | None = None, *, cache: AnswerCache | None = None
    ) -> tuple[Stub, LlmReader]:
        stub = Stub(lesions, votes or [])
        opened.callback(stub.close)
        server = opened.enter_context(Server(stub.url, "m", pause=lambda _: None))
        return stub, LlmReader(server, cache or AnswerCache(), which="all")

    with opened:
        yield build


def organs(report: ReportFindings) -> list[tuple[str, tuple[float, ...]]]:
    return sorted((finding.structure, finding.diameters_mm) for finding in report.findings)


BOTH = [("kidney", (14.0,)), ("liver", (25.0,))]


def test_what_both_readers_read_is_accepted(make: Make) -> None:
    _, reader = make(RIGHT)
    report = reader.read(TEXT, "S")
    assert organs(report) == BOTH
    assert [finding.confidence for finding in report.findings] == [0.99, 0.99]
    assert report.reader == "rules+m" and report.flags == ()


@pytest.mark.parametrize(
    ("faults", "repairs"),
    [
        ([(429, {}), (503, {})], 0),
        ([completion("no JSON at all")], 1),
        ([completion('{"lesions": [{"sentence": "one"}]}')], 1),
        ([completion('{"lesions": [], "advice": "see a doctor"}')], 1),
    ],
    ids=["busy", "no json", "wrong shape", "unknown key"],
)
def test_what_passes_is_tried_again(make: Make, faults: list[Reply], repairs: int) -> None:
    stub, reader = make(RIGHT)
    stub.faults = faults
    assert organs(reader.read(TEXT, "S")) == BOTH
    assert reader.counts["repairs"] == repairs and reader.counts["failed"] == 0


@pytest.mark.parametrize(
    "faults",
    [
        [completion('{"lesions": [', "length")],
        [(503, {})] * RETRIES,
        [(401, {})],
        [(200, {"choices": []})],
        [completion("no")] * 2,
    ],
    ids=["cut off", "always busy", "refused", "no completion", "no json twice"],
)
def test_what_does_not_pass_leaves_the_rules(make: Make, faults: list[Reply]) -> None:
    stub, reader = make(RIGHT)
    stub.faults = faults
    report = reader.read(TEXT, "S")
    assert organs(report) == BOTH
    assert [flag.code for flag in report.flags] == ["llm_failed"]
    assert "cyst" not in report.flags[0].message


@pytest.mark.parametrize(
    ("lesion", "reason"),
    [
        ({**KIDNEY, "size": "41 mm"}, "number"),
        ({**KIDNEY, "size": "14 cm"}, "number"),
        ({**KIDNEY, "evidence": "14 mm tumour in the left kidney"}, "evidence"),
        ({**KIDNEY, "sentence": 2}, "evidence"),
        ({**KIDNEY, "sentence": 40}, "sentence"),
        ({**KIDNEY, "organ": "bladder"}, "organ"),
        ({**LIVER, "evidence": "liver measures 25 mm, previously 19 mm", "size": "19 mm"}, "prior"),
        ({"sentence": 3, "evidence": "nodule in the spleen", "organ": "spleen"}, "denied"),
    ],
    ids=["number", "unit", "invented", "elsewhere", "no sentence", "organ", "prior as current", "denied"],
)
def test_what_the_text_does_not_say_is_refused(make: Make, lesion: dict[str, Any], reason: str) -> None:
    _, reader = make([*RIGHT, lesion])
    assert organs(reader.read(TEXT, "S")) == BOTH
    assert reader.counts[f"refused: {reason}"] == 1


@pytest.mark.parametrize(
    ("votes", "found", "flags"),
    [
        ([True, True, False], True, []),
        ([False, True, False], False, []),
    ],
    ids=["yes", "no"],
)
def test_a_lesion_of_the_model_alone_is_put_to_the_vote(
    make: Make, votes: list[bool], found: bool, flags: list[str]
) -> None:
    stub, reader = make([*RIGHT, PANCREAS], votes)
    report = reader.read(TEXT, "S")
    assert (("pancreas", (9.0,)) in organs(report)) is found
    assert [flag.code for flag in report.flags] == flags
    assert (report.state("pancreas").status == "lesions_incomplete") is found
    assert len(stub.bodies) == 4


def test_no_majority_goes_to_people(make: Make) -> None:
    stub, reader = make([*RIGHT, PANCREAS], [True, False])
    stub.faults = [completion(json.dumps({"lesions": stub.lesions})), completion("perhaps")]
    report = reader.read(TEXT, "S")
    assert organs(report) == BOTH
    assert [flag.code for flag in report.flags] == ["review"]


def test_a_lesion_of_the_rules_alone_is_kept_and_flagged(make: Make) -> None:
    _, reader = make([KIDNEY], [False, False, False])
    report = reader.read(TEXT, "S")
    assert organs(report) == BOTH
    assert [flag.code for flag in report.flags] == ["review"]


def test_reports_that_the_rules_are_sure_of_stay_at_home(make: Make) -> None:
    stub, reader = make(RIGHT)
    reader.which = "flagged"
    reader.read(TEXT, "S")
    assert stub.bodies == []


@pytest.mark.parametrize("accepted", MODES)
def test_the_way_to_ask_is_found_out(make: Make, accepted: str) -> None:
    stub, reader = make(RIGHT)
    stub.accepts = {accepted}
    assert reader.server.negotiate() == accepted
    assert organs(reader.read(TEXT, "S")) == BOTH


def test_a_server_that_never_answers_in_json_is_an_error(make: Make) -> None:
    stub, reader = make(RIGHT)
    stub.accepts = set()
    with pytest.raises(InputError, match="no form"):
        reader.server.negotiate()


def test_answers_are_kept_for_their_owner_only(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerCache(path) as cache:
        stub, reader = make(RIGHT, cache=cache)
        reader.read(TEXT, "S")
        asked = len(stub.bodies)
        reader.read(TEXT, "T")
        assert (len(stub.bodies), reader.counts["from cache"]) == (asked, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with AnswerCache(path) as cache:
        stub, reader = make(RIGHT, cache=cache)
        reader.read(TEXT, "S")
        assert stub.bodies == []
        reader.read(TEXT + " Ascites.", "S")
        assert len(stub.bodies) == 1


@pytest.mark.parametrize("url", ["http://8.8.8.8/v1", "https://93.184.216.34/v1"])
def test_reports_do_not_leave_the_network_unasked(url: str) -> None:
    with pytest.raises(UsageError, match="allow-remote"):
        Server(url, "m")
    with Server(url, "m", allow_remote=True):
        pass


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(UsageError, match="address"):
        Server(url, "m")


def test_no_names_in_logs_or_messages(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    name = "Wilhelmine Quastenberg"
    caplog.set_level(0)
    stub, reader = make([{**KIDNEY, "evidence": name}])
    stub.faults = [completion(name), completion(name)]
    report = reader.read(f"{name}. {TEXT}", "S")
    assert [flag.code for flag in report.flags] == ["llm_failed"]
    assert "Quastenberg" not in caplog.text + report.model_dump_json()
