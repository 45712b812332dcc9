"""What a publication says of its publisher: no manifest knows it."""

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from collector.errors import UsageError


@dataclass(frozen=True, slots=True)
class Release:
    """Facts that only the publisher knows; what is None is left out, or marked as open in the datasheet.

    Attributes:
        tool: the version of t15 that publishes, such as `t15 1.0`.
        date: of the publication, `2026-05-01`. Never taken from the clock: the same input has to give the same bytes.
        publisher: the person or institution.
        url: the page of the data set.
    """

    tool: str
    date: str | None = None
    publisher: str | None = None
    url: str | None = None


def check_release(release: Release) -> None:
    """Check what was said about the publication.

    Raises:
        UsageError: the date or the address is not one.
    """
    if release.date is not None:
        try:
            date.fromisoformat(release.date)
        except ValueError:
            raise UsageError(f"date {release.date!r}: write it as year-month-day, such as 2026-05-01") from None
    if release.url is not None:
        parts = urlsplit(release.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
            # The address itself is not repeated: it may hold a password.
            raise UsageError("url: must be the http or https address of the data set's page, without a password")
