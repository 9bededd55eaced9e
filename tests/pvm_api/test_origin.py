"""Which hosts a server answers to, and which requests are a foreign page's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_api.origin import Authority, Hosts, Proxies, foreign_fetch, foreign_page, host_of, is_foreign
from pvm_core.errors import InputError
from pvm_resources.settings import networks_of

HERE = Authority("127.0.0.1", 3000)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:3000", "127.0.0.1", 3000),
        ("localhost", "localhost", None),
        ("LocalHost.:80", "localhost", 80),
        ("[::1]:3000", "::1", 3000),
        ("[0:0:0:0:0:0:0:1]", "::1", None),
        ("[::ffff:127.0.0.1]:1", "127.0.0.1", 1),
        ("[::FFFF:7f00:1]", "127.0.0.1", None),
        ("PVM.Example.org.", "pvm.example.org", None),
        ("host:", "host", None),
    ],
)
def test_hosts_are_read_in_one_form(text: str, host: str, port: int | None) -> None:
    assert Authority.parse(text) == Authority(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", ":80", "[::1", "::1", "a b", "user@host", "host/path", "host:80:80", "host:x", "[::1%eth0]",
        "host\n", "host:123456", "127.0.0.1,evil", "127.0.0.01", "1.2.3", "[evil]", "gối.vn", "a?b", "a#b",
    ],
)  # fmt: skip
def test_what_is_no_host_names_none(text: str) -> None:
    assert Authority.parse(text) is None


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.0.0.1", True), ("127.8.9.1", True), ("[::1]", True),
        ("[::ffff:127.0.0.1]", True), ("0.0.0.0", False), ("[::]", False), ("evil.example", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("xlocalhost", False),
        ("a.localhost", False), ("192.168.1.5", False),
    ],
)  # fmt: skip
def test_only_names_of_this_machine_are_its_own(text: str, loopback: bool) -> None:
    found = Authority.parse(text)
    assert found is not None
    assert found.loopback is loopback
    assert Hosts().allow(found) is loopback


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_none(text: str) -> None:
    found = Authority.parse(text)
    assert (
        found is None or Authority.parse(f"[{found.host}]" if ":" in found.host else found.host) is not None
    )
    assert host_of(text) is None or host_of(text) == host_of(text.upper())


def test_further_hosts_are_named() -> None:
    hosts = Hosts.parse(" PVM.example.org., 10.0.0.7, fd00::1 ,[fd00::2],", "PVM_UI_HOSTS")

    assert hosts.names == {"pvm.example.org", "10.0.0.7", "fd00::1", "fd00::2"}
    assert hosts.allow(Authority("pvm.example.org", 8443))
    assert not hosts.allow(Authority("a.pvm.example.org"))


@pytest.mark.parametrize("text", ["pvm.example.org:80", "http://pvm.example.org", "a b", "*", "10.0.0.0/8"])
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"PVM_UI_HOSTS.*settings\.invalid"):
        Hosts.parse(text, "PVM_UI_HOSTS")


def test_the_address_a_request_arrived_at_is_fine() -> None:
    assert Hosts().allow(Authority("192.168.1.5", 3000), "192.168.1.5")
    assert Hosts().allow(Authority("fe80::1"), "fe80::1%eth0")
    assert Hosts().allow(Authority("192.168.1.5"), "::ffff:192.168.1.5")
    assert not Hosts().allow(Authority("192.168.1.6"), "192.168.1.5")
    assert not Hosts().allow(Authority("0.0.0.0"), "127.0.0.1")


def test_proxies_are_trusted_by_address() -> None:
    proxies = Proxies(networks_of("127.0.0.1, 10.1.0.0/16, fd00::/8"))

    assert all(map(proxies.trust, ["127.0.0.1", "10.1.2.3", "fd12::1", "::ffff:10.1.2.3"]))
    assert not any(map(proxies.trust, ["127.0.0.2", "10.2.0.1", "", None, "unix:", "evil"]))
    assert not Proxies()


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "https://127.0.0.1:3000"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, False),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "http://127.0.0.1"}, True),
        ({"origin": "http://127.0.0.1:3001"}, True),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "file://127.0.0.1:3000"}, True),
        ({"origin": "chrome-extension://127.0.0.1:3000"}, True),
        ({"origin": "http://127.0.0.1:3000@evil.example"}, True),
        ({"origin": "http://127.0.0.1:3000, http://evil.example"}, True),
        ({"origin": "http://[::1"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"}, True),
        ({"sec-fetch-site": "Same-Origin"}, True),
        ({"sec-fetch-site": ""}, True),
    ],
)
def test_the_page_behind_a_request_is_judged(headers: dict[str, str], foreign: bool) -> None:
    assert (foreign_page(headers, HERE) is not None) is foreign
    assert is_foreign("POST", {"host": "127.0.0.1:3000", **headers}) is foreign
    assert not is_foreign("GET", {"host": "127.0.0.1:3000", **headers})


def test_the_port_of_a_scheme_need_not_be_written() -> None:
    assert foreign_page({"origin": "https://pvm.example.org"}, Authority("pvm.example.org", 443)) is None
    assert foreign_page({"origin": "https://pvm.example.org:443"}, Authority("pvm.example.org")) is None
    assert foreign_page({"origin": "https://pvm.example.org:80"}, Authority("pvm.example.org")) is not None


def test_further_origins_may_be_allowed() -> None:
    headers = {"host": "h", "origin": "https://shop.example", "sec-fetch-site": "cross-site"}
    assert is_foreign("POST", headers)
    assert not is_foreign("POST", headers, {"https://shop.example"})


def test_links_lead_here_and_nothing_else_does() -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

    assert not foreign_fetch({})
    assert not foreign_fetch(link)
    assert foreign_fetch({**link, "sec-fetch-dest": "iframe"})
    assert foreign_fetch({**link, "sec-fetch-mode": "no-cors"})
    assert foreign_fetch({"sec-fetch-site": "same-site"})
