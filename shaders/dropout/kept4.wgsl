// The factors of four elements: 0 where they are dropped.

fn kept_lanes(i: u32) -> Lanes {
    return select(Lanes(kept_scale()), Lanes(0.0), words(i) < vec4<u32>(params.dropout[0].w));
}
