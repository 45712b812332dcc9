"""DATASHEET.md: the seven sections of Gebru et al. 2021, answered as far as the manifest knows."""

from collector.publishing import wording
from collector.publishing.facts import Facts
from collector.publishing.manifest import Manifest
from collector.publishing.markdown import plain, render
from collector.publishing.release import Release
from collector.publishing.with_photos import Included


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
        collection=wording.collection(facts),
        cleaning=[*wording.cleaning(manifest), wording.LABELLING],
        limitations=wording.limitations(manifest, facts),
        biases=wording.biases(facts),
        uses=wording.USES,
        misuses=wording.MISUSES,
        personal=wording.PERSONAL,
        maintenance=wording.MAINTENANCE,
    )
