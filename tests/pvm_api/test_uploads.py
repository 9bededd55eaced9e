"""Uploads: whose they are, how much they may be, when they expire, what their check may cost."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from fastapi.testclient import TestClient

from pvm_api.app import create_app
from pvm_api.catalogue_check import CatalogueCheck, CheckLimits, Counted
from pvm_core.errors import InputError
from pvm_resources.media.store import MediaStore
from pvm_resources.postgres.driver import Database
from pvm_resources.retention.purge import Purge
from pvm_resources.settings import Settings
from pvm_resources.store.assembly import Store
from tests.pvm_core.make_video import drawing, seconds, write_clip
from tests.pvm_resources import shop_exports

_JOB = {"industry": "giày", "videos": ["youtube"]}


def _catalogue(number: int, size: int = 0) -> bytes:
    row = f"p1,{'x' * size},https://shop.example/{number}.jpg"
    return f"product_id,title,image\n{row}\n".encode()


def _post(client: TestClient, content: bytes, key: str | None = None) -> tuple[int, str]:
    headers = {"X-API-Key": key} if key else {}
    answer = client.post("/v1/uploads?filename=a.csv", content=content, headers=headers)
    body = answer.json()
    return answer.status_code, str(body.get("source") or body["code"])


def _age(path: Path, days: float) -> None:
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))


def _files(settings: Settings) -> list[Path]:
    folder = settings.home / "uploads"
    return sorted(folder.iterdir()) if folder.exists() else []


# -- quotas -------------------------------------------------------------------------------------------


def test_a_key_has_a_quota(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str]
) -> None:
    small = settings.model_copy(update={"api_upload_quota_mb": 1})
    with TestClient(create_app(small, database, media), headers={"X-API-Key": tokens["run"]}) as client:
        first, second = _catalogue(1, 600_000), _catalogue(2, 600_000)
        assert _post(client, first)[0] == 201
        assert _post(client, second) == (413, "upload.quota")
        assert len(_files(settings)) == 1, "what is refused is not kept"
        assert _post(client, first)[0] == 201, "the same once more takes no room"
        assert _post(client, _catalogue(3, 300_000))[0] == 201
        assert _post(client, second, tokens["admin"])[0] == 201, "another key has its own"
        assert _post(client, first, tokens["admin"]) == (413, "upload.quota"), "one file counts for both"


def test_uploads_at_once_keep_the_quota_too(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str], repos: Store
) -> None:
    small = settings.model_copy(update={"api_upload_quota_mb": 1})
    with (
        TestClient(create_app(small, database, media), headers={"X-API-Key": tokens["run"]}) as client,
        ThreadPoolExecutor(5) as pool,
    ):
        answers = list(pool.map(lambda n: _post(client, _catalogue(n, 400_000))[0], range(5)))
    assert sorted(answers) == [201, 201, 413, 413, 413]
    assert sum(path.stat().st_size for path in _files(settings)) <= 1_000_000


def test_all_uploads_together_have_a_limit(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str]
) -> None:
    small = settings.model_copy(update={"api_upload_total_mb": 2, "api_upload_mb": 1})
    with TestClient(create_app(small, database, media), headers={"X-API-Key": tokens["run"]}) as client:
        assert _post(client, _catalogue(1, 600_000))[0] == 201
        assert _post(client, _catalogue(2, 600_000))[0] == 201
        answer = client.post("/v1/uploads?filename=a.csv", content=_catalogue(3))
        assert (answer.status_code, answer.json()["code"]) == (507, "upload.full")
        assert "PVM_API_UPLOAD_TOTAL_MB" in answer.json()["remedy"]


# -- expiry -------------------------------------------------------------------------------------------


def _purge(settings: Settings, database: Database, media: MediaStore, *, dry_run: bool = False) -> int:
    purged = Purge(database, media, settings).run(dry_run=dry_run).purged
    return sum(one.uploads for one in purged)


def test_what_nothing_uses_expires(
    client: TestClient, settings: Settings, database: Database, media: MediaStore
) -> None:
    source = _post(client, _catalogue(1))[1]
    _post(client, _catalogue(2))
    path = settings.home / "uploads" / source.removeprefix("upload:")
    assert _purge(settings, database, media) == 0
    _age(path, 31)
    assert _purge(settings, database, media, dry_run=True) == 1
    assert path.exists()
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE uploads SET created_at = now() - interval '31 days' WHERE name = %s", [path.name]
        )
    assert _purge(settings, database, media) == 1
    assert not path.exists()
    assert len(_files(settings)) == 1
    assert [row[0] for row in database.tuples("SELECT name FROM uploads")] == [_files(settings)[0].name]
    refused = client.post("/v1/jobs", json={**_JOB, "products": [source]})
    assert (refused.status_code, refused.json()["code"]) == (422, "upload.unknown")


def test_what_is_in_use_stays(
    client: TestClient, settings: Settings, database: Database, media: MediaStore, repos: Store
) -> None:
    sources = [_post(client, _catalogue(number))[1] for number in range(4)]
    job = client.post("/v1/jobs", json={**_JOB, "products": [sources[0]]}).json()["job_id"]
    ended = client.post("/v1/jobs", json={**_JOB, "products": [sources[1]]}).json()["job_id"]
    client.post(f"/v1/jobs/{ended}/cancel")
    standing = {"name": "gối", "sources": {"products": [sources[2]]}}
    assert client.post("/v1/industries", json=standing).status_code == 201
    for path in _files(settings):
        _age(path, 100)
    assert _purge(settings, database, media) == 1, "the one that nothing names"
    kept = {path.name for path in _files(settings)}
    assert kept == {source.removeprefix("upload:") for source in sources[:3]}
    with database.transaction() as cursor:
        cursor.execute("UPDATE jobs SET finished_at = now() - interval '31 days' WHERE job_id = %s", [ended])
    assert _purge(settings, database, media) == 1
    client.post(f"/v1/jobs/{job}/cancel")
    # A job that names it makes it younger.
    assert client.post("/v1/jobs", json={**_JOB, "products": [sources[2]]}).status_code == 202
    assert client.patch("/v1/industries/goi", json={"sources": None}).status_code == 200
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM jobs")
    assert _purge(settings, database, media) == 1
    assert {path.name for path in _files(settings)} == {sources[2].removeprefix("upload:")}


def test_an_upload_that_never_became_whole_goes_after_a_day(
    settings: Settings, database: Database, media: MediaStore
) -> None:
    folder = settings.home / "uploads" / ".tmp-abc"
    folder.mkdir(parents=True)
    (folder / "catalogue.csv").write_bytes(b"half")
    _age(folder, 0.5)
    assert _purge(settings, database, media) == 0
    _age(folder, 1.5)
    assert _purge(settings, database, media) == 1
    assert _files(settings) == []


# -- the check ----------------------------------------------------------------------------------------


def test_a_check_that_takes_too_long_or_too_much_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "".join(f"p{n},{'x' * 500},https://shop.example/{n}.jpg\n" for n in range(30_000))
    path.write_text(f"product_id,title,image\n{rows}")
    assert _checked(path, CheckLimits(60.0)) == Counted(30_000, 0)
    with pytest.raises(InputError) as caught:
        _checked(path, CheckLimits(0.05))
    assert caught.value.code == "upload.slow"
    with pytest.raises(InputError) as caught:
        _checked(path, CheckLimits(60.0, megabytes=20))
    assert caught.value.code == "upload.heavy"


def _checked(path: Path, limits: CheckLimits) -> Counted:
    check = CatalogueCheck(limits)
    try:
        return check.count(path)
    finally:
        check.close()
        assert _children() == 0


def _children() -> int:
    return len([one for one in psutil.Process().children() if "process_pool" in " ".join(one.cmdline())])


def test_a_process_that_checks_is_used_again_unless_it_was_large(tmp_path: Path) -> None:
    small, large, bad = (tmp_path / name for name in ("small.csv", "large.csv", "bad.csv"))
    small.write_bytes(_catalogue(1))
    large.write_bytes(_catalogue(1) + b"p2,x,https://shop.example/2.jpg\n" * 40_000)
    bad.write_bytes(b"nothing\n")
    check = CatalogueCheck(CheckLimits(60.0))
    for _ in range(3):
        assert check.count(small) == Counted(1, 0)
    assert _children() == 1
    with pytest.raises(InputError):
        check.count(bad)
    assert _children() == 1, "a file that is refused does no harm"
    assert check.count(large).products == 2
    assert _children() == 0
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(check.count, [small] * 6)) == {Counted(1, 0)}
    assert 1 <= _children() <= 2
    check.close()
    assert _children() == 0
    assert check.count(small) == Counted(1, 0)
    assert _children() == 0, "what ends after the close stays for nobody"


def test_a_refusal_names_a_row_and_no_folder(client: TestClient, settings: Settings) -> None:
    answer = client.post("/v1/uploads?filename=a.csv", content=b"product_id,title,image\n,x,\n")
    assert answer.status_code == 422
    assert "line 2" in answer.json()["detail"]
    assert str(settings.home) not in answer.text
    assert ".tmp-" not in answer.text


def test_a_refused_copy_of_an_upload_in_use_removes_nothing(
    client: TestClient, settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str]
) -> None:
    rows = b"".join(b"p%d,x,https://shop.example/%d.jpg\n" % (n, n) for n in range(20_000))
    large = b"product_id,title,image\n" + rows
    assert _post(client, large)[0] == 201
    slow = settings.model_copy(update={"api_upload_check_s": 0.001})
    with TestClient(create_app(slow, database, media), headers={"X-API-Key": tokens["run"]}) as other:
        assert _post(other, large) == (422, "upload.slow")
    assert len(_files(settings)) == 1


def test_columns_that_no_name_tells_come_with_the_upload_the_job_or_the_industry(client: TestClient) -> None:
    odd = b"Ref.,Scatto 1\n7,https://shop.example/1.jpg\n"
    named = {"product_id": "Ref.", "image": "Scatto 1"}
    refused = client.post("/v1/uploads?filename=odd.csv", content=odd)
    assert (refused.status_code, refused.json()["code"]) == (422, "table.columns")

    text = ",".join(f'{field}="{column}"' for field, column in named.items())
    upload = client.post("/v1/uploads", params={"filename": "odd.csv", "columns": text}, content=odd)
    assert (upload.status_code, upload.json()["products"]) == (201, 1)

    form = {"request": json.dumps({**_JOB, "columns": named})}
    made = client.post("/v1/jobs", data=form, files={"catalogue": ("odd.csv", odd)})
    assert made.status_code == 202, made.text

    sources = {"products": [upload.json()["source"]], "columns": named}
    kept = client.post("/v1/industries", json={"name": "scarpe", "sources": sources})
    assert kept.status_code == 201, kept.text
    assert kept.json()["sources"]["columns"] == named
    wrong = client.patch("/v1/industries/scarpe", json={"sources": {"columns": {"sku": "x"}}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "request.columns")


@pytest.mark.parametrize("kind", ["xlsx", "ods", "txt"])
def test_spreadsheets_are_uploads_too(client: TestClient, kind: str) -> None:
    table = shop_exports.google(shop_exports.GOODS)
    write = {"xlsx": shop_exports.xlsx, "ods": shop_exports.ods, "txt": shop_exports.delimited}[kind]
    answer = client.post(f"/v1/uploads?filename=export.{kind}", content=write(table))
    assert (answer.status_code, answer.json()["products"], answer.json()["problems"]) == (201, 3, 0)


def test_a_video_is_kept_once_it_decodes_and_named_by_a_job(
    client: TestClient, settings: Settings, repos: Store, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", seconds(drawing(1), 1.0))
    answer = client.post("/v1/uploads?filename=a.mp4", content=clip.read_bytes())
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["kind"], found["products"]) == ("videos", None)
    asked = {"industry": "giày", "products": ["https://shop.example/a.csv"], "videos": [found["source"]]}
    job = client.post("/v1/jobs", json=asked).json()["job_id"]
    (video,) = repos.jobs.get(job).request["videos"]
    assert Path(video).read_bytes() == clip.read_bytes()
    assert client.get(f"/v1/jobs/{job}").json()["request"]["videos"] == [found["source"]]
    assert Path(video).name in repos.uploads.named(datetime.now(UTC)), "it is not deleted under the job"
    for kind, source in (("products", found["source"]), ("videos", "upload:" + "0" * 64 + ".csv")):
        refused = client.post("/v1/jobs", json=asked | {kind: [source]})
        assert refused.json()["code"] == "source.forbidden", "each is named where it belongs"


@pytest.mark.parametrize("content", [b"<html>", b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 500])
def test_what_is_no_video_is_not_kept(client: TestClient, settings: Settings, content: bytes) -> None:
    answer = client.post("/v1/uploads?filename=a.mp4", content=content)
    assert (answer.status_code, answer.json()["code"]) == (422, "upload.video")
    assert str(settings.home) not in answer.text
    assert _files(settings) == []


def test_a_video_has_a_limit_of_its_own(
    settings: Settings, database: Database, media: MediaStore, tokens: dict[str, str]
) -> None:
    small = settings.model_copy(update={"api_upload_mb": 2, "api_upload_video_mb": 1})
    with TestClient(create_app(small, database, media), headers={"X-API-Key": tokens["run"]}) as client:
        for name in ("a.mp4", "a.MOV"):
            answer = client.post(f"/v1/uploads?filename={name}", content=b"x" * 1_000_001)
            assert (answer.status_code, answer.json()["code"]) == (413, "upload.large")
