"""The resources inside a Dagster run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pvm_resources.dagster_resources import DatabaseResource, MediaResource, SettingsResource
from pvm_resources.postgres.connect import database_dsn
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import load_settings
from pvm_resources.store.assembly import Store


def test_they_work_in_an_asset(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PVM_DSN", database_url)

    @dg.asset
    def industries(db: DatabaseResource, media: MediaResource, settings: SettingsResource) -> int:
        made = Store.over(db.database()).industries.ensure("gối")
        media.store().put("a/b", made.slug.encode())
        assert settings.settings().embed_model
        return len(Store.over(db.database()).industries.list())

    result = dg.materialize(
        [industries],
        resources={
            "db": DatabaseResource(url=dg.EnvVar("TEST_PVM_DSN")),
            "media": MediaResource(url=str(tmp_path)),
            "settings": SettingsResource(),
        },
    )
    assert result.output_for_node("industries") == 1
    assert (tmp_path / "a" / "b").read_bytes() == b"goi"


def test_without_dagster_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: EmbeddedServer) -> None:
    monkeypatch.setenv("PVM_HOME", str(home.home))
    monkeypatch.delenv("PVM_DATABASE_URL", raising=False)
    home.up()
    assert database_dsn(load_settings(tmp_path / "none")) == home.uri("pvm")
    assert DatabaseResource().database().value("SELECT 1") == 1
    monkeypatch.setenv("PVM_DATABASE_URL", "postgresql://u@h/d")
    assert database_dsn(load_settings(tmp_path / "none")) == "postgresql://u@h/d"
