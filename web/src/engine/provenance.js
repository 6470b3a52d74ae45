// Marks a picture as synthetic: in its metadata, as provenance_tergan.py does, and visibly on request.

const PNG_HEAD = 8;
const encoder = new TextEncoder();

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const crc32 = (bytes) => ~bytes.reduce((crc, byte) => CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8), ~0) >>> 0;

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function join(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  return joined;
}

function pngChunk(kind, content) {
  const body = join(encoder.encode(kind), content);
  const chunk = new Uint8Array(body.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, content.length);
  chunk.set(body, 4);
  view.setUint32(4 + body.length, crc32(body));
  return chunk;
}

function jpegSegment(marker, content) {
  const segment = new Uint8Array(content.length + 4);
  segment.set([0xff, marker, (content.length + 2) >> 8, (content.length + 2) & 255]);
  segment.set(content, 4);
  return segment;
}

/**
 * Add the notice, and the photo's colour profile, to an encoded picture.
 *
 * @param bytes Uint8Array of a PNG or JPEG file, as the browser encodes it.
 * @param provenance `provenance` of model.json. profile: bytes of an ICC profile, or null.
 */
export async function withNotice(bytes, provenance, profile) {
  const exif = fromBase64(provenance.exif);
  const xmp = encoder.encode(provenance.xmp);
  if (profile) bytes = withoutProfile(bytes);
  if (bytes[0] === 0xff) {
    const segments = [
      jpegSegment(0xe1, exif),
      jpegSegment(0xe1, join(encoder.encode("http://ns.adobe.com/xap/1.0/\0"), xmp)),
    ];
    if (profile) segments.push(...profileSegments(profile));
    // After the segment APP0, which has to come first.
    const end = bytes[3] === 0xe0 ? 4 + ((bytes[4] << 8) | bytes[5]) : 2;
    return join(bytes.subarray(0, end), ...segments, bytes.subarray(end));
  }
  const text = (name, value) => pngChunk("tEXt", encoder.encode(`${name}\0${value}`));
  const chunks = [
    ...(profile ? [pngChunk("iCCP", join(encoder.encode("ICC Profile\0\0"), await deflate(profile)))] : []),
    text("Description", provenance.notice),
    text("Software", provenance.software),
    pngChunk("iTXt", join(encoder.encode("XML:com.adobe.xmp\0\0\0\0\0"), xmp)),
    pngChunk("eXIf", exif.subarray(6)), // without "Exif\0\0"
  ];
  const end = PNG_HEAD + 25; // of the chunk IHDR
  return join(bytes.subarray(0, end), ...chunks, bytes.subarray(end));
}

/** An encoded picture without the colour profile that the browser has written. */
function withoutProfile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [];
  let at = 0;
  const take = (length, keep) => {
    if (keep) kept.push(bytes.subarray(at, at + length));
    at += length;
  };
  if (bytes[0] === 0xff) {
    take(2, true);
    while (bytes[at] === 0xff && bytes[at + 1] !== 0xda) take(2 + view.getUint16(at + 2), bytes[at + 1] !== 0xe2);
  } else {
    take(PNG_HEAD, true);
    const colours = ["iCCP", "sRGB", "gAMA", "cHRM", "cICP"];
    while (at < bytes.length) {
      const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      take(12 + view.getUint32(at), !colours.includes(kind));
    }
  }
  return join(...kept, bytes.subarray(at));
}

function profileSegments(profile) {
  const most = 65519;
  const count = Math.ceil(profile.length / most);
  return Array.from({ length: count }, (_, k) =>
    jpegSegment(
      0xe2,
      join(encoder.encode("ICC_PROFILE\0"), [k + 1, count], profile.subarray(k * most, (k + 1) * most)),
    ),
  );
}

const through = async (bytes, stream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
const deflate = (bytes) => through(bytes, new CompressionStream("deflate"));
const inflate = (bytes) => through(bytes, new DecompressionStream("deflate"));

/**
 * The colour profile of a photo's file.
 *
 * @returns {profile, converted}: the ICC profile of an RGB photo in a JPEG, PNG or WebP file, or null; and whether the
 *   file has, or may have, a profile that results cannot carry, so that the browser must convert the photo to sRGB.
 */
export async function readProfile(bytes) {
  try {
    const profile = await findProfile(bytes);
    const isRgb = profile && String.fromCharCode(...profile.subarray(16, 20)) === "RGB ";
    return { profile: isRgb ? profile : null, converted: profile === undefined || Boolean(profile && !isRgb) };
  } catch {
    return { profile: null, converted: false }; // a damaged profile counts as none
  }
}

/** The ICC profile of a file: null if it has none, undefined for files of other kinds. */
async function findProfile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const parts = [];
    for (
      let at = 2;
      at + 4 < bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda;
      at += 2 + view.getUint16(at + 2)
    ) {
      if (bytes[at + 1] !== 0xe2 || text(at + 4, 12) !== "ICC_PROFILE\0") continue;
      parts[bytes[at + 16]] = bytes.subarray(at + 18, at + 2 + view.getUint16(at + 2));
    }
    return parts.length ? join(...parts.filter(Boolean)) : null;
  }
  if (text(1, 3) === "PNG") {
    for (let at = PNG_HEAD; at + 12 < bytes.length && text(at + 4, 4) !== "IDAT"; at += 12 + view.getUint32(at)) {
      if (text(at + 4, 4) !== "iCCP") continue;
      const content = bytes.subarray(at + 8, at + 8 + view.getUint32(at));
      return inflate(content.subarray(content.indexOf(0) + 2));
    }
    return null;
  }
  if (text(0, 4) === "RIFF" && text(8, 4) === "WEBP") {
    for (let at = 12; at + 8 < bytes.length; at += 8 + 2 * Math.ceil(view.getUint32(at + 4, true) / 2)) {
      if (text(at, 4) === "ICCP") return bytes.slice(at + 8, at + 8 + view.getUint32(at + 4, true));
    }
    return null;
  }
  return undefined;
}

/** Draw the visible mark into the lower right corner of a canvas. */
export function drawMark(context, { mark, mark_height }) {
  const { width, height } = context.canvas;
  const size = Math.max(9, Math.round(mark_height * Math.min(width, height)));
  const pad = Math.floor(size / 2);
  context.font = `${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const [noteWidth, noteHeight] = [Math.round(context.measureText(mark).width) + 2 * pad, size + 2 * pad];
  const [left, top] = [width - noteWidth - pad, height - noteHeight - pad];
  context.fillStyle = "rgb(0 0 0 / 43%)";
  context.fillRect(left, top, noteWidth, noteHeight);
  context.fillStyle = "rgb(255 255 255 / 92%)";
  context.fillText(mark, left + pad, top + noteHeight / 2);
}
