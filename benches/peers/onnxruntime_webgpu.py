"""The workloads of this folder through ONNX Runtime's WebGPU provider: checked against f64, then timed.

Weights and inputs are initializers, which lie on the device before the first run; the output stays there. What makes a
run wait for the device is one number of the output, sliced there and read back: one more small kernel and 4 bytes are
in every time.
"""

import argparse
import datetime
import json
import math
import platform
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# As in src/workload.rs and src/measure.rs.
WARM_UPS = 5
REACH = 8.0
ROW = 1024
SUM = 2.0
ELEMENTWISE = 96.0

erf = np.frompyfunc(math.erf, 1, 1)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def gelu(x):
    return x * 0.5 * (1.0 + erf(x / math.sqrt(2.0)).astype(np.float64))


# Truth in f64, and the nodes that compute f of `x` into `f`.
FUNCTIONS = {
    "relu": (lambda x: np.maximum(x, 0.0), [("Relu", ["x"], "f")]),
    "silu": (lambda x: x * sigmoid(x), [("Sigmoid", ["x"], "s"), ("Mul", ["x", "s"], "f")]),
    "sigmoid": (sigmoid, [("Sigmoid", ["x"], "f")]),
    "tanh": (np.tanh, [("Tanh", ["x"], "f")]),
    "gelu": (gelu, [("Gelu", ["x"], "f")]),
}


def product(rows, depth, cols):
    """y = x w."""

    def make(random):
        x, w = random(rows, depth, 1.0), random(depth, cols, math.sqrt(3.0 / depth))
        wide = [m.astype(np.float64) for m in (x, w)]
        truth = (wide[0] @ wide[1], np.abs(wide[0]) @ np.abs(wide[1]), SUM * depth)
        return {"x": x, "w": w}, [("MatMul", ["x", "w"], "y")], truth

    return f"product {rows}x{depth}x{cols}", "GFLOP/s", 2.0 * rows * depth * cols, make


def swiglu(tokens, d_model, d_ff):
    """y = (silu(x w_gate) * (x w_up)) w_down."""

    def make(random):
        inner, outer = math.sqrt(3.0 / d_model), math.sqrt(3.0 / d_ff)
        inputs = {
            "x": random(tokens, d_model, 2.0),
            "w_gate": random(d_model, d_ff, inner),
            "w_up": random(d_model, d_ff, inner),
            "w_down": random(d_ff, d_model, outer),
        }
        x, w_gate, w_up, w_down = (m.astype(np.float64) for m in inputs.values())
        gate, up = x @ w_gate, x @ w_up
        silu, slope = gate * sigmoid(gate), sigmoid(gate) * (1.0 + gate * (1.0 - sigmoid(gate)))
        # The first sums' terms, magnified by what lies between the products.
        terms = np.abs(silu * up) + np.abs(slope * up) * (np.abs(x) @ np.abs(w_gate)) + np.abs(silu) * (np.abs(x) @ np.abs(w_up))
        truth = ((silu * up) @ w_down, terms @ np.abs(w_down), SUM * (d_model + d_ff))
        nodes = [
            ("MatMul", ["x", "w_gate"], "g"),
            ("MatMul", ["x", "w_up"], "u"),
            ("Sigmoid", ["g"], "s"),
            ("Mul", ["g", "s"], "f"),
            ("Mul", ["f", "u"], "h"),
            ("MatMul", ["h", "w_down"], "y"),
        ]
        return inputs, nodes, truth

    return f"swiglu layer {tokens}x{d_model}x{d_ff}", "GFLOP/s", 6.0 * tokens * d_model * d_ff, make


def elementwise(name, log2, gated):
    """y = f(x), or f(x) * up."""
    length = 1 << log2

    def make(random):
        value, nodes = FUNCTIONS[name]
        inputs = {"x": random(length // ROW, ROW, REACH)}
        x = inputs["x"].astype(np.float64)
        exact, terms = value(x), np.maximum(np.abs(x), 1.0)
        if gated:
            inputs["up"] = random(length // ROW, ROW, REACH)
            up = inputs["up"].astype(np.float64)
            exact, terms = exact * up, terms * np.abs(up)
            return inputs, [*nodes, ("Mul", ["f", "up"], "y")], (exact, terms, ELEMENTWISE)
        return inputs, [*nodes[:-1], (*nodes[-1][:2], "y")], (exact, terms, ELEMENTWISE)

    label = f"{name}(g)*u" if gated else name
    return f"{label} 2^{log2}", "GB/s", (12.0 if gated else 8.0) * length, make


def workloads():
    yield product(1024, 1024, 1024)
    for size in [(128, 576, 1536), (512, 768, 2048), (16, 576, 1536), (1, 576, 1536)]:
        yield swiglu(*size)
    for log2 in (22, 24):
        for name in FUNCTIONS:
            yield elementwise(name, log2, gated=False)
        for name in ("silu", "gelu"):
            yield elementwise(name, log2, gated=True)


def open_session(inputs, nodes, shape):
    """A session on the WebGPU provider alone, with its outputs bound: y on the device, one number of it on the CPU."""
    corner = {"start": np.zeros(2, np.int64), "stop": np.ones(2, np.int64)}
    graph = helper.make_graph(
        [helper.make_node(op, operands, [out]) for op, operands, out in [*nodes, ("Slice", ["y", "start", "stop"], "done")]],
        "workload",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape), helper.make_tensor_value_info("done", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(data, name) for name, data in {**inputs, **corner}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # Otherwise everything would be computed once, when the session is made.
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["WebGpuExecutionProvider"], disabled_optimizers=["ConstantFolding"]
    )
    binding = session.io_binding()
    binding.bind_output("y", "webgpu")
    binding.bind_output("done", "cpu")
    return session, binding


def measure(name, unit, amount, make, runs):
    generator = np.random.default_rng(7)
    inputs, nodes, (exact, terms, allowed) = make(lambda r, c, reach: generator.uniform(-reach, reach, (r, c)).astype(np.float32))
    session, binding = open_session(inputs, nodes, list(exact.shape))

    def run():
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        return time.perf_counter() - start

    first = run()
    y, done = binding.get_outputs()
    y = y.numpy().astype(np.float64)
    error = np.abs(y - exact) * 2.0**24
    # NaN where both are 0.
    error = float(np.max(np.divide(error, terms, out=np.zeros_like(error), where=error != 0.0)))
    row = {"workload": name, "unit": unit, "allowed_error": allowed, "error": error, "first_s": first, "seconds": []}
    row["right"] = bool(error <= allowed and float(done.numpy()[0, 0]) == y[0, 0])
    if row["right"]:
        row["seconds"] = [run() for _ in range(WARM_UPS + runs)][WARM_UPS:]
        row["median_s"] = statistics.median(row["seconds"])
        row["rate"] = 1e-9 * amount / row["median_s"]
    return row


def main():
    parser = argparse.ArgumentParser(description="ONNX Runtime's WebGPU provider on the workloads of this folder.")
    parser.add_argument("--json", metavar="FILE", help="also writes the table and every run's time to this file")
    parser.add_argument("--filter", metavar="TEXT", default="", help="only workloads whose name contains this")
    parser.add_argument("--runs", metavar="N", type=int, default=21, help="counted runs (21)")
    arguments = parser.parse_args()
    chosen = [workload for workload in workloads() if arguments.filter in workload[0]]
    if not chosen or arguments.runs < 1:
        parser.error("no workload, or no runs")

    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    versions = {"onnxruntime-webgpu": onnxruntime.__version__, "onnx": onnx.__version__, "python": platform.python_version()}
    print(f"{date} on the adapter that ONNX Runtime chooses, which Python is not told")
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + f"; medians of {arguments.runs} runs in a row")
    print("No copy of inputs or outputs is in the times, but one number of the output, sliced and read back, is.\n")
    print(f"{'workload':<28} {'ort ms':>10} {'ort':>18} {'ort err':>9} {'allowed':>8} {'1st s':>8}")
    rows = []
    for workload in chosen:
        row = measure(*workload, arguments.runs)
        rows.append(row)
        time_and_rate = (f"{1e3 * row['median_s']:.3f}", f"{row['rate']:.2f} {row['unit']}") if row["right"] else ("-", "wrong")
        name, error, allowed = row["workload"], row["error"], row["allowed_error"]
        print(f"{name:<28} {time_and_rate[0]:>10} {time_and_rate[1]:>18} {error:>9.2f} {allowed:>8.0f} {row['first_s']:>8.2f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"date": date, "versions": versions, "runs": arguments.runs, "rows": rows}, file, indent=2)
            file.write("\n")
    return 0 if all(row["right"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
