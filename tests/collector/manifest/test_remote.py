"""Manifests fetched from a server on this machine: what is kept, what is refused, and what is said."""

import hashlib
import importlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from collector.errors import DataError, IncompleteError, ServiceError, T15Error, UsageError
from collector.manifest import remote
from collector.manifest.manifest import Manifest, build_manifest, read_manifest, write_manifest
from collector.manifest.remote import locate
from tests.conftest import MakePhoto

PATH = "/sets/three-cities/1.0.0"
COMMIT = "c0ffee" + "0" * 34


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def serve(server: HTTPServer, folder: Path, path: str = PATH) -> str:
    for file in folder.iterdir():
        server.expect_request(f"{path}/{file.name}").respond_with_data(file.read_bytes())
    return server.url_for(path)


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


# --- where a manifest is


def test_a_folder_is_taken_as_it_is(folder: Path, cache: Path, tmp_path: Path) -> None:
    assert locate(str(folder), cache) == folder
    assert locate(str(tmp_path / "none"), cache) == tmp_path / "none"  # the reader says what is wrong with it
    assert not cache.exists()


def test_a_name_is_the_newest_version_below_the_manifests(
    small: Manifest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = small.header.name
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        header = replace(small.header, version=version)
        write_manifest(replace(small, header=header), tmp_path / name / version)
    assert locate(name, cache, manifests=tmp_path) == tmp_path / name / "1.10.0"
    assert locate(f"{name}/1.9.0", cache, manifests=tmp_path) == tmp_path / name / "1.9.0"
    assert locate("another", cache, manifests=tmp_path) == Path("another")
    (tmp_path / "elsewhere" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")  # a folder of that name that is no manifest
    assert locate(name, cache, manifests=tmp_path) == tmp_path / name / "1.10.0"


def test_a_folder_can_be_pinned(small: Manifest, folder: Path, cache: Path) -> None:
    assert locate(str(folder), cache, small.digest) == folder
    assert locate(f"{folder}#sha256={small.digest}", cache) == folder
    with pytest.raises(DataError, match=f"has digest {small.digest}, not {'0' * 64} as asked for"):
        locate(f"{folder}#sha256={'0' * 64}", cache)
    odd = folder.rename(folder.with_name("1.0.0#sha256=x"))
    assert locate(str(odd), cache) == odd


@pytest.mark.parametrize("end", ["", "/", "/manifest.json"])
def test_an_address(small: Manifest, folder: Path, cache: Path, httpserver: HTTPServer, end: str) -> None:
    found = locate(serve(httpserver, folder) + end, cache)
    assert read_manifest(found).digest == small.digest
    assert left_in(cache) == ["manifest.json", "photos.parquet"]
    assert all(request.headers["User-Agent"].startswith("t15/") for request, _ in httpserver.log)


def test_what_cannot_change_is_fetched_once(folder: Path, cache: Path, httpserver: HTTPServer) -> None:
    url = serve(httpserver, folder)
    found = locate(url, cache)
    httpserver.clear()
    assert locate(url, cache) == found


def test_what_can_change_is_fetched_anew(
    small: Manifest, make_photo: MakePhoto, tmp_path: Path, folder: Path, cache: Path, httpserver: HTTPServer
) -> None:
    url = serve(httpserver, folder, "/latest")
    first = locate(url, cache)
    newer = build_manifest(replace(small.header, version="1.1.0"), [make_photo(1)], "t15 test")
    write_manifest(newer, tmp_path / "newer")
    httpserver.clear()
    serve(httpserver, tmp_path / "newer", "/latest")
    assert locate(url, cache) == first
    assert read_manifest(first).digest == newer.digest
    httpserver.clear()
    assert locate(url, cache, newer.digest) == first  # pinned: it is this one
    with pytest.raises(T15Error):
        locate(url, cache, small.digest)
    assert read_manifest(first).digest == newer.digest


def test_a_pin_that_is_kept(small: Manifest, folder: Path, cache: Path, httpserver: HTTPServer) -> None:
    url = serve(httpserver, folder)
    found = locate(f"{url}#sha256={small.digest.upper()}", cache)
    assert locate(url, cache, small.digest) == found


def test_another_manifest_than_the_pinned_one_leaves_nothing(
    small: Manifest, folder: Path, cache: Path, httpserver: HTTPServer
) -> None:
    url = serve(httpserver, folder)
    with pytest.raises(DataError, match=f"^{re.escape(url)}: has digest {small.digest}, not {'0' * 64}"):
        locate(f"{url}#sha256={'0' * 64}", cache)
    assert left_in(cache) == []
    locate(url, cache)
    with pytest.raises(DataError, match="nothing of it is kept"):
        locate(url, cache, "0" * 64)


# --- what is wrong with what was fetched


def truncate(folder: Path) -> None:
    path = folder / "photos.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def change(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"made up"', '"made top"'), encoding="utf-8")


def newer_format(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "format": 99}))


def page(folder: Path) -> None:
    (folder / "manifest.json").write_text("<html>Sign in</html>")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "/photos.parquet: "),
        (change, "/manifest.json: was changed"),
        (newer_format, "/manifest.json: was made by a newer t15 (format 99"),
        (page, "/manifest.json: cannot be read as JSON"),
    ],
)
def test_damage_is_named_by_address_and_nothing_is_kept(
    folder: Path, cache: Path, httpserver: HTTPServer, damage: Callable[[Path], None], said: str
) -> None:
    damage(folder)
    url = serve(httpserver, folder)
    with pytest.raises(DataError) as raised:
        locate(url, cache)
    assert str(raised.value).startswith(url + said)
    assert left_in(cache) == []


def test_a_file_that_never_ends(
    folder: Path, cache: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(remote.FILES, "photos.parquet", 1000)
    url = serve(httpserver, folder)
    with pytest.raises(DataError, match=r"photos\.parquet: is larger than a manifest's file can be"):
        locate(url, cache)
    assert left_in(cache) == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, UsageError),
        (410, UsageError),
        (401, ServiceError),
        (403, ServiceError),
        (429, IncompleteError),
        (503, IncompleteError),
    ],
)
def test_servers_that_say_no(cache: Path, httpserver: HTTPServer, status: int, kind: type[T15Error]) -> None:
    httpserver.expect_request(f"{PATH}/manifest.json").respond_with_data("secret", status=status)
    with pytest.raises(kind, match=rf"{PATH}/manifest\.json: .*\(HTTP {status}\)") as raised:
        locate(httpserver.url_for(PATH), cache)
    assert "secret" not in str(raised.value)
    assert left_in(cache) == []


def test_an_answer_that_is_cut_off(folder: Path, cache: Path, httpserver: HTTPServer) -> None:
    def half(_: Request) -> Response:
        response = Response((folder / "manifest.json").read_bytes()[:100])
        response.automatically_set_content_length = False
        response.headers["Content-Length"] = "5000"
        return response

    httpserver.expect_request(f"{PATH}/manifest.json").respond_with_handler(half)
    with pytest.raises(IncompleteError, match="was not answered to the end"):
        locate(httpserver.url_for(PATH), cache)
    assert left_in(cache) == []


def test_no_server(cache: Path) -> None:
    with pytest.raises(IncompleteError, match=r"was not answered to the end \(unreachable\); try again later"):
        locate("http://127.0.0.1:9/sets/1.0.0", cache)


# --- which addresses


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("http://example.org/1.0.0", "http://example.org/1.0.0: only https: addresses are read"),
        ("http://127.0.0.1.example.org/1.0.0", "only https: addresses are read"),
        ("https:///1.0.0", "only https: addresses are read"),
        ("https://[::1/1.0.0", "cannot be understood"),
        ("https://me:secret@example.org/1.0.0", "https://example.org/1.0.0: give the address of the folder alone"),
        ("https://example.org/1.0.0?key=secret", "https://example.org/1.0.0: give the address of the folder alone"),
        ("https://example.org/1.0.0#md5=0", "only #sha256=DIGEST can follow"),
        ("https://example.org/1.0.0#sha256=", "a manifest's digest has 64 hex digits"),
        ("https://example.org/1.0.0#sha256=abc", "a manifest's digest has 64 hex digits"),
        ("hub:three-cities", "write it as hub:OWNER/NAME"),
        ("hub:me/three cities", "write it as hub:OWNER/NAME"),
    ],
)
def test_what_is_no_source(cache: Path, source: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        locate(source, cache)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not cache.exists()


def test_two_pins_that_differ(cache: Path) -> None:
    with pytest.raises(UsageError, match="the digest after # and the one given beside it differ"):
        locate(f"https://example.org/1.0.0#sha256={'0' * 64}", cache, "1" * 64)


def test_redirects_on_this_machine_are_followed(
    small: Manifest, folder: Path, cache: Path, httpserver: HTTPServer
) -> None:
    serve(httpserver, folder, "/store")
    for name in remote.FILES:
        target = {"Location": f"/store/{name}"}
        httpserver.expect_request(f"{PATH}/{name}").respond_with_data(status=302, headers=target)
    assert read_manifest(locate(httpserver.url_for(PATH), cache)).digest == small.digest


def test_a_redirect_to_an_open_address_is_not_followed(cache: Path, httpserver: HTTPServer) -> None:
    target = {"Location": "http://example.org/manifest.json?signature=secret"}
    httpserver.expect_request(f"{PATH}/manifest.json").respond_with_data(status=302, headers=target)
    with pytest.raises(
        UsageError, match=r"manifest\.json: leads elsewhere \(http://example\.org: without TLS\)"
    ) as raised:
        locate(httpserver.url_for(PATH), cache)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "target", ["http://localhost:{port}/x", "https://127.0.0.1/x", "https://[::1]/x", "https://10.0.0.1/x"]
)
def test_nobody_redirects_to_another_private_address(cache: Path, httpserver: HTTPServer, target: str) -> None:
    headers = {"Location": target.format(port=httpserver.port)}
    httpserver.expect_request(f"{PATH}/manifest.json").respond_with_data(status=302, headers=headers)
    with pytest.raises(UsageError, match=r"only public https: addresses are followed to"):
        locate(f"http://127.0.0.1:{httpserver.port}{PATH}", cache)
    assert len(httpserver.log) == 1


# --- the hub


@pytest.fixture
def hub(httpserver: HTTPServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """Return a server that answers as the hub does for the data set me/three-cities, at `main` and at one commit."""
    constants = importlib.import_module("huggingface_hub.constants")
    template = httpserver.url_for("/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    serve_hub(httpserver, folder)
    return httpserver


def serve_hub(server: HTTPServer, folder: Path) -> None:
    for path in folder.iterdir():
        data = path.read_bytes()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        for revision in ("main", COMMIT):
            address = f"/datasets/me/three-cities/resolve/{revision}/{path.name}"
            server.expect_request(address).respond_with_data(data, headers=headers)


def test_a_data_set_of_the_hub(small: Manifest, cache: Path, hub: HTTPServer) -> None:
    found = locate("hub:me/three-cities", cache)
    assert read_manifest(found).digest == small.digest
    assert left_in(cache) == ["manifest.json", "photos.parquet"]
    asked = [request.path.split("/")[-2:] for request, _ in hub.log]
    # Once the commit is known all is of it, whatever is pushed in between.
    assert asked[0] == ["main", "manifest.json"]
    assert {revision for revision, _ in asked[1:]} == {COMMIT}


def test_a_commit_is_fetched_once(cache: Path, hub: HTTPServer) -> None:
    found = locate(f"hub:me/three-cities@{COMMIT}", cache)
    hub.clear()
    assert locate(f"hub:me/three-cities@{COMMIT}", cache) == found


def test_the_hub_and_a_pin(cache: Path, hub: HTTPServer) -> None:
    with pytest.raises(DataError, match=r"^hub:me/three-cities: has digest"):
        locate(f"hub:me/three-cities#sha256={'0' * 64}", cache)
    assert left_in(cache) == []


def test_a_large_file_of_the_hub_is_not_fetched(cache: Path, hub: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(remote.FILES, "photos.parquet", 1000)
    with pytest.raises(DataError, match=r"photos\.parquet is larger"):
        locate("hub:me/three-cities", cache)
    assert not [request for request, _ in hub.log if request.method == "GET" and request.path.endswith("parquet")]


@pytest.mark.parametrize(
    ("source", "status", "code", "kind", "said"),
    [
        ("hub:me/none", 401, "RepoNotFound", UsageError, "there is no such data set on the hub, or it is private"),
        ("hub:me/none", 404, "RepoNotFound", UsageError, "there is no such data set on the hub, or it is private"),
        ("hub:me/none", 403, "GatedRepo", ServiceError, "the hub refuses access"),
        ("hub:me/none@v9", 404, "RevisionNotFound", UsageError, "is not there in this revision"),
        ("hub:me/none", 404, "EntryNotFound", UsageError, "is not there in this revision"),
        ("hub:me/none", 400, "", IncompleteError, "did not answer to the end"),
    ],
)
def test_the_hub_says_no(
    cache: Path, hub: HTTPServer, source: str, status: int, code: str, kind: type[T15Error], said: str
) -> None:
    hub.expect_request(re.compile("/datasets/me/none/.*")).respond_with_data(
        "secret", status=status, headers={"X-Error-Code": code, "X-Repo-Commit": COMMIT}
    )
    with pytest.raises(kind, match=said) as raised:
        locate(source, cache)
    assert str(raised.value).startswith(f"{source}: manifest.json: ")
    assert left_in(cache) == []


def test_a_name_that_the_hub_refuses(cache: Path, hub: HTTPServer) -> None:
    with pytest.raises(UsageError, match="hub:me--you/x: is no name of a data set on the hub"):
        locate("hub:me--you/x", cache)


def test_the_library_of_the_hub_is_optional(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"hub:me/x: needs the library of the hub; pip install 't15\[publish\]'"):
        locate("hub:me/x", cache)


# --- two at a time


def test_another_process_was_quicker(
    small: Manifest, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = cache / "manifests" / hashlib.sha256(b"there").hexdigest()[:16]

    def fetch(draft: Path) -> None:
        shutil.copytree(folder, draft, dirs_exist_ok=True)

    real = shutil.rmtree

    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        real(path, ignore_errors)
        if path == kept:
            shutil.copytree(folder, kept)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert remote.cached("there", cache, None, False, fetch) == kept
    assert read_manifest(kept).digest == small.digest
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
