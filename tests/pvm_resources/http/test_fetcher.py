"""The fetcher against a real server: tries, pauses, many at once, fair, bounded, ended early."""

from __future__ import annotations

import gzip
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pvm_core.errors import InputError
from pvm_resources.http import FEED, PICTURE, AllowList, Fetched, Fetcher, FetchError
from pvm_resources.http.host_throttle import HostLimits
from pvm_resources.http.retry import RetryPolicy
from pvm_resources.settings import Settings
from tests.pvm_resources.http.conftest import HASTY, SMALL, MakeFetcher
from tests.standins.pictures import (
    PictureServer,
    after,
    dripping,
    head,
    in_turn,
    raw,
    redirect,
    silent,
    whole,
)

JPEG = b"\xff\xd8\xff\xe0" + bytes(2_000)


def busy(retry: object = None, status: int = 429) -> object:
    headers = {} if retry is None else {"retry_after": retry}
    return whole(b"", None, status, **headers)


# -- one -------------------------------------------------------------------------------------------


def test_a_download_says_where_it_came_from(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    server.put("/b", whole(JPEG))
    url = server.put("/a", redirect("/b"))
    fetcher = make_fetcher()
    assert fetcher.fetch(url) == Fetched(JPEG, server.url + "/b")
    assert fetcher.fetch(url).data == JPEG
    assert server.headers["user-agent"].startswith("product-video-matching/")
    assert server.headers["accept-encoding"] == "identity"
    assert "cookie" not in server.headers


def test_cookies_are_not_kept(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    url = server.put("/a", whole(JPEG, set_cookie="id=1"))
    fetcher = make_fetcher()
    fetcher.fetch(url)
    fetcher.fetch(url)
    assert "cookie" not in server.headers


def test_three_tries_and_no_more(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    url = server.put("/a", whole(b"", None, 503))
    with pytest.raises(FetchError) as caught:
        make_fetcher().fetch(url)
    assert (caught.value.attempts, caught.value.retryable, server.asked["/a"]) == (3, True, 3)
    assert "(3 tries)" in caught.value.reason


def test_what_no_other_try_mends_is_tried_once(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    url = server.put("/a", whole(b"", None, 404))
    with pytest.raises(FetchError) as caught:
        make_fetcher().fetch(url)
    assert (caught.value.attempts, caught.value.retryable, server.asked["/a"]) == (1, False, 1)


def test_a_redirect_is_part_of_its_try(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    url = server.put("/a", redirect("/b"))
    server.put("/b", whole(b"", None, 500))
    with pytest.raises(FetchError) as caught:
        make_fetcher().fetch(url)
    assert (caught.value.attempts, server.asked) == (3, {"/a": 3, "/b": 3})


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_says_when_is_asked_then(
    server: PictureServer, make_fetcher: MakeFetcher, as_date: bool
) -> None:
    # A date has whole seconds: between one and two from now.
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else 1
    url = server.put("/a", in_turn(busy(when), whole(JPEG)))  # type: ignore[arg-type]
    start = time.monotonic()
    assert make_fetcher(retries=replace(HASTY, max_retry_after_s=5)).fetch(url).data == JPEG
    assert 0.9 < time.monotonic() - start < 2.5


def test_a_server_that_asks_for_too_long_is_left_alone(
    server: PictureServer, make_fetcher: MakeFetcher
) -> None:
    server.put("/b", whole(JPEG))
    url = server.put("/a", busy(3_600))  # type: ignore[arg-type]
    fetcher = make_fetcher()
    start = time.monotonic()
    for at, attempts in ((url, 1), (server.url + "/b", 0)):
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(at)
        assert (caught.value.code, caught.value.retryable) == ("picture.rate_limited", True)
        assert caught.value.attempts == attempts
    assert "3,600 s" in caught.value.reason
    assert time.monotonic() - start < 0.5
    assert server.asked == {"/a": 1}


def test_a_closed_port_counts_as_down_after_a_while(make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(
        allow=AllowList.parse("x.example:1"), hosts=HostLimits(max_consecutive_failures=4, rest_s=0)
    )
    for n in range(3):
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(f"http://x.example:1/{n}")
        assert (caught.value.code, caught.value.retryable) == ("picture.unreachable", True)
    assert caught.value.attempts <= 3
    nowhere = make_fetcher(allow=AllowList(), resolver=lambda host, port: [])
    with pytest.raises(FetchError, match="does not resolve"):
        nowhere.fetch("http://x.example/")


def test_feeds_have_limits_and_codes_of_their_own(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    text = b"id,title\n1,a\n"
    url = server.put("/feed.csv.gz", whole(gzip.compress(text), "application/gzip"))
    fetcher = make_fetcher()
    assert fetcher.fetch(url, FEED).data == text
    server.put("/login", whole(b"<!doctype html>", "text/plain"))
    server.put("/bomb", whole(gzip.compress(b"id,title\n" * 500_000), "text/csv", content_encoding="gzip"))
    for path, code in (("/login", "fetch.type"), ("/none", "fetch.http"), ("/bomb", "fetch.too_large")):
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(server.url + path, replace(FEED, max_bytes=100_000))
        assert caught.value.code == code
    with pytest.raises(FetchError) as caught:
        fetcher.fetch("http://10.0.0.1/feed.csv", FEED)
    assert caught.value.code == "fetch.address"


def test_settings_name_ones_own_servers(server: PictureServer) -> None:
    url = server.put("/a", whole(JPEG))
    settings = Settings(PVM_FETCH_ALLOW=f"127.0.0.1:{server.port}")  # type: ignore[call-arg]
    assert Fetcher.of(settings).fetch(url).data == JPEG
    with pytest.raises(FetchError):
        Fetcher.of(Settings(PVM_FETCH_ALLOW="")).fetch(url)  # type: ignore[call-arg]
    with pytest.raises(InputError):
        Fetcher.of(Settings(PVM_FETCH_ALLOW="a b"))  # type: ignore[call-arg]


def test_a_fetcher_that_has_been_used_can_be_sent_to_a_worker_process(server: PictureServer) -> None:
    url = server.put("/a", whole(JPEG))
    fetcher = Fetcher(SMALL, AllowList.parse(f"127.0.0.1:{server.port}"), retries=HASTY)
    assert fetcher.fetch(url).data == JPEG
    assert pickle.loads(pickle.dumps(fetcher)).fetch(url).data == JPEG


def test_several_threads_share_a_servers_limits(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    server.put("/a", after(0.05, whole(JPEG)))
    fetcher = make_fetcher(hosts=HostLimits(concurrency=2, per_second=None))
    url = f"http://shop.example:{server.port}/a"
    threads = [threading.Thread(target=fetcher.fetch, args=(url,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.peak, server.asked["/a"]) == (2, 8)


# -- many ------------------------------------------------------------------------------------------


def test_each_item_comes_back_once_as_it_ends(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    server.put("/slow", after(0.3, whole(JPEG)))
    server.put("/fast", whole(JPEG))
    items = ["/slow", *["/fast"] * 30, "/none", "bad"]
    found = list(
        make_fetcher().fetch_many(
            enumerate(items), lambda item: item[1] if item[1] == "bad" else server.url + item[1]
        )
    )
    assert sorted(item[0] for item, _ in found) == list(range(len(items)))
    answers = {item[0]: answer for item, answer in found}
    assert isinstance(answers[32], FetchError)
    assert [answers[n].code for n in (31, 32)] == ["picture.http", "picture.url"]  # type: ignore[union-attr]
    assert all(isinstance(answers[n], Fetched) for n in range(31))
    assert found[-1][0][1] == "/slow"


def test_tries_and_redirects_among_many(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    for n in range(20):
        server.put(f"/{n}", in_turn(whole(b"", None, 500), redirect(f"/to/{n}")))
        server.put(f"/to/{n}", in_turn(raw(b""), whole(JPEG + bytes([n]))))
    found = dict(make_fetcher().fetch_many(range(20), lambda n: f"{server.url}/{n}"))
    assert {n: answer.data[-1] for n, answer in found.items()} == {n: n for n in range(20)}  # type: ignore[union-attr]


def test_no_more_is_held_than_was_asked_for(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    """A caller that does not take: nothing more is asked, and the source of items is not drained."""
    server.put("/a", whole(JPEG))
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for n in range(100_000):
            taken = n
            yield n

    many = make_fetcher().fetch_many(items(), lambda n: server.url + "/a", concurrency=4)
    for got in range(1, 20):
        next(many)
        time.sleep(0.02)
        assert server.asked["/a"] <= got + 4
        assert taken <= got + 4 * 65
    many.close()


@pytest.mark.parametrize("declared", [True, False])
def test_large_downloads_share_a_budget(
    server: PictureServer, make_fetcher: MakeFetcher, declared: bool
) -> None:
    """Room for two of the largest: no third body is read before one of them is taken."""
    body = b"\xff\xd8\xff" + bytes(49_997)
    answer = whole(body) if declared else raw(head() + body)
    url = server.put("/a", answer)
    many = make_fetcher().fetch_many(range(12), lambda n: url, concurrency=8, held_bytes=120_000)
    download_all = many.gi_frame.f_locals["self"]  # type: ignore[attr-defined]
    for _ in range(12):
        assert isinstance(next(many)[1], Fetched)
        time.sleep(0.02)
        assert download_all.done.qsize() <= 2
    assert list(many) == []


def test_a_slow_server_holds_up_its_own_items_only(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    server.put("/slow", silent(0.39))
    server.put("/fast", whole(JPEG))
    slow = [f"http://slow.example:{server.port}/slow"] * 40
    fast = [f"http://fast.example:{server.port}/fast"] * 40
    fetcher = make_fetcher(hosts=HostLimits(concurrency=6, per_second=None))
    start, ended = time.monotonic(), []
    many = fetcher.fetch_many([*slow, *fast], concurrency=6)
    for item, answer in many:
        if isinstance(answer, Fetched):
            assert item == fast[0]
            ended.append(time.monotonic() - start)
            if len(ended) == 40:
                break
    many.close()
    assert ended[-1] < 1.0


def test_a_server_with_a_rate_holds_up_its_own_items_only(
    server: PictureServer, make_fetcher: MakeFetcher
) -> None:
    server.put("/a", whole(JPEG))
    fetcher = make_fetcher(hosts=HostLimits(concurrency=2, per_second=10.0))
    items = [*[f"http://one.example:{server.port}/a"] * 7, f"http://two.example:{server.port}/a"]
    start = time.monotonic()
    found = [(item, time.monotonic() - start) for item, _ in fetcher.fetch_many(items)]
    assert items[-1] in [item for item, _ in found[:4]]
    assert 0.4 < found[-1][1] < 1.0


def test_a_server_that_is_down_costs_seconds_not_hours(make_fetcher: MakeFetcher) -> None:
    hosts = HostLimits(rest_s=0.05)
    fetcher = make_fetcher(allow=AllowList.parse("127.0.0.1"), hosts=hosts)
    start = time.monotonic()
    found = list(fetcher.fetch_many(range(500), lambda n: f"http://down.example:1/{n}"))
    assert time.monotonic() - start < 3
    assert {answer.code for _, answer in found} == {"picture.unreachable"}  # type: ignore[union-attr]
    assert all(answer.retryable for _, answer in found)  # type: ignore[union-attr]
    asked = sum(answer.attempts for _, answer in found)  # type: ignore[union-attr]
    assert asked <= hosts.max_consecutive_failures + hosts.concurrency


def test_closing_ends_what_is_under_way(server: PictureServer, make_fetcher: MakeFetcher) -> None:
    server.put("/now", whole(JPEG))
    server.put("/drip", dripping(head(), b"\xff\xd8\xff", 0.01))
    server.put("/mute", silent(20))
    patient = replace(PICTURE, total_s=30, read_s=30)
    paths = ["/now", *["/drip", "/mute"] * 4]
    many = make_fetcher(limits=patient).fetch_many(paths, lambda path: server.url + path, concurrency=9)
    assert next(many)[0] == "/now"
    time.sleep(0.1)
    start = time.monotonic()
    many.close()
    fetching = [t for t in threading.enumerate() if t.name.startswith("fetch-")]
    for thread in fetching:
        thread.join(5)
    assert time.monotonic() - start < 2
    assert not any(thread.is_alive() for thread in fetching)


def test_a_defect_of_the_caller_is_raised_where_it_calls(
    server: PictureServer, make_fetcher: MakeFetcher
) -> None:
    def resolver(host: str, port: int) -> list[str]:
        return ["no address"]

    fetcher = make_fetcher(resolver=resolver)
    with pytest.raises(ValueError, match="no address"):
        list(fetcher.fetch_many(["http://x.example/"]))
    with pytest.raises(ValueError, match="at least 1"):
        fetcher.fetch_many([], concurrency=0)


def test_by_default_there_are_three_tries() -> None:
    assert RetryPolicy().attempts == 3
