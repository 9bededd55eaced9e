"""Settings from the environment and `.env`; connection strings of every form."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine import make_url

from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_resources.postgres.dsn import describe, parse, to_libpq, to_url, with_params
from pvm_resources.postgres.server import EmbeddedServer
from pvm_resources.settings import Settings, core_count, environment, load_settings, project_root


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for info in Settings.model_fields.values():
        for name in getattr(info.validation_alias, "choices", ()):
            monkeypatch.delenv(str(name), raising=False)


@pytest.fixture
def none(tmp_path: Path) -> Path:
    """A `.env` that does not exist."""
    return tmp_path / "absent.env"


def test_defaults(none: Path) -> None:
    settings = load_settings(none)
    assert settings.home == project_root() / "data"
    assert settings.needs_server
    assert settings.media == str(settings.home / "media")
    assert settings.worker_count >= 1
    assert settings.rules_overrides() == {}


def test_founding_names_become_fields_of_the_rules(monkeypatch: pytest.MonkeyPatch, none: Path) -> None:
    given_values = {
        "RETRIEVAL_TOPK": "7", "SIM_DEEP_MIN": "0.1", "INLIERS_MIN": "0.2", "MATCH_BEST_MIN": "0.3",
        "MATCH_CONS_MIN": "4", "MATCH_ACCEPT": "0.5", "PVM_GREY_CLAHE": "0", "PVM_SEGMENTATION": "off",
        "PVM_EDGE_TERM": "false",
    }  # fmt: skip
    for name, value in given_values.items():
        monkeypatch.setenv(name, value)
    found = load_settings(none).rules_overrides()
    assert found == {
        "retrieval_topk": 7, "sim_deep_min": 0.1, "inliers_min": 0.2, "best_min": 0.3, "cons_min": 4,
        "accept": 0.5, "grey_clahe": False, "segmentation": False, "edge_term": False,
    }  # fmt: skip
    assert set(found) <= set(Rules.__dataclass_fields__)


def test_the_environment_wins_over_the_file_and_empty_is_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("EMBED_MODEL=from-file\nPVM_WORKERS=3\nPVM_LOG_FORMAT=JSON\nOTHER=1\n")
    monkeypatch.setenv("EMBED_MODEL", "from-env")
    monkeypatch.setenv("PVM_DATABASE_URL", "")
    settings = load_settings(file)
    assert (settings.embed_model, settings.workers, settings.log_format) == ("from-env", 3, "json")
    assert settings.database_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PVM_WORKERS", "0"), ("PVM_WORKERS", "many"), ("PVM_EXECUTOR", "lambda"), ("MATCH_ACCEPT", "1.5"),
        ("RETRIEVAL_TOPK", "0"), ("PVM_LOG_FORMAT", "xml"), ("PVM_EDGE_TERM", "perhaps"),
        ("PVM_POSTGRES_LISTEN", "0.0.0.0:5433"), ("PVM_POSTGRES_LISTEN", "127.0.0.1:0"),
    ],
)  # fmt: skip
def test_a_bad_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, none: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        load_settings(none)
    assert caught.value.code == "settings.invalid"
    assert caught.value.subject == name


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch, none: Path) -> None:
    monkeypatch.setenv("PVM_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("PVM_EXECUTOR", "hunter2")
    with pytest.raises(InputError) as caught:
        load_settings(none)
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("PVM_EXECUTOR")
    settings = load_settings(none)
    assert "hunter2" not in repr(settings) + str(settings)
    assert settings.database_url is not None


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, none: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("PVM_HOME", str(tmp_path / "h"))
    monkeypatch.setenv("MATCH_ACCEPT", "0.7")
    monkeypatch.setenv("PVM_EDGE_TERM", "no")
    before = load_settings(none)
    for name, value in environment(before).items():
        monkeypatch.setenv(name, value)
    assert load_settings(none) == before


def test_env_example_names_every_setting_and_nothing_else() -> None:
    known = {str(getattr(i.validation_alias, "choices", ("",))[0]) for i in Settings.model_fields.values()}
    lines = (project_root() / ".env.example").read_text().splitlines()
    named = {
        line.lstrip("#").partition("=")[0] for line in lines if "=" in line and not line.startswith("# ")
    }
    assert named == known


FORMS = [
    "postgresql://u:p%40ss@h:5433/d?sslmode=require",
    "postgres://u@h/d",
    "host=h port=5433 user=u password='p ss' dbname=d sslmode=verify-full sslrootcert='/a b/root.crt'",
    "host=/var/run/postgresql dbname=d user=u",
    "postgresql://u:p@/d?host=/tmp/sock&port=5433",
    "postgresql:///d",
    "dbname=d",
    "",
    "postgresql://u@h1:1,h2:2/d?target_session_attrs=read-write",
    "postgresql://u@[::1]:5432/d",
    "service=mine",
    "postgresql+psycopg2://u:p@h/d",
    "dbname=d user='gối 枕头' password='a+b%20c&d=e?f/g#h'",
    "host=@abstract dbname=d",
]


@pytest.mark.parametrize("dsn", FORMS)
def test_every_form_means_the_same_to_libpq_and_sqlalchemy(dsn: str) -> None:
    url = to_url(dsn)
    assert parse(url) == parse(dsn)
    assert parse(to_libpq(dsn)) == parse(dsn)
    assert _sqlalchemy(url) == parse(dsn)


def _sqlalchemy(url: str) -> dict[str, str]:
    """What SQLAlchemy hands to psycopg2."""
    _, keywords = PGDialect_psycopg2().create_connect_args(make_url(url))
    return {key: str(value) for key, value in keywords.items() if value}


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("'", r"\'")


_text = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(user=_text, password=_text, name=_text)
def test_any_character_survives(user: str, password: str, name: str) -> None:
    dsn = " ".join(
        f"{k}='{_escaped(v)}'" for k, v in {"user": user, "password": password, "dbname": name}.items()
    )
    wanted = {"user": user, "password": password, "dbname": name}
    assert parse(to_url(dsn)) == wanted
    assert _sqlalchemy(to_url(dsn)) == wanted


@pytest.mark.parametrize(
    "dsn", ["nonsense", "host=h nosuch=1", "mysql://h/d", "host=h password=hunter2 nosuch=1"]
)
def test_what_libpq_does_not_understand_is_refused_without_repeating_it(dsn: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(dsn)
    assert caught.value.code == "settings.dsn"
    assert "hunter2" not in str(caught.value)


def test_descriptions_hold_no_secret() -> None:
    assert describe("postgresql://u:hunter2@h:1/d") == "u@h:1/d"
    assert parse(with_params("host=h connect_timeout=3", {"connect_timeout": "10", "user": "u"})) == {
        "host": "h", "connect_timeout": "3", "user": "u",
    }  # fmt: skip


def test_the_embedded_server_by_both_drivers(server: EmbeddedServer) -> None:
    url = server.uri("dagster")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for driver in ("", "psycopg"):
        with create_engine(to_url(url, driver)).connect() as found:
            assert found.exec_driver_sql("SELECT current_database()").scalar() == "dagster"


def test_cores_are_counted_on_systems_without_affinity_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert core_count() >= 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() >= 1
