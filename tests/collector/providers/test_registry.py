"""Finding a provider by name, also those of other packages."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from collector.errors import UsageError
from collector.providers.base import Provider
from collector.providers.folder import FolderProvider
from collector.providers.registry import (
    PROVIDERS,
    Settings,
    author_of,
    make_provider,
    panorama_of,
    plugin_providers,
    traits_of,
)
from collector.records import ProviderTraits
from collector.regions import region

SETTINGS = Settings(region("turkiye15"))


def theirs(settings: Settings) -> Provider:
    return FolderProvider(Path(settings.options["where"]), settings.region)


theirs.traits = ProviderTraits(author_is_service=True, panorama=r"around:(\w+)-")  # type: ignore[attr-defined]


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
    assert set(plugin_providers()) == {"theirs"}
    made = make_provider("theirs", Settings(region("turkiye15"), options={"where": str(tmp_path)}))
    assert isinstance(made, FolderProvider)
    with pytest.raises(UsageError, match=r"there are .*theirs"):
        make_provider("none", SETTINGS)


def test_a_built_in_provider_cannot_be_replaced(add_points: Callable[..., None]) -> None:
    add_points(folder="tests.collector.providers.test_registry:theirs")
    assert "folder" in PROVIDERS
    assert plugin_providers() == {}


def test_a_broken_package_is_named(add_points: Callable[..., None]) -> None:
    add_points(broken="no_such_module_anywhere:make")
    with pytest.raises(UsageError, match=r"'broken'.*cannot be loaded: ModuleNotFoundError.*no_such_module_anywhere"):
        make_provider("broken", SETTINGS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_says_what_its_photos_have_in_common(name: str) -> None:
    traits = traits_of(name)
    assert isinstance(traits, ProviderTraits)
    assert traits.pixels_may_be_kept == (name != "streetview")
    assert traits.rehydratable == (name != "folder")


def test_a_plug_in_carries_its_traits(add_points: Callable[..., None]) -> None:
    add_points(around="tests.collector.providers.test_registry:theirs")
    assert traits_of("around").author_is_service
    assert panorama_of("around:a1-north") == "around:a1"
    assert author_of("around:a1-north", "around:us") == author_of("around:a1-south", None) == "around:a1"
    assert author_of("around:odd", "around:us") == "around:odd"


@pytest.mark.parametrize(
    ("photo_id", "author_id", "hand"),
    [
        ("streetview:p@90", "streetview:google", "streetview:p"),
        ("streetview:p@180", "streetview:google", "streetview:p"),
        ("flickr:1", "flickr:2@N00", "flickr:2@N00"),
        ("flickr:1", None, "flickr:1"),
        ("nobody-has-this:1", "nobody-has-this:a", "nobody-has-this:a"),
    ],
)
def test_whose_hand_a_photo_is_of(photo_id: str, author_id: str | None, hand: str) -> None:
    assert author_of(photo_id, author_id) == hand
