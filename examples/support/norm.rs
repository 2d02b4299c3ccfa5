//! Normalisations, row by row, and the softmax.

/// x / rms(x) * weight (Zhang and Sennrich 2019, arXiv:1910.07467).
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let normed = |row: &[f32]| {
        let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
        scaled(row, 0.0, 1.0 / (mean + epsilon).sqrt())
    };
    let mut y: Vec<f32> = x.chunks_exact(weight.len()).flat_map(normed).collect();
    y.chunks_exact_mut(weight.len()).for_each(|row| row.iter_mut().zip(weight).for_each(|(y, w)| *y *= w));
    y
}

/// (x - mean) / deviation * weight + bias (Ba et al. 2016, arXiv:1607.06450).
#[derive(Debug)]
pub struct LayerNorm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalises every row of x.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let normed = |row: &[f32]| {
            let mean = row.iter().sum::<f32>() / row.len() as f32;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / row.len() as f32;
            scaled(row, mean, 1.0 / (variance + self.epsilon).sqrt())
        };
        let mut y: Vec<f32> = x.chunks_exact(self.weight.len()).flat_map(normed).collect();
        for row in y.chunks_exact_mut(self.weight.len()) {
            row.iter_mut().zip(self.weight.iter().zip(&self.bias)).for_each(|(y, (w, b))| *y = *y * w + b);
        }
        y
    }
}

fn scaled(row: &[f32], mean: f32, scale: f32) -> Vec<f32> {
    row.iter().map(|x| (x - mean) * scale).collect()
}

/// Scores to shares that add up to 1.
pub fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// To length 1.
pub fn normalise(x: &mut [f32]) {
    let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
    x.iter_mut().for_each(|x| *x /= length);
}
