// Dropout (Srivastava et al. 2014), inverted: what is kept is divided by the probability of being kept. Whether element e
// is kept is word e % 4 of Philox at counter (e / 4, stream, count, 0): nothing is stored, and forward and backward agree.

/// The random words of elements 4 quad .. 4 quad + 3.
fn words(quad: u32) -> vec4<u32> {
    let count = bitcast<u32>(load_counter(0u));
    return philox(vec4<u32>(quad, params.dropout[0].z, count, 0u), params.dropout[0].xy);
}

/// The factor of elements that are kept.
fn kept_scale() -> f32 {
    return bitcast<f32>(params.dropout[1].x);
}

fn masked(v: Lanes, kept: Lanes) -> Lanes {
    return select(v * kept, Lanes(0.0), kept == Lanes(0.0));
}
