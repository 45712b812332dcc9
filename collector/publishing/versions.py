"""Which manifests lie in a folder, which is the newest, and what the next version is called."""

from pathlib import Path

from collector.errors import UsageError
from collector.publishing.manifest import Manifest, version_key


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
    newest = [manifests / name / found[-1] for name in sorted(names) if (found := versions(manifests, name))]
    if not newest:
        raise UsageError(f"{manifests}: holds no manifest yet; `t15 split` makes one, --manifest names one elsewhere")
    return max(newest, key=lambda folder: (folder / "manifest.json").stat().st_mtime_ns)


def next_version(previous: Manifest, photos: dict[str, str]) -> str:
    """Return the version after `previous` for a data set with these assignments (photo_id to side).

    The rule: major when a photo's side changed or a photo is gone, minor when photos were only added, patch when
    neither did (then only metadata changed).
    """
    before = dict(zip(previous.table["photo_id"].to_pylist(), previous.table["split"].to_pylist(), strict=True))
    major, minor, patch = version_key(previous.header.version)
    if any(photos.get(photo_id) != side for photo_id, side in before.items()):
        return f"{major + 1}.0.0"
    if len(photos) > len(before):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"
