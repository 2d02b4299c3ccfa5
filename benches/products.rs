//! Products, square and skinny.

mod support;

fn main() -> Result<(), ffwd::Error> {
    support::measure(&[
        "product/512x512x512/f32",
        "product/512x512x512/f16",
        "product/1024x1024x1024/f32",
        "product/1024x1024x1024/f16",
        "product/16x4096x4096/f32",
        "product/16x4096x4096/f16",
    ])
}
