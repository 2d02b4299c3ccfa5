// Where the rows of each expert start and end, each start a multiple of a block; and the grids of the dispatches that
// compute them. One workgroup, an invocation a stretch of experts.

/// How many rows an expert's are with those that fill its last block.
fn padded(expert: u32) -> u32 {
    return (u32(load_counts(expert)) + params.block - 1u) / params.block * params.block;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    workgroup_number(group, groups);
    let length = (params.experts + 63u) / 64u;
    let first = min(local * length, params.experts);
    let end = min(first + length, params.experts);
    var own = 0u;
    for (var e = first; e < end; e++) {
        own += padded(e);
    }
    let sums = before(local, own);
    var row = sums.x;
    for (var e = first; e < end; e++) {
        store_segments_word(2u * e, row);
        store_segments_word(2u * e + 1u, row + u32(load_counts(e)));
        row += padded(e);
    }
    if local == 0u {
        store_segments_word(2u * params.experts, sums.y);
        store_segments_word(2u * params.experts + 1u, sums.y);
    }
    storageBarrier();
    // Of each dispatch: its columns of workgroups, its first expert and the one after its last, rows of a workgroup.
    for (var d = local; d < params.dispatches; d += 64u) {
        let rows = segments_word(2u * dispatches_word(4u * d + 2u)) - segments_word(2u * dispatches_word(4u * d + 1u));
        let tile = max(dispatches_word(4u * d + 3u), 1u);
        store_grids_word(4u * d, select(dispatches_word(4u * d), 0u, rows == 0u));
        store_grids_word(4u * d + 1u, rows / tile);
        store_grids_word(4u * d + 2u, 1u);
    }
}
