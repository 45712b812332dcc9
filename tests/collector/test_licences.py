"""The table of licences and the look-up in it."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.licences import licence, licence_of, licences

FLICKR = {  # the ids of flickr.photos.licenses.getInfo
    0: "LicenseRef-AllRightsReserved",
    1: "CC-BY-NC-SA-2.0",
    2: "CC-BY-NC-2.0",
    3: "CC-BY-NC-ND-2.0",
    4: "CC-BY-2.0",
    5: "CC-BY-SA-2.0",
    6: "CC-BY-ND-2.0",
    7: "LicenseRef-NoKnownRestrictions",
    8: "LicenseRef-USGov",
    9: "CC0-1.0",
    10: "LicenseRef-PDM-1.0",
    11: "CC-BY-4.0",
    12: "CC-BY-SA-4.0",
    13: "CC-BY-ND-4.0",
    14: "CC-BY-NC-4.0",
    15: "CC-BY-NC-SA-4.0",
    16: "CC-BY-NC-ND-4.0",
}
CC = re.compile(r"(?:LicenseRef-)?CC-(BY(?:-NC)?(?:-SA|-ND)?)-(\d\.\d)(?:-([A-Z]+))?")


@pytest.mark.parametrize("id_", [*FLICKR.values(), "etalab-2.0", "GFDL-1.2-or-later", "LicenseRef-GoogleStreetView"])
def test_what_the_photo_services_give_is_known(id_: str) -> None:
    assert licence(id_).id == id_


def test_all_six_licences_in_all_five_versions() -> None:
    found = {match.groups() for id_ in licences() if (match := CC.fullmatch(id_)) and not match[3]}
    kinds = ("BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND")
    assert found == {(kind, version, None) for kind in kinds for version in ("1.0", "2.0", "2.5", "3.0", "4.0")}


def test_flags_and_addresses_follow_from_the_id() -> None:
    for id_, entry in licences().items():
        if match := CC.fullmatch(id_):
            elements, version, port = match.groups()
            assert (entry.redistributable, entry.noncommercial, entry.no_derivatives) == (
                True,
                "NC" in elements,
                "ND" in elements,
            )
            if id_ != "CC-BY-NC-ND-1.0":
                path = "/".join(part.lower() for part in (elements, version, port) if part)
                assert entry.url == f"https://creativecommons.org/licenses/{path}/"


def test_national_versions_have_one_id_each() -> None:
    ported = [id_.removeprefix("LicenseRef-") for id_ in licences() if (match := CC.fullmatch(id_)) and match[3]]
    assert len(ported) == len(set(ported)) == 182
    assert licence("cc-by-sa-3.0-de").id == "CC-BY-SA-3.0-DE"  # SPDX knows it
    assert licence("licenseref-cc-by-sa-3.0-es").id == "LicenseRef-CC-BY-SA-3.0-ES"  # SPDX does not


def test_version_1_of_by_nd_nc_has_its_own_order() -> None:
    assert licence("CC-BY-NC-ND-1.0").url == "https://creativecommons.org/licenses/by-nd-nc/1.0/"


def test_only_these_may_not_be_passed_on() -> None:
    assert {id_ for id_, entry in licences().items() if not entry.redistributable} == {
        "LicenseRef-AllRightsReserved",
        "LicenseRef-GoogleStreetView",
        "LicenseRef-Unknown",
    }


def test_every_entry_is_complete() -> None:
    for id_, entry in licences().items():
        assert entry.id == id_
        assert entry.name
        assert entry.url.startswith("https://") or not entry.redistributable
        assert re.fullmatch(r"[A-Za-z0-9.-]+", id_)


@given(st.sampled_from(sorted(licences())), st.sampled_from([str.upper, str.lower, str.swapcase, str.title]))
def test_case_does_not_count(id_: str, casing: Callable[[str], str]) -> None:
    assert licence(casing(id_)).id == id_


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"licence 'CC BY 4.0' is unknown \(did you mean 'CC-BY-4.0'"):
        licence("CC BY 4.0")


@pytest.mark.parametrize("id_", ["", "MIT", "LicenseRef-Mine", "CC-BY-5.0", "CC-BY-SA-4.0\x00"])
def test_nothing_unknown_slips_through(id_: str) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        licence(id_)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        licences()["MIT"] = licence("CC0-1.0")  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("cc-by-4.0", "CC-BY-4.0"),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        (" CC BY 2.0 ", "CC-BY-2.0"),
        ("CC0", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://www.creativecommons.org/licenses/by/2.0", "CC-BY-2.0"),
        ("https://creativecommons.org/licenses/by-nc/4.0/deed.de", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("LicenseRef-Coursework", "LicenseRef-Coursework"),
        ("licenseref-unknown", "LicenseRef-Unknown"),
    ],
)
def test_licences_as_tables_write_them(text: str, id_: str) -> None:
    assert licence_of(text).id == id_


def test_a_licence_of_ones_own_allows_nothing() -> None:
    assert not licence_of("LicenseRef-Mine").redistributable


@pytest.mark.parametrize(
    "text", ["", "MIT", "all yours", "LicenseRef-", "LicenseRef-a b", "LicenseRef-x\n", "https://example.org/by/4.0/"]
)
def test_what_is_no_licence_is_told(text: str) -> None:
    if text == "LicenseRef-x\n":
        assert licence_of(text).id == "LicenseRef-x"  # blanks around do not count
        return
    with pytest.raises(UsageError, match="is unknown"):
        licence_of(text)
