"""Which manifests lie in a folder, which is the newest, and what the next version is called."""

from pathlib import Path

from collector.errors import UsageError
from collector.manifest.manifest import Manifest, version_key
from collector.workspace import Workspace


def versions(manifests: Path, name: str) -> list[str]:
    """Return the versions of the data set `name` under `manifests`, oldest first; folders that are none are ignored."""
    found = []
    for path in (manifests / name).glob("*/manifest.json"):
        try:
            version_key(path.parent.name)
        except UsageError:
            continue
        found.append(path.parent.name)
    return sorted(found, key=version_key)


def newest_manifest(manifests: Path) -> Path:
    """Return the folder of the newest manifest: the highest version of the data set that was last written to.

    Raises:
        UsageError: there is none.
    """
    names = {path.parent.parent.name for path in manifests.glob("*/*/manifest.json")}
    known = {name: found for name in sorted(names) if (found := versions(manifests, name))}
    if not known:
        raise UsageError(f"{manifests}: holds no manifest yet; `t15 split` makes one, --manifest names one elsewhere")

    def written(name: str) -> int:
        return max((manifests / name / of / "manifest.json").stat().st_mtime_ns for of in known[name])

    name = max(known, key=written)
    return manifests / name / known[name][-1]


def next_version(previous: Manifest, photos: dict[str, tuple[str, str]]) -> str:
    """Return the version after `previous` for a data set with these assignments (photo_id to city and side).

    The rule: major when a photo's city or side changed or a photo is gone, minor when photos were only added, patch when
    neither did (then only metadata changed).
    """
    columns = (previous.table[name].to_pylist() for name in ("photo_id", "city", "split"))
    before = {photo_id: (city, side) for photo_id, city, side in zip(*columns, strict=True)}
    major, minor, patch = version_key(previous.header.version)
    if any(photos.get(photo_id) != then for photo_id, then in before.items()):
        return f"{major + 1}.0.0"
    if len(photos) > len(before):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def partial_folder(manifest: Manifest, workspace: Workspace) -> Path:
    """Return where a rehydration writes the manifest of what it got, when that is not all of `manifest`."""
    return workspace.rehydrated / manifest.digest[:16] / manifest.header.name / manifest.header.version
