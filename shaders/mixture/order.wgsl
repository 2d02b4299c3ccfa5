// Experts in the order of their keys, the greatest first, of equal ones the lower number: as pairs of whole numbers, which
// no compiler compares but exactly. What is not a number comes first, so that it is never lost.

const LANES = 64u;

var<workgroup> tops: array<vec2<u32>, LANES>;

/// Rises with x; -0 is 0.
fn rising(x: f32) -> u32 {
    let bits = select(bitcast<u32>(x), 0u, (bitcast<u32>(x) << 1u) == 0u);
    let order = select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
    return select(order, 0xfffffffeu, is_nan(x));
}

/// Before all.
const FIRST = vec2<u32>(0xffffffffu, 0u);
/// Behind all.
const LAST = vec2<u32>(0u, 0xffffffffu);

fn precedes(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

/// The first of what the invocations of a workgroup hold.
fn top(local: u32, own: vec2<u32>) -> vec2<u32> {
    tops[local] = own;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half && precedes(tops[local + half], tops[local]) {
            tops[local] = tops[local + half];
        }
    }
    workgroupBarrier();
    let first = tops[0];
    workgroupBarrier();
    return first;
}
