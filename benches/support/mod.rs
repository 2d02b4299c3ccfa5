//! What the benches share: the adapter, the workloads by name, and the rule that nothing wrong is timed.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use ffwd::bench::{Group, Workload, workloads};
use ffwd::gpu::{Selection, describe};
use ffwd::{Error, Gpu};

/// Measures the workloads of `ffwd bench` whose names are given: submission to completion, of a plan made before.
pub fn measure(names: &[&str]) -> Result<(), Error> {
    let choice = Selection::default().choose()?;
    println!("{}: {}", describe(&choice.adapter), choice.reason);
    let gpu = Gpu::from_choice(&choice)?;
    let all = workloads(false)?;
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for name in names {
        let failed = |reason: String| Error::Gpu { what: (*name).to_owned(), reason };
        let workload = all.iter().find(|workload| workload.name == *name).ok_or_else(|| failed("no workload has this name".into()))?;
        let prepared = workload.prepare(&gpu)?;
        let error = pollster::block_on(prepared.check(&gpu))?;
        if error > 1.0 {
            return Err(failed(format!("wrong: its error is {error:.3e} of what is allowed")));
        }
        let mut group = criterion.benchmark_group(workload.group.name());
        group.throughput(throughput(workload));
        group.bench_function(&workload.name, |bencher| {
            bencher.iter(|| {
                prepared.plan().submit(&gpu);
                gpu.wait()
            });
        });
        group.finish();
        // A device that was lost has not been timed.
        gpu.wait()?;
    }
    criterion.final_summary();
    Ok(())
}

/// Bytes where memory bounds it on most adapters, else operations, which criterion calls elements.
fn throughput(workload: &Workload) -> Throughput {
    match workload.group {
        Group::Elementwise | Group::Gate | Group::Decode => Throughput::Bytes(workload.bytes() as u64),
        Group::Product | Group::Prefill | Group::Dense => Throughput::Elements(workload.flops() as u64),
    }
}
