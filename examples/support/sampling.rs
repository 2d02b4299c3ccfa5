//! The next token from its logits.

use ffwd::accuracy::Random;

use super::norm::softmax;

/// How a token is chosen.
#[derive(Debug)]
pub struct Sampler {
    /// 0 takes the likeliest.
    temperature: f32,
    /// The likeliest tokens that have this share together are drawn from (Holtzman et al. 2019, arXiv:1904.09751).
    top_p: f32,
    random: Random,
}

impl Sampler {
    pub fn new(temperature: f32, top_p: f32, seed: u64) -> Self {
        Self { temperature, top_p, random: Random::new(seed) }
    }

    /// A token.
    pub fn choose(&mut self, logits: &[f32]) -> u32 {
        if self.temperature <= 0.0 {
            return best_two(logits).0.0;
        }
        let mut shares: Vec<f32> = logits.iter().map(|logit| logit / self.temperature).collect();
        softmax(&mut shares);
        let mut ranked: Vec<(u32, f32)> = (0..).zip(shares).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut kept = 0.0;
        let last = ranked.iter().position(|(_, share)| {
            kept += share;
            kept >= self.top_p
        });
        ranked.truncate(last.map_or(ranked.len(), |last| last + 1));
        let mut left = self.random.uniform(0.0, kept);
        let drawn = ranked.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        drawn.or(ranked.last()).map_or(0, |(token, _)| *token)
    }
}

/// The two largest logits with their tokens; of equals the first.
pub fn best_two(logits: &[f32]) -> ((u32, f32), (u32, f32)) {
    let none = (0, f32::NEG_INFINITY);
    (0..).zip(logits).fold((none, none), |(first, second), (token, &logit)| {
        if logit > first.1 {
            ((token, logit), first)
        } else if logit > second.1 {
            (first, (token, logit))
        } else {
            (first, second)
        }
    })
}

/// -ln of the share that `token` has.
pub fn surprise(logits: &[f32], token: u32) -> Option<f64> {
    let largest = f64::from(best_two(logits).0.1);
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
    Some(sum.ln() + largest - f64::from(*logits.get(token as usize)?))
}
