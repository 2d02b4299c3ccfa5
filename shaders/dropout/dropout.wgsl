// Dropout (Srivastava et al. 2014), inverted: what is kept is divided by the probability of being kept. Whether element e
// is kept is word e % 4 of Philox at counter (e / 4, stream, count, 0): nothing is stored, and forward and backward agree.

/// 0 where an element is dropped, else the factor of what is kept.
fn kept_lanes(i: u32) -> Lanes {
    let words = unit_words(i, counter_word(0u));
    return select(Lanes(bitcast<f32>(params.random[1].x)), Lanes(0.0), words < Words(params.random[0].w));
}

fn masked(v: Lanes, kept: Lanes) -> Lanes {
    return select(v * kept, Lanes(0.0), kept == Lanes(0.0));
}
