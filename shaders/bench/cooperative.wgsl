// The ceiling of cooperative matrices: eight chains of independent sums in each workgroup, which is one subgroup. Chains
// start from memory, each from its own place, so that no two can be merged; every turn adds TILE to every sum.

struct Params {
    turns: u32,
    factor: f32,
    term: f32,
}

const AREA = TILE * TILE;

var<workgroup> ones: array<f16, AREA>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    params = uniforms;
    for (var i = local; i < AREA; i += LANES) {
        ones[i] = f16(params.factor);
    }
    workgroupBarrier();
    let left = coopLoadT<MatrixA>(&ones[0], TILE);
    let right = coopLoadT<MatrixB>(&ones[0], TILE);
    let at = group.x * 8u * AREA;
    var c0 = coopLoadT<MatrixC>(&sums[at], TILE);
    var c1 = coopLoadT<MatrixC>(&sums[at + AREA], TILE);
    var c2 = coopLoadT<MatrixC>(&sums[at + 2u * AREA], TILE);
    var c3 = coopLoadT<MatrixC>(&sums[at + 3u * AREA], TILE);
    var c4 = coopLoadT<MatrixC>(&sums[at + 4u * AREA], TILE);
    var c5 = coopLoadT<MatrixC>(&sums[at + 5u * AREA], TILE);
    var c6 = coopLoadT<MatrixC>(&sums[at + 6u * AREA], TILE);
    var c7 = coopLoadT<MatrixC>(&sums[at + 7u * AREA], TILE);
    for (var turn = 0u; turn < params.turns; turn++) {
        c0 = coopMultiplyAdd(left, right, c0);
        c1 = coopMultiplyAdd(left, right, c1);
        c2 = coopMultiplyAdd(left, right, c2);
        c3 = coopMultiplyAdd(left, right, c3);
        c4 = coopMultiplyAdd(left, right, c4);
        c5 = coopMultiplyAdd(left, right, c5);
        c6 = coopMultiplyAdd(left, right, c6);
        c7 = coopMultiplyAdd(left, right, c7);
    }
    coopStoreT(c0, &sums[at], TILE);
    coopStoreT(c1, &sums[at + AREA], TILE);
    coopStoreT(c2, &sums[at + 2u * AREA], TILE);
    coopStoreT(c3, &sums[at + 3u * AREA], TILE);
    coopStoreT(c4, &sums[at + 4u * AREA], TILE);
    coopStoreT(c5, &sums[at + 5u * AREA], TILE);
    coopStoreT(c6, &sums[at + 6u * AREA], TILE);
    coopStoreT(c7, &sums[at + 7u * AREA], TILE);
}
