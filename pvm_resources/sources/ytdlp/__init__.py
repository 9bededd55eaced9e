"""Videos through yt-dlp: searches on YouTube and Bilibili, and lists of links.

Importing this package does not import yt-dlp, which takes most of a second; the first request does.
"""

from pvm_resources.sources.ytdlp.links import LinkList
from pvm_resources.sources.ytdlp.sources import BilibiliVideos, YouTubeVideos

__all__ = ["BilibiliVideos", "LinkList", "YouTubeVideos"]
