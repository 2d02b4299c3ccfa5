// The sum of what the invocations of a workgroup hold, always in the same order.

var<workgroup> sums: array<f32, 64>;

fn total(local: u32, own: f32) -> f32 {
    sums[local] = own;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            sums[local] += sums[local + half];
        }
    }
    workgroupBarrier();
    let all = sums[0];
    workgroupBarrier();
    return all;
}
