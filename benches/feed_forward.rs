//! Feed-forward layers of small models, from one token to a short prompt.

mod support;

fn main() -> Result<(), ffwd::Error> {
    support::measure(&[
        "swiglu/smollm2-135m/1/f32",
        "swiglu/smollm2-135m/1/f16",
        "swiglu/smollm2-135m/16/f32",
        "swiglu/smollm2-135m/128/f32",
        "swiglu/smollm2-135m/128/f16",
        "swiglu/qwen3-0.6b/128/f32",
        "swiglu/llama-3.2-1b/1/f32",
        "swiglu/llama-3.2-1b/1/f16",
        "swiglu/llama-3.2-1b/16/f16",
        "gelu/bert-base/512/f32",
    ])
}
