"""How all pages and documents are made: templates in which an unknown name is an error and every value is escaped."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment(package: str, **more: Any) -> Environment:
    """Return the environment of a package's `templates`; the same one each time.

    Args:
        package: such as `collector.review`.
        more: settings of jinja2.Environment. Values are escaped for HTML unless `autoescape` says otherwise.
    """
    settings = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(loader=PackageLoader(package), keep_trailing_newline=True, **{**settings, **more})  # noqa: S701
