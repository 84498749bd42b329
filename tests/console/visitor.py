"""A person at the console, without a browser: forms are read from the pages and sent back."""

import re
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from http.client import HTTPMessage
from http.cookiejar import CookieJar
from typing import IO, Any, NamedTuple


class Answer(NamedTuple):
    """What came back, without following where it leads."""

    status: int
    text: str
    headers: Message


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Visitor:
    """Somebody with a cookie jar of their own. `always` are headers of each request."""

    def __init__(self, address: str) -> None:
        self.always: dict[str, str] = {}
        self._address = address
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(_Stay, urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, **headers: str) -> Answer:
        """A page."""
        return self._ask(path, None, headers)

    def post(self, path: str, fields: dict[str, Any] | bytes, **headers: str) -> Answer:
        """A form as it is given; lists are several fields of one name. Bytes are what a program sends."""
        body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields, doseq=True).encode()
        return self._ask(path, body, headers)

    def send(self, path: str, fields: dict[str, Any], *, page: str = "/password") -> Answer:
        """A form of our own pages: with the CSRF token that they carry."""
        return self.post(path, {**fields, "csrf": self.csrf(page)})

    def csrf(self, page: str = "/password") -> str:
        """The token on a page."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(page).text)
        assert found is not None, "no token on the page: not logged in"
        return found[1]

    def log_in(self, name: str, password: str) -> Answer:
        """Send the login form."""
        return self.post("/login", {"name": name, "password": password, "next": "/"})

    def choose_password(self, old: str, new: str) -> Answer:
        """Change one's own password; the session ends."""
        return self.send("/password", {"old": old, "new": new, "again": new})

    def _ask(self, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Accept": "text/html", **self.always, **more}
        request = urllib.request.Request(self._address + path, body, named)  # noqa: S310  # a console of ours
        try:
            with self._opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.headers)
