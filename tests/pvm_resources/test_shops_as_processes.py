"""The stand-ins as processes, with settings from an environment and pictures over HTTP."""

from __future__ import annotations

import pytest

from pvm_core.errors import MediaError
from pvm_core.images import decode_picture
from pvm_resources.http.fetcher import Fetcher
from pvm_resources.settings import load_settings
from pvm_resources.sources.base import Query
from pvm_resources.sources.registry import product_specs
from pvm_resources.store.assembly import Store
from tests.pvm_resources.shopping import NO_FILE, shopping
from tests.standins.running import amazon_environment, ebay_environment, running


def test_both_shops_by_name_from_the_environment_to_pictures(
    repos: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("ebay", "--plain", "4") as ebay, running("amazon", "--plain", "4") as amazon:
        for name, value in (ebay_environment(ebay) | amazon_environment(amazon)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PVM_FETCH_ALLOW", f"{ebay.place},{amazon.place}")
        settings = load_settings(NO_FILE)
        web = Fetcher.of(settings)
        for spec in product_specs(["ebay", "amazon"]):
            source = spec.make(shopping(repos, spec.name).context(settings))
            found = source.collect(Query("pillow", limit=3))
            assert (found.status.state, len(found.records)) == ("ok", 3)
            for record in found.records:
                for picture in record.pictures:
                    assert decode_picture(web.fetch(picture.ref).data, picture.ref).rgb.shape == (200, 200, 3)
        assert ebay.violations() == amazon.violations() == []
        assert ebay.counts()["/buy/browse/v1/item_summary/search"] == 1
        assert amazon.counts()["/catalog/v1/searchItems"] == 1
        ebay.fail("/pictures/", "truncated")
        with pytest.raises(MediaError, match=r"picture\.truncated"):
            decode_picture(web.fetch(f"{ebay.url}/pictures/0/0.jpg").data, "half a picture")
