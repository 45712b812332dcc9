"""Which addresses may be talked to: the rule about URLs, and the rule about the IP addresses that names stand for."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
"""Host and port and nothing else: where parsers disagree (`user@host`, `host\\@other`), nothing is accepted."""

_GIVEN_OUT = IPv6Network("2000::/3")
_UNKNOWN_TO_PYTHON_3_11 = (IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20"))  # both special, RFC 6890 and 9637
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is the last 32 bits


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IPv6 without brackets) and port of a URL; RFC 6454."""

    scheme: str
    host: str
    port: int

    @property
    def default_port(self) -> bool:
        """Whether the port is the scheme's own."""
        return self.port == _DEFAULT_PORTS[self.scheme]

    @property
    def loopback(self) -> bool:
        """Whether this is the machine itself, by name or by number."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.default_port else f"{self.scheme}://{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """Return a URL's origin.

    Raises:
        ValueError: it is no plain http or https URL: another scheme, a user name, a character that does not belong there.
    """
    if not url.isascii() or not url.isprintable() or " " in url:  # urlsplit drops tabs and line ends without a word
        raise ValueError("a character that does not belong into a URL")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("neither http nor https")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None:
        raise ValueError("more or less than a host and a port")
    host, port = authority[1].lower(), int(authority[2] or _DEFAULT_PORTS[parts.scheme])
    if host.startswith("["):
        host = str(IPv6Address(host[1:-1]))
    if not 0 < port < 65536:
        raise ValueError("no such port")
    return Origin(parts.scheme, host, port)


def rule_of(origin: Origin, hosts: Iterable[str]) -> str | None:
    """Return the name among `hosts` that allows a host: its own, else the longest that begins with a dot."""
    above = (name for name in hosts if name == origin.host or (name.startswith(".") and origin.host.endswith(name)))
    return max(above, key=len, default=None)


def why_forbidden(
    origin: Origin, hosts: Iterable[str], own: Container[Origin], *, anywhere: bool = False
) -> str | None:
    """Return why an origin must not be talked to, None when it may be.

    Args:
        origin: of the URL.
        hosts: allowed names, over TLS and at the usual port; one that begins with a dot allows every host below it.
        own: origins that the user has set: these may be anything.
        anywhere: every host is allowed, over TLS and at the usual port.
    """
    if origin in own:
        return None
    if not anywhere and rule_of(origin, hosts) is None:
        return "not among the hosts that the provider allows"
    if origin.scheme != "https":
        return "without TLS"
    if not origin.default_port:
        return "not the usual port"
    return None


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet.

    Private, loopback, link-local, shared (RFC 6598), multicast, reserved and documentation addresses are not; nor are IPv6
    addresses that carry an IPv4 address (mapped, 6to4, Teredo), except NAT64's, which networks without IPv4 need: there the
    address inside decides.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed in _NAT64:
            return is_public(str(IPv4Address(int(parsed) & 0xFFFFFFFF)))
        if parsed.ipv4_mapped or parsed.sixtofour or parsed.teredo or parsed not in _GIVEN_OUT:
            return False
    special = any(parsed in block for block in _UNKNOWN_TO_PYTHON_3_11 if block.version == parsed.version)
    return parsed.is_global and not parsed.is_multicast and not special
