"""Places to try things out in: what `--dry-run` tells is what the command itself would find."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.catalogue.database import copy_database
from collector.errors import T15Error
from collector.workspace import Workspace

_SMALL = 1 << 20  # bytes of a file whose content is worth a look before it is written over


@contextmanager
def rehearsal(workspace: Workspace) -> Iterator[Workspace]:
    """Give a workspace of the same photos with a copy of the catalogue, empty where there is none; it goes at the end.

    The photos are the workspace's own, so that nobody may remove any here, and none is kept (`Workspace.borrowed`).
    """
    with _passing(workspace.root, "") as folder:
        copy = Workspace(folder, borrowed=True)
        copy.photos.symlink_to(workspace.photos.absolute(), target_is_directory=True)
        if workspace.catalogue.exists():
            copy_database(workspace.catalogue, copy.catalogue)
        yield copy


@contextmanager
def written_to(path: Path, *, dry_run: bool) -> Iterator[Path]:
    """Give where a file or folder is to be written: `path`, or in a dry run one of its name that goes at the end.

    A folder that is there already is one there too, with files of the same names, so that what refuses it refuses it.
    """
    if not dry_run:
        yield path
        return
    with _passing(path, path.name) as copy:
        if path.is_dir():
            copy.mkdir()
            for one in path.iterdir():
                if one.is_file() and one.stat().st_size <= _SMALL:
                    shutil.copyfile(one, copy / one.name)
                else:
                    (copy / one.name).mkdir() if one.is_dir() else (copy / one.name).touch()
        elif path.exists():
            copy.touch()
        yield copy


@contextmanager
def _passing(place: Path, name: str) -> Iterator[Path]:
    """Give a folder, or a path of a name in it, that goes at the end; errors name the place that it stands for."""
    with TemporaryDirectory(prefix="t15-dry-run-") as folder:
        copy = Path(folder) / name
        try:
            yield copy
        except T15Error as error:
            error.args = (str(error).replace(str(copy), str(place)),)
            raise
