"""Keys and addresses of the services, from the environment and from nowhere else."""

import os
from urllib.parse import urlsplit

from collector.errors import ServiceError, UsageError
from collector.net.allowlist import origin_of


def key(variable: str, service: str, where: str) -> str:
    """Return the key in an environment variable.

    Args:
        variable: its name, such as `T15_FLICKR_KEY`.
        service: whose key it is, for the error.
        where: how to get one, for the error.

    Raises:
        ServiceError: it is not set.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ServiceError(f"{service} needs a key: set {variable} in the environment; {where}")
    return value


def base_url(variable: str, default: str) -> str:
    """Return a service's address: what the environment variable says, else the real one. Ends without a slash.

    Raises:
        UsageError: the variable holds no http or https URL.
    """
    value = os.environ.get(variable, "").strip() or default
    try:
        origin_of(value)
        clear = not urlsplit(value).query and not urlsplit(value).fragment
    except ValueError:
        clear = False
    if not clear:
        raise UsageError(f"{variable}: must be the address of a service, such as {default}")
    return value.rstrip("/")
