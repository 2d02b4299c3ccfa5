// Random numbers: offset + factor * uniform in (-1, 1), or * normal, cut off or not.

/// The quantile of the normal distribution at 0.5 + q, |q| < 0.5 - 2^-26 (Wichura 1988, algorithm AS 241, PPND7; its last
/// branch belongs to rarer events than 24 random bits know).
fn quantile(q: f32) -> f32 {
    if abs(q) <= 0.425 {
        let r = 0.180625 - q * q;
        let p = ((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179;
        return q * p / (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    let r = sqrt(-log(0.5 - abs(q))) - 1.6;
    let p = ((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777;
    return sign(q) * p / ((0.12021132975 * r + 0.7370016425) * r + 1.0);
}

fn drawn(word: u32) -> f32 {
    // Whole numbers and a half, exact, and never 0 or the edge.
    let q = (f32(i32(word >> 8u) - 8388608) + 0.5) * 0x1p-24;
    let form = params.constants[0];
    if form.w == 0.0 {
        return form.x + form.y * (2.0 * q);
    }
    return form.x + form.y * quantile(q * form.z);
}

fn process(i: u32) {
    store_y(i, drawn_lanes(unit_words(i, 0u)));
}
