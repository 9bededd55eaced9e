"""Pictures: what strangers send is decoded as it looks, or refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_heic import box, heic
from make_video import drawing
from PIL import Image, ImageCms, ImageOps

from pvm_core.errors import MediaError
from pvm_core.file_type import describe
from pvm_core.images import (
    PRODUCT_FORMAT,
    PictureLimits,
    Rgb,
    decode_mask,
    decode_picture,
    decode_stored,
    encode_jpeg,
    encode_mask,
    hamming,
    is_stored_form,
    normalise,
    phash64,
    stored_jpeg,
    stored_pixels,
    to_gray_clahe,
)

PICTURE = drawing(1)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(rgb: Rgb = PICTURE) -> bytes:
    return saved(Image.fromarray(rgb), "PNG")


def difference(rgb: Rgb, other: Rgb) -> float:
    return float(np.abs(rgb.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (png(), 0),
        (saved(Image.fromarray(PICTURE), "JPEG", quality=95), 6),
        (saved(Image.fromarray(PICTURE), "JPEG", quality=95, progressive=True), 6),
        (saved(Image.fromarray(PICTURE), "WEBP", lossless=True), 0),
        (saved(Image.fromarray(PICTURE), "WEBP", quality=90), 5),
        (saved(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95), 6),
        (saved(Image.fromarray(PICTURE).quantize(256), "PNG"), 8),
        (saved(Image.fromarray(PICTURE).convert("RGBA"), "PNG"), 0),
        (saved(Image.fromarray(PICTURE), "PNG", interlace=1), 0),
        (saved(Image.fromarray(PICTURE), "JPEG", quality=95) + b"\x00" * 500, 6),
    ],
)
def test_what_goes_in_comes_out(data: bytes, tolerance: float) -> None:
    picture = decode_picture(data, "x")
    assert difference(picture.rgb, PICTURE) <= tolerance
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.flags.c_contiguous
    assert len(picture.sha256) == 64
    assert hamming(picture.phash, phash64(PICTURE)) <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(orientation: int) -> None:
    turned = Image.fromarray(PICTURE).transpose(
        {
            1: Image.Transpose.ROTATE_180, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
        }[orientation]
    )  # fmt: skip
    if orientation == 1:
        turned = Image.fromarray(PICTURE)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(decode_picture(saved(turned, "PNG", exif=exif), "x").rgb, PICTURE) == 0


def test_a_cut_out_lies_on_white() -> None:
    alpha = np.zeros(PICTURE.shape[:2], np.uint8)
    alpha[50:100, 50:100] = 255
    alpha[100:120] = 128
    rgba = np.dstack([PICTURE, alpha])
    for kind in ("PNG", "WEBP"):
        rgb = decode_picture(saved(Image.fromarray(rgba), kind, lossless=True), "x").rgb
        assert (rgb[:40] == 255).all()
        assert difference(rgb[50:100, 50:100], PICTURE[50:100, 50:100]) == 0
        half = (PICTURE[100:120].astype(int) * 128 + 255 * 127 + 127) // 255
        assert np.abs(rgb[100:120].astype(int) - half).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_grey_and_palette_modes(mode: str) -> None:
    data = saved(Image.fromarray(PICTURE).convert(mode), "PNG")
    rgb = decode_picture(data, "x").rgb
    assert rgb.shape == PICTURE.shape
    assert abs(float(rgb.mean()) - float(PICTURE.mean())) < 12


def test_a_transparent_palette_colour_lies_on_white() -> None:
    image = Image.fromarray(np.zeros((40, 40), np.uint8), "P")
    image.putpalette([200, 0, 0] * 256)
    rgb = decode_picture(saved(image, "PNG", transparency=0), "x").rgb
    assert (rgb == 255).all()


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    rgb = decode_picture(saved(Image.fromarray(ramp), "PNG"), "x").rgb
    assert rgb[0, 0, 0] == 0
    assert rgb[0, -1, 0] == 255
    assert abs(int(rgb[0, 32, 0]) - 129) <= 2


def test_sixteen_bit_colour_keeps_its_range() -> None:
    rows = b"".join(b"\x00" + struct.pack(">HHH", 65_535, 32_768, 0) * 40 for _ in range(40))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    assert decode_picture(data, "x").rgb[0, 0].tolist() == [255, 128, 0]


def test_a_colour_profile_is_applied_and_a_broken_one_is_not() -> None:
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = decode_picture(saved(Image.fromarray(PICTURE), "PNG", icc_profile=lab_like), "x").rgb
    assert difference(same, PICTURE) == 0
    broken = decode_picture(saved(Image.fromarray(PICTURE), "PNG", icc_profile=b"nonsense" * 40), "x").rgb
    assert difference(broken, PICTURE) == 0


def test_a_phone_s_picture_with_a_second_one_inside() -> None:
    data = saved(Image.fromarray(PICTURE), "MPO", save_all=True, append_images=[Image.fromarray(drawing(2))])
    assert difference(decode_picture(data, "x").rgb, PICTURE) < 8


def test_a_profile_of_another_colour_space_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    rgb = decode_picture(saved(Image.fromarray(PICTURE), "PNG", icc_profile=profile), "x").rgb
    assert difference(rgb, PICTURE) == 0


def test_a_large_jpeg_is_decoded_smaller_but_never_below_what_is_kept() -> None:
    large = cv2.resize(PICTURE, (3_200, 4_800), interpolation=cv2.INTER_LINEAR)
    picture = decode_picture(
        encode_jpeg(np.asarray(large, np.uint8), 80), "x", PictureLimits(decode_side=1_536)
    )
    assert picture.rgb.shape == (2_400, 1_600, 3)
    assert difference(normalise(picture.rgb, 240), normalise(np.asarray(large, np.uint8), 240)) < 3


def test_a_picture_twice_as_large_as_what_is_kept_is_decoded_at_half_of_its_size() -> None:
    large = np.asarray(cv2.resize(PICTURE, (2_100, 2_060), interpolation=cv2.INTER_LINEAR), np.uint8)
    rgb = decode_picture(encode_jpeg(large, 90), "x").rgb
    assert rgb.shape == (1_030, 1_050, 3)
    assert min(rgb.shape[:2]) >= PRODUCT_FORMAT.max_side
    kept, whole = (decode_stored(stored_jpeg(each, PRODUCT_FORMAT)) for each in (rgb, large))
    assert difference(kept, whole) < 2


def test_the_hash_of_the_bytes_identifies_them() -> None:
    assert decode_picture(png(), "x").sha256 == decode_picture(png(), "y").sha256
    assert decode_picture(png(), "x").sha256 != decode_picture(png(drawing(2)), "x").sha256


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"IHDR" + body
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    )  # fmt: skip


JPEG = saved(Image.fromarray(PICTURE), "JPEG", quality=90)
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"/>'


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"", "picture.empty", "0 bytes"),
        (JPEG[: len(JPEG) // 2], "picture.truncated", "a JPEG picture"),
        (JPEG[:30], "picture.truncated", "a JPEG picture"),
        (png()[: len(png()) // 2], "picture.truncated", "a PNG picture"),
        (png()[:40], "picture.truncated", "a PNG picture"),
        (saved(Image.fromarray(PICTURE), "WEBP")[:300], "picture.truncated", "a WebP picture"),
        (png()[:60] + b"\xff" * 200 + png()[260:], "picture.corrupt", "a PNG picture"),
        (b"\xff\xd8\xff" + b"junk" * 50 + b"\xff\xd9", "picture.corrupt", "a JPEG picture"),
        (bomb(60_000, 60_000), "picture.bomb", "over 40 million"),
        (bomb(10_000, 5_000), "picture.bomb", "10,000 x 5,000"),
        (bomb(2_000_000_000, 2_000_000_000), "picture.bomb", "over 40 million"),
        (saved(Image.new("RGB", (9_000, 9_000)), "PNG"), "picture.bomb", "9,000 x 9,000"),
        (saved(Image.new("RGB", (1, 1)), "PNG"), "picture.too_small", "1 x 1"),
        (saved(Image.new("RGB", (2_000, 31)), "PNG"), "picture.too_small", "2000 x 31"),
        (saved(Image.new("RGB", (2_000, 240)), "PNG"), "picture.elongated", "2,000 x 240 pixels"),
        (saved(Image.new("RGB", (100, 900)), "PNG"), "picture.elongated", "100 x 900 pixels"),
        (b"\xff\xd8\xff" + b"\x00" * 15_000_001, "picture.too_large", "15,000,004 bytes"),
        (saved(Image.fromarray(PICTURE), "GIF")[:300], "picture.truncated", "a GIF picture"),
        (saved(Image.fromarray(PICTURE), "BMP")[:3_000], "picture.truncated", "a BMP picture"),
        (saved(Image.fromarray(PICTURE), "AVIF")[:600], "picture", "an AVIF picture"),
        (saved(Image.fromarray(PICTURE), "TIFF")[:600], "picture", "a TIFF picture"),
        (saved(Image.new("1", (9_000, 9_000)), "GIF"), "picture.bomb", "9,000 x 9,000"),
        (saved(Image.new("1", (9_000, 9_000)), "BMP"), "picture.bomb", "9,000 x 9,000"),
        (saved(Image.new("1", (9_000, 9_000)), "TIFF"), "picture.bomb", "9,000 x 9,000"),
        (b"8BPS\x00\x01" + bytes(60), "picture.type", "a Photoshop document"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "picture.type", "a JPEG XL picture"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "picture", "an AVIF picture"),
        (b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00", "picture", "a HEIC picture"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "picture.type", "an MP4 or MOV video"),
        (SVG, "picture.type", "an SVG drawing"),
        (b"\xef\xbb\xbf" + SVG, "picture.type", "an SVG drawing"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "picture.type", "an HTML page"),
        (b"\n  <HTML><head>", "picture.type", "an HTML page"),
        (b'{"error": "not found"}', "picture.type", "JSON text"),
        (b"Not Found", "picture.type", "plain text"),
        ("không tìm thấy".encode(), "picture.type", "plain text"),
        (b"%PDF-1.7", "picture.type", "a PDF document"),
        (b"PK\x03\x04rest", "picture.type", "a ZIP archive"),
        (b"\x1f\x8brest", "picture.type", "a gzip archive"),
        (b"\x00" * 100, "picture.type", "zeros"),
        (bytes(range(1, 9)) * 20, "picture.type", "unknown kind"),
    ],
)  # fmt: skip
def test_refusals_name_the_thing_the_reason_and_the_remedy(data: bytes, code: str, says: str) -> None:
    with pytest.raises(MediaError) as caught:
        decode_picture(data, "images/a.jpg")
    assert caught.value.code.startswith(code)
    assert says in caught.value.reason
    assert caught.value.subject == "images/a.jpg"
    assert caught.value.remedy
    assert not caught.value.retryable


def scanned(scans: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is there again and again, with nothing new to say."""
    data = saved(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - data.count(b"\xff\xda")) + data[-2:]


def png_chunks(count: int) -> bytes:
    empty = struct.pack(">I", 0) + b"noTh" + struct.pack(">I", zlib.crc32(b"noTh"))
    return png()[:33] + empty * count + png()[33:]


def jpeg_comments(count: int) -> bytes:
    return JPEG[:2] + b"\xff\xfe\x00\x02" * count + JPEG[2:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (scanned(1_000, 5_000), "more than 100 scans"),
        (scanned(2_000, 5_000), "more than 100 scans"),
        (scanned(10_000, 5_000), "more than 100 scans"),
        (scanned(101), "more than 100 scans"),
        (jpeg_comments(60_000), "more than 50,000 segments"),
        (jpeg_comments(120_000), "more than 50,000 segments"),
        (jpeg_comments(600_000), "more than 50,000 segments"),
        (png_chunks(60_000), "more than 50,000 chunks"),
        (png_chunks(120_000), "more than 50,000 chunks"),
        (png_chunks(600_000), "more than 50,000 chunks"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}",
)
def test_a_file_that_makes_its_decoder_work_is_refused_undecoded(
    data: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it reached the decoder"))
    with pytest.raises(MediaError) as caught:
        decode_picture(data, "x")
    assert caught.value.code == "picture.bomb"
    assert says in caught.value.reason


def test_scans_and_parts_of_a_usual_picture_pass() -> None:
    assert decode_picture(scanned(100), "x").rgb.shape == (64, 64, 3)
    assert decode_picture(jpeg_comments(1_000), "x").rgb.shape == PICTURE.shape
    assert decode_picture(png_chunks(1_000), "x").rgb.shape == PICTURE.shape


def test_what_only_looks_like_scans_is_not_counted() -> None:
    thumbnail = b"\xff\xda\x00\x02" * 200
    inside = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    for data in (JPEG[:2] + inside + JPEG[2:], JPEG + thumbnail * 20):
        assert decode_picture(data, "x").rgb.shape == PICTURE.shape


def test_alpha_and_depth_of_a_large_picture_are_worked_off_small(tmp_path: Path) -> None:
    large = Image.new("RGBA", (6_400, 3_200), (200, 40, 40, 128))
    for data in (saved(large, "PNG"), saved(large.convert("P"), "PNG", transparency=0)):
        rgb = decode_picture(data, "x").rgb
        assert rgb.shape == (1_067, 2_134, 3)
    deep = np.full((3_200, 6_400), 32_896, np.uint16)
    rgb = decode_picture(saved(Image.fromarray(deep), "PNG"), "x").rgb
    assert rgb.shape == (1_067, 2_134, 3)
    assert abs(int(rgb[7, 7, 0]) - 128) <= 1


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_picture_cut_anywhere_is_refused(cut: int) -> None:
    for whole in (JPEG, png(), saved(Image.fromarray(PICTURE), "WEBP")):
        with pytest.raises(MediaError):
            decode_picture(whole[: len(whole) * cut // 20], "x")


@settings(max_examples=150, deadline=None)
@given(
    whole=st.sampled_from([JPEG, png(), saved(Image.fromarray(PICTURE), "WEBP", quality=50)]),
    at=st.integers(0, 4_000),
    noise=st.binary(min_size=1, max_size=40),
)
def test_damage_gives_a_picture_or_a_stated_error(whole: bytes, at: int, noise: bytes) -> None:
    at %= len(whole)
    with suppress(MediaError):
        picture = decode_picture(whole[:at] + noise + whole[at + len(noise) :], "x")
        assert picture.rgb.ndim == 3


@given(st.binary(max_size=200))
def test_every_content_has_a_name(data: bytes) -> None:
    assert describe(data).name


def test_normalise_only_ever_scales_down() -> None:
    assert normalise(PICTURE, 1_024).shape == PICTURE.shape
    assert normalise(PICTURE, 120).shape == (120, 80, 3)
    assert normalise(np.zeros((5_000, 3, 3), np.uint8), 100).shape == (100, 1, 3)


def test_stored_pictures_and_masks_come_back() -> None:
    assert difference(decode_stored(encode_jpeg(PICTURE, 92)), PICTURE) < 4
    mask = np.zeros((50, 40), np.uint8)
    mask[10:20, 10:30] = 1
    back = decode_mask(encode_mask(mask))
    assert back.dtype == np.uint8
    assert set(np.unique(back)) == {0, 255}
    assert ((back > 0) == (mask > 0)).all()
    for decode in (decode_stored, decode_mask):
        for data in (b"", b"junk", encode_jpeg(PICTURE)[:20]):
            with pytest.raises(MediaError, match=r"picture\.corrupt"):
                decode(data)


def test_red_stays_red() -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 220
    for rgb in (decode_picture(png(red), "x").rgb, decode_stored(encode_jpeg(red))):
        assert rgb[30, 30, 0] > 210
        assert rgb[30, 30, 2] < 10


@pytest.mark.parametrize("seed", range(6))
def test_perceptual_hash_tells_alike_from_different(seed: int) -> None:
    picture = drawing(seed, 320, 480)
    plain = phash64(picture)
    assert -(2**63) <= plain < 2**63
    assert hamming(plain, phash64(decode_stored(encode_jpeg(picture, 40)))) <= 6
    assert hamming(plain, phash64(normalise(picture, 160))) <= 6
    assert hamming(plain, phash64(np.clip(picture.astype(int) + 15, 0, 255).astype(np.uint8))) <= 6
    assert hamming(plain, phash64(drawing(seed + 100, 320, 480))) >= 14


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_hamming_is_a_distance(a: int, b: int) -> None:
    assert hamming(a, a) == 0
    assert hamming(a, b) == hamming(b, a) == bin((a ^ b) & (2**64 - 1)).count("1")


def test_clahe_raises_local_contrast() -> None:
    dull = (PICTURE // 8 + 100).astype(np.uint8)
    grey = to_gray_clahe(dull)
    assert grey.shape == PICTURE.shape[:2]
    assert grey.dtype == np.uint8
    assert float(grey.std()) > 1.2 * float(cv2.cvtColor(dull, cv2.COLOR_RGB2GRAY).std())


def test_every_picture_of_the_measuring_case_decodes(shared: Path) -> None:
    for path in sorted((shared / "cases" / "dev" / "images").iterdir())[:20]:
        assert decode_picture(path.read_bytes(), path.name).rgb.shape[2] == 3


def soft(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    return saved(image or Image.fromarray(PICTURE), kind, **options)


@pytest.mark.parametrize(
    ("data", "within"),
    [
        (soft("GIF", Image.fromarray(PICTURE).quantize(256)), 12),
        (soft("TIFF"), 0),
        (soft("TIFF", compression="tiff_lzw"), 0),
        (soft("TIFF", compression="tiff_deflate"), 0),
        (soft("TIFF", compression="jpeg"), 6),
        (soft("TIFF", Image.fromarray(PICTURE).convert("CMYK")), 1),
        (soft("BMP"), 0),
        (soft("AVIF"), 6),
        (soft("AVIF", subsampling="4:4:4", quality=95), 3),
    ],
)  # fmt: skip
def test_the_further_formats_of_shops_are_read(data: bytes, within: float) -> None:
    assert difference(decode_picture(data, "x").rgb, PICTURE) <= within


@pytest.mark.parametrize("top", [1.0, 255.0, 65_535.0])
def test_a_tiff_of_numbers_is_read_by_its_own_white(top: float) -> None:
    values = np.tile(np.linspace(0, top, 256, dtype=np.float32), (64, 1))
    rgb = decode_picture(soft("TIFF", Image.fromarray(values)), "x").rgb
    assert rgb[0, 0, 0] == 0
    assert rgb[0, -1, 0] == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_of_several_pictures_the_first_is_taken(kind: str) -> None:
    pages = [Image.fromarray(drawing(seed)) for seed in (1, 2, 3)]
    rgb = decode_picture(soft(kind, pages[0], save_all=True, append_images=pages[1:]), "x").rgb
    first, second = (difference(rgb, np.asarray(page)) for page in pages[:2])
    assert first < 12 < second


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "AVIF", "WEBP", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged = Image.fromarray(PICTURE)
    tagged.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(tagged))
    rgb = decode_picture(soft(kind, exif=exif), "x").rgb
    assert rgb.shape == upright.shape
    assert difference(rgb, upright) < 8


def test_a_heic_picture_is_read_and_turned(tmp_path: Path) -> None:
    rgb = decode_picture(heic(PICTURE, tmp_path), "x").rgb
    assert difference(rgb, PICTURE) < 10
    # A quarter turn counter-clockwise (ISO/IEC 23008-12, 6.5.10).
    turned = decode_picture(heic(PICTURE, tmp_path, box(b"irot", b"\1")), "x").rgb
    assert difference(turned, np.asarray(cv2.rotate(PICTURE, cv2.ROTATE_90_COUNTERCLOCKWISE), np.uint8)) < 10
    for cut in (40, 300, 1_000, 3_000):
        with pytest.raises(MediaError, match="HEIC"):
            decode_picture(heic(PICTURE, tmp_path)[:cut], "x")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "page", [PICTURE, np.pad(PICTURE, ((40, 40), (40, 40), (0, 0)), constant_values=255)]
)
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(page: Rgb, progressive: bool) -> None:
    whole = soft("JPEG", Image.fromarray(page), quality=90, progressive=progressive)
    same = decode_picture(whole, "x").rgb
    for missing in (1, 2):
        assert difference(decode_picture(whole[:-missing], "x").rgb, same) == 0
    for missing in (8, 20, 100, 1_000):
        with pytest.raises(MediaError, match=r"picture\.truncated"):
            decode_picture(whole[:-missing], "x")


def test_a_tiff_in_countless_tiles_is_refused_undecoded() -> None:
    side = 240
    tiles = side * side
    entries = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, tiles, 200), (325, 4, tiles, 200 + 4 * tiles),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    arrays = struct.pack("<I", 8) * tiles + struct.pack("<I", 1) * tiles
    with pytest.raises(MediaError) as caught:
        decode_picture(head.ljust(200, b"\0") + arrays, "x")
    assert caught.value.code == "picture.bomb"
    assert "50,000" in caught.value.reason


def test_a_picture_in_its_stored_form_is_compressed_once() -> None:
    stored = stored_jpeg(PICTURE, PRODUCT_FORMAT)
    kept = decode_stored(stored)
    for data in (stored, saved(Image.fromarray(PICTURE), "PNG"), saved(Image.fromarray(PICTURE), "BMP")):
        assert np.array_equal(stored_pixels(data, "x"), kept)


def test_what_is_not_in_the_stored_form_is_brought_into_it() -> None:
    image = Image.fromarray(PICTURE)
    turned = Image.Exif()
    turned[0x0112] = 6
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    others = {
        "other quality": encode_jpeg(PICTURE, 91),
        "grey": saved(image.convert("L"), "JPEG", quality=92),
        "turned": saved(image, "JPEG", quality=92, exif=turned),
        "profile": saved(image, "JPEG", quality=92, icc_profile=srgb),
        "large": encode_jpeg(np.zeros((200, 1_025, 3), np.uint8)),
        "png": saved(image, "PNG"),
    }
    assert not [name for name, data in others.items() if is_stored_form(data)]
    assert max(stored_pixels(others["large"], "x").shape) == 1_024
    assert stored_pixels(others["turned"], "x").shape[:2] == PICTURE.shape[1::-1]
