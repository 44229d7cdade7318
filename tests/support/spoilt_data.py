"""A small valid data set, and every way in which it is spoilt: what each is, and words of the refusal."""

import copy
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 64, 96


class Data:
    """A valid data set of three images and four annotations, to be spoilt; ``first`` is the image a.jpg."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "people.json"
        self.images = folder / "images"
        self.first = self.images / "a.jpg"
        self.json = copy.deepcopy(VALID)
        self.content: bytes | None = None
        self.images.mkdir(parents=True)
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            (self.images / name).write_bytes(JPEG)

    def write(self) -> None:
        if self.content is None:
            self.content = json.dumps(self.json).encode()
        if not self.file.exists() and not self.file.is_symlink():
            self.file.write_bytes(self.content)


VALID: dict[str, Any] = {
    "images": [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in ((7, "a.jpg"), (8, "b.jpg"), (9, "c.jpg"))
    ],
    "annotations": [
        {
            "id": number,
            "image_id": image,
            "category_id": 4,
            "iscrowd": 0,
            "bbox": [4, 4, 20, 20],
            "segmentation": [[4, 4, 24, 4, 24, 24, 4, 24]],
        }
        for number, image in ((1, 7), (2, 7), (4, 8))
    ]
    + [
        {
            "id": 3,
            "image_id": 7,
            "category_id": 4,
            "iscrowd": 1,
            "segmentation": {"size": [HEIGHT, WIDTH], "counts": [640, 640, HEIGHT * WIDTH - 1280]},
        },
    ],
    "categories": [{"id": 4, "name": "person"}, {"id": 9, "name": "dog"}],
}


def picture(mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    colors = np.stack([255 * x, 255 * y, 127 + 120 * np.sin(9 * x * y)], axis=-1).astype(np.uint8)
    return Image.fromarray(colors).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, pixels: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    frame = JPEG.index(b"\xff\xc0")
    return JPEG[: frame + 5] + struct.pack(">HH", height, width) + JPEG[frame + 9 :]


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


JPEG, PNG = encoded(picture(), "JPEG"), encoded(picture(), "PNG")
PROGRESSIVE, WEBP, BMP = (
    encoded(picture(), "JPEG", progressive=True),
    encoded(picture(), "WEBP"),
    encoded(picture(), "BMP"),
)
SCAN = JPEG.index(b"\xff\xda")
WITH_PREVIEW = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(JPEG) + 2) + JPEG + JPEG[2:]
FRAMES = [picture(), ImageOps.invert(picture())]


class Case(NamedTuple):
    spoil: Callable[[Data], object]
    fragment: str


def record(content: bytes, fragment: str) -> Case:
    return Case(lambda data: data.first.write_bytes(content), fragment)


def instead(make: Callable[[Path], object], fragment: str) -> Case:
    """Something else in the place of the image."""

    def spoil(data: Data) -> None:
        data.first.unlink()
        make(data.first)

    return Case(spoil, fragment)


def sized(content: bytes, width: int, height: int, fragment: str) -> Case:
    """An image whose annotation agrees with the size that it claims."""

    def spoil(data: Data) -> None:
        data.first.write_bytes(content)
        data.json["images"][0].update(width=width, height=height)
        data.json["annotations"] = data.json["annotations"][2:3]

    return Case(spoil, fragment)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


IMAGES = {
    "missing": instead(lambda path: None, "1 of 3 images are not in"),
    "a folder": instead(Path.mkdir, "1 of 3 images are not in"),
    "a pipe": instead(os.mkfifo, "1 of 3 images are not in"),
    "a device": instead(lambda path: path.symlink_to("/dev/zero"), "1 of 3 images are not in"),
    "a symlink loop": instead(loop, "1 of 3 images are not in"),
    "a symlink to nothing": instead(lambda path: path.symlink_to("gone"), "1 of 3 images are not in"),
    "gigabytes": instead(lambda path: sparse(path, 2**35), "larger than 536870912 bytes"),
    "empty": record(b"", "'a.jpg' (is empty (0 bytes)"),
    "zeros": record(bytes(5000), "is not an image"),
    "HTML": record(b"<!DOCTYPE html><html></html>", "is not an image in JPEG, PNG, WebP or BMP"),
    "SVG": record(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
    "GIF": record(encoded(picture(), "GIF"), "is not an image"),
    "animated GIF": record(encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "is not an image"),
    "TIFF": record(encoded(picture(), "TIFF"), "is not an image"),
    "half a JPEG": record(JPEG[: len(JPEG) // 2], f"is cut off after {len(JPEG) // 2:,} bytes"),
    "JPEG without its end and some pixels": record(JPEG[:-12], "is cut off"),
    "JPEG, half, the rest zeros": record(JPEG[: len(JPEG) // 2].ljust(len(JPEG), b"\0"), "is cut off"),
    "half a progressive JPEG": record(PROGRESSIVE[: len(PROGRESSIVE) // 2], "is cut off"),
    "half a JPEG with a preview": record(WITH_PREVIEW[: -len(JPEG) // 2], "is cut off"),
    "first bytes of a JPEG": record(JPEG[:5], "is cut off"),
    "JPEG without pixels": record(JPEG[:SCAN] + b"\xff\xd9", "is damaged (a JPEG with 0 scans)"),
    "JPEG without tables": record(JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :], "a.jpg"),
    "JPEG of 5000 scans": record(JPEG[:-2] + JPEG[SCAN : SCAN + 40] * 5000 + b"\xff\xd9", "5001 scans"),
    "JPEG bomb": record(jpeg_of(30_000, 30_000), "is 30000 x 30000, expected 1 to 134,217,728 pixels"),
    "JPEG of no height": record(jpeg_of(WIDTH, 0), "is 96 x 0, expected"),
    "half a PNG": record(PNG[: len(PNG) // 2], "is cut off"),
    "PNG without its end": record(PNG[:-12], "is cut off"),
    "PNG with a flipped byte": record(flipped(PNG, len(PNG) // 2), "is damaged (a wrong checksum"),
    "PNG with too few pixels": record(png(WIDTH, HEIGHT, bytes(3 * WIDTH * 9)), "cannot be decoded"),
    "PNG bomb": record(png(30_000, 30_000, bytes(10**6)), "is 30000 x 30000, expected 1 to 134,217,728 pixels"),
    "PNG bomb of a permitted size": record(png(11_000, 11_000, bytes(10**6)), "is 11000 x 11000 (width x height"),
    "animated PNG": record(encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "is animated"),
    "half a WebP": record(WEBP[: len(WEBP) // 2], "is cut off"),
    "animated WebP": record(encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "is animated"),
    "RIFF of sound": record(WEBP.replace(b"WEBP", b"WAVE"), "is damaged (a RIFF file that is not WebP)"),
    "half a BMP": record(BMP[: len(BMP) // 2], "is cut off"),
    "BMP bomb": record(BMP[:18] + struct.pack("<ii", 30_000, 30_000) + BMP[26:], "is cut off"),
    "of another size": record(
        encoded(picture(size=(WIDTH, 50)), "JPEG"), "is 96 x 50 (width x height, turned as its EXIF data says), but"
    ),
    "turned, annotated as stored": record(encoded(picture(), "JPEG", exif=oriented(6)), "is 64 x 96 (width"),
    "bomb and annotation agree": sized(png(30_000, 30_000, b""), 30_000, 30_000, "image 7: size 30000 x 30000"),
    "one huge line": sized(png(2**27, 1, b""), 2**27, 1, "image 7: size 134217728 x 1"),
}


def edit(change: Callable[[dict[str, Any]], object], fragment: str) -> Case:
    return Case(lambda data: change(data.json), fragment)


def image(fragment: str, **fields: Any) -> Case:
    return edit(lambda content: content["images"][0].update(fields), fragment)


def annotation(fragment: str, **fields: Any) -> Case:
    return edit(lambda content: content["annotations"][0].update(fields), fragment)


def polygon(fragment: str, *coordinates: Any) -> Case:
    return annotation(fragment, segmentation=[list(coordinates)])


def rle(fragment: str, counts: Any, size: Any = (HEIGHT, WIDTH)) -> Case:
    return annotation(fragment, segmentation={"size": size, "counts": counts})


def text(content: bytes, fragment: str) -> Case:
    def spoil(data: Data) -> None:
        data.content = content

    return Case(spoil, fragment)


def reencoded(encoding: str, fragment: str, **fields: Any) -> Case:
    def spoil(data: Data) -> None:
        data.json["images"][0].update(fields)
        data.content = json.dumps(data.json, ensure_ascii=False).encode(encoding)

    return Case(spoil, fragment)


def replaced(old: bytes, new: bytes, fragment: str) -> Case:
    """The annotation file with the first ``old`` replaced, for what no JSON writer writes."""

    def spoil(data: Data) -> None:
        content = json.dumps(data.json).encode()
        assert old in content
        data.content = content.replace(old, new, 1)

    return Case(spoil, fragment)


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def person_twice(data: dict[str, Any]) -> None:
    data["categories"].append({"id": 5, "name": "person"})
    data["annotations"][0]["category_id"] = 5


ZIGZAG = [value for step in range(60_000) for value in (step % 2 * WIDTH, step % HEIGHT)]
SEGMENTATION = b'"segmentation": [[4, 4, 24, 4, 24, 24, 4, 24]]'
ANNOTATIONS = {
    "file is HTML": text(b"<html>", "not valid JSON"),
    "file is empty": text(b"", "not valid JSON"),
    "file is a list": text(b"[1]", "holds a JSON list"),
    "file is cut off": text(json.dumps(VALID).encode()[:-40], "not valid JSON"),
    "file is nested": text(b"[" * 100_000, "not valid JSON"),
    "file is nested objects": text(b'{"a":' * 100_000, "not valid JSON"),
    "file has an endless integer": text(b'{"images": [' + b"9" * 5000 + b"]}", "not valid JSON"),
    "file is UTF-16": reencoded("utf-16", "not UTF-8 text"),
    "file is UTF-16 without a mark": reencoded("utf-16-le", "not valid JSON"),
    "file is latin-1": reencoded("latin-1", "not UTF-8 text", file_name="José.jpg"),
    "file holds surrogates": replaced(b'"a.jpg"', b'"\xed\xa0\x80.jpg"', "not UTF-8 text"),
    "file is a folder": Case(lambda data: data.file.mkdir(), "cannot be read (Is a directory)"),
    "file is a pipe": Case(lambda data: os.mkfifo(data.file), "cannot be read (Not a regular file)"),
    "file is a device": Case(lambda data: data.file.symlink_to("/dev/zero"), "cannot be read (Not a regular file)"),
    "file is a symlink loop": Case(lambda data: loop(data.file), "cannot be read (Too many levels"),
    "file is gigabytes": Case(lambda data: sparse(data.file, 2**33), "larger than 2147483648 bytes"),
    "file is missing": Case(lambda data: data.file.symlink_to("gone"), "people.json does not exist"),
    "images folder is missing": Case(lambda data: data.images.rename(data.images.with_name("x")), "images folder"),
    "key twice": replaced(b'"width": 96', b'"width": 96, "width": 97', "has the key 'width' twice"),
    "list twice": replaced(b'"annotations"', b'"images": [], "annotations"', "has the key 'images' twice"),
    "no images": edit(lambda data: data.pop("images"), "no list 'images' in it, found 'annotations', 'categories'"),
    "images of text": edit(lambda data: data["images"].append("x"), "'images' holds entries that are not objects"),
    "images empty": edit(lambda data: data.update(images=[]), "which 'images' does not list"),
    "all lists empty": edit(lambda data: data.update(images=[], annotations=[], categories=[]), "no category 'person'"),
    "image id twice": image("image 8: this id is given to two images", id=8),
    "image id of true": image("'id' is True, expected an integer", id=True),
    "image id of text": image("'id' is '7', expected an integer", id="7"),
    "image id of a fraction": image("'id' is 7.5, expected an integer", id=7.5),
    "image id that floats round": image("'id' is 1e+17, expected an integer", id=1e17),
    "image id huge": image("expected an integer", id=10**30),
    "image twice": image("image 8: 'b.jpg' is also the image of image 7", file_name="b.jpg"),
    "no width": edit(lambda data: data["images"][0].pop("width"), "image 7: 'width' is nothing, expected an integer"),
    "width of 0": image("size 0 x 64", width=0),
    "negative width": image("size -96 x 64", width=-96),
    "huge width": image("image 7: size 1000000000 x 64", width=10**9),
    "nested width": image("'width' is [[[[", width=nested(300)),
    "absolute name": image("image 7: file_name '/etc/passwd' leads out", file_name="/etc/passwd"),
    "name that climbs": image("leads out of the images folder", file_name="x/../../elsewhere.jpg"),
    "Windows name": image("leads out of the images folder", file_name="C:\\elsewhere.jpg"),
    "Windows name that climbs": image("leads out of the images folder", file_name="x\\..\\..\\elsewhere.jpg"),
    "empty name": image("image 7: file_name is ''", file_name=""),
    "no name": edit(lambda data: data["images"][0].pop("file_name"), "image 7: file_name is None"),
    "name with NUL": image("has characters that are no text", file_name="a\0.jpg"),
    "name of two lines": image("has characters that are no text", file_name="a\n.jpg"),
    "name of a surrogate": image("has characters that are no text", file_name="\ud800.jpg"),
    "name of another encoding": image("has characters that are no text", file_name="caf\udce9.jpg"),
    "endless name": image("1 of 3 images are not in", file_name="c" * 5000),
    "name below a file": image("1 of 3 images are not in", file_name="b.jpg/z.jpg"),
    "no annotations": edit(lambda data: data["annotations"].clear(), "no annotated persons in 3 images"),
    "crowds only": edit(lambda data: data.update(annotations=data["annotations"][3:]), "no annotated persons"),
    "annotation id twice": annotation("annotation 2: this id is given to two annotations", id=2),
    "annotation id of true": annotation("'id' is True, expected an integer", id=True),
    "unknown image": annotation("annotation 1: belongs to image 99", image_id=99),
    "no image id": edit(lambda data: data["annotations"][0].pop("image_id"), "annotation 1: 'image_id' is nothing"),
    "category of text": annotation("'category_id' is '4'", category_id="4"),
    "no person category": edit(lambda data: data["categories"].pop(0), "no category 'person', found 'dog'"),
    "person category twice": edit(person_twice, "given twice"),
    "person and dog share an id": edit(lambda data: data["categories"][1].update(id=4), "given twice"),
    "category without id": edit(lambda data: data["categories"][0].pop("id"), "categories[0]: 'id' is nothing"),
    "iscrowd of 2": annotation("iscrowd is 2", iscrowd=2),
    "iscrowd of text": annotation("iscrowd is '0'", iscrowd="0"),
    "crowd without RLE": annotation("a crowd (iscrowd 1) has polygons", iscrowd=1),
    "NaN box": annotation("bbox is [1, 1, nan, 4], expected four finite numbers", bbox=[1, 1, float("nan"), 4]),
    "box of 1e308": annotation("expected four finite numbers", bbox=[1e308, 1, 1e308, 4]),
    "short box": annotation("expected [x, y, width, height]", bbox=[1, 1, 4]),
    "box of true": annotation("expected four finite numbers", bbox=[True, 1, 4, 4]),
    "no segmentation": edit(
        lambda data: [entry.pop("segmentation") for entry in data["annotations"]],
        "all 3 persons have a box and no mask",
    ),
    "text segmentation": annotation("segmentation is a str", segmentation="x"),
    "nested segmentation": annotation("polygon 0 has 1 coordinates", segmentation=nested(300)),
    "odd polygon": polygon("'a.jpg' (annotation 1 of image 7: polygon 0 has 7 coordinates", 1, 1, 9, 1, 9, 9, 1),
    "two-point polygon": polygon("polygon 0 has 4 coordinates", 1, 1, 9, 9),
    "flat polygon": annotation("polygon 0 is a int", segmentation=[1, 1, 9, 1, 9, 9]),
    "NaN polygon": polygon("the coordinate nan at position 4", 1, 1, 9, 1, float("nan"), 9),
    "NaN first": polygon("the coordinate nan at position 0", float("nan"), 1, 9, 1, 9, 9),
    "infinite polygon": polygon("the coordinate inf at position 5", 1, 1, 9, 1, 9, float("inf")),
    "polygon of 1e400": replaced(SEGMENTATION, b'"segmentation": [[1, 1, 9, 1, 9, 1e400]]', "the coordinate inf"),
    "polygon of 1e308": polygon("the coordinate 1e+308 at position 2", 1, 1, 1e308, 1, 9, 9),
    "polygon of a huge integer": polygon("the coordinate 1000000", 1, 1, 10**400, 1, 9, 9),
    "polygon of text": polygon("the coordinate '9'", 1, 1, "9", 1, 9, 9),
    "polygon of true": polygon("the coordinate True at position 2", 1, 1, True, 1, 9, 9),
    "polygon of null": polygon("the coordinate None", 1, 1, None, 1, 9, 9),
    "polygon of lists": polygon("the coordinate [[[", 1, 1, nested(300), 1, 9, 9),
    "200000 polygons": annotation("has 200000 polygons", segmentation=[[1, 1, 9, 1, 9, 9]] * 200_000),
    "zigzag": polygon("pixels long, expected at most 4194304", *ZIGZAG),
    "RLE of another size": rle("expected [height, width] = [64, 96]", [6144], [96, 64]),
    "RLE of 100000 x 100000": rle("RLE has size [100000, 100000]", [10**10], [100_000, 100_000]),
    "RLE of a fractional size": rle("RLE has size [64.5, 96]", [6144], [64.5, 96]),
    "RLE of a nested size": rle("RLE has size [[[", [6144], nested(300)),
    "RLE of size text": rle("RLE has size '64x96'", [6144], "64x96"),
    "RLE too short": rle("add up to 105", [100, 5]),
    "RLE too long": rle("add up to 12288", [6144, 6144]),
    "RLE empty": rle("add up to 0", []),
    "RLE negative": rle("RLE counts hold", [6244, -100]),
    "RLE that overflows": rle("add up to 18446744073709557760", [2**64, 6144]),
    "RLE of fractions": rle("RLE counts hold", [6143.5]),
    "RLE of true": rle("RLE counts hold", [6143, True]),
    "RLE of NaN": rle("RLE counts hold", [float("nan")]),
    "RLE of a number": rle("RLE counts are a int", 6144),
    "RLE without counts": annotation("RLE counts are a NoneType", segmentation={"size": [HEIGHT, WIDTH]}),
    "RLE text empty": rle("add up to 0", ""),
    "RLE text of garbage": rle("RLE counts", "zzzé~"),
    "RLE text that ends early": rle("RLE counts end in the middle", "oooo"),
    "RLE text that overflows": rle("are not a COCO string", "o" * 5000 + "0"),
    "RLE text of a number too long for pycocotools": rle("are not a COCO string", "PPVPPP0"),
    "RLE text with NUL": rle("are not a COCO string", "\0"),
}
CASES = {f"image {name}": case for name, case in IMAGES.items()} | ANNOTATIONS
