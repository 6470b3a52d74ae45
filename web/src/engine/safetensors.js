// The float32 tensors of a .safetensors file.

/** @returns name → {shape, data}. */
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete head.__metadata__;
  return Object.fromEntries(
    Object.entries(head).map(
      ([
        name,
        {
          shape,
          data_offsets: [start, end],
        },
      ]) => [
        name,
        // A copy, because tensors need not be aligned.
        { shape, data: new Float32Array(buffer.slice(8 + length + start, 8 + length + end)) },
      ],
    ),
  );
}

/** Row k of a matrix. */
export const rowOf = ({ shape, data }, k) => data.subarray(k * shape[1], (k + 1) * shape[1]);

/** matrix · vector. */
export const multiply = (matrix, vector) =>
  Float64Array.from({ length: matrix.shape[0] }, (_, k) =>
    rowOf(matrix, k).reduce((sum, value, j) => sum + value * vector[j], 0),
  );
