"""The tests themselves: what they judge has a public name, so that parts can be moved and renamed behind it."""

import re
import sys
from pathlib import Path

PRIVATE = re.compile(
    r"from (?:collector|benchmark)[\w.]* import (?:[^(\n]*|\([^)]*)\b_[a-z]\w*"
    r"|setattr\((?:[^,\n\"]+, \"|\"(?:collector|benchmark)[\w.]*\.)_[a-z]\w*"
    r"|(?<![\w.])(?!(?:self|cls)\b)[a-z]\w*(?:\.\w+)*\._(?!replace\b)[a-z]\w*"
)
OF_OTHERS = {"response._content", "layer._forward_hooks", "pretrained._pcfg", "ctorch._utils", "httpx._exceptions"}
"""What belongs to other packages than Python's own, or is text."""


def test_they_name_nothing_private() -> None:
    named = [
        f"{path.relative_to(Path(__file__).parent)}: {match[0]}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        if path.parent.name != "performance"
        for match in PRIVATE.finditer(path.read_text(encoding="utf-8"))
        if match[0] not in OF_OTHERS and match[0].partition(".")[0] not in sys.stdlib_module_names
    ]
    assert named == []
