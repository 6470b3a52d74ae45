"""A z-buffer: triangles to pixels, with textures, soft light, and the way every visible point has come."""

import numpy as np
from numba import njit


ALPHA_CUT = 100  # of 255; a texture's more transparent pixels are holes


@njit(cache=True, fastmath=True)
def draw_mesh(
    screen, depth, rest, normals, uv, triangles, texture, cut_out, lights, light_colours, ambient,
    colour_buffer, depth_buffer, rest_buffer,
):  # fmt: skip
    """
    Draw one mesh into the buffers, in place.

    Args:
        screen: (V, 2) pixel positions. depth: (V,), larger is nearer. rest: (V, 2) where the vertices are on screen
            in the neutral face. normals: (V, 3), unit, towards the viewer +z. uv: (V, 2).
        triangles: (T, 3). texture: (H, W, 4) uint8; cut_out: leave its transparent pixels out.
        lights: (L, 3) unit directions towards the lights; light_colours: (L, 3). ambient: (3,).
        colour_buffer: (S, S, 3), depth_buffer: (S, S), rest_buffer: (S, S, 2).
    """
    height, width = depth_buffer.shape
    texture_height, texture_width = texture.shape[0], texture.shape[1]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by = screen[b, 0] - ax, screen[b, 1] - ay
        cx, cy = screen[c, 0] - ax, screen[c, 1] - ay
        area = bx * cy - cx * by
        if abs(area) < 1e-9:
            continue
        left = max(int(np.floor(ax + min(0.0, bx, cx))), 0)
        right = min(int(np.ceil(ax + max(0.0, bx, cx))), width - 1)
        top = max(int(np.floor(ay + min(0.0, by, cy))), 0)
        bottom = min(int(np.ceil(ay + max(0.0, by, cy))), height - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5 - ax, y + 0.5 - ay
                wb = (px * cy - cx * py) / area
                wc = (bx * py - px * by) / area
                wa = 1.0 - wb - wc
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * depth[a] + wb * depth[b] + wc * depth[c]
                if z <= depth_buffer[y, x]:
                    continue
                tx = (wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0]) * texture_width - 0.5
                ty = (wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]) * texture_height - 0.5
                x0, y0 = int(np.floor(tx)), int(np.floor(ty))
                fx, fy = tx - x0, ty - y0
                x1, y1 = (x0 + 1) % texture_width, (y0 + 1) % texture_height
                x0, y0 = x0 % texture_width, y0 % texture_height
                if cut_out and texture[y0, x0, 3] < ALPHA_CUT:
                    continue
                nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                if nz < 0.0:  # both sides of a surface are lit
                    length = -length
                nx, ny, nz = nx / length, ny / length, nz / length
                for k in range(3):
                    texel = (1 - fy) * ((1 - fx) * texture[y0, x0, k] + fx * texture[y0, x1, k]) + fy * (
                        (1 - fx) * texture[y1, x0, k] + fx * texture[y1, x1, k]
                    )
                    shade = ambient[k] * (0.75 + 0.25 * ny)
                    for light in range(lights.shape[0]):
                        # Wrapped diffuse light: soft, as skin scatters it.
                        facing = nx * lights[light, 0] + ny * lights[light, 1] + nz * lights[light, 2]
                        facing = (facing + 0.25) / 1.25
                        if facing > 0.0:
                            shade += facing * light_colours[light, k]
                    colour_buffer[y, x, k] = texel * shade
                depth_buffer[y, x] = z
                for k in range(2):
                    rest_buffer[y, x, k] = wa * rest[a, k] + wb * rest[b, k] + wc * rest[c, k]


@njit(cache=True, fastmath=True)
def vertex_normals(positions, triangles, merged):
    """(V, 3) unit normals, mean of the faces around each vertex by area; vertices with one number in `merged` (V,)
    share theirs, so that texture seams do not show."""
    sums = np.zeros_like(positions)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            positions[b, 0] - positions[a, 0], positions[b, 1] - positions[a, 1], positions[b, 2] - positions[a, 2],
        )  # fmt: skip
        vx, vy, vz = (
            positions[c, 0] - positions[a, 0], positions[c, 1] - positions[a, 1], positions[c, 2] - positions[a, 2],
        )  # fmt: skip
        for corner in (a, b, c):
            at = merged[corner]
            sums[at, 0] += uy * vz - uz * vy
            sums[at, 1] += uz * vx - ux * vz
            sums[at, 2] += ux * vy - uy * vx
    normals = np.empty_like(positions)
    for vertex in range(positions.shape[0]):
        at = merged[vertex]
        length = np.sqrt(sums[at, 0] ** 2 + sums[at, 1] ** 2 + sums[at, 2] ** 2) + 1e-12
        for k in range(3):
            normals[vertex, k] = sums[at, k] / length
    return normals
