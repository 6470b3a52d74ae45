"""Tiny 3D heads in binary glTF."""

import io
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image


MORPHS = (
    "MouthOpen", "RsmileOpen", "LsmileOpen", "RlipCorner", "LlipCorner", "RbrowUp", "LbrowUp", "ReyeClose",
    "LeyeClose",
)  # fmt: skip


def make_head(path: Path, colour=(200, 150, 120), width: float = 0.07, morphs=MORPHS, steps: int = 16) -> Path:
    """Write a `.glb` file: a bowl-shaped face 0.2 m high, eyes 1.65 m above the floor, two eyeballs."""
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
    displaced = {name: np.zeros_like(positions) for name in morphs}
    lower = v > 0.72
    for name, moved in displaced.items():
        side = -1 if name[0] == "R" else 1
        corner = np.exp(-(((x - side * 0.03) / 0.01) ** 2) - ((v - 0.72) / 0.05) ** 2)[:, None]
        if name == "MouthOpen":
            moved[lower, 1] = -0.03
        elif "smile" in name or "Corner" in name:
            moved += corner * np.array([side * 0.012, 0.01, 0])
        elif "brow" in name:
            moved[(v < 0.35) & (np.sign(x) == side), 1] = 0.01
    file = _Writer()
    textures = [file.image(_texture(colour)), file.image(np.full((8, 8, 3), 40, np.uint8))]
    meshes = [file.mesh(positions, uv, triangles, 0, displaced)]
    for side in (-1, 1):
        ball = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0], [0, 0, 0.5]], np.float32) * 0.008
        ball += np.array([side * 0.03, 1.65, 0.135], np.float32)
        fan = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
        meshes.append(file.mesh(ball, np.full((5, 2), 0.5, np.float32), fan, 1, {}))
    names = ["face", "h_R_eye", "h_L_eye"]
    file.write(path, meshes, names, textures, list(morphs))
    return path


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
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return self.view(buffer.getvalue())

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
            "textures": [{"source": 0}, {"source": 1}],
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": index}}} for index in range(2)],
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
