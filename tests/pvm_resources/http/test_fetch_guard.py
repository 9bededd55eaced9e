"""Addresses: what the allow list admits, how names are judged, where connections really go."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvm_core.errors import InputError
from pvm_resources.http import AddressError, AllowList, PinnedTransport
from pvm_resources.http.address_policy import AddressPolicy, target_of
from pvm_resources.http.addresses import literal, why_closed
from tests.standins.pictures import PictureServer, redirect, whole


def admitted(allow: str, url: str, *addresses: str) -> bool:
    guard = AddressPolicy(AllowList.parse(allow), lambda host, port: list(addresses))
    try:
        guard.addresses(guard.check(url), 5.0)
    except AddressError:
        return False
    return True


@pytest.mark.parametrize(
    ("allow", "url", "addresses", "expected"),
    [
        ("", "http://shop.example/", ["93.184.215.14"], True),
        ("", "http://shop.example/", ["2606:4700::1111"], True),
        ("", "http://shop.example/", ["64:ff9b::5db8:d70e"], True),
        ("", "http://shop.example/", ["10.0.0.1"], False),
        ("", "http://shop.example/", ["93.184.215.14", "10.0.0.1"], False),
        ("", "http://shop.example/", ["93.184.215.14", "::1"], False),
        ("", "http://shop.example/", ["::ffff:10.0.0.1"], False),
        ("", "http://shop.example/", ["fe80::1%eth0"], False),
        ("", "https://shop.example:80/", ["93.184.215.14"], True),
        ("shop.example:8080", "http://shop.example:8080/", ["93.184.215.14"], True),
        ("shop.example:8080", "http://shop.example:8081/", ["93.184.215.14"], False),
        ("shop.example:8080", "http://shop.example/", ["10.0.0.1"], False),
        ("shop.example", "http://SHOP.example.:99/", ["10.0.0.1"], True),
        ("shop.example", "http://a.shop.example/", ["10.0.0.1"], False),
        ("bücher.example", "http://xn--bcher-kva.example/", ["10.0.0.1"], True),
        ("10.1.0.0/16", "http://shop.example:9000/", ["10.1.2.3"], True),
        ("10.1.0.0/16", "http://shop.example:9000/", ["10.2.2.3"], False),
        ("10.1.0.0/16", "http://shop.example:9000/", ["93.184.215.14"], False),
        ("10.1.0.0/16", "http://shop.example/", ["10.1.2.3", "10.2.2.3"], False),
        ("10.1.0.0/16:9000", "http://10.1.2.3:9000/", [], True),
        ("10.1.0.0/16:9000", "http://10.1.2.3/", [], False),
        ("[fd00::1]:9000", "http://[fd00::1]:9000/", [], True),
        ("[fd00::1]:9000", "http://[fd00::2]:9000/", [], False),
        ("::1", "http://[::1]:5/", [], True),
        ("127.0.0.1", "http://0x7f000001/", [], False),
        ("localhost:8000, 10.1.0.0/16", "http://localhost:8000/", ["127.0.0.1", "::1"], True),
    ],
)
def test_what_is_admitted(allow: str, url: str, addresses: list[str], expected: bool) -> None:
    assert admitted(allow, url, *addresses) is expected


@pytest.mark.parametrize(
    "text", ["http://x", "a b", "10.0.0.0/99", "x:port", "10.1.2.3/16", "x/y", "u@x", "1.2.3", ":80"]
)
def test_an_allow_list_that_cannot_be_read_says_which_entry(text: str) -> None:
    with pytest.raises(InputError) as caught:
        AllowList.parse(f"fine.example, {text}", "CALLBACK_ALLOWED_HOSTS")
    assert (caught.value.code, caught.value.subject) == ("settings.invalid", "CALLBACK_ALLOWED_HOSTS")
    assert repr(text) in caught.value.reason


@given(st.ip_addresses())
def test_no_address_is_open_that_python_knows_to_be_closed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if why_closed(address) is None and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert (mapped or address).is_global
        assert not (mapped or address).is_multicast


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::", "::"]))
def test_an_address_inside_another_is_judged_as_itself(inner: ipaddress.IPv4Address, prefix: str) -> None:
    outer = ipaddress.ip_address(f"{prefix}{inner}")
    assert (why_closed(outer) is None) <= (why_closed(inner) is None)


@given(st.ip_addresses(v=4), st.data())
def test_every_notation_of_an_address_is_that_address(
    address: ipaddress.IPv4Address, data: st.DataObject
) -> None:
    value = int(address)
    cut = data.draw(st.integers(0, 3))
    parts = [(value >> 8 * (3 - n)) & 255 for n in range(cut)] + [value & ((1 << 8 * (4 - cut)) - 1)]
    write = st.sampled_from([str, hex, lambda n: f"0{n:o}", lambda n: f"0x{n:08X}"])
    text = ".".join(data.draw(write)(n) for n in parts)
    assert literal(text.lower()) == address


def test_one_resolution_decides_and_the_connection_goes_there(server: PictureServer) -> None:
    """A name server that answers otherwise the second time: rebinding."""
    server.put("/a", whole(b"body"))
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.66"]

    allow = AllowList.parse(f"127.0.0.1:{server.port}")
    with httpx.Client(transport=PinnedTransport(allow, resolver=resolver)) as client:
        answer = client.get(f"http://shop.example:{server.port}/a")
    assert (answer.content, asked) == (b"body", ["shop.example"])
    assert server.hosts == {f"shop.example:{server.port}"}


def test_a_client_that_follows_redirects_is_stopped_at_each(
    server: PictureServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pvm.http")
    server.put("/a", redirect("http://inner.example/"))
    allow = AllowList.parse(f"127.0.0.1:{server.port}")
    transport = PinnedTransport(allow, resolver=lambda host, port: ["192.168.3.4"])
    with (
        httpx.Client(transport=transport, follow_redirects=True) as client,
        pytest.raises(AddressError) as caught,
    ):
        client.get(f"{server.url}/a")
    assert caught.value.code == "fetch.address"
    assert "inner.example leads to an address that is not public" in caught.value.reason
    assert "192.168.3.4" not in str(caught.value)
    assert "inner.example is an address of a private network, 192.168.3.4" in caplog.text
    assert "PVM_FETCH_ALLOW" in caught.value.remedy


def test_addresses_of_a_name_are_tried_in_turn(server: PictureServer) -> None:
    server.put("/a", whole(b"body"))
    allow = AllowList.parse("127.0.0.0/8")
    transport = PinnedTransport(allow, resolver=lambda host, port: ["127.0.0.77", "127.0.0.1"])
    with httpx.Client(transport=transport) as client:
        assert client.get(f"http://shop.example:{server.port}/a").content == b"body"


def test_proxies_of_the_environment_are_not_asked(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.put("/a", whole(b"body"))
    transport = PinnedTransport(AllowList.parse(f"127.0.0.1:{server.port}"))
    with httpx.Client(transport=transport) as client:
        assert client.get(f"{server.url}/a").content == b"body"


def test_a_name_without_addresses_is_a_fault_of_the_connection() -> None:
    with (
        httpx.Client(transport=PinnedTransport(resolver=lambda host, port: [])) as client,
        pytest.raises(httpx.ConnectError, match="does not resolve"),
    ):
        client.get("http://shop.example/")


def test_name_servers_have_the_time_to_connect_and_no_more() -> None:
    gone = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        gone.wait(10)
        return []

    with httpx.Client(transport=PinnedTransport(resolver=resolver), timeout=0.1) as client:
        with pytest.raises(httpx.ConnectTimeout, match="name server"):
            client.get("http://shop.example/")
        gone.set()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """An HTTPS server whose certificate is for shop.example, and that certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:shop.example"
    call = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    subprocess.run(
        [*call.split(), "-addext", names, "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"secret")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, folder / "cert.pem"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("host", "fine"), [("shop.example", True), ("other.example", False)])
def test_certificates_are_checked_for_the_name_not_the_address(
    secure: tuple[int, Path], host: str, fine: bool
) -> None:
    port, certificate = secure
    transport = PinnedTransport(
        AllowList.parse("127.0.0.1"),
        resolver=lambda host, port: ["127.0.0.1"],
        ssl_context=ssl.create_default_context(cafile=certificate),
    )
    with httpx.Client(transport=transport) as client:
        # Twice by another name: a connection checked for one name must not serve the other.
        for name in ("shop.example", host):
            url = f"https://{name}:{port}/"
            if name == "shop.example" or fine:
                assert client.get(url).content == b"secret"
            else:
                with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                    client.get(url)


def test_targets_are_written_alike() -> None:
    assert str(target_of("HTTP://Shop.Example.:80/a?b#c")) == "shop.example:80"
    assert str(target_of("https://[2606:4700::1111]/")) == "[2606:4700::1111]:443"
