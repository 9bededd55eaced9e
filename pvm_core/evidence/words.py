"""Texts of evidence pictures by language; the English text is the message id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

#: Languages an evidence picture is drawn in.
Language = Literal["en", "vi"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

VIETNAMESE: Final[Mapping[str, str]] = {
    "Accepted": "Chấp nhận",
    "For review": "Cần duyệt",
    "Rejected": "Từ chối",
    "Product": "Sản phẩm",
    "in": "trong",
    "at": "tại",
    "video": "video",
    "Catalogue picture": "Ảnh catalogue",
    "Video frame at {at}": "Khung hình tại {at}",
    "Catalogue": "Catalogue",
    "Video, turned to match": "Video, xoay cho khớp",
    "Video, turned": "Video, đã xoay",
    "Matched points": "Điểm khớp",
    "Overall look": "Hình dáng chung",
    "Print and colour": "Hình in và màu",
    "Score": "Điểm",
    "accepted from {accept}": "chấp nhận từ {accept}",
    "framed: another colour": "đóng khung: màu khác",
    "framed: another print": "đóng khung: hình in khác",
    "framed: another word": "đóng khung: chữ khác",
    "words read in both: {words}": "chữ đọc được ở cả hai: {words}",
    "seen mirrored": "hình bị lật ngang",
    "not measured": "không đo được",
    "No alignment between the pictures was found; this rests on the overall look alone.": (
        "Không tìm được phép căn chỉnh giữa hai ảnh; chỉ dựa vào hình dáng chung."
    ),
    "matched points: {count}": "số điểm khớp: {count}",
    "tentative: {count}": "thử khớp: {count}",
    "shots that reach the threshold: {count}": "số cảnh đạt ngưỡng: {count}",
    "catalogue pictures in them: {count}": "số ảnh catalogue trong đó: {count}",
    "listed more than once, first as {name}": "được đăng nhiều lần, lần đầu là {name}",
    "best pair {best}": "cặp tốt nhất {best}",
    "best pair {best} + {bonus} for further shots and pictures that agree": (
        "cặp tốt nhất {best} + {bonus} do nhiều cảnh và ảnh cùng khớp"
    ),
    "best pair {best}, held down to {score}: it cannot be accepted by itself": (
        "cặp tốt nhất {best}, giữ ở {score}: không thể tự chấp nhận"
    ),
    "Rival {score}": "Đối thủ {score}",
    "Rival: {product}": "Đối thủ: {product}",
    "Judged right": "Đã duyệt: đúng",
    "Judged wrong": "Đã duyệt: sai",
    "by score: {status}": "theo điểm: {status}",
    "Lines join points that agree:": "Đường nối các điểm khớp:",
    "exactly": "chính xác",
    "{pixels} px off": "lệch {pixels} px",
    "outline of the product": "đường viền sản phẩm",
    "model {name}": "mô hình {name}",
    "calibration {name}": "hiệu chỉnh {name}",
    "match {name}": "kết quả {name}",
}


def say(language: Language, message: str, **values: object) -> str:
    """The message in that language with its values put in."""
    text = VIETNAMESE[message] if language == "vi" else message
    return text.format(**values)
