"""Read the split of a data set that t15 did not make: a CSV, TSV, JSON Lines or Parquet file whose column tells the side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import DataError, did_you_mean
from collector.manifest.columns import PLACE, Values, choose, held, known_places
from collector.manifest.read_table import open_table

_OTHERS: dict[str, tuple[str, ...]] = {
    "photo_id": ("id", "image_id", "img_id", "image", "img", "filename", "file_name", "file", "path"),
    "split": ("subset", "fold", "partition", "set", "side"),
    "city": ("label", "class", "city_name", "category"),
    "latitude": ("lat",),
    "longitude": ("lon", "lng", "long"),
    "author_id": ("author", "user_id", "user", "owner", "owner_id", "uploader", "photographer", "nsid"),
    "sequence_id": ("sequence", "sequence_key", "sequence_uuid"),
    "sha256": ("sha_256",),
    "md5": (),
    "phash": ("p_hash",),
    "dhash": ("d_hash",),
    "license": ("licence", "license_id"),
    "group_id": ("group",),
}

NAMES = {name: (name, *others) for name, others in _OTHERS.items()}
"""Columns that an audit uses, by their names in `schema.COLUMNS` (and `md5`, which manifests have no column for), and what
other data sets call them: the first name that a file has is taken."""

SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""What other data sets call the sides; case and blanks around do not count."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file's rows under t15's names.

    Attributes:
        path: of the file.
        table: the columns that were found, named as in NAMES: `latitude` and `longitude` as numbers, all others as text.
            `split` is always there, `photo_id` too, once a side: `record N`, counted from 1, where the file has none.
        columns: t15's name of a column to the file's.
    """

    path: Path
    table: pa.Table
    columns: dict[str, str]


def read_foreign(path: Path, columns: Mapping[str, str] | None = None) -> Foreign:
    """Return the rows of a file of any kind with a split column; `columns` maps names in NAMES to the file's.

    Columns that are not given are guessed from their names. The place 0, 0, which is what programs write that know none, is
    not known; ids are compared by `records.normal_id`.

    Raises:
        UsageError: there is no such file, or a column is named that does not exist.
        DataError: the file or a value is wrong; the message names the column and the line (as in a text editor), or the
            row of a Parquet file, counted from 0.
    """
    source = open_table(path)
    chosen = choose(source, columns or {}, NAMES)
    if "split" not in chosen:
        raise DataError(f"{path}: no column tells the side; name it with --column split=NAME; {held(source)}")
    raw = source.read(list(dict.fromkeys(chosen.values())))
    if not raw.num_rows:
        raise DataError(f"{path}: has no rows")
    values = Values(source, chosen, raw)
    table = {name: values.numbers(name) if name in PLACE else values.text(name) for name in chosen}
    if "latitude" in table:
        values.check_places(table)
        table.update(known_places(table["latitude"], table["longitude"]))
    table["split"] = read_sides(values, table["split"])
    if "photo_id" in chosen:
        _check_ids(values, table["photo_id"], table["split"])
    else:
        table["photo_id"] = pa.chunked_array([[f"record {number}" for number in range(1, raw.num_rows + 1)]])
    return Foreign(path, pa.table({name: table[name] for name in NAMES if name in table}), chosen)


def read_sides(values: Values, column: pa.ChunkedArray, words_of: Mapping[str, str] = SIDES) -> pa.ChunkedArray:
    """Return the sides under t15's names.

    Raises:
        DataError: one is missing, or none of them.
    """
    values.require("split", pc.is_valid(column), "must not be missing")
    found = column.combine_chunks().dictionary_encode()
    words = [words_of.get(word.casefold()) for word in found.dictionary.to_pylist()]
    if None in words:
        wrong = words.index(None)
        row = int(np.argmax(np.asarray(found.indices) == wrong))
        word = found.dictionary[wrong].as_py()
        values.fail("split", row, f"is none of train, val, test{did_you_mean(word, SIDES)}")
    return pa.chunked_array([pa.array(words, pa.string()).take(found.indices)])


def _check_ids(values: Values, column: pa.ChunkedArray, sides: pa.ChunkedArray) -> None:
    """Make sure that a side has each photo once; one that is on two sides is for the audit to find."""
    values.require("photo_id", pc.is_valid(column), "must not be missing")
    code, side = (np.asarray(of.combine_chunks().dictionary_encode().indices, np.int64) for of in (column, sides))
    _, first, of = np.unique(code * len(SIDES) + side, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[of] != np.arange(len(code)))
    if len(repeated):
        row = int(repeated[0])
        other = values.source.place(int(first[of[row]]))
        values.fail("photo_id", row, f"must be unique on a side, but is that of {other} too")
