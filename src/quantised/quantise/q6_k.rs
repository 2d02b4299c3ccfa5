//! Q6_K: sixteen groups of 16 values, `d * a * (q - 32)` with a whole a from -128 to 127 in each group. Least squares in turns,
//! as in [`super::affine_k`].

use half::f16;

use crate::quantised::Block;

const GROUPS: usize = 16;
const GROUP: usize = Block::LONGEST / GROUPS;
/// The codes that lie furthest from zero.
const LOWEST: f32 = -32.0;
const HIGHEST: f32 = 31.0;
const ROUNDS: usize = 4;

/// A block as it is coded: d, and a and the error of each group; the codes follow from it.
#[derive(Debug, Clone, Copy)]
struct Coded {
    d: f32,
    groups: [(f32, f32); GROUPS],
}

impl Coded {
    fn error(&self) -> f32 {
        self.groups.iter().map(|(_, error)| error).sum()
    }
}

/// Writes one block; `None` where its scale is beyond f16.
pub(super) fn quantise(values: &[f32], bytes: &mut [u8]) -> Option<()> {
    // So large that no scale could be in f16, or that squares could overflow.
    if values.iter().any(|x| x.abs() > f16::MAX.to_f32() * 128.0 * -LOWEST) {
        return None;
    }
    let Coded { d, groups } = search(values);
    super::put(bytes, 208, d)?;
    let mut codes = [0; Block::LONGEST];
    for ((codes, x), (a, _)) in codes.chunks_mut(GROUP).zip(values.chunks(GROUP)).zip(&groups) {
        let inverse = inverse(d * a);
        codes.iter_mut().zip(x).for_each(|(byte, x)| *byte = (code(*x, inverse) - LOWEST) as u8);
    }
    for (byte, (a, _)) in bytes[192..208].iter_mut().zip(&groups) {
        *byte = (*a as i8).cast_unsigned();
    }
    pack_codes(bytes, &codes);
    Some(())
}

fn search(values: &[f32]) -> Coded {
    let mut fits = [0.0; GROUPS];
    fits.iter_mut().zip(values.chunks(GROUP)).for_each(|(fit, x)| *fit = best_fit(x));
    // The scale of largest magnitude becomes -128, one further from zero than 127.
    let d = f16::from_f32(super::largest(&fits).1 / -128.0);
    let coded = |d: f32, start: &dyn Fn(usize) -> f32| {
        let mut groups = [(0.0, 0.0); GROUPS];
        for (k, (group, x)) in groups.iter_mut().zip(values.chunks(GROUP)).enumerate() {
            *group = nearby(x, start(k), d);
        }
        Coded { d, groups }
    };
    let from_fits = |d: f16| {
        let inverse = inverse(d.to_f32());
        coded(d.to_f32(), &|k| (fits[k] * inverse).round().clamp(-128.0, 127.0))
    };
    let mut best = from_fits(d);
    // Where the numbers of f16 are far apart, also the next one away from zero.
    if d.to_f32().abs() < f16::MIN_POSITIVE.to_f32() && fits.iter().any(|fit| *fit != 0.0) {
        let next = from_fits(f16::from_bits(d.to_bits() + 1));
        if next.error() < best.error() {
            best = next;
        }
    }
    for _ in 0..ROUNDS {
        let (mut uu, mut ux) = (0.0_f32, 0.0_f32);
        for (x, (a, _)) in values.chunks(GROUP).zip(&best.groups) {
            let inverse = inverse(best.d * a);
            for x in x {
                let u = a * code(*x, inverse);
                (uu, ux) = (uu + u * u, ux + u * x);
            }
        }
        let d = f16::from_f32(ux / uu).to_f32();
        let next = coded(d, &|k| best.groups[k].0);
        if !(d.is_finite() && next.error() < best.error()) {
            break;
        }
        best = next;
    }
    best
}

/// What numbers are multiplied by to become codes; 0 for no scale.
fn inverse(scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    if inverse.is_finite() { inverse } else { 0.0 }
}

fn code(x: f32, inverse: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let code = (x * inverse).clamp(LOWEST, HIGHEST);
    (code + ROUND) - ROUND
}

fn error(x: &[f32], scale: f32) -> f32 {
    let inverse = inverse(scale);
    let distance = |x: &f32| scale * code(*x, inverse) - x;
    x.iter().map(|x| distance(x) * distance(x)).sum()
}

/// The scale of a group for itself: least squares for each of several ways to round. The number of largest magnitude is coded
/// as about -32, so the scale has the opposite sign of it.
fn best_fit(x: &[f32]) -> f32 {
    let most = super::largest(x).1;
    if most == 0.0 {
        return 0.0;
    }
    let mut best = (most / LOWEST, f32::INFINITY);
    for step in -9..=9 {
        let inverse = (LOWEST + 0.15 * step as f32) / most;
        let (mut q2, mut xq) = (0.0_f32, 0.0_f32);
        for x in x {
            let q = code(*x, inverse);
            (q2, xq) = (q2 + q * q, xq + x * q);
        }
        let scale = xq / q2;
        let error = error(x, scale);
        if scale.is_finite() && error < best.1 {
            best = (scale, error);
        }
    }
    best.0
}

/// The best of the a around `start`, and its error.
fn nearby(x: &[f32], start: f32, d: f32) -> (f32, f32) {
    let candidates = [0.0, 1.0, -1.0].map(|step| start + step).into_iter().filter(|a| (-128.0..=127.0).contains(a));
    let tried = candidates.map(|a| (a, error(x, d * a)));
    tried.fold((start, f32::INFINITY), |best, one| if one.1 < best.1 { one } else { best })
}

/// In every 128, byte j of 64 holds values j and j + 64; byte j of 32 two bits of four values 32 apart.
fn pack_codes(bytes: &mut [u8], codes: &[u8; Block::LONGEST]) {
    for (half, codes) in codes.chunks(128).enumerate() {
        for j in 0..64 {
            bytes[64 * half + j] = codes[j] & 15 | codes[j + 64] << 4;
        }
        for j in 0..32 {
            bytes[128 + 32 * half + j] = (0..4).fold(0, |byte, k| byte | codes[j + 32 * k] >> 4 << (2 * k));
        }
    }
}
