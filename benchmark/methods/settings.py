"""`--set NAME=VALUE`: a method with other parameters."""

import math
from collections.abc import Mapping
from dataclasses import replace

from benchmark.methods.types import Method, Parameter
from collector.errors import UsageError


def with_settings(method: Method, settings: Mapping[str, str]) -> Method:
    """Return the method with parameters changed in both tiers; settings that it does not have are passed over.

    Raises:
        UsageError: a text is no value of the parameter's kind.
    """
    own = {
        name: _parsed(name, text, method.parameters[name])
        for name, text in settings.items()
        if name in method.parameters
    }
    smoke = {name: value for name, value in method.smoke.items() if name not in own}
    return replace(method, parameters={**method.parameters, **own}, smoke=smoke) if own else method


def numbers(text: str) -> list[float]:
    """Return the numbers of a parameter such as `1,5,25`.

    Raises:
        UsageError: it is no such list.
    """
    try:
        values = [float(number) for number in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{text[:40]!r}: must be numbers with commas between, such as 1,5,25")
    return values


def _are_numbers(text: str) -> bool:
    try:
        return all(numbers(part) for part in text.split(";"))
    except UsageError:
        return False


def _parsed(name: str, text: str, default: Parameter) -> Parameter:
    if isinstance(default, str):
        if _are_numbers(default) and not _are_numbers(text):
            raise UsageError(f"--set {name}={text[:40]!r}: must be numbers with commas between, such as {default[:40]}")
        return text
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        value = type(default)(text) if default is not None else float(text)
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        kind = {bool: "true or false", int: "a whole number"}.get(type(default), "a number")
        raise UsageError(f"--set {name}={text[:40]!r}: must be {kind}")
    return value
