"""The last look before anything leaves: no key of a service may be in what is published."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from collector.errors import DataError
from collector.manifest.schema import SECRET

_NAMES = re.compile(r"T15_\w*(?:KEY|SECRET|TOKEN)\w*|HF_TOKEN|HUGGING_FACE_HUB_TOKEN")
_SHORTEST = 8  # shorter values are in any text by accident, and no service gives out such a key
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_TEXT = {".json", ".md", ".csv", ".svg", ""}  # SHA256SUMS has no suffix


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables that hold keys: `T15_…KEY`, `…SECRET`, `…TOKEN` and the hub's token."""
    return tuple(
        value.strip() for name, value in sorted(environment.items()) if _NAMES.fullmatch(name) and value.strip()
    )


def check_no_keys(folder: Path, secrets: Sequence[str]) -> None:
    """Look through every file below `folder` for `secrets`, and for addresses that carry a key or a signature.

    A Parquet file is looked through decoded, with all its columns and its metadata. Secrets of fewer than 8 characters are
    not looked for. The pixels of photos are not text: in their files only the secrets are looked for.

    Raises:
        DataError: there is one; the message names the file and not the key.
    """
    needles = {
        spelt.encode() for secret in secrets if len(secret) >= _SHORTEST for spelt in (secret, quote(secret, ""))
    }
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        texts: Iterable[bytes] = _cells(path) if path.suffix == ".parquet" else [path.read_bytes()]
        for data in texts:
            if any(needle in data for needle in needles):
                raise DataError(f"{name}: would hold the value of a key from the environment; nothing was published")
            if path.suffix in {*_TEXT, ".parquet"} and _in_url(data):
                raise DataError(
                    f"{name}: would hold an address with a key or a signature in it; nothing was published: "
                    "leave the photo out (`t15 verify` names rows whose addresses hold one)"
                )


def _in_url(data: bytes) -> bool:
    return any(SECRET.search(url) for url in _URL.findall(data.decode("utf-8", "replace")))


def _cells(path: Path) -> Iterable[bytes]:
    with pq.ParquetFile(path) as file:
        yield repr(file.schema_arrow.metadata).encode()
        yield repr(file.metadata.metadata).encode()
        for batch in file.iter_batches(1024):
            for column in batch.columns:
                yield "\n".join(str(value) for value in column.to_pylist() if value is not None).encode()
