"""README.md: the dataset card, with the header that dataset hubs read."""

import json
from collections.abc import Collection, Mapping

from collector.manifest.manifest import Manifest
from collector.publishing import boilerplate_text
from collector.publishing.croissant import cite
from collector.publishing.facts import Facts, judged
from collector.publishing.markdown import Markdown, fenced, fenced_json, grid, plain, render
from collector.publishing.release import Release
from collector.publishing.with_photos import REASONS, Included

# The licences that the hub has an id for (https://huggingface.co/docs/hub/repositories-licenses).
_HUB_LICENCES = {
    *("CC0-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-2.0"),
    *("CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0"),
    *("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "etalab-2.0"),
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_SIDES = ("photos", "training", "validation", "test")


def card(
    manifest: Manifest, facts: Facts, release: Release, pictures: Collection[str], included: Included | None
) -> str:
    """Return the dataset card.

    Args:
        manifest: the data set.
        facts: its counts.
        release: what the publisher says.
        pictures: names of the files in `pictures/`.
        included: the photos that are published too, None when none are.
    """
    body = render(
        "card.md.jinja",
        header=manifest.header,
        parent=manifest.header.parent if isinstance(manifest.header.parent, Mapping) else None,
        title=plain(manifest.header.title) or manifest.header.name,
        digest=manifest.digest,
        manifest_tool=manifest.tool or "t15",
        facts=facts,
        release=release,
        included=included,
        noncommercial=_noncommercial(manifest, included) if included else 0,
        reasons=_reasons(included),
        megabytes=f"{facts.megabytes / 1000:.1f} GB" if facts.megabytes >= 1000 else f"{facts.megabytes:.1f} MB",
        cities=_cities(facts),
        licences=_licences(facts),
        providers=_providers(facts),
        pictures=pictures,
        rules=fenced_json({"quotas": manifest.header.quotas, "rules": manifest.header.rules}),
        limitations=boilerplate_text.limitations(manifest, facts),
        biases=boilerplate_text.biases(facts),
        uses=boilerplate_text.USES,
        misuses=boilerplate_text.MISUSES,
        personal=boilerplate_text.PERSONAL,
        maintenance=boilerplate_text.MAINTENANCE,
        citation=fenced(cite(manifest, release), "bibtex"),
    )
    return _yaml(manifest, facts) + body


def _yaml(manifest: Manifest, facts: Facts) -> str:
    """Return the header. Strings are written as JSON, which is YAML too, so that no name can end them."""
    ids = [row.licence.id for row in facts.licences]
    if ids and _HUB_LICENCES.issuperset(ids):
        licence = "license:\n" + "".join(f"- {id_.lower()}\n" for id_ in ids)
    else:
        licence = "license: other\nlicense_name: per-photo\n"
    size = next((name for limit, name in _SIZES if facts.total.photos < limit), "n>1M")
    title = json.dumps(plain(manifest.header.title) or manifest.header.name, ensure_ascii=False)
    return (
        f"---\npretty_name: {title}\n{licence}"
        f"task_categories:\n- image-classification\nsize_categories:\n- {size}\n"
        f"tags:\n- geolocation\n- geospatial\n- t15\n"
        # Without this the hub shows the one file as training data.
        "configs:\n- config_name: default\n  data_files:\n  - split: photos\n    path: photos.parquet\n---\n\n"
    )


def _cities(facts: Facts) -> Markdown:
    rows = [(row.name, row.photos, row.train, row.val, row.test) for row in (*facts.cities,)]
    total = ("all", facts.total.photos, facts.total.train, facts.total.val, facts.total.test)
    return grid(("city", *_SIDES), [*rows, total])


def _licences(facts: Facts) -> Markdown:
    rows = []
    for of, counts in ((row.licence, row.counts) for row in facts.licences):
        allowed = "yes" if of.redistributable else "no"
        limits = [*(["non-commercial"] if of.noncommercial else []), *(["unaltered"] if of.no_derivatives else [])]
        told = ", ".join([allowed, *limits])
        rows.append((_linked(of.name, of.url), counts.photos, counts.train, counts.val, counts.test, told))
    return grid(("licence", *_SIDES, "may be passed on"), rows)


def _noncommercial(manifest: Manifest, included: Included) -> int:
    """Return how many of the included photos are under licences for non-commercial purposes only."""
    rows = zip(manifest.table["photo_id"].to_pylist(), manifest.table["license"].to_pylist(), strict=True)
    return sum(photo_id in included.files and judged(license_id).noncommercial for photo_id, license_id in rows)


def _linked(name: str, url: str) -> str:
    # The addresses are of our own table (licences.toml).
    return Markdown(f"[{name}]({url})") if url else name


def _providers(facts: Facts) -> Markdown:
    return grid(("source", *_SIDES), [(row.name, row.photos, row.train, row.val, row.test) for row in facts.providers])


def _reasons(included: Included | None) -> Markdown | None:
    reasons = included.reasons() if included else {}
    if not reasons:
        return None
    return grid(("left out because", "photos"), [(REASONS[reason], count) for reason, count in reasons.items()])
