"""Triangle meshes: normals, the graph Laplacian, and a z-buffer."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.sparse import coo_matrix, csr_matrix, diags


@dataclass
class Raster:
    """
    The visible triangle of each pixel.

    Args:
        triangle: (S, S) int32 index, -1 for background.
        weights: (S, S, 2) float32, barycentric weights of the second and third corner.
        depth: (S, S) float32, larger is nearer.
    """

    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    def interpolate(self, triangles: np.ndarray, attributes: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """Interpolate (V, C) or (V,) vertex attributes to (S, S, C) or (S, S) float32 pixels."""
        table = np.ascontiguousarray(attributes.reshape(len(attributes), -1), np.float32)
        found = np.full((*self.triangle.shape, table.shape[1]), outside, np.float32)
        _interpolate(self.triangle, self.weights, triangles, table, found)
        return found if attributes.ndim > 1 else found[..., 0]


def rasterize(points: np.ndarray, triangles: np.ndarray, size: int) -> Raster:
    """Rasterize (T, 3) triangles. `points` (V, 3) hold x and y in pixels, with pixel centres at .5, and depth."""
    triangle = np.full((size, size), -1, np.int32)
    weights = np.zeros((size, size, 2), np.float32)
    depth = np.full((size, size), -1e9, np.float32)
    _rasterize(np.ascontiguousarray(points, np.float32), triangles, triangle, weights, depth)
    return Raster(triangle, weights, depth)


@njit(cache=True)
def _rasterize(points, triangles, triangle, weights, depth):
    size = triangle.shape[0]
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0] - ax, points[b, 1] - ay
        cx, cy = points[c, 0] - ax, points[c, 1] - ay
        area = bx * cy - cx * by
        if abs(area) < 1e-9:
            continue
        left = max(int(np.ceil(ax + min(0.0, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(ax + max(0.0, bx, cx) - 0.5)), size - 1)
        top = max(int(np.ceil(ay + min(0.0, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(ay + max(0.0, by, cy) - 0.5)), size - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5 - ax, y + 0.5 - ay
                wb = (px * cy - cx * py) / area
                wc = (bx * py - px * by) / area
                if wb < 0 or wc < 0 or wb + wc > 1:
                    continue
                z = points[a, 2] + wb * (points[b, 2] - points[a, 2]) + wc * (points[c, 2] - points[a, 2])
                if z > depth[y, x]:
                    depth[y, x] = z
                    triangle[y, x] = t
                    weights[y, x, 0] = wb
                    weights[y, x, 1] = wc


@njit(cache=True)
def _interpolate(triangle, weights, triangles, table, found):
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            t = triangle[y, x]
            if t >= 0:
                wb, wc = weights[y, x, 0], weights[y, x, 1]
                a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                for k in range(table.shape[1]):
                    found[y, x, k] = (1 - wb - wc) * table[a, k] + wb * table[b, k] + wc * table[c, k]


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals: area-weighted means over the triangles of each vertex."""
    normals = np.zeros(vertices.shape, np.float64)
    _add_normals(np.ascontiguousarray(vertices, np.float64), triangles, normals)
    return (normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


@njit(cache=True)
def _add_normals(vertices, triangles, normals):
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b] - vertices[a]
        wx, wy, wz = vertices[c] - vertices[a]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz


@njit(cache=True)
def stretch(old, new, triangles, count):
    """(count,) area ratio new / old, averaged over the triangles of each vertex and clipped to 6 per triangle."""
    total, number = np.zeros(count), np.zeros(count)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        before = abs(
            (old[b, 0] - old[a, 0]) * (old[c, 1] - old[a, 1]) - (old[b, 1] - old[a, 1]) * (old[c, 0] - old[a, 0])
        )
        after = abs(
            (new[b, 0] - new[a, 0]) * (new[c, 1] - new[a, 1]) - (new[b, 1] - new[a, 1]) * (new[c, 0] - new[a, 0])
        )
        ratio = min(after / max(before, 1e-3), 6.0)
        for corner in (a, b, c):
            total[corner] += ratio
            number[corner] += 1
    return total / np.maximum(number, 1)


def graph_laplacian(triangles: np.ndarray, count: int) -> csr_matrix:
    """(count, count) graph Laplacian: degree on the diagonal, -1 for each neighbour."""
    edges = np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.vstack([edges, edges[:, ::-1]]), axis=0)
    adjacency = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    return (diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()
