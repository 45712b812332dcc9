"""The page that photos are dropped on. What a model file says of itself is text in it, whatever it holds."""

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from collector.images.decode import FORMATS

if TYPE_CHECKING:
    from benchmark.serving.app_state import Desk


def render(desk: "Desk", port: int) -> str:
    """Return the page of a server on this port."""
    environment = Environment(
        loader=PackageLoader("benchmark.serving"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    about = desk.answerer.about
    return environment.get_template("serve.html.jinja").render(
        about=about,
        digest=desk.answerer.digest,
        cities=[city.name for city in about.cities],
        limits=desk.limits,
        accept=",".join(f"image/{name.lower()}" for name in FORMATS),
        formats=", ".join(FORMATS),
        port=port,
        version=version("t15"),
        settings=json.dumps({"threshold": about.certainty.threshold, "largest": desk.limits.body}),
    )
