"""Names of cities and countries in texts: whether a picture, or what is written beside it, gives its place away.

Words are compared as `regions.fold` compares names: without case, diacritics and Turkish dots. Readers of pictures leave
blanks out (BIGBUSBERLIN) and misread a letter (LONDDN), and Turkish hangs its cases on names (İstanbul'da): so a longer name
also counts at a word's beginning or end, and, in what was read from a picture, with one letter wrong.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from collector.labels import Label
from collector.records import City
from collector.regions import city_names, words

LANGUAGES = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hu", "it", "ja", "ko", "nl", "no", "pl", "pt"),
    *("ro", "ru", "sv", "tr", "uk", "zh"),
)
"""Languages in which countries are known by name, where Babel is installed (extra ocr)."""

_PART, _MISREAD = 5, 6  # letters from which on a name may be part of a word, and may have one letter wrong
_SCORES = {"word": 1.0, "part": 0.9, "misread": 0.7}

# The reader of pictures knows no Cyrillic: МОСКВА comes as MOCKBA.
_LOOKS_LIKE = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")


@dataclass(frozen=True, slots=True)
class Named:
    """A place that a text names.

    Attributes:
        place: slug of a city, or a country's code in small letters.
        name: as the label tree has it.
        how: `word`, `part` (at a word's beginning or end) or `misread` (one letter differs).
    """

    place: str
    name: str
    how: str

    @property
    def score(self) -> float:
        """How certain it is that the name was meant, 0 to 1."""
        return _SCORES[self.how]


class PlaceNames:
    """The names of cities and of their countries, made ready to be looked for.

    Attributes:
        cities: slugs.
        country_of: code of the country of each city, in small letters, where it is known.
    """

    def __init__(self, cities: Iterable[City], labels: Iterable[Label] = ()) -> None:
        cities = list(cities)
        self.cities = frozenset(city.slug for city in cities)
        self.country_of = {city.slug: city.country.lower() for city in cities if city.country}
        self._names: dict[tuple[str, ...], tuple[str, str]] = {}
        for city in cities:
            self._add(city.slug, [name for field, name in city_names(city) if field != "slug"])
        for label in labels:
            if label.level == "country":
                self._add(label.id, [label.name, *label.names.values()])
        for country in sorted(set(self.country_of.values())):
            self._add(country, country_names(country))
        self._starts: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in self._names:
            self._starts[name[0]].append(name)
        self._joined = {"".join(name): self._names[name] for name in self._names}
        self._in_word = lru_cache(1 << 16)(self._looked_for)

    def _add(self, place: str, names: Iterable[str]) -> None:
        for name in names:
            capitals = name.upper().translate(_LOOKS_LIKE)
            for spelled in (name, capitals) if capitals.isascii() else (name,):
                folded = tuple(words(spelled))
                if sum(map(len, folded)) >= 2:
                    self._names.setdefault(folded, (place, name))

    def found(self, text: str, *, read: bool = False) -> list[Named]:
        """Return the places that a text names, each once, the most certain first; `read`: by one who errs by a letter."""
        best: dict[str, Named] = {}
        for named in self._all(words(text), read=read):
            if named.place not in best or named.score > best[named.place].score:
                best[named.place] = named
        return sorted(best.values(), key=lambda named: (-named.score, named.place))

    def _all(self, said: Sequence[str], *, read: bool) -> Iterator[Named]:
        for at, word in enumerate(said):
            for name in self._starts.get(word, ()):
                if tuple(said[at : at + len(name)]) == name:
                    yield Named(*self._names[name], "word")
            yield from self._in_word(word, read)

    def _looked_for(self, word: str, read: bool) -> tuple[Named, ...]:
        named = []
        if len(word) >= _PART:
            for name, of in self._joined.items():
                if len(name) >= _PART and (word.startswith(name) or word.endswith(name)):
                    named.append(Named(*of, "word" if word == name else "part"))
                elif read and len(name) >= _MISREAD and one_letter_apart(word, name):
                    named.append(Named(*of, "misread"))
        return tuple(named)

    def is_answer(self, place: str, city: str) -> bool:
        """Return whether a place is the city itself or its country."""
        return place in (city, self.country_of.get(city))


def country_names(code: str) -> list[str]:
    """Return a country's names in LANGUAGES; none where Babel is not installed or knows no such country."""
    with suppress(ImportError):
        from babel import Locale

        names = [Locale(language).territories.get(code.upper()) for language in LANGUAGES]
        return list(dict.fromkeys(name for name in names if name))
    return []


def one_letter_apart(a: str, b: str) -> bool:
    """Return whether one letter replaced, put in or left out makes `b` of `a`."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    same = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[same + (len(a) >= len(b)) :] == b[same + (len(b) >= len(a)) :]


__all__ = ["LANGUAGES", "Named", "PlaceNames", "country_names", "one_letter_apart"]
