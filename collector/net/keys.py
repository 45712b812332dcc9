"""Keys of services: from the environment and from nowhere else."""

import os

from collector.errors import ServiceError


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
