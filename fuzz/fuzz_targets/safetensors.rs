//! Any bytes as a safetensors file: refused, or every tensor read.
//!
//!     cargo +nightly fuzz run safetensors -- -rss_limit_mb=512 -malloc_limit_mb=64
#![no_main]

use std::io::Write as _;

use ffwd::weights::read_safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary folder");
    file.write_all(bytes).expect("room for a temporary file");
    let Ok(tensors) = read_safetensors(file.path()) else { return };
    for name in tensors.names() {
        if let Ok(tensor) = tensors.get(name) {
            assert_eq!(tensor.data.bytes.len() as u64 / tensor.element().size(), tensor.to_f32().len() as u64);
        }
    }
});
