"""Errors a user meets: each names the thing, the reason and the remedy, under a stable code."""

from __future__ import annotations

from dataclasses import dataclass


class PvmError(Exception):
    """A failure with a stable code.

    Args:
        code: dotted lower-case identifier, stable across releases, e.g. ``picture.truncated``.
        subject: what failed, as the user knows it (a path, an id, a URL).
        reason: why, in one clause without a final full stop.
        remedy: what the user can do about it, one clause.
        retryable: True where the same call may succeed later without a change by the user.
    """

    def __init__(self, code: str, subject: str, reason: str, remedy: str, *, retryable: bool = False) -> None:
        self.code = code
        self.subject = subject
        self.reason = reason
        self.remedy = remedy
        self.retryable = retryable
        super().__init__(f"{subject}: {reason}. {remedy} [{code}]")

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


class MediaError(InputError):
    """A picture or a video cannot be used."""


class ModelError(PvmError):
    """A model is unknown, its weights are missing, or they do not match their hash."""


class StoreError(PvmError):
    """The database or the media store refused or was out of reach."""


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
            stage, item or error.subject, error.code, f"{error.reason}. {error.remedy}", error.retryable
        )
