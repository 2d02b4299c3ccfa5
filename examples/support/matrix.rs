//! Weights as matrices on the CPU.

use ffwd::weights::Tensors;

use super::{Result, fail, threads};

/// A weight `[rows, cols]`, row-major.
#[derive(Debug)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Reads a weight; what is quantised becomes f32.
    pub fn read(tensors: &Tensors, name: &str, [rows, cols]: [usize; 2]) -> Result<Self> {
        let values = read(tensors, name, &[rows, cols])?;
        Ok(Self { rows, cols, values })
    }

    /// The rows of several weights in one, so that their products are one product.
    pub fn stacked(parts: Vec<Self>) -> Self {
        let cols = parts.first().map_or(0, |part| part.cols);
        let rows = parts.iter().map(|part| part.rows).sum();
        Self { rows, cols, values: parts.into_iter().flat_map(|part| part.values).collect() }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// One row, if there are as many.
    pub fn row(&self, row: usize) -> Option<&[f32]> {
        self.values.get(row * self.cols..)?.get(..self.cols)
    }

    /// x W^T of every row of x.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let tokens = x.len() / self.cols;
        // A thread has some rows of the weight, and so some columns of y: they are computed as rows and turned at the end.
        let mut turned = vec![0.0; self.rows * tokens];
        threads::for_rows(&mut turned, tokens, tokens * self.cols, |first, part| {
            let weights = self.values[first * self.cols..].chunks_exact(self.cols);
            for (y, weight) in part.chunks_exact_mut(tokens).zip(weights) {
                for (y, x) in y.iter_mut().zip(x.chunks_exact(self.cols)) {
                    *y = dot(x, weight);
                }
            }
        });
        if tokens == 1 { turned } else { transposed(&turned, self.rows, tokens) }
    }

    /// x W^T + b of every row of x.
    pub fn apply_with(&self, bias: &[f32], x: &[f32]) -> Vec<f32> {
        let mut y = self.apply(x);
        y.chunks_exact_mut(self.rows).for_each(|y| add(y, bias));
        y
    }
}

fn transposed(x: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for col in 0..cols {
        y.extend((0..rows).map(|row| x[row * cols + col]));
    }
    y
}

/// A tensor of this shape in f32.
pub fn read(tensors: &Tensors, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let tensor = tensors.get(name)?;
    if tensor.shape != shape {
        return fail(format!("{}: `{name}` has shape {:?}; {shape:?} is needed", tensors.file().display(), tensor.shape));
    }
    Ok(tensor.to_f32())
}

/// The sum of products. A float sum has an order, which compilers keep: sixteen sums side by side are what they can vectorise.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// y += x.
pub fn add(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}
