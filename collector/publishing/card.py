"""README.md, the dataset card with the header that hubs read, and DATASHEET.md (Gebru et al. 2021): what they say and why."""

import json
from collections.abc import Collection, Mapping

from collector.manifest import schema
from collector.manifest.manifest import Manifest
from collector.publishing.facts import Facts, Release, judged, summed
from collector.publishing.stats import Shown
from collector.publishing.with_photos import REASONS, Included
from collector.text_table import are, counted
from collector.web.markdown import (
    Markdown,
    code,
    environment,
    fenced,
    fenced_json,
    finalize,
    grid,
    number,
    percent,
    plain,
)

USES = (
    "Research on recognising the city in which a photograph was taken: training and comparing methods on one fixed split.",
    "Studying leakage, near-duplicates and the concentration of authors in collections of geotagged photographs.",
)

MISUSES = (
    "Finding, following or identifying people, or finding out where someone lives: the label is a city, and no method "
    "trained on it is fit to tell more.",
    "Decisions about people, such as checking where somebody has been.",
    "Claims about cities that are not among the classes: every answer is one of them, also for a photo from elsewhere.",
)

PERSONAL = (
    "Photographs of public places may show people, number plates and homes. t15 blurs nothing and recognises nobody.",
    "Rows name the authors as they name themselves, because most licences require credit.",
    "Coordinates and times of photographs can tell where their authors were.",
)

MAINTENANCE = (
    "A published version never changes; its digest identifies it. Withdrawn photos and corrections make a new version, "
    "numbered by what changed: major when a photo moved or is gone, minor when photos were only added, patch for metadata."
)

LABELLING = "Labels follow from coordinates or from the source; nobody labelled by eye."

# The licences that the hub has an id for (https://huggingface.co/docs/hub/repositories-licenses).
_HUB_LICENCES = {
    *("CC0-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-2.0"),
    *("CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0"),
    *("CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "etalab-2.0"),
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_ROWS = 1_000  # of a table on the card; what is beyond is one row
_SIDES = ("photos", "training", "validation", "test")


def card(
    manifest: Manifest,
    facts: Facts,
    release: Release,
    pictures: Collection[str],
    included: Included | None,
    shown: Shown,
) -> str:
    """Return the dataset card.

    Args:
        manifest: the data set.
        facts: its counts.
        release: what the publisher says.
        pictures: names of the files in `pictures/`.
        included: the photos that are published too, None when none are.
        shown: what it shows of its cities.
    """
    body = render(
        "card.md.jinja",
        header=manifest.header,
        parent=manifest.header.parent if isinstance(manifest.header.parent, Mapping) else None,
        title=plain(manifest.header.title) or manifest.header.name,
        digest=manifest.digest,
        manifest_tool=manifest.tool or "t15",
        facts=facts,
        own_disk=own_disk(facts),
        release=release,
        included=included,
        noncommercial=_noncommercial(manifest, included) if included else 0,
        reasons=_reasons(included),
        megabytes=f"{facts.megabytes / 1000:.1f} GB" if facts.megabytes >= 1000 else f"{facts.megabytes:.1f} MB",
        cities=_cities(facts),
        licences=_licences(facts),
        providers=_providers(facts),
        shown=_shown(shown),
        populated=shown.populated,
        seen=any(of.looked_at for of in shown.cities),
        looked=[line for line in shown.lines if ": skipped" not in line],  # what to install is no reader's business
        pictures=pictures,
        rules=fenced_json({"quotas": manifest.header.quotas, "rules": manifest.header.rules}),
        limitations=limitations(manifest, facts),
        biases=biases(facts),
        uses=USES,
        misuses=MISUSES,
        personal=PERSONAL,
        maintenance=MAINTENANCE,
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
    rows = [(row.name, row.photos, row.train, row.val, row.test) for row in summed(facts.cities, _ROWS, "cities")]
    total = ("all", facts.total.photos, facts.total.train, facts.total.val, facts.total.test)
    return grid(("city", *_SIDES), [*rows, total])


def _shown(shown: Shown) -> Markdown:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.0f} %"

    def effective(value: float | None) -> str:
        return "–" if value is None else f"{value:.1f}"

    head = ["city", "cells with a photo", "places", "largest", "authors", "most active", "months", "hours", "night"]
    rows = []
    for of in shown.cities[:_ROWS]:
        row = [of.name, share(of.covered), effective(of.places), share(of.largest_place), effective(of.authors)]
        row += [share(of.largest_author), effective(of.months), effective(of.hours), share(of.night)]
        rows.append(row + ([share(of.indoors), share(of.people)] if shown.lines else []))
    head += ["indoors", "people fill it"] if shown.lines else []
    if more := len(shown.cities) - len(rows):
        rows.append([f"{more} more cities", *[""] * (len(head) - 1)])
    return grid(head, rows)


def _licences(facts: Facts) -> Markdown:
    rows = []
    for of, counts in ((row.licence, row.counts) for row in facts.licences[:_ROWS]):
        allowed = "yes" if of.redistributable else "no"
        limits = [*(["non-commercial"] if of.noncommercial else []), *(["unaltered"] if of.no_derivatives else [])]
        told = ", ".join([allowed, *limits])
        rows.append((_linked(of.name, of.url), counts.photos, counts.train, counts.val, counts.test, told))
    for row in summed([row.counts for row in facts.licences], _ROWS, "licences")[_ROWS:]:
        rows.append((row.name, row.photos, row.train, row.val, row.test, "see each row"))
    return grid(("licence", *_SIDES, "may be passed on"), rows)


def _noncommercial(manifest: Manifest, included: Included) -> int:
    """Return how many of the included photos are under licences for non-commercial purposes only."""
    rows = zip(manifest.table["photo_id"].to_pylist(), manifest.table["license"].to_pylist(), strict=True)
    return sum(photo_id in included.files and judged(license_id).noncommercial for photo_id, license_id in rows)


def _linked(name: str, url: str) -> str:
    # The addresses are of our own table (licences.toml).
    return Markdown(f"[{name}]({url})") if url else name


def _providers(facts: Facts) -> Markdown:
    return grid(
        ("source", *_SIDES),
        [(row.name, row.photos, row.train, row.val, row.test) for row in summed(facts.providers, _ROWS, "sources")],
    )


def _reasons(included: Included | None) -> Markdown | None:
    reasons = included.reasons() if included else {}
    if not reasons:
        return None
    return grid(("left out because", "photos"), [(REASONS[reason], count) for reason, count in reasons.items()])


def datasheet(manifest: Manifest, facts: Facts, release: Release, included: Included | None) -> str:
    """Return the datasheet; the arguments are those of the card."""
    return render(
        "datasheet.md.jinja",
        header=manifest.header,
        title=plain(manifest.header.title) or manifest.header.name,
        digest=manifest.digest,
        facts=facts,
        release=release,
        included=included,
        collection=collection(facts),
        cleaning=[*cleaning(manifest), LABELLING],
        limitations=limitations(manifest, facts),
        biases=biases(facts),
        uses=USES,
        misuses=MISUSES,
        personal=PERSONAL,
        maintenance=MAINTENANCE,
        columns=_columns(manifest),
    )


def _columns(manifest: Manifest) -> Markdown:
    """Return the table of the columns of photos.parquet, those that t15 does not know among them."""
    known = [(code(name), *rest) for name, *rest in schema.column_rows(manifest.format)]
    more = [(code(name), "", "", "not known to t15") for name in manifest.columns[len(known) :]]
    return grid(schema.COLUMN_HEADS, [*known, *more])


def render(template: str, **values: object) -> str:
    """Return a template of this package filled in; every value that is not Markdown is escaped."""
    pages = environment("collector.publishing", autoescape=False, finalize=finalize)  # `finalize` escapes for Markdown
    pages.filters.update(number=number, percent=percent, code=code, counted=counted, are=are)
    return pages.get_template(template).render(**values)


def cite(manifest: Manifest, release: Release) -> str:
    """Return a BibTeX entry of the data set itself, with the digest that identifies it."""
    header = manifest.header
    title = plain(header.title).translate({ord(c): None for c in "{}\\"}) or header.name
    fields = [f"title = {{{title}}}"]
    if release.publisher:
        fields.append(f"author = {{{{{plain(release.publisher).translate({ord(c): None for c in '{}'})}}}}}")
    if release.date:
        fields.append(f"year = {{{release.date[:4]}}}")
    fields.append(f"version = {{{header.version}}}")
    fields.append(f"note = {{Data set {header.name}, digest {manifest.digest}}}")
    return "\n".join(
        [f"@misc{{{header.name}-{header.version},", *(f"  {field}," for field in fields[:-1]), f"  {fields[-1]}", "}"]
    )


def own_disk(facts: Facts) -> bool:
    """Return whether all photos came from folders on the publisher's own disk."""
    return {row.name for row in facts.providers} <= {"folder"}


def collection(facts: Facts) -> str:
    """Return where the photos came from."""
    if own_disk(facts):
        return (
            "Files on the publisher's own disk, labelled by the name of their folder or by the coordinates in their EXIF "
            "data. How they came to be there is for the publisher to say."
        )
    sources = " and ".join(row.name for row in summed(facts.providers, 10, "sources"))
    return (
        f"Photos that {sources} list with coordinates, found by place and not by content; each is labelled with the city "
        "whose radius around its centre holds it."
    )


def cleaning(manifest: Manifest) -> list[str]:
    """Return how the photos were cleaned and assigned, as far as the manifest's rules state it."""
    sentences = ["Each file was decoded whole; broken, moving and too small ones were left out."]
    rules = manifest.header.rules
    left_out = rules.get("left_out") if isinstance(rules, Mapping) else None
    if isinstance(left_out, Mapping) and "near-duplicates" in left_out:
        sentences.append(
            "Exact copies and near-duplicates (by perceptual hashes) were left out before the split; one picture under "
            "several cities was set aside."
        )
    return [*sentences, "Photos were assigned to training, validation and test by the rules in manifest.json."]


def biases(facts: Facts) -> list[str]:
    """Return where the selection leans, by the facts."""
    sentences = ["What was on the publisher's disk: the selection is the publisher's."]
    if not own_disk(facts):
        sentences = [
            "Photos that people chose to publish: sights, good weather and daylight are over-represented; homes, "
            "outskirts and places without visitors are rare."
        ]
    counts = facts.authors.counts
    if len(counts) > 1:
        sentences.append(
            f"The most active tenth of the authors ({facts.authors.top_tenth} of {len(counts)}) took "
            f"{100 * facts.authors.top_tenth_share:.0f} % of the photos whose author is known."
        )
    if facts.earliest and facts.latest:
        span = _years(facts.earliest.year, facts.latest.year)
        sentences.append(f"Taken {span}, as far as times are known: cities change, and cameras too.")
    largest, smallest = (f(row.photos for row in facts.cities) if facts.cities else 0 for f in (max, min))
    if largest != smallest:
        sentences.append(f"Cities differ in size: {smallest} to {largest} photos.")
    return sentences


def limitations(manifest: Manifest, facts: Facts) -> list[str]:
    """Return what the data set cannot do, by the facts."""
    sentences = [f"Note: {plain(manifest.header.note)}"] if manifest.header.note else []
    sentences.append("A label says where a camera stood, not what is seen: a photo of a plate of food is labelled too.")
    sentences.append("Places are as their authors or cameras told them; some are wrong.")
    total = facts.total.photos
    if facts.located < total:
        sentences.append(
            f"{total - facts.located} of {counted(total, 'photos')} without coordinates: their city comes from their source."
        )
    if untrained := [plain(row.name) for row in facts.cities if row.test and not row.train]:
        sentences.append(
            f"{', '.join(untrained)}: tested but without training photos, so that no method can learn to name "
            f"{'it' if len(untrained) == 1 else 'them'}; accuracies of this data set are not those of one that trains them."
        )
    if facts.authors.on_both:
        sentences.append(
            f"{facts.authors.test_of_both} of {counted(facts.total.test, 'test photos')} "
            f"{are(facts.authors.test_of_both)} by authors who also have training "
            "photos: a method may know the author's habits rather than the city."
        )
    if facts.authors.unknown:
        sentences.append(f"The author of {counted(facts.authors.unknown, 'photos')} is not known.")
    if facts.split_groups:
        sentences.append(
            f"{counted(facts.split_groups, 'groups')} of related photos {are(facts.split_groups)} on more than one "
            "side of the split."
        )
    if facts.ids_only:
        sentences.append(
            f"{counted(facts.ids_only, 'rows')} {are(facts.ids_only)} of services that keep their pictures: ids and "
            "parameters only, which everybody "
            "fetches with a key of their own. Panoramas move and disappear."
        )
    return sentences


def _years(first: int, last: int) -> str:
    return f"in {first}" if first == last else f"from {first} to {last}"
