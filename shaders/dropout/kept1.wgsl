// The factor of one element: 0 where it is dropped.

fn kept_lanes(i: u32) -> Lanes {
    let four = words(i / 4u);
    let pair = select(four.xy, four.zw, (i & 2u) != 0u);
    return select(kept_scale(), 0.0, select(pair.x, pair.y, (i & 1u) != 0u) < params.dropout[0].w);
}
