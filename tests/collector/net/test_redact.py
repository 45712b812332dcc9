import logging
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.net.redact import MARK, Redactor, quiet_libraries

ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40)


@given(ASCII, st.text(max_size=30), st.text(max_size=30))
def test_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    redacted = Redactor([secret])
    for written in (
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(quote(secret, safe=""), safe=""),
        "".join(f"%{ord(c):02x}" for c in secret),
        "".join(f"%{ord(c):02X}" if i % 2 else c for i, c in enumerate(secret)),
    ):
        cleaned = redacted(before + written + after)
        assert secret not in cleaned
        assert written not in cleaned


@given(st.lists(ASCII, min_size=1, max_size=4), st.data())
def test_several_secrets_that_overlap(secrets: list[str], data: st.DataObject) -> None:
    pieces = st.one_of(st.sampled_from(secrets), st.sampled_from([s[:3] for s in secrets]), st.text(max_size=3))
    text = "".join(data.draw(st.lists(pieces, max_size=8)))
    cleaned = Redactor(secrets)(text)
    assert not any(secret in cleaned for secret in secrets)


def test_the_longer_of_two_secrets_is_cut_out_whole() -> None:
    assert Redactor(["abc", "abcdef"])("x abcdef y") == f"x {MARK} y"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://h/x?key=SEKRIT&size=1", "https://h/x?key=…&size=1"),
        ("https://h/x?a=1&api_key=SEKRIT", "https://h/x?a=1&api_key=…"),
        ("https://h/x?a=1&API-KEY=SEKRIT#f", "https://h/x?a=1&API-KEY=…#f"),
        ("access_token=SEKRIT", "access_token=…"),
        ("?signature=SEKRIT", "?signature=…"),
        ("?sig=SEKRIT&x", "?sig=…&x"),
        ("?X-Amz-Signature=SEKRIT&x", "?X-Amz-Signature=…&x"),
        ("?oauth_token_secret=SEKRIT&x", "?oauth_token_secret=…&x"),
        ('OAuth oauth_signature="SEKRIT", b="c"', 'OAuth oauth_signature="…", b="c"'),
        ('{"token": "SEKRIT", "n": 1}', '{"token": "…", "n": 1}'),
        ("Authorization: Bearer SEKRIT.abc", "Authorization: Bearer …"),
        ("{'Authorization': 'Basic SEKRIT=='}", "{'Authorization': 'Basic …'}"),
        ("next=https%3A%2F%2Fh%3Fkey%3DSEKRIT", "next=https%3A%2F%2Fh%3Fkey%3D…"),
    ],
)
def test_values_of_parameters_that_hold_keys(text: str, hidden: str) -> None:
    assert Redactor([])(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "monkey=3",
        "keyword=x",
        "keys: three of them",
        "the key: look it up",
        "?page=2",
        "design=4",
        "basic research",
        "",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert Redactor(["", "SEKRIT"])(text) == text


def test_hostile_text_takes_no_time() -> None:
    text = "key" * 50_000 + "%25" * 50_000 + "=" * 1000
    assert Redactor(["SEKRIT" * 5])(text)


def test_log_lines_of_the_libraries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quiet_libraries(Redactor(["SEKRIT"]))
    quiet_libraries(Redactor(["SEKRIT"]))
    logger = logging.getLogger("urllib3.connectionpool")
    assert sum(f == Redactor(["SEKRIT"]) for f in logger.filters) == 1
    logger.debug("GET %s", "/x?key=SEKRIT")
    logger.warning("Failed to parse headers (url=%s): %s", "https://h/x?key=SEKRIT", "?", exc_info=ValueError("SEKRIT"))
    for name in ("oauthlib.oauth1.rfc5849", "requests_oauthlib.oauth1_auth", "flickrapi.core"):
        logging.getLogger(name).debug("SEKRIT")
    assert "url=https://h/x?key=…" in caplog.text
    assert "SEKRIT" not in caplog.text
