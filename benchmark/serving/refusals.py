"""How a server says no: a status, a code that programs may rely on, and one line for people."""

from dataclasses import dataclass, field

STATUS = {
    "bad-request": 400,
    "no-photo": 400,
    "foreign-host": 403,
    "foreign-origin": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-slow": 408,
    "too-large": 413,
    "too-many-pixels": 413,
    "wrong-type": 415,
    "not-a-picture": 415,
    "damaged": 422,
    "too-costly": 422,
    "too-many-requests": 429,
    "failed": 500,
    "busy": 503,
}
"""The status of each code; docs/serving.md says what they mean."""


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that is not carried out: a code of STATUS, the reason, and headers that go with it."""

    code: str
    reason: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def body(self) -> dict[str, str]:
        """What is answered, as plain JSON."""
        return {"code": self.code, "error": self.reason}
