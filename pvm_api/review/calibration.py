"""Pages that learn from an industry's verdicts: the fit beside what is in force, installing, going back."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from pvm_api.deps import ServicesDep
from pvm_api.problems import ApiError
from pvm_api.review.access import SignedIn, Visitor, sessions_of
from pvm_api.review.pages import PageRoute
from pvm_api.review.view import page
from pvm_api.services import Services
from pvm_core.errors import InputError
from pvm_resources.store.records import Industry

router: Final = APIRouter(prefix="/review/calibration", include_in_schema=False, route_class=PageRoute)


@router.get("/{industry}")
def comparison(
    request: Request, industry: str, services: ServicesDep, visitor: SignedIn, done: str = ""
) -> Response:
    """What the industry's verdicts teach, beside what is in force."""
    found = services.store.industries.get(industry)
    try:
        proposal = services.propose_calibration(found)
    except InputError as error:
        if error.code != "calibration.labels":
            raise
        proposal = None
    history = services.store.calibrations.history(found.slug)
    return page(
        request, "calibration.html", industry=found, proposal=proposal, history=history, done=done,
        may_change=visitor.may_change,
    )  # fmt: skip


@router.post("/{industry}")
def install(
    request: Request,
    industry: str,
    services: ServicesDep,
    visitor: SignedIn,
    fit: Annotated[str, Form(max_length=500)],
    force: Annotated[bool, Form()] = False,
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Puts the fit that the page showed in force; one that fares worse only where the form says so."""
    found = _changing(request, industry, services, visitor, csrf_token)
    proposal = services.propose_calibration(found)
    if fit != proposal.mark:
        raise InputError(
            "calibration.changed", found.name, "verdicts were given since the page was loaded",
            "Look at the comparison again",
        )  # fmt: skip
    if proposal.comparison.doubts and not force:
        raise InputError(
            "calibration.worse", found.name, "the fit fares worse than what is in force", "Judge more matches"
        )
    assert visitor.principal is not None
    services.install_calibration(proposal, visitor.principal.name)
    return RedirectResponse(f"/review/calibration/{found.slug}?done=installed", 303)


@router.post("/{industry}/revert")
def revert(
    request: Request,
    industry: str,
    services: ServicesDep,
    visitor: SignedIn,
    csrf_token: Annotated[str, Form()] = "",
) -> Response:
    """Takes the calibration in force back."""
    found = _changing(request, industry, services, visitor, csrf_token)
    services.revert_calibration(found)
    return RedirectResponse(f"/review/calibration/{found.slug}?done=reverted", 303)


def _changing(
    request: Request, industry: str, services: Services, visitor: Visitor, csrf_token: str
) -> Industry:
    """The industry, where the visitor may change what its jobs accept.

    Raises:
        ApiError: 403 ``review.foreign``, ``auth.scope``.
    """
    sessions_of(request).check(visitor, request, csrf_token)
    if not visitor.may_change:
        raise ApiError("auth.scope", "only a key with the scope admin may change a calibration", "Ask one")
    return services.store.industries.get(industry)
