"""`make check` runs the tests of what was changed."""

from tests.changed import folders_of


def test_each_changed_file_is_tested_by_what_stands_beside_it() -> None:
    assert folders_of(["collector/net/client.py", "collector/net/redact.py"]) == ["tests/collector/net"]
    assert folders_of(["benchmark/store.py"]) == ["tests/benchmark/test_store.py"]
    assert folders_of(["tests/test_api.py", "README.md"]) == ["tests/test_api.py"]
    assert folders_of(["collector/net/client.py", "tests/collector/net/test_robots.py"]) == ["tests/collector/net"]
    assert folders_of([]) == ["tests/test_t15.py"]
