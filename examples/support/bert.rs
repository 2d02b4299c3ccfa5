//! A BERT (Devlin et al. 2018, arXiv:1810.04805) from a Hugging Face directory, whose hidden states become sentence embeddings
//! (Reimers and Gurevych 2019, arXiv:1908.10084): all of it but the feed-forward layers.

use std::path::Path;

use ffwd::weights::{FeedForwardWeights, Tensors, load_feed_forward, read_safetensors};
use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use super::attention::{Heads, Sight};
use super::feed_forward::FeedForwards;
use super::matrix::{self, Matrix, add};
use super::norm::{LayerNorm, normalise};
use super::{Result, fail};

/// Tokens of a sentence beyond this are not looked at: sentence_bert_config.json has it so.
const LONGEST: usize = 256;

/// The model on the CPU.
#[derive(Debug)]
pub struct Bert {
    tokenizer: Tokenizer,
    width: usize,
    heads: Heads,
    words: Matrix,
    positions: Matrix,
    /// The type of a first sentence; there is no second one here.
    first: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Each a weight and a bias.
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    feed_forward_norm: LayerNorm,
}

#[derive(Debug)]
struct Linear(Matrix, Vec<f32>);

impl Linear {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        self.0.apply_with(&self.1, x)
    }
}

impl Bert {
    /// Reads a directory with `config.json`, `tokenizer.json` and `model.safetensors`.
    pub fn new(folder: &Path) -> Result<Self> {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("config.json"))?)?;
        let count = |key: &str| -> Result<usize> {
            let count = config[key].as_u64().ok_or_else(|| format!("{}: config.json has no count `{key}`", folder.display()))?;
            Ok(usize::try_from(count)?)
        };
        let (width, queries) = (count("hidden_size")?, count("num_attention_heads")?.max(1));
        let epsilon = config["layer_norm_eps"].as_f64().ok_or("config.json has no `layer_norm_eps`")? as f32;
        let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json"))?;
        tokenizer.with_truncation(Some(TruncationParams { max_length: LONGEST, ..TruncationParams::default() }))?;
        tokenizer.with_padding(None);

        let tensors = read_safetensors(folder.join("model.safetensors"))?;
        let matrix = |name: &str, rows| Matrix::read(&tensors, name, [rows, width]);
        let linear = |name: String| -> Result<Linear> {
            Ok(Linear(matrix(&format!("{name}.weight"), width)?, matrix::read(&tensors, &format!("{name}.bias"), &[width])?))
        };
        let norm = |name: &str| layer_norm(&tensors, name, width, epsilon);
        let layer = |i: usize| -> Result<Layer> {
            let name = |part: &str| format!("encoder.layer.{i}.{part}");
            Ok(Layer {
                query: linear(name("attention.self.query"))?,
                key: linear(name("attention.self.key"))?,
                value: linear(name("attention.self.value"))?,
                output: linear(name("attention.output.dense"))?,
                attention_norm: norm(&name("attention.output.LayerNorm"))?,
                feed_forward_norm: norm(&name("output.LayerNorm"))?,
            })
        };
        let types = matrix("embeddings.token_type_embeddings.weight", count("type_vocab_size")?)?;
        Ok(Self {
            tokenizer,
            width,
            heads: Heads { queries, keys: queries, width: width / queries },
            words: matrix("embeddings.word_embeddings.weight", count("vocab_size")?)?,
            positions: matrix("embeddings.position_embeddings.weight", count("max_position_embeddings")?)?,
            first: types.row(0).unwrap_or_default().to_vec(),
            norm: norm("embeddings.LayerNorm")?,
            layers: (0..count("num_hidden_layers")?).map(layer).collect::<Result<_>>()?,
        })
    }

    /// Its feed-forward layers.
    pub fn feed_forward_weights(&self, folder: &Path) -> Result<Vec<FeedForwardWeights>> {
        Ok((0..self.layers.len()).map(|layer| load_feed_forward(folder, layer)).collect::<std::result::Result<_, _>>()?)
    }

    /// Embeddings of length 1. Sentences share every product; only in the attention each is by itself.
    pub fn embed(&self, feed_forwards: &mut FeedForwards, sentences: &[String]) -> Result<Vec<Vec<f32>>> {
        let mut x = Vec::new();
        let mut lengths = Vec::new();
        for sentence in sentences {
            let encoding = self.tokenizer.encode_fast(sentence.as_str(), true)?;
            for (position, &token) in encoding.get_ids().iter().enumerate() {
                let (Some(word), Some(place)) = (self.words.row(token as usize), self.positions.row(position)) else {
                    return fail(format!(
                        "token {token} at position {position} is beyond {} and {}",
                        self.words.rows(),
                        self.positions.rows()
                    ));
                };
                x.extend(word.iter().zip(place).zip(&self.first).map(|((word, place), first)| word + place + first));
            }
            lengths.push(encoding.len());
        }
        let mut x = self.norm.apply(&x);
        for (i, layer) in self.layers.iter().enumerate() {
            let mixed = self.attention(layer, &lengths, &x);
            add(&mut x, &mixed);
            x = layer.attention_norm.apply(&x);
            let y = feed_forwards.run(i, &x)?;
            add(&mut x, &y);
            x = layer.feed_forward_norm.apply(&x);
        }
        Ok(self.sentences(&x, &lengths).map(|rows| pooled(rows, self.width)).collect())
    }

    fn attention(&self, layer: &Layer, lengths: &[usize], x: &[f32]) -> Vec<f32> {
        let [q, k, v] = [&layer.query, &layer.key, &layer.value].map(|linear| linear.apply(x));
        let each = self.sentences(&q, lengths).zip(self.sentences(&k, lengths)).zip(self.sentences(&v, lengths));
        let mixed: Vec<f32> = each.flat_map(|((q, k), v)| self.heads.attend(q, k, v, Sight::All)).collect();
        layer.output.apply(&mixed)
    }

    /// The rows of each sentence.
    fn sentences<'a>(&self, rows: &'a [f32], lengths: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
        let width = self.width;
        lengths.iter().scan(rows, move |rest, length| {
            let (sentence, others) = rest.split_at_checked(length * width)?;
            *rest = others;
            Some(sentence)
        })
    }
}

/// The mean of the rows, with length 1.
fn pooled(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| add(&mut sum, row));
    normalise(&mut sum);
    sum
}

fn layer_norm(tensors: &Tensors, name: &str, width: usize, epsilon: f32) -> Result<LayerNorm> {
    let part = |part: &str| matrix::read(tensors, &format!("{name}.{part}"), &[width]);
    Ok(LayerNorm { weight: part("weight")?, bias: part("bias")?, epsilon })
}
