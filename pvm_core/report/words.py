"""Texts of the report by language; the English text is the message id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "vi")
#: Of labels; of a measurement; of neither.
JUDGED: Final = (
    "{share} of the accepted matches that people judged here are right ({right} of {known}); with 95 % "
    "confidence at least {bound}."
)
MEASURED: Final = (
    "Measured on pictures whose truth is known: {share} of the accepted matches are right ({right} of "
    "{known}); with 95 % confidence at least {bound}. Nobody has judged matches of this list yet."
)
UNKNOWN: Final = "Nobody has judged matches of this list, and this calibration was not measured."
VIETNAMESE: Final[Mapping[str, str]] = {
    "Products in videos": "Sản phẩm trong video",
    "matches": "kết quả",
    "products compared": "sản phẩm đã so sánh",
    "videos compared": "video đã so sánh",
    "Precision": "Độ chính xác",
    JUDGED: (
        "{share} kết quả được chấp nhận đã được người duyệt ở đây là đúng ({right} trên {known}); với độ tin "
        "cậy 95 %, ít nhất {bound}."
    ),
    MEASURED: (
        "Đo trên các ảnh đã biết kết quả: {share} kết quả được chấp nhận là đúng ({right} trên {known}); với "
        "độ tin cậy 95 %, ít nhất {bound}. Chưa ai duyệt kết quả nào trong danh sách này."
    ),
    UNKNOWN: "Chưa ai duyệt kết quả nào trong danh sách này, và bộ hiệu chỉnh này chưa được đo.",
    "Search": "Tìm kiếm",
    "Product, brand, video, channel": "Sản phẩm, thương hiệu, video, kênh",
    "Status": "Trạng thái",
    "Platform": "Nền tảng",
    "Lowest score": "Điểm thấp nhất",
    "Order": "Thứ tự",
    "Best first": "Điểm cao trước",
    "By product": "Theo sản phẩm",
    "By video and second": "Theo video và giây",
    "Newest video first": "Video mới trước",
    "Price, lowest first": "Giá thấp trước",
    "All": "Tất cả",
    "accepted": "Chấp nhận",
    "review": "Cần duyệt",
    "rejected": "Từ chối",
    "accept": "Đã duyệt: đúng",
    "reject": "Đã duyệt: sai",
    "unsure": "Đã duyệt: chưa chắc",
    "by score: {status}": "theo điểm: {status}",
    "Score": "Điểm",
    "Seen mirrored": "Hình bị lật ngang",
    "Open product": "Mở sản phẩm",
    "Open video at {at}": "Mở video tại {at}",
    "Evidence": "Bằng chứng",
    "Published": "Đăng ngày",
    "No match fits these filters.": "Không có kết quả nào hợp bộ lọc.",
    "{shown} of {total} shown": "Hiện {shown} trên {total}",
    "There is no match to show.": "Không có kết quả nào.",
    "{count} further matches are not listed.": "Còn {count} kết quả không được liệt kê.",
    "Proof: {product} beside the frame of {video} at {at}": (
        "Bằng chứng: {product} bên cạnh khung hình của {video} tại {at}"
    ),
    "The source's terms ended the keeping of these pictures.": (
        "Điều khoản của nguồn không cho giữ các ảnh này nữa."
    ),
    "The source's terms do not let these pictures be passed on.": (
        "Điều khoản của nguồn không cho chuyển các ảnh này đi."
    ),
    "There is no picture of this match.": "Không có ảnh của kết quả này.",
    "Left out to keep this file small.": "Bỏ qua để tệp này nhỏ.",
    "Made {day}": "Lập ngày {day}",
    "job {job}": "công việc {job}",
    "accepted from a score of {accept} on": "chấp nhận từ điểm {accept}",
}
#: English texts of values whose message id is no text of its own.
_ENGLISH: Final[Mapping[str, str]] = {
    "accepted": "Accepted",
    "review": "For review",
    "rejected": "Rejected",
    "accept": "judged right",
    "reject": "judged wrong",
    "unsure": "judged unsure",
}


def translated(message: str, language: str) -> str:
    """The message in that language; English where it has none."""
    known = VIETNAMESE if language == "vi" else _ENGLISH
    return known.get(message, message)
