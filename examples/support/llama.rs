//! A Llama (Touvron et al. 2023, arXiv:2302.13971) from a GGUF file: all of it but the feed-forward layers.

use ffwd::weights::{FeedForwardWeights, Gguf};

use super::attention::{Heads, Sight};
use super::feed_forward::FeedForwards;
use super::matrix::{self, Matrix, add};
use super::norm::rms_norm;
use super::{Result, fail, metadata};

/// The model on the CPU.
#[derive(Debug)]
pub struct Llama {
    width: usize,
    heads: Heads,
    /// Base of the rotary positions' frequencies.
    rotary: f64,
    epsilon: f32,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// Where it is not the embedding again.
    output: Option<Matrix>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    /// Queries, keys and values.
    projections: Matrix,
    output: Matrix,
    feed_forward_norm: Vec<f32>,
}

/// Keys and values of every layer for the tokens so far.
#[derive(Debug, Default)]
pub struct Cache {
    tokens: usize,
    layers: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Llama {
    /// Reads the weights, as f32.
    pub fn new(file: &Gguf) -> Result<Self> {
        let architecture = metadata::text(file, "general.architecture")?;
        if architecture != "llama" {
            return fail(format!("{}: a {architecture}; llama is needed", file.tensors().file().display()));
        }
        let count = |key: &str| metadata::count(file, &format!("llama.{key}"));
        let (width, vocabulary) = (count("embedding_length")?, count("vocab_size")?);
        let (queries, keys) = (count("attention.head_count")?, count("attention.head_count_kv")?);
        let heads = Heads { queries, keys, width: count("rope.dimension_count")? };
        if queries * heads.width != width || keys == 0 || queries % keys != 0 {
            return fail(format!("{queries} heads of queries and {keys} of keys with {} features each do not fit {width}", heads.width));
        }
        let tensors = file.tensors();
        let layer = |i: usize| -> Result<Layer> {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            let matrix = |part: &str, rows| Matrix::read(tensors, &name(part), [rows, width]);
            let norm = |part: &str| matrix::read(tensors, &name(part), &[width]);
            let projections = vec![matrix("attn_q", width)?, matrix("attn_k", heads.key_width())?, matrix("attn_v", heads.key_width())?];
            Ok(Layer {
                attention_norm: norm("attn_norm")?,
                projections: Matrix::stacked(projections),
                output: matrix("attn_output", width)?,
                feed_forward_norm: norm("ffn_norm")?,
            })
        };
        let own_output = tensors.shape("output.weight").is_some();
        Ok(Self {
            width,
            heads,
            rotary: metadata::real(file, "llama.rope.freq_base")?.into(),
            epsilon: metadata::real(file, "llama.attention.layer_norm_rms_epsilon")?,
            embedding: Matrix::read(tensors, "token_embd.weight", [vocabulary, width])?,
            layers: (0..count("block_count")?).map(layer).collect::<Result<_>>()?,
            norm: matrix::read(tensors, "output_norm.weight", &[width])?,
            output: own_output.then(|| Matrix::read(tensors, "output.weight", [vocabulary, width])).transpose()?,
        })
    }

    /// Its feed-forward layers as the file has them.
    pub fn feed_forward_weights(&self, file: &Gguf) -> Result<Vec<FeedForwardWeights>> {
        Ok((0..self.layers.len()).map(|i| FeedForwardWeights::from_tensors(file.tensors(), i)).collect::<std::result::Result<_, _>>()?)
    }

    /// Hidden states of tokens that follow those in `cache`, ready for [`Llama::logits`].
    pub fn forward(&self, feed_forwards: &mut FeedForwards, cache: &mut Cache, tokens: &[u32]) -> Result<Vec<f32>> {
        let mut x = Vec::with_capacity(tokens.len() * self.width);
        for &token in tokens {
            let Some(row) = self.embedding.row(token as usize) else {
                return fail(format!("token {token} of {}", self.embedding.rows()));
            };
            x.extend_from_slice(row);
        }
        cache.layers.resize_with(self.layers.len(), Default::default);
        for (i, (layer, cached)) in self.layers.iter().zip(&mut cache.layers).enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, self.epsilon);
            add(&mut x, &self.attention(layer, cached, cache.tokens, &normed));
            let normed = rms_norm(&x, &layer.feed_forward_norm, self.epsilon);
            add(&mut x, &feed_forwards.run(i, &normed)?);
        }
        cache.tokens += tokens.len();
        Ok(rms_norm(&x, &self.norm, self.epsilon))
    }

    fn attention(&self, layer: &Layer, (keys, values): &mut (Vec<f32>, Vec<f32>), past: usize, x: &[f32]) -> Vec<f32> {
        let (query_width, key_width) = (self.heads.query_width(), self.heads.key_width());
        let mut queries = Vec::with_capacity(x.len());
        for (row, position) in layer.projections.apply(x).chunks_exact_mut(query_width + 2 * key_width).zip(past..) {
            let (turned, value) = row.split_at_mut(query_width + key_width);
            self.heads.rotate(turned, position, self.rotary);
            queries.extend_from_slice(&turned[..query_width]);
            keys.extend_from_slice(&turned[query_width..]);
            values.extend_from_slice(value);
        }
        layer.output.apply(&self.heads.attend(&queries, keys, values, Sight::Causal(past)))
    }

    /// A number for every token of the vocabulary, for each row of hidden states.
    pub fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        self.output.as_ref().unwrap_or(&self.embedding).apply(hidden)
    }

    /// Features of a hidden state.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Tokens that it knows.
    pub fn vocabulary(&self) -> usize {
        self.embedding.rows()
    }
}
