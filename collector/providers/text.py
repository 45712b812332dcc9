"""Text that strangers wrote, made fit to store and to show."""

import re
import unicodedata
from html.parser import HTMLParser

_LONGEST = 300
_LONGEST_HTML = 20_000
"""Characters of a fragment that are parsed. The longest that was recorded has about 2,000; the parser's time grows with the
square of the length of some hostile fragments."""

# Elements without an end tag (HTML Living Standard, 13.1.2), which therefore contain nothing.
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "samp"}
    | {"small", "span", "strong", "sub", "sup", "time", "tt", "u"}
)
_NEVER_SHOWN = frozenset({"script", "style", "template", "title", "head"})
_NOT_DISPLAYED = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def clean(value: object) -> str | None:
    """Return a text fit to store, or None for what is no text or holds nothing to read.

    What comes back is valid Unicode without control characters (Cc) and half surrogates (Cs), its white space collapsed,
    at most 300 characters long. Format characters (Cf) stay, since several scripts need their joiners.
    """
    if not isinstance(value, str):
        return None
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in value)
    return " ".join(kept.split())[:_LONGEST].rstrip() or None


def from_html(value: object) -> str | None:
    """Return the text of an HTML fragment as a browser shows it, cleaned by `clean`.

    Tags are dropped and entities decoded; so are scripts, style sheets and parts with `display: none`, in which Wikimedia
    Commons hides what is meant for machines (seen: `1891<div style="display: none;">date QS:P,+1891-…</div>`).
    """
    if not isinstance(value, str):
        return None
    parser = _Text()
    try:
        parser.feed(value[:_LONGEST_HTML])
        parser.close()
    except AssertionError:
        # Python's parser gives up so on a malformed `<![`; what was read before it stands.
        pass
    return clean("".join(parser.shown))


class _Text(HTMLParser):
    """Collects the shown text. `_open` holds the open elements, each with whether it or one around it is hidden."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self._open: list[tuple[str, bool]] = []

    @property
    def _hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and a gap where it begins a block."""
        if tag not in _INLINE:
            self.shown.append(" ")
        if tag not in _VOID:
            hidden = tag in _NEVER_SHOWN or any(
                name == "hidden" or (name == "style" and _NOT_DISPLAYED.search(value or "")) for name, value in attrs
            )
            self._open.append((tag, self._hidden or hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note `<tag/>`, which is shown as nothing here."""
        del attrs
        if tag not in _INLINE:
            self.shown.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of this name and what was left open in it."""
        if tag not in _INLINE:
            self.shown.append(" ")
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index][0] == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        """Keep text that is shown."""
        if not self._hidden:
            self.shown.append(data)
