"""Trained predictors as files: safetensors with JSON in the metadata. Whatever such a file holds, nothing in it runs.

docs/predicting.md describes the layout. Arrays of the predictor are called `predictor/…`, those that say more of it
`extra/…`; the metadata's one entry `t15` is JSON: format, kind, spec, classes, extra, and the digest over all of it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from benchmark.methods.loaders import Arrays, loaded, loaders
from benchmark.methods.types import Predictor
from collector.errors import DataError, T15Error, UsageError, one_line
from collector.workspace import write_atomically

FORMAT = 1
"""Version of the layout; a reader refuses a newer one."""

_OWN, _EXTRA = "predictor/", "extra/"
_MOST_CLASSES = 100_000
_LONGEST_HEADER = 64 << 20  # bytes; of 15 cities it takes some thousand


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says beside the predictor.

    Attributes:
        kind: of the predictor, one of `loaders`.
        classes: city slugs in the order of the probabilities.
        extra: whatever whoever saved it had to say, plain JSON.
        arrays: likewise, as arrays by name.
        digest: sha256 over all of the file's contents.
    """

    kind: str
    classes: tuple[str, ...]
    extra: dict[str, Any]
    arrays: Arrays
    digest: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model as data: a predictor's `save` (see `save_predictor`), with what a ModelInfo says of it."""

    kind: str
    spec: dict[str, Any]
    tensors: Arrays
    classes: tuple[str, ...]
    extra: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    @property
    def info(self) -> ModelInfo:
        """What there is beside the predictor."""
        return ModelInfo(self.kind, self.classes, self.extra, self.arrays, self.digest)

    @property
    def digest(self) -> str:
        """The sha256 over the canonical JSON of the description, and name, dtype, shape and bytes of each array, by name."""
        sha256 = hashlib.sha256(_canonical(self._description()))
        for name, array in sorted(self._named().items()):
            sha256.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode() + b"\n")
            sha256.update(array.reshape(-1).data)
        return sha256.hexdigest()

    def to_bytes(self) -> bytes:
        """Return the file's contents; the same model gives the same bytes."""
        described = _canonical({**self._description(), "digest": self.digest}).decode()
        return save(self._named(), metadata={"t15": described})

    def _description(self) -> dict[str, Any]:
        of = {"kind": self.kind, "spec": self.spec, "classes": list(self.classes), "extra": self.extra}
        return {"format": FORMAT, **of}

    def _named(self) -> dict[str, NDArray[Any]]:
        named = {_OWN + name: array for name, array in self.tensors.items()}
        named |= {_EXTRA + name: array for name, array in self.arrays.items()}
        return {name: np.require(array, _little(array.dtype), "C") for name, array in named.items()}


def model_of(predictor: Predictor, classes: Sequence[str], extra: Mapping[str, Any], arrays: Arrays) -> Model | None:
    """Return a predictor as data; None where it has no `save`, or one of a kind that `loaders` does not know."""
    saved: Callable[[], tuple[str, dict[str, Any], Arrays]] | None = getattr(predictor, "save", None)
    if saved is None:
        return None
    kind, spec, tensors = saved()
    return Model(kind, spec, tensors, tuple(classes), dict(extra), arrays) if kind in loaders() else None


def save_predictor(
    path: Path, predictor: Predictor, classes: Sequence[str], extra: Mapping[str, Any], arrays: Arrays | None = None
) -> bool:
    """Write a fitted predictor to `path`, whole or not at all; return whether it is of a kind that can be kept.

    Such a predictor has `save() -> (kind, spec, tensors)`: a kind in `loaders`, what is needed to build it again as plain
    JSON, and its arrays by name.

    Raises:
        OSError: the file cannot be written.
    """
    model = model_of(predictor, classes, extra, arrays or {})
    if model is not None:
        write_atomically(path, model.to_bytes())
    return model is not None


def read_model(path: Path) -> Model:
    """Return what a model file holds, after checking its digest; the predictor is not built.

    Raises:
        UsageError: there is no such file.
        DataError: it is damaged, truncated, or no model of t15.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; `t15 export-model` writes one")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("t15")
            if text is None or len(text) > _LONGEST_HEADER:
                raise DataError(
                    f"{path}: is no model of t15, but another safetensors file; `t15 export-model` writes one"
                )
            header = json.loads(text)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        model = _parsed(path, header, arrays)
        whole = model.digest == header.get("digest")
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: is damaged or no model of t15 ({_line(error)}); export it again") from error
    if not whole:
        raise DataError(f"{path}: was damaged or changed, its digest is another one; export it again")
    return model


def build(model: Model, device: str, name: str) -> Predictor:
    """Return the predictor that a model describes; `name` stands for it in messages.

    Raises:
        DataError: the description does not fit the arrays or this version of t15.
    """
    # A network is built, with so many outputs, before its weights are looked at: a billion would fill the memory.
    if model.spec.get("classes", len(model.classes)) != len(model.classes):
        raise DataError(
            f"{name}: its predictor is not of the {len(model.classes)} cities that it names; export it again"
        )
    try:
        return loaded(model.kind, model.spec, model.tensors, device)
    except T15Error as error:
        raise DataError(f"{name}: {' '.join(str(error).split())[:300]}") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, OverflowError) as error:
        raise DataError(f"{name}: its description is no {model.kind}'s ({_line(error)}); export it again") from error


def load_predictor(path: Path, device: str) -> tuple[Predictor, ModelInfo]:
    """Return the predictor in a model file, on the device, and what the file says beside it.

    Raises:
        UsageError: there is no such file.
        DataError: it is damaged, no model of t15, or one that this version cannot build.
    """
    model = read_model(path)
    return build(model, device, str(path)), model.info


def _parsed(path: Path, header: Any, arrays: Arrays) -> Model:
    if not isinstance(header, dict) or type(header.get("format")) is not int:
        raise DataError(f"{path}: is no model of t15 (no format number); `t15 export-model` writes one")
    if header["format"] > FORMAT:
        raise DataError(f"{path}: has format {header['format']}, this t15 reads up to {FORMAT}; install a newer t15")
    kind, spec, classes, extra = (header[name] for name in ("kind", "spec", "classes", "extra"))
    if kind not in (known := loaders()):
        raise DataError(
            f"{path}: holds a predictor of kind {str(kind)[:40]!r}; known are {', '.join(known)}; "
            "one of a plug-in needs its package installed"
        )
    if not isinstance(spec, dict) or not isinstance(extra, dict) or not isinstance(classes, list):
        raise DataError(f"{path}: its description is damaged; export it again")
    if (
        not all(isinstance(slug, str) for slug in classes)
        or not 1 <= len(set(classes)) == len(classes) <= _MOST_CLASSES
    ):
        raise DataError(f"{path}: its cities are damaged, or one is there twice; export it again")
    own = {name.removeprefix(_OWN): array for name, array in arrays.items() if name.startswith(_OWN)}
    rest = {name.removeprefix(_EXTRA): array for name, array in arrays.items() if name.startswith(_EXTRA)}
    if len(own) + len(rest) < len(arrays):
        raise DataError(f"{path}: holds arrays that no model of t15 has; export it again")
    return Model(kind, spec, own, tuple(classes), extra, rest)


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}".rstrip(": ")
