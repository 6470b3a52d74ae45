"""Read `.glb` files: meshes with their morph targets in world space, and textures.

Supported are meshopt compression, quantisation, WebP and skinning. The glTF 2.0 specification defines every field used
here.
"""

import io
import json
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..model.errors_tergan import InvalidInputError, MissingPackageError


COMPONENTS = {
    5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32,
}  # fmt: skip
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
MESHOPT = "EXT_meshopt_compression"


class GltfError(InvalidInputError):
    """A file that is not a readable binary glTF, or not a suitable head. The message names the file."""


@dataclass
class Mesh:
    """
    A textured mesh in its bind pose, in metres, y up.

    Args:
        name: name of the node.
        positions: (V, 3) float32.
        uv: (V, 2) float32.
        triangles: (T, 3) int32.
        texture: (H, W, 4) uint8.
        morphs: name → (V, 3) float32 displacements at weight 1.
    """

    name: str
    positions: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    texture: np.ndarray
    morphs: dict[str, np.ndarray]


def read_meshes(path: str | Path) -> list[Mesh]:
    """
    Read all triangle meshes of a `.glb` file that have texture coordinates.

    Raises:
        GltfError: the file is not a binary glTF, is cut off, or uses an unsupported feature.
        MissingPackageError: the file is compressed and the package `meshoptimizer` is not installed.
        FileNotFoundError: there is no such file.
    """
    document, binary = _read_document(Path(path))
    with _naming(path):
        return _Reader(document, binary, str(path)).meshes()


def list_meshes(path: str | Path) -> list[tuple[str, list[str]]]:
    """
    List the name and the morph targets of each mesh that `read_meshes` returns, without decoding any.

    Raises:
        GltfError, FileNotFoundError: as `read_meshes`.
    """
    document, _ = _read_document(Path(path))
    with _naming(path):
        return [(_node_name(node, at), _target_names(mesh)) for at, node, mesh, _ in _textured_primitives(document)]


def _read_document(path: Path) -> tuple[dict, bytes]:
    """Read the JSON part and the binary part of a `.glb` file."""
    data = path.read_bytes()
    if len(data) < 20 or data[:4] != b"glTF":
        raise GltfError(f"{path}: not a binary glTF file (.glb)")
    if struct.unpack("<I", data[8:12])[0] > len(data):
        raise GltfError(f"{path}: the file is cut off; copy it again")
    length = struct.unpack("<I", data[12:16])[0]
    with _naming(path):
        return json.loads(data[20 : 20 + length]), data[28 + length :]


@contextmanager
def _naming(path: str | Path):
    """Turn errors about the contents of a file into a `GltfError` that names it."""
    try:
        yield
    except (KeyError, IndexError, TypeError, struct.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GltfError(f"{path}: not a glTF file that this reader understands ({error!r})") from error
    except UnidentifiedImageError as error:
        raise GltfError(f"{path}: a texture cannot be read ({error})") from error


def _textured_primitives(document: dict):
    """Yield (index of the node, node, mesh, primitive) for all triangle meshes with texture coordinates."""
    for index, node in enumerate(document["nodes"]):
        if "mesh" in node:
            mesh = document["meshes"][node["mesh"]]
            for primitive in mesh["primitives"]:
                if "TEXCOORD_0" in primitive["attributes"] and primitive.get("mode", 4) == 4:
                    yield index, node, mesh, primitive


def _node_name(node: dict, index: int) -> str:
    return node.get("name", f"node {index}")


def _target_names(mesh: dict) -> list[str]:
    return [morph_name(name) for name in mesh.get("extras", {}).get("targetNames", [])]


class _Reader:
    """Decoder of one file."""

    def __init__(self, document: dict, binary: bytes, path: str):
        self.document, self.binary, self.path = document, binary, path
        self._views: dict[int, np.ndarray] = {}
        self._textures: dict[int, np.ndarray] = {}
        self._worlds = self._world_matrices()

    def meshes(self) -> list[Mesh]:
        return [
            self._mesh(node, index, primitive, _target_names(mesh))
            for index, node, mesh, primitive in _textured_primitives(self.document)
        ]

    def _mesh(self, node: dict, index: int, primitive: dict, names: list[str]) -> Mesh:
        attributes = primitive["attributes"]
        positions = self._accessor(attributes["POSITION"])
        transform = self._vertex_transforms(node, index, attributes, len(positions))
        linear = np.ascontiguousarray(transform[:, :, :3], dtype=np.float32)
        morphs = {
            name: np.matmul(linear, self._accessor(target["POSITION"])[..., None])[..., 0]
            for name, target in zip(names, primitive.get("targets", []))
        }
        indices = self._accessor(primitive["indices"]).astype(np.int32).reshape(-1, 3)
        placed = np.einsum("vij,vj->vi", linear, positions) + transform[:, :, 3]
        return Mesh(
            name=_node_name(node, index),
            positions=placed.astype(np.float32),
            uv=self._accessor(attributes["TEXCOORD_0"]).astype(np.float32),
            triangles=indices,
            texture=self._texture(primitive.get("material")),
            morphs=morphs,
        )

    def _vertex_transforms(self, node: dict, index: int, attributes: dict, count: int) -> np.ndarray:
        """(V, 3, 4) matrices from the coordinates of the file to the world, with skinning if the node has a skin."""
        if "skin" not in node or "JOINTS_0" not in attributes:
            return np.broadcast_to(self._worlds[index][:3], (count, 3, 4))
        skin = self.document["skins"][node["skin"]]
        inverse_bind = self._accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([self._worlds[joint] @ bind for joint, bind in zip(skin["joints"], inverse_bind)])
        weights = self._accessor(attributes["WEIGHTS_0"])
        weights = weights / weights.sum(1, keepdims=True)
        chosen = self._accessor(attributes["JOINTS_0"], keep_integers=True).astype(int)
        return np.einsum("vk,vkij->vij", weights, joints[chosen])[:, :3]

    def _world_matrices(self) -> list[np.ndarray]:
        nodes = self.document["nodes"]
        worlds: list[np.ndarray | None] = [None] * len(nodes)
        parents = {child: at for at, node in enumerate(nodes) for child in node.get("children", [])}

        def world(at: int) -> np.ndarray:
            known = worlds[at]
            if known is None:
                local = local_matrix(nodes[at])
                known = worlds[at] = world(parents[at]) @ local if at in parents else local
            return known

        return [world(at) for at in range(len(nodes))]

    def _accessor(self, index: int, keep_integers: bool = False) -> np.ndarray:
        """Read (count, width) values. Normalised integers become fractions."""
        accessor = self.document["accessors"][index]
        kind, width = COMPONENTS[accessor["componentType"]], WIDTHS[accessor["type"]]
        view = self.document["bufferViews"][accessor["bufferView"]]
        packed = view.get("extensions", {}).get(MESHOPT, view)
        raw = self._view(accessor["bufferView"])
        offset, size = accessor.get("byteOffset", 0), np.dtype(kind).itemsize * width
        stride = packed.get("byteStride") or size
        if stride == size:
            values = np.frombuffer(raw, kind, accessor["count"] * width, offset).reshape(-1, width)
        else:
            rows = raw[offset : offset + stride * (accessor["count"] - 1) + size]
            rows = np.concatenate([rows, np.zeros(stride * accessor["count"] - len(rows), np.uint8)])
            values = rows.reshape(accessor["count"], stride)[:, :size].copy().view(kind)
        if keep_integers or kind == np.float32 or accessor["type"] == "SCALAR":
            return values
        scale = np.iinfo(values.dtype).max if accessor.get("normalized") else 1
        return np.maximum(values.astype(np.float32) / scale, -1 if accessor.get("normalized") else -np.inf)

    def _view(self, index: int) -> np.ndarray:
        """The decompressed bytes of a buffer view."""
        if index not in self._views:
            view = self.document["bufferViews"][index]
            packed = view.get("extensions", {}).get(MESHOPT)
            source = packed or view
            start = source.get("byteOffset", 0)
            raw = self.binary[start : start + source["byteLength"]]
            decoded = self._decompress(packed, raw) if packed else np.frombuffer(raw, np.uint8)
            self._views[index] = decoded
        return self._views[index]

    def _decompress(self, packed: dict, raw: bytes) -> np.ndarray:
        try:
            import meshoptimizer
        except ImportError as error:
            raise MissingPackageError(
                f'{self.path} is compressed with meshopt: install "meshoptimizer" (pip install -e ".[render]")'
            ) from error
        count, stride, mode = packed["count"], packed["byteStride"], packed["mode"]
        if packed.get("filter", "NONE") != "NONE":
            raise GltfError(f"{self.path}: meshopt filter {packed['filter']} is not supported")
        if mode == "ATTRIBUTES":
            vertices = meshoptimizer.decode_vertex_buffer(count, stride, raw, dtype=np.dtype((np.void, stride)))
            return vertices.view(np.uint8)
        decode = {
            "TRIANGLES": meshoptimizer.decode_index_buffer, "INDICES": meshoptimizer.decode_index_sequence,
        }[mode]  # fmt: skip
        # The package always returns four bytes per index; the file may use two.
        return decode(count, 4, raw).astype({2: np.uint16, 4: np.uint32}[stride]).view(np.uint8)

    def _texture(self, material: int | None) -> np.ndarray:
        if material is None:
            raise GltfError(f"{self.path}: a mesh has no material")
        colour = self.document["materials"][material].get("pbrMetallicRoughness", {})
        if "baseColorTexture" not in colour:
            raise GltfError(f"{self.path}: a material has no base colour texture")
        texture = self.document["textures"][colour["baseColorTexture"]["index"]]
        source = texture.get("extensions", {}).get("EXT_texture_webp", texture)["source"]
        if source not in self._textures:
            encoded = self._view(self.document["images"][source]["bufferView"]).tobytes()
            self._textures[source] = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGBA"))
        return self._textures[source]


def morph_name(name: str) -> str:
    """The name of a morph target without the exporter's prefixes and suffix. Head and teeth then share names."""
    name = name.split(".")[-1].removesuffix("_h")
    return name.removeprefix("t_")


def local_matrix(node: dict) -> np.ndarray:
    """The (4, 4) transform of a node relative to its parent."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    matrix[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return matrix
