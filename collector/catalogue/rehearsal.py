"""A workspace to try things out in: what `--dry-run` tells is what the command itself would find."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.catalogue.database import copy_database
from collector.errors import T15Error
from collector.workspace import Workspace


@contextmanager
def rehearsal(workspace: Workspace) -> Iterator[Workspace]:
    """Give a workspace of the same photos with a copy of the catalogue, empty where there is none; it goes at the end.

    The photos are the workspace's own, so that nobody may write or remove any here. Errors name the workspace itself.
    """
    with TemporaryDirectory(prefix="t15-dry-run-") as folder:
        copy = Workspace(Path(folder))
        copy.photos.symlink_to(workspace.photos.absolute(), target_is_directory=True)
        if workspace.catalogue.exists():
            copy_database(workspace.catalogue, copy.catalogue)
        try:
            yield copy
        except T15Error as error:
            error.args = (str(error).replace(folder, str(workspace.root)),)
            raise
