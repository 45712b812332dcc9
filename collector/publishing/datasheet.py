"""DATASHEET.md: the seven sections of Gebru et al. 2021, answered as far as the manifest knows."""

from collector.manifest.manifest import Manifest
from collector.publishing import boilerplate_text
from collector.publishing.facts import Facts
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
        collection=boilerplate_text.collection(facts),
        cleaning=[*boilerplate_text.cleaning(manifest), boilerplate_text.LABELLING],
        limitations=boilerplate_text.limitations(manifest, facts),
        biases=boilerplate_text.biases(facts),
        uses=boilerplate_text.USES,
        misuses=boilerplate_text.MISUSES,
        personal=boilerplate_text.PERSONAL,
        maintenance=boilerplate_text.MAINTENANCE,
    )
