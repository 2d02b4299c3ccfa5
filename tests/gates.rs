//! Gates on a device against the oracle: layouts, directions, kinds, widths.

mod support;

use ffwd::accuracy::Sample;
use ffwd::{Element, Gate};
use support::conformance::native::{hold, kinds, layouts, widths};
use support::gate::{all, value};
use support::{devices, judge, numbers, same_bits};

#[test]
fn every_gate_holds_its_contract_in_every_layout() {
    hold(&layouts());
}

#[test]
fn every_gate_holds_its_contract_in_every_kind() {
    hold(&kinds());
}

#[test]
fn every_width_is_done_whole() {
    hold(&widths());
}

/// Up enters as a factor: a power of two goes through to the bit.
#[test]
fn gates_are_linear_in_up() {
    let gpu = support::gpu();
    for gate in all().into_iter().filter(|gate| matches!(gate, Gate::Of(_))) {
        let (g, u) = (numbers(Element::F32, 1000, 4), numbers(Element::F32, 1000, 5));
        let y = ffwd::slices::gate(gpu, gate.clone(), &g, &u).unwrap();
        for factor in [0.125, -4.0] {
            let scaled: Vec<f32> = u.iter().map(|u| u * factor).collect();
            let want: Vec<f32> = y.iter().map(|y| y * factor).collect();
            let actual = ffwd::slices::gate(gpu, gate.clone(), &g, &scaled).unwrap();
            same_bits(&actual, &want).unwrap_or_else(|fault| panic!("{gate} times {factor}: {fault}"));
        }
    }
}

/// silu(-95) alone is below the smallest normal number; the product is not, and devices may flush what is.
#[test]
fn tails_survive_in_the_product() {
    for device in devices() {
        let swiglu = Gate::parse("swiglu").unwrap();
        let (g, u) = ([-95.0, -90.0, -100.0, -95.0], [100.0, 1e3, 1e6, -100.0]);
        let y = ffwd::slices::gate(&device.gpu, swiglu.clone(), &g, &u).unwrap();
        let samples: Vec<_> = (0..4).map(|i| Sample { actual: y[i], truth: value(&swiglu, g[i], u[i]), forgiven: 0.0 }).collect();
        assert!(samples.iter().all(|s| s.truth.abs() > f64::from(f32::MIN_POSITIVE)), "the case is no tail");
        judge(Element::F32, 4.0, &samples, |i| (g[i], u[i])).unwrap();
    }
}
