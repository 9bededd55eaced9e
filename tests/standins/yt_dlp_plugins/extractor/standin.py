"""A plug-in of yt-dlp's for the site of `tests.standins.videos`: ``localsearchN:phrase`` and its pages."""

import os
from urllib.parse import quote

from yt_dlp.extractor.common import InfoExtractor, SearchInfoExtractor
from yt_dlp.utils import ExtractorError

_BASE = "PVM_STANDIN_VIDEOS"


class StandinSearchIE(SearchInfoExtractor):
    IE_NAME = "standin:search"
    _SEARCH_KEY = "localsearch"
    _MAX_RESULTS = 1_000

    def _get_n_results(self, query, n):
        base = os.environ[_BASE]
        listed = self._download_json(f"{base}/search?q={quote(query)}&n={n}", query)
        entries = [
            {"_type": "url", "url": f"{base}/watch/{one['id']}", "ie_key": "Standin", **one} for one in listed
        ]
        return self.playlist_result(entries, query, query)


class StandinIE(InfoExtractor):
    IE_NAME = "standin"
    _VALID_URL = r"http://(?:127\.0\.0\.1|localhost|10\.\d+\.\d+\.\d+):\d+/watch/(?P<id>[^/?#]+)"

    def _real_extract(self, url):
        video_id = self._match_id(url)
        info = self._download_json(url, video_id)
        if says := info.get("says"):
            self._refused(says, video_id)
        if entries := info.get("entries"):
            return self.playlist_result([self.url_result(one) for one in entries], video_id)
        kept = ("id", "title", "duration", "timestamp", "upload_date", "live_status", "formats")
        return {key: info[key] for key in kept if key in info}

    def _refused(self, says, video_id):
        if says == "geo":
            self.raise_geo_restricted("It is not available in your location", countries=["VN"])
        if says == "login":
            self.raise_login_required("Log in to see it")
        if says == "broken":
            return {}["there is no such key"]
        raise ExtractorError(says, expected=True, video_id=video_id)


class StandinRedirectIE(InfoExtractor):
    """A page whose server sends on to elsewhere."""

    IE_NAME = "standin:redirect"
    _VALID_URL = r"http://127\.0\.0\.1:\d+/goto\?to=.+"

    def _real_extract(self, url):
        return {"id": "r", "title": self._download_webpage(url, "r"), "url": url, "ext": "mp4"}
