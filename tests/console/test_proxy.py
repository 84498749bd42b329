"""A proxy that logs people in is believed as far as the operator says, and from nowhere else."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection

import pytest

from tests.console.conftest import Office
from tests.console.served import Console
from tests.console.visitor import Visitor


@pytest.fixture(scope="module")
def proxied(office: Office) -> Iterator[Console]:
    """A second console on the same Redis, which believes this machine's headers."""
    settings = replace(
        office.service.settings,
        console_proxy_user="X-Forwarded-User",
        console_proxy_roles="X-Forwarded-Groups",
        data=office.service.settings.data / "proxied",
    )
    console = Console(settings)
    try:
        console.start()
        yield console
    finally:
        console.stop()


def come(console: Console, name: str, groups: str = "") -> Visitor:
    """Somebody whom the proxy has logged in: their headers come with every request."""
    visitor = Visitor(console.address)
    visitor.always = {"X-Forwarded-User": name, "X-Forwarded-Groups": groups}
    return visitor


def test_who_is_logged_in_there_is_logged_in_here(proxied: Console) -> None:
    """Without a password, also under a name that is new; with the roles that the proxy tells, and no others."""
    visitor = come(proxied, "Olga@Bank.example", "staff, operator;everybody")

    assert visitor.get("/").status == 200
    page = visitor.get("/configuration").text
    assert "olga@bank.example" in page
    assert "/configuration/rotation/off" in page
    assert visitor.get("/configuration/edit").status == 403


def test_roles_are_those_of_each_request(proxied: Console) -> None:
    """Somebody who lost a group there has lost the role here at once."""
    visitor = come(proxied, "mover@bank.example", "editor")
    assert visitor.get("/configuration/edit").status == 200
    visitor.always["X-Forwarded-Groups"] = ""
    assert visitor.get("/configuration/edit").status == 403


def test_a_session_is_of_whom_the_proxy_names_now(proxied: Console) -> None:
    """When another person logs in at the proxy, the former one's cookie is worth nothing."""
    visitor = come(proxied, "one@bank.example")
    visitor.get("/")
    visitor.always["X-Forwarded-User"] = "two@bank.example"

    page = visitor.get("/password").text

    assert ("two@bank.example" in page, "one@bank.example" in page) == (True, False)


def test_writes_still_take_the_token_of_a_page(proxied: Console) -> None:
    """The proxy sends its headers with every request, also one that another site had the browser make."""
    visitor = come(proxied, "olga@bank.example", "operator")
    visitor.get("/")

    assert visitor.post("/funders/cf-west/pause", {"reason": "x"}).status == 403


def test_nobody_else_is_believed(proxied: Console, console: Console) -> None:
    """Not from another address, and not by a console that was not told to."""
    headers = {"X-Forwarded-User": "admin", "X-Forwarded-Groups": "admin"}
    there = HTTPConnection("127.0.0.1", proxied.settings.console_port, source_address=("127.0.0.2", 0))
    with closing(there) as elsewhere:
        elsewhere.request("GET", "/people", headers=headers)
        with elsewhere.getresponse() as answer:
            assert answer.status == 303
    assert come(console, "admin", "admin").get("/people").status == 303


@pytest.mark.parametrize("name", ["no spaces", "-", "x" * 65])
def test_a_name_that_is_none_is_not_let_in(proxied: Console, name: str) -> None:
    """It is led to the login."""
    assert come(proxied, name, "admin").get("/").status == 303
