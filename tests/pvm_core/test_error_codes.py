"""Every code that is raised is registered; what follows from a code is said once."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvm_core.error_codes import REGISTRY, Exit, traits_of
from pvm_core.errors import InputError, MediaError, PvmError, StoreError, error_to_dict, exit_of_dict

_ROOT = Path(__file__).resolve().parents[2]
_SOURCES = [*_ROOT.glob("pvm_*/**/*.py"), *_ROOT.glob("sensors/*.py"), _ROOT / "definitions.py"]
_TREES = {path.relative_to(_ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in _SOURCES}
#: Tables whose rows begin with a code.
_TABLES = {"_Meaning"}


def _error_classes() -> set[str]:
    """Names of `PvmError` and of every class that derives from it."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in _TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"PvmError"}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


def _calls() -> Iterator[tuple[str, ast.expr, ast.Call]]:
    """Where an error is made: place, its code as written, the call."""
    classes = _error_classes() | _TABLES
    for path, tree in _TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                given = [*node.args, *(k.value for k in node.keywords if k.arg == "code")]
                if given:
                    yield f"{path}:{node.lineno}", given[0], node


def _codes(code: ast.expr) -> list[str]:
    """The codes an expression may be, as far as the source says them; the first part alone where the second
    is computed."""
    if isinstance(code, ast.Constant):
        return [str(code.value)]
    if isinstance(code, ast.JoinedStr):
        first, last = code.values[0], code.values[-1]
        if isinstance(first, ast.Constant):
            return [str(first.value).partition(".")[0]]
        if isinstance(last, ast.Constant) and str(last.value) == ".none":
            return ["products.none", "videos.none"]
        if isinstance(last, ast.Constant) and str(last.value) == ".unknown":
            kinds = ("match", "product", "video", "image", "frame", "evidence")
            return [f"{kind}.unknown" for kind in kinds]
    return []


def test_every_code_that_is_raised_is_registered() -> None:
    found = [(place, code) for place, written, _ in _calls() for code in _codes(written)]
    assert len(found) > 250
    assert [(place, code) for place, code in found if traits_of(code) is None] == []


def test_every_code_in_an_error_that_is_written_as_a_dictionary_is_registered() -> None:
    found = [
        (path, str(value.value))
        for path, tree in _TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict) and {"code", "reason"} <= {getattr(k, "value", None) for k in node.keys}
        for key, value in zip(node.keys, node.values, strict=True)
        if getattr(key, "value", None) == "code" and isinstance(value, ast.Constant)
    ]
    assert found
    assert [(path, code) for path, code in found if traits_of(code) is None] == []


def test_a_raise_does_not_contradict_the_registry() -> None:
    for place, written, call in _calls():
        stated = [k.value.value for k in call.keywords if k.arg == "retryable" and _is_constant(k.value)]  # type: ignore[attr-defined]
        if not stated or not isinstance(written, ast.Constant) or "." not in str(written.value):
            continue
        traits = traits_of(str(written.value))
        assert traits is not None
        assert traits.retryable == stated[0], (place, written.value)


def _is_constant(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant)


def test_no_entry_is_idle() -> None:
    texts = {
        node.value
        for path, tree in _TREES.items()
        if path != "pvm_core/error_codes.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    said = texts | {code for _, written, _ in _calls() for code in _codes(written)}
    # `SourceError.of` puts the state behind "source.".
    said |= {"source.failed", "source.rate_limited"}
    families = {text.partition(".")[0] for text in said}
    assert [code for code in REGISTRY if code not in (said if "." in code else families)] == []


@pytest.mark.parametrize(
    ("error", "scope", "http", "exit_code", "retryable"),
    [
        (MediaError("picture.corrupt", "a", "r", "m"), "item", 422, Exit.USAGE, False),
        (InputError("job.unknown", "a", "r", "m"), "job", 404, Exit.USAGE, False),
        (StoreError("store.unreachable", "a", "r", "m"), "machine", 503, Exit.UNAVAILABLE, True),
        (StoreError("store.query", "a", "r", "m"), "machine", 500, Exit.FAILED, False),
        (PvmError("worker.timeout", "a", "r", "m"), "item", 500, Exit.FAILED, False),
        (PvmError("worker.died", "a", "r", "m"), "item", 500, Exit.UNAVAILABLE, True),
        (InputError("pictures.none", "a", "r", "m"), "job", 422, Exit.NOTHING, False),
        (InputError("pictures.none", "a", "r", "m", retryable=True), "job", 422, Exit.UNAVAILABLE, True),
        (MediaError("my_plugin.broken", "a", "r", "m"), "item", 422, Exit.USAGE, False),
        (PvmError("my_plugin.broken", "a", "r", "m"), "job", 500, Exit.FAILED, False),
    ],
)
def test_what_follows_from_a_code(
    error: PvmError, scope: str, http: int, exit_code: Exit, retryable: bool
) -> None:
    assert (error.traits.scope, error.http_status, error.exit_code) == (scope, http, exit_code)
    assert error.retryable is retryable
    again = pickle.loads(pickle.dumps(error))
    assert again.to_dict() == error.to_dict()
    assert again.traits == error.traits


def test_an_error_is_one_dictionary() -> None:
    error = StoreError("store.busy", "s", "r", "m")
    assert error.to_dict() == {
        "code": "store.busy", "subject": "s", "reason": "r", "remedy": "m", "retryable": True,
    }  # fmt: skip
    assert error_to_dict(error) == error.to_dict()
    internal = error_to_dict(RuntimeError("x"))
    assert (internal["code"], internal["reason"], internal["retryable"]) == (
        "internal",
        "RuntimeError: x",
        False,
    )


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        ({"code": "products.none"}, Exit.NOTHING),
        ({"code": "source.missing"}, Exit.USAGE),
        ({"code": "model.missing"}, Exit.USAGE),
        ({"code": "step.failed"}, Exit.FAILED),
        ({"code": "upstream.blocked"}, Exit.FAILED),
        ({"code": "source.rate_limited", "retryable": True}, Exit.UNAVAILABLE),
        ({}, Exit.FAILED),
    ],
)
def test_the_exit_code_of_a_job_that_failed(error: dict[str, object], exit_code: Exit) -> None:
    assert exit_of_dict(error) is exit_code
