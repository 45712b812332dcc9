"""One drawn world for all tests of the sandbox."""

import pytest

from collector.sandbox.scenes import World, draw_world


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return draw_world(tmp_path_factory.mktemp("world"), seed=3, cities=3, photos_per_city=16)
