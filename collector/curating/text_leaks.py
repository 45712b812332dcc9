"""Text in pictures that gives their place away: read by PP-OCR (package rapidocr, extra `ocr`), judged by plain rules.

Reading is the slow part: what was read is kept with the photo, so that other names or rules cost nothing. A line is a text
with the reader's confidence and its box, as shares of the picture as displayed. Texts of strangers: text wherever they are
shown. docs/quality.md says how good it is.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from collector.curating.place_names import PlaceNames
from collector.images.decode import decode
from collector.images.exif import clean_text

STAGE = "text"
"""The stage of the catalogue's decisions that holds these flags; its verdicts are all `keep`."""

FLAGS: Mapping[str, str] = {
    "name-in-picture": "the city's or the country's name can be read in it",
    "other-name-in-picture": "another city's name of the region can be read in it",
    "watermark": "an agency's mark, a copyright or an address can be read in it",
    "date-in-picture": "a date is burnt into it",
    "coordinates-in-picture": "coordinates are burnt into it",
}
"""What each flag says, in the order in which they are shown."""

SHORTER, LONGER = 288, 960
"""Pixels: smaller pictures are enlarged to the first for the search of lines, larger ones reduced to the second."""

_LEAST = 0.5  # confidence of a line that is kept
_MOST_LINES = 60
_LEAST_LETTERS = 16  # of a picture from which on its language is told,
_LEAST_CERTAIN = 0.5  # and the probability: a few words on a sign are as like several
_READ_LANGUAGES = [
    "cs",
    "da",
    "de",
    "en",
    "es",
    "fi",
    "fr",
    "hu",
    "it",
    "ja",
    "nl",
    "no",
    "pl",
    "pt",
    "ro",
    "sv",
    "tr",
    "zh",
]
"""Languages in letters that the reader knows."""

_AGENCIES = (
    *(
        "shutterstock",
        "alamy",
        "getty",
        "istock",
        "dreamstime",
        "123rf",
        "depositphotos",
        "adobestock",
        "fotolia",
    ),
    *(
        "bigstock",
        "agefotostock",
        "canstock",
        "stockphoto",
        "fotosearch",
        "pond5",
        "masterfile",
        "vectorstock",
        "freepik",
    ),
    *(
        "picfair",
        "imago",
        "ullstein",
        "robertharding",
        "superstock",
        "photocase",
        "pixtastock",
        "panthermedia",
        "eyeem",
    ),
)
_CREDIT = re.compile(r"©|\(c\)|copyright|all rights reserved|photo(?:graph)? (?:by|credit)|tüm hakları", re.IGNORECASE)
_ADDRESS = re.compile(
    r"\b(?:www[.,]|https?:)|[a-z0-9-]{3,}\.(?:com|net|org|info|de|fr|it|es|pt|ru|tr|co)\b", re.IGNORECASE
)

_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:19[5-9]\d|20[0-4]\d)"
_DATE = re.compile(
    rf"(?<!\d)(?:{_DAY}[./-]{_MONTH}[./-](?:{_YEAR}|\d\d)|{_MONTH}[./-]{_DAY}[./-]{_YEAR}|{_YEAR}[.:/-]\s?{_MONTH}[.:/-]\s?{_DAY}"
    rf"|['’]\d\d\s{_MONTH}\s{_DAY}|{_MONTH}\s{_DAY}\s?['’]\d\d)(?!\d)"
)
_DEGREES = r"\d{1,3}\s?[°º]\s?\d{1,2}(?:[.,]\d+)?\s?['’′]?(?:\s?\d{1,2}(?:[.,]\d+)?\s?[\"”″])?"
_COORDINATES = re.compile(
    rf"{_DEGREES}\s?[NSEWKGDB]\b|\b[NSEWKGDB]\s?{_DEGREES}"
    r"|[+-]?\d{1,2}[.]\d{3,}\s?°?\s?[NS]?\s?[,;/ ]\s?[+-]?\d{1,3}[.]\d{3,}"
    r"|\b(?:lat|lon|long|enlem|boylam)\w*\s?[:=]?\s?[+-]?\d{1,3}[.]\d{2,}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text that was read in a picture.

    Attributes:
        text: what it says.
        score: how sure the reader is, 0 to 1.
        box: left, top, right, bottom, as shares of the picture's width and height.
    """

    text: str
    score: float
    box: tuple[float, float, float, float]


def missing_extra() -> str | None:
    """Return which package of the extra `ocr` is not installed; None where pictures can be read."""
    return next((name for name in ("rapidocr", "onnxruntime", "cv2") if find_spec(name) is None), None)


def stamp() -> str:
    """Return what identifies how pictures are read: results of another stamp are read again."""
    return f"text 1, {', '.join(f'{name} {_version(name)}' for name in ('rapidocr', 'onnxruntime'))}, {SHORTER} to {LONGER}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


_engines = threading.local()  # a reader keeps what it is at: one for each thread


def _engine() -> Any:
    if not hasattr(_engines, "reader"):
        from rapidocr import RapidOCR

        one_thread = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
        how = {"Global.log_level": "critical", "Global.use_cls": False, "Det.limit_side_len": SHORTER}
        _engines.reader = RapidOCR(params={**how, **one_thread})  # photos are done side by side instead
    return _engines.reader


def read_lines(path: Path) -> list[Line]:
    """Return the lines of text in the picture of a file, from top to bottom; upside-down text is not turned.

    Raises:
        Exception: whatever Pillow raises on a file that is missing or broken.
        ModuleNotFoundError: the extra `ocr` is not installed.
    """
    picture = decode(path, LONGER)
    picture.thumbnail((LONGER, LONGER))
    found = _engine()(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))  # as OpenCV has it: blue first
    if found.txts is None:
        return []
    sides = np.array(picture.size, dtype=np.float64)
    lines = []
    for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True):
        clean = clean_text(text)
        if clean and score >= _LEAST:
            shares = (np.asarray(corners, dtype=np.float64) / sides).clip(0, 1)
            left, top, right, bottom = (float(x) for x in (*shares.min(axis=0), *shares.max(axis=0)))
            lines.append(Line(clean, round(float(score), 3), (left, top, right, bottom)))
    return sorted(lines, key=lambda line: (line.box[1], line.box[0]))[:_MOST_LINES]


def as_evidence(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return lines as they are kept."""
    return [{**asdict(line), "box": [round(share, 4) for share in line.box]} for line in lines]


def from_evidence(kept: Any) -> list[Line]:
    """Return lines that were kept; what is none is passed over: a catalogue may be anybody's."""
    lines = []
    for one in kept if isinstance(kept, list) else []:
        try:
            left, top, right, bottom = (float(share) for share in one["box"])
            lines.append(Line(str(one["text"]), float(one["score"]), (left, top, right, bottom)))
        except (TypeError, ValueError, KeyError, OverflowError):
            continue
    return lines


def judge(lines: Sequence[Line], city: str, names: PlaceNames) -> dict[str, Any]:
    """Return the flags of a photo with these lines: scores from 0.5 to 1, `why` with what was found, its lines' positions."""
    scores: dict[str, float] = {}
    why: dict[str, dict[str, Any]] = {}
    for position, line in enumerate(lines):
        for flag, score, what in _findings(line.text, city, names):
            sure = round(max(0.5, score * line.score), 3)
            of = why.setdefault(flag, {"found": [], "lines": []})
            of["found"] = list(dict.fromkeys([*of["found"], what]))[:10]
            of["lines"] = sorted({*of["lines"], position})
            scores[flag] = max(sure, scores.get(flag, 0.0))
    return {**scores, **({"why": why} if why else {}), **_language(lines)}


def _findings(text: str, city: str, names: PlaceNames) -> list[tuple[str, float, str]]:
    """Return flag, score before the reader's doubt, and what was found, of one line."""
    findings = []
    for named in names.found(text, read=True):
        if names.is_answer(named.place, city):
            findings.append(("name-in-picture", named.score, f"{named.name} ({named.how})"))
        elif named.place in names.cities:
            findings.append(("other-name-in-picture", named.score, f"{named.name} ({named.how})"))
    squeezed = re.sub(r"[^a-z0-9]", "", text.lower())
    if agency := next((name for name in _AGENCIES if name in squeezed), None):
        findings.append(("watermark", 1.0, agency))
    elif match := _CREDIT.search(text) or _ADDRESS.search(text):
        findings.append(("watermark", 0.7, match[0]))
    if match := _DATE.search(text):
        findings.append(("date-in-picture", 1.0, match[0]))
    if match := _COORDINATES.search(text):
        findings.append(("coordinates-in-picture", 1.0, match[0]))
    return findings


def _language(lines: Sequence[Line]) -> dict[str, str]:
    """Return the language of the texts (ISO 639-1), where there is enough of it to be told and py3langid is installed."""
    text = " ".join(line.text for line in lines)
    if sum(map(str.isalpha, text)) < _LEAST_LETTERS or find_spec("py3langid") is None:
        return {}
    language, probability = _language_identifier().classify(text)
    return {"language": str(language)} if probability >= _LEAST_CERTAIN else {}


@cache
def _language_identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_READ_LANGUAGES)
    return identifier
