// The new pixels of the region of a change, computed by WebGL2. The same steps as `pasteOnCpu`.

import { CHANNELS, pasteOnCpu } from "./paste-back.js";

const VERTICES = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1), 0, 1); }`;

const PIXELS = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D photo, added, offsets;
uniform vec3 toCropX, toCropY;
uniform vec2 corner, paint, movement;  // paint and movement: inside, outside
uniform float still;
uniform bool fine, sharp;
out vec4 result;

float fade(vec2 range, float fromMiddle) {
  float ramp = clamp((1.0 + 2.0 * range.y - fromMiddle) / (2.0 * (range.x + range.y)), 0.0, 1.0);
  return ramp * ramp * (3.0 - 2.0 * ramp);
}
vec4 cubic(float share) {
  const float a = -0.75;
  vec4 x = vec4(1.0 + share, share, 1.0 - share, 2.0 - share);
  vec4 near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  vec4 far = ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return vec4(far.x, near.y, near.z, far.w);
}
vec4 lookUp(sampler2D image, vec2 place, bool isCubic) {
  ivec2 size = textureSize(image, 0);
  if (!isCubic) place = clamp(place, vec2(0), vec2(size - 1));
  vec2 first = floor(place);
  vec2 share = place - first;
  vec4 across = isCubic ? cubic(share.x) : vec4(0.0, 1.0 - share.x, share.x, 0.0);
  vec4 down = isCubic ? cubic(share.y) : vec4(0.0, 1.0 - share.y, share.y, 0.0);
  vec4 sum = vec4(0);
  for (int j = 0; j < 4; j++) {
    if (!isCubic && (j == 0 || j == 3)) continue;
    for (int i = 0; i < 4; i++) {
      if (!isCubic && (i == 0 || i == 3)) continue;
      ivec2 at = clamp(ivec2(first) + ivec2(i - 1, j - 1), ivec2(0), size - 1);
      sum += across[i] * down[j] * texelFetch(image, at, 0);
    }
  }
  return sum;
}
void main() {
  vec3 position = vec3(gl_FragCoord.xy, 1.0);
  vec2 inCrop = vec2(dot(toCropX, position), dot(toCropY, position));
  vec2 distances = abs(2.0 * inCrop - 1.0);
  float fromMiddle = max(distances.x, distances.y);
  vec2 inMaps = inCrop * vec2(textureSize(added, 0)) - 0.5;
  vec2 place = gl_FragCoord.xy - 0.5 + corner;
  vec2 offset = fade(movement, fromMiddle) * lookUp(offsets, inMaps, fine).xy;
  bool rests = all(lessThan(abs(offset), vec2(still)));
  vec3 seen = rests ? texelFetch(photo, ivec2(place), 0).rgb : lookUp(photo, place + offset, sharp).rgb;
  result = vec4(seen + fade(paint, fromMiddle) * lookUp(added, inMaps, fine).rgb / 255.0, 1.0);
}`;

// Renderers that compute on the CPU, more slowly than `pasteOnCpu`.
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export class Paster {
  /** @param software whether a software renderer will do. */
  constructor(software = false) {
    try {
      this.start(software);
    } catch (error) {
      console.info(`paste-back runs on the CPU: ${error.message}`);
      this.gl = null;
    }
  }

  start(software) {
    const gl = new OffscreenCanvas(1, 1).getContext("webgl2", { antialias: false, depth: false });
    if (!gl) throw new Error("there is no WebGL2");
    const details = gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = gl.getParameter(details?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
    if (!software && SOFTWARE.test(renderer)) throw new Error(`${renderer} is software`);
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTICES],
      [gl.FRAGMENT_SHADER, PIXELS],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.uniform = (name) => gl.getUniformLocation(program, name);
    this.textures = ["photo", "added", "offsets"].map((name, unit) => {
      const texture = gl.createTexture();
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
        gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
      gl.uniform1i(this.uniform(name), unit);
      return texture;
    });
    this.target = gl.createRenderbuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    this.largest = Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), gl.getParameter(gl.MAX_RENDERBUFFER_SIZE));
    this.gl = gl;
  }

  /** @param change result of `prepareChange`. @returns {left, top, width, height, data}. */
  paste(change) {
    const usable = this.gl && !this.gl.isContextLost();
    if (!change.width || !change.height) return { ...change, data: new Uint8ClampedArray(0) };
    const around = usable && surroundings(change);
    if (!usable || Math.max(around.width, around.height) > this.largest) return pasteOnCpu(change);
    return this.pasteOnGpu(change, around);
  }

  pasteOnGpu({ photo, left, top, width, height, toCrop, maps, fine, sharp, blending }, around) {
    const { gl } = this;
    const from = new Uint8Array(photo.data.buffer, photo.data.byteOffset, photo.data.byteLength);
    gl.activeTexture(gl.TEXTURE0);
    gl.pixelStorei(gl.UNPACK_ROW_LENGTH, photo.width);
    gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, around.left);
    gl.pixelStorei(gl.UNPACK_SKIP_ROWS, around.top);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, around.width, around.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, from);
    for (const name of [gl.UNPACK_ROW_LENGTH, gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_ROWS]) gl.pixelStorei(name, 0);
    const [added, offsets] = [new Float32Array(4 * maps.size ** 2), new Float32Array(4 * maps.size ** 2)];
    for (let k = 0; k < maps.size ** 2; k++) {
      added.set(maps.data.subarray(CHANNELS * k, CHANNELS * k + 3), 4 * k);
      offsets.set(maps.data.subarray(CHANNELS * k + 3, CHANNELS * k + CHANNELS), 4 * k);
    }
    [added, offsets].forEach((values, k) => {
      gl.activeTexture(gl.TEXTURE1 + k);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, maps.size, maps.size, 0, gl.RGBA, gl.FLOAT, values);
    });
    gl.uniform3f(this.uniform("toCropX"), ...toCrop.slice(0, 3));
    gl.uniform3f(this.uniform("toCropY"), ...toCrop.slice(3));
    gl.uniform2f(this.uniform("corner"), left - around.left, top - around.top);
    for (const name of ["paint", "movement"])
      gl.uniform2f(this.uniform(name), blending[name].inside, blending[name].outside);
    gl.uniform1f(this.uniform("still"), blending.still);
    gl.uniform1i(this.uniform("fine"), fine);
    gl.uniform1i(this.uniform("sharp"), sharp);
    gl.bindRenderbuffer(gl.RENDERBUFFER, this.target);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, this.target);
    gl.viewport(0, 0, width, height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const data = new Uint8ClampedArray(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(data.buffer));
    if (gl.getError() !== gl.NO_ERROR) {
      this.gl = null;
      return pasteOnCpu({ photo, left, top, width, height, toCrop, maps, fine, sharp, blending });
    }
    return { left, top, width, height, data };
  }
}

/** The part of the photo that a change reads: its region, widened by the largest offset. */
function surroundings({ photo, left, top, width, height, maps }) {
  let [across, down] = [0, 0];
  for (let k = 0; k < maps.data.length; k += CHANNELS) {
    across = Math.max(across, Math.abs(maps.data[k + 3]));
    down = Math.max(down, Math.abs(maps.data[k + 4]));
  }
  const [x, y] = [Math.ceil(across) + 3, Math.ceil(down) + 3];
  const around = { left: Math.max(0, left - x), top: Math.max(0, top - y) };
  around.width = Math.min(photo.width, left + width + x) - around.left;
  around.height = Math.min(photo.height, top + height + y) - around.top;
  return around;
}
