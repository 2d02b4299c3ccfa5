//! Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762), with fewer heads of keys and values than of queries
//! where the model has it so (Ainslie et al. 2023, arXiv:2305.13245), and rotary positions (Su et al. 2021, arXiv:2104.09864).

use super::matrix::dot;
use super::norm::softmax;
use super::threads;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys and of values; each serves `queries / keys` heads of queries.
    pub keys: usize,
    /// Features of a head.
    pub width: usize,
}

/// Which positions a token looks at.
#[derive(Debug, Clone, Copy)]
pub enum Sight {
    /// All of them.
    All,
    /// Its own and those before; the first token's own is this.
    Causal(usize),
}

impl Heads {
    /// Features of all queries of a token.
    pub fn query_width(self) -> usize {
        self.queries * self.width
    }

    /// Features of all keys of a token; of all values as well.
    pub fn key_width(self) -> usize {
        self.keys * self.width
    }

    /// softmax(q k^T / sqrt(width)) v for every token and head: `[tokens, query_width]`.
    pub fn attend(self, q: &[f32], k: &[f32], v: &[f32], sight: Sight) -> Vec<f32> {
        let (width, row) = (self.query_width(), self.key_width());
        let positions = k.len() / row;
        let mut out = vec![0.0; q.len()];
        threads::for_rows(&mut out, width, 2 * width * positions, |first, part| {
            for (i, out) in part.chunks_exact_mut(width).enumerate() {
                let token = first + i;
                let seen = match sight {
                    Sight::All => positions,
                    Sight::Causal(past) => past + token + 1,
                };
                let q = &q[token * width..][..width];
                for (head, (q, out)) in q.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)).enumerate() {
                    let at = head / (self.queries / self.keys) * self.width;
                    let of = |position: usize| position * row + at..position * row + at + self.width;
                    let mut scores: Vec<f32> = (0..seen).map(|position| dot(q, &k[of(position)]) / (self.width as f32).sqrt()).collect();
                    softmax(&mut scores);
                    for (position, share) in scores.iter().enumerate() {
                        out.iter_mut().zip(&v[of(position)]).for_each(|(out, v)| *out += share * v);
                    }
                }
            }
        });
        out
    }

    /// Turns each pair of neighbours in every head of `row` by an angle that grows with the position: the order in which GGUF
    /// has Llama's features.
    pub fn rotate(self, row: &mut [f32], position: usize, base: f64) {
        let turns: Vec<(f32, f32)> = (0..self.width / 2)
            .map(|i| {
                let frequency = base.powf(-2.0 * i as f64 / self.width as f64);
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (sin as f32, cos as f32)
            })
            .collect();
        for head in row.chunks_exact_mut(self.width) {
            for (pair, (sin, cos)) in head.as_chunks_mut::<2>().0.iter_mut().zip(&turns) {
                let [a, b] = *pair;
                *pair = [a * cos - b * sin, a * sin + b * cos];
            }
        }
    }
}
