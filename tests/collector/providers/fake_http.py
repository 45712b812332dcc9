"""A stand-in for Http: answers in order, through the provider's own judge, and notes what was asked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from collector.net.client import Access, Answer, Http, RefusedError


@dataclass
class Call:
    """One question."""

    url: str
    params: dict[str, Any]
    headers: dict[str, str]
    accept: tuple[str, ...]


@dataclass
class FakeHttp(Http):
    """Answers with `answers` in turn: a document, bytes, an exception, or a function of the question."""

    answers: list[Any]
    calls: list[Call] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.access = Access(hosts={}, secrets=("SECRET",))

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = ("application/json",),
        judge: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Answer once; a real one would ask again after a TemporaryError."""
        self.calls.append(Call(url, dict(params or {}), dict(headers or {}), accept))
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer(self.calls[-1])
        if isinstance(answer, Exception):
            raise answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        found = Answer(url, 200, self.headers, body)
        if judge:
            judge(found)
        return found

    def redacted(self, text: str) -> str:
        """Cut the secret out."""
        return text.replace("SECRET", "***")


def refused(status: int) -> RefusedError:
    """Return what Http makes of a status."""
    return RefusedError(f"http-{status}", status=status)
