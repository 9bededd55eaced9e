"""Industries: names, queries, standing sources, rules."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

from fastapi import APIRouter, Response

from pvm_api import models, views
from pvm_api.deps import Admin, Base, IndustryName, Reader, ServicesDep
from pvm_api.services import Services
from pvm_jobs.request import JobRequest, parse_queries
from pvm_jobs.rules import own_values
from pvm_jobs.source_kinds import KINDS
from pvm_resources.store.records import Industry

router: Final = APIRouter(prefix="/v1/industries", tags=["industries"])


@router.get("", operation_id="listIndustries", summary="All industries, by name")
def list_industries(services: ServicesDep, base: Base, caller: Reader) -> models.Page[models.Industry]:
    """All industries on one page."""
    found = [_view(services, industry, base) for industry in services.store.industries.list()]
    return models.Page[models.Industry](items=found, next=None)


@router.post("", operation_id="createIndustry", status_code=201, summary="Make or change an industry")
def create_industry(
    body: models.IndustryBody, response: Response, services: ServicesDep, base: Base, caller: Admin
) -> models.Industry:
    """Makes an industry; one that exists keeps what is not named."""
    changes = _checked(services, body)
    industry = services.store.industries.ensure(body.name)
    found = _change(services, industry, changes, base)
    response.headers["Location"] = f"{base}/v1/industries/{found.slug}"
    return found


@router.get("/{industry}", operation_id="getIndustry", summary="One industry")
def get_industry(
    industry: IndustryName, services: ServicesDep, base: Base, caller: Reader
) -> models.Industry:
    """An industry by name or slug."""
    return _view(services, services.store.industries.get(industry), base)


@router.patch("/{industry}", operation_id="changeIndustry", summary="Change an industry")
def change_industry(
    industry: IndustryName, body: models.IndustryPatch, services: ServicesDep, base: Base, caller: Admin
) -> models.Industry:
    """Sets queries, standing sources and how often they are run."""
    found = services.store.industries.get(industry)
    return _change(services, found, _checked(services, body), base)


@router.delete(
    "/{industry}", operation_id="deleteIndustry", status_code=204, summary="Remove an industry without jobs"
)
def delete_industry(industry: IndustryName, services: ServicesDep, caller: Admin) -> None:
    """Removes an industry; one that has jobs is refused."""
    services.store.industries.delete(services.store.industries.get(industry).slug)


@router.get("/{industry}/rules", operation_id="getRules", summary="Rules of an industry")
def get_rules(industry: IndustryName, services: ServicesDep, caller: Reader) -> models.Rules:
    """Rules as stored and as they take effect."""
    return _rules(services, services.store.industries.get(industry))


@router.put("/{industry}/rules", operation_id="setRules", summary="Replace the rules of an industry")
def set_rules(
    industry: IndustryName, body: models.RulesBody, services: ServicesDep, caller: Admin
) -> models.Rules:
    """A named set and the fields it overrides; jobs from now on are computed under them."""
    return _store(services, services.store.industries.get(industry), body.rule_set, body.overrides)


@router.patch("/{industry}/rules", operation_id="changeRules", summary="Change rules of an industry")
def change_rules(
    industry: IndustryName, body: models.RulesPatch, services: ServicesDep, caller: Admin
) -> models.Rules:
    """Sets single fields; null takes one back to its set."""
    found = services.store.industries.get(industry)
    merged = {**found.rules, **body.overrides}
    kept = {name: value for name, value in merged.items() if value is not None}
    return _store(services, found, body.rule_set or found.rule_set, kept)


def _store(services: Services, industry: Industry, rule_set: str, overrides: dict[str, Any]) -> models.Rules:
    own = own_values(rule_set, overrides)
    services.store.industries.set_rules(industry.slug, rule_set, own)
    return _rules(services, replace(industry, rule_set=rule_set, rules=own))


def _rules(services: Services, industry: Industry) -> models.Rules:
    effective = services.settings.rules_of(industry.rule_set, industry.rules)
    return models.Rules(rule_set=industry.rule_set, overrides=industry.rules, effective=asdict(effective))


def _checked(services: Services, body: models.IndustryBody | models.IndustryPatch) -> dict[str, Any]:
    """What the body changes, checked before anything is written."""
    given = body.model_fields_set
    changes: dict[str, Any] = {}
    if "queries" in given:
        changes["queries"] = {code: list(found) for code, found in parse_queries(body.queries).items()}
    if "sources" in given:
        standing = JobRequest.parse(body.sources.model_dump() if body.sources else {})
        admitted = services.places.admit(standing).to_json()
        changes["sources"] = {name: admitted[name] for name in (*KINDS, "columns") if admitted.get(name)}
    if "every_hours" in given:
        changes["every_hours"] = body.every_hours
    return changes


def _change(services: Services, industry: Industry, changes: dict[str, Any], base: str) -> models.Industry:
    if "queries" in changes:
        services.store.industries.set_queries(industry.slug, changes["queries"])
    if "sources" in changes:
        services.store.industries.set_sources(industry.slug, changes["sources"])
    if "every_hours" in changes:
        services.store.schedules.set_every(industry.slug, changes["every_hours"])
    return _view(services, services.store.industries.get(industry.slug), base)


def _view(services: Services, industry: Industry, base: str) -> models.Industry:
    sources: dict[str, Any] = {
        kind: [services.places.shown(token) for token in ([given] if isinstance(given, str) else given)]
        for kind, given in industry.sources.items()
        if kind in KINDS
    }
    if columns := industry.sources.get("columns"):
        sources["columns"] = columns
    return views.industry(industry, services.store.schedules.every(industry.slug), sources, base)
