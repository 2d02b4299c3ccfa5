//! The text of cooperative loops: matrices cannot be kept in a structure, and their type names the tile's size.

use std::fmt::Write as _;

use super::Variant;
use super::looping::Cooperative;
use crate::shader::Kernel;
use crate::shader::operand::{Lanes, Operand};

/// What the module begins with.
const DIRECTIVES: &str = "enable f16;\nenable wgpu_cooperative_matrix;\n";

/// Makes a kernel one that uses cooperative matrices.
pub(in crate::shader) fn enable(kernel: Kernel) -> Kernel {
    Kernel { wgsl: DIRECTIVES.to_owned() + &kernel.wgsl, cooperative: true, ..kernel }
}

/// The names of the matrices in the texts.
pub(in crate::shader) fn matrices(tile: u32) -> String {
    [("MatrixA", "f16", "A"), ("MatrixB", "f16", "B"), ("MatrixC", "f32", "C")]
        .map(|(name, element, role)| format!("alias {name} = coop_mat{tile}x{tile}<{element}, {role}>;\n"))
        .concat()
}

/// The entry point, and how operands become f16.
pub(super) fn render(variant: &Variant, cooperative: Cooperative) -> String {
    let Cooperative { tile, steps, lanes, builtins } = cooperative;
    let (gated, invocations) = (variant.weights().len() == 2, cooperative.invocations());
    let products = variant.weights().len() as u32;
    let [rows, cols] = cooperative.block(gated);
    let mut text = String::new();
    for (name, value) in
        [("TILE", tile), ("STEPS", steps), ("INVOCATIONS", invocations), ("BLOCK_ROWS", rows), ("BLOCK_COLS", cols), ("PRODUCTS", products)]
    {
        let _ = writeln!(text, "const {name} = {value}u;");
    }
    text += &matrices(tile);
    halves(&mut text, variant, products);
    let sum = if gated { "vec2<f32>(sums[i], sums[BLOCKS * AREA + i])" } else { "sums[i]" };
    let _ = writeln!(text, "fn sum_at(i: u32) -> Acc {{\n    return {sum};\n}}");
    main(&mut text, [rows, cols], products, lanes, builtins);
    text
}

/// `half_line(place, line, k)`: four steps of a staged line, without a detour where they are a vector of halves in memory.
fn halves(text: &mut String, variant: &Variant, products: u32) {
    let operands = variant.operands();
    let lanes = |name: &str| operands.iter().find(|o: &&Operand| o.name == name).map(|o| o.lanes);
    for (slot, name) in ["a", "b", "b_up"].into_iter().take(1 + products as usize).enumerate() {
        let stride = if slot == 0 { "params.a_stride" } else { "params.b_stride" };
        let body = if lanes(name) == Some(Lanes::Four) {
            format!(
                "let words = {name}_data[params.offsets[0][{slot}] + row * {stride} + k];\n    \
                 return vec4<f16>(vec2<f16>(unpack2x16float(words.x)), vec2<f16>(unpack2x16float(words.y)));"
            )
        } else {
            format!("return vec4<f16>({name}_step(row, k));")
        };
        let _ = writeln!(text, "fn half_{name}(row: u32, k: u32) -> vec4<f16> {{\n    {body}\n}}");
    }
    let up = if products == 2 {
        "    if line >= SIDE_ROWS + SIDE_COLS {\n        \
         return half_b_up(weight_row(place.col + line - SIDE_ROWS - SIDE_COLS), k);\n    }\n"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "fn half_line(place: Place, line: u32, k: u32) -> vec4<f16> {{\n    if line < SIDE_ROWS {{\n        \
         return half_a(a_row(place.row + line), k);\n    }}\n{up}    \
         return half_b(weight_row(place.col + line - SIDE_ROWS), k);\n}}"
    );
}

fn main(text: &mut String, [rows, cols]: [u32; 2], products: u32, lanes: u32, builtins: bool) {
    let (arguments, lets) = if builtins {
        (", @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32", String::new())
    } else {
        ("", format!("    let subgroup = local / {lanes}u;\n    let subgroups = max(INVOCATIONS / {lanes}u, 1u);\n"))
    };
    let _ = write!(
        text,
        "@compute @workgroup_size(INVOCATIONS)\nfn main(@builtin(workgroup_id) group: vec3<u32>, \
         @builtin(local_invocation_index) local: u32{arguments}) {{\n    let steps = begin(group.z);\n{lets}    \
         for (var first = 0u; first < BLOCKS; first += subgroups) {{\n        \
         let block = min(first + subgroup, BLOCKS - 1u);\n        let place = Place(first_row(group.y * SIDE_ROWS), \
         group.x * SIDE_COLS, local, first, min(subgroups, BLOCKS - first), block);\n        \
         let a_at = block / 2u * BLOCK_ROWS * TILE * STRIDE;\n        \
         let b_at = (SIDE_ROWS + block % 2u * BLOCK_COLS * TILE) * STRIDE;\n"
    );
    let cells = || (0..products).flat_map(move |p| (0..rows).flat_map(move |r| (0..cols).map(move |c| (p, r, c))));
    for (p, r, c) in cells() {
        let _ = writeln!(text, "        var c{p}_{r}_{c} = MatrixC();");
    }
    text.push_str(
        "        for (var k = steps.x; k < steps.y; k += STEPS) {\n            stage(place, k, steps.y);\n            \
         workgroupBarrier();\n            for (var s = 0u; s < 4u * STEPS; s += TILE) {\n",
    );
    // T reads rows that lie one after another; without it columns do, and those of b's transpose are b's rows.
    for r in 0..rows {
        let _ = writeln!(text, "                let a{r} = coopLoadT<MatrixA>(&staged[a_at + s + {r}u * TILE * STRIDE], STRIDE);");
    }
    for (p, c) in (0..products).flat_map(|p| (0..cols).map(move |c| (p, c))) {
        let _ = writeln!(
            text,
            "                let b{p}_{c} = coopLoad<MatrixB>(&staged[b_at + s + ({p}u * SIDE_COLS + {c}u * TILE) * STRIDE], STRIDE);"
        );
    }
    for (p, r, c) in cells() {
        let _ = writeln!(text, "                c{p}_{r}_{c} = coopMultiplyAdd(a{r}, b{p}_{c}, c{p}_{r}_{c});");
    }
    text.push_str("            }\n            workgroupBarrier();\n        }\n");
    for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
        for p in 0..products {
            let _ = writeln!(text, "        coopStoreT(c{p}_{r}_{c}, &sums[({p}u * BLOCKS + block) * AREA], TILE);");
        }
        let _ = writeln!(text, "        finish_tiles(place, {r}u, {c}u);");
    }
    text.push_str("    }\n}\n");
}
