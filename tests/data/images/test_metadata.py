"""What of an image file is personal goes, and what shows its pixels right stays."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from human_edge_detection.data.images.header import read_header
from human_edge_detection.data.images.metadata import without_personal_data
from human_edge_detection.data.images.read import read_image

SECRETS = (b"Jane Doe", b"52.5", b"Camera 9", b"GPSLatitude")
KINDS = ("JPEG", "PNG", "WEBP")


def photograph(kind: str, orientation: int | None, **settings: object) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    exif[0x013B], exif[0x0110] = "Jane Doe", "Camera 9"
    exif.get_ifd(0x8825)[2] = (52.5, 30.0, 1.0)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta>Jane Doe, GPSLatitude 52.5</x:xmpmeta>"
    extra: dict[str, object] = {"xmp": xmp}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", "Jane Doe")
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        extra = {"pnginfo": info}
    if kind == "JPEG":
        extra["comment"] = b"Jane Doe"
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, exif=exif, icc_profile=profile, **extra, **settings)
    return content.getvalue()


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_secrets_go_and_pixels_orientation_and_colours_stay(kind: str, orientation: int | None, tmp_path: Path) -> None:
    content = photograph(kind, orientation)
    kept = without_personal_data(content)
    assert any(secret in content for secret in SECRETS)
    assert not any(secret in kept for secret in SECRETS)
    assert read_header(kept) == read_header(content)
    (tmp_path / "before").write_bytes(content)
    (tmp_path / "after").write_bytes(kept)
    np.testing.assert_array_equal(read_image(tmp_path / "after"), read_image(tmp_path / "before"))
    with Image.open(io.BytesIO(kept)) as image, Image.open(io.BytesIO(content)) as whole:
        assert {*image.getexif()} <= {0x0112}
        assert not image.getexif().get_ifd(0x8825)
        assert image.info["icc_profile"] == whole.info["icc_profile"]
        turned, expected = ImageOps.exif_transpose(image), ImageOps.exif_transpose(whole)
        np.testing.assert_array_equal(np.asarray(turned), np.asarray(expected))
    assert without_personal_data(kept) == kept


@pytest.mark.parametrize("settings", [{"progressive": True}, {"restart_marker_rows": 1}])
def test_other_kinds_of_jpeg(settings: dict[str, object], tmp_path: Path) -> None:
    content = photograph("JPEG", 6, **settings)
    (tmp_path / "before.jpg").write_bytes(content)
    (tmp_path / "after.jpg").write_bytes(without_personal_data(content))
    np.testing.assert_array_equal(read_image(tmp_path / "after.jpg"), read_image(tmp_path / "before.jpg"))
    assert b"Jane" not in (tmp_path / "after.jpg").read_bytes()


@pytest.mark.parametrize("kind", [*KINDS, "BMP"])
def test_a_file_without_metadata_is_left_as_it_is(kind: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (31, 17), (9, 90, 200)).save(content, kind)
    assert without_personal_data(content.getvalue()) == content.getvalue()


def test_a_second_image_and_a_film_behind_the_end_go() -> None:
    content = io.BytesIO()
    image = Image.new("RGB", (31, 17))
    image.save(content, "MPO", save_all=True, append_images=[image.rotate(180)])
    assert without_personal_data(content.getvalue() + b"ftypmp42 Jane Doe").count(b"\xff\xd8\xff") == 1
