"""What is said of each label to a tower's text half: templates filled with names, the country always among them.

A prompt file is lines, a template each, with `{name}` and `{country}`; or JSON, `{label id: [texts]}`, where somebody wants
to write every text. What is said lies beside the run as `prompts.json`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter

from benchmark.label_set import LabelNames, LabelSet
from collector.errors import DataError, UsageError

NAMES = "{name}, {country}"
"""The barest prompt: a name alone means several places."""

TEMPLATES = "\n".join(
    (
        "a photo I took in {name}, {country}.",
        "a photo I took while visiting {name}, {country}.",
        "a photo from my home town of {name}, {country}.",
        "a photo from my visit to {name}, {country}.",
        "a photo showing the city of {name}, {country}.",
        "a street in {name}, {country}.",
        "the skyline of {name}, {country}.",
        "A Street View photo from {name}, {country}.",
    )
)
"""After the five templates that OpenAI's CLIP was judged with on Country211, and those of street views."""

OF_COUNTRIES = (
    "a photo I took in {country}.",
    "a photo I took while visiting {country}.",
    "a photo from my home country of {country}.",
    "a photo from my visit to {country}.",
    "a photo showing the country of {country}.",
)
"""OpenAI's five of Country211."""

_WITH_THE = {"BS", "CF", "KM", "CD", "CG", "DO", "GM", "MH", "MV", "NL", "PH", "SB", "AE", "GB", "US", "VA"}
_OLDER = {"TR": "Turkey", "CZ": "Czech Republic", "MK": "Macedonia", "SZ": "Swaziland"}
"""English names that the towers' texts, mostly of before 2022, have more often than today's."""

_JSON = re.compile(r'\s*\{\s*["}]')
MOST = 200  # texts of a label
_LONGEST = 300  # characters of a text; a CLIP reads 77 tokens


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts of each label, and of each country that one lies in.

    Attributes:
        ids: of the C labels.
        labels: C lists of texts.
        countries: names of the P countries, in the order of their first label; none where a label has no country.
        of_countries: P lists of texts.
        country_of: (C) position of each label's country; empty where a label has none.
    """

    ids: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    countries: tuple[str, ...]
    of_countries: tuple[tuple[str, ...], ...]
    country_of: tuple[int, ...]

    def to_json(self) -> str:
        """Return all texts as JSON, for people."""
        said = {
            "labels": dict(zip(self.ids, self.labels, strict=True)),
            "countries": dict(zip(self.countries, self.of_countries, strict=True)),
        }
        return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def prompts(labels: LabelSet, text: str, languages: str) -> Prompts:
    """Return the prompts of labels.

    Args:
        labels: with their names.
        text: a prompt file's content.
        languages: language tags with a comma between; `local` is the name as the inhabitants write it. A label without an
            English name is called by its own.

    Raises:
        UsageError: a template has no `{name}`, or other fields; the JSON is none; there are too many texts.
        DataError: a label has no name in a language, or no texts in the JSON.
    """
    tags = [tag.strip() for tag in languages.split(",") if tag.strip()]
    if not tags:
        raise UsageError("--set languages: say at least one, such as en or en,local")
    if not labels.names:
        raise DataError("the labels have no names; a zero-shot method needs a manifest's own labels")
    if _JSON.match(text):
        of_labels = _of_file(text, labels.ids)
    else:
        templates = _templates(text)
        rows = zip(labels.ids, labels.names, strict=True)
        of_labels = tuple(tuple(_filled(templates, names, tags, name)) for name, names in rows)
    codes = [names.country for names in labels.names]
    distinct = list(dict.fromkeys(codes)) if all(codes) else []
    first = {code: labels.names[codes.index(code)] for code in distinct}
    called = tuple(_country(first[code], "en") for code in distinct)
    texts = tuple(
        tuple(
            dict.fromkeys(
                of.format(country=_with_article(first[code], _country(first[code], tag), tag))
                for tag in tags
                for of in OF_COUNTRIES
            )
        )
        for code in distinct
    )
    return Prompts(
        labels.ids, of_labels, called, texts, tuple(distinct.index(code) for code in codes) if distinct else ()
    )


def _templates(text: str) -> list[str]:
    templates = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not 1 <= len(templates) <= MOST:
        raise UsageError(f"prompts: {len(templates)} templates; 1 to {MOST} are wanted, a line each")
    for template in templates:
        try:
            parts = [part for part in Formatter().parse(template) if part[1] is not None]
        except ValueError as error:
            raise UsageError(f"prompts: {template[:60]!r} is no template ({error})") from error
        fields, shaped = {part[1] for part in parts}, any(part[2] or part[3] for part in parts)
        if "name" not in fields or fields - {"name", "country"} or shaped or len(template) > _LONGEST:
            raise UsageError(
                f"prompts: {template[:60]!r}: a template has {{name}} and may have {{country}}, at most {_LONGEST} characters"
            )
    return templates


def _of_file(text: str, ids: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UsageError(f"prompts: neither templates nor JSON ({error})") from error
    if isinstance(given.get("labels"), dict):  # a run's own file
        given = given["labels"]
    missing = [name for name in ids if not given.get(name)]
    if missing:
        raise DataError(
            f"prompts: no texts for {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        )
    for name in ids:
        texts = given[name]
        good = isinstance(texts, list) and all(isinstance(one, str) and 0 < len(one) <= _LONGEST for one in texts)
        if not good or len(texts) > MOST:
            raise UsageError(f"prompts: {name}: 1 to {MOST} texts of 1 to {_LONGEST} characters are wanted, as a list")
    return tuple(tuple(given[name]) for name in ids)


def _filled(templates: Sequence[str], names: LabelNames, tags: Sequence[str], label: str) -> Iterator[str]:
    filled: dict[str, None] = {}
    for tag in tags:
        country = _country(names, tag)
        for template in templates:
            whole = template if country else template.replace(", {country}", "").replace("{country}", "")
            filled[whole.format(name=_name(names, tag, label), country=country)] = None
    yield from filled


def _name(names: LabelNames, tag: str, label: str) -> str:
    if tag == "local":
        own = names.name
    elif tag == "en":
        own = names.names.get("en", names.name)
    else:
        own = names.names.get(tag, "")
    if not own:
        raise DataError(
            f"{label}: has no name in {tag[:20]!r}; give it one in the region's file (names = {{ {tag[:20]} = … }}), or "
            "choose other --set languages"
        )
    return f"{own}, {_name(names.city, tag, label)}" if names.city else own


def _country(names: LabelNames, tag: str) -> str:
    """Return a country's name in a language; in the tree's own words where it has them, else the Unicode CLDR's."""
    own = names.country_names
    if tag in own:
        return own[tag]
    if tag == "local" and "" in own:
        return own[""]
    if tag in ("en", "local") and names.country in _OLDER and not own:
        return _OLDER[names.country]
    return _territories("en" if tag == "local" else tag).get(names.country, own.get("", ""))


@cache
def _territories(tag: str) -> Mapping[str, str]:
    try:
        from babel import Locale, UnknownLocaleError
    except ImportError as error:
        raise UsageError("names of countries need Babel; install it with: pip install 't15[modern]'") from error
    try:
        return dict(Locale.parse(tag, sep="-").territories)
    except (UnknownLocaleError, ValueError):
        return {}


def _with_article(names: LabelNames, country: str, tag: str) -> str:
    the = tag in ("en", "local") and names.country in _WITH_THE
    return f"the {country}" if the else country
