//! Any bytes as a GGUF file: refused, or every tensor read and dequantised.
//!
//!     cargo +nightly fuzz run gguf fuzz/corpus/gguf tests/data/quantised -- -rss_limit_mb=512 -malloc_limit_mb=64
#![no_main]

use ffwd::weights::Gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Gguf::from_bytes(bytes.to_vec(), "fuzzed") else { return };
    for name in file.tensors().names() {
        if let Ok(tensor) = file.tensors().get(name) {
            assert_eq!(tensor.to_f32().len(), tensor.shape.iter().product::<usize>());
        }
    }
});
