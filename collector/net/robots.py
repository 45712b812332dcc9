"""What a site says to robots: robots.txt (RFC 9309, read by protego) and the X-Robots-Tag header.

protego 0.7 knows the RFC's patterns and its longest match, and takes no time for hostile ones. But it looks for a group's
agent anywhere in ours (`t` is found in `t15`) and does not cut a version off (`t15/2.0`), so the agents are put in order
before it reads them.
"""

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from protego import Protego

from collector.net.allowlist import origin_of

TOKEN = "t15"  # noqa: S105 (the name by which robots.txt knows us)

MAX_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least this much of a robots.txt is read; what comes after it is not."""

_AGE_S = 86400.0  # RFC 9309, 2.4: not from a cache for longer

_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class Rules:
    """A site's rules for us; none at all unless its robots.txt is given."""

    def __init__(self, body: bytes = b"") -> None:
        if len(body) > MAX_BYTES:
            body = body[:MAX_BYTES].rpartition(b"\n")[0]  # half a pattern would say something else
        lines = re.split(r"[\r\n]+", body.decode("utf-8-sig", "replace"))
        self._read = Protego.parse("\n".join(map(_with_plain_agent, lines)))

    def allows(self, url: str) -> bool:
        """Return whether a URL may be fetched."""
        return urlsplit(url).path == "/robots.txt" or bool(self._read.can_fetch(url, TOKEN))


def _with_plain_agent(line: str) -> str:
    """Return a line of robots.txt, one of `User-agent` with `t15`, `*`, or `-` for all others."""
    key, _, agent = line.partition("#")[0].partition(":")
    if key.strip().lower() != "user-agent":
        return line
    token = re.split(r"[/\s]", agent.strip(), maxsplit=1)[0].lower()
    return f"User-agent: {token if token in (TOKEN, '*') else '-'}"


@dataclass(slots=True)
class _Site:
    lock: threading.Lock = field(default_factory=threading.Lock)
    rules: Rules | None = None
    since: float = 0.0


class Sites:
    """The rules of every origin, asked for when they are first needed, and again after a day."""

    def __init__(self, ask: Callable[[str], Rules], clock: Callable[[], float]) -> None:
        """Args: `ask` returns the rules in the robots.txt at a URL; what it raises comes through. `clock` in seconds."""
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._sites: dict[str, _Site] = {}

    def allow(self, url: str) -> bool:
        """Return whether the site of a URL lets us fetch it."""
        origin = str(origin_of(url))
        with self._lock:
            site = self._sites.setdefault(origin, _Site())
        with site.lock:  # several threads begin at once: one asks
            if site.rules is None or self._clock() - site.since >= _AGE_S:
                site.rules, site.since = self._ask(f"{origin}/robots.txt"), self._clock()
            return site.rules.allows(url)


def says_noai(tags: Iterable[str]) -> bool:
    """Return whether X-Robots-Tag headers ask that a file be kept out of machine learning (`noai`, `noimageai`).

    Args:
        tags: one text a header, not joined: a robot's name (`t15: noai`) holds for the rest of its header.
    """
    for tag in tags:
        agent = "*"
        for directive in tag.lower().split(","):
            name, colon, rest = (part.strip() for part in directive.partition(":"))
            if colon and name not in _VALUED:
                agent, name = name, rest
            if name in ("noai", "noimageai") and agent in ("*", TOKEN):
                return True
    return False
