"""Pre-trained weights on this machine: checked when they come and whenever they are loaded, with licence and source.

`<folder>/<backbone>.safetensors` holds them, `<folder>/<backbone>.json` says what they are, `<folder>/pins.json` which file
was first seen for a backbone.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from benchmark.networks.backbones import Backbone, Pretrained, backbones, detectors, lookup
from collector.errors import DataError, IncompleteError, T15Error, UsageError
from collector.progress import Track
from collector.workspace import data_folder, remove_drafts, storage_errors, write_atomically

if TYPE_CHECKING:  # torch and the HTTP client take seconds: what is here is told without them
    from benchmark.networks.published_weights import Tensors

T = TypeVar("T")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_LARGEST_COMPANION = 64 << 20  # bytes


@contextmanager
def pinned(path: Path) -> Iterator[dict[str, str]]:
    """Give the pins: sha256 of a file by the network that it was first seen for. Changes are written if nothing goes wrong.

    Raises:
        DataError: the file is damaged; it is not overwritten.
    """
    try:
        digests = json.loads(path.read_bytes())
        if not isinstance(digests, dict) or not all(isinstance(pin, str) for pin in digests.values()):
            raise ValueError("no digests by name")  # noqa: TRY301 (one way out for all that can be wrong)
    except FileNotFoundError:
        digests = {}
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); repair it, or remove it to pin anew") from error
    pins = dict(digests)
    yield pins
    if pins != digests:
        write_atomically(path, (json.dumps(pins, indent=1, sort_keys=True) + "\n").encode())


def require(
    file: Path, found: str, name: str, *, asked: str | None, published: str, pins: Mapping[str, str], where: Path
) -> None:
    """Refuse a file that is not the one that is asked for; where none is, the published and the pinned one.

    Args:
        file: for messages.
        found: its sha256.
        name: the network that it is for.
        asked: a digest that somebody named, 8 to 64 hex digits.
        published: the publisher's, or its beginning, or nothing.
        pins: what was first seen; `where` is their file.

    Raises:
        UsageError: what is asked for is no digest.
        DataError: it is another file.
    """
    if asked is not None:
        wanted = asked.strip().lower().removeprefix("sha256:")
        if not _DIGEST.fullmatch(wanted):
            raise UsageError(f"--sha256 {asked[:80]!r}: 8 to 64 hex digits are wanted")
        if not found.startswith(wanted):
            raise DataError(f"{file}: its sha256 is {found}, not {wanted} as asked for; nothing was stored")
    elif not found.startswith(published):
        raise DataError(
            f"{file}: its sha256 is {found}, {name}'s publisher says {published}; nothing was stored: bring the published "
            "file, or name this one with --sha256"
        )
    elif pins.get(name, found) != found:
        raise DataError(
            f"{file}: its sha256 is {found}, but the file first seen for {name} had {pins[name]}; nothing was stored: if you "
            f"trust the new one, name it with --sha256, or remove the line of {name} from {where}"
        )


_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*")


class MissingWeightsError(T15Error):
    """Weights are not on this machine; the message says which file to bring, and how."""

    exit_code = DataError.exit_code


@dataclass(frozen=True, slots=True)
class Stored:
    """Weights that are on this machine.

    Attributes:
        path: their safetensors.
        digest: sha256 of the weights themselves (`checkpoints.digest_of`), whatever file they came in.
        licence: of the weights.
        source: address or name of the file that they came in.
        data: what they were learnt on.
        added: when they came, UTC, ISO 8601.
        file_sha256: of the file that they came in.
    """

    path: Path
    digest: str
    licence: str
    source: str
    data: str
    added: str
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the list of weights: what is known of them, and what is here (None: nothing).

    `state` is `here`, `missing` or `damaged`; `size` in bytes.
    """

    name: str
    state: str
    licence: str
    data: str
    page: str
    file: str
    commercial: bool | None = None
    redistribute: bool | None = None
    source: str | None = None
    size: int | None = None
    digest: str | None = None
    added: str | None = None


def folder() -> Path:
    """Return where weights are kept: T15_WEIGHTS, else `t15/weights` in the user's data folder.

    Raises:
        UsageError: this account has no home directory, and nothing else is said.
    """
    return data_folder("weights", "T15_WEIGHTS")


def stored(backbone: Backbone) -> Stored | None:
    """Return what is said of a backbone's weights, or None when they are not here; the weights themselves are not read.

    Raises:
        DataError: what is said of them is damaged.
    """
    if backbone.pretrained is None:
        return None
    if backbone.parts:
        parts = [of for of in map(stored, backbone.parts) if of]
        together = "+".join(of.digest for of in parts)
        return replace(parts[0], digest=together) if len(parts) == len(backbone.parts) else None
    path, facts_file = _paths(backbone)
    try:
        facts = json.loads(facts_file.read_bytes())
        if facts["backbone"] != backbone.name:
            raise DataError(f"{facts_file}: is of {facts['backbone']}, not of {backbone.name}; {_again(backbone)}")
        found = Stored(path, *(str(facts[name]) for name in Stored.__slots__[1:]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{facts_file}: damaged ({type(error).__name__}); {_again(backbone)}") from error
    return found if path.is_file() else None


def load(backbone: Backbone, digest: str | None = None) -> "Tensors":
    """Return a backbone's weights by the names of its `state_dict`: on the CPU, float32, checked.

    Of networks side by side each name has the network's place and a dot before it: `0.conv1.weight`.

    Args:
        backbone: whose.
        digest: of those that are meant (`Stored.digest`); None for those that are here.

    Raises:
        MissingWeightsError: they are not here.
        DataError: they are damaged, not those that were added or meant, or not of this network.
    """
    from benchmark.networks.published_weights import digest_of, read_checkpoint

    if backbone.parts:
        digests = digest.split("+") if digest else [None] * len(backbone.parts)
        loaded = [load(part, of) for part, of in zip(backbone.parts, digests, strict=True)]
        return {f"{place}.{name}": of for place, tensors in enumerate(loaded) for name, of in tensors.items()}
    entry = stored(backbone)
    if entry is None:
        raise _missing(backbone)
    if digest is not None and entry.digest != digest:
        raise DataError(
            f"weights of {backbone.name}: others were added meanwhile ({entry.digest[:12]}, expected {digest[:12]}); "
            "run the same command again"
        )
    tensors = read_checkpoint(entry.path)
    if digest_of(tensors) != entry.digest:
        raise DataError(f"{entry.path}: altered since it was added (digest {entry.digest[:12]}); {_again(backbone)}")
    return _in_order(backbone, tensors, entry.path)


def add(backbone: Backbone, file: Path, sha256: str | None = None, *, dry_run: bool = False) -> Stored:
    """Take a backbone's weights from a file of PyTorch or safetensors, and keep them as safetensors; only check in a dry run.

    The file has to be the one that its publisher names and the one that was first seen here for this backbone. A digest
    that the caller names, 8 to 64 hex digits, counts instead of both, and is remembered.

    Raises:
        UsageError: the backbone starts from random weights, there is no such file, or the folder cannot be written to.
        DataError: it is another file, or holds something else than this network's weights; nothing is stored.
        IncompleteError: the disk is full.
    """
    return _take(backbone, file, file.name, sha256, dry_run=dry_run)


def fetch(backbone: Backbone, track: Track) -> Stored:
    """Download a backbone's weights from the mirror or from who publishes them, and keep them.

    Raises:
        UsageError: the backbone starts from random weights, or the mirror is no address.
        MissingWeightsError: nobody publishes a file of them that could be fetched.
        DataError: what came is another file than expected; nothing is stored.
        IncompleteError: no address gave the file; what came of it is kept, and gone on with.
    """
    from benchmark.networks.download import addresses, without_secrets

    urls = addresses(_pretrained(backbone).urls)
    if not urls:
        raise _missing(backbone)
    for url in _pretrained(backbone).companions:
        _from_any(backbone, addresses([url]), track, lambda draft, url, _: _keep_companion(backbone, draft, url))
    return _from_any(
        backbone, urls, track, lambda draft, url, said: _take(backbone, draft, without_secrets(url), None, said)
    )


@dataclass(frozen=True, slots=True)
class Planned:
    """What `fetch` would do for a backbone.

    Attributes:
        name: of the backbone.
        licence: of the weights.
        urls: where they would be looked for, in this order, without secrets.
        companions: small files that come with them.
        here: whether they are here already.
        begun: bytes of a file that came in part, and would be gone on with.
    """

    name: str
    licence: str
    urls: list[str]
    companions: list[str]
    here: bool
    begun: int


def planned(backbone: Backbone) -> Planned:
    """Return what `fetch` would do, without asking anybody or writing anything.

    Raises:
        UsageError, MissingWeightsError: as `fetch`.
    """
    from benchmark.networks.download import addresses, draft_at, without_secrets

    pretrained = _pretrained(backbone)
    urls = addresses(pretrained.urls)
    if not urls:
        raise _missing(backbone)
    drafts = [draft_at(folder() / "downloads", url) for url in urls]
    begun = max((draft.stat().st_size for draft in drafts if draft.is_file()), default=0)
    companions = [without_secrets(addresses([url])[0]) for url in pretrained.companions]
    here = _entry(backbone).state == "here"
    return Planned(backbone.name, pretrained.licence, [*map(without_secrets, urls)], companions, here, begun)


def _keep_companion(backbone: Backbone, draft: Path, url: str) -> None:
    if draft.stat().st_size > _LARGEST_COMPANION:
        raise DataError(f"{draft}: is too large for a file beside weights")
    with storage_errors(folder()):
        target = _companions(backbone) / _last_part(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, draft.read_bytes())


def _from_any(backbone: Backbone, urls: Sequence[str], track: Track, take: "Callable[[Path, str, str], T]") -> T:
    """Return what `take` makes of the file (its draft, its address, its sha256 where the hub said it), from the first address
    that gives it.
    """
    from benchmark.networks import hub
    from benchmark.networks.download import DownloadError, download, draft_at, forget

    downloads, failures = folder() / "downloads", list[T15Error]()
    for url in urls:
        try:
            draft, said = hub.fetch(url, downloads) if hub.serves(url) else (download(url, downloads, track, urls), "")
            try:
                stored_weights = take(draft, url, said)
            except DataError:
                forget(draft)  # it is whole, and wrong
                raise
        except (DownloadError, DataError) as error:
            refused = "huggingface.co" in url and re.search(r"status 40[13]\b", str(error))
            failures.append(DownloadError(f"{error}; {hub.terms(url)}") if refused else error)
        else:
            forget(draft)
            for address in urls:
                forget(draft_at(downloads, address))
            return stored_weights
    reasons = "; ".join(str(error).replace(f"{downloads}/", "") for error in failures)
    kind = DataError if any(isinstance(error, DataError) for error in failures) else IncompleteError
    raise kind(
        f"weights of {backbone.name}: not fetched ({reasons}); try again later, or bring the file: {_by_hand(backbone)}"
    )


def companions(backbone: Backbone) -> list[Path]:
    """Return the small files that lie beside a backbone's weights, such as its tokenizer's, checked against their pins.

    Raises:
        DataError: one is not here, or is not the one that was first seen; the message says how to bring it.
    """
    pretrained, where = _pretrained(backbone), folder() / "pins.json"
    files = [_companions(backbone) / _last_part(url) for url in pretrained.companions]
    with pinned(where) as pins:
        for file, url in zip(files, pretrained.companions, strict=True):
            if not file.is_file():
                raise DataError(
                    f"{file}: is not here; `t15 weights fetch {backbone.name}` brings it, or put {url} there"
                )
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if pins.setdefault(f"{backbone.name}:{file.name}", digest) != digest:
                raise DataError(
                    f"{file}: its sha256 is {digest}, the one first seen had another; bring that, or remove its line "
                    f"from {where}"
                )
    return files


def _companions(backbone: Backbone) -> Path:
    return _paths(backbone)[0].with_suffix(".files")


def inventory(commercial: bool = False) -> list[Entry]:
    """Return one row for each backbone that has weights, built in or plugged in, in their order; with `commercial` those of
    which it is settled that their licence allows commercial use.
    """
    known = [backbone for backbone in (backbones() | detectors()).values() if backbone.pretrained]
    named = {backbone.name for backbone in known}
    files = (path.relative_to(folder()).with_suffix("").as_posix() for path in sorted(folder().glob("*/*.safetensors")))
    # Others are listed once they are here.
    known += [found for name in files if name not in named and (found := lookup(name))]
    return [_entry(one) for one in known if not commercial or _pretrained(one).commercial]


def _entry(backbone: Backbone) -> Entry:
    said = _pretrained(backbone)
    marks = (said.commercial, said.redistribute)
    known = Entry(backbone.name, "missing", said.licence, said.data, said.page, _file(said), *marks)
    try:
        entry = stored(backbone)
        size = entry.path.stat().st_size if entry else None
    except (DataError, OSError):
        return replace(known, state="damaged")
    if entry is None:
        return known
    return replace(
        known,
        state="here",
        licence=entry.licence,
        source=entry.source,
        size=size,
        digest=entry.digest,
        added=entry.added,
    )


def _take(
    backbone: Backbone, file: Path, source: str, sha256: str | None, said: str = "", *, dry_run: bool = False
) -> Stored:
    """Check a file and keep its weights: everything is checked before anything is written; `said` is what a hub says its
    sha256 is.
    """
    from benchmark.networks.published_weights import digest_of, read_checkpoint

    pretrained = _pretrained(backbone)
    path, _ = _paths(backbone)
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    with file.open("rb") as stream:
        file_digest = hashlib.file_digest(stream, "sha256").hexdigest()
    where = folder() / "pins.json"
    with storage_errors(folder()), pinned(where) as pins:
        published = pretrained.sha256 or said
        require(file, file_digest, backbone.name, asked=sha256, published=published, pins=pins, where=where)
        tensors = _in_order(backbone, read_checkpoint(file), file)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = Stored(path, digest_of(tensors), pretrained.licence, source, pretrained.data, now, file_digest)
        if not dry_run:
            _write(backbone, kept, tensors)
            pins[backbone.name] = file_digest
    return kept


def _write(backbone: Backbone, kept: Stored, tensors: "Tensors") -> None:
    from safetensors.torch import save

    path, said = _paths(backbone)
    remove_drafts(path.parent)
    # Killed between the two, the new weights stand with the old facts, and count as altered unless they are the same.
    write_atomically(path, save(tensors, {"format": "pt"}))
    facts = {"backbone": backbone.name, **{name: str(getattr(kept, name)) for name in Stored.__slots__[1:]}}
    write_atomically(said, (json.dumps(facts, ensure_ascii=False, indent=1) + "\n").encode())


def _in_order(backbone: Backbone, tensors: "Tensors", file: Path) -> "Tensors":
    """Return the weights in the order of the backbone's network, checked against it."""
    import torch

    from benchmark.networks.published_weights import fitted

    with torch.random.fork_rng(devices=[]):  # building draws random weights, and must not change what others draw
        network = backbone.build(_pretrained(backbone).classes)
    try:
        return fitted(tensors, network.state_dict(), backbone.name)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _paths(backbone: Backbone) -> tuple[Path, Path]:
    if not _NAME.fullmatch(backbone.name):
        raise UsageError(
            f"network {backbone.name!r}: a name has the form architecture/weights, of a-z, 0-9, `_`, `.`, `-`"
        )
    path = folder() / f"{backbone.name}.safetensors"
    return path, path.with_suffix(".json")


def _pretrained(backbone: Backbone) -> Pretrained:
    if backbone.pretrained is None:
        raise UsageError(f"{backbone.name} starts from random weights; `t15 weights list` names those that have some")
    return backbone.pretrained


def _file(pretrained: Pretrained) -> str:
    return _last_part(pretrained.urls[0]) if pretrained.urls else ""


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _by_hand(backbone: Backbone) -> str:
    said = _pretrained(backbone)
    what = f"get {said.urls[0]} (about it: {said.page})" if said.urls else f"see {said.page}"
    return f"{what}, then `t15 weights add {backbone.name} FILE`"


def _missing(backbone: Backbone) -> MissingWeightsError:
    return MissingWeightsError(f"weights of {backbone.name} are not in {folder()}: {_how(backbone)}")


def _how(backbone: Backbone) -> str:
    ask = f"`t15 weights fetch {backbone.name}`; without network " if _pretrained(backbone).urls else ""
    return f"{ask}{_by_hand(backbone)}"


def _again(backbone: Backbone) -> str:
    return f"add them again: {_how(backbone)}"
