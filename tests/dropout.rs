//! Dropout of activations and gates: which elements are dropped is the oracle's to say, to the bit; what is kept is within the
//! functions' own bounds.

mod support;

use ffwd::accuracy::Sample;
use ffwd::ops::{Activate, Backward, Counter, Dropout, Forward, Gated, GatedBackward, GatedForward};
use ffwd::{Activation, Element, Error, Gate, Gpu, Layout, Tensor, oracle};
use support::gate::{self, Halves};
use support::product::small;
use support::{Guarded, devices, gpu, judge, numbers, subject};

use Element::F32;

/// What decides about every element.
#[derive(Clone, Copy, Debug)]
struct Mask {
    dropout: Dropout,
    count: u32,
}

impl Mask {
    const fn new(probability: f64, seed: u64, stream: u32, count: u32) -> Self {
        Self { dropout: Dropout { probability, seed, stream }, count }
    }

    fn kept(self, element: usize) -> bool {
        let Dropout { probability, seed, stream } = self.dropout;
        oracle::kept(seed, stream, self.count, element as u64, probability)
    }

    fn counter(self, gpu: &Gpu) -> Counter {
        Counter::new(gpu, self.count).unwrap()
    }

    /// Refuses anything but 0 where an element is dropped, and what is further from `truth` than `allowed` units where it is
    /// kept.
    fn judge(self, element: Element, allowed: f64, truth: impl Fn(usize) -> f64, actual: &[f32]) -> Result<(), String> {
        let scale = 1.0 / (1.0 - self.dropout.probability);
        if let Some(e) = (0..actual.len()).find(|e| !self.kept(*e) && actual[*e] != 0.0) {
            return Err(format!("element {e} is dropped, and is {:e}", actual[e]));
        }
        let kept: Vec<_> = (0..actual.len()).filter(|e| self.kept(*e)).collect();
        let sample = |e: &usize| Sample { actual: actual[*e], truth: truth(*e) * scale, forgiven: 0.0 };
        judge(element, allowed, &kept.iter().map(sample).collect::<Vec<_>>(), |i| kept[i])
    }
}

/// A third of the elements are dropped; both halves of the seed matter.
const MASK: Mask = Mask::new(0.3, 0x1234_5678_9abc_def0, 7, 19);

/// Units that a value or a derivative may be off when it is scaled, or is of a scaled gradient: the function's own, twice
/// where the product has the smaller exponent, half a unit of its rounding, and a relative 2^-24 of the factor's own rounding.
/// 16-bit kinds have room for that.
fn scaled(element: Element, allowed: f64) -> f64 {
    if element == F32 { 2.0 * allowed + 1.5 } else { allowed }
}

fn silu() -> Activation {
    Activation::Silu
}

fn swiglu() -> Gate {
    Gate::Of(silu())
}

/// y and dx of an activation.
fn activated(gpu: &Gpu, element: Element, offset: usize, [x, dy]: [&[f32]; 2], mask: Mask) -> Result<[Vec<f32>; 2], String> {
    let shape = [x.len()];
    let [x, dy] = [x, dy].map(|values| Guarded::holding(gpu, values, &shape, element, offset));
    let [y, dx] = [0; 2].map(|_| Guarded::output(gpu, &shape, element, offset));
    let op = Activate::new(gpu, silu()).with_dropout(mask.dropout, &mask.counter(gpu));
    op.forward(Forward { x: &x.tensor, y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
    let args = Backward { x: &x.tensor, dy: &dy.tensor, dx: &dx.tensor, bias: None, parameters: None };
    op.backward(args).unwrap().submit(gpu);
    Ok([y.check(gpu)?, dx.check(gpu)?])
}

fn check_activation(gpu: &Gpu, element: Element, len: usize, offset: usize, mask: Mask) -> Result<(), String> {
    let [x, dy] = [1, 2].map(|seed| numbers(element, len, seed));
    let [y, dx] = activated(gpu, element, offset, [&x, &dy], mask)?;
    let allowed = |backward| scaled(element, subject::allowed(&silu(), element, backward));
    let value = |e: usize| subject::value(&silu(), f64::from(x[e]));
    mask.judge(element, allowed(false), value, &y).map_err(|fault| format!("y: {fault}"))?;
    let derivative = |e: usize| subject::derivative(&silu(), f64::from(x[e])) * f64::from(dy[e]);
    mask.judge(element, allowed(true), derivative, &dx).map_err(|fault| format!("dx: {fault}"))
}

fn check_gate(gpu: &Gpu, halves: &Halves, layout: Layout, offset: usize, mask: Mask) -> Result<(), String> {
    let Halves { element, rows, d, gate: ref g, up: ref u } = *halves;
    let shape = [rows, d];
    let dy = numbers(element, rows * d, 5);
    let (held, grads) = (halves.upload(gpu, layout, offset), halves.outputs(gpu, layout, offset));
    let (y, given) = (Guarded::output(gpu, &shape, element, offset), Guarded::holding(gpu, &dy, &shape, element, offset));
    let op = Gated::new(gpu, swiglu()).with_dropout(mask.dropout, &mask.counter(gpu));
    op.forward(GatedForward { input: held.input(), y: &y.tensor, bias: None, parameters: None }).unwrap().submit(gpu);
    let args = GatedBackward { input: held.input(), dy: &given.tensor, grads: grads.input(), bias: None, parameters: None };
    op.backward(args).unwrap().submit(gpu);
    let allowed = |by_gate| scaled(element, gate::allowed(&swiglu(), element, by_gate));
    let value = |e: usize| gate::value(&swiglu(), g[e], u[e]);
    mask.judge(element, allowed(false), value, &y.check(gpu)?).map_err(|fault| format!("y: {fault}"))?;
    let [dgate, dup] = grads.read(gpu)?;
    let gradient = |e: usize| gate::gradient(&swiglu(), g[e], u[e]);
    let by_gate = |e: usize| gradient(e).0 * f64::from(dy[e]);
    mask.judge(element, allowed(true), by_gate, &dgate).map_err(|fault| format!("dgate: {fault}"))?;
    let by_up = |e: usize| gradient(e).1 * f64::from(dy[e]);
    mask.judge(element, allowed(false), by_up, &dup).map_err(|fault| format!("dup: {fault}"))
}

/// Whole vectors, vectors with a ragged end, and elements one by one.
const PLACES: [(usize, usize); 3] = [(64, 0), (67, 0), (37, 1)];

#[test]
fn activations_drop_what_the_oracle_drops() {
    for device in devices() {
        for element in Element::ALL {
            for (len, offset) in PLACES {
                let checked = check_activation(&device.gpu, element, len, offset, MASK);
                checked.unwrap_or_else(|fault| panic!("{len} {element} from {offset} on, on {}: {fault}", device.name));
            }
        }
    }
}

#[test]
fn gates_drop_what_the_oracle_drops() {
    for device in devices() {
        for element in Element::ALL {
            for (len, offset) in PLACES {
                let halves = Halves::numbers(element, 1, len, 3);
                let checked = check_gate(&device.gpu, &halves, Layout::Separate, offset, MASK);
                checked.unwrap_or_else(|fault| panic!("{len} {element} from {offset} on, on {}: {fault}", device.name));
            }
        }
        for layout in [Layout::Packed, Layout::Interleaved] {
            let checked = check_gate(&device.gpu, &Halves::numbers(F32, 3, 8, 3), layout, 0, MASK);
            checked.unwrap_or_else(|fault| panic!("{layout:?} on {}: {fault}", device.name));
        }
    }
}

/// Elements are those of the whole tensor, also where it takes several dispatches.
#[test]
fn chunks_go_on_where_the_last_one_ended() {
    let gpu = small(1024, 65535);
    for offset in [0, 1] {
        check_activation(&gpu, F32, 1003, offset, MASK).unwrap_or_else(|fault| panic!("from {offset} on: {fault}"));
    }
}

/// Which of so many elements one plan keeps, as its counter goes through these counts.
fn kept(gpu: &Gpu, Mask { dropout, .. }: Mask, counts: &[u32], len: usize) -> Vec<Vec<bool>> {
    let counter = Counter::new(gpu, 5).unwrap();
    let ones = gpu.tensor(&vec![1.0; len], &[len], F32).unwrap();
    let y = gpu.zeros(&[len], F32).unwrap();
    let op = Activate::new(gpu, silu()).with_dropout(dropout, &counter);
    let plan = op.forward(Forward { x: &ones, y: &y, bias: None, parameters: None }).unwrap();
    let run = |count: &u32| {
        counter.set(gpu, *count);
        plan.submit(gpu);
        gpu.read_back(&y).unwrap().iter().map(|y| *y != 0.0).collect()
    };
    counts.iter().map(run).collect()
}

#[test]
fn masks_follow_seed_stream_and_count() {
    const LEN: usize = 256;
    // The count's bits lie in an f32: subnormal numbers, a signalling NaN and the largest of all must arrive whole.
    let counts = [19, 20, 0, 1, 0x7f80_0001, u32::MAX, 19];
    let Dropout { probability, seed, stream } = MASK.dropout;
    let others = [(seed + 1, stream), (seed ^ 1 << 40, stream), (seed, stream + 1), (seed, stream | 1 << 31)];
    for device in devices() {
        let mut seen = Vec::new();
        for (seed, stream) in [(seed, stream)].into_iter().chain(others) {
            let masks = kept(&device.gpu, Mask::new(probability, seed, stream, 0), &counts, LEN);
            for (count, mask) in counts.iter().zip(&masks) {
                let exact = Mask::new(probability, seed, stream, *count);
                assert!((0..LEN).all(|e| mask[e] == exact.kept(e)), "{exact:?} on {}", device.name);
            }
            assert_eq!(masks[0], masks[6], "the count came back, the mask did not");
            seen.extend(masks.into_iter().take(6));
        }
        for (i, mask) in seen.iter().enumerate() {
            assert!(!seen[..i].contains(mask), "mask {i} was there before, on {}", device.name);
        }
    }
}

/// On 2^18 elements, within five standard deviations of the share.
#[test]
fn the_share_is_the_probability() {
    const LEN: usize = 1 << 18;
    for probability in [0.1, 0.5, 0.9] {
        let mask = Mask::new(probability, 3, 1, 2);
        let kept = &kept(gpu(), mask, &[2], LEN)[0];
        let dropped = kept.iter().filter(|kept| !**kept).count() as f64 / LEN as f64;
        let bound = 5.0 * (probability * (1.0 - probability) / LEN as f64).sqrt();
        assert!((dropped - probability).abs() < bound, "{dropped} dropped, not {probability}");
        assert!((0..LEN).all(|e| kept[e] == mask.kept(e)), "{probability}");
    }
}

#[test]
fn nothing_is_dropped_with_probability_0() {
    for device in devices() {
        for (len, offset) in PLACES {
            let mask = Mask::new(0.0, 1, 2, 3);
            assert!((0..len).all(|e| mask.kept(e)));
            check_activation(&device.gpu, F32, len, offset, mask).unwrap_or_else(|fault| panic!("{len} on {}: {fault}", device.name));
        }
    }
}

#[test]
fn what_is_no_probability_is_refused() {
    let x = gpu().tensor(&numbers(F32, 4, 1), &[4], F32).unwrap();
    let y = gpu().zeros(&[4], F32).unwrap();
    let counter = Counter::new(gpu(), 0).unwrap();
    for probability in [1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        let dropout = Dropout { probability, ..MASK.dropout };
        let (activate, gated) =
            (Activate::new(gpu(), silu()).with_dropout(dropout, &counter), Gated::new(gpu(), swiglu()).with_dropout(dropout, &counter));
        let input = ffwd::ops::GateInput::Separate { gate: &x, up: &x };
        let grads = ffwd::ops::GateInput::Separate { gate: &y, up: &x };
        for refused in [
            activate.forward(Forward { x: &x, y: &y, bias: None, parameters: None }),
            activate.backward(Backward { x: &x, dy: &x, dx: &y, bias: None, parameters: None }),
            gated.forward(GatedForward { input, y: &y, bias: None, parameters: None }),
            gated.backward(GatedBackward { input, dy: &x, grads, bias: None, parameters: None }),
        ] {
            match refused {
                Err(Error::Parameter { parameter, value, .. }) => {
                    assert_eq!((parameter.as_str(), value.to_bits()), ("probability", probability.to_bits()));
                }
                other => panic!("{probability}: {other:?}"),
            }
        }
    }
}

/// What is dropped is 0 whatever it was; what is kept is what the function makes of it.
#[test]
fn infinities_and_nan_can_be_dropped() {
    const LEN: usize = 67;
    let strange = [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, 0.5];
    let values: Vec<f32> = strange.into_iter().cycle().take(LEN).collect();
    let ones = vec![1.0; LEN];
    for device in devices() {
        for element in Element::ALL {
            let name = format!("{element} on {}", device.name);
            let [y, _] = activated(&device.gpu, element, 0, [&values, &ones], MASK).unwrap();
            // The derivative at 1 is above 0, so that infinities keep their sign.
            let [_, dx] = activated(&device.gpu, element, 0, [&ones, &values], MASK).unwrap();
            for e in 0..LEN {
                let both = [y[e], dx[e]];
                match values[e] {
                    _ if !MASK.kept(e) => assert_eq!(both, [0.0; 2], "{name}: {e}"),
                    x if x.is_nan() => assert!(both.iter().all(|v| v.is_nan()), "{name}: {e} became {both:?}"),
                    // silu falls to -0 at -inf.
                    f32::NEG_INFINITY => assert_eq!(both, [0.0, f32::NEG_INFINITY], "{name}: {e}"),
                    x => assert_eq!(both.map(f32::is_infinite), [x.is_infinite(); 2], "{name}: {e} became {both:?}"),
                }
            }
            // All three are dropped somewhere, and kept somewhere.
            for (kind, kept) in (0..3).flat_map(|kind| [(kind, false), (kind, true)]) {
                assert!((0..LEN).any(|e| e % 4 == kind && MASK.kept(e) == kept));
            }
            let tensor = |values: &[f32]| -> Tensor { device.gpu.tensor(values, &[LEN], element).unwrap() };
            let (gate, up, product) = (tensor(&ones), tensor(&values), device.gpu.zeros(&[LEN], element).unwrap());
            let op = Gated::new(&device.gpu, swiglu()).with_dropout(MASK.dropout, &MASK.counter(&device.gpu));
            let input = ffwd::ops::GateInput::Separate { gate: &gate, up: &up };
            op.forward(GatedForward { input, y: &product, bias: None, parameters: None }).unwrap().submit(&device.gpu);
            for (e, y) in device.gpu.read_back(&product).unwrap().into_iter().enumerate() {
                let strange = !values[e].is_finite();
                assert!(if MASK.kept(e) { strange != y.is_finite() } else { y == 0.0 }, "{name}: {e} became {y}");
            }
        }
    }
}
