//! Errors of the kinds against each other, and numbers that have no code.

use super::*;
use crate::accuracy::Random;

/// Numbers of several distributions.
struct Drawn(Random);

impl Drawn {
    /// From 0 to 1, with all bits of an f64.
    fn uniform(&mut self) -> f64 {
        (self.0.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Student's distribution of three degrees of freedom: tails like those of trained weights, and heavier.
    fn student(&mut self) -> f64 {
        let chi: f64 = (0..3).map(|_| self.normal().powi(2)).sum();
        self.normal() / (chi / 3.0).sqrt()
    }
}

type Draw = fn(&mut Drawn) -> f64;

const DRAWS: [(&str, Draw); 6] = [
    ("normal", Drawn::normal),
    ("heavy-tailed", Drawn::student),
    ("small", |random| 1e-3 * random.normal()),
    ("uniform", |random| random.uniform() - 0.5),
    ("one-signed", |random| 1.0 + random.uniform()),
    ("sparse", |random| random.normal().max(0.0)),
];

fn drawn(draw: Draw) -> Vec<f32> {
    let mut random = Drawn(Random::new(5));
    (0..64 * 256).map(|_| draw(&mut random) as f32).collect()
}

/// Root of the mean square of the errors, relative to that of the numbers.
fn error(kind: Block, values: &[f32]) -> f64 {
    let mut back = Vec::new();
    kind.dequantise(&kind.quantise(values).unwrap(), &mut back);
    assert_eq!(back.len(), values.len());
    let squares: f64 = values.iter().zip(&back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    (squares / values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).sqrt()
}

/// Of equal bits (4.5, 5.5), and Q6_K of a little less.
#[test]
fn longer_blocks_lose_less_than_shorter_ones() {
    for (what, draw) in DRAWS {
        let values = drawn(draw);
        let pairs = [
            (Block::Q4_K, Block::Q4_0),
            (Block::Q5_K, Block::Q5_0),
            (Block::Q5_K, Block::Q4_1),
            (Block::Q6_K, Block::Q5_0),
            (Block::Q6_K, Block::Q5_1),
            (Block::Q6_K, Block::Q5_K),
        ];
        for (kind, other) in pairs {
            // Where all numbers have one sign, half of the codes of Q6_K are of no use, and the others have an offset instead.
            if what == "one-signed" && kind == Block::Q6_K && other != Block::Q5_0 {
                continue;
            }
            let (ours, theirs) = (error(kind, &values), error(other, &values));
            assert!(ours < theirs, "{what}: {kind:?} {ours}, {other:?} {theirs}");
        }
    }
}

/// What can be coded exactly is: every level of every kind. The scales of the longer ones are parts of f16 numbers, which are
/// as near as those are.
#[test]
fn levels_stay() {
    for kind in Block::ALL {
        let level = |i: usize| match kind {
            Block::Q8_0 => i as f32 - 127.0,
            Block::MXFP4 => [0.0, 0.5, -6.0][i % 3],
            Block::Q5_1 => (i % 32) as f32 - 16.0,
            _ => (i % 16) as f32 - 8.0,
        };
        let values: Vec<f32> = (0..kind.len()).map(level).collect();
        let error = error(kind, &values);
        assert!(if kind.len() == 32 { error == 0.0 } else { error <= 2_f64.powi(-11) }, "{kind:?}: {error}");
        let zeros = vec![0.0; 2 * kind.len()];
        let mut back = Vec::new();
        kind.dequantise(&kind.quantise(&zeros).unwrap(), &mut back);
        assert_eq!(back, zeros, "{kind:?}");
    }
}

#[test]
fn numbers_of_any_size_come_back_near_or_are_refused() {
    for kind in Block::ALL {
        for exponent in -149..128 {
            for pattern in [[1.0, -0.5, 0.25, 0.8], [1.0; 4], [-1.0; 4], [1.0, 0.0, 0.0, 0.0]] {
                let most = 2_f64.powi(exponent) as f32;
                let values: Vec<f32> = (0..kind.len()).map(|i| most * pattern[i % 4]).collect();
                let mut back = Vec::new();
                match kind.quantise(&values) {
                    Ok(blocks) => kind.dequantise(&blocks, &mut back),
                    Err(error) => {
                        assert!(matches!(error, QuantiseError::TooLarge { .. }) && exponent > 15, "{kind:?} 2^{exponent}: {error}");
                        continue;
                    }
                }
                // A step of four bits, and of f16 below its normal numbers 127 halves of one; MXFP4 has powers of two.
                let step = if kind == Block::MXFP4 { most / 3.0 } else { most / 8.0 + 63.5 * 2_f32.powi(-24) };
                let worst = values.iter().zip(&back).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
                assert!(worst <= step.max(2_f32.powi(-125)), "{kind:?} 2^{exponent} {pattern:?}: {worst:e} beside {step:e}");
            }
        }
    }
}

#[test]
fn numbers_without_codes_are_named() {
    for kind in Block::ALL {
        let mut values = vec![0.5; 64 * SHARE];
        for (at, bad) in [(3, f32::NAN), (17 * SHARE + 5, f32::INFINITY), (64 * SHARE - 1, f32::NEG_INFINITY)] {
            let kept = std::mem::replace(&mut values[at], bad);
            let error = kind.quantise(&values).unwrap_err();
            assert!(matches!(error, QuantiseError::NotFinite { at: place, .. } if place == at), "{error}");
            assert!(error.to_string().contains(&format!("number {at} is {bad}")), "{error}");
            values[at] = kept;
        }
        values[40 * SHARE + 1] = f32::MAX;
        match kind.quantise(&values) {
            Ok(_) => assert_eq!(kind, Block::MXFP4),
            Err(error) => assert_eq!(error.number(), Some((40 * SHARE + 1, f32::MAX)), "{error}"),
        }
        assert!(matches!(kind.quantise(&values[1..]), Err(QuantiseError::PartialBlock { .. })));
        assert_eq!(kind.quantise(&[]), Ok(Vec::new()));
    }
}

#[test]
fn threads_do_not_show() {
    let values = drawn(Drawn::normal);
    let values = [&values[..], &values, &values, &values[..256]].concat();
    for kind in Block::ALL {
        let whole = kind.quantise(&values).unwrap();
        let parts: Vec<u8> = values.chunks(kind.len()).flat_map(|block| kind.quantise(block).unwrap()).collect();
        assert_eq!(whole, parts, "{kind:?}");
    }
}
