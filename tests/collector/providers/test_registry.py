"""Finding a provider by name, also those of other packages."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from collector.errors import UsageError
from collector.providers.base import Provider
from collector.providers.folder import FolderProvider
from collector.providers.registry import PROVIDERS, Settings, make_provider, providers
from collector.regions import region

SETTINGS = Settings(region("turkiye15"))


def theirs(settings: Settings) -> Provider:
    return FolderProvider(Path(settings.options["where"]), settings.region)


@pytest.fixture
def add_points(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def add(**values: str) -> None:
        points = EntryPoints(EntryPoint(name, value, "t15.providers") for name, value in values.items())
        monkeypatch.setattr("collector.plugins.entry_points", lambda group: points.select(group=group))

    return add


def test_folder_needs_a_root(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--root DIR"):
        make_provider("folder", SETTINGS)
    made = make_provider("folder", Settings(region("turkiye15"), tmp_path, "CC0-1.0"))
    assert isinstance(made, FolderProvider)
    assert (made.root, made.licence, made.name) == (tmp_path, "CC0-1.0", "folder")


def test_unknown_provider_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"'folde' is unknown \(did you mean 'folder'\?\).*--root"):
        make_provider("folde", SETTINGS)


def test_other_packages_add_theirs(add_points: Callable[..., None], tmp_path: Path) -> None:
    add_points(theirs="tests.collector.providers.test_registry:theirs")
    assert set(providers()) == {*PROVIDERS, "theirs"}
    made = make_provider("theirs", Settings(region("turkiye15"), options={"where": str(tmp_path)}))
    assert isinstance(made, FolderProvider)
    with pytest.raises(UsageError, match=r"there are .*theirs"):
        make_provider("none", SETTINGS)


def test_a_built_in_provider_cannot_be_replaced(add_points: Callable[..., None]) -> None:
    add_points(folder="tests.collector.providers.test_registry:theirs")
    assert providers()["folder"] is PROVIDERS["folder"]


def test_a_broken_package_is_named(add_points: Callable[..., None]) -> None:
    add_points(broken="no_such_module_anywhere:make")
    with pytest.raises(UsageError, match=r"'broken'.*cannot be loaded: ModuleNotFoundError.*no_such_module_anywhere"):
        make_provider("broken", SETTINGS)
