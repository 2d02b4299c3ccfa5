// Sums of a workgroup through its memory: for each cell, one of every invocation. The first invocation has the totals.

var<workgroup> sums: array<Acc, CELLS * WIDTH>;

fn total(t: ptr<function, Tile>, local: u32) {
    spread(*t, local);
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local < half {
            for (var i = local; i < CELLS * WIDTH; i += WIDTH) {
                sums[i] += sums[i + half];
            }
        }
    }
    if local == 0u {
        collect(t);
    }
}
