"""What a site says to robots: robots.txt (RFC 9309) and the X-Robots-Tag header.

The standard library's parser knows neither `*` nor `$` nor the longest match, and finds the agent `t` in `t15`: it predates
the RFC. This one is the RFC's rules and no more; matching is by search from left to right, never by regular expressions, so
that a hostile file cannot make it slow.
"""

import re
import string
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from collector.net.allowlist import origin_of

TOKEN = "t15"  # noqa: S105 (the name by which robots.txt knows us)

MAX_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least this much of a robots.txt is read; what comes after it is not."""

_AGE_S = 86400.0  # RFC 9309, 2.4: not from a cache for longer

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class Rules:
    """A site's rules for us: (pattern, allowed) in normal form."""

    rules: tuple[tuple[str, bool], ...] = ()

    def allows(self, url: str) -> bool:
        """Return whether a URL may be fetched: the longest pattern that matches decides, `allow` among equals."""
        parts = urlsplit(url)
        path = _normal((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        if path == "/robots.txt":
            return True
        matching = [(len(pattern), allowed) for pattern, allowed in self.rules if _matches(pattern, path)]
        return max(matching, default=(0, True))[1]


def parse(body: bytes) -> Rules:
    """Return what a robots.txt says to t15: the groups that name it, else those for all. Unknown lines are passed over."""
    ours: list[tuple[str, bool]] = []
    everyones: list[tuple[str, bool]] = []
    named = False
    agents: set[str] = set()
    in_rules = True
    for key, value in _lines(body):
        if key == "user-agent":
            agents = {_token(value)} if in_rules else agents | {_token(value)}
            in_rules = False
            named = named or TOKEN in agents
        elif key in ("allow", "disallow"):
            in_rules = True
            rule = (_normal(value), key == "allow")
            if value and TOKEN in agents:
                ours.append(rule)
            if value and "*" in agents:
                everyones.append(rule)
    return Rules(tuple(dict.fromkeys(ours if named else everyones)))


def _lines(body: bytes) -> Iterable[tuple[str, str]]:
    if len(body) > MAX_BYTES:
        body = body[:MAX_BYTES].rpartition(b"\n")[0]  # half a pattern would say something else
    text = body.decode("utf-8-sig", "replace")
    for line in re.split(r"[\r\n]+", text):
        key, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield key.strip().lower(), value.strip()


def _token(agent: str) -> str:
    return re.split(r"[/\s]", agent, maxsplit=1)[0].lower()


def _normal(path: str) -> str:
    """Return a path or pattern with unreserved characters as themselves and all others percent-encoded in upper case."""

    def decoded(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    plain = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in path)
    return re.sub(r"%([0-9A-Fa-f]{2})", decoded, plain)


def _matches(pattern: str, path: str) -> bool:
    """Return whether a pattern matches the beginning of a path; `*` is anything, `$` at its end is the path's end."""
    anchored = pattern.endswith("$")
    first, *rest = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if not rest:
        return not anchored or path == first
    last = rest.pop() if anchored else ""
    at = len(first)
    for part in rest:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(path) - len(last) >= at and path.endswith(last)


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
