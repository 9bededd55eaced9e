"""Errors a user meets: each names the thing, the reason and the remedy, under a stable code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pvm_core.error_codes import FAILURE, INPUT, ITEM, MACHINE, MODEL, ErrorTraits, Exit, exit_of, traits_of
from pvm_core.shown_url import without_secrets


class PvmError(Exception):
    """A failure with a stable code; scope, HTTP status and exit code follow from the code.

    Addresses in its texts lose what may be a key (`pvm_core.shown_url`): errors reach logs and answers.

    Args:
        code: dotted lower-case identifier, stable across releases, e.g. ``picture.truncated``; registered in
            `pvm_core.error_codes`.
        subject: what failed, as the user knows it (a path, an id, a URL).
        reason: why, in one clause without a final full stop.
        remedy: what the user can do about it, one clause.
        retryable: True where the same call may succeed later without a change by the user; default as the
            code is registered.
    """

    #: Traits of a code that is not registered: a plug-in's.
    unregistered: ClassVar[ErrorTraits] = FAILURE

    def __init__(
        self, code: str, subject: str, reason: str, remedy: str, *, retryable: bool | None = None
    ) -> None:
        self.code = code
        self.subject = subject = without_secrets(subject)
        self.reason = reason = without_secrets(reason)
        self.remedy = remedy
        self.traits = traits_of(code) or self.unregistered
        self.retryable = self.traits.retryable if retryable is None else retryable
        super().__init__(f"{subject}: {reason}. {remedy} [{code}]")

    @property
    def http_status(self) -> int:
        """The HTTP status: as registered; 503 where this machine may be in order again later."""
        return 503 if self.retryable and self.traits.scope == "machine" else self.traits.http

    @property
    def exit_code(self) -> Exit:
        """The exit code of a command or job that the error stops."""
        return exit_of(self.traits, self.retryable)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: code, subject, reason, remedy, retryable."""
        return {name: getattr(self, name) for name in ("code", "subject", "reason", "remedy", "retryable")}

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions raised in a worker process are pickled on their way back; the default
        # protocol would call __init__ with the formatted message alone.
        return _rebuild, (type(self), self.code, self.subject, self.reason, self.remedy, self.retryable)


def _rebuild(
    kind: type[PvmError], code: str, subject: str, reason: str, remedy: str, retryable: bool
) -> PvmError:
    return kind(code, subject, reason, remedy, retryable=retryable)


class InputError(PvmError):
    """The input cannot be used as it is: a file, a row, an option."""

    unregistered = INPUT


class MediaError(InputError):
    """A picture or a video cannot be used."""

    unregistered = ITEM


class ModelError(PvmError):
    """A model is unknown, its weights are missing, or they do not match their hash."""

    unregistered = MODEL


class StoreError(PvmError):
    """The database or the media store refused or was out of reach."""

    unregistered = MACHINE


def error_to_dict(error: BaseException) -> dict[str, Any]:
    """Any error as `PvmError.to_dict` has it; one that is no `PvmError` has the code ``internal``."""
    if not isinstance(error, PvmError):
        error = PvmError("internal", "", f"{type(error).__name__}: {error}", "")
    return error.to_dict()


def exit_of_dict(error: Mapping[str, Any]) -> Exit:
    """The exit code of a job that ended with `error`, as `to_dict` wrote it."""
    traits = traits_of(str(error.get("code", ""))) or FAILURE
    return exit_of(traits, bool(error.get("retryable")))


@dataclass(frozen=True)
class Problem:
    """A failure that concerns one item and does not stop its job.

    Attributes:
        stage: the asset that met it, e.g. ``product_images``.
        item: what it concerns, as the user knows it.
        code: the stable code of the error.
        message: reason and remedy in one line.
        retryable: True where a later run may succeed unchanged.
    """

    stage: str
    item: str
    code: str
    message: str
    retryable: bool = False

    @classmethod
    def of(cls, stage: str, error: PvmError, item: str | None = None) -> Problem:
        """The problem that `error` is for `item` (default: the error's own subject)."""
        return cls(
            stage,
            without_secrets(item or error.subject),
            error.code,
            f"{error.reason}. {error.remedy}",
            error.retryable,
        )
