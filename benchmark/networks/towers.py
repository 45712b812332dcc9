"""Today's networks, of timm and open_clip: a known set as data, any other by its name.

A name is timm's, with a slash for its dot (`vit_small_patch14_dinov2/lvd142m`), or open_clip's model and tag in small letters
(`vit-b-32/openai`): the latter have a text half. Those of `towers.json` are listed without either library; preprocessing,
classes, licences and addresses are the libraries' own configuration (timm 1.0.31, open_clip 3.3.0), which the tests compare.
The libraries are needed to build one (extra `modern`), and to know any other. Digests are those that a file's name says;
where there is none, that of the first file is pinned (`networks.weights`).
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.networks.backbone import Backbone, Preprocessing, Pretrained
from collector.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_HUB = "https://huggingface.co"
_FREE = {"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0"}
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@cache
def towers() -> tuple[Backbone, ...]:
    """Return the known towers, in the file's order."""
    rows = json.loads(Path(__file__).with_name("towers.json").read_text("utf-8"))
    return tuple(_tower(row) for row in rows)


@cache
def hub_tower(name: str) -> Backbone | None:
    """Return any other network of open_clip or timm by its name, described by the library; None where there is none."""
    model, slash, tag = name.partition("/")
    if not slash or not tag or name != name.lower():
        return None
    return open_clip_backbone(name) or _of_timm(name, model, tag)


def _tower(row: Mapping[str, Any]) -> Backbone:
    columns = ("data", "classes", "licence", "page", "sha256", "commercial", "redistribute")
    companions = tuple(row.get("companions", ()))
    pretrained = Pretrained(urls=tuple(row["urls"]), companions=companions, **{name: row[name] for name in columns})
    sides = (row["resize"], row["crop"], tuple(row["mean"]), tuple(row["std"]), row["interpolation"])
    shape = Preprocessing(*sides, "torchvision", row.get("squash", False))
    facts = {name: row[name] for name in ("tokens", "prefix", "patch", "width", "gigaflops") if name in row}
    if model := row.get("open_clip"):
        return _with_text(row["name"], row["title"], model, row["quick_gelu"], pretrained, shape, **facts)
    build = _timm_builder(row["name"], row["patch"] > 1)
    # Which modules follow one another is not said: there are no cuts.
    return Backbone(row["name"], row["title"], build, _as_one_layer, row["classifier"], {}, pretrained, shape, **facts)


def _as_one_layer(network: "nn.Module") -> "list[nn.Module]":
    return [network]


def _with_text(
    name: str, title: str, model: str, quick_gelu: bool, pretrained: Pretrained, shape: Preprocessing, **facts: Any
) -> Backbone:
    """Return a network of open_clip: image half and text half, whose vectors lie in one space."""

    def build(_: int) -> "nn.Module":
        require("open_clip", "open_clip", name)
        import open_clip

        with _silent():
            network: nn.Module = open_clip.create_model(
                model, pretrained=None, load_weights=False, force_quick_gelu=quick_gelu
            )
        return network

    return Backbone(
        name,
        title,
        build,
        _as_one_layer,
        "",
        {},
        pretrained,
        shape,
        reading="open_clip",
        fixed=True,
        text=model,
        **facts,
    )


def open_clip_backbone(name: str) -> Backbone | None:
    """Return the image tower of an open_clip model by `open_clip:MODEL/TAG`; None where there is none of that name."""
    if not find_spec("open_clip"):
        return None
    import open_clip

    named = {f"{model}/{tag}".lower(): (model, tag) for model, tag in open_clip.list_pretrained()}
    if name not in named:
        return None
    model, tag = named[name]
    config, cfg = open_clip.get_model_config(model), open_clip.get_pretrained_cfg(model, tag)
    text, size = config["text_cfg"], config["vision_cfg"]["image_size"]
    if text.get("hf_model_name") or not isinstance(size, int):
        raise UsageError(f"network {name}: t15 cannot build it from its weights alone; take another")
    repository = cfg.get("hf_hub", "").rstrip("/")
    tokenizer = text.get("hf_tokenizer_name", "")
    companions = tuple(f"{_HUB}/{tokenizer}/resolve/main/{file}" for file in _TOKENIZER_FILES) if tokenizer else ()
    file = f"{_HUB}/{repository}/resolve/main/open_clip_model.safetensors"
    page = f"{_HUB}/{repository}" if repository else "https://github.com/mlfoundations/open_clip"
    urls = (file,) if repository else (cfg["url"],)
    pretrained = Pretrained(tag, 0, "see its page", page, urls, companions=companions)
    usual = open_clip.transform.PreprocessCfg()
    mean, std = (tuple(cfg.get(key, getattr(usual, key))) for key in ("mean", "std"))
    mode = cfg.get("resize_mode", usual.resize_mode)
    if mode not in ("shortest", "squash"):
        raise UsageError(f"network {name}: its photos are resized by {mode!r}, which t15 does not do")
    interpolation = cfg.get("interpolation", usual.interpolation)
    shape = Preprocessing(size, size, mean, std, interpolation, "torchvision", mode == "squash")
    quick = cfg.get("quick_gelu", config.get("quick_gelu", False))
    return _with_text(name, model, model, quick, pretrained, shape, width=config["embed_dim"])


def _of_timm(name: str, architecture: str, tag: str) -> Backbone | None:
    if not find_spec("timm"):
        return None
    import timm

    try:
        cfg: Any = timm.get_pretrained_cfg(f"{architecture}.{tag}") if timm.is_model(architecture) else None
    except RuntimeError:  # the architecture has no such tag
        return None
    if cfg is None or cfg.tag != tag or not (cfg.hf_hub_id or cfg.url):
        return None
    file = cfg.hf_hub_filename or "model.safetensors"
    url = f"{_HUB}/{cfg.hf_hub_id}/resolve/main/{file}" if cfg.hf_hub_id else cfg.url
    licence = (cfg.license or "").lower()
    free = None if not licence else licence in _FREE or (False if "-nc" in licence else None)
    page = f"{_HUB}/{cfg.hf_hub_id}" if cfg.hf_hub_id else "https://github.com/huggingface/pytorch-image-models"
    pretrained = Pretrained(
        tag,
        cfg.num_classes,
        cfg.license or "see its page",
        page,
        (url,),
        commercial=free,
        redistribute=free or None,
    )
    crop, squash = cfg.input_size[-1], cfg.crop_mode == "squash"
    resize = crop if squash else int(crop / cfg.crop_pct)
    if cfg.crop_mode not in ("center", "squash") or cfg.interpolation not in (
        "bilinear",
        "bicubic",
    ):
        raise UsageError(f"network {name}: its photos are cut by {cfg.crop_mode!r}, which t15 does not do")
    shape = Preprocessing(
        resize,
        crop,
        cfg.mean,
        cfg.std,
        cfg.interpolation,
        "torchvision",
        squash,
    )
    classifier = cfg.classifier if isinstance(cfg.classifier, str) else cfg.classifier[0]
    build = _timm_builder(name, False)
    width: dict[str, Any] = _tokens(build, cfg)
    return Backbone(
        name, architecture, build, _as_one_layer, classifier, {}, pretrained, shape, reading="timm", fixed=True, **width
    )


def _tokens(build: "Callable[[int], nn.Module]", said: Any) -> dict[str, int]:
    """Return width and prefix of what the network gives before its head; nothing where that is neither map nor tokens."""
    import torch

    with torch.device("meta"), torch.inference_mode():
        network: Any = build(said.num_classes).eval()
        found = network.forward_features(torch.empty(1, *said.input_size))
        last = network.forward_head(found, pre_logits=True)
    if not isinstance(found, torch.Tensor) or found.dim() not in (3, 4) or last.dim() != 2:
        return {"width": 0}
    return {"width": last.shape[1], "prefix": getattr(network, "num_prefix_tokens", 0) if found.dim() == 3 else 0}


def _timm_builder(name: str, any_size: bool) -> "Callable[[int], nn.Module]":
    def build(classes: int) -> "nn.Module":
        require("timm", "timm", name)
        import timm

        # Other resolutions than its own are interpolated between the places that it learnt.
        sizes: dict[str, Any] = {"dynamic_img_size": True} if any_size else {}
        network: nn.Module = timm.create_model(name.partition("/")[0], num_classes=classes, **sizes)
        return network

    return build


def require(module: str, package: str, name: str) -> None:
    """Raise UsageError where a library that a network needs is not installed; the message says which extra has it."""
    if find_spec(module) is None:
        raise UsageError(f"network {name}: needs {package}; install it with: pip install 't15[modern]'")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep open_clip from warning that a network begins with random weights, which t15 reads itself, and from giving the
    process a handler that would print every log on standard error.
    """
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)
        root.handlers[:] = handlers
