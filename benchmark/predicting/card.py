"""The card of an exported model, as Markdown: what it is, what it learnt from, what it may be used for, what it cannot do."""

from collections.abc import Sequence

from benchmark.predicting.model_card import About
from collector.web.markdown import code, escape, grid


def card_of(about: About, digest: str, file: str) -> str:
    """Return the card of the model in a file; names and notes in it are text, whatever they hold."""
    of, certainty = about.manifest, about.certainty
    note = [f"> **Note: {escape(of['note'])}**"] if of.get("note") else []
    refusing = (
        f"Answers below a confidence of {certainty.threshold:.3f} are “none of these”."
        if certainty.threshold > 0
        else "Too few validation photos to say when it should refuse: it never says “none of these”."
    )
    reach: Sequence[Sequence[object]] = [
        (f"{band.confidence:.3f}", band.photos, f"{band.km50:,.0f} km", f"{band.km90:,.0f} km")
        for band in certainty.bands
        if band.km50 is not None and band.km90 is not None
    ]
    heads = ("from confidence", "validation photos", "half within", "nine tenths within")
    weights = f"{about.pretraining}, {about.weights_licence}" if about.weights_licence else "none"
    facts = [
        ("method", escape(about.title)),
        ("run", code(about.run)),
        ("file", code(file)),
        ("digest", code(digest)),
        ("learnt from", f"{escape(of['name'])} {escape(of['version'])}, digest {code(of['digest'])}"),
        ("pre-trained weights", escape(weights)),
        ("labels", str(len(about.cities))),
    ]
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts)
    cities = ", ".join(str(escape(city.name)) for city in about.cities)
    parts = [
        f"# {escape(about.title)}: {escape(of['name'])} {escape(of['version'])}",
        *note,
        f"| | |\n|---|---|\n{rows}",
        f"## What it answers\n\nIn which of these a photograph was taken: {cities}.",
        f"## How sure it is\n\nCalibrated on {certainty.photos} validation photos "
        f"(temperature {certainty.temperature:.2f}). {refusing}",
        *([str(grid(heads, reach))] if reach else []),
        "## Licences of the photos that it learnt from\n\n"
        + str(grid(("licence", "photos"), about.photo_licences.items())),
        "## Limits\n\nIt answers with one of its labels, never with an address, and is sure at times of places that are none "
        "of them. How good it is says the leaderboard of its data set, on photos that it did not learn from. Do not use it "
        "to find people.",
        f"## Cite\n\n`t15 cite {file}` writes the BibTeX.",
    ]
    return "\n\n".join(parts) + "\n"
