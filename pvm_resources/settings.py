"""Settings: the environment and `.env`, read once at start and passed on."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import AliasChoices, AliasGenerator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pvm_core.errors import InputError
from pvm_core.rules import Rules
from pvm_jobs.rules import resolve
from pvm_jobs.source_policy import Policies, parse_policies

_CHECKOUT: Final = Path(__file__).resolve().parent.parent

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Addresses that only this machine reaches.
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

#: Variables of the settings that are not named ``PVM_<FIELD>``; the first one is written, all are read.
_VARIABLES: Final = {
    "home": ("PVM_HOME", "DATA_ROOT"),
    "database_url": ("PVM_DATABASE_URL", "POSTGRES_DSN"),
    "dagster_url": ("DAGSTER_PG_URL",),
    "embed_model": ("EMBED_MODEL", "PVM_EMBED_MODEL"),
    "ytdlp_sleep_s": ("PVM_YTDLP_SLEEP",),
    "callback_allow": ("CALLBACK_ALLOWED_HOSTS",),
    "bus_url": ("BUS_BROKER",),
    "otlp_endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT",),
    "otlp_headers": ("OTEL_EXPORTER_OTLP_HEADERS",),
    "retrieval_topk": ("RETRIEVAL_TOPK",),
    "sim_deep_min": ("SIM_DEEP_MIN",),
    "inliers_min": ("INLIERS_MIN",),
    "best_min": ("MATCH_BEST_MIN", "BEST_MIN"),
    "cons_min": ("MATCH_CONS_MIN", "CONS_MIN"),
    "accept": ("MATCH_ACCEPT", "ACCEPT"),
    "vector_store_type": ("VECTOR_STORE_TYPE",),
    "vector_dimension": ("VECTOR_DIMENSION",),
    "vector_index_name": ("VECTOR_INDEX_NAME",),
    "similarity_threshold": ("SIMILARITY_THRESHOLD",),
    "product_stream_type": ("PRODUCT_STREAM_TYPE",),
    "product_stream_key": ("PRODUCT_STREAM_KEY",),
    "product_stream_group": ("PRODUCT_STREAM_GROUP",),
    "product_stream_consumer": ("PRODUCT_STREAM_CONSUMER",),
    "product_stream_batch": ("PRODUCT_STREAM_BATCH",),
    "product_stream_block_ms": ("PRODUCT_STREAM_BLOCK_MS",),
    "product_stream_partitions": ("PRODUCT_STREAM_PARTITIONS",),
    "redis_host": ("REDIS_HOST",),
    "redis_port": ("REDIS_PORT",),
    "redis_db": ("REDIS_DB",),
    "redis_password": ("REDIS_PASSWORD",),
    "nats_url": ("NATS_URL",),
    "qdrant_url": ("QDRANT_URL",),
    "qdrant_api_key": ("QDRANT_API_KEY",),
    "pinecone_host": ("PINECONE_HOST",),
    "pinecone_api_key": ("PINECONE_API_KEY",),
    "supabase_url": ("SUPABASE_URL",),
    "supabase_key": ("SUPABASE_KEY",),
}


#: Variables that are read elsewhere: tracebacks in place of messages; the key of the examples; the
#: interpreter that workspace-attention.yaml names; the sockets that the served workspaces name.
_ELSEWHERE: Final = frozenset(
    {"PVM_DEBUG", "PVM_KEY", "PVM_ATTENTION_PYTHON", "PVM_CODE_SOCKET", "PVM_ATTENTION_SOCKET"}
)


def _variables(field: str) -> AliasChoices:
    """The variables that set `field`; credentials of shops carry the shop's name alone."""
    prefix = "" if field.startswith(("ebay_", "amazon_")) else "PVM_"
    return AliasChoices(*_VARIABLES.get(field, (f"{prefix}{field.upper()}",)))


def core_count() -> int:
    """Cores that this process may use: those of its container or task set, where the system says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def project_root() -> Path:
    """The checkout this package runs from, or the current folder where it is installed elsewhere."""
    return _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else Path.cwd()


def attention_python() -> Path | None:
    """The interpreter of the attention analysis; None where `make attention` was not run."""
    found = project_root() / ".venv-attention" / "bin" / "python"
    return found if found.is_file() else None


class RuleSettings(BaseSettings):
    """Fields of `pvm_core.rules.Rules` that the environment sets for every job of this machine; None: not
    set."""

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=_variables),
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    retrieval_topk: int | None = Field(None, ge=1)
    sim_deep_min: float | None = Field(None, ge=0, le=1)
    inliers_min: float | None = Field(None, ge=0, le=1)
    best_min: float | None = Field(None, ge=0, le=1)
    cons_min: int | None = Field(None, ge=1)
    accept: float | None = Field(None, ge=0, le=1)
    grey_clahe: bool | None = None
    segmentation: bool | None = None
    edge_term: bool | None = None
    look_term: bool | None = None
    learned_term: bool | None = None

    def rules_overrides(self) -> dict[str, Any]:
        """The fields that are set."""
        values = {name: getattr(self, name) for name in RuleSettings.model_fields}
        return {name: value for name, value in values.items() if value is not None}

    def rules_of(self, rule_set: str, own: Mapping[str, Any]) -> Rules:
        """The rules of a named set with an industry's own values; what the environment sets wins.

        Raises:
            InputError: a value is not valid.
        """
        return resolve(rule_set, {**own, **self.rules_overrides()})


class Settings(RuleSettings):
    """Everything the environment decides. Frozen; secrets are never printed.

    Attributes:
        home: folder of the embedded server, media, models and Dagster's home (``PVM_HOME``).
        database_url: another server for our tables, any libpq form (``PVM_DATABASE_URL``); None: embedded.
        dagster_url: another server for Dagster's tables (``DAGSTER_PG_URL``); None: embedded.
        postgres_listen: ``ADDRESS:PORT`` at which the embedded server listens beside its socket, for steps in
            containers (``PVM_POSTGRES_LISTEN``); "": nowhere.
        media_url: media store, any fsspec URL or a path (``PVM_MEDIA_URL``); None: ``<home>/media``.
        models_dir: model weights (``PVM_MODELS_DIR``); None: ``<home>/models``.
        embed_model, segmenter: names for the registries, or ``auto``.
        local_features: detector and matcher of learned local features, ``auto`` or ``none``
            (``PVM_LOCAL_FEATURES``).
        text_reader: who reads the words of packs, ``auto``, ``none`` or ``rapidocr`` (``PVM_TEXT_READER``).
        executor: which Dagster executor runs the steps.
        shards: whether stages with many items are split over steps (``PVM_SHARDS``); None: with the executors
            that may run steps on other machines.
        docker_*: image, networks, volumes (``FROM:TO[:ro]``) and further variables of containers of steps and
            runs, the last three comma-separated; run_launcher: who starts the worker of a run; celery_*:
            broker and result backend; see docs/executors.md.
        workers: processes or threads inside a step, >= 1; None: one per core.
        keep_partitions: ended jobs that keep a partition in Dagster, >= 1.
        log_format, log_level: see `pvm_resources.logs`.
        ebay_*, amazon_*: credentials and addresses of the product sources; see docs/sources.md.
        bilibili_*, youtube_*, ytdlp_*: how videos are searched and fetched.
        fetch_allow: own hosts or networks that downloads may reach though they are not public,
            comma-separated (``PVM_FETCH_ALLOW``): ``localhost:8000,10.1.0.0/16``.
        source_policies: JSON object, source name -> fields of `SourcePolicy` that this machine sets.
        translator: the source of search phrases, see `pvm_resources.sources.search_terms`.
        api_*: where the REST API listens, whether it requires keys, the URL under which users reach it,
            folders whose files its callers may name as sources, requests a minute of one caller, megabytes
            of an upload, of one caller's uploads and of all uploads, days that an unused upload is kept,
            seconds that its check may take, origins of browsers it answers; see docs/api.md.
        ui_*: the Dagster UI: whether it asks who one is (None: unless only this machine reaches it),
            further hosts it answers to, whether it refuses all changes, its path; see docs/security.md.
        trusted_proxies: addresses and networks of proxies whose ``X-Forwarded-For`` and
            ``X-Forwarded-Proto`` are believed, comma-separated; "": nobody's (``PVM_TRUSTED_PROXIES``).
        callback_allow: hosts or networks that callbacks may reach though they are not public
            (``CALLBACK_ALLOWED_HOSTS``).
        callback_secret: signs callbacks of single jobs, ``whsec_...``; None: they are not signed.
        webhook_url, webhook_secret, webhook_events: a webhook for all jobs, beside those that
            `pvm endpoints` adds; events are comma-separated patterns, "": the usual ones.
        notify_urls: addresses of people to notify of ended jobs, as apprise reads them, comma-separated.
        otlp_*: where traces go by OTLP over HTTP, and headers for there, ``name=value,...``
            (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``); None: there are none.
        bus_url: AMQP URL of the broker that gets all events (``BUS_BROKER``); None: no broker.
        vector_*: where vectors of products' texts are, how many numbers each has, what their index is called
            (``VECTOR_STORE_TYPE``, ``VECTOR_DIMENSION``, ``VECTOR_INDEX_NAME``).
        similarity_threshold: least score of what is called alike (``SIMILARITY_THRESHOLD``).
        product_stream_*: where changes of products come from, how it and its readers are called, entries read
            at once, milliseconds that a read waits (below the five seconds that a stop may take), Redis
            streams that changes are spread over by category.
        attention_host, attention_*_port: where the gRPC services of attention listen, and where the
            orchestrator looks for them; `attention_services_at` (``name=host:port``, comma-separated) names
            others. `attention_health_port`: of ``GET /health`` over HTTP; 0: nowhere.
        attention_token: that callers of the services must send; None: nobody must.
        attention_tls_cert, attention_tls_key: PEM files of their certificate; both or none.
        attention_redis_channel: channel of the Redis at `redis_*` on which live updates of attention are
            published as well; "": nowhere.
        redis_*, nats_url, qdrant_*, pinecone_*, supabase_*: servers of streams and of vectors;
            RabbitMQ is at ``BUS_BROKER``.
    """

    home: Path = project_root() / "data"
    database_url: SecretStr | None = None
    dagster_url: SecretStr | None = None
    postgres_listen: str = ""
    media_url: str | None = None
    models_dir: Path | None = None
    embed_model: str = "auto"
    segmenter: str = "auto"
    local_features: str = "auto"
    text_reader: str = "auto"
    executor: Literal["in_process", "multiprocess", "docker", "k8s", "celery"] = "in_process"
    shards: bool | None = None
    run_launcher: Literal["process", "docker"] = "process"
    docker_image: str | None = None
    docker_networks: str = ""
    docker_volumes: str = ""
    docker_env: str = ""
    celery_broker: SecretStr | None = None
    celery_backend: SecretStr = SecretStr("rpc://")
    workers: int | None = Field(None, ge=1, le=1024)
    keep_partitions: int = Field(10_000, ge=1)
    log_format: Literal["plain", "json"] = "plain"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    ebay_client_id: str | None = None
    ebay_client_secret: SecretStr | None = None
    ebay_marketplace: str = "EBAY_US"
    ebay_api_url: str = "https://api.ebay.com"
    ebay_daily_calls: int = Field(5_000, ge=1)
    amazon_credential_id: str | None = None
    amazon_credential_secret: SecretStr | None = None
    amazon_credential_version: str | None = None
    amazon_partner_tag: str | None = None
    amazon_marketplace: str = "www.amazon.com"
    amazon_api_url: str | None = None
    amazon_token_url: str | None = None
    youtube_search: str = "ytsearch"
    bilibili_search: str = "bilisearch"
    ytdlp_extractors: str = ""
    ytdlp_cookies: Path | None = None
    ytdlp_proxy: SecretStr | None = None
    ytdlp_sleep_s: float = Field(1.0, ge=0, le=600)
    ytdlp_rate: int | None = Field(None, ge=1_000)
    fetch_allow: str = ""
    source_policies: str = ""
    translator: str = "stored"
    api_host: str = "127.0.0.1"
    api_port: int = Field(8080, ge=1, le=65_535)
    api_auth: bool = True
    api_url: str | None = None
    api_source_roots: str = ""
    api_rate: int = Field(600, ge=1)
    api_upload_mb: int = Field(50, ge=1, le=2_000)
    api_upload_video_mb: int = Field(500, ge=1, le=10_000)
    api_upload_quota_mb: int = Field(1_000, ge=1)
    api_upload_total_mb: int = Field(10_000, ge=1)
    api_upload_days: int = Field(30, ge=1, le=3_650)
    api_upload_check_s: float = Field(60, gt=0, le=3_600)
    api_cors: str = ""
    ui_auth: bool | None = None
    ui_hosts: str = ""
    ui_read_only: bool = False
    ui_path_prefix: str = Field("", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    trusted_proxies: str = ""
    callback_allow: str = ""
    callback_secret: SecretStr | None = None
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    webhook_events: str = ""
    notify_urls: SecretStr | None = None
    bus_url: SecretStr | None = None
    otlp_endpoint: str | None = Field(None, pattern=r"^https?://")
    otlp_headers: SecretStr | None = None
    vector_store_type: Literal["pgvector", "redis", "qdrant", "pinecone", "supabase"] = "pgvector"
    vector_dimension: int = Field(384, ge=1, le=4_000)
    vector_index_name: str = Field("product:vectors", min_length=1, max_length=100)
    similarity_threshold: float = Field(0.75, ge=0, le=1)
    product_stream_type: Literal["postgres", "redis", "rabbitmq", "nats", "supabase"] = "postgres"
    product_stream_key: str = Field("product:updates", pattern=r"^[A-Za-z0-9_.:-]{1,100}$")
    product_stream_group: str = Field("product-processors", pattern=r"^[A-Za-z0-9_-]{1,100}$")
    product_stream_consumer: str = Field("worker-{}", pattern=r"^[^{}]*\{\}[^{}]*$", max_length=100)
    product_stream_batch: int = Field(10, ge=1, le=1_000)
    product_stream_block_ms: int = Field(2_000, ge=1, le=4_000)
    product_stream_partitions: int = Field(1, ge=1, le=64)
    attention_host: str = "127.0.0.1"
    attention_orchestrator_port: int = Field(50051, ge=1, le=65_535)
    attention_face_detection_port: int = Field(50052, ge=1, le=65_535)
    attention_landmark_detection_port: int = Field(50053, ge=1, le=65_535)
    attention_head_pose_port: int = Field(50054, ge=1, le=65_535)
    attention_gaze_tracking_port: int = Field(50055, ge=1, le=65_535)
    attention_blink_detection_port: int = Field(50056, ge=1, le=65_535)
    attention_scorer_port: int = Field(50057, ge=1, le=65_535)
    attention_health_port: int = Field(0, ge=0, le=65_535)
    attention_services_at: str = ""
    attention_token: SecretStr | None = None
    attention_tls_cert: Path | None = None
    attention_tls_key: Path | None = None
    attention_redis_channel: str = Field("", pattern=r"^[A-Za-z0-9_.:-]{0,100}$")
    redis_host: str = "localhost"
    redis_port: int = Field(6379, ge=1, le=65_535)
    redis_db: int = Field(0, ge=0)
    redis_password: SecretStr | None = None
    nats_url: SecretStr = SecretStr("nats://localhost:4222")
    qdrant_url: str = "http://localhost:6333"
    qdrant_api_key: SecretStr | None = None
    pinecone_host: str | None = None
    pinecone_api_key: SecretStr | None = None
    supabase_url: str | None = None
    supabase_key: SecretStr | None = None

    @field_validator("home", "models_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))  # noqa: PTH100  # symlinks stay

    @field_validator(
        "log_format", "log_level", "executor", "run_launcher", "vector_store_type", "product_stream_type",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str) -> str:
        return ",".join(map(str, networks_of(value)))

    @property
    def in_shards(self) -> bool:
        """Whether stages with many items are split over steps."""
        return self.executor in ("docker", "k8s", "celery") if self.shards is None else self.shards

    @field_validator("postgres_listen")
    @classmethod
    def _one_address(cls, value: str) -> str:
        if value:
            host, _, port = value.rpartition(":")
            # A wildcard names no address that a client could call.
            if ipaddress.ip_address(host.strip("[]")).is_unspecified or not 0 < int(port) <= 65_535:
                raise ValueError("it must be ADDRESS:PORT, with the address of one interface")
        return value

    @property
    def listen_address(self) -> tuple[str, int] | None:
        """Address and port of `postgres_listen`."""
        host, _, port = self.postgres_listen.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

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
    def public_url(self) -> str:
        """The address under which users reach the REST API and the review page, without a final slash."""
        host = "127.0.0.1" if self.api_host in ("0.0.0.0", "::", "") else self.api_host
        return (self.api_url or f"http://{host}:{self.api_port}").rstrip("/")

    @property
    def needs_server(self) -> bool:
        """True where at least one of the two databases is in the embedded server."""
        return self.database_url is None or self.dagster_url is None

    @property
    def worker_count(self) -> int:
        """Processes or threads inside a step."""
        return self.workers or core_count()


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks from ``127.0.0.1, 10.1.0.0/16``; an address is a network of one.

    Raises:
        ValueError: an entry is neither.
    """
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def env_file() -> Path:
    """Where settings are kept beside the environment; there or not."""
    return project_root() / ".env"


def known_variables() -> frozenset[str]:
    """Names of all variables that are read."""
    names = {str(name) for field in Settings.model_fields for name in _variables(field).choices}
    return frozenset(names | _ELSEWHERE)


def given_variables() -> frozenset[str]:
    """Names of all variables that the environment or `.env` sets, ours and others', in upper case."""
    from dotenv import dotenv_values

    place = env_file()
    kept = dotenv_values(place, interpolate=False) if place.is_file() else {}
    return frozenset(name.upper() for values in (os.environ, kept) for name, value in values.items() if value)


def readable_settings() -> tuple[Settings, list[InputError]]:
    """The settings with the default in place of each that is not valid, and what is wrong with those."""
    fields = {str(name): field for field in Settings.model_fields for name in _variables(field).choices}
    try:
        return _read(env_file(), {}), []
    except ValidationError as error:
        found = [_invalid(one) for one in error.errors()]
        bad = {fields[one.subject] for one in found if one.subject in fields}
    return load_settings(**{field: Settings.model_fields[field].default for field in bad}), found


def load_settings(env: Path | None = None, **overrides: Any) -> Settings:
    """The settings of this process: environment, then `.env`, then defaults.

    Args:
        env: the `.env` file; default the one in the project root, read where it exists.
        overrides: fields by name that win over the environment.

    Raises:
        InputError: code ``settings.invalid``, naming the variable and never its value.
    """
    try:
        return _read(env or env_file(), overrides)
    except ValidationError as error:
        raise _invalid(error.errors()[0]) from None


def _read(env: Path, overrides: Mapping[str, Any]) -> Settings:
    # By alias only: a field named `home` would otherwise be filled from the variable HOME.
    given = {str(_variables(name).choices[0]): value for name, value in overrides.items()}
    return Settings(_env_file=env, **given)  # type: ignore[call-arg]


def _invalid(error: Mapping[str, Any]) -> InputError:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    return InputError("settings.invalid", name, error["msg"], "Correct it in the environment or in .env")


def environment(settings: Settings) -> Mapping[str, str]:
    """The variables under which a child process sees the same settings (secrets included: not for logs)."""
    values = {_variables(name).choices[0]: value for name, value in settings if value is not None}
    return {
        str(name): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
    }


def check_api_host(settings: Settings) -> None:
    """Checks that an API without keys listens on this machine alone.

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
