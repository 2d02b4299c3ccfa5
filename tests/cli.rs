//! The command line as its users meet it: the built binary, files in, files out.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/errors.rs"]
mod errors;
#[path = "cli/golden.rs"]
mod golden;
#[path = "cli/json.rs"]
mod json;
#[path = "cli/model.rs"]
mod model;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/quantize.rs"]
mod quantize;
#[path = "cli/specials.rs"]
mod specials;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/train.rs"]
mod train;
#[path = "cli/tune.rs"]
mod tune;
