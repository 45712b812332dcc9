"""An audit in words: the certificate for people at a terminal of 100 columns, and the same for programs."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from collector.records import SPLITS
from collector.splitting.audit import LEAKS, SAME_PHOTO, Audit, Leak
from collector.splitting.leakage import Alike, Comparison, Near, PhotoPair, Shared
from collector.text_table import are, counted, printable, table

_WIDTH = 100
_MOST_ROWS = 100  # of one table; JSON has all
_NAMED = 5  # photos on two sides
_MOST_SPREAD = 10  # cities whose authors are shown


def as_json(audit: Audit, *, claims_only: bool = False) -> dict[str, Any]:
    """Return all of an audit as plain values, with its verdict and the exit code that goes with it."""
    return {"verdict": audit.verdict, "exit_code": audit.exit_code(claims_only=claims_only), **asdict(audit)}


def certificate(audit: Audit, *, full: bool = True) -> str:
    """Return the audit as text: the verdict first, then what leaks, then, where it is `full`, what was measured.

    File names, ids and labels are hostile text: print it through `text_table.printable`, as `options.show` does.
    """
    parts = [
        "\n".join([*_wrapped(_verdict(audit)), *_about(audit)]),
        *(["\n".join(findings)] if (findings := list(_findings(audit))) else []),
        *([_answerable(audit)] if audit.answerable else []),
    ]
    if full:
        parts += [
            *([_measures(audit)] if audit.comparisons else []),
            *(_counts(name, counts) for name, counts in audit.counts.items()),
            *([_spread(audit)] if audit.concentration else []),
            _missing(audit),
        ]
    return "\n\n".join(parts)


def _verdict(audit: Audit) -> str:
    if audit.verdict == "breach":
        return f"BREACH: {audit.name} breaks its own rules"
    if audit.verdict == "leak":
        kinds = ", ".join(dict.fromkeys(leak.kind for leak in audit.leaks))
        kept = "keeps the rules that it states" if audit.claims.kinds else "states no rules"
        return f"LEAK: {audit.name} {kept}, but its sides share what gives answers away: {kinds}"
    if audit.verdict == "not-judged":
        why = (
            "no two sides know the authors, places, hashes, bytes or groups of their photos; --root DIR reads the pictures"
            if audit.comparisons
            else "it has photos on fewer than two sides"
        )
        return f"NOT JUDGED: whether anything leaks in {audit.name} cannot be told; {why}"
    forgotten = [of for of in audit.untrained if of.city not in audit.held_out]
    untrained = (
        f"; but {len(forgotten)} of its cities {are(len(forgotten))} tested and never trained" if forgotten else ""
    )
    if audit.held_out:
        levels = Counter("districts" if "/" in of else "cities" for of in audit.held_out)
        held_out = " and ".join(f"{count} of its {level}" for level, count in levels.items())
        untrained += f"; {held_out} are held out of training, as its rules say"
    if audit.verdict == "partly-judged":
        lacking = ", ".join(audit.unjudged)
        known = f"PARTLY JUDGED: nothing leaks in what can be judged of {audit.name}; cannot be judged: {lacking}"
        return known + untrained
    but = " as far as they can be judged" if audit.unknown else ""
    return f"CLEAN: nothing that was looked for leaks between the sides of {audit.name}{but}{untrained}"


def _about(audit: Audit) -> Iterator[str]:
    if audit.digest:
        yield f"digest {audit.digest}"
    if audit.columns:
        taken = (us if us == them else f"{us} from {_short(them)}" for us, them in audit.columns.items())
        yield from _wrapped(f"columns: {', '.join(taken)}")
    yield f"photos: {', '.join(f'{count} {side}' for side, count in audit.photos.items())}"
    claims = [_claim(audit, kind) for kind in audit.claims.kinds]
    yield from _wrapped(f"its rules exclude: {', '.join(claims) or 'nothing'}")
    yield from _wrapped(
        f"looked for: shared authors, sequences, groups, panoramas and bytes; {_distance(audit)}; "
        f"pHashes within {audit.phash_radius} bits with like dHashes"
    )
    if audit.unknown:
        lacking = ", ".join(f"{name} of {count}" for name, count in audit.unknown.items())
        yield from _wrapped(f"photos that cannot be judged, for not known: {lacking}")
    if audit.named:
        yield from _wrapped(
            f"photos that name their answer: {_named(audit)}; a board shows accuracy with and without them"
        )
    if audit.scenes:
        spans = (f"{of['scenes']} {sides} ({counted(of['photos'], 'photos')})" for sides, of in audit.scenes.items())
        yield from _wrapped(f"scenes with photos on two sides, whoever took them: {', '.join(spans)}")
    for remark in audit.remarks:
        yield from _wrapped(f"note: {remark}")


def _named(audit: Audit) -> str:
    """Return by side how many photos name their answer, such as `test 12 of 375 (9 in the picture, 3 beside it alone)`."""
    parts = []
    for side, tally in audit.named.items():
        named = {where: count for where, count in tally.items() if where not in ("not at all", "nobody looked")}
        where = ", ".join(f"{count} {where}" for where, count in named.items())
        unseen = f", {tally['nobody looked']} not looked at" if "nobody looked" in tally else ""
        parts.append(f"{side} {sum(named.values())} of {sum(tally.values())}{f' ({where})' if where else ''}{unseen}")
    return "; ".join(parts)


def _distance(audit: Audit) -> str:
    if audit.answerable:
        return "queries whose place is not in the gallery (protocol place: train is the gallery)"
    return f"photos closer than {audit.min_distance_m:g} m"


def _answerable(audit: Audit) -> str:
    """Return the share of queries whose place is in the gallery, by distance, and what chance would find."""
    rows = [
        (
            of.side,
            of.queries,
            of.gallery,
            f"{metres} m",
            f"{share:.1%}",
            f"{of.chance_city[metres]:.3%}",
            f"{of.chance[metres]:.3%}",
        )
        for of in audit.answerable
        for metres, share in of.shares.items()
    ]
    head = ("queries", "photos", "gallery", "within", "answerable", "chance, same city", "chance, all")
    about = "what can be answered (recall of a perfect method; chance: recall@1 of a gallery photo drawn at random)"
    return f"{about}\n{table(head, rows)}"


def _claim(audit: Audit, kind: str) -> str:
    if kind == "distance":
        return f"distance under {audit.claims.min_distance_m:g} m"
    return f"near-duplicate within {audit.claims.phash_radius} bits" if kind == "near-duplicate" else kind


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(text: str, most: int = 64) -> str:
    """Return hostile text fit for a line: without line breaks, and not longer than `most`."""
    plain = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _findings(audit: Audit) -> Iterator[str]:
    comparisons = {(comparison.reference, comparison.judged): comparison for comparison in audit.comparisons}
    for leak in sorted(audit.leaks, key=lambda leak: not leak.claimed):
        state = "BREACH" if leak.claimed else "leak, not claimed"
        head = f"{state}: {leak.reference}-{leak.judged}, {leak.kind}: {leak.photos} of {leak.known} {leak.judged}"
        yield from _wrapped(f"{head} {LEAKS.get(leak.kind, 'photos that are on the other side too, by their very id')}")
        for example in _examples(leak, comparisons[leak.reference, leak.judged], audit):
            yield from _wrapped(example, "    ")
    if audit.quotas:
        yield f"BREACH: quotas: not kept for {len(audit.quotas)} cities and sides"
        yield from (f"    {q.city}, {q.side}: {counted(q.photos, 'photos')}, not {q.quota}" for q in audit.quotas[:5])
    for side in (side for side in audit.answerable if side.unanswered):
        yield (
            f"BREACH: place: {side.unanswered} of {counted(side.queries, f'{side.side} queries')} "
            f"{'has' if side.unanswered == 1 else 'have'} no gallery photo within "
            f"{audit.claims.within_m:g} m"
        )
    if audit.outside:
        yield f"BREACH: radius: {counted(len(audit.outside), 'photos')} outside of their city's"
        yield from (
            f"    row {of.row} ({_short(of.photo_id)}): {of.km:.1f} km from the centre of {_short(of.city)}, whose radius is "
            f"{of.radius_km:g} km"
            for of in sorted(audit.outside, key=lambda of: of.radius_km - of.km)[:_MOST_SPREAD]
        )
    for city, photos in audit.held_out.items():
        if photos:
            yield f"BREACH: held out: {counted(photos, 'photos')} of {_short(city)} {are(photos)} in training or validation"
    for of in audit.untrained[:_MOST_SPREAD]:
        why = "held out" if of.city in audit.held_out else "tested"
        yield (
            f"FINDING: {_short(of.city)} is {why} ({counted(of.test_photos, 'photos')}) and never trained: no "
            "method can name it"
        )
    if (more := len(audit.untrained) - _MOST_SPREAD) > 0:
        yield f"FINDING: {counted(more, 'more cities')} {are(more)} tested but never trained"


def _examples(leak: Leak, comparison: Comparison, audit: Audit) -> list[str]:
    def named(photo_id: str) -> str:
        title = audit.files.get(photo_id) or audit.titles.get(photo_id)
        return f"{_short(photo_id)} ({_short(title)})" if title else _short(photo_id)

    shown = partial(_author, audit) if leak.kind == "author" else _short
    shared = {
        "author": comparison.authors,
        "sequence": comparison.sequences,
        "group": comparison.groups,
        "panorama": comparison.panoramas,
        "bytes": comparison.bytes,
    }
    if leak.kind == SAME_PHOTO:
        ids = audit.twice[f"{leak.reference}-{leak.judged}"]
        return [", ".join(map(named, ids[:_NAMED])) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")]
    if leak.kind in shared:
        return [
            f"{shown(value.value)}: {value.judged_photos} in {comparison.judged} such as {named(value.judged)}, "
            f"{value.reference_photos} in {comparison.reference} such as {named(value.reference)}"
            for value in shared[leak.kind].worst
        ]
    pairs = comparison.near.worst if leak.kind == "distance" else comparison.alike.worst
    return [
        f"{_distance_text(pair)}: {named(pair.judged)} ({comparison.judged}), "
        f"{named(pair.reference)} ({comparison.reference})"
        for pair in pairs
        if pair.metres is None or pair.metres < audit.min_distance_m
    ]


def _author(audit: Audit, author: str) -> str:
    """Return an author's name, where it is known, and the id."""
    name = audit.authors.get(author)
    return _short(author) if name is None else f"{_short(name, 40)}, {_short(author)}"


def _distance_text(pair: PhotoPair) -> str:
    return f"{pair.metres:.1f} m" if pair.metres is not None else f"{pair.phash_bits} and {pair.dhash_bits} bits"


def _measures(audit: Audit) -> str:
    """Return what was measured: a line a measure, a column a pair of sides."""
    rows: dict[str, list[str]] = {}
    for comparison in audit.comparisons:
        for name, cell in _cells(comparison, audit):
            rows.setdefault(name, []).append(cell)
    head = ["compared: second split against first", *(f"{c.reference}-{c.judged}" for c in audit.comparisons)]
    return table(head, [[name, *cells] for name, cells in rows.items()])


def _cells(comparison: Comparison, audit: Audit) -> Iterator[tuple[str, str]]:
    near, alike = comparison.near, comparison.alike
    yield "photos", str(comparison.judged_photos)
    yield "by an author of the first side", _share(comparison.authors)
    yield "  authors on both sides", _number(comparison.authors.values, comparison.authors)
    yield "  author unknown (both sides)", str(comparison.authors.unknown)
    yield "  no individual author (street view), both", str(comparison.not_attributable)
    yield "of a sequence of the first side", _share(comparison.sequences)
    yield "of a group of the first side", _share(comparison.groups)
    yield "views of a panorama of the first side", str(comparison.panoramas.photos)
    yield "with the bytes of a photo of the first", _share(comparison.bytes)
    yield "nearest place, m", "cannot be judged" if near.nearest_m is None else f"{near.nearest_m:.1f}"
    yield f"  closer than {audit.min_distance_m:g} m", _share(near)
    for share, metres in near.quantiles_m.items():
        if share in ("0.05", "0.5"):
            yield f"  nearest place of {float(share):.0%} within, m", f"{metres:.0f}"
    yield "  place unknown (both sides)", str(near.unknown)
    yield "nearest pHash, bits", "cannot be judged" if alike.nearest_bits is None else str(alike.nearest_bits)
    yield "  showing a picture of the first side", _share(alike)
    yield "  such pairs", _number(alike.pairs, alike)
    yield "  hashes unknown (both sides)", str(alike.unknown)


def _share(of: Shared | Near | Alike) -> str:
    return f"{of.photos} ({of.photos / of.known:.1%})" if of.known else "cannot be judged"


def _number(value: int, of: Shared | Near | Alike) -> str:
    return str(value) if of.known else "cannot be judged"


def _counts(name: str, counts: Mapping[str, Mapping[str, int]]) -> str:
    rows: Sequence[tuple[Any, ...]] = [(_short(value), *sides.values()) for value, sides in counts.items()]
    more = f"\n… and {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""
    return table((name, *SPLITS), rows[:_MOST_ROWS]) + more


def _spread(audit: Audit) -> str:
    whole = [row for row in audit.concentration if row.city is None]
    cities = sorted((row for row in audit.concentration if row.city is not None), key=lambda row: -row.top_share)
    shown = cities[:_MOST_SPREAD]
    header = ("city", "side", "photos", "authors", "effective", "top share", "top author")
    rows = [
        (
            "(all)" if row.city is None else _short(row.city, 24),
            row.side,
            row.photos,
            row.authors,
            f"{row.effective_authors:.1f}",
            f"{row.top_share:.1%}",
            _short(audit.authors.get(row.top_author, row.top_author), 30),
        )
        for row in [*whole, *shown]
    ]
    about = f"authors of all, and of the {len(shown)} of {len(cities)} cities' sides where one took the largest share"
    return "\n".join([*_wrapped(f"{about} (effective: 1 / Σ share²)"), table(header, rows)])


def _missing(audit: Audit) -> str:
    lines = [table(("values missing of", *SPLITS), [(name, *sides.values()) for name, sides in audit.missing.items()])]
    if not audit.missing:
        lines = ["No value is missing."] if not audit.absent else ["No value is missing in the columns that are there."]
    if audit.absent:
        lines += _wrapped(f"columns that are not there: {', '.join(audit.absent)}")
    return "\n".join(lines)
