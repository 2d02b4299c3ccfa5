//! Speeds, beside what the adapter can do: its ceilings are measured first, then [`workloads`], each of which is checked
//! against the oracle before it is timed. What waits for a device is `async`; `pollster::block_on` waits where a thread may.
//!
//! [`Report::to_json`] writes `ffwd-bench/1`:
//!
//! | key | value |
//! | --- | --- |
//! | `schema`, `version`, `date`, `quick` | `"ffwd-bench/1"`, the crate's version, when the run began (RFC 3339, UTC), whether it was the short list |
//! | `adapter`, `backend`, `device_type`, `driver`, `driver_info` | what wgpu says, backend and type in lower case with `_` |
//! | `software` | whether the adapter computes on the CPU |
//! | `features`, `limits` | of the device that was opened |
//! | `host` | `os`, `arch`, `threads` |
//! | `clock` | `"timestamps"` around the pass, or `"wall"`: from submission to completion |
//! | `ceilings` | see below |
//! | `workloads` | see below |
//! | `skipped` | a list of `name` and `reason`: too large, too slow, or wrong |
//!
//! `ceilings`, each from the fastest run, `null` where the adapter cannot do it:
//!
//! | key | value |
//! | --- | --- |
//! | `copy_bytes_per_second` | read and written by a kernel, beyond the caches |
//! | `f32_flops_per_second` | multiply-adds in registers, each counted as 2 |
//! | `cooperative_flops_per_second` | cooperative matrices, f16 operands and f32 accumulators |
//! | `dispatch_seconds` | one more dispatch in a pass, that depends on the one before |
//! | `upload_bytes_per_second`, `download_bytes_per_second` | between host and device, by the wall clock |
//!
//! Each of `workloads`:
//!
//! | key | value |
//! | --- | --- |
//! | `group` | `elementwise`, `gate`, `product`, `decode`, `prefill` or `dense` |
//! | `name` | unique: what, on what, in which kind |
//! | `shape` | `elements`; or `rows`, `cols`, `depth`; or `tokens`, `d_model`, `d_ff` |
//! | `element` | kind of weights, inputs and outputs; hidden is f32 |
//! | `kernels` | name of each dispatch |
//! | `flops`, `bytes` | of the mathematics: [`Task::flops`], and each operand once |
//! | `worst_error` | largest error as a share of what is allowed; at most 1 |
//! | `seconds` | `median`, `min`, `p10`, `p90`, and how many `runs` |
//! | `gflops`, `gbytes` | 10^9 a second, from the median |
//! | `share`, `bound` | the roof's time as a share of the median; whether `compute` or `memory` makes the roof. Above 1 where operands stay in a cache |

mod ceilings;
mod json;
mod noise;
mod prepared;
mod report;
mod run;
mod workloads;

#[cfg(test)]
pub(crate) use ceilings::FmaParams;
pub use ceilings::{Ceilings, Copy, chains_rate, cooperative_rate, copy_bandwidth, f32_rate};
pub use noise::Noise;
pub use prepared::Prepared;
pub use report::{Measurement, Report, Roof, Skipped};
pub use run::{Bench, Options};
pub use workloads::{Group, Task, Workload, workloads};
