"""A folder is the truth about itself: after a run the catalogue holds what it holds, and says what became of the rest."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.catalogue.catalogue import Catalogue
from collector.catalogue.files import KnownFile
from collector.images.exif import clean_text
from collector.providers.base import Mirrors, SeenFile
from collector.records import Unusable

GONE = "gone-from-folder"
"""The reason of a photo whose file is not in its folder any more."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How many known files moved to another path, and how many are gone (or hold another picture now)."""

    moved: int
    gone: int


def follow(catalogue: Catalogue, provider: Mirrors) -> Changes:
    """Bring the catalogue in line with what a run has seen of a folder.

    A file that is at another path now takes its old photo's place, with what reviewers decided. One that is nowhere any more
    is rejected as GONE: its bytes and reviews stay, and it is back as soon as the file is. Only files of this root can be
    missing from it; a photo that another root has too stays; what lies below a folder that cannot be read is not missing.
    """
    files, root = catalogue.files, provider.root_path
    with catalogue.together():
        known = files.of(root)
        seen = {file.path: file for file in provider.seen_files()}
        for other in files.roots():  # of a root that was itself moved, nothing is known any more
            if other != root and not Path(other.decode("utf-8", "surrogateescape")).is_dir():
                files.forget(other)
        stale = [file for file in known if _is_stale(file, seen, provider)]
        files.miss(root, (file.path for file in stale))
        files.record(root, (file for file in seen.values() if catalogue.known(file.photo_id)))
        moved = _renamed(catalogue, stale, _new(known, seen.values()))
        present = files.present()
        missing = [file for file in stale if file not in moved and file.photo_id not in present]
        gone = sum([_reject(catalogue, file, changed=file.path in seen) for file in missing])
        left = [file for file in stale if file in moved or catalogue.known(file.photo_id) is None]
        files.forget(root, (file.path for file in left if file.path not in seen))
    return Changes(len(moved), gone)


def _is_stale(file: KnownFile, seen: dict[bytes, SeenFile], provider: Mirrors) -> bool:
    if file.path in seen:
        return seen[file.path].photo_id != file.photo_id
    return file.gone or not provider.has_file(file.path)


def _new(known: Sequence[KnownFile], seen: Iterable[SeenFile]) -> dict[str, list[SeenFile]]:
    """Return the files that were not known before, by their content."""
    before = {file.photo_id for file in known}
    new: dict[str, list[SeenFile]] = defaultdict(list)
    for file in seen:
        if file.content and file.photo_id not in before:
            new[file.content].append(file)
    return new


def _renamed(catalogue: Catalogue, stale: Sequence[KnownFile], new: dict[str, list[SeenFile]]) -> list[KnownFile]:
    """Give each photo whose file moved its new name, and return these; of several alike the one that is still called so."""
    moved = []
    for file in stale:
        candidates = new.get(file.content, [])
        candidates.sort(key=lambda one: (_name(one.path) != _name(file.path), one.path))
        old = catalogue.known(file.photo_id)
        now = catalogue.known(candidates[0].photo_id) if candidates else None
        if old and now and old.state in ("downloaded", "rejected") and now.state == "downloaded":
            catalogue.files.rename_photo(file.photo_id, candidates.pop(0).photo_id, same_city=old.city == now.city)
            moved.append(file)
    return moved


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _reject(catalogue: Catalogue, file: KnownFile, *, changed: bool) -> bool:
    """Reject a photo whose file is gone, and return whether it was there until now."""
    known = catalogue.known(file.photo_id)
    if known is None or known.state == "withdrawn":
        return False
    if known.state == "downloaded":
        detail = "holds another picture now" if changed else "is not in the folder any more"
        name = clean_text(file.path) or "file"
        catalogue.reject(Unusable(file.photo_id, GONE, f"{name}: {detail}", known.city))
        return True
    if (catalogue.outcome(file.photo_id) or ("", "", "", 0))[1] != GONE:  # there is nothing left to account for
        catalogue.files.drop_photo(file.photo_id)
    return False
