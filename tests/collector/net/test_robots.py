import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.net.robots import MAX_BYTES, Rules, Sites, says_noai


def allows(text: str, path: str) -> bool:
    return Rules(text.encode()).allows("https://example.org" + path)


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("", "/a", True),
        ("Disallow:", "/a", True),
        ("Disallow: /", "/a", False),
        ("Disallow: /", "", False),
        ("Disallow: /", "/robots.txt", True),
        ("Disallow: /a", "/b", True),
        ("Disallow: /a", "/abc", False),
        ("Disallow: /a/", "/a", True),
        ("Disallow: /A", "/a", True),
        ("Disallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("Allow: /a\nDisallow: /a/b", "/a/b/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Disallow: /*.jpg$", "/x/y.jpg", False),
        ("Disallow: /*.jpg$", "/x/y.jpg?z", True),
        ("Disallow: /*.jpg", "/x/y.jpg?z", False),
        ("Disallow: /a*b*c", "/a-b-c-d", False),
        ("Disallow: /a*b*c", "/a-c-b", True),
        ("Disallow: /a$", "/a", False),
        ("Disallow: /a$", "/ab", True),
        ("Disallow: /ab*ab$", "/ab", True),
        ("Disallow: /ab*ab$", "/abab", False),
        ("Disallow: *", "/a", False),
        ("Disallow: $", "/a", True),
        ("Disallow: /*?id=", "/x?id=3", False),
        ("Disallow: /%7Euser", "/~user", False),
        ("Disallow: /ğ", "/%c4%9f.jpg", False),
        ("Disallow: /a%2Fb", "/a/b", True),
        ("disallow : /a # why", "/a", False),
        ("Crawl-delay: 5\nDisallow: /a", "/a", False),
        ("Nonsense\n:::\nDisallow: /a", "/a", False),
    ],
)
def test_rules(rules: str, path: str, allowed: bool) -> None:
    assert allows(f"User-agent: *\n{rules}\n", path) is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: t15\nDisallow: /", False),
        ("User-Agent: T15/2.0 (why)\nDisallow: /", False),
        ("User-agent: t\nDisallow: /", True),
        ("User-agent: t155\nDisallow: /", True),
        ("User-agent: other\nDisallow: /", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: t15\nDisallow: /b", True),
        ("User-agent: t15\nUser-agent: other\nDisallow: /", False),
        ("User-agent: other\nUser-agent: t15\n\nDisallow: /", False),
        ("User-agent: t15\nDisallow: /b\nUser-agent: other\nDisallow: /", True),
        ("User-agent: t15\nDisallow: /b\n\nUser-agent: t15\nDisallow: /a", False),
        ("User-agent: t15\n\nUser-agent: *\nDisallow: /", False),
        ("Disallow: /", True),
        ("\ufeffUser-agent: *\r\nDisallow: /\r\n", False),
        ("User-agent: *\rDisallow: /", False),
        ("<html>User-agent: *</html>", True),
    ],
)
def test_which_group_is_ours(text: str, allowed: bool) -> None:
    assert allows(text, "/a") is allowed


def test_only_so_much_is_read_and_no_half_line() -> None:
    filler = "#" * 99 + "\n"
    head = "User-agent: *\nDisallow: /private\n"
    long = (head + filler * (MAX_BYTES // 100 + 10) + "Disallow: /late\n").encode()
    assert not Rules(long).allows("https://example.org/private")
    assert Rules(long).allows("https://example.org/late")
    lines = b"User-agent: *\n" + b"#" * (MAX_BYTES - 26) + b"\nDisallow: /private"
    assert len(lines) > MAX_BYTES
    assert Rules(lines).allows("https://example.org/other")


def test_a_hostile_file_takes_no_time() -> None:
    text = "User-agent: *\n" + "Disallow: /" + "*a" * 20_000 + "b\n" + "Disallow: /x\n" * 20_000
    assert allows(text, "/" + "a" * 40_000)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(body: bytes) -> None:
    assert Rules(body).allows("https://example.org/a?b") in (True, False)
    rules = Rules(b"User-agent: *\nDisallow: " + body)
    assert rules.allows("https://example.org/" + body.decode("latin-1")) in (True, False)


def test_each_site_is_asked_once_a_day() -> None:
    asked: list[str] = []
    now = [0.0]

    def ask(url: str) -> Rules:
        asked.append(url)
        return Rules(b"User-agent: *\nDisallow: /no")

    sites = Sites(ask, lambda: now[0])
    assert sites.allow("https://a.org/x")
    assert not sites.allow("https://a.org:443/no")
    assert sites.allow("https://b.org/x")
    now[0] = 86399
    assert sites.allow("https://a.org/x")
    assert asked == ["https://a.org/robots.txt", "https://b.org/robots.txt"]
    now[0] = 86400
    assert sites.allow("https://a.org/x")
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("tags", "noai"),
    [
        ([], False),
        (["noindex, nofollow"], False),
        (["noai"], True),
        (["NoAI"], True),
        (["noindex,noimageai"], True),
        (["noindex", "noai"], True),
        (["t15: noai"], True),
        (["T15: noindex, noai"], True),
        (["otherbot: noai"], False),
        (["otherbot: noindex, noai"], False),
        (["otherbot: noindex", "noai"], True),
        (["*: noai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 GMT, noai"], True),
        (["max-image-preview: large, noai"], True),
        (["noaim"], False),
        (["", ",,:", ":noai"], False),
    ],
)
def test_noai(tags: list[str], noai: bool) -> None:
    assert says_noai(tags) is noai
