//! The judges are judged first: each planted fault must turn them red.

mod support;

use ffwd::accuracy::Sample;
use ffwd::{Element, Gpu, wgpu};
use support::{GUARD, Guarded, gpu, judge, numbers, same_bits, sum_bound};

fn samples(actual: &[f32]) -> Vec<Sample> {
    (1..).zip(actual).map(|(truth, actual)| Sample { actual: *actual, truth: f64::from(truth), forgiven: 0.0 }).collect()
}

fn verdict(actual: &[f32]) -> Result<(), String> {
    judge(Element::F32, 4.0, &samples(actual), |i| format!("input {i}"))
}

/// `x` moved by whole units.
fn moved(x: f32, units: u32) -> f32 {
    f32::from_bits(x.to_bits() + units)
}

#[test]
fn right_numbers_are_green() {
    assert_eq!(verdict(&[1.0, 2.0, 3.0]), Ok(()));
    assert_eq!(verdict(&[1.0, moved(2.0, 4), 3.0]), Ok(()));
    assert_eq!(same_bits(&[1.0, f32::NAN, -0.0], &[1.0, f32::NAN, -0.0]), Ok(()));
}

#[test]
fn wrong_numbers_are_red_and_named() {
    for bad in [f32::NAN, f32::INFINITY, 0.0, -2.0, moved(2.0, 5)] {
        let fault = verdict(&[1.0, bad, 3.0]).unwrap_err();
        assert!(fault.contains("input 1") && fault.contains("truth 2e0") && fault.contains("1 of 3"), "{fault}");
        assert!(fault.contains(&format!("{bad:e}")), "{fault}");
    }
    // The worst of two breaches is not hidden behind a milder neighbour that is within the bound.
    assert!(verdict(&[moved(1.0, 4), f32::NAN, moved(3.0, 4)]).unwrap_err().contains("input 1"));
}

#[test]
fn truth_that_is_nan_wants_nan() {
    let nan = |actual| judge(Element::F32, 1e30, &[Sample { actual, truth: f64::NAN, forgiven: f64::INFINITY }], |i| i);
    assert!(nan(f32::NAN).is_ok());
    assert!(nan(0.0).is_err() && nan(f32::INFINITY).is_err());
}

#[test]
fn bits_differ_where_numbers_do_not() {
    for (actual, expected) in [(0.0, -0.0), (1.0, moved(1.0, 1)), (f32::NAN, -f32::NAN)] {
        assert!(same_bits(&[7.0, actual], &[7.0, expected]).unwrap_err().starts_with("#1 "));
    }
    assert!(same_bits(&[1.0], &[1.0, 1.0]).is_err());
}

#[test]
fn a_sum_may_not_lose_a_term() {
    // A hundred terms of size 1: what their roundings may add up to is far below the smallest of them.
    let bound = sum_bound(100, 8.0, 100.0);
    let verdict = |actual| judge(Element::F32, 0.0, &[Sample { actual, truth: 100.0, forgiven: bound }], |i| i);
    assert!(verdict(100.0).is_ok() && verdict(moved(100.0, 40)).is_ok());
    assert!(verdict(99.0).is_err() && verdict(100.01).is_err() && verdict(f32::NAN).is_err());
}

const LEN: usize = 13;

/// A guarded output in which everything is written; returned with its buffer's bytes.
fn written(gpu: &Gpu, element: Element, offset: usize) -> Guarded {
    let out = Guarded::output(gpu, &[LEN], element, offset);
    for i in 0..LEN {
        store(gpu, &out, element, i as i64, 1.5);
    }
    out
}

/// Stores one element at a place counted from the tensor's start, leaving the rest of its word as it is.
fn store(gpu: &Gpu, out: &Guarded, element: Element, place: i64, value: f32) {
    let size = element.size();
    let byte = (out.tensor.offset() as i64 + place) as u64 * size;
    let words = ffwd::Tensor::from_buffer(out.tensor.buffer(), byte / 4, &[1], Element::F32).unwrap();
    let mut word = gpu.read_bytes(&words).unwrap();
    let inside = (byte % 4) as usize;
    word[inside..inside + size as usize].copy_from_slice(&element.encode(&[value]));
    gpu.queue().write_buffer(out.tensor.buffer(), byte / 4 * 4, &word);
}

#[test]
fn a_whole_output_is_green() {
    for element in Element::ALL {
        for offset in [0, 1, 5] {
            assert_eq!(written(gpu(), element, offset).check(gpu()), Ok(vec![1.5; LEN]));
        }
    }
}

#[test]
fn an_element_left_out_is_red() {
    for element in Element::ALL {
        for missing in [0, 1, LEN - 1] {
            let out = Guarded::output(gpu(), &[LEN], element, 1);
            (0..LEN).filter(|i| *i != missing).for_each(|i| store(gpu(), &out, element, i as i64, 1.5));
            let fault = out.check(gpu()).unwrap_err();
            assert!(fault.contains(&format!("element {missing} of [{LEN}] was not written")), "{fault}");
        }
    }
}

#[test]
fn a_touched_guard_is_red() {
    for element in Element::ALL {
        // At offset 1 the places -1 and LEN share a word with the tensor in the 16-bit kinds.
        for offset in [0, 1] {
            for place in [-1, LEN as i64, -(GUARD as i64), (LEN + GUARD) as i64 - 1] {
                let out = written(gpu(), element, offset);
                store(gpu(), &out, element, place, 1.5);
                let fault = out.check(gpu()).unwrap_err();
                assert!(fault.contains("guard band") && fault.contains(&format!("element {place} ")), "{fault}");
            }
        }
    }
}

#[test]
fn an_operand_that_is_kept_has_guards_too() {
    let x = numbers(Element::F16, LEN, 1);
    let kept = Guarded::holding(gpu(), &x, &[LEN], Element::F16, 3);
    assert_eq!(kept.check(gpu()), Ok(x));
    store(gpu(), &kept, Element::F16, LEN as i64, 0.0);
    assert!(kept.check(gpu()).is_err());
}

/// Both devices are what they are said to be.
#[test]
fn the_least_device_has_the_least() {
    let [full, least] = support::devices();
    let defaults = wgpu::Limits::default();
    assert!(least.gpu.limits().max_storage_buffer_binding_size <= defaults.max_storage_buffer_binding_size);
    assert!(least.gpu.limits().max_compute_workgroups_per_dimension <= defaults.max_compute_workgroups_per_dimension);
    assert!(full.gpu.limits().max_buffer_size >= least.gpu.limits().max_buffer_size);
    assert_eq!(least.gpu.device().features() & wgpu::Features::TIMESTAMP_QUERY, wgpu::Features::empty());
}
