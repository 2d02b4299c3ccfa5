//! The part of a loop that its sizes force to be text: the registers of one invocation, each with a name (arrays that
//! are indexed end up in memory), and what is loaded into them.

use std::fmt::Write as _;

use super::looping::{Loop, Tile, Total};

fn list(count: u32, item: impl Fn(u32) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(", ")
}

/// Everything that depends on the sizes of `looping`. `across` says of a and of b whether neighbours in memory are rows
/// (of the transposed) or steps of the depth; where `summed`, the first column's cells take the sums of a's rows along;
/// with `blocks` a step is a block of quantised weights and eight vectors of a.
pub(super) fn render(looping: Loop, across: [bool; 2], summed: bool, blocks: bool) -> String {
    let [rows, cols] = looping.invocation();
    let mut text = format!("const TILE_ROWS = {rows}u;\nconst TILE_COLS = {cols}u;\n");
    let (row_step, col_step) = match looping {
        Loop::Tiled(tile) => (tile.group_rows(), 4 * tile.group_cols()),
        _ => (1, 4),
    };
    registers(&mut text, rows, cols);
    if blocks {
        let parts = list(8, |j| format!("a_part(row, 8u * k + {j}u) * A_PLACES"));
        let _ = writeln!(text, "fn a_step(row: u32, k: u32) -> Step {{\n    return Step({parts});\n}}");
    }
    accumulate(&mut text, rows, cols, summed);
    store(&mut text, [rows, cols], row_step, col_step);
    match looping {
        Loop::Tiled(tile) => staged(&mut text, tile, across),
        Loop::Direct(_) => loads(&mut text, rows, cols),
        // Texts of their own.
        Loop::Cooperative(_) | Loop::Sum => {}
        Loop::Broadcast(_) => {
            loads(&mut text, rows, cols);
            if blocks {
                broadcast_blocks(&mut text, rows);
            } else {
                broadcast(&mut text, rows);
            }
        }
        Loop::Dot(_, total) => {
            loads(&mut text, rows, cols);
            totals(&mut text, [rows, cols], total);
        }
    }
    text
}

fn cells(rows: u32, cols: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..rows).flat_map(move |r| (0..cols).map(move |c| (r, c)))
}

fn registers(text: &mut String, rows: u32, cols: u32) {
    let sums: String = cells(rows, cols).map(|(r, c)| format!(" c{r}_{c}: Acc,")).collect();
    let _ = writeln!(text, "struct Tile {{{sums} }}");
    let _ = writeln!(text, "struct Left {{ {} }}", list(rows, |r| format!("r{r}: Step")));
    let _ = writeln!(text, "struct Right {{ {} }}", list(cols, |c| format!("c{c}: Column")));
}

fn accumulate(text: &mut String, rows: u32, cols: u32, summed: bool) {
    let _ = writeln!(text, "fn accumulate(t: ptr<function, Tile>, l: Left, r: Right) {{");
    for (r, c) in cells(rows, cols) {
        let mul_add = if summed && c == 0 { "mul_add_first" } else { "mul_add" };
        let _ = writeln!(text, "    (*t).c{r}_{c} = {mul_add}(l.r{r}, r.c{c}, (*t).c{r}_{c});");
    }
    text.push_str("}\n");
}

/// One copy of the epilogue serves all cells: where it is long, a copy for each would be most of the kernel.
fn store(text: &mut String, [rows, cols]: [u32; 2], row_step: u32, col_step: u32) {
    let fours = cols / 4;
    let sums = cells(rows, cols).map(|(r, c)| format!("t.c{r}_{c}")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(
        text,
        "fn store_tile(row: u32, col: u32, t: Tile) {{\n    var sums = array<Acc, {}>({sums});\n    \
         for (var i = 0u; i < {}u; i++) {{\n        \
         store_four(row + i / {fours}u * {row_step}u, col + i % {fours}u * {col_step}u, \
         sums[4u * i], sums[4u * i + 1u], sums[4u * i + 2u], sums[4u * i + 3u]);\n    }}\n}}",
        rows * cols,
        rows * fours
    );
}

/// Straight from storage.
fn loads(text: &mut String, rows: u32, cols: u32) {
    let left = list(rows, |r| format!("a_step(a_row(row + {r}u), k)"));
    let right = list(cols, |c| format!("load_col(col + {c}u, k)"));
    let _ = writeln!(text, "fn left(row: u32, k: u32) -> Left {{\n    return Left({left});\n}}");
    let _ = writeln!(text, "fn right(col: u32, k: u32) -> Right {{\n    return Right({right});\n}}");
}

/// Eight lanes hold eight rows, or fewer rows and several steps of them.
fn broadcast(text: &mut String, rows: u32) {
    let (held, vectors) = (rows.min(8), rows.div_ceil(8));
    let steps = 8 / held;
    let _ = writeln!(text, "const STEPS = {steps}u;");
    let _ = writeln!(text, "fn advance(t: ptr<function, Tile>, lane: u32, row: u32, col: u32, k: u32) {{");
    for v in 0..vectors {
        let _ = writeln!(text, "    let mine{v} = a_step(a_row(row + {}u + lane % {held}u), k + lane / {held}u);", 8 * v);
    }
    for step in 0..steps {
        let left = list(rows, |r| format!("subgroupBroadcast(mine{}, {}u)", r / 8, step * held + r % 8));
        let _ = writeln!(text, "    accumulate(t, Left({left}), right(col, k + {step}u));");
    }
    text.push_str("}\nfn advance_rest(t: ptr<function, Tile>, row: u32, col: u32, first: u32, end: u32) {\n");
    if steps > 1 {
        text.push_str("    for (var k = first; k < end; k++) {\n        accumulate(t, left(row, k), right(col, k));\n    }\n");
    }
    text.push_str("}\n");
}

/// Eight lanes hold the eight vectors of a row that a block of weights is multiplied by.
fn broadcast_blocks(text: &mut String, rows: u32) {
    text.push_str("const STEPS = 1u;\nfn advance(t: ptr<function, Tile>, lane: u32, row: u32, col: u32, k: u32) {\n");
    for r in 0..rows {
        let _ = writeln!(text, "    let mine{r} = a_part(a_row(row + {r}u), 8u * k + lane) * A_PLACES;");
    }
    let left = list(rows, |r| format!("Step({})", list(8, |j| format!("subgroupBroadcast(mine{r}, {j}u)"))));
    let _ = writeln!(text, "    accumulate(t, Left({left}), right(col, k));\n}}");
    text.push_str("fn advance_rest(t: ptr<function, Tile>, row: u32, col: u32, first: u32, end: u32) {\n}\n");
}

fn totals(text: &mut String, [rows, cols]: [u32; 2], total: Total) {
    let width = match total {
        Total::Tree => 64,
        Total::Subgroup(width) => width,
    };
    let _ = writeln!(text, "const WIDTH = {width}u;");
    let of = |text: &mut String, signature: &str, statement: &dyn Fn(u32, u32) -> String| {
        let _ = writeln!(text, "fn {signature} {{");
        for (r, c) in cells(rows, cols) {
            let _ = writeln!(text, "    {};", statement(r, c));
        }
        text.push_str("}\n");
    };
    let slot = |r: u32, c: u32| (r * cols + c) * width;
    match total {
        Total::Tree => {
            let _ = writeln!(text, "const CELLS = {}u;", rows * cols);
            of(text, "spread(t: Tile, local: u32)", &|r, c| format!("sums[{}u + local] = t.c{r}_{c}", slot(r, c)));
            of(text, "collect(t: ptr<function, Tile>)", &|r, c| format!("(*t).c{r}_{c} = sums[{}]", slot(r, c)));
        }
        Total::Subgroup(_) => {
            of(text, "total(t: ptr<function, Tile>, local: u32)", &|r, c| format!("(*t).c{r}_{c} = subgroupAdd((*t).c{r}_{c})"));
        }
    }
}

/// From workgroup memory, and into it.
fn staged(text: &mut String, tile: Tile, across: [bool; 2]) {
    let (a_slots, b_slots) = tile.slots();
    let Tile { rows, cols, invocation_rows, invocation_cols, steps, buffers } = tile;
    let (group_rows, group_cols) = (tile.group_rows(), tile.group_cols());
    for (name, value) in [
        ("SIDE_ROWS", rows),
        ("SIDE_COLS", cols),
        ("GROUP_ROWS", group_rows),
        ("GROUP_COLS", group_cols),
        ("STEPS", steps),
        ("BUFFERS", buffers),
        ("A_SLOTS", a_slots),
        ("B_SLOTS", b_slots),
    ] {
        let _ = writeln!(text, "const {name} = {value}u;");
    }
    // Neighbours fetch what lies side by side in memory.
    for (name, side, across) in [("a", rows, across[0]), ("b", cols, across[1])] {
        let place = if across { format!("slot % {side}u, slot / {side}u") } else { format!("slot / {steps}u, slot % {steps}u") };
        let _ = writeln!(text, "fn {name}_place(slot: u32) -> vec2<u32> {{\n    return vec2<u32>({place});\n}}");
    }
    let (a, b) = (steps * rows / tile.invocations(), steps * cols / tile.invocations());
    let slot = |i: u32| format!("local + {}u", i * tile.invocations());
    let fields = [list(a, |i| format!("a{i}: vec4<f32>")), list(b, |i| format!("b{i}: Column"))].join(", ");
    let fetched = [list(a, |i| format!("fetch_a({}, row, k, end)", slot(i))), list(b, |i| format!("fetch_b({}, col, k, end)", slot(i)))];
    let _ = writeln!(text, "struct Next {{ {fields} }}");
    let _ = writeln!(
        text,
        "fn fetch(local: u32, row: u32, col: u32, k: u32, end: u32) -> Next {{\n    return Next({});\n}}",
        fetched.join(", ")
    );
    let _ = writeln!(text, "fn stage(local: u32, buffer: u32, next: Next) {{");
    for (name, count) in [("a", a), ("b", b)] {
        for i in 0..count {
            let _ = writeln!(text, "    stage_{name}({}, buffer, next.{name}{i});", slot(i));
        }
    }
    let left = list(invocation_rows, |r| format!("a_tile[a_slot(buffer, s, y + {}u)]", r * group_rows));
    let right = list(invocation_cols, |c| format!("b_tile[b_slot(buffer, s, 4u * x + {}u)]", c / 4 * 4 * group_cols + c % 4));
    let _ = writeln!(text, "}}\nfn left(buffer: u32, s: u32, y: u32) -> Left {{\n    return Left({left});\n}}");
    let _ = writeln!(text, "fn right(buffer: u32, s: u32, x: u32) -> Right {{\n    return Right({right});\n}}");
}
