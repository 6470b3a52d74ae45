"""A z-buffer with deferred shading: first find the visible point of a triangle for each pixel, then its colour."""

import numpy as np
from numba import njit


ALPHA_CUT = 100  # of 255; texture pixels with less alpha are holes
SHADOW_BIAS = np.float32(0.003)  # metres
SHADOW_SOFTNESS = 2  # shadow-map pixels to average on each side
INSIDE_SHADOW = np.float32(0.7)  # least share of the main light on teeth and tongue in the shadow of the lips


@njit(cache=True, fastmath=True)
def draw_depth(
    screen, depth, triangles, uv, alpha, cut_out, number, depth_buffer, mesh_buffer, triangle_buffer, weight_buffer
):
    """
    Draw one mesh into the buffers, in place.

    Args:
        screen: (V, 2) pixel positions.
        depth: (V,), larger is nearer.
        triangles: (T, 3).
        uv: (V, 2) texture coordinates, used with `cut_out`.
        alpha: (H, W) uint8, used with `cut_out`.
        cut_out: skip transparent points.
        number: number of the mesh, written to `mesh_buffer` where it is visible.
        depth_buffer: (S, S).
        mesh_buffer, triangle_buffer: (S, S) integers.
        weight_buffer: (S, S, 2), the barycentric weights of the second and third corner.
    """
    height, width = depth_buffer.shape
    rows, columns = alpha.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by = screen[b, 0] - ax, screen[b, 1] - ay
        cx, cy = screen[c, 0] - ax, screen[c, 1] - ay
        left = max(int(np.ceil(ax + min(np.float32(0), bx, cx) - np.float32(0.5))), 0)
        right = min(int(np.floor(ax + max(np.float32(0), bx, cx) - np.float32(0.5))), width - 1)
        if left > right:
            continue
        top = max(int(np.ceil(ay + min(np.float32(0), by, cy) - np.float32(0.5))), 0)
        bottom = min(int(np.floor(ay + max(np.float32(0), by, cy) - np.float32(0.5))), height - 1)
        if top > bottom:
            continue
        area = bx * cy - cx * by
        if abs(area) < 1e-9:
            continue
        inverse = np.float32(1) / area
        da, db, dc = depth[a], depth[b], depth[c]
        for y in range(top, bottom + 1):
            py = np.float32(y) + np.float32(0.5) - ay
            for x in range(left, right + 1):
                px = np.float32(x) + np.float32(0.5) - ax
                wb = (px * cy - cx * py) * inverse
                wc = (bx * py - px * by) * inverse
                wa = np.float32(1) - wb - wc
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = wa * da + wb * db + wc * dc
                if z <= depth_buffer[y, x]:
                    continue
                if cut_out:
                    u = int(np.floor((wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0]) * columns))
                    v = int(np.floor((wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]) * rows))
                    if alpha[v % rows, u % columns] < ALPHA_CUT:
                        continue
                depth_buffer[y, x] = z
                mesh_buffer[y, x] = number
                triangle_buffer[y, x] = t
                weight_buffer[y, x, 0] = wb
                weight_buffer[y, x, 1] = wc


@njit(cache=True, fastmath=True)
def shade(
    number, triangles, positions, normals, uv, texture, rest, exposure, lights, light_colours, ambient, material,
    shadow_map, shadow_axes, shadow_origin, shadow_scale, mesh_buffer, triangle_buffer, weight_buffer,
    colour_buffer, rest_buffer, plain,
):  # fmt: skip
    """
    Shade the pixels that show one mesh, in linear light, in place.

    Args:
        number: number of the mesh in `mesh_buffer`.
        triangles: (T, 3).
        positions: (V, 3) camera coordinates in metres.
        normals: (V, 3), unit length.
        uv: (V, 2).
        texture: (H, W, 3) uint8, sRGB.
        rest: (V, 3) positions of the vertices in the neutral face: x and y on the screen, and nearness.
        exposure: (V,) share of the light that arrives; less than 1 inside the mouth, where shadows are soft.
        lights: (L, 3) unit directions towards the lights. The first one casts shadows.
        light_colours: (L, 3).
        ambient: (2, 3), from below and from above.
        material: (9,): three numbers for how far light wraps around the shadow's edge in red, green and blue
            (subsurface scattering), strength and exponent of the highlight, darkening of surfaces that face up (a
            lid's shadow on the eyeball), and factors on red, green and blue.
        shadow_map: (M, M) nearness to the first light.
        shadow_axes: (3, 3), rows right, up and towards the light.
        shadow_origin: (2,) pixels.
        shadow_scale: pixels per metre.
        mesh_buffer, triangle_buffer, weight_buffer: from `draw_depth`.
        colour_buffer: (S, S, 3), linear light.
        rest_buffer: (S, S, 3), positions in the neutral face.
        plain: multiply the grey levels of the texture by the light without linearising them, and draw no highlights,
            as simple renderers do.
    """
    height, width = mesh_buffer.shape
    rows, columns = texture.shape[0], texture.shape[1]
    side = shadow_map.shape[0]
    one = np.float32(1)
    lit = np.empty(3, np.float32)
    for y in range(height):
        for x in range(width):
            if mesh_buffer[y, x] != number:
                continue
            t = triangle_buffer[y, x]
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wb, wc = weight_buffer[y, x, 0], weight_buffer[y, x, 1]
            wa = one - wb - wc
            for k in range(3):
                rest_buffer[y, x, k] = wa * rest[a, k] + wb * rest[b, k] + wc * rest[c, k]
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            length = one / (np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9))
            if nz < 0:  # surfaces are two-sided
                length = -length
            nx, ny, nz = nx * length, ny * length, nz * length
            # Shadow of the first light: the share of nearby shadow-map pixels that are not nearer to the light.
            px = wa * positions[a, 0] + wb * positions[b, 0] + wc * positions[c, 0]
            py = wa * positions[a, 1] + wb * positions[b, 1] + wc * positions[c, 1]
            pz = wa * positions[a, 2] + wb * positions[b, 2] + wc * positions[c, 2]
            sx = (shadow_axes[0, 0] * px + shadow_axes[0, 1] * py + shadow_axes[0, 2] * pz) * shadow_scale
            sy = (shadow_axes[1, 0] * px + shadow_axes[1, 1] * py + shadow_axes[1, 2] * pz) * shadow_scale
            near = shadow_axes[2, 0] * px + shadow_axes[2, 1] * py + shadow_axes[2, 2] * pz
            mx, my = int(np.floor(shadow_origin[0] + sx)), int(np.floor(shadow_origin[1] - sy))
            free, seen = np.float32(0), np.float32(0)
            # A surface along the light needs a larger bias, or it would cast shadows on itself.
            bias = SHADOW_BIAS * (one + 2 * (one - abs(nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2])))
            for j in range(my - SHADOW_SOFTNESS, my + SHADOW_SOFTNESS + 1):
                for i in range(mx - SHADOW_SOFTNESS, mx + SHADOW_SOFTNESS + 1):
                    seen += one
                    if i < 0 or j < 0 or i >= side or j >= side:
                        free += one
                        continue
                    # Fade over a few millimetres, so that edges do not flicker.
                    gap = (shadow_map[j, i] - near - bias) / (2 * SHADOW_BIAS)
                    free += one - min(max(gap, np.float32(0)), one)
            open_to_light = free / seen
            exposed = wa * exposure[a] + wb * exposure[b] + wc * exposure[c]
            if exposed < one:
                open_to_light = max(open_to_light, INSIDE_SHADOW)
            up = np.float32(0.5) + np.float32(0.5) * ny
            shine = np.float32(0)
            for k in range(3):
                lit[k] = ambient[0, k] + (ambient[1, k] - ambient[0, k]) * up
            for light in range(lights.shape[0]):
                facing = nx * lights[light, 0] + ny * lights[light, 1] + nz * lights[light, 2]
                share = open_to_light if light == 0 else one
                for k in range(3):
                    wrapped = (facing + material[k]) / (one + material[k])
                    if wrapped > 0:
                        # Subsurface scattering softens the edge of the shadow, most of all in red.
                        lit[k] += (
                            wrapped
                            * (share + (one - share) * material[k] * np.float32(0.4))
                            * (light_colours[light, k])
                        )
                if material[3] > 0 and facing > 0:
                    hx, hy, hz = lights[light, 0], lights[light, 1], lights[light, 2] + one
                    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
                    if half > 0:
                        edge = one - nz
                        shine += (
                            share
                            * half ** material[4]
                            * light_colours[light, 1]
                            * (material[3] * (one + 3 * edge * edge))
                        )
            dark = exposed
            if material[5] > 0:
                dark *= one - material[5] * min(max((ny + np.float32(0.05)) * 2, np.float32(0)), one)
            tx = (wa * uv[a, 0] + wb * uv[b, 0] + wc * uv[c, 0]) * columns - np.float32(0.5)
            ty = (wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]) * rows - np.float32(0.5)
            x0, y0 = int(np.floor(tx)), int(np.floor(ty))
            fx, fy = tx - np.float32(x0), ty - np.float32(y0)
            x1, y1 = (x0 + 1) % columns, (y0 + 1) % rows
            x0, y0 = x0 % columns, y0 % rows
            for k in range(3):
                texel = (one - fy) * ((one - fx) * texture[y0, x0, k] + fx * texture[y0, x1, k]) + fy * (
                    (one - fx) * texture[y1, x0, k] + fx * texture[y1, x1, k]
                )
                texel *= np.float32(1 / 255)
                if plain:
                    level = min(texel * lit[k] * exposed, one)
                    colour_buffer[y, x, k] = level * level
                else:
                    colour_buffer[y, x, k] = (texel * texel * lit[k] * material[6 + k] + shine) * dark


@njit(cache=True, fastmath=True)
def develop(colour_buffer, mesh_buffer, background, factor, pixels, shoulder):
    """
    Average blocks of factor × factor points and convert light to 8 bits, in place.

    Args:
        colour_buffer: (S·factor, S·factor, 3) linear light.
        mesh_buffer: (S·factor, S·factor), negative where the background shows.
        background: (S, S, 3) linear light.
        factor: supersampling factor.
        pixels: (S, S, 3) uint8, the result.
        shoulder: compress highlights, so that they do not clip.
    """
    size = pixels.shape[0]
    share = np.float32(1 / (factor * factor))
    for y in range(size):
        for x in range(size):
            for k in range(3):
                total = np.float32(0)
                for j in range(factor):
                    for i in range(factor):
                        if mesh_buffer[y * factor + j, x * factor + i] < 0:
                            total += background[y, x, k]
                        else:
                            total += colour_buffer[y * factor + j, x * factor + i, k]
                light = total * share
                if shoulder and light > np.float32(0.6):
                    light = np.float32(1) - np.float32(0.16) / (light - np.float32(0.2))
                pixels[y, x, k] = np.uint8(min(np.sqrt(max(light, np.float32(0))) * 255 + np.float32(0.5), 255))


@njit(cache=True, fastmath=True)
def vertex_normals(positions, triangles, merged):
    """Compute (V, 3) unit normals, the area-weighted mean over the triangles at each vertex. Vertices with the same
    number in `merged` (V,) share a normal, so that texture seams do not show."""
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
