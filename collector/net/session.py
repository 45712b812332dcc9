"""How t15 names itself, and the session that client libraries get."""

import io
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from collector.errors import UsageError

_CONTACT = re.compile(r"(?=[!-~]{1,200}\Z)(?:https?://|[^@()]+@)[^@()]+")

Send = Callable[[requests.PreparedRequest], tuple[requests.Response, bytes]]
"""Returns the answer to a request, and its whole body, decoded."""


def user_agent(contact: str) -> str:
    """Return how t15 names itself, with whom to write to.

    Raises:
        UsageError: `contact` is neither empty nor a printable e-mail address or URL.
    """
    contact = contact.strip(" ")
    if contact and not _CONTACT.fullmatch(contact):
        raise UsageError("T15_CONTACT: must be an e-mail address or a URL where the services can reach you")
    purpose = f"photo geolocation data sets; {contact or 'no contact given'}"
    return f"t15/{version('t15')} ({purpose}) python-requests/{requests.__version__}"


def new_session(agent: str, send: Send) -> requests.Session:
    """Return a session whose every request goes through `send`, so that no library gets around it."""
    session = requests.Session()
    session.trust_env = False  # no passwords from .netrc; proxies: see transport.py
    session.headers.update({"User-Agent": agent, "Accept-Encoding": "gzip"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Door(send))
    return session


class _Door(BaseAdapter):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        answer, body = self._send(request)
        gone = ("content-encoding", "content-length", "transfer-encoding")  # they described the body as it travelled
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in gone}
        raw = HTTPResponse(io.BytesIO(body), headers, answer.status_code, reason=answer.reason, preload_content=False)
        return HTTPAdapter().build_response(answer.request, raw)

    def close(self) -> None:
        """Do nothing: the connections belong to the Http."""
