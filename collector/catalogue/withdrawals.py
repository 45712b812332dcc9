"""Withdrawing photos: on the list for good, out of the store, out of every later version."""

import shutil
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from collector.catalogue.catalogue import Catalogue, open_catalogue
from collector.catalogue.rehearsal import rehearsal
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest
from collector.records import Photo
from collector.text_table import counted
from collector.workspace import Workspace, draft_of, exclusive, storage_errors

Kind = Literal["photo", "author"]


class Withdrawn:
    """The photos and authors that were withdrawn, to ask about one photo after the other."""

    def __init__(self, entries: Iterable[tuple[str, str, str, str]]) -> None:
        """Take what Catalogue.withdrawals returns."""
        self._ids = {(kind, one) for kind, one, _, _ in entries}

    def holds(self, photo: Photo) -> bool:
        """Return whether the photo, or everything of its author, was withdrawn."""
        return ("photo", photo.photo_id) in self._ids or ("author", photo.author_id) in self._ids


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal did.

    Attributes:
        photos: ids whose rows and bytes were taken out, copies with the very same bytes among them.
        listed: ids that are on the list now for the first time, photos or authors.
        cache_removed: whether decoded pictures and features were deleted; they are made again from what is left.
    """

    photos: tuple[str, ...]
    listed: tuple[str, ...]
    cache_removed: bool


def withdraw(
    workspace: Workspace,
    ids: Sequence[str],
    reason: str,
    at: datetime,
    kind: Kind | None = None,
    *,
    dry_run: bool = False,
) -> Withdrawal:
    """Withdraw photos or authors: collect, split, publish and rehydrate will pass them over.

    Args:
        workspace: whose catalogue keeps the list.
        ids: photo_ids or author_ids.
        reason: in words, for the list.
        at: when, UTC.
        kind: `photo` or `author`; None to tell by what the catalogue knows.
        dry_run: say what would go, and change nothing.

    Raises:
        UsageError: an id is neither a photo nor an author of this workspace, and `kind` does not say what it is.
        IncompleteError: another process is changing the catalogue.
    """
    if dry_run:
        with rehearsal(workspace) as copy, open_catalogue(copy) as catalogue:
            gone, listed = _written_down(catalogue, ids, reason, at, kind)
        return _withdrawal(gone, listed, cache_removed=bool(gone) and workspace.cache.exists())
    # Files before rows: whoever is killed in between finds the photo in the catalogue still, and withdraws it again.
    with (
        storage_errors(workspace.root),
        exclusive(workspace),
        open_catalogue(workspace) as catalogue,
        catalogue.together(),
    ):
        gone, listed = _written_down(catalogue, ids, reason, at, kind)
        for digest in {photo.sha256 for photo in gone if photo.sha256}:
            while (path := workspace.photo(digest)).is_file():  # in the older place too
                path.unlink()
        # The arrays of the cache hold pixels of thousands of photos each; nothing in it is lost for good. Nor is a
        # partial manifest: `rehydrate` writes it again, without the photos.
        cached = bool(gone) and workspace.cache.exists()
        for folder in (workspace.cache, workspace.rehydrated):
            if gone and folder.exists():
                # Renamed first: a review that is being served may write thumbnails meanwhile.
                doomed = draft_of(folder)
                folder.rename(doomed)
                shutil.rmtree(doomed)
    return _withdrawal(gone, listed, cache_removed=cached)


def _written_down(
    catalogue: Catalogue, ids: Sequence[str], reason: str, at: datetime, kind: Kind | None
) -> tuple[list[Photo], list[str]]:
    """Put ids on the list, and return the photos that this takes down and what is on the list for the first time."""
    before = {(of, one) for of, one, _, _ in catalogue.withdrawals()}
    kinds = {one: kind or _kind(catalogue, one, before) for one in ids}
    gone = [photo for one in ids for photo in catalogue.withdraw(kinds[one], [one], reason, at)]
    # The same bytes under another id are the same picture.
    copies = catalogue.with_bytes({str(photo.sha256) for photo in gone if photo.sha256})
    gone += catalogue.withdraw("photo", copies, f"same bytes as a withdrawn photo: {reason}", at)
    return gone, [one for of, one, _, _ in catalogue.withdrawals() if (of, one) not in before]


def _withdrawal(gone: Sequence[Photo], listed: Sequence[str], *, cache_removed: bool) -> Withdrawal:
    return Withdrawal(tuple(sorted(photo.photo_id for photo in gone)), tuple(sorted(listed)), cache_removed)


def require_none_withdrawn(manifest: Manifest, workspace: Workspace) -> None:
    """Make sure that a manifest holds nothing that was withdrawn in this workspace.

    Raises:
        DataError: it does; the message counts and names photos.
    """
    if not workspace.catalogue.is_file():
        return
    with open_catalogue(workspace) as catalogue:
        listed = catalogue.withdrawals()
    photos, authors = (
        pa.array([one for of, one, _, _ in listed if of == kind], pa.string()) for kind in ("photo", "author")
    )
    table = manifest.table
    there = pc.or_(
        pc.is_in(table["photo_id"], photos),
        pc.and_(pc.is_valid(table["author_id"]), pc.is_in(table["author_id"], authors)),
    )
    held = table["photo_id"].filter(there).to_pylist()
    if held:
        header = manifest.header
        raise DataError(
            f"{header.name} {header.version}: holds {counted(len(held), 'withdrawn photos')}, such as {held[0]}; "
            "`t15 split --extend` makes a version without them"
        )


def _kind(catalogue: Catalogue, one: str, listed: Set[tuple[str, str]]) -> Kind:
    if catalogue.known(one) or ("photo", one) in listed:
        return "photo"
    if catalogue.has_author(one) or ("author", one) in listed:
        return "author"
    raise UsageError(
        f"{one!r} is no photo and no author of this workspace; to put it on the list all the same, say which with "
        "--kind photo or --kind author"
    )
