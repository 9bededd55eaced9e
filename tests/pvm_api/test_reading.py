"""Reading over HTTP: pages that lose and repeat nothing, pictures in parts, search, rules."""

from __future__ import annotations

import contextlib
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pvm_api.paging import Cursors
from pvm_api.problems import ApiError
from pvm_assets.work.pictures import store_picture
from pvm_core import ids
from pvm_core.images import Rgb, decode_stored, encode_mask
from pvm_core.scoring.reason import Reason
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database, Statement
from pvm_resources.store.assembly import Store
from pvm_resources.store.galleries import GalleryPicture
from pvm_resources.store.match_record import MatchRecord
from pvm_resources.store.matching import evidence_key
from pvm_resources.store.records import JobVideo, Product
from tests.pvm_api.drawn import embed, jpeg
from tests.pvm_resources import world
from tests.pvm_resources.world import World


def _pages(client: TestClient, url: str) -> list[dict[str, Any]]:
    """Every item of a list, by following `next`."""
    found: list[dict[str, Any]] = []
    following: str | None = url
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        following = answer.json()["next"]
        assert following is None or following.startswith("http://testserver/")
    return found


def _many(repos: Store, base: World, count: int, seed: int = 0) -> list[MatchRecord]:
    """More matches of the job: one product each, scores that repeat."""
    rng = np.random.default_rng(seed)
    template = world.matches(base)[2]
    products = [
        Product(ids.product_id("many", f"{seed}-{n}"), "file", "many", f"{seed}-{n}") for n in range(count)
    ]
    repos.catalogue.set_products(base.job.job_id, [*base.products, *products])
    return [
        replace(
            template,
            match_id=ids.match_id(base.job.job_id, p.product_id, template.video_id),
            best=replace(template.best, product_id=p.product_id),
            score=float(rng.integers(0, 8)) / 10,
            status="rejected",
        )
        for p in products
    ]


# -- pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_every_match_comes_once_best_first(client: TestClient, repos: Store, done: World, limit: int) -> None:
    repos.matching.replace_matches("job-1", [*world.matches(done), *_many(repos, done, 40)])
    found = _pages(client, f"/v1/results?min_score=0&job=job-1&limit={limit}")
    assert len(found) == len({row["match_id"] for row in found}) == 43
    scores = [row["score"] for row in found]
    assert scores == sorted(scores, reverse=True)


def test_rows_written_meanwhile_neither_hide_nor_repeat_others(
    client: TestClient, repos: Store, done: World
) -> None:
    first = [*world.matches(done), *_many(repos, done, 60)]
    repos.matching.replace_matches("job-1", first)
    stop = threading.Event()

    def write() -> None:
        more = list(first)
        for seed in range(1, 40):
            if stop.is_set():
                return
            more += _many(repos, done, 3, seed)
            repos.matching.replace_matches("job-1", more)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = _pages(client, "/v1/results?min_score=0&job=job-1&limit=3")
    finally:
        stop.set()
        writer.join()
    met = [row["match_id"] for row in found]
    assert len(met) == len(set(met))
    assert {str(match.match_id) for match in first} <= set(met)


def test_jobs_made_meanwhile_neither_hide_nor_repeat_others(client: TestClient, repos: Store) -> None:
    slug = repos.industries.ensure("giày").slug
    first = [repos.jobs.create(slug, {}).job_id for _ in range(9)]
    found, following = [], "/v1/jobs?limit=2&industry=giày"
    while following:
        page = client.get(following).json()
        found += [job["job_id"] for job in page["items"]]
        following = page["next"]
        repos.jobs.create(slug, {})
    assert found == first[::-1]


def test_events_and_problems_come_once(client: TestClient, done: World) -> None:
    events = _pages(client, "/v1/jobs/job-1/events?limit=2")
    assert len({event["event_id"] for event in events}) == len(events) > 10
    assert len(_pages(client, "/v1/jobs/job-1/problems?limit=1")) == 1


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "%00", "a" * 3_000])
def test_a_cursor_that_is_not_ours_is_refused(shared_client: TestClient, cursor: str) -> None:
    answer = shared_client.get(f"/v1/results?cursor={cursor}")
    assert answer.status_code == (200 if cursor == "" else 422)


def test_a_cursor_of_other_filters_is_refused(client: TestClient, done: World) -> None:
    following = client.get("/v1/results?min_score=0&limit=1").json()["next"]
    cursor = following.rpartition("cursor=")[2]
    resized = client.get(f"/v1/results?min_score=0&limit=2&cursor={cursor}")
    assert resized.status_code == 200, "the size may change"
    for other in ("/v1/results?min_score=0.1&limit=1", "/v1/jobs?limit=1"):
        assert client.get(f"{other}&cursor={cursor}").json()["code"] == "cursor.invalid"


_place = st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))


@given(_place, st.integers(0, 200))
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_cursor_says_what_it_was_given_and_no_bit_can_be_changed(place: list[Any], at: int) -> None:
    cursors = Cursors(lambda: b"k" * 32)
    text = cursors.write("list", {"a": 1}, place)
    assert cursors.read("list", {"a": 1, "b": None}, text) == place
    at %= len(text)
    changed = text[:at] + ("A" if text[at] != "A" else "Q") + text[at + 1 :]
    with contextlib.suppress(ApiError):
        assert cursors.read("list", {"a": 1}, changed) == place, "the last letter holds unused bits"


# -- results ------------------------------------------------------------------------------------------


def test_results_are_those_of_the_latest_job_of_each_industry(
    client: TestClient, repos: Store, done: World
) -> None:
    newer = world.make(repos, job_id="job-2")
    world.write(repos, newer)
    other = world.make(repos, "giày", job_id="job-3")
    world.write(repos, other)
    jobs = {row["job_id"] for row in _pages(client, "/results?min_score=0")}
    assert jobs == {"job-2", "job-3"}
    assert {r["job_id"] for r in _pages(client, "/results?min_score=0&industry=giày")} == {"job-3"}
    assert {r["job_id"] for r in _pages(client, "/results?min_score=0&job=job-1")} == {"job-1"}
    assert _pages(client, "/results?min_score=0&job=job-1&industry=giày") == []
    assert len(_pages(client, "/results?min_score=0&all=true")) == 9
    assert {r["job_id"] for r in _pages(client, "/results?min_score=0&all=true&industry=giày")} == {"job-3"}
    repos.jobs.set_running("job-2", "again")
    assert {r["job_id"] for r in _pages(client, "/results?min_score=0")} == {"job-1", "job-3"}, (
        "a running job is no result"
    )


@pytest.mark.parametrize(
    ("query", "products"),
    [
        ("", ["P0"]),
        ("&limit=200&sort=doubt", ["P0"]),
        ("&min_score=0", ["P0", "P1", "P2"]),
        ("&status=review&status=rejected", ["P1", "P2"]),
        ("&verdict=none", ["P0", "P1", "P2"]),
    ],
)
def test_without_a_filter_results_are_the_accepted_ones(
    client: TestClient, done: World, query: str, products: list[str]
) -> None:
    found = client.get(f"/v1/results?job=job-1{query}").json()["items"]
    assert [row["product"] for row in found] == products
    assert products != ["P0"] or [row["status"] for row in found] == ["accepted"]


def test_results_are_filtered_and_flat(client: TestClient, done: World) -> None:
    (row,) = client.get("/results?min_score=0.8").json()["items"]
    assert (row["product"], row["video"], row["status"], row["title"]) == ("P0", "clip0", "accepted", "Gối 0")
    assert not any(isinstance(value, dict | list) for value in row.values())
    assert [r["status"] for r in _pages(client, "/results?status=review&status=rejected")] == [
        "review",
        "rejected",
    ]
    product = done.products[1].product_id
    assert [r["product"] for r in _pages(client, f"/results?min_score=0&product={product}")] == ["P1"]
    assert client.get("/results?status=maybe").status_code == 422
    assert client.get("/results?min_score=nan").status_code == 422
    assert {value for name, value in row.items() if name.startswith("rival_")} == {None}
    for name in ("match_url", "evidence_url", "product_image_url", "frame_url"):
        assert client.get(row[name]).status_code == 200, name


def test_a_contested_match_names_its_rival(client: TestClient, repos: Store, done: World) -> None:
    match, rival = world.matches(done)[1], done.products[0]

    def told(values: dict[str, str | float]) -> dict[str, Any]:
        scores = {"rival_score": 0.83, "best": 0.85, "margin": 0.05}
        contested = replace(match, reason=Reason("rival", {**scores, **values}))
        repos.matching.replace_matches("job-1", [contested, world.matches(done)[0]])
        found = client.get(f"/v1/matches/{match.match_id}").json()
        return {name: found[name] for name in found if name.startswith("rival_")}

    named: dict[str, str | float] = {"rival": str(rival.product_id)}
    second = done.images[1]
    found = told({**named, "rival_image": str(second.img_id)})
    assert (found["rival_product"], found["rival_title"], found["rival_score"]) == ("P0", "Gối 0", 0.83)
    assert found["rival_product_id"] == str(rival.product_id)
    assert found["rival_image_url"].endswith(str(second.img_id))
    assert client.get(found["rival_image_url"]).status_code == 200
    assert client.get(found["rival_match_url"]).json()["product"] == "P0"
    # Of a release before pictures were named: its first one.
    assert told(named)["rival_image_url"] is not None
    for odd in ("", "nobody", str(uuid.uuid4()), "-" * 36, "' OR 1=1 --"):
        assert set(told({"rival": odd}).values()) == {None}


def test_evidence_is_drawn_in_the_language_and_under_the_verdict(
    client: TestClient, repos: Store, media: MediaStore, done: World
) -> None:
    match = world.matches(done)[0]
    media.put(f"masks/{match.best.img_id}.png", encode_mask(np.full((90, 120), 255, np.uint8)))
    measured = "UPDATE pair_evidence SET raw = raw || '{\"tentative\": 30}'"
    repos.database.commit(Statement(measured))
    address = f"/v1/matches/{match.match_id}/evidence"
    stored = client.get(address)
    assert stored.content == media.get(f"evidence/{match.match_id}.jpg")
    vietnamese = client.get(f"{address}?lang=vi")
    assert (vietnamese.status_code, vietnamese.headers["content-type"]) == (200, "image/jpeg")
    assert decode_stored(vietnamese.content).shape[1] == 1500
    assert client.get(f"{address}?lang=fr").status_code == 422
    tag = vietnamese.headers["etag"]
    same = client.get(f"{address}?lang=vi", headers={"If-None-Match": tag})
    assert same.status_code == 304
    client.post(f"/v1/matches/{match.match_id}/label", json={"verdict": "reject"})
    judged = client.get(address)
    assert judged.content != stored.content
    assert judged.headers["etag"] != stored.headers["etag"]
    changed = client.get(f"{address}?lang=vi", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    client.post(f"/v1/matches/{match.match_id}/label", json={"verdict": "undo"})
    assert client.get(address).content == stored.content


def test_evidence_with_faces_is_not_served_where_they_are_to_be_blurred(
    client: TestClient, repos: Store, media: MediaStore, done: World
) -> None:
    match = world.matches(done)[0]
    address = f"/v1/matches/{match.match_id}/evidence"
    assert client.get(address).status_code == 200
    repos.industries.set_rules(done.job.industry, "default", {"blur_faces": True})
    for query in ("", "?lang=vi", "?layout=portrait"):
        refused = client.get(address + query)
        assert (refused.status_code, refused.json()["code"]) == (409, "evidence.faces")
        assert "make attention" in refused.json()["remedy"]
    # Frames stay as they are: whoever reads them has a key.
    assert client.get(f"/v1/frames/{match.best.frame_id}").status_code == 200
    # One that was drawn with blurred faces needs no network to be served.
    key = evidence_key(done.job.job_id, match.match_id, blurred=True)
    media.put(key, jpeg(7, 1500, 1046))
    repos.matching.set_evidence(done.job.job_id, {match.match_id: key})
    assert client.get(address).content == media.get(key)
    repos.industries.set_rules(done.job.industry, "default", {})
    assert client.get(address).status_code == 200


def test_a_match_outlives_its_pictures(client: TestClient, database: Database, done: World) -> None:
    match = world.matches(done)[0]
    database.commit(
        Statement(
            "UPDATE matches SET best_img_id = NULL, evidence_path = NULL, media_purged_at = now() "
            "WHERE match_id = %s",
            [match.match_id],
        )
    )
    row = client.get(f"/v1/matches/{match.match_id}").json()
    assert row["evidence_url"] is None
    assert row["product_image_url"] is None
    assert row["media_purged_at"] is not None
    assert row["product_url"] == "u"
    assert client.get(f"/v1/matches/{match.match_id}/evidence").status_code == 404


def test_one_by_one(client: TestClient, done: World) -> None:
    match, product, video = world.matches(done)[0].match_id, done.products[0], done.videos[0]
    for prefix in ("", "/v1"):
        assert client.get(f"{prefix}/matches/{match}").json()["match_id"] == str(match)
        assert client.get(f"{prefix}/products/{product.product_id}").json()["product"] == "P0"
        assert len(client.get(f"{prefix}/videos/{video.video_id}").json()["frames"]) == 3
        for kind in ("matches", "products", "videos"):
            assert client.get(f"{prefix}/{kind}/{uuid.uuid4()}").status_code == 404
            assert client.get(f"{prefix}/{kind}/1").status_code == 422


# -- pictures and videos ------------------------------------------------------------------------------


def test_what_must_go_again_is_kept_in_no_cache(client: TestClient, repos: Store, done: World) -> None:
    urls = (f"/v1/images/{done.images[0].img_id}", f"/v1/matches/{world.matches(done)[0].match_id}/evidence")
    frame = f"/v1/frames/{done.frames[0].frame_id}"
    assert "no-store" not in {client.get(url).headers["cache-control"] for url in (*urls, frame)}
    repos.database.commit(Statement("UPDATE products SET src = 'ebay'"))
    assert {client.get(url).headers["cache-control"] for url in urls} == {"no-store"}
    assert "immutable" in client.get(frame).headers["cache-control"]


def test_a_picture_is_served_once_and_in_parts(client: TestClient, media: MediaStore, done: World) -> None:
    image = done.images[0]
    url, data = f"/v1/images/{image.img_id}", media.get(image.local_path)
    whole = client.get(url)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "image/jpeg"
    assert "immutable" in whole.headers["cache-control"]
    tag = whole.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = client.get(url, headers={"If-None-Match": known})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == tag
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    for asked, expected in (
        ("bytes=0-9", data[:10]),
        ("bytes=10-", data[10:]),
        ("bytes=-7", data[-7:]),
        (f"bytes=5-{10**15}", data[5:]),
    ):
        part = client.get(url, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, expected)
        first = len(data) - len(expected) if asked != "bytes=0-9" else 0
        assert part.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(data)}"
    for ignored in ("bytes=9-3", "bytes=-", "lines=1-2", "bytes=0-1,4-5", "bytes=a-b"):
        assert client.get(url, headers={"Range": ignored}).content == data, ignored
    for outside in (f"bytes={len(data)}-", "bytes=-0"):
        refused = client.get(url, headers={"Range": outside})
        assert refused.status_code == 416, outside
        assert refused.headers["content-range"] == f"bytes */{len(data)}"
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"old"'}).content == data
    assert len(client.get(url, headers={"Range": "bytes=0-9", "If-Range": tag}).content) == 10


@pytest.mark.parametrize("kind", ["images", "frames", "matches", "videos"])
@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%00", "x", str(uuid.UUID(int=1))])
def test_no_path_leads_to_a_file(shared_client: TestClient, kind: str, name: str) -> None:
    tail = {"matches": "/evidence", "videos": "/file"}.get(kind, "")
    answer = shared_client.get(f"/v1/{kind}/{name}{tail}")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_lost_picture_is_not_there(client: TestClient, media: MediaStore, done: World) -> None:
    media.delete(done.images[0].local_path)
    assert client.get(f"/v1/images/{done.images[0].img_id}").json()["code"] == "media.missing"


def test_a_video_is_served_where_its_file_is_kept(
    client: TestClient, repos: Store, done: World, tmp_path: Path
) -> None:
    path = tmp_path / "clip0.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 4_000)
    video, size = done.videos[0], path.stat().st_size
    url = f"/v1/videos/{video.video_id}/file"
    assert client.get(url).json()["code"] == "video.not_kept"
    repos.videos.set_videos(
        "job-1", done.videos, [JobVideo("clip0", video.video_id, str(path), size, 1.0, 0), *done.members[1:]]
    )
    assert client.get(f"/v1/videos/{video.video_id}").json()["file_url"].endswith(url)
    whole = client.get(url)
    assert (whole.content, whole.headers["content-type"]) == (path.read_bytes(), "video/mp4")
    part = client.get(url, headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, path.read_bytes()[1000:2000])
    assert part.headers["content-length"] == "1000"
    assert client.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    path.write_bytes(b"another file of another size")
    assert client.get(url).status_code == 404


# -- search -------------------------------------------------------------------------------------------


def test_products_like_a_picture(client: TestClient, repos: Store, done: World) -> None:
    embed(repos, {image.img_id: jpeg(n) for n, image in enumerate(done.images)})
    found = client.post("/v1/products/similar?limit=3", files={"picture": ("a.jpg", jpeg(2), "image/jpeg")})
    assert found.status_code == 200, found.text
    best = found.json()["items"][0]
    assert best["image_id"] == str(done.images[2].img_id)
    assert best["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert len(found.json()["items"]) == 3
    stored = client.get(f"/v1/products/similar?image_id={done.images[2].img_id}&limit=2").json()["items"]
    assert str(done.images[2].img_id) not in {one["image_id"] for one in stored}
    for data, code in ((b"", "picture.empty"), (b"%PDF-1.7", "picture.type"), (jpeg(1)[:200], None)):
        refused = client.post("/v1/products/similar", files={"picture": ("a.jpg", data, "image/jpeg")})
        assert refused.status_code == 422
        assert code in (None, refused.json()["code"])
    large = client.post("/v1/products/similar", files={"picture": ("a.jpg", jpeg(1) + b"\0" * 16_000_000)})
    assert large.status_code == 413
    assert client.post("/v1/products/similar", data={"picture": "text"}).status_code == 422


def _noisy(seed: int, side: int) -> Rgb:
    """A picture that compression changes: fine texture over coarse fields of colour."""
    rng = np.random.default_rng(seed)
    fields = cv2.resize(rng.integers(0, 255, (5, 5, 3), np.uint8), (side, side))
    return np.clip(fields.astype(int) + rng.integers(-70, 70, fields.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [300, 1_500])
def test_a_stored_picture_posted_as_a_file_finds_itself(
    client: TestClient, repos: Store, media: MediaStore, done: World, side: int
) -> None:
    product, pixels = done.products[0].product_id, _noisy(1, side)
    given = cv2.imencode(".png", pixels)[1].tobytes()
    image = store_picture(media, GalleryPicture(product, 9, "p.png", None, data=given))
    repos.catalogue.write_images(done.job.job_id, [image])
    embed(repos, {image.img_id: media.get(image.local_path)})
    stored = client.get(f"/v1/images/{image.img_id}").content
    # As it was given, as it is served, and saved again by another program.
    for data in (given, stored, cv2.imencode(".bmp", pixels)[1].tobytes()):
        answer = client.post("/v1/products/similar?limit=1", files={"picture": ("a", data)})
        assert answer.status_code == 200, answer.text
        (best,) = answer.json()["items"]
        assert (best["image_id"], best["similarity"]) == (str(image.img_id), pytest.approx(1.0, abs=1e-6))


def test_a_known_picture_has_the_vector_it_is_stored_with(
    client: TestClient, repos: Store, media: MediaStore, done: World
) -> None:
    given = jpeg(5)
    image = store_picture(media, GalleryPicture(done.products[0].product_id, 9, "p", None, data=given))
    repos.catalogue.write_images(done.job.job_id, [image])
    # The vector of another picture: only the bytes lead to it.
    embed(repos, {image.img_id: jpeg(77), done.images[1].img_id: given})
    (best,) = client.post("/v1/products/similar?limit=1", files={"picture": ("a", given)}).json()["items"]
    assert (best["image_id"], best["similarity"]) == (str(image.img_id), pytest.approx(1.0, abs=1e-6))
    media.delete(image.local_path)
    purged = client.post("/v1/products/similar?limit=1", files={"picture": ("a", given)})
    assert purged.json()["items"][0]["image_id"] == str(image.img_id)


def test_search_before_anything_was_embedded(shared_client: TestClient) -> None:
    answer = shared_client.post("/v1/products/similar", files={"picture": ("a.jpg", jpeg(1))})
    assert (answer.status_code, answer.json()["code"]) == (409, "model.none")


# -- industries and rules -----------------------------------------------------------------------------


def test_industries_and_their_rules(client: TestClient, repos: Store) -> None:
    made = client.post(
        "/v1/industries",
        json={"name": "gối công thái học", "queries": {"vi": ["gối"]}, "every_hours": 24,
              "sources": {"products": "https://shop.example/feed.xml", "videos": ["youtube"]}},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    one = made.headers["location"]
    assert client.get(one).json() == made.json()
    assert made.json()["sources"]["products"] == ["https://shop.example/feed.xml"]
    assert client.patch(one, json={"every_hours": None}).json()["every_hours"] is None
    assert client.patch(one, json={"sources": {"products": ["/etc"]}}).json()["code"] == "source.forbidden"
    rules = f"{one}/rules"
    assert client.put(rules, json={"overrides": {"accept": 0.9}}).json()["effective"]["accept"] == 0.9
    changed = client.patch(rules, json={"overrides": {"MATCH_ACCEPT": 0.85, "min_inliers": 9}}).json()
    assert changed["overrides"] == {"accept": 0.85, "min_inliers": 9}
    assert client.patch(rules, json={"overrides": {"accept": None}}).json()["overrides"] == {"min_inliers": 9}
    for bad in ({"rule_set": "none"}, {"overrides": {"acept": 1}}, {"overrides": {"accept": 7}}):
        assert client.put(rules, json=bad).status_code == 422
    assert client.get(rules).json()["overrides"] == {"min_inliers": 9}
    repos.jobs.create("goi-cong-thai-hoc", {})
    assert client.delete(one).status_code == 409
    repos.inbox.delete(repos.jobs.list()[0].job_id, "test", force=True)
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
