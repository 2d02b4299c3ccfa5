//! Ceilings and workloads: that they are checked, and what is refused. How fast they are is asserted nowhere.

mod support;

use ffwd::bench::{Bench, Group, Options, Task, Workload, chains_rate, copy_bandwidth};
use ffwd::gpu::Timer;
use ffwd::shader::ceilings::Chains;
use ffwd::shader::function::Function;
use ffwd::{Activation, Element, Gate};
use pollster::block_on;
use support::{devices, gpu};

/// Every shape computes the sums that its formula says, or this is an error.
#[test]
fn ceilings_are_measured_on_right_results() {
    let mut timer = Timer::new(gpu()).unwrap();
    for chains in Chains::ALL {
        assert!(block_on(chains_rate(&mut timer, chains)).unwrap() > 0.0, "{chains:?}");
    }
    assert!(block_on(copy_bandwidth(gpu(), 10_001)).unwrap().bytes_per_second > 0.0);
}

/// The formula of the sums, by the chains themselves.
#[test]
fn sums_of_chains_by_hand() {
    for chains in Chains::ALL {
        let lanes: Vec<u32> = (0..chains.lanes()).map(|lane| (0..7 * chains.steps).fold(5 + lane, |x, _| x + 1)).collect();
        assert_eq!(chains.sum(5, 7), lanes.iter().sum::<u32>());
        assert!(chains.sum(63, chains.most_turns()) < 1 << 24, "{chains:?} leaves the integers that f32 holds");
    }
}

fn small() -> Vec<Workload> {
    let (gelu, swiglu) = (Function::Activation(Activation::Gelu), Function::Gate(Gate::parse("swiglu").unwrap()));
    let tasks = [
        (Group::Elementwise, Task::Elementwise { function: gelu.clone(), elements: 5001 }),
        (Group::Gate, Task::Elementwise { function: swiglu.clone(), elements: 5001 }),
        (Group::Product, Task::Product { rows: 33, cols: 20, depth: 65 }),
        (Group::Prefill, Task::FeedForward { function: swiglu, tokens: 9, d_model: 24, d_ff: 40 }),
        (Group::Dense, Task::FeedForward { function: gelu, tokens: 5, d_model: 31, d_ff: 20 }),
    ];
    let of = |element| tasks.clone().map(|(group, task)| Workload { group, name: format!("{task:?} {element}"), element, task });
    Element::ALL.into_iter().flat_map(of).collect()
}

#[test]
fn results_are_judged() {
    for workload in small() {
        let name = &workload.name;
        let prepared = workload.prepare(gpu()).unwrap();
        let untouched = block_on(prepared.judge(gpu())).unwrap();
        assert!(untouched > 1.0, "{name}: zeros pass with {untouched}");
        let share = block_on(prepared.check(gpu())).unwrap();
        assert!(share > 0.0 && share <= 1.0, "{name}: {share}");
        // The last element is always looked at: 2 is added to it, or it becomes NaN.
        let output = prepared.output();
        let mut values = gpu().read_back(output).unwrap();
        let right = *values.last().unwrap();
        for fault in [right + 2.0, f32::NAN] {
            *values.last_mut().unwrap() = fault;
            let mut bytes = output.element().encode(&values);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            gpu().queue().write_buffer(output.buffer(), 0, &bytes);
            let share = block_on(prepared.judge(gpu())).unwrap();
            assert!(share > 1.0, "{name}: {fault} for {right} passes with {share}");
        }
    }
}

#[test]
fn what_is_too_large_or_too_slow_is_named() {
    let least = &devices()[1].gpu;
    let mut bench = block_on(Bench::start(least, Options { quick: true, max_seconds: 5.0 })).unwrap();
    let task = Task::Elementwise { function: Function::Activation(Activation::Relu), elements: 1 << 28 };
    block_on(bench.measure(&Workload { group: Group::Elementwise, name: "large".into(), element: Element::F32, task })).unwrap();
    let task = Task::Product { rows: 4096, cols: 4096, depth: 1 << 13 };
    block_on(bench.measure(&Workload { group: Group::Product, name: "slow".into(), element: Element::F32, task: task.clone() })).unwrap();
    let quick = small().remove(2);
    block_on(bench.measure(&quick)).unwrap();
    let report = bench.finish();
    assert_eq!(report.skipped[0].name, "large");
    assert!(report.skipped[0].reason.contains("1.1 GB"), "{:?}", report.skipped);
    // An adapter that is fast enough runs the other.
    let slow = report.ceilings.f32_flops < 4.0 * task.flops();
    assert_eq!(
        report.skipped.iter().any(|skipped| skipped.name == "slow" && skipped.reason.contains("allowed")),
        slow,
        "{:?}",
        report.skipped
    );
    let measured = report.workloads.iter().find(|m| m.workload == quick).unwrap();
    assert!(measured.seconds.is_sorted() && measured.seconds.len() >= 3 && measured.seconds[0] > 0.0);
    assert_eq!(measured.kernels.len(), 1);
}
