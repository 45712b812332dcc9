"""`t15 sandbox`: the services on this machine, for trying things by hand."""

import shlex
import threading
from collections.abc import Callable
from pathlib import Path

from collector.sandbox.fault_injection import Trouble
from collector.sandbox.scenes import CITIES
from collector.sandbox.server import serving
from collector.sandbox.services import deal
from collector.sandbox.world import region_text


def serve_forever(
    port: int,
    seed: int,
    photos_per_city: int,
    trouble_rate: float,
    region_file: Path,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve until Ctrl-C, after saying how to collect from it.

    Args:
        port: 0 for any that is free.
        seed, photos_per_city: as for `scenes.plan`.
        trouble_rate: the part of the answers that goes wrong, 0 to 1.
        region_file: where the region file is written.
        say: prints a text.
        stop: ends it too.

    Raises:
        UsageError: a number is outside its range, or the port is taken.
        OSError: the region file cannot be written.
    """
    trouble = Trouble(trouble_rate, seed)
    holdings = deal(seed, len(CITIES), photos_per_city)
    with serving(holdings, trouble, port) as sandbox:
        region_file.parent.mkdir(parents=True, exist_ok=True)
        region_file.write_text(region_text(len(CITIES)), encoding="utf-8")
        exports = [f"export {name}={shlex.quote(value)}" for name, value in sandbox.environment().items()]
        collect = f"t15 collect --provider commons --region {shlex.quote(str(region_file))} --workspace sandbox"
        lines = [
            f"# Commons, Flickr and Street View, drawn, on {sandbox.url}; the keys are good here and nowhere else.",
            *exports,
            "",
            "# In another terminal, after these lines:",
            collect,
            "",
            "# Ctrl-C ends it.",
        ]
        say("\n".join(lines))
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            say("")
