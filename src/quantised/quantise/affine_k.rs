//! Q4_K and Q5_K: eight groups of 32 values, `d * a * q - m * b` with whole a and b below 64 in each group.
//!
//! Least squares in turns: the best scale and offset of each group for itself, over a number of ways to round; d and m from the
//! largest of them; then, until nothing gets better, a, b and the codes for given d and m, and d and m for given a, b and codes.

use half::f16;

use crate::quantised::Block;

const GROUPS: usize = 8;
const GROUP: usize = Block::LONGEST / GROUPS;
/// The largest of a and b.
const MOST: f32 = 63.0;
/// Rounds of a, b and codes against d and m; few blocks get better after the third.
const ROUNDS: usize = 4;

/// A group as it is coded.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    a: f32,
    b: f32,
    error: f32,
}

/// A block as it is coded; the codes follow from it.
#[derive(Debug, Clone, Copy)]
struct Coded {
    d: f32,
    m: f32,
    groups: [Group; GROUPS],
}

impl Coded {
    fn error(&self) -> f32 {
        self.groups.iter().map(|group| group.error).sum()
    }
}

/// Writes one block; `None` where its scales are beyond f16.
pub(super) fn quantise(bits: u32, values: &[f32], bytes: &mut [u8]) -> Option<()> {
    let levels = ((1_u32 << bits) - 1) as f32;
    // Offsets lower numbers only. Where all are positive, the block is that of their opposites, with both signs turned.
    let positive = values.iter().all(|value| *value > 0.0);
    let sign = if positive { -1.0 } else { 1.0 };
    let mut x = [0.0; Block::LONGEST];
    x.iter_mut().zip(values).for_each(|(x, value)| *x = sign * value);
    // So large that no scale could be in f16, or that squares could overflow.
    if x.iter().any(|x| x.abs() > f16::MAX.to_f32() * MOST * levels) {
        return None;
    }
    let coded = search(&x, levels)?;
    let (d, m) = (sign * coded.d, sign * coded.m);
    super::put(bytes, 0, d)?;
    super::put(bytes, 2, m)?;
    pack_groups(bytes.get_mut(4..16)?, &coded);
    let mut codes = [0; Block::LONGEST];
    for ((codes, x), group) in codes.chunks_mut(GROUP).zip(x.chunks(GROUP)).zip(&coded.groups) {
        let rounding = Rounding::new(coded.d * group.a, coded.m * group.b, levels);
        codes.iter_mut().zip(x).for_each(|(code, x)| *code = rounding.code(*x) as u8);
    }
    pack_codes(bits, bytes, &codes);
    Some(())
}

fn search(x: &[f32; Block::LONGEST], levels: f32) -> Option<Coded> {
    let mut fits = [(0.0, 0.0); GROUPS];
    fits.iter_mut().zip(x.chunks(GROUP)).for_each(|(fit, x)| *fit = best_fit(x, levels));
    let (scale, offset) = fits.iter().fold((0.0_f32, 0.0_f32), |most, fit| (most.0.max(fit.0), most.1.max(fit.1)));
    let mut best: Option<Coded> = None;
    for d in halves(scale / MOST) {
        for m in halves(offset / MOST) {
            let start = |fit: &(f32, f32)| Group { a: whole(fit.0, d), b: whole(fit.1, m), error: 0.0 };
            let mut groups = fits.each_ref().map(start);
            groups.iter_mut().zip(x.chunks(GROUP)).for_each(|(group, x)| *group = nearby(x, *group, d, m, levels));
            better(&mut best, Coded { d, m, groups });
        }
    }
    for _ in 0..ROUNDS {
        let Coded { d, m, mut groups } = best?;
        let (d, m) = scales(x, d, m, &groups, levels);
        groups.iter_mut().zip(x.chunks(GROUP)).for_each(|(group, x)| *group = nearby(x, *group, d, m, levels));
        if !better(&mut best, Coded { d, m, groups }) {
            break;
        }
    }
    best
}

/// Keeps the better of two; the first where an error is no number.
fn better(best: &mut Option<Coded>, other: Coded) -> bool {
    let is_better = best.as_ref().is_none_or(|best| other.error() < best.error());
    if is_better {
        *best = Some(other);
    }
    is_better
}

/// The nearest of f16, and where its numbers are far apart also the next.
fn halves(scale: f32) -> impl Iterator<Item = f32> {
    let half = f16::from_f32(scale);
    let next = (scale > 0.0 && half < f16::MIN_POSITIVE).then(|| f16::from_bits(half.to_bits() + 1));
    std::iter::once(half).chain(next).map(f16::to_f32)
}

/// How often `unit` is in `scale`, as a whole number.
fn whole(scale: f32, unit: f32) -> f32 {
    if unit > 0.0 { (scale / unit).round().min(MOST) } else { 0.0 }
}

/// How numbers become codes: the nearest for a given scale and offset.
struct Rounding {
    scale: f32,
    offset: f32,
    inverse: f32,
    levels: f32,
}

impl Rounding {
    fn new(scale: f32, offset: f32, levels: f32) -> Self {
        // Without a scale all codes are the same.
        let inverse = 1.0 / scale;
        Self { scale, offset, inverse: if inverse.is_finite() { inverse } else { 0.0 }, levels }
    }

    fn code(&self, x: f32) -> f32 {
        // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
        const ROUND: f32 = 12_582_912.0;
        let code = ((x + self.offset) * self.inverse).clamp(0.0, self.levels);
        (code + ROUND) - ROUND
    }

    fn error(&self, x: &[f32]) -> f32 {
        let distance = |x: &f32| self.scale * self.code(*x) - self.offset - x;
        x.iter().map(|x| distance(x) * distance(x)).sum()
    }
}

/// The scale and the offset of a group for itself, neither negative: least squares for each of several ways to round.
fn best_fit(x: &[f32], levels: f32) -> (f32, f32) {
    let (low, high) = x.iter().fold((0.0_f32, f32::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    let width = high - low;
    if width <= 0.0 {
        return (0.0, -low);
    }
    let mut best = ((width / levels, -low), f32::INFINITY);
    for step in -6..=18 {
        let rounding = Rounding::new(width / (levels + 0.15 * step as f32), -low, levels);
        let Some((scale, offset)) = least_squares(x, &rounding) else { continue };
        let error = Rounding::new(scale, offset, levels).error(x);
        if error < best.1 {
            best = ((scale, offset), error);
        }
    }
    best.0
}

/// The scale and the offset that fit best to the codes of this rounding.
fn least_squares(x: &[f32], rounding: &Rounding) -> Option<(f32, f32)> {
    let n = x.len() as f32;
    let (mut q1, mut q2, mut x1, mut xq) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    for x in x {
        let q = rounding.code(*x);
        (q1, q2, x1, xq) = (q1 + q, q2 + q * q, x1 + x, xq + x * q);
    }
    let scale = (n * xq - q1 * x1) / (n * q2 - q1 * q1);
    let offset = (scale * q1 - x1) / n;
    let fit = if offset >= 0.0 { (scale, offset) } else { (xq / q2, 0.0) };
    (fit.0 > 0.0 && fit.0.is_finite()).then_some(fit)
}

/// The best of the a and b around a group's own, for given d and m.
fn nearby(x: &[f32], group: Group, d: f32, m: f32, levels: f32) -> Group {
    let mut best = Group { error: f32::INFINITY, ..group };
    for (i, j) in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)] {
        let (a, b) = (group.a + i as f32, group.b + j as f32);
        if (0.0..=MOST).contains(&a) && (0.0..=MOST).contains(&b) {
            let error = Rounding::new(d * a, m * b, levels).error(x);
            if error < best.error {
                best = Group { a, b, error };
            }
        }
    }
    best
}

/// The d and m that fit best to given a, b and codes.
fn scales(x: &[f32; Block::LONGEST], d: f32, m: f32, groups: &[Group; GROUPS], levels: f32) -> (f32, f32) {
    let (mut uu, mut uv, mut vv, mut ux, mut vx) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
    for (x, group) in x.chunks(GROUP).zip(groups) {
        let rounding = Rounding::new(d * group.a, m * group.b, levels);
        for x in x {
            let (u, v) = (group.a * rounding.code(*x), -group.b);
            (uu, uv, vv, ux, vx) = (uu + u * u, uv + u * v, vv + v * v, ux + u * x, vx + v * x);
        }
    }
    let determinant = uu * vv - uv * uv;
    let (fit_d, fit_m) =
        if determinant > 0.0 { ((ux * vv - vx * uv) / determinant, (vx * uu - ux * uv) / determinant) } else { (ux / uu, vx / vv) };
    let rounded = |fit: f32, old| if fit > 0.0 && fit.is_finite() { f16::from_f32(fit).to_f32() } else { old };
    (rounded(fit_d, d), rounded(fit_m, m))
}

/// Six bits each of eight a and eight b in twelve bytes: the last four groups' upper two lie above the first four's.
fn pack_groups(bytes: &mut [u8], coded: &Coded) {
    let a = coded.groups.map(|group| group.a as u8);
    let b = coded.groups.map(|group| group.b as u8);
    for j in 0..4 {
        bytes[j] = a[j] | a[j + 4] >> 4 << 6;
        bytes[j + 4] = b[j] | b[j + 4] >> 4 << 6;
        bytes[j + 8] = a[j + 4] & 15 | b[j + 4] << 4;
    }
}

/// In every 64, byte j holds values j and j + 32; bit k of byte j of 32 is the fifth of value j of group k.
fn pack_codes(bits: u32, bytes: &mut [u8], codes: &[u8; Block::LONGEST]) {
    let (fifths, nibbles) = bytes[16..].split_at_mut(if bits == 5 { GROUP } else { 0 });
    for (j, byte) in fifths.iter_mut().enumerate() {
        *byte = (0..GROUPS).fold(0, |byte, k| byte | codes[GROUP * k + j] >> 4 << k);
    }
    for (bytes, codes) in nibbles.chunks_mut(GROUP).zip(codes.chunks(2 * GROUP)) {
        for (j, byte) in bytes.iter_mut().enumerate() {
            *byte = codes[j] & 15 | codes[j + GROUP] << 4;
        }
    }
}
