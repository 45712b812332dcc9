from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.net.allowlist import Origin, is_public, origin_of, rule_of, why_forbidden

HOSTS = ("commons.wikimedia.org", ".staticflickr.com")
LOOPBACK = Origin("http", "127.0.0.1", 8080)


def allowed(url: str) -> bool:
    try:
        return why_forbidden(origin_of(url), HOSTS, {LOOPBACK}) is None
    except ValueError:
        return False


@pytest.mark.parametrize(
    "url",
    [
        "https://commons.wikimedia.org/w/api.php?x=1",
        "https://COMMONS.wikimedia.org:443/",
        "https://live.staticflickr.com/1/2_3_z.jpg",
        "https://a.b.staticflickr.com",
        "http://127.0.0.1:8080/robots.txt",
    ],
)
def test_allowed_hosts(url: str) -> None:
    assert allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://commons.wikimedia.org/",
        "https://commons.wikimedia.org:8443/",
        "https://upload.wikimedia.org/",
        "https://commons.wikimedia.org./",
        "https://staticflickr.com/",
        "https://.staticflickr.com/",
        "https://..staticflickr.com/",
        "https://evilstaticflickr.com/",
        "https://live.staticflickr.com.evil.org/",
        "https://evil.org/live.staticflickr.com",
        "https://commons.wikimedia.org@evil.org/",
        "https://evil.org@commons.wikimedia.org/",
        "https://commons.wikimedia.org\\@evil.org/",
        "https://evil.org\\.staticflickr.com/",
        "https://evil.org#.staticflickr.com/",
        "https://evil.org%2f.staticflickr.com/",
        "https://evil.org\n.staticflickr.com/",
        "https://commons.wikimedia.org:0/",
        "https://commons.wikimedia.org:65536/",
        "https://commons.wikimedia.org:+443/",
        "https://commons.wikimedia.org:/",
        "https://ｃommons.wikimedia.org/",
        "https:commons.wikimedia.org/",
        "https://commons.wikimedia.org/a b",
        "file:///etc/passwd",
        "ftp://commons.wikimedia.org/",
        "javascript:alert(1)",
        "",
        "http://127.0.0.1:8081/",
        "https://127.0.0.1:8080/",
        "http://127.1:8080/",
        "http://2130706433:8080/",
        "http://0x7f000001:8080/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://[::1%25eth0]/",
        "http://[zz]/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    assert not allowed(url)


@given(st.text(alphabet=".:/@\\?#%[]-_ aA1\tİ", max_size=20), st.text(alphabet=".:/@\\?#%[]-_ aA1\tİ", max_size=20))
def test_nothing_around_an_allowed_name_makes_another_host_allowed(before: str, after: str) -> None:
    url = f"https://{before}staticflickr.com{after}"
    if allowed(url):
        host = origin_of(url).host
        assert host.endswith(".staticflickr.com")
        assert all(label.strip("-_").isalnum() or set(label) <= set("-_") for label in host.split("."))


def test_an_origin_reads_as_it_is_written() -> None:
    for text in ("https://example.org", "http://localhost:8000", "http://[::1]:8000"):
        assert str(origin_of(text + "/a?b#c")) == text
    assert origin_of("http://[0:0::1]").loopback
    assert origin_of("http://localhost").loopback
    assert not origin_of("http://localhost.evil.org").loopback


def test_the_most_exact_rule_counts() -> None:
    names = [".org", ".wikimedia.org", "upload.wikimedia.org"]
    assert rule_of(origin_of("https://upload.wikimedia.org"), names) == "upload.wikimedia.org"
    assert rule_of(origin_of("https://x.wikimedia.org"), names) == ".wikimedia.org"
    assert rule_of(origin_of("https://example.com"), names) is None


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9", "169.254.169.254"),
        *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.7"),
        *("203.0.113.5", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *(
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd12::1",
        ),
        *("fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1", "100::1", "64:ff9b:1::1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "", "example.org", "2130706433", "0x7f.1"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2620:0:861:ed1a::1", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_what_is_public_here_is_public_to_the_standard_library(address: IPv4Address | IPv6Address) -> None:
    if is_public(str(address)):
        inner = ip_address(int(address) & 0xFFFFFFFF) if str(address).startswith("64:ff9b::") else address
        assert inner.is_global
        assert not inner.is_multicast
