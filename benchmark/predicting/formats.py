"""Answers as text, JSON, CSV and GeoJSON. Photos' names are hostile text, and stay text in each."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmark.predicting.answer import Answer, Answerer, Result
from benchmark.predicting.model_card import About
from benchmark.scoring.metrics import wilson
from collector.standard_streams import print_json
from collector.text_table import csv_safe, distance, table

ONLY_CITY = "the only city that the model knows: not in question"
"""What is said in place of how sure a city is that nothing was compared with."""

SHOWN = 5
"""How many candidates are shown."""

COLUMNS = (
    *("photo", "city", "name", "confidence", "none_of_these", "latitude", "longitude", "radius50_km", "radius90_km"),
    *("area50_km2", "area90_km2"),
    *(f"{what}{place}" for place in range(1, SHOWN + 1) for what in ("city", "probability")),
    *("error", "explanation", "training_photo"),
)


def recorded(answerer: Answerer, results: Iterable[Result]) -> Iterator[dict[str, Any]]:
    """Yield each result as plain JSON."""
    for result in results:
        yield record(result, training_photo=answerer.training_photo(result.source) if result.answer else None)


def record(result: Result, explanation: str | None = None, training_photo: str | None = None) -> dict[str, Any]:
    """Return a result as plain JSON: `photo`, and either `error` or what was answered; probabilities to six digits.

    `training_photo` is there where the photo is one that the model learnt from: its answer says nothing of how good it is.

    `city` and the place are null where the answer is "none of these"; `candidates` are there all the same.
    """
    answer = result.answer
    if answer is None:
        return {"photo": result.source.name, "error": result.error}
    best = answer.candidates[0]
    fields = {
        "photo": result.source.name,
        "city": None if answer.none_of_these else best.slug,
        "name": None if answer.none_of_these else best.name,
        "confidence": round(answer.confidence, 6),
        "none_of_these": answer.none_of_these,
        "latitude": answer.latitude,
        "longitude": answer.longitude,
        "radius50_km": _km(answer.radius50_km),
        "radius90_km": _km(answer.radius_km),
        "decimals": answer.decimals,
        "area50_km2": _km2(answer.density.area50_km2) if answer.density else None,
        "area90_km2": _km2(answer.density.area90_km2) if answer.density else None,
        "candidates": [
            {
                "city": one.slug,
                "name": one.name,
                "probability": round(one.probability, 6),
                "latitude": one.latitude,
                "longitude": one.longitude,
            }
            for one in answer.candidates[:SHOWN]
        ],
    }
    fields |= {"explanation": explanation} if explanation else {}
    return fields | ({"training_photo": training_photo} if training_photo else {})


def model_facts(about: About, digest: str) -> dict[str, Any]:
    """Return what goes with answers: which model gave them, what it learnt from, and what it may be used for."""
    certainty = about.certainty
    return {
        "title": about.title,
        "run": about.run,
        "digest": digest,
        "manifest": about.manifest,
        "cities": len(about.cities),
        "pretraining": about.pretraining,
        "weights_licence": about.weights_licence,
        "photo_licences": about.photo_licences,
        "temperature": certainty.temperature,
        "threshold": certainty.threshold,
        "validation_photos": certainty.photos,
        "validation_photos_with_place": certainty.placed,
        "validation_right": certainty.right,
    }


def doubts(facts: dict[str, Any]) -> str:
    """Return in one line why a model's answers are to be doubted, of what `model_facts` says; empty where nothing is known.

    Chance is one of as many as there are cities; the model is above it where its 95 % Wilson interval is.
    """
    photos, right, cities = facts["validation_photos"], facts["validation_right"], facts["cities"]
    found = []
    if photos and right is not None and wilson(right, photos)[0] <= 1 / cities < 1:
        found.append(
            f"it was right on {right} of {photos} validation photos, which chance may be ({100 / cities:.1f} % of them)"
        )
    if cities == 1:
        return 'this model knows one city: its confidence in that says nothing, and no photo is "none of these"'
    if not facts["threshold"]:
        found.append('it never says "none of these": too few validation photos to set a threshold')
    return f"doubt this model: {'; '.join(found)}" if found else ""


def as_text(fields: dict[str, Any]) -> str:
    """Return a record as lines for people."""
    if "error" in fields:
        return f"{fields['photo']}\n  not answered"
    rows = [(f"{100 * one['probability']:.1f} %", one["name"]) for one in fields["candidates"]]
    lines = [f"{rows[0][1]} ({ONLY_CITY})"] if len(rows) == 1 else table(("", ""), rows).splitlines()[2:]
    known = [
        f"  the model learnt from this very photo ({fields[name]})" for name in ("training_photo",) if name in fields
    ]
    return "\n".join([fields["photo"], *(f"  {line}" for line in lines), f"  {_place_text(fields)}", *known])


def as_geojson(records: Iterable[dict[str, Any]], model: dict[str, Any]) -> dict[str, Any]:
    """Return records as a FeatureCollection (RFC 7946): a point for each photo, no geometry where there is no answer."""
    features = [
        {
            "type": "Feature",
            "geometry": None
            if one.get("latitude") is None
            else {"type": "Point", "coordinates": [one["longitude"], one["latitude"]]},
            "properties": {name: value for name, value in one.items() if name not in ("latitude", "longitude")},
        }
        for one in records
    ]
    return {"type": "FeatureCollection", "model": model, "features": features}


def as_csv(cells: Sequence[object]) -> str:
    """Return a line of CSV (RFC 4180) without its end; text that a spreadsheet would run has an apostrophe before it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([_cell(value) for value in cells])
    return line.getvalue()


def cells(fields: dict[str, Any]) -> list[object]:
    """Return a record as the cells of COLUMNS."""
    flat: dict[str, object] = {name: value for name, value in fields.items() if name != "candidates"}
    for place, one in enumerate(fields.get("candidates", []), start=1):
        flat |= {f"city{place}": one["city"], f"probability{place}": one["probability"]}
    return [flat.get(name) for name in COLUMNS]


def print_records(
    records: Iterable[dict[str, Any]], form: str, model: dict[str, Any], complain: Callable[[str], None]
) -> int:
    """Print records as `text`, `csv`, `json` or `geojson`, the first two as they come; return how many have no answer.

    Those without are passed to `complain`, too.
    """
    kept: list[dict[str, Any]] = []
    failed = 0
    if form == "csv":
        print(as_csv(COLUMNS), flush=True)
    for one in records:
        if "error" in one:
            failed += 1
            complain(f"{one['photo']}: {one['error']}")
        if form == "csv":
            print(as_csv(cells(one)), flush=True)
        elif form == "text":
            print(as_text(one), flush=True)
        else:
            kept.append(one)
    if form in ("json", "geojson"):
        whole = as_geojson(kept, model) if form == "geojson" else {"model": model, "photos": kept}
        print_json(whole)
    return failed


def place_text(answer: Answer) -> str:
    """Return where an answer says that a photo was taken, in words."""
    fields = {"none_of_these": answer.none_of_these, "latitude": answer.latitude, "longitude": answer.longitude}
    fields |= {"decimals": answer.decimals, "radius50_km": answer.radius50_km, "radius90_km": answer.radius_km}
    areas = (answer.density.area50_km2, answer.density.area90_km2) if answer.density else (None, None)
    return _place_text(fields | dict(zip(("area50_km2", "area90_km2"), areas, strict=True)))


def _place_text(fields: dict[str, Any]) -> str:
    if fields["none_of_these"]:
        return "none of these: too unsure to be an answer"
    radii = [
        f"{share} % within {distance(km)}"
        for share, km in ((50, fields["radius50_km"]), (90, fields["radius90_km"]))
        if km is not None
    ]
    digits = 4 if fields.get("decimals") is None else fields["decimals"]
    areas = [
        f"{share} % in {_rough(fields[name])} km²"
        for share, name in ((50, "area50_km2"), (90, "area90_km2"))
        if fields.get(name) is not None
    ]
    place = f"{fields['latitude']:.{digits}f}, {fields['longitude']:.{digits}f}"
    density = f"; by its density {', '.join(areas)}" if areas else ""
    return f"{place}; {', '.join(radii) or 'how far off is unknown'}{density}"


def _rough(area: float) -> str:
    """Return an area with two digits that count: it is an estimate."""
    return f"{float(f'{area:.2g}'):,.0f}" if area >= 1 else f"{area:.2g}"


def _km2(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _km(value: float | None) -> float | None:
    return None if value is None else round(value, 1) if value >= 1 else float(f"{value:.2g}")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return csv_safe(value)
