"""Services and ports, programs, models, sources."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Final

from pvm_cli.doctor.finding import Finding, State
from pvm_cli.processes import ServiceFolder, port_is_free
from pvm_cli.services import API, CONSUMER, SERVICES, UI_PORT, WEBSERVER, answers
from pvm_core.errors import PvmError
from pvm_resources.code_sockets import ATTENTION
from pvm_resources.settings import Settings, attention_python

#: Where a running service answers.
_HEALTH: Final = {API: "/healthz", WEBSERVER: "/server_info"}
_SOURCE_STATES: Final[dict[str, State]] = {"ok": "ok", "partial": "warning", "not_configured": "note"}


def services(settings: Settings) -> Iterator[Finding]:
    """What `pvm up` started, and whether the ports are free where it did not."""
    section, folder = "services", ServiceFolder(settings.home)
    ports = {
        WEBSERVER: ("127.0.0.1", UI_PORT, "--port"),
        API: (settings.api_host, settings.api_port, "--api-port"),
    }
    for name in SERVICES:
        found = folder.find(name)
        if found is None and name in _left_out(settings):
            continue
        if found is not None and name in _HEALTH and not answers(f"{found.url}{_HEALTH[name]}"):
            remedy = f"See {folder.log_path(name)}; then pvm down and pvm up"
            yield Finding(section, name, f"runs and does not answer at {found.url}", "failed", remedy)
        elif found is not None:
            yield Finding(section, name, f"running {found.url}".strip())
        elif name in ports and not port_is_free(*ports[name][:2]):
            _, port, option = ports[name]
            remedy = f"Stop that program, or choose another port: pvm up {option} {port + 1}"
            yield Finding(section, name, f"stopped; port {port} is another program's", "warning", remedy)
        else:
            yield Finding(section, name, "stopped")


def _left_out(settings: Settings) -> Iterator[str]:
    """Services that this installation has no use for."""
    if settings.product_stream_type == "postgres":
        yield CONSUMER
    if attention_python() is None:
        yield ATTENTION


def programs() -> Iterator[Finding]:
    """Programs beside Python: none is needed, some help."""
    from importlib.metadata import version

    from pvm_resources.sources.ytdlp import runtimes

    section = "programs"
    own = shutil.which("ffmpeg")
    yield Finding(
        section,
        "ffmpeg",
        f"in PyAV {version('av')}; " + (f"{own} is not used" if own else "no other is needed"),
    )
    found = runtimes.detect()
    runtime = f"{found.runtime.name} {found.runtime.version}" if found.runtime else "none"
    if found.lack:
        yield Finding(section, "JavaScript", f"{runtime}: {found.reason}", "note", runtimes.REMEDY)
    else:
        yield Finding(section, "JavaScript", runtime)


def models(settings: Settings) -> Iterator[Finding]:
    """Weights that are here, and whether they are calibrated."""
    from pvm_resources.models.calibrations import calibrated
    from pvm_resources.models.weights_store import ModelStore

    section = "models"
    try:
        ready = calibrated(settings.models)
    except PvmError as error:
        yield Finding(section, "calibrations", error.reason, "failed", error.remedy)
        ready = frozenset()
    states = ModelStore(settings.models).list()
    here = [one.spec for one in states if one.status in {"builtin", "present"}]
    shown = (
        spec.name + ("" if spec.kind != "embedder" or spec.name in ready else " (not calibrated)")
        for spec in here
    )
    yield Finding(section, "here", ", ".join(shown))
    yield Finding(
        section, "chosen", f"EMBED_MODEL={settings.embed_model}, PVM_SEGMENTER={settings.segmenter}"
    )
    for one in states:
        if one.status == "broken":
            name = one.spec.name
            remedy = f"pvm models rm {name}, then pvm models pull {name}"
            yield Finding(section, name, "its manifest cannot be read", "failed", remedy)


def sources(settings: Settings) -> Iterator[Finding]:
    """Whether each source is set up here; nothing is requested."""
    from pvm_resources.sources.readiness import readiness

    for one in readiness(settings):
        status = one.status
        value = "ready" if status.state == "ok" else status.reason
        yield Finding("sources", status.source, value, _SOURCE_STATES[status.state], status.remedy)
