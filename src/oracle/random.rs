//! Random numbers that are a function of where they are used: no state, so that every order of asking gives the same.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Philox4x32-10: four random words for a counter and a key (Salmon, Moraes, Dror and Shaw 2011, "Parallel random
/// numbers: as easy as 1, 2, 3", section 4.2). A round takes the two 64-bit products of words 0 and 2, swaps them, and
/// mixes their high halves with the other words and the key.
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    for round in 0..10_u32 {
        // The key's words advance by the golden ratio and by the square root of 3 minus 1, as fractions of 2^32.
        let k = [key[0].wrapping_add(round.wrapping_mul(0x9e37_79b9)), key[1].wrapping_add(round.wrapping_mul(0xbb67_ae85))];
        let (a, b) = (0xd251_1f53 * u64::from(c[0]), 0xcd9e_8d57 * u64::from(c[2]));
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
    }
    c
}

/// The word of one element: word `element % 4` of philox([element / 4, stream, step, 0], seed), low half of the seed
/// first. Words repeat after 2^34 elements.
#[must_use]
pub fn word(seed: u64, stream: u32, step: u32, element: u64) -> u32 {
    philox([(element / 4) as u32, stream, step, 0], [seed as u32, (seed >> 32) as u32])[(element % 4) as usize]
}

/// Whether dropout keeps an element that it drops with a `probability` in 0..=1 (Srivastava et al. 2014, JMLR 15, section
/// 4): dropped where its [`word`] < round(probability * 2^32).
#[must_use]
pub fn kept(seed: u64, stream: u32, step: u32, element: u64, probability: f64) -> bool {
    u64::from(word(seed, stream, step, element)) >= (probability * f64::exp2(32.0)).round() as u64
}

/// A word as a number in (0, 1): its high 24 bits are the interval of length 2^-24 whose middle is taken.
#[must_use]
pub fn uniform(word: u32) -> f64 {
    (f64::from(word >> 8) + 0.5) / f64::exp2(24.0)
}

/// The x below which a standard normal number lies with probability p: P(X < x) = erfc(-x / sqrt(2)) / 2 = p, found by
/// Newton's method. Good to about 1e-14 of itself. Subnormal p counts as 0, which gives -inf; 1 gives inf, and what is
/// no probability NaN.
#[must_use]
pub fn inverse_normal(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        f64::NAN
    } else if p > 0.5 {
        // 1 - p is exact here.
        -inverse_normal(1.0 - p)
    } else if p < f64::MIN_POSITIVE {
        f64::NEG_INFINITY
    } else if p < 0.25 {
        // ln P(X > x) falls and is concave, and P(X > x) <= exp(-x^2 / 2) / 2: steps from there go left and never past the root.
        let above = |x: f64| libm::erfc(x * FRAC_1_SQRT_2) / 2.0;
        -newton((-2.0 * libm::log(2.0 * p)).sqrt(), |x| libm::log(above(x) / p) * above(x) / -density(x))
    } else {
        // P(0 < X < x) rises and is concave, and below x times the density at 0: steps from there go right, likewise. The
        // difference to one half is exact here, and keeps its digits near 0 where those of p are lost.
        let inside = 0.5 - p;
        -newton(inside / density(0.0), |x| (libm::erf(x * FRAC_1_SQRT_2) / 2.0 - inside) / density(x))
    }
}

/// exp(-x^2 / 2) / sqrt(2 pi).
fn density(x: f64) -> f64 {
    libm::exp(-x * x / 2.0) / (2.0 * PI).sqrt()
}

/// The root of a function, given the function over its derivative, from a place whence steps converge.
fn newton(mut x: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..100 {
        let step = ratio(x);
        x -= step;
        if step.abs() <= 1e-15 * x {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Random;

    #[test]
    fn philox_gives_the_known_answers() {
        // Random123, kat_vectors.
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344, 0xa409_3822, 0x299f_31d0];
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(philox([pi[0], pi[1], pi[2], pi[3]], [pi[4], pi[5]]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn a_word_is_that_of_its_counter() {
        assert_eq!([0, 1, 2, 3].map(|element| word(0, 0, 0, element)), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(word(0x1122_3344_5566_7788, 5, 6, 43), philox([10, 5, 6, 0], [0x5566_7788, 0x1122_3344])[3]);
        // 2^32 + 4 is past the elements that u32 could count.
        assert_eq!(word(1, 2, 3, (1 << 32) + 4), philox([(1 << 30) + 1, 2, 3, 0], [1, 0])[0]);
    }

    #[test]
    fn dropout_keeps_its_share() {
        let share = |probability| (0..40_000).filter(|i| kept(7, 1, 2, *i, probability)).count() as f64 / 40_000.0;
        assert_eq!((share(0.0), share(1.0)), (1.0, 0.0));
        for probability in [0.1, 0.5, 0.9] {
            // Five standard deviations of the share.
            let bound = 5.0 * (probability * (1.0 - probability) / 40_000.0_f64).sqrt();
            assert!((share(probability) - (1.0 - probability)).abs() < bound, "{probability}");
        }
        // At the threshold itself an element is kept; it rounds to the nearest whole number.
        let threshold = f64::from(word(7, 1, 2, 3));
        let at = |offset: f64| kept(7, 1, 2, 3, (threshold + offset) / f64::exp2(32.0));
        assert!(at(0.0) && at(0.4) && !at(0.6) && !at(1.0));
    }

    #[test]
    fn uniform_numbers_are_inside() {
        assert_eq!(uniform(0), f64::exp2(-25.0));
        assert_eq!(uniform(255), f64::exp2(-25.0));
        assert_eq!(uniform(1 << 31), 0.5 + f64::exp2(-25.0));
        assert_eq!(uniform(u32::MAX), 1.0 - f64::exp2(-25.0));
    }

    #[test]
    fn quantiles_are_the_known_ones() {
        // Fifty digits of arithmetic, for the f64 nearest to each probability.
        let known = [
            (0.975, 1.9599639845400538),
            (0.25, -0.6744897501960817),
            (0.3, -0.5244005127080408),
            (0.05, -1.6448536269514726),
            (0.001, -3.0902323061678136),
            (1e-10, -6.361340902404057),
            (1e-100, -21.273453560965326),
            (f64::exp2(-25.0), -5.419983174916868),
            (0.5 - f64::exp2(-25.0), -7.470334394666561e-08),
            (f64::MIN_POSITIVE, -37.5193793471445),
        ];
        for (p, x) in known {
            let got = inverse_normal(p);
            assert!((got - x).abs() <= 2e-15 * x.abs(), "{p}: {got} {x}");
            assert!(p < 1e-3 || p == 0.5 || (inverse_normal(1.0 - p) + x).abs() <= 1e-12, "{p}");
        }
        assert_eq!((inverse_normal(0.0), inverse_normal(0.5), inverse_normal(1.0)), (f64::NEG_INFINITY, 0.0, f64::INFINITY));
        assert!([-0.1, 1.1, f64::NAN].into_iter().all(|p| inverse_normal(p).is_nan()));
    }

    #[test]
    fn quantiles_return_to_their_probability() {
        let mut random = Random::new(3);
        let drawn: Vec<f64> = (0..20_000).map(|_| uniform(random.bits() as u32)).collect();
        let small = (1..1000).map(|i| libm::exp(-f64::from(i) * 0.7));
        let bends = [0.25, 0.75].into_iter().flat_map(|p: f64| [p.next_down(), p, p.next_up()]);
        for p in drawn.into_iter().chain(small).chain(bends) {
            let x = inverse_normal(p);
            let back = libm::erfc(-x * FRAC_1_SQRT_2) / 2.0;
            // An error of x is magnified by x^2 at most in the tail.
            assert!((back - p).abs() <= 1e-15 * (2.0 + x * x) * p.max(1e-300), "{p}: {x} {back}");
        }
    }
}
