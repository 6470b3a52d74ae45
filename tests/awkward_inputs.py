"""A hundred awkward photos, and some awkward clips, to test a server with."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from .conftest import NEUTRAL, SMILING
from .pictures import encoded


FACE = "face"  # a readable photo of a face: LABEL is the right answer
NONE = "none"  # no face, or not readable: only a message is right
LABEL = "happiness"


def write_awkward_inputs(folder: Path) -> dict[Path, str]:
    """Write the photos to a folder. Returns path → `FACE` or `NONE`."""
    face = Image.open(SMILING).convert("RGB").crop((120, 60, 520, 560)).resize((160, 200))
    written: dict[Path, str] = {}

    def put(name: str, content, expected: str, **settings):
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **settings)
        written[path] = expected

    jpeg, png = encoded(face, "JPEG"), encoded(face, "PNG")
    # Colour modes and bit depths.
    for mode in ("L", "LA", "RGBA", "P", "1", "I", "F"):
        put(
            f"mode {mode}.{'tiff' if mode == 'F' else 'png'}",
            face.convert(mode) if mode != "LA" else face.convert("L").convert("LA"),
            FACE,
        )
    for mode in ("CMYK", "YCbCr", "L"):
        put(f"mode {mode}.jpg", face.convert(mode), FACE)
    put("CMYK.tiff", face.convert("CMYK"), FACE)
    put("LAB.tiff", face.convert("LAB"), FACE)
    deep = np.asarray(face.convert("L"), np.uint16) * 257
    put("16 bit.png", Image.fromarray(deep), FACE)
    put("16 bit.tiff", Image.fromarray(deep), FACE)
    clear = face.convert("RGBA")
    clear.putalpha(0)
    put("all transparent.png", clear, NONE)
    put("palette with transparency.gif", face.convert("P"), FACE, transparency=3)
    # File formats.
    for kind in ("BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000", "PCX"):
        put(f"kind.{kind.lower()}", encoded(face, kind), FACE)
    put("lossless.webp", encoded(face, "WEBP", lossless=True), FACE)
    put("progressive.jpg", encoded(face, "JPEG", progressive=True), FACE)
    put("worst quality.jpg", encoded(face, "JPEG", quality=1), FACE)
    put("PNG named.jpg", png, FACE)
    put("JPEG named.png", jpeg, FACE)
    for number, kind in enumerate(("GIF", "WEBP", "PNG", "TIFF")):
        frames = [face, Image.new("RGB", face.size, "white")]
        put(f"animated {kind}", encoded(frames[0], kind, save_all=True, append_images=frames[1:]), FACE)
        put(
            f"animated, white first {number}.{kind.lower()}",
            encoded(frames[1], kind, save_all=True, append_images=[face]),
            NONE,
        )
    # EXIF rotations, and faces that are not upright.
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[274] = turn
        undo = {
            2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270",
        }[turn]  # fmt: skip
        put(f"exif {turn}.jpg", face.transpose(getattr(Image.Transpose, undo)), FACE, exif=exif)
    wrong = Image.Exif()
    wrong[274] = 77
    put("exif of nonsense.jpg", face, FACE, exif=wrong)
    put("exif broken.jpg", encoded(face, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), FACE)
    put("upside down.jpg", face.rotate(180), FACE)
    put("lying.jpg", face.rotate(90, expand=True), FACE)
    # Image sizes.
    for width, height in ((1, 1), (1, 500), (500, 1), (2, 2), (7, 9), (19, 19), (4000, 3)):
        put(f"{width}×{height}.png", Image.new("RGB", (width, height), "grey"), NONE)
    put("tiny face.png", face.resize((32, 40)), FACE)
    put("stretched.png", face.resize((400, 60)), NONE)
    put(
        "no pixels.bmp",
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHH", 40, 0, 0, 1, 24) + bytes(24),
        NONE,
    )
    put("says it is huge.png", png_head(60_000, 60_000), NONE)
    put("says it is 70 MP.png", png_head(10_000, 7_000), NONE)
    # Numbers of faces.
    put("white.png", Image.new("RGB", (200, 200), "white"), NONE)
    put("black.png", Image.new("RGB", (200, 200)), NONE)
    put("noise.png", Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)), NONE)
    twelve = Image.new("RGB", (640, 600), "white")
    for number in range(12):
        twelve.paste(face, (160 * (number % 4), 200 * (number // 4)))
    put("twelve faces.jpg", twelve, FACE)
    put("half a face.jpg", face.crop((80, 0, 160, 200)), NONE)
    put("dark.jpg", face.point(lambda value: value // 30), NONE)
    put("face at the edge.jpg", face.crop((30, 0, 160, 200)), FACE)
    # Damaged files.
    for share in (0.0, 0.01, 0.1, 0.5, 0.9):
        put(f"JPEG cut at {share}.jpg", jpeg[: int(share * len(jpeg))], NONE)
        put(f"PNG cut at {share}.png", png[: int(share * len(png))], NONE)
    random = np.random.default_rng(1)
    for number in range(4):
        damaged = bytearray(jpeg)
        for at in random.integers(20, len(damaged), 30):
            damaged[at] = int(random.integers(256))
        put(f"damaged {number}.jpg", bytes(damaged), NONE)
    damaged = bytearray(png)
    damaged[len(png) // 2] ^= 255
    put("damaged.png", bytes(damaged), NONE)
    put("bytes.jpg", bytes(random.integers(0, 256, 3000, np.uint8)), NONE)
    # Files that are not photos.
    put("text.jpg", b"this is no picture", NONE)
    put("page.jpg", b"<html><script>alert(1)</script></html>", NONE)
    put("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>', NONE)
    put("paper.pdf", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", NONE)
    put("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", NONE)
    put("archive.png", b"PK\x03\x04" + bytes(60), NONE)
    put("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), NONE)
    put("photo.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100), NONE)
    put("photo.jxl", b"\xff\x0a" + bytes(100), NONE)
    put("sound.png", b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), NONE)
    put("program.jpg", b"\x7fELF" + bytes(100), NONE)
    # File names.
    for name in (
        "with spaces in it",
        "имя",
        "顔写真",
        "صورة",
        "e\u0301",
        "a'b\"c",
        "100%",
        "#1 & ?x=1",
        "-rf",
        "x" * 180,
    ):
        put(f"{name}.jpg", jpeg, FACE)
    put("no ending", jpeg, FACE)
    put("two.endings.txt", jpeg, FACE)
    return written


def png_head(width: int, height: int) -> bytes:
    """The header of a PNG with its size, without any pixels."""
    import zlib

    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(12)


def write_awkward_clips(folder: Path) -> list[Path]:
    """Write clips that are not videos, show nothing, or claim to last for hours."""
    import av

    white = av.VideoFrame.from_image(Image.new("RGB", (64, 64), "white"))
    written = []
    for name, frames, gap in (("no face.mp4", 3, 1), ("three hours by its head.mp4", 2, 3 * 3600 * 10)):
        path = folder / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for number in range(frames):
                white.pts = number * gap
                container.mux(stream.encode(white))
            container.mux(stream.encode(None))
        written.append(path)
    for name, content in (
        ("text.mp4", b"no video"),
        ("empty.mp4", b""),
        ("cut.mp4", written[0].read_bytes()[:300]),
        ("picture.mp4", Path(NEUTRAL).read_bytes()[:4000]),
    ):
        path = folder / name
        path.write_bytes(content)
        written.append(path)
    return written
