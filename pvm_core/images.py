"""Pictures: decoding untrusted files, and the few transforms that every stage shares.

In memory a picture is RGB uint8, shape (H, W, 3), C-contiguous; a mask is uint8 (H, W), 255 = product.
"""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pvm_core.errors import MediaError
from pvm_core.file_type import PICTURE_FORMATS, describe
from pvm_core.picture_structure import check_structure

Rgb: TypeAlias = NDArray[np.uint8]
Gray: TypeAlias = NDArray[np.uint8]
Mask: TypeAlias = NDArray[np.uint8]

#: Formats shops export and phones take. Others (PSD, JPEG XL, icons, ...) are refused by name: each is one
#: more decoder exposed to untrusted bytes, and any picture program saves as one of these.
_DECODERS: Final = {
    "a JPEG picture": ("JPEG",),
    "a PNG picture": ("PNG",),
    "a WebP picture": ("WEBP",),
    "a GIF picture": ("GIF",),
    "a TIFF picture": ("TIFF",),
    "a BMP picture": ("BMP",),
    "an AVIF picture": ("AVIF",),
    "a HEIC picture": ("HEIF",),
    "a HEIF picture": ("AVIF", "HEIF"),
}
_SAVE_AS: Final = "Save it as JPEG, PNG or WebP"
#: Strips or tiles of a TIFF, each a run of the decoder. A picture of 40 million pixels in strips of one row
#: has 5,000 to 20,000.
_MAX_TILES: Final = 50_000
#: CLAHE as the founding document's `emb_gray` asks for; clip limit and grid are OpenCV's tutorial values
#: (docs.opencv.org, "Histograms - 2: Histogram Equalization").
_CLAHE_CLIP: Final = 2.0
_CLAHE_GRID: Final = (8, 8)
#: pHash works on a 32 x 32 picture and keeps the 8 x 8 lowest frequencies.
_PHASH_SIDE: Final = 32
_PHASH_KEPT: Final = 8
_JPEG_END: Final = b"\xff\xd9"
_ANY_BITS: Final = b"\x35\x9a" * 64
_ALL_64: Final = (1 << 64) - 1


@dataclass(frozen=True)
class PictureLimits:
    """What a given picture may cost.

    Attributes:
        max_bytes: size of the file.
        max_pixels: width x height as the header says, checked before anything is decoded.
        min_side: shortest side, in pixels, that still shows a product.
        max_elongation: longest side over shortest. Scaled to what is stored, a longer one is a stripe of a
            few dozen pixels in which no product can be told.
        decode_side: a picture whose sides are both at least twice this long is scaled down while decoding (a
            JPEG) or right after it, never below this, the largest side that is stored. Whatever is computed
            next then costs as much as for a small one.
    """

    max_bytes: int = 15_000_000
    max_pixels: int = 40_000_000
    min_side: int = 32
    max_elongation: float = 8.0
    decode_side: int = 1_024


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        rgb: uint8 (H, W, 3), upright (EXIF orientation applied), sRGB, alpha laid on white.
        sha256: hex digest of the bytes given.
        phash: `phash64` of rgb.
    """

    rgb: Rgb
    sha256: str
    phash: int


def decode_picture(data: bytes, subject: str, limits: PictureLimits | None = None) -> Picture:
    """Pixels and hashes of an untrusted picture: JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC.

    Of an animation or a document of several pages the first is taken. A JPEG that lacks nothing but its end
    marker is whole.

    Args:
        data: the file's bytes; the content decides its type, never a name.
        subject: how the user knows it (a path, a URL), for messages.
        limits: default `PictureLimits()`.

    Raises:
        MediaError: ``picture.empty``, ``picture.too_large`` (bytes), ``picture.type``, ``picture.bomb``
            (pixels, scans, parts of the file), ``picture.too_small``, ``picture.elongated``,
            ``picture.truncated``, ``picture.corrupt``.
    """
    limits = limits or PictureLimits()
    _check_bytes(data, subject, limits)
    check_structure(data, subject)
    try:
        rgb = _decoded(data, subject, limits)
    except MediaError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse_bomb(subject, "more pixels than any picture of a product has", limits)
    except MemoryError as error:
        raise MediaError(
            "picture.bomb", subject, "decoding it needs more memory than there is", "Scale it down"
        ) from error
    except _DECODER_ERRORS as error:
        whole = _without_its_end(data, subject, limits)
        if whole is None:
            raise _unreadable(data, subject, error) from error
        rgb = whole
    return Picture(rgb, hashlib.sha256(data).hexdigest(), phash64(rgb))


_DECODER_ERRORS: Final = (
    OSError, SyntaxError, ValueError, IndexError, OverflowError, EOFError, RuntimeError, TypeError,
    struct.error,
)  # fmt: skip


def _decoded(data: bytes, subject: str, limits: PictureLimits) -> Rgb:
    decoders = _DECODERS[describe(data).name]
    if "HEIF" in decoders:
        # Its decoder takes longer to load than most commands take in all.
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
    with Image.open(io.BytesIO(data), formats=decoders) as image:
        _check_size(image.size, subject, limits)
        if len(getattr(image, "tile", ())) > _MAX_TILES:
            raise MediaError(
                "picture.bomb", subject, f"a picture of more than {_MAX_TILES:,} tiles", _SAVE_AS
            )
        image.draft("RGB", (limits.decode_side, limits.decode_side))
        image.load()
        return _to_rgb(image, limits.decode_side)


def _without_its_end(data: bytes, subject: str, limits: PictureLimits) -> Rgb | None:
    """The picture of a JPEG that breaks off where its end marker should be; None where more is missing.

    A decoder that runs out of bits makes them up. Where bits are missing, any that are added take their place
    and change the picture; where none is, they are never read.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    begun = data.rstrip(b"\xff")
    try:
        whole = _decoded(begun + _JPEG_END, subject, limits)
        other = _decoded(begun + _ANY_BITS + _JPEG_END, subject, limits)
    except (*_DECODER_ERRORS, MediaError):
        return None
    return whole if np.array_equal(whole, other) else None


def _check_bytes(data: bytes, subject: str, limits: PictureLimits) -> None:
    if not data:
        raise MediaError("picture.empty", subject, "the file is empty (0 bytes)", "Fetch or export it again")
    if len(data) > limits.max_bytes:
        raise MediaError(
            "picture.too_large",
            subject,
            f"{len(data):,} bytes, more than the {limits.max_bytes:,} allowed",
            "Scale it down or save it with stronger compression",
        )
    kind = describe(data)
    if kind.kind != "picture":
        reason = f"the content is {kind.name}, not a picture"
        raise MediaError("picture.type", subject, reason, f"Give the picture itself, as {PICTURE_FORMATS}")
    if not kind.supported:
        raise MediaError("picture.type", subject, f"the content is {kind.name}", _SAVE_AS)


def _check_size(size: tuple[int, int], subject: str, limits: PictureLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        _refuse_bomb(subject, f"{width:,} x {height:,} pixels", limits)
    if min(size) < limits.min_side:
        raise MediaError(
            "picture.too_small",
            subject,
            f"{width} x {height} pixels, and each side needs at least {limits.min_side}",
            "Give a larger picture of the product",
        )
    check_elongation(size, subject, limits.max_elongation)


def check_elongation(size: tuple[int, int], subject: str, most: float = PictureLimits.max_elongation) -> None:
    """Refuses a stripe: longest side over shortest above `most`.

    Raises:
        MediaError: ``picture.elongated``.
    """
    if max(size) > most * min(size):
        raise MediaError(
            "picture.elongated",
            subject,
            f"{size[0]:,} x {size[1]:,} pixels, more than {most:g} times as long as wide",
            "Cut it into pictures that each show the product",
        )


def _refuse_bomb(subject: str, what: str, limits: PictureLimits) -> NoReturn:
    megapixels = limits.max_pixels / 1e6
    raise MediaError("picture.bomb", subject, f"{what}, over {megapixels:g} million", "Scale it down")


def _unreadable(data: bytes, subject: str, error: Exception) -> MediaError:
    text = str(error).lower()
    name = describe(data).name
    if "truncated" in text or "incomplete" in text or "end of file" in text or not _looks_finished(data):
        return MediaError(
            "picture.truncated",
            subject,
            f"{name} that breaks off after {len(data):,} bytes",
            "Fetch or export it again",
        )
    return MediaError(
        "picture.corrupt",
        subject,
        f"{name} that does not decode ({error})",
        "Save it again as JPEG, PNG or WebP",
    )


def _looks_finished(data: bytes) -> bool:
    """Whether the bytes reach the end their format declares."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[-4096:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data[-64:]
    if data.startswith(b"RIFF"):
        return len(data) >= 12 and len(data) >= int.from_bytes(data[4:8], "little") + 8
    if data.startswith(b"GIF8"):
        return data.rstrip(b"\x00").endswith(b"\x3b")
    if data.startswith(b"BM"):
        return len(data) >= int.from_bytes(data[2:6], "little")
    return True


#: EXIF orientation (TIFF 6.0, tag 274) -> what makes the picture upright.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION: Final = 0x0112


def _to_rgb(image: Image.Image, decode_side: int) -> Rgb:
    """RGB uint8 of a loaded Pillow image: upright, sRGB, alpha on white."""
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    upright = _shrunk(_eight_bit(image), decode_side)
    if turn is not None:
        upright = upright.transpose(turn)
    if not upright.has_transparency_data:
        return np.ascontiguousarray(_to_srgb(upright), dtype=np.uint8)
    upright = upright.convert("RGBA")
    white = Image.new("RGB", upright.size, (255, 255, 255))
    white.paste(_to_srgb(upright), mask=upright.getchannel("A"))
    return np.ascontiguousarray(white, dtype=np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8 bits: the high byte is the picture, and Pillow would clip it to 255."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        # Numbers say nothing of their white; writers take 1, 255 or 65,535.
        values = values * next((65_535 / top for top in (1, 255) if values.max() <= top), 1)
    if values.dtype != np.uint16:
        values = values.clip(0, 65_535).astype(np.uint16)
    return Image.fromarray((values // 257).astype(np.uint8))


def _shrunk(image: Image.Image, decode_side: int) -> Image.Image:
    """The picture by a whole factor smaller, so that neither side falls below `decode_side`."""
    factor = min(image.size) // decode_side
    if factor < 2:
        return image
    if image.mode in ("P", "PA", "1"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A broken or ill-fitting profile says nothing about the pixels; they stand as they are.
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


@dataclass(frozen=True)
class StoredFormat:
    """How pictures of one kind are stored: longest side in pixels, JPEG quality 1..100."""

    max_side: int
    quality: int


PRODUCT_FORMAT: Final = StoredFormat(1_024, 92)
FRAME_FORMAT: Final = StoredFormat(960, 90)


def stored_jpeg(rgb: Rgb, form: StoredFormat) -> bytes:
    """The JPEG under which a picture is stored; every feature is computed from what it decodes to."""
    return encode_jpeg(normalise(rgb, form.max_side), form.quality)


def stored_pixels(data: bytes, subject: str, limits: PictureLimits | None = None) -> Rgb:
    """The pixels that features of an untrusted picture are computed from, were it stored as a product's: what
    its stored JPEG decodes to. A JPEG of that form already is taken as it is, since compressing it once more
    would change it.

    Raises:
        MediaError: as `decode_picture`.
    """
    rgb = decode_picture(data, subject, limits).rgb
    if is_stored_form(data):
        return decode_stored(data)
    return decode_stored(stored_jpeg(rgb, PRODUCT_FORMAT))


def is_stored_form(data: bytes) -> bool:
    """Whether a picture that `decode_picture` takes is a JPEG as `stored_jpeg` writes product pictures: of
    the same quantisation, no larger, upright and without a colour profile."""
    if not data.startswith(b"\xff\xd8"):
        return False
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return (
            max(image.size) <= PRODUCT_FORMAT.max_side
            and image.mode == "RGB"
            and not image.info.get("icc_profile")
            and image.getexif().get(_ORIENTATION, 1) == 1
            and _tables(image) == _stored_tables()
        )


@cache
def _stored_tables() -> dict[int, list[int]]:
    ours = encode_jpeg(np.zeros((16, 16, 3), np.uint8), PRODUCT_FORMAT.quality)
    with Image.open(io.BytesIO(ours)) as image:
        return _tables(image)


def _tables(image: Image.Image) -> dict[int, list[int]]:
    """The quantisation tables of a JPEG; none of another format."""
    found = getattr(image, "quantization", {})
    return {number: list(table) for number, table in found.items()}


def normalise(rgb: Rgb, max_side: int = PRODUCT_FORMAT.max_side) -> Rgb:
    """The picture scaled down (area averaging) so that its longest side is at most `max_side`; never up."""
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(rgb)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _contiguous(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def encode_jpeg(rgb: Rgb, quality: int = PRODUCT_FORMAT.quality) -> bytes:
    """JPEG of an RGB picture; quality 1..100."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode_stored(data: bytes) -> Rgb:
    """RGB of a picture this project wrote.

    Raises:
        MediaError: ``picture.corrupt``, the stored bytes do not decode.
    """
    return _contiguous(_decode_own(data, cv2.IMREAD_COLOR_RGB))


def encode_mask(mask: Mask) -> bytes:
    """One-bit PNG of a mask; every value but 0 is written as 255."""
    # A bit a pixel takes an eighth of the time and a sixth of the bytes that a byte a pixel takes at level 1.
    binary = np.where(mask > 0, np.uint8(255), np.uint8(0))
    options = [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(".png", binary, options)[1].tobytes()


def decode_mask(data: bytes) -> Mask:
    """Mask (uint8 (H, W), 0 or 255) of a PNG this project wrote.

    Raises:
        MediaError: ``picture.corrupt``, the stored bytes do not decode.
    """
    grey = _decode_own(data, cv2.IMREAD_GRAYSCALE)
    return _contiguous(cv2.threshold(grey, 127, 255, cv2.THRESH_BINARY)[1])


def _decode_own(data: bytes, flags: int) -> Any:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if decoded is None:
        raise MediaError(
            "picture.corrupt",
            "a stored picture",
            f"{len(data):,} bytes that do not decode",
            "Delete the file from the media folder and run the job again",
        )
    return decoded


def _contiguous(array: Any) -> Rgb:
    return np.ascontiguousarray(array, dtype=np.uint8)


def phash64(rgb: Rgb) -> int:
    """64-bit perceptual hash, as a signed integer (it fits a `bigint`): alike pictures differ in few bits.

    The DCT hash of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
    with the median as threshold as in pHash and ImageHash: 32 x 32 grey, the 8 x 8 lowest frequencies.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    small = cv2.resize(grey, (_PHASH_SIDE, _PHASH_SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_PHASH_KEPT, :_PHASH_KEPT]
    bits = np.packbits(low > np.median(low))
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def hamming(a: int, b: int) -> int:
    """Bits, 0..64, in which two 64-bit hashes differ."""
    return ((a ^ b) & _ALL_64).bit_count()


def to_gray_clahe(rgb: Rgb) -> Gray:
    """Grey uint8 (H, W) with local contrast equalised (CLAHE, clip 2.0, 8 x 8 tiles)."""
    clahe = cv2.createCLAHE(clipLimit=_CLAHE_CLIP, tileGridSize=_CLAHE_GRID)
    return np.ascontiguousarray(clahe.apply(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)), dtype=np.uint8)
