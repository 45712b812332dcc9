"""Keys cut out of text: of messages, log lines and addresses."""

import logging
import re
from collections.abc import Iterable

MARK = "…"
"""What stands where a secret was. Secrets are ASCII (they travel in URLs and headers), so no new one arises around it."""

_NAMES = (
    r"(?:x-(?:amz|goog)-)?(?:signature|credential|security-token)|(?:(?:api|access|auth|subscription)[-_]?)?key|"
    r"(?:(?:access|auth|refresh|id|api)[-_]?)?token|(?:(?:client|api|app)[-_]?)?secret|(?:api_)?sig|password|passwd|oauth_\w+"
)
_PARAMETER = re.compile(
    rf"""(?:(?<![\w-])|(?<=%3f)|(?<=%26))(?P<name>(?:{_NAMES})["']?\s*(?:=|:(?=\s*["'])|%3d)\s*["']?)(?P<value>[^&#\s"'<>;,)\]}}]+)""",
    re.IGNORECASE,
)
"""`name=value` in queries, `name="value"` in OAuth headers and `"name": "value"` in JSON."""

_HEADER = re.compile(
    r"""(?P<name>\b(?:bearer|authorization["']?\s*[:=]\s*["']?(?:basic|bearer)?)\s+)(?P<value>[\w.~+/=-]+)""",
    re.IGNORECASE,
)

_QUIET = ("urllib3", "requests_oauthlib", "oauthlib", "flickrapi")
_OUTSPOKEN = ("urllib3.connectionpool", "urllib3.util.retry", "flickrapi.auth", "flickrapi.core")


class Redactor(logging.Filter):
    """Cuts given secrets, and the values of parameters that hold keys, out of text; as a filter also out of log records."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = frozenset(secret for secret in secrets if secret)
        longest_first = sorted(self._secrets, key=lambda secret: (-len(secret), secret))
        self._known = re.compile("|".join(map(_anyhow, longest_first))) if self._secrets else None

    def __call__(self, text: str) -> str:
        """Return `text` without secrets, however they are URL-encoded."""
        return _HEADER.sub(_masked, _PARAMETER.sub(_masked, self.without_secrets(text)))

    def without_secrets(self, text: str) -> str:
        """Return `text` without the given secrets; parameters that were not given stay."""
        return self._known.sub(MARK, text) if self._known else text

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a log record in place, and let it pass."""
        record.msg, record.args, record.exc_info = self(record.getMessage()), (), None
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redactor) and other._secrets == self._secrets

    def __hash__(self) -> int:
        return hash(self._secrets)


def quiet_libraries(redactor: Redactor) -> None:
    """Keep the HTTP libraries from logging keys.

    At DEBUG urllib3 logs every query, oauthlib every signature and flickrapi every parameter: these levels are closed. What
    they log from WARNING on (urllib3: the URL of an answer with bad headers) is redacted.
    """
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _OUTSPOKEN:
        logging.getLogger(name).addFilter(redactor)


def _masked(match: re.Match[str]) -> str:
    return match["name"] + match[0][len(match["name"]) : match.start("value") - match.start()] + MARK


def _anyhow(secret: str) -> str:
    """Return a pattern of a secret as it is and URL-encoded, once or several times, in whole or in part."""
    return "".join(map(_encoded, secret))


def _encoded(character: str) -> str:
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|{percent}{plus})"
