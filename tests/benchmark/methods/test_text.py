"""Methods of towers with a text half, on a small one of open_clip with random weights: prompts, rows, files, bad input."""

import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.commands.bench import parse_settings
from benchmark.features.text_vectors import mean_direction, scale_of, text_vectors, tokenizer, tokenizer_facts
from benchmark.label_set import LabelNames, label_set
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import leaderboard
from benchmark.methods.head_kinds import TEXT_HEADS
from benchmark.methods.heads import starting_tower
from benchmark.methods.networks import transfer_variant
from benchmark.methods.prompts import NAMES, OF_COUNTRIES, TEMPLATES, prompts
from benchmark.methods.registry import choose
from benchmark.methods.types import Context
from benchmark.models import load_predictor, save_predictor
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.networks.towers import hub_tower
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import plan
from benchmark.results import finished_runs
from benchmark.runner import bench
from collector.errors import DataError, UsageError
from collector.manifest.manifest import read_manifest
from tests.benchmark.conftest import World

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    open_clip = pytest.importorskip("open_clip")

TOWER = "tiny-clip/drawn"
SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def _tower(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tiny CLIP that open_clip knows by its name."""
    from open_clip import factory, pretrained

    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-CLIP", SMALL)
    monkeypatch.setitem(
        pretrained._PRETRAINED, "tiny-CLIP", {"drawn": pretrained._pcfg(hf_hub="nobody/tiny/", quick_gelu=True)}
    )
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))
    hub_tower.cache_clear()


@pytest.fixture
def _weights(tmp_path: Path) -> None:
    backbone = find_backbone(TOWER)
    torch.manual_seed(0)
    torch.save(backbone.build(0).state_dict(), tmp_path / "file.pth")
    weights.add(backbone, tmp_path / "file.pth")


def tower(seed: int = 0) -> Any:
    return starting_tower(find_backbone(TOWER), 32, None, None, Context(seed=seed))


def test_a_model_of_open_clip_is_had_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = find_backbone(TOWER)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    backbone.build(0)
    assert logging.getLogger().handlers == []  # its `logging.warning` gives the root one, which would print ours
    assert (backbone.text, backbone.width, backbone.fixed) == ("tiny-CLIP", 16, True)
    assert backbone.preprocessing.crop == 32
    assert backbone.pretrained
    assert backbone.pretrained.urls == ("https://huggingface.co/nobody/tiny/resolve/main/open_clip_model.safetensors",)
    with pytest.raises(UsageError, match="no network 'tiny-clip/none'"):
        find_backbone("tiny-clip/none")
    with pytest.raises(UsageError, match="crops of 32 pixels only"):
        starting_tower(backbone, 64, None, None, Context())


def test_vectors_of_both_halves_are_open_clip_s(world: World) -> None:
    """Against open_clip's own way, photo by photo and text by text."""
    of = tower()
    torch.manual_seed(0)
    model: Any = open_clip.create_model("tiny-CLIP", pretrained=None, force_quick_gelu=True).eval()
    transform = open_clip.image_transform(32, is_train=False, mean=None, std=None)
    photos = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    pictures = photos.store.pictures(photos, 10_000, "bilinear", enlarge=False)
    from PIL import Image

    with torch.inference_mode():
        expected = [
            model.encode_image(transform(Image.fromarray(one.transpose(1, 2, 0)))[None])[0].numpy() for one in pictures
        ]
        texts = ["Zulu, Türkiye", "a photo of nothing", "Zulu, Türkiye"]
        said = [
            model.encode_text(open_clip.get_tokenizer("tiny-CLIP")([one]), normalize=True)[0].numpy() for one in texts
        ]
    assert np.allclose(of.embed(photos), np.stack(expected), atol=1e-4)
    found = text_vectors(of, texts, None)
    assert np.allclose(found, np.stack(said), atol=1e-5)
    assert np.array_equal(found[0], found[2])
    assert scale_of(of) == pytest.approx(float(model.logit_scale.detach().exp()))
    assert np.linalg.norm(mean_direction(found)) == pytest.approx(1, abs=1e-5)


def test_texts_are_kept_by_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = replace(tower(), weights_digest="a" * 64)
    once = text_vectors(of, ["one", "two"], tmp_path)
    monkeypatch.setattr("benchmark.features.text_vectors.encoded", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(text_vectors(of, ["two", "one"], tmp_path)[::-1], once)


NAMED = (
    LabelNames("İzmir", {"en": "Izmir", "tr": "İzmir"}, None, "TR"),
    LabelNames("Den Haag", {"en": "The Hague", "nl": "Den Haag"}, None, "NL"),
    LabelNames("Bursa", {}, None, "TR"),
)


def labels(world: World, names: tuple[LabelNames, ...] = NAMED) -> Any:
    return replace(label_set(world.manifest), names=names)


def test_prompts_by_hand(world: World) -> None:
    said = prompts(labels(world), NAMES, "en,local")
    assert said.labels == (
        ("Izmir, Turkey", "İzmir, Turkey"),
        ("The Hague, Netherlands", "Den Haag, Netherlands"),
        ("Bursa, Turkey",),
    )
    assert (said.countries, said.country_of) == (("Turkey", "Netherlands"), (0, 1, 0))
    assert said.of_countries[1][0] == "a photo I took in the Netherlands."
    assert len(said.of_countries[0]) == len(OF_COUNTRIES)
    assert len(prompts(labels(world), TEMPLATES, "en").labels[0]) == len(TEMPLATES.splitlines())


def test_countries_of_the_tree_and_districts(world: World) -> None:
    city = LabelNames("Kadıköy", {"en": "Kadikoy"}, NAMED[0], "X1", {"": "Elsewhere", "en": "Elsewhere Land"})
    said = prompts(labels(world, (city, city, NAMED[1])), "{name} in {country}", "en,local")
    assert said.labels[0] == ("Kadikoy, Izmir in Elsewhere Land", "Kadıköy, İzmir in Elsewhere")
    nowhere = LabelNames("Oz", {})
    said = prompts(labels(world, (nowhere, city, city)), NAMES + "\nskyline of {name}, {country}.", "en")
    assert said.labels[0] == ("Oz", "skyline of Oz.")
    assert said.country_of == ()


def test_texts_of_one_s_own(world: World) -> None:
    ids = label_set(world.manifest).ids
    text = json.dumps({name: [f"{name} by night", "{not a template}"] for name in ids})
    said = prompts(labels(world), text, "en")
    assert said.labels[0] == (f"{ids[0]} by night", "{not a template}")
    assert prompts(labels(world), said.to_json(), "en") == said


@pytest.mark.parametrize(
    ("text", "languages", "said"),
    [
        ("a photo", "en", "a template has"),
        ("{name} {population}", "en", "a template has"),
        ("{name.__class__}", "en", "a template has"),
        ("{name:>99999999}", "en", "a template has"),
        ("a {name", "en", "is no template"),
        ("", "en", "0 templates"),
        ("{name}", " , ", "say at least one"),
        ("{name}", "nl", "has no name in 'nl'"),
        ('{"zulu": ["one"]}', "en", "no texts for alpha and 1 more"),
        ('{"zulu": "one", "alpha": ["a"], "mike": ["m"]}', "en", "as a list"),
        ('{"zulu": ', "en", "neither templates nor JSON"),
    ],
)
def test_prompts_that_are_none_are_said(world: World, text: str, languages: str, said: str) -> None:
    with pytest.raises((UsageError, DataError), match=said):
        prompts(labels(world), text, languages)


ROWS = [f"zeroshot:{TOWER}@{kind}" for kind in ("names", "templates")] + [
    f"{head}:{TOWER}" for head in TEXT_HEADS if not head.startswith("zeroshot")
]


@pytest.mark.usefixtures("_weights")
def test_rows_run_and_store_what_was_said(world: World, tmp_path: Path) -> None:
    """Every text method, one without a text half, and a hierarchy without countries: the others go on."""
    methods = choose([*ROWS, f"zeroshot:{TOWER}@hierarchy", "tip:resnet18"])
    tasks = plan(world.manifest, methods, [0], "smoke", models="first")
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu"))
    states = {outcome.task.method.name: outcome for outcome in outcomes}
    assert {states[name].state for name in ROWS} == {"done"}, [one.reason for one in outcomes]
    assert "has no text half" in states["tip:resnet18"].reason
    assert "has no country" in states[f"zeroshot:{TOWER}@hierarchy"].reason
    runs = {run.inputs.method: run for run in finished_runs(world.workspace.runs, world.manifest.digest)}
    names = runs[f"zeroshot:{TOWER}@names"]
    page = as_html([leaderboard(world.manifest, world.workspace.runs)])
    assert "<dt>Prompts</dt><dd><code>{name}, {country}</code>" in page
    beside = json.loads((world.workspace.runs / names.inputs.identity / "prompts.json").read_text())
    assert set(beside["labels"]) == set(names.classes)
    assert names.inputs.parameters["prompts"] == NAMES
    test = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    for name in (ROWS[0], f"tip:{TOWER}"):
        file = world.workspace.runs / runs[name].inputs.identity / "model.safetensors"
        loaded: Any = load_predictor(file, "cpu")[0]
        assert save_predictor(tmp_path / "again", loaded, tuple(names.classes), {})
        again: Any = load_predictor(tmp_path / "again", "cpu")[0]
        assert np.allclose(loaded.predict_labels(test), again.predict_labels(test), atol=1e-5)


def test_a_prompt_file_is_read_into_the_run_s_parameters(world: World, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a view of {name}, {country}\n", encoding="utf-8")
    settings = parse_settings([f"prompts=@{file}"])
    assert settings == {"prompts": "a view of {name}, {country}"}
    (own,) = plan(world.manifest, choose([f"tip:{TOWER}"]), [0], "smoke", settings)
    (usual,) = plan(world.manifest, choose([f"tip:{TOWER}"]), [0], "smoke")
    assert own.inputs.identity != usual.inputs.identity
    with pytest.raises(UsageError, match="no such file"):
        parse_settings([f"prompts=@{tmp_path / 'none.txt'}"])
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no text"):
        parse_settings([f"prompts=@{file}"])


@pytest.mark.parametrize("name", ["zeroshot:tiny-clip/drawn", "zeroshot:tiny-clip/drawn@all", "tip:tiny-clip/drawn+x"])
def test_what_is_no_text_method_is_none(name: str) -> None:
    assert transfer_variant(name) is None


def test_the_folder_of_a_manifest_says_countries(world: World) -> None:
    assert label_set(read_manifest(world.folder)).names[0].name


def test_a_tokenizer_of_files_is_open_clip_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tower whose tokenizer lies beside its weights, as SigLIP2's: made here, of words."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    from open_clip import factory

    text = {**SMALL["text_cfg"], "hf_tokenizer_name": "nobody/words", "context_length": 8}  # type: ignore[dict-item]
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-CLIP", {**SMALL, "text_cfg": text})
    hub_tower.cache_clear()
    backbone = find_backbone(TOWER)
    assert backbone.pretrained
    assert len(backbone.pretrained.companions) == 2
    with pytest.raises(DataError, match=r"tokenizer\.json: is not here"):
        tokenizer(backbone)
    folder = tmp_path / "weights" / f"{TOWER}.files"
    vocabulary = {"<pad>": 0, "?": 1, "a": 2, "view": 3, "of": 4, "zulu": 5}
    special = {"unk_token": "?", "pad_token": "<pad>"}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, special["unk_token"]))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    assert tokenizer(backbone)(["a view of zulu"]).tolist() == [[2, 3, 4, 5, 0, 0, 0, 0]]
    before = tokenizer_facts(backbone)
    (tmp_path / "weights" / "pins.json").unlink()
    (folder / "tokenizer_config.json").write_text("{}")
    assert tokenizer_facts(backbone) != before
