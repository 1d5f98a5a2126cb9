"""A language model behind an OpenAI-compatible server: one question, one JSON answer, or the reason why there is none.

Report text goes into the request and nowhere else: no log, no exception, no proxy, no redirect.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from dictamen.addresses import check_private
from dictamen.errors import InputError

RETRIES = 5
"""Attempts at one question while the server is busy or unreachable; 2, 4, 8, 16 s apart, half to double by chance."""
BUSY = frozenset([408, 425, 429, 502, 503, 504])
TIMEOUT_S = 300.0
"""A small model on a CPU takes minutes for a report."""
MAX_TOKENS = 4096
"""Of an answer; a report with fifty lesions needs some 3,000."""
MODES = ("json_schema", "json_object", "guided_json", "plain")
"""Ways to ask for JSON, strictest first: OpenAI and vLLM; llama.cpp; older vLLM; anything."""


class AnswerError(Exception):
    """There is no usable answer; the message never quotes it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; part of the cache's key."""

    temperature: float = 0.0
    seed: int = 0


class Server:
    """One model at one address; `with` closes its connections.

    Args:
        url: base, e.g. http://127.0.0.1:8000/v1.
        model: its name there.
        allow_remote: also talk to addresses that are neither of this machine nor private.
        pause: waits between attempts; a test passes one that doesn't.

    Raises:
        UsageError: no http(s) address, an unknown host, or a public one without `allow_remote`.
    """

    def __init__(
        self, url: str, model: str, *, allow_remote: bool = False, pause: Callable[[float], None] = time.sleep
    ) -> None:
        check_private(
            url,
            what="language model",
            schemes=("http", "https"),
            example="http://HOST:PORT/v1",
            allow_remote=allow_remote,
        )
        self.model = model
        self.mode: str | None = None
        self._url = url.rstrip("/") + "/chat/completions"
        self._pause = pause
        # trust_env: a proxy from the environment would carry reports elsewhere
        self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def negotiate(self) -> str:
        """Find out, by asking, which way to ask for JSON the server understands; remembered in `mode`.

        Raises:
            InputError: it answers in none.
        """
        schema = {
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        }
        question = [{"role": "user", "content": 'Answer with the JSON object {"ok": true}.'}]
        for mode in MODES:
            try:
                answer = parsed(self._ask(question, schema, mode, Sampling()))
            except AnswerError:
                continue
            if isinstance(answer.get("ok"), bool):
                self.mode = mode
                return mode
        raise InputError(
            "The language model answers in no form that can be used.",
            where=self._url,
            got=f"model {self.model}",
            expected=f"JSON by one of {', '.join(MODES)}",
            next_step="check the url, the model's name and that the server runs",
        )

    def ask(self, messages: list[dict[str, str]], schema: dict[str, Any], sampling: Sampling) -> str:
        """The text of the answer.

        Raises:
            AnswerError: busy for too long, unreachable, cut off, or no completion at all.
        """
        return self._ask(messages, schema, self.mode or self.negotiate(), sampling)

    def _ask(self, messages: list[dict[str, str]], schema: dict[str, Any], mode: str, sampling: Sampling) -> str:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            "max_tokens": MAX_TOKENS,
            **_form(mode, schema),
        }
        response = self._post(body)
        try:
            choice = response.json()["choices"][0]
            content, reason = choice["message"]["content"], choice.get("finish_reason")
        except (ValueError, KeyError, IndexError, TypeError):
            raise AnswerError("the server's reply is no chat completion") from None
        if reason == "length":
            raise AnswerError("the answer was cut off")
        if not isinstance(content, str):
            raise AnswerError("the answer is empty")
        return content

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        problem = ""
        for attempt in range(RETRIES):
            if attempt:
                self._pause(2.0**attempt * random.uniform(0.5, 2))
            try:
                response = self._client.post(self._url, json=body)
            except httpx.HTTPError as error:
                problem = type(error).__name__
                continue
            if response.status_code not in BUSY:
                break
            problem = f"status {response.status_code}"
        else:
            raise AnswerError(f"the server did not answer in {RETRIES} attempts ({problem})")
        if response.status_code != httpx.codes.OK:
            raise AnswerError(f"the server refused (status {response.status_code})")
        return response


def parsed(content: str) -> dict[str, Any]:
    """The JSON object of an answer; words around it, as plain models add them, are left out.

    Raises:
        AnswerError: there is none.
    """
    start, end = content.find("{"), content.rfind("}")
    try:
        answer = json.loads(content[start : end + 1])
    except (ValueError, RecursionError):
        raise AnswerError("the answer is not valid JSON") from None
    if not isinstance(answer, dict):
        raise AnswerError("the answer is no JSON object")
    return answer


def _form(mode: str, schema: dict[str, Any]) -> dict[str, Any]:
    if mode == "json_schema":
        named = {"name": "answer", "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if mode == "json_object":
        return {"response_format": {"type": "json_object", "schema": schema}}
    return {"guided_json": schema} if mode == "guided_json" else {}
