//! SmolLM2's tokenizer out of its GGUF file, and the form of its conversations.

use ffwd::weights::Gguf;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, PreTokenizerWrapper};

use super::gguf_arrays::{self, Array};
use super::{Result, fail, metadata};

/// What the model was taught to be told where nobody says anything else.
const SYSTEM: &str = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
/// GGUF's `token_type` of tokens that text cannot spell.
const CONTROL: i32 = 3;

/// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) over bytes.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    end: u32,
}

impl Tokenizer {
    /// Builds it from the file's own vocabulary and merges.
    pub fn new(file: &Gguf) -> Result<Self> {
        let path = file.tensors().file();
        let mut arrays = gguf_arrays::read(path)?;
        let mut array = |key: &str| arrays.remove(key).ok_or_else(|| format!("{}: `{key}` is missing", path.display()));
        let (tokens, merges) = (array("tokenizer.ggml.tokens")?, array("tokenizer.ggml.merges")?);
        let (Array::Texts(tokens), Array::Texts(merges), Array::Integers(kinds)) = (tokens, merges, array("tokenizer.ggml.token_type")?)
        else {
            return fail(format!("{}: the vocabulary is of another kind than texts, texts and i32", path.display()));
        };

        let (model, split) = (metadata::text(file, "tokenizer.ggml.model")?, metadata::text(file, "tokenizer.ggml.pre")?);
        if (model, split) != ("gpt2", "smollm") {
            return fail(format!("{}: tokenizer `{model}` with texts split as `{split}`; only gpt2 and smollm are known", path.display()));
        }
        let pair = |merge: &String| merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).ok_or(format!("merge {merge:?}"));
        let merges = merges.iter().map(pair).collect::<std::result::Result<Vec<_>, _>>()?;
        let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
        let mut inner = tokenizers::Tokenizer::new(BPE::builder().vocab_and_merges(vocabulary, merges).build()?);
        let bytes = ByteLevel::new(false, true, true);
        let split: [PreTokenizerWrapper; 2] = [Digits::new(true).into(), bytes.into()];
        inner.with_pre_tokenizer(Some(Sequence::new(split.into())));
        inner.with_decoder(Some(bytes));
        let control = tokens.iter().zip(&kinds).filter(|(_, kind)| **kind == CONTROL);
        inner.add_special_tokens(control.map(|(token, _)| AddedToken::from(token.as_str(), true)))?;
        let end = u32::try_from(metadata::count(file, "tokenizer.ggml.eos_token_id")?)?;
        Ok(Self { inner, end })
    }

    /// The token that ends an answer.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Tokens of a text, and of nothing else.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// Tokens of a conversation that has one question, and the start of its answer.
    pub fn question(&self, prompt: &str) -> Result<Vec<u32>> {
        self.tokens(&format!("<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"))
    }

    /// A function from one token after the other to the text that has become whole: a letter may be several tokens.
    pub fn stream(&self) -> impl FnMut(u32) -> Result<String> {
        let mut stream = self.inner.decode_stream(true);
        move |token| Ok(stream.step(token)?.unwrap_or_default())
    }
}
