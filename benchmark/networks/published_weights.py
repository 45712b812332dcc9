"""Files of weights, read as data: whatever they hold, nothing in them runs."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from collector.errors import DataError, UsageError, one_line

Tensors = dict[str, torch.Tensor]
"""A network's weights by the names of its `state_dict`; on the CPU, contiguous, floating ones float32."""

_UNDER = (
    "state_dict",
    "model",
)  # where training scripts keep the weights beside the epoch, the optimiser and the score
_REASON = 160  # letters of another library's reason that are worth a place in one line


def read_checkpoint(path: Path) -> Tensors:
    """Return the weights in a file of PyTorch (of any version, `weights_only`) or of safetensors.

    The authors' checkpoints of Places365 are dicts {epoch, arch, state_dict, best_prec1}, written by Python 2 and PyTorch
    0.2 (no zip, pickle protocol 2, byte strings, tensors of a GPU), with keys `module.conv1.weight` or
    `features.module.0.weight`: DataParallel wraps a network as `module`. Every component `module` is dropped.

    Raises:
        UsageError: there is no such file.
        DataError: the file is damaged, holds something else than named finite numbers, or needs code to be read.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(512)
    _refuse_pages(path, start)
    found = _read_safetensors(path) if _is_safetensors(start) else _read_pickle(path)
    tensors: Tensors = {}
    for name, value in _state_dict(path, found).items():
        plain = ".".join(part for part in name.split(".") if part != "module")
        if plain in tensors:
            raise DataError(f"{path}: holds {plain} twice, with and without `module.`; this is no network's weights")
        tensors[plain] = _plain(path, plain, value)
    return tensors


def fitted(tensors: Tensors, expected: Mapping[str, torch.Tensor], whom: str) -> Tensors:
    """Return the weights in the order of `expected`, a network's `state_dict`, after checking that they are its own.

    BatchNorm counts its batches since PyTorch 0.4.1; where older weights lack `num_batches_tracked`, it is 0, and where the
    network's normalisation does not learn (FrozenBatchNorm2d), the count is left out.

    Args:
        tensors: what a file holds.
        expected: names and shapes as the network has them.
        whom: the network, for messages.

    Raises:
        DataError: a tensor is missing, too many, or of another shape; the first in the network's order is named.
    """
    whole: Tensors = {}
    for name, own in expected.items():
        given = tensors.get(name)
        if given is None and name.endswith("num_batches_tracked"):
            given = torch.zeros_like(own)
        if given is None:
            raise DataError(
                f"not the weights of {whom}: {name} {_shape(own)} is missing (it holds {_few_names(tensors)}); nothing "
                "was taken"
            )
        if given.shape != own.shape:
            raise DataError(
                f"not the weights of {whom}: {name} is {_shape(given)}, the network's is {_shape(own)}; nothing was taken"
            )
        if given.is_floating_point() != own.is_floating_point():
            raise DataError(
                f"not the weights of {whom}: {name} is {given.dtype}, the network's {own.dtype}; nothing was taken"
            )
        whole[name] = given
    for name in tensors:
        if name not in expected and not name.endswith("num_batches_tracked"):
            raise DataError(f"not the weights of {whom}: it has no {name} {_shape(tensors[name])}; nothing was taken")
    return whole


def digest_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 of the weights themselves, whatever file they lie in: for each name in its order, a line of JSON
    [name, dtype, shape] and the values' bytes, little-endian.
    """
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        sha256.update(json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]).encode() + b"\n")
        values = tensor.contiguous().numpy().reshape(-1)
        sha256.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
    return sha256.hexdigest()


def _refuse_pages(path: Path, start: bytes) -> None:
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(f"{path}: is a web page, no weights; a server's error or login page is often saved as the file")


def _is_safetensors(start: bytes) -> bool:
    # Eight bytes of length, then JSON (https://github.com/huggingface/safetensors#format). No pickle has a brace there
    # that begins a string.
    return start[8:10] in (b'{"', b"{}", b"{ ")


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: damaged safetensors ({_one_line(error)}); bring the file again") from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # torch warns of pickle protocols above 2, and that `encoding` has no effect here, which is not so: Python 2's
            # strings are decoded by it. Latin-1 takes every byte; the names of weights are ASCII.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, encoding="latin1")
    except MemoryError as error:
        raise DataError(f"{path}: asks for more memory than there is") from error
    except Exception as error:  # (other people's bytes: torch's unpickler raises whatever it stumbles over)
        raise DataError(f"{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """Return what kept torch from reading the file, in one line without its advice to trust it."""
    text = str(error)
    for mark in ("GLOBAL ", "Unsupported class ", "Trying to call reduce for unrecognized function "):
        if mark in text:
            thing = text.partition(mark)[2].split(" was not")[0].split(" whose")[0].split("\n")[0]
            return (
                f"needs {thing[:_REASON]!r} to be read, which is code; t15 reads weights as data only: "
                "bring a plain state_dict, or safetensors"
            )
    if "TorchScript" in text or "legacy .tar" in text:
        return "is a TorchScript program or a file of PyTorch before 0.1.10; bring a plain state_dict, or safetensors"
    return f"is no file of weights that torch can read, or is damaged ({_one_line(error)})"


def _one_line(error: Exception) -> str:
    text = one_line(error, None).rpartition("WeightsUnpickler error: ")[2]
    return f"{type(error).__name__}: {text[:_REASON]}" if text else type(error).__name__


def _state_dict(path: Path, found: Any) -> Mapping[str, Any]:
    for key in _UNDER:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not found:
        raise DataError(f"{path}: holds no weights by name, but a {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise DataError(f"{path}: {str(name)[:_REASON]!r} is a {kind}, no tensor; weights by name are wanted")
    return found


def _plain(path: Path, name: str, value: torch.Tensor) -> torch.Tensor:
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu":
        raise DataError(f"{path}: {name} is {value.layout} {value.dtype} on {value.device}; plain numbers are wanted")
    plain = value.detach()
    if plain.is_floating_point():
        plain = plain.float()
        if not bool(torch.isfinite(plain).all()):
            raise DataError(f"{path}: {name} holds values that are no finite numbers; the file is damaged")
    # A copy: tensors of a file may share their storage, overlap, or be laid out in any order.
    return plain.clone(memory_format=torch.contiguous_format)


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _few_names(tensors: Mapping[str, torch.Tensor]) -> str:
    names = list(tensors)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "nothing"
