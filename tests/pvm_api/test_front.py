"""Pages for whoever points a browser at the API: links, and the description with everything from here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser

from pvm_resources.postgres.driver import Database
from tests.pvm_api.served import Served


def test_the_first_page_leads_on(shared_client: TestClient) -> None:
    page = shared_client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    links = set(re.findall(r'<a href="([^"]+)"', page.text))
    assert links == {"/review", "/docs", "/openapi.json", "/readyz"}
    assert all(shared_client.get(link).status_code == 200 for link in links)


def test_programs_get_the_links_as_json(app: FastAPI) -> None:
    with TestClient(app, base_url="http://shop.example") as bare:
        links = bare.get("/").json()
        assert links["docs"] == "http://shop.example/docs"
        assert {bare.get(link).status_code for link in links.values()} == {200, 401}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_comes_from_elsewhere(shared_client: TestClient, path: str) -> None:
    page = shared_client.get(path, headers={"Accept": "text/html"})
    loaded = re.findall(r'(?:src|rel="[a-z]+" href)="([^"]+)"', page.text)
    assert loaded
    assert all(one.startswith("/docs/files/") for one in loaded)
    assert all(shared_client.get(one).status_code == 200 for one in loaded)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy
    assert shared_client.get("/docs/files/..%2Findex.html").status_code == 404


@pytest.mark.browser
def test_the_description_is_shown_by_a_browser(browser: Browser, database: Database, tmp_path: Path) -> None:
    with Served(database.dsn, tmp_path / "home") as api:
        page = browser.new_page()
        faults: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{api.url}/docs")
        page.wait_for_selector("#operations-jobs-startJob", timeout=60_000)
        page.click("#operations-jobs-startJob button.opblock-summary-control")
        page.wait_for_selector("#operations-jobs-startJob .opblock-body", timeout=60_000)
        page.close()
    assert faults == []
    assert [url for url in asked if not url.startswith((api.url, "data:"))] == []
