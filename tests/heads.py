"""Tiny 3D heads in binary glTF."""

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from tergan_hf.rendering.blendshape_table import required_morph_targets

from .pictures import encoded


MORPHS = tuple(sorted(required_morph_targets() | {"MouthOpen", "RlipCorner", "LlipCorner"}))


def make_head(path: Path, colour=(200, 150, 120), width: float = 0.07, morphs=MORPHS, teeth: bool = False) -> Path:
    """Write a `.glb` file: a bowl-shaped face 0.2 m high, eyes 1.65 m above the floor, two eyeballs. `teeth` adds a
    black mouth in front of the lips."""
    steps = 16
    u, v = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps))
    u, v = u.ravel(), v.ravel()
    x, y = (2 * u - 1) * width, 1.72 - 0.2 * v
    depth = 0.12 - 4 * (x**2) - 0.02 * (2 * v - 1) ** 2 + 0.03 * np.exp(-((x / 0.01) ** 2) - ((v - 0.55) / 0.08) ** 2)
    positions = np.stack([x, y, depth], 1).astype(np.float32)
    squares = (np.arange(steps - 1)[:, None] * steps + np.arange(steps - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([squares, squares + steps, squares + 1], 1),
            np.stack([squares + 1, squares + steps, squares + steps + 1], 1),
        ]
    )
    uv = np.stack([u, v], 1).astype(np.float32)
    displaced = {name: _displacement(name, positions, v) for name in morphs}
    file = _Writer()
    black = np.zeros((64, 64, 3), np.uint8)
    textures = [file.image(_texture(colour)), file.image(_iris()), file.image(black)]
    meshes = [file.mesh(positions, uv, triangles, 0, displaced)]
    for side in (-1, 1):
        ball = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0], [0, 0, 0.5]], np.float32) * 0.008
        ball += np.array([side * 0.03, 1.65, 0.135], np.float32)
        fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
        meshes.append(file.mesh(ball, np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], np.float32), fan, 1, {}))
    names = ["face", "h_R_eye", "h_L_eye"]
    if teeth:
        row = np.array([[-1, -0.4, 0], [1, -0.4, 0], [1, 0.4, 0], [-1, 0.4, 0], [0, 0, 0.2]], np.float32) * 0.02
        row += np.array([0, 1.72 - 0.2 * 0.72, 0.15], np.float32)
        uv = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8], [0.5, 0.5]], np.float32)
        meshes.append(file.mesh(row, uv, fan, 2, {}))
        names.append("h_TeethDown")
    file.write(path, meshes, names, textures, list(morphs))
    return path


def write_heads(folder: Path) -> Path:
    """Write three heads of different colours, and their licence."""
    for name, colour in (("A", (220, 170, 140)), ("B", (120, 80, 60)), ("C", (180, 130, 100))):
        make_head(folder / f"{name}_Casual.glb", colour)
    (folder / "LICENSE").write_text("MIT")
    return folder


def _displacement(name: str, positions: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The displacement of a morph target: jaw, brow, lid, or the mouth corner of its side."""
    x, y = positions[:, 0], positions[:, 1]
    moved = np.zeros_like(positions)
    sides = {"L": (1,), "R": (-1,)}.get(name[0], (-1, 1))
    for side in sides:
        if name in ("MouthOpen", "AE_AA", "Shout", "Chew"):
            moved[v > 0.72, 1] = -0.03 if name == "MouthOpen" else -0.02
        elif "brow" in name or "pityful" in name or name[1:] == "sad":
            moved[(v < 0.3) & (np.sign(x) == side), 1] = -0.01 if "Down" in name else 0.01
        elif "eye" in name or "Lid" in name or "squint" in name:
            lid = (np.abs(x - side * 0.03) < 0.02) & (np.abs(y - 1.65) < 0.02)
            moved[lid, 2] = 0.032 if "Close" in name else 0.002  # in front of the eyeball
        else:
            corner = np.exp(-(((x - side * 0.03) / 0.01) ** 2) - ((v - 0.72) / 0.05) ** 2)[:, None]
            strength = 0.8 if "smile" in name or "Corner" in name else 0.12  # so that sums do not fold the skin
            moved += corner * np.array([side * 0.012, 0.01, 0]) * strength
    return moved


def _iris() -> np.ndarray:
    """White with a black disc."""
    y, x = np.mgrid[0:64, 0:64] - 31.5
    return np.repeat(np.where(np.hypot(x, y) < 14, 0, 230)[:, :, None], 3, axis=2).astype(np.uint8)


def _texture(colour) -> np.ndarray:
    """Blotches, which make movement visible."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(-60, 60, (12, 12)).astype(np.float32))
    blotches = np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC))[:, :, None]
    return np.clip(np.array(colour) + blotches, 0, 255).astype(np.uint8)


class _Writer:
    """Collects buffers and writes them as one file."""

    def __init__(self):
        self.data, self.views, self.accessors = b"", [], []

    def view(self, content: bytes) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)})
        self.data += content + b"\0" * (-len(content) % 4)
        return len(self.views) - 1

    def array(self, values: np.ndarray, kind: str) -> int:
        component = 5126 if values.dtype == np.float32 else 5125
        self.accessors.append(
            {"bufferView": self.view(values.tobytes()), "componentType": component, "count": len(values), "type": kind}
        )
        return len(self.accessors) - 1

    def image(self, pixels: np.ndarray) -> int:
        return self.view(encoded(pixels))

    def mesh(self, positions, uv, triangles, material, morphs) -> dict:
        primitive = {
            "attributes": {"POSITION": self.array(positions, "VEC3"), "TEXCOORD_0": self.array(uv, "VEC2")},
            "indices": self.array(triangles.astype(np.uint32).reshape(-1, 1), "SCALAR"),
            "material": material,
        }
        if morphs:
            primitive["targets"] = [{"POSITION": self.array(m.astype(np.float32), "VEC3")} for m in morphs.values()]
            return {"primitives": [primitive], "extras": {"targetNames": [f"h_expressions.{n}_h" for n in morphs]}}
        return {"primitives": [primitive]}

    def write(self, path: Path, meshes, names, images, morphs):
        document = {
            "asset": {"version": "2.0"}, "meshes": meshes, "accessors": self.accessors, "bufferViews": self.views,
            "nodes": [{"name": name, "mesh": index} for index, name in enumerate(names)],
            "images": [{"bufferView": view, "mimeType": "image/png"} for view in images],
            "textures": [{"source": index} for index in range(len(images))],
            "materials": [
                {"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}} for index in range(len(images))
            ],
            "buffers": [{"byteLength": len(self.data)}],
        }  # fmt: skip
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        chunks = (
            struct.pack("<II", len(text), 0x4E4F534A)
            + text
            + struct.pack("<II", len(self.data), 0x004E4942)
            + self.data
        )
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
