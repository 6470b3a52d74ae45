"""WebGPU and WebGL give what the processor gives. Chromium's software renderer stands for a GPU."""

import json
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper


LOAD = """async (backend) => {
  const { loadRuntime } = await import("/src/engine/runtime.js");
  const build = await (await fetch("/build.json")).json();
  return loadRuntime({ build, base: document.baseURI, backend, report() {} });
}"""
# Changes of a face before and after the GPU fails.
GPU_FAILS = """async () => {
  const { loadRuntime } = await import("/src/engine/runtime.js");
  const { Model } = await import("/src/engine/model.js");
  Object.defineProperty(GPUAdapter.prototype, "info", { get: () => ({ architecture: "tested" }) });
  const { requestDevice } = GPUAdapter.prototype;
  let device;
  GPUAdapter.prototype.requestDevice = async function (...values) {
    return (device = await requestDevice.apply(this, values));
  };
  const build = await (await fetch("/build.json")).json();
  const told = [];
  const load = (backend) => loadRuntime({
    build, base: document.baseURI, backend, report() {}, onFallback: (fallback) => told.push(fallback.backend),
  });
  const change = async ({ run, manifest, tables }) => {
    const model = new Model(run, manifest, tables);
    const data = Uint8ClampedArray.from({ length: 4 * model.size ** 2 }, (_, k) => 128 + 100 * Math.sin(k / 500));
    const target = await model.encodeTarget({ width: model.size, height: model.size, data });
    return Array.from((await model.change(model.prototype("surprise"), target, 1)).flow.data);
  };
  const runtime = await load(null);
  const { backend } = runtime;
  const before = await change(runtime);
  device.destroy();
  const after = [await change(runtime), await change(runtime)];
  return { backend, told, before, after };
}"""
# [fine, sharp, enlarged, whether WebGL computed it, largest change, largest difference to the CPU] of each combination
PASTE = """async () => {
  const { pasteOnCpu, prepareChange } = await import("/src/engine/paste-back.js");
  const { Paster } = await import("/src/engine/paste-back-webgl.js");
  const { blending } = await (await fetch("/model/model.json")).json();
  const [width, height, size] = [211, 187, 48];
  const wave = (length, scale) => Float32Array.from({ length }, (_, k) => scale * Math.sin(k / 7) * Math.cos(k / 301));
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, k) =>
    k % 4 === 3 ? 255 : 128 + 90 * Math.sin(k / 11) + 30 * Math.cos(k / 997));
  const change = { flow: { data: wave(2 * size * size, 0.15) }, residual: { data: wave(3 * size * size, 0.2) } };
  const transform = [0.0071, 0.0012, -0.31, -0.0012, 0.0071, 0.06];  // turned, and beyond the photo's border
  const paster = new Paster(true);
  const rows = [];
  for (const enlarged of [false, true]) {
    const rule = { ...blending, fine_below: 0, creased_above: enlarged ? 0 : Infinity };
    const prepared = prepareChange({ width, height, data }, transform, size, change, (row) => 0.5 + row, rule);
    if ((prepared.maps.size > size) !== enlarged) throw new Error("the map has the wrong size");
    for (const fine of [false, true]) for (const sharp of [false, true]) {
      const [one, other] = [pasteOnCpu({ ...prepared, fine, sharp }), paster.paste({ ...prepared, fine, sharp })];
      let [change, difference] = [0, 0];
      one.data.forEach((value, k) => {
        const column = one.left + (k >> 2) % one.width, row = one.top + Math.floor((k >> 2) / one.width);
        change = Math.max(change, Math.abs(value - data[4 * (row * width + column) + k % 4]));
        difference = Math.max(difference, Math.abs(value - other.data[k]));
      });
      rows.push([fine, sharp, enlarged, Boolean(paster.gl), change, difference]);
    }
  }
  return rows;
}"""


@pytest.fixture
def page(module_page):
    """A page whose browser has an adapter for WebGPU."""
    page = module_page()
    if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        assert not os.environ.get("TERGAN_REQUIRE_BROWSER"), "Chromium has no software adapter for WebGPU"
        pytest.skip("this Chromium has no software adapter for WebGPU")
    yield page
    page.context.close()


def test_a_gpu_runs_every_node_and_is_replaced_once_when_it_fails(page):
    found = page.evaluate(GPU_FAILS)
    assert found["backend"] == "webgpu" and found["told"] == ["wasm"] and np.abs(found["before"]).max() > 0.01
    for on_the_processor in found["after"]:
        np.testing.assert_allclose(on_the_processor, found["before"], atol=1e-3)


def test_a_graph_with_a_node_that_a_gpu_cannot_compute_is_refused(page, site):
    node = helper.make_node("NonZero", ["flow"], ["places"])
    flow = helper.make_tensor_value_info("flow", TensorProto.FLOAT, [4, 4])
    places = helper.make_tensor_value_info("places", TensorProto.INT64, [2, "count"])
    graph = helper.make_graph([node], "decoder", [flow], [places])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    decoder = model.SerializeToString()
    manifest = json.loads((site / "model" / "model.json").read_text())
    manifest["files"]["decoder.onnx"] = len(decoder)
    page.route("**/model/decoder.onnx", lambda route: route.fulfill(body=decoder))
    text, build = json.dumps(manifest), json.loads((site / "build.json").read_text())
    build["manifest"]["bytes"] = len(text)
    page.route("**/model/model.json", lambda route: route.fulfill(body=text))
    page.route("**/build.json", lambda route: route.fulfill(json=build))
    attempt = f"backend => ({LOAD})(backend).then(() => '', (error) => String(error))"
    assert "fallback" in page.evaluate(attempt, "webgpu")
    assert page.evaluate(attempt, "wasm") == ""


def test_webgl_pastes_as_the_processor_does(module_page):
    rows = module_page().evaluate(PASTE)
    assert len(rows) == 8
    for *settings, on_gpu, change, difference in rows:
        assert on_gpu and change > 20 and difference <= 1, (settings, on_gpu, change, difference)
