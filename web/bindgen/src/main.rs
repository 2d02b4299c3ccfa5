//! Makes the JavaScript that loads a wasm program: `ffwd-web-bindgen PROGRAM.wasm FOLDER`.

use anyhow::Context as _;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let (program, folder) = args.next().zip(args.next()).context("PROGRAM.wasm and FOLDER are needed")?;
    Bindgen::new().input_path(program).web(true)?.typescript(false).out_name("ffwd").generate(folder)
}
