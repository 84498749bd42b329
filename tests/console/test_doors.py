"""Nobody sees a page without login, and nobody writes without the role and the token of a page of ours.

Asked of every page and every write that the server has.
"""

import re

import pytest

from console.guard import LOGIN, Page
from console.people import ROLES
from console.server import PAGES
from console.sessions import OF_A_NAME
from tests.console.served import PASSWORD, Console
from tests.console.visitor import Answer, Visitor

OPEN = {("GET", LOGIN), ("POST", LOGIN), ("GET", "/language/{language}")}
BEHIND = [page for page in PAGES if (page.method, page.path) not in OPEN]
WRITES = [page for page in BEHIND if page.method == "POST"]
#: Who has the role that a page takes, and somebody who has not.
HAS = {"viewer": "vera", "editor": "edith", "approver": "april", "operator": "otto", "admin": "admin"}
LACKS = {"editor": "otto", "approver": "edith", "operator": "april", "admin": "max"}


def path_of(page: Page) -> str:
    """A path that reaches the page."""
    values = {"funder": "cf-west", "draft": "d", "revision": "1", "switch": "pause", "position": "off", "number": "1"}

    def value(match: re.Match[str]) -> str:
        return values.get(match[1], (match[2] or "").removeprefix(":").split("|")[0])

    return re.sub(r"\{(\w+)(:(?:[^{}]|\{[^}]*\})+)?\}", value, page.path)


def ask(visitor: Visitor, page: Page, **fields: str) -> Answer:
    """Ask for a page, or send a write."""
    path = path_of(page)
    return visitor.get(path) if page.method == "GET" else visitor.post(path, {"reason": "a test", **fields})


@pytest.mark.parametrize("page", BEHIND, ids=lambda page: f"{page.method} {page.path}")
def test_without_login_there_is_nothing(console: Console, page: Page) -> None:
    """A page leads to the login; a write is refused, and what is for programs."""
    answer = ask(console.visitor(), page)

    if page.method == "GET" and not page.by_token:
        assert (answer.status, answer.headers["Location"].split("?")[0]) == (303, LOGIN)
    else:
        assert answer.status == 401
    assert "cf-north" not in answer.text


def test_every_page_is_open_or_behind_the_login() -> None:
    """And those that are open are these three."""
    assert {(page.method, page.path) for page in PAGES if page.role is None} == OPEN
    assert {page.role for page in PAGES} == {None, *ROLES}


@pytest.mark.parametrize("page", WRITES, ids=lambda page: page.path)
@pytest.mark.parametrize("token", ["", "wrong"])
def test_no_write_without_the_token(console: Console, page: Page, token: str) -> None:
    """Also of somebody who has the role."""
    answer = ask(console.seated(HAS[page.role or ""]), page, csrf=token)

    assert answer.status == 403
    assert "Nothing has changed" in answer.text


def test_a_token_is_of_one_session(console: Console) -> None:
    """That of somebody else, or of another session of one's own, is none."""
    writer = console.seated("otto")
    for other in ("vera", "otto"):
        token = console.visitor(other).csrf()
        assert writer.post("/funders/cf-west/pause", {"reason": "x", "csrf": token}).status == 403


@pytest.mark.parametrize("page", [page for page in BEHIND if page.role in LACKS], ids=lambda page: page.path)
def test_nothing_with_another_role(console: Console, page: Page) -> None:
    """Whatever takes a role is refused to who has only others."""
    visitor = console.seated(LACKS[page.role or ""])

    answer = ask(visitor, page, csrf=visitor.csrf())

    assert answer.status == 403
    assert f"another role: {page.role}" in answer.text


def test_another_site_cannot_write(console: Console) -> None:
    """Not even with the token: the browser says where the request comes from."""
    writer = console.seated("otto")
    fields = {"reason": "x", "csrf": writer.csrf()}

    assert writer.post("/funders/cf-west/pause", fields, Sec_Fetch_Site="cross-site").status == 403
    assert console.visitor().post(LOGIN, {"name": "otto"}, Sec_Fetch_Site="cross-site").status == 403


@pytest.mark.parametrize("path", ["/", LOGIN, "/static/console.css", "/nowhere"])
def test_every_answer_has_the_security_headers(console: Console, path: str) -> None:
    """No script but ours, in no frame, no guessing of types, no address told to others."""
    headers = console.visitor().get(path).headers

    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_the_session_s_cookie_is_for_this_site_alone(console: Console) -> None:
    """No script reads it, no other site sends it; behind TLS it is never sent in clear."""
    visitor = Visitor(console.address)
    fields = {"name": "vera", "password": PASSWORD, "next": "/"}
    cookie = visitor.post(LOGIN, fields).headers["Set-Cookie"]
    behind_tls = visitor.post(LOGIN, fields, X_Forwarded_Proto="https").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" in behind_tls


@pytest.mark.parametrize("elsewhere", ["//example.org", "https://example.org", "/\\example.org"])
def test_a_login_leads_nowhere_else(console: Console, elsewhere: str) -> None:
    """A link cannot use it to lead to another site."""
    answer = Visitor(console.address).post(LOGIN, {"name": "vera", "password": PASSWORD, "next": elsewhere})

    assert answer.headers["Location"] == "/"


def test_who_guesses_is_stopped(console: Console) -> None:
    """After some failures the right password does not help either; another name still may."""
    console.invite("guessed")
    visitor = console.visitor()

    for _ in range(OF_A_NAME):
        assert visitor.log_in("guessed", "wrong").status == 403
    assert visitor.log_in("guessed", PASSWORD).status == 429
    assert visitor.log_in("vera", PASSWORD).status == 303


def test_a_new_password_ends_every_session(console: Console) -> None:
    """Of the user; the old password is none any more."""
    console.invite("renewed")
    first, second = console.visitor("renewed"), console.visitor("renewed")
    other = PASSWORD + " staple"

    assert first.choose_password(PASSWORD, other).status == 303

    assert second.get("/").status == 303
    assert second.log_in("renewed", PASSWORD).status == 403
    assert second.log_in("renewed", other).status == 303


def test_a_session_ends_with_logout(console: Console) -> None:
    """Also for who kept the cookie."""
    visitor = console.visitor("vera")
    (kept,) = (cookie for cookie in visitor.cookies if cookie.name == "loanrouter-session")

    assert visitor.send("/logout", {}).status == 303
    visitor.cookies.set_cookie(kept)

    assert visitor.get("/").headers["Location"].startswith(LOGIN)


def test_the_first_password_is_for_one_time(console: Console) -> None:
    """It was printed once, and opens nothing any more."""
    assert console.one_time() == [console.first_password]
    assert console.visitor().log_in("admin", console.first_password).status == 403


def test_a_given_password_must_be_changed_first(console: Console) -> None:
    """Before that there is no page but the one for it; a short one is refused."""
    made = console.seated("admin").send("/people", {"name": "newcomer", "what": "add", "reason": "a test"})
    (given,) = re.findall(r"<code>([^<]+)</code>", made.text)
    newcomer = console.visitor()
    newcomer.log_in("newcomer", given)

    assert newcomer.get("/").headers["Location"] == "/password"
    assert newcomer.choose_password(given, "short").status == 400
    assert newcomer.choose_password(given, PASSWORD).status == 303
    assert console.visitor("newcomer").get("/").status == 200


def test_a_user_who_was_taken_out_is_out(console: Console) -> None:
    """At once; and a new user of that name does not inherit the session."""
    console.invite("leaver")
    leaver = console.visitor("leaver")

    console.seated("admin").send("/people", {"name": "leaver", "what": "remove", "reason": "left"})
    assert leaver.get("/").status == 303
    console.invite("leaver")
    assert leaver.get("/").status == 303


def test_roles_count_at_once(console: Console) -> None:
    """Given or taken while somebody is logged in."""
    console.invite("mover", "operator")
    mover = console.visitor("mover")
    assert "/configuration/rotation/off" in mover.get("/configuration").text

    console.seated("admin").send("/people", {"name": "mover", "what": "roles", "roles": "editor", "reason": "moved"})

    assert "/configuration/rotation/off" not in mover.get("/configuration").text
    assert mover.get("/configuration/edit").status == 200


@pytest.mark.parametrize("fields", [{"what": "remove"}, {"what": "roles", "roles": "viewer"}])
def test_somebody_stays_admin(console: Console, fields: dict[str, str]) -> None:
    """The last one cannot be taken out, nor lose the role; without a reason nothing is changed at all."""
    admin = console.seated("admin")

    assert admin.send("/people", {"name": "admin", "reason": "x", **fields}).status == 409
    assert admin.send("/people", {"name": "vera", "what": "remove", "reason": " "}).status == 400
    assert console.seated("vera").get("/").status == 200
