// What the invocations of a workgroup hold, added up in order.

var<workgroup> shares: array<u32, 64>;

/// The sum of what those before this one hold, and of what all hold.
fn before(local: u32, own: u32) -> vec2<u32> {
    shares[local] = own;
    workgroupBarrier();
    var sums = vec2<u32>();
    for (var i = 0u; i < 64u; i++) {
        sums += vec2<u32>(select(0u, shares[i], i < local), shares[i]);
    }
    return sums;
}
