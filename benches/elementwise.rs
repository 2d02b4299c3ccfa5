//! Activations and gates over 2^22 elements.

mod support;

fn main() -> Result<(), ffwd::Error> {
    support::measure(&[
        "relu/4M/f32",
        "sigmoid/4M/f32",
        "tanh/4M/f32",
        "silu/4M/f32",
        "gelu/4M/f32",
        "gelu_tanh/4M/f32",
        "mish/4M/f32",
        "relu/4M/f16",
        "silu/4M/f16",
        "relu/4M/bf16",
        "silu/4M/bf16",
        "glu/4M/f32",
        "reglu/4M/f32",
        "geglu/4M/f32",
        "swiglu/4M/f32",
        "swiglu/4M/f16",
        "swiglu/4M/bf16",
    ])
}
