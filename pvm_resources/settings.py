"""Settings: the environment and `.env`, read once by whoever starts, then passed on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pvm_core.errors import InputError
from pvm_jobs.source_policy import Policies, parse_policies

_CHECKOUT: Final = Path(__file__).resolve().parent.parent

#: Addresses that only this machine reaches.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

#: Settings that override a field of `pvm_core.rules.Rules` for every job of this machine.
_RULES: Final = {
    "retrieval_topk": "retrieval_topk",
    "sim_deep_min": "sim_deep_min",
    "inliers_min": "inliers_min",
    "match_best_min": "best_min",
    "match_cons_min": "cons_min",
    "match_accept": "accept",
    "grey_clahe": "grey_clahe",
    "segmentation": "segmentation",
    "edge_term": "edge_term",
}


def _env(*names: str) -> AliasChoices:
    return AliasChoices(*names)


def project_root() -> Path:
    """The checkout this package runs from, or the current folder where it is installed elsewhere."""
    return _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()


class Settings(BaseSettings):
    """Everything the environment decides. Frozen; secrets are never printed.

    Attributes:
        home: folder of the embedded server, media, models and Dagster's home (``PVM_HOME``).
        database_url: another server for our tables, any libpq form (``PVM_DATABASE_URL``); None: embedded.
        dagster_url: another server for Dagster's tables (``DAGSTER_PG_URL``); None: embedded.
        media_url: media store, any fsspec URL or a path (``PVM_MEDIA_URL``); None: ``<home>/media``.
        models_dir: model weights (``PVM_MODELS_DIR``); None: ``<home>/models``.
        embed_model, segmenter: names for the registries, or ``auto``.
        executor: which Dagster executor runs the steps.
        workers: processes or threads inside a step, >= 1; None: one per core.
        log_format, log_level: see `pvm_resources.logs`.
        ebay_*, amazon_*: credentials and addresses of the product sources; see docs/sources.md.
        bilibili_*, youtube_*, ytdlp_*: how videos are searched and fetched.
        fetch_allow: hosts or networks of one's own that downloads may reach though they are not public,
            comma-separated (``PVM_FETCH_ALLOW``): ``localhost:8000,10.1.0.0/16``.
        source_policies: JSON object, source name -> fields of `SourcePolicy` that this machine sets.
        translator: who offers search phrases, see `pvm_resources.sources.search_terms`.
        api_*: where the REST API listens, whether it asks for keys, the URL under which users reach it,
            folders whose files its callers may name as sources, requests a minute of one caller, megabytes
            of an upload, origins of browsers it answers; see docs/api.md.
        callback_allow: hosts or networks that callbacks may reach though they are not public
            (``CALLBACK_ALLOWED_HOSTS``).
        callback_secret: signs callbacks of single jobs, ``whsec_...``; None: they are not signed.
        webhook_url, webhook_secret, webhook_events: a webhook for all jobs, beside those that
            `pvm endpoints` adds; events are comma-separated patterns, "": the usual ones.
        bus_url: AMQP URL of the broker that gets all events (``BUS_BROKER``); None: no broker.
        retrieval_topk ... edge_term: fields of `Rules` set for the whole machine; None: not set here.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(project_root() / "data", validation_alias=_env("PVM_HOME", "DATA_ROOT"))
    database_url: SecretStr | None = Field(None, validation_alias=_env("PVM_DATABASE_URL", "POSTGRES_DSN"))
    dagster_url: SecretStr | None = Field(None, validation_alias=_env("DAGSTER_PG_URL"))
    media_url: str | None = Field(None, validation_alias=_env("PVM_MEDIA_URL"))
    models_dir: Path | None = Field(None, validation_alias=_env("PVM_MODELS_DIR"))
    embed_model: str = Field("auto", validation_alias=_env("EMBED_MODEL", "PVM_EMBED_MODEL"))
    segmenter: str = Field("auto", validation_alias=_env("PVM_SEGMENTER"))
    executor: Literal["in_process", "multiprocess", "docker", "k8s", "celery"] = Field(
        "in_process", validation_alias=_env("PVM_EXECUTOR")
    )
    workers: int | None = Field(None, ge=1, le=1024, validation_alias=_env("PVM_WORKERS"))
    log_format: Literal["plain", "json"] = Field("plain", validation_alias=_env("PVM_LOG_FORMAT"))
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias=_env("PVM_LOG_LEVEL")
    )

    ebay_client_id: str | None = Field(None, validation_alias=_env("EBAY_CLIENT_ID"))
    ebay_client_secret: SecretStr | None = Field(None, validation_alias=_env("EBAY_CLIENT_SECRET"))
    ebay_marketplace: str = Field("EBAY_US", validation_alias=_env("EBAY_MARKETPLACE"))
    ebay_api_url: str = Field("https://api.ebay.com", validation_alias=_env("EBAY_API_URL"))
    ebay_daily_calls: int = Field(5_000, ge=1, validation_alias=_env("EBAY_DAILY_CALLS"))
    amazon_credential_id: str | None = Field(None, validation_alias=_env("AMAZON_CREDENTIAL_ID"))
    amazon_credential_secret: SecretStr | None = Field(
        None, validation_alias=_env("AMAZON_CREDENTIAL_SECRET")
    )
    amazon_credential_version: str | None = Field(None, validation_alias=_env("AMAZON_CREDENTIAL_VERSION"))
    amazon_partner_tag: str | None = Field(None, validation_alias=_env("AMAZON_PARTNER_TAG"))
    amazon_marketplace: str = Field("www.amazon.com", validation_alias=_env("AMAZON_MARKETPLACE"))
    amazon_api_url: str | None = Field(None, validation_alias=_env("AMAZON_API_URL"))
    amazon_token_url: str | None = Field(None, validation_alias=_env("AMAZON_TOKEN_URL"))
    youtube_search: str = Field("ytsearch", validation_alias=_env("PVM_YOUTUBE_SEARCH"))
    bilibili_search: str = Field("bilisearch", validation_alias=_env("PVM_BILIBILI_SEARCH"))
    ytdlp_extractors: str = Field("", validation_alias=_env("PVM_YTDLP_EXTRACTORS"))
    ytdlp_cookies: Path | None = Field(None, validation_alias=_env("PVM_YTDLP_COOKIES"))
    ytdlp_proxy: SecretStr | None = Field(None, validation_alias=_env("PVM_YTDLP_PROXY"))
    ytdlp_sleep_s: float = Field(1.0, ge=0, le=600, validation_alias=_env("PVM_YTDLP_SLEEP"))
    ytdlp_rate: int | None = Field(None, ge=1_000, validation_alias=_env("PVM_YTDLP_RATE"))
    fetch_allow: str = Field("", validation_alias=_env("PVM_FETCH_ALLOW"))
    source_policies: str = Field("", validation_alias=_env("PVM_SOURCE_POLICIES"))
    translator: str = Field("stored", validation_alias=_env("PVM_TRANSLATOR"))

    api_host: str = Field("127.0.0.1", validation_alias=_env("PVM_API_HOST"))
    api_port: int = Field(8080, ge=1, le=65_535, validation_alias=_env("PVM_API_PORT"))
    api_auth: bool = Field(True, validation_alias=_env("PVM_API_AUTH"))
    api_url: str | None = Field(None, validation_alias=_env("PVM_API_URL"))
    api_source_roots: str = Field("", validation_alias=_env("PVM_API_SOURCE_ROOTS"))
    api_rate: int = Field(600, ge=1, validation_alias=_env("PVM_API_RATE"))
    api_upload_mb: int = Field(50, ge=1, le=2_000, validation_alias=_env("PVM_API_UPLOAD_MB"))
    api_cors: str = Field("", validation_alias=_env("PVM_API_CORS"))
    callback_allow: str = Field("", validation_alias=_env("CALLBACK_ALLOWED_HOSTS"))
    callback_secret: SecretStr | None = Field(None, validation_alias=_env("PVM_CALLBACK_SECRET"))
    webhook_url: str | None = Field(None, validation_alias=_env("PVM_WEBHOOK_URL"))
    webhook_secret: SecretStr | None = Field(None, validation_alias=_env("PVM_WEBHOOK_SECRET"))
    webhook_events: str = Field("", validation_alias=_env("PVM_WEBHOOK_EVENTS"))
    bus_url: SecretStr | None = Field(None, validation_alias=_env("BUS_BROKER"))

    retrieval_topk: int | None = Field(None, ge=1, validation_alias=_env("RETRIEVAL_TOPK"))
    sim_deep_min: float | None = Field(None, ge=0, le=1, validation_alias=_env("SIM_DEEP_MIN"))
    inliers_min: float | None = Field(None, ge=0, le=1, validation_alias=_env("INLIERS_MIN"))
    match_best_min: float | None = Field(
        None, ge=0, le=1, validation_alias=_env("MATCH_BEST_MIN", "BEST_MIN")
    )
    match_cons_min: int | None = Field(None, ge=1, validation_alias=_env("MATCH_CONS_MIN", "CONS_MIN"))
    match_accept: float | None = Field(None, ge=0, le=1, validation_alias=_env("MATCH_ACCEPT", "ACCEPT"))
    grey_clahe: bool | None = Field(None, validation_alias=_env("PVM_GREY_CLAHE"))
    segmentation: bool | None = Field(None, validation_alias=_env("PVM_SEGMENTATION"))
    edge_term: bool | None = Field(None, validation_alias=_env("PVM_EDGE_TERM"))

    @field_validator("home", "models_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))  # noqa: PTH100  # symlinks stay

    @field_validator("log_format", "log_level", "executor", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @property
    def media(self) -> str:
        """URL or path of the media store."""
        return self.media_url or str(self.home / "media")

    @property
    def models(self) -> Path:
        """Folder of the model store."""
        return self.models_dir or self.home / "models"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home, ``<home>/dagster``."""
        return self.home / "dagster"

    @property
    def needs_server(self) -> bool:
        """True where at least one of the two databases lives in the embedded server."""
        return self.database_url is None or self.dagster_url is None

    @property
    def worker_count(self) -> int:
        """Processes or threads inside a step."""
        return self.workers or len(os.sched_getaffinity(0))

    def rules_overrides(self) -> dict[str, Any]:
        """The fields of `Rules` that the environment sets, by their name there."""
        values = {rule: getattr(self, name) for name, rule in _RULES.items()}
        return {rule: value for rule, value in values.items() if value is not None}


def load_settings(env_file: Path | None = None, **overrides: Any) -> Settings:
    """The settings of this process: environment, then `.env`, then defaults.

    Args:
        env_file: the `.env` file; default the one in the project root, read where it exists.
        overrides: fields by name that win over the environment.

    Raises:
        InputError: code ``settings.invalid``, naming the variable and never its value.
    """
    try:
        # By alias only: a field named `home` would otherwise be filled from the variable HOME.
        given = {_variable(name): value for name, value in overrides.items()}
        return Settings(_env_file=env_file or project_root() / ".env", **given)  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = _variable(str(first["loc"][0]) if first["loc"] else "settings")
        raise InputError(
            "settings.invalid", name, first["msg"], "Correct it in the environment or in .env"
        ) from None


def _variable(field: str) -> str:
    info = Settings.model_fields.get(field)
    alias = info.validation_alias if info else None
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else field


def environment(settings: Settings) -> Mapping[str, str]:
    """The variables under which a child process sees the same settings (secrets included: not for logs)."""
    found: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            found[_variable(name)] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return found


def check_api_host(settings: Settings) -> None:
    """Without keys nobody but this machine may reach the API.

    Raises:
        InputError: ``api.host``.
    """
    if not settings.api_auth and settings.api_host not in LOOPBACK:
        raise InputError(
            "api.host",
            f"PVM_API_HOST={settings.api_host}",
            "keys are off (PVM_API_AUTH=false), and others could reach it there",
            "Leave the host at 127.0.0.1, or turn keys on",
        )


def load_policies(settings: Settings) -> Policies:
    """What each source's terms allow on this machine: the shipped table with what the settings change.

    Raises:
        InputError: ``settings.invalid``, naming the source and the field.
    """
    return parse_policies(settings.source_policies)
