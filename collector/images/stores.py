"""Where shards lie: a folder of a file system, or one of an object store that fsspec reaches (`s3://bucket/name`)."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from collector.errors import IncompleteError, T15Error, UsageError, one_line
from collector.workspace import remove_drafts, replacing


class Folder(Protocol):
    """A folder of files; printed it is its path or address."""

    def names(self) -> set[str]:
        """Return the names of its files, none where there is no such folder."""
        ...

    def stamp(self, name: str) -> int:
        """Return a number that changes with a file, as far as that can be told without asking a store."""
        ...

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Return a file, or a part of it.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def writing(self, name: str) -> Any:
        """Give a file to write that is there when the block ends, whole, and not where anything fails; a context."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


def folder_at(place: "Path | str") -> Folder:
    """Return the folder at a path, or at an address of a store.

    Raises:
        UsageError: fsspec, or what it needs for the store, is not installed.
    """
    return StoredFolder(str(place).rstrip("/")) if is_address(place) else LocalFolder(Path(place))


def is_address(place: "Path | str") -> bool:
    """Return whether a place is an address of a store."""
    return isinstance(place, str) and "://" in place


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of a file system."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> set[str]:
        """Do `Folder.names`; drafts that a dead process left are removed.

        Raises:
            UsageError: it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file, not a folder; give another --shards")
        if not self.path.is_dir():
            return set()
        remove_drafts(self.path)
        return {path.name for path in self.path.iterdir() if not path.name.startswith(".")}

    def stamp(self, name: str) -> int:
        """Do `Folder.stamp`."""
        path = self.path / name
        return path.stat().st_mtime_ns if path.is_file() else 0

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Do `Folder.read`."""
        if size is None:
            return (self.path / name).read_bytes()[offset:]
        with (self.path / name).open("rb") as file:
            return os.pread(file.fileno(), size, offset)

    def writing(self, name: str) -> Any:
        """Do `Folder.writing`."""
        return replacing(self.path / name)

    def remove(self, name: str) -> None:
        """Do `Folder.remove`."""
        (self.path / name).unlink()


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder of an object store; its keys and settings are given as fsspec's package for the store takes them."""

    address: str

    def __str__(self) -> str:
        return self.address

    def names(self) -> set[str]:
        """Do `Folder.names`."""
        with self._reached() as (files, root):
            files.invalidate_cache()
            try:
                return {name.rsplit("/", 1)[-1] for name in files.ls(root, detail=False)}
            except FileNotFoundError:
                return set()

    def stamp(self, name: str) -> int:  # noqa: ARG002 (Folder)
        """Do `Folder.stamp`: a store is asked once in a process."""
        return 0

    def read(self, name: str, offset: int = 0, size: int | None = None) -> bytes:
        """Do `Folder.read`; one request."""
        with self._reached() as (files, root):
            part = {} if size is None else {"start": offset, "end": offset + size}
            return bytes(files.cat_file(f"{root}/{name}", **part)[0 if part else offset :])

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Do `Folder.writing`: the file is written here and put there whole, since stores do not rename."""
        with tempfile.NamedTemporaryFile(prefix="t15-") as file:
            yield file  # type: ignore[misc]  # a wrapper of one
            file.flush()
            with self._reached() as (files, root):
                try:
                    files.put_file(file.name, f"{root}/{name}")
                except FileNotFoundError as error:
                    raise UsageError(f"{self.address}: there is no such bucket ({one_line(error)})") from error

    def remove(self, name: str) -> None:
        """Do `Folder.remove`."""
        with self._reached() as (files, root):
            files.rm_file(f"{root}/{name}")

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Give the store's file system and the folder's name in it; what it refuses is one line.

        Raises:
            FileNotFoundError: no such file.
            UsageError: a package is missing, the address is none, or the store does not permit it.
            IncompleteError: the store does not answer, or is full.
        """
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]
        except ImportError as error:
            raise UsageError(
                f"{self.address}: needs fsspec, which is not installed; `pip install fsspec` and its package for this store"
            ) from error
        try:
            files, root = url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{self.address}: {one_line(error)}") from error
        try:
            yield files, root
        except (FileNotFoundError, T15Error):
            raise
        except PermissionError as error:
            raise UsageError(
                f"{self.address}: the store does not permit it ({one_line(error)}); check its keys"
            ) from error
        except Exception as error:  # stores raise what they like
            raise IncompleteError(
                f"{self.address}: the store cannot be used ({one_line(error, 200)}); run the same command again"
            ) from error
