"""Vectors of texts from a tower's text half, of length 1, in the space of its photos' vectors; kept like those."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.networks.backbone import Backbone
from benchmark.networks.backbones import find_backbone
from benchmark.networks.weights import companions
from benchmark.store import ArrayStore
from collector.errors import DataError, UsageError

if TYPE_CHECKING:
    from benchmark.features.vectors import Tower

_AT_ONCE = 32
Tokens = Callable[[list[str]], Tensor]


def text_vectors(tower: "Tower", texts: Sequence[str], cache: Path | None) -> NDArray[np.float32]:
    """Return the vector of each text, (N, D) float32 of length 1, from the cache where it is there.

    Raises:
        UsageError: the tower has no text half, or a library that it needs is not installed.
        DataError: files of its tokenizer are not here, or a vector is no number.
    """
    backbone = require_text(find_backbone(tower.backbone))
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    distinct = dict(zip(digests, texts, strict=True))

    def computed(wanted: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        tokens = tokenizer(backbone) if wanted else None
        for at in range(0, len(wanted), _AT_ONCE):
            part = wanted[at : at + _AT_ONCE]
            assert tokens is not None  # noqa: S101 (there is something wanted)
            yield from zip(part, encoded(tower, tokens([distinct[of] for of in part])), strict=True)

    if cache is None or tower.weights_digest is None:
        rows = dict(computed(list(distinct)))
        return np.stack([rows[digest] for digest in digests])
    key = {"what": "text", "network": tower.backbone, "weights": tower.weights_digest, "version": 1}
    store = ArrayStore(cache, {**key, "tokenizer": tokenizer_facts(backbone)}, np.dtype(np.float32))
    store.add(computed([digests[position] for position in store.missing(digests)]))
    return np.array(store.stacked(digests), np.float32)


def mean_direction(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of vectors of length 1, (D,), itself of length 1."""
    mean = vectors.mean(axis=0)
    scaled: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return scaled


def scale_of(tower: "Tower") -> float:
    """Return what the tower multiplies cosines by. A sigmoid tower's bias is the same for all labels and is left out."""
    return float(tower.network.logit_scale.detach().exp())  # type: ignore[operator]


def require_text(backbone: Backbone) -> Backbone:
    """Return the backbone; raise UsageError where it has no text half."""
    if not backbone.text:
        raise UsageError(
            f"network {backbone.name}: has no text half; take one that `t15 weights list` calls 'with text', such as "
            "vit-b-32/openai"
        )
    return backbone


def tokenizer_facts(backbone: Backbone) -> str:
    """Return what a tower's tokenizer is, for identities: the digest of its files, or open_clip's own."""
    if not (backbone.pretrained and backbone.pretrained.companions):
        return "open_clip's byte pairs"
    files = companions(backbone)
    whole = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
    return whole.hexdigest()[:16]


def tokenizer(backbone: Backbone) -> Tokens:
    """Return what makes tokens of texts: open_clip's own, or of files that came with the weights. Nothing is fetched.

    Raises:
        UsageError: a library that it needs is not installed.
        DataError: the files are not here, or none of a tokenizer.
    """
    import open_clip

    config: dict[str, Any] = open_clip.get_model_config(backbone.text)["text_cfg"]
    length = config.get("context_length", 77)
    if not config.get("hf_tokenizer_name"):
        return open_clip.SimpleTokenizer(context_length=length, **config.get("tokenizer_kwargs", {}))  # type: ignore[no-any-return]
    folder = companions(backbone)[0].parent
    try:
        import transformers  # noqa: F401
        from open_clip.tokenizer import HFTokenizer
    except ImportError as error:
        raise UsageError(
            f"network {backbone.name}: its tokenizer needs transformers; install it with: pip install 't15[modern]'"
        ) from error
    try:
        return HFTokenizer(  # type: ignore[no-any-return]
            str(folder),
            context_length=length,
            tokenizer_mode=config.get("tokenizer_mode"),
            **config.get("tokenizer_kwargs", {}),
        )
    except Exception as error:  # whatever another library's reader raises on files that are none
        raise DataError(f"{folder}: is no tokenizer ({type(error).__name__}); bring its files again") from error


@torch.inference_mode()
def encoded(tower: "Tower", tokens: Tensor) -> NDArray[np.float32]:
    """Return the unit vectors (N, D) of tokens (N, L)."""
    network: Any = tower.network
    vectors: NDArray[np.float32] = network.encode_text(tokens.to(tower.device), normalize=True).float().cpu().numpy()
    if not np.isfinite(vectors).all():
        raise DataError(f"network {tower.backbone}: a text's vector holds values that are no numbers")
    return vectors
