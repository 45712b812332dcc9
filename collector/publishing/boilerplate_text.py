"""What is true of every data set of t15, and of this one by its facts: said once, for card, datasheet and Croissant."""

from collections.abc import Mapping

from collector.manifest.manifest import Manifest
from collector.publishing.facts import Facts
from collector.publishing.markdown import plain

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
    "Photographs of public places may show people, number plates and homes. t15 neither looks for faces nor blurs them.",
    "Rows name the authors as they name themselves, because most licences require credit.",
    "Coordinates and times of photographs can tell where their authors were.",
)

MAINTENANCE = (
    "A published version never changes; its digest identifies it. Withdrawn photos and corrections make a new version, "
    "numbered by what changed: major when a photo moved or is gone, minor when photos were only added, patch for metadata."
)

LABELLING = "Labels follow from coordinates or from the source; nobody labelled by eye."


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
    return (
        f"Photos that {' and '.join(row.name for row in facts.providers)} list with coordinates, found by place and not by "
        "content; each is labelled with the city whose radius around its centre holds it."
    )


def cleaning(manifest: Manifest) -> list[str]:
    """Return how the photos were cleaned and assigned, as far as the manifest's rules state it."""
    said = ["Each file was decoded whole; broken, moving and too small ones were left out."]
    rules = manifest.header.rules
    left_out = rules.get("left_out") if isinstance(rules, Mapping) else None
    if isinstance(left_out, Mapping) and "near-duplicates" in left_out:
        said.append(
            "Exact copies and near-duplicates (by perceptual hashes) were left out before the split; one picture under "
            "several cities was set aside."
        )
    return [*said, "Photos were assigned to training, validation and test by the rules in manifest.json."]


def biases(facts: Facts) -> list[str]:
    """Return where the selection leans, by the facts."""
    said = ["What was on the publisher's disk: the selection is the publisher's."]
    if not own_disk(facts):
        said = [
            "Photos that people chose to publish: sights, good weather and daylight are over-represented; homes, "
            "outskirts and places without visitors are rare."
        ]
    counts = facts.authors.counts
    if len(counts) > 1:
        said.append(
            f"The most active tenth of the authors ({facts.authors.top_tenth} of {len(counts)}) took "
            f"{100 * facts.authors.top_tenth_share:.0f} % of the photos whose author is known."
        )
    if facts.earliest and facts.latest:
        span = _years(facts.earliest.year, facts.latest.year)
        said.append(f"Taken {span}, as far as times are known: cities change, and cameras too.")
    largest, smallest = (f(row.photos for row in facts.cities) if facts.cities else 0 for f in (max, min))
    if largest != smallest:
        said.append(f"Cities differ in size: {smallest} to {largest} photos.")
    return said


def limitations(manifest: Manifest, facts: Facts) -> list[str]:
    """Return what the data set cannot do, by the facts."""
    said = [f"Note: {plain(manifest.header.note)}"] if manifest.header.note else []
    said.append("A label says where a camera stood, not what is seen: a photo of a plate of food is labelled too.")
    said.append("Places are as their authors or cameras told them; some are wrong.")
    total = facts.total.photos
    if facts.located < total:
        said.append(
            f"{total - facts.located} of {total} photos have no coordinates; their city comes from their source."
        )
    if facts.authors.on_both:
        said.append(
            f"{facts.authors.test_of_both} of {facts.total.test} test photos are by authors who also have training "
            "photos: a method may know the author's habits rather than the city."
        )
    if facts.authors.unknown:
        said.append(f"The author of {facts.authors.unknown} photos is not known.")
    if facts.split_groups:
        said.append(f"{facts.split_groups} groups of related photos lie on more than one side of the split.")
    if facts.street_view:
        said.append(
            f"{facts.street_view} rows are of Google Street View: ids and parameters only, which everybody fetches with "
            "a key of their own. Panoramas move and disappear."
        )
    return said


def _years(first: int, last: int) -> str:
    return f"in {first}" if first == last else f"from {first} to {last}"
