//! Mixtures of experts against the oracle: the same choice, and weights and results within the bound of their sums.

mod support;

use ffwd::nn::{Mixture, MixtureLayer};
use ffwd::oracle::mixture;
use ffwd::quantised::{Block, Packing};
use ffwd::routing::Routing;
use ffwd::shader::matmul::Loop;
use ffwd::tuning::{Strategy, Tuning};
use ffwd::{Element, Gpu};
use support::layer::{loops, some_loops, tokens, two_loops};
use support::living::{Living, counts_bytes, open};
use support::mixture::{SIGMOID, Weights, forms, run};
use support::{devices, gpu, quantised, same_bits};

/// Experts, d_model, d_ff: ragged and in whole vectors.
const PAIR: [[usize; 3]; 2] = [[5, 17, 13], [8, 32, 24]];

fn check(cases: &[Weights], element: Element, rows: &[usize], loops: fn(&Gpu) -> Vec<Loop>) {
    let mut faults = Vec::new();
    for device in devices() {
        for (number, weights) in cases.iter().enumerate() {
            for &rows in rows {
                let x = tokens(element, rows, weights.d_model);
                let truth = mixture(&x, rows, &weights.truth());
                for looping in loops(&device.gpu) {
                    let mixture = weights.upload(&device.gpu, 0).with_loop(looping);
                    let judged = run(&device.gpu, &mixture, &x, element, 0).and_then(|run| weights.judge_run(&truth, element, &run));
                    if let Err(fault) = judged {
                        faults.push(format!("case {number}, {rows} tokens, {element}, {looping} on {}: {fault}", device.name));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_router_and_every_form() {
    for sizes in PAIR {
        check(&forms(Element::F32, sizes), Element::F32, &[1, 19], two_loops);
    }
}

#[test]
fn kinds_mix() {
    use Element::{Bf16, F16, F32};
    for (x, w) in [(F32, F16), (F32, Bf16), (Bf16, Bf16), (F16, F16), (F16, F32)] {
        for sizes in PAIR {
            let cases = [
                Weights::random(Routing::softmax(2), "swiglu", w, sizes).biased(),
                Weights::random(Routing::softmax(2).unnormalised(), "swiglu_oai", w, sizes).sharing(true),
            ];
            check(&cases, x, &[19], two_loops);
        }
    }
}

/// All tokens to one expert; to two of nine; and more experts than tokens.
#[test]
fn experts_may_have_all_tokens_or_none() {
    for sizes in [[9, 17, 13], [9, 32, 24]] {
        let mut one = Weights::random(Routing::softmax(1), "swiglu", Element::F32, sizes);
        one.router_bias = Some((0..9).map(|e| if e == 6 { 100.0 } else { 0.0 }).collect());
        let mut two = Weights::random(Routing::softmax(2), "swiglu", Element::F32, sizes);
        two.router_bias = Some((0..9).map(|e| if e % 8 == 0 { 100.0 } else { 0.0 }).collect());
        check(&[one, two], Element::F32, &[1, 64, 65], some_loops);
        let many = Weights::random(Routing::softmax(4), "swiglu", Element::F32, [130, sizes[1], sizes[2]]);
        check(&[many], Element::F32, &[1, 7], two_loops);
    }
}

/// Experts whose weights stay packed.
#[test]
fn experts_may_be_quantised() {
    for block in [Block::Q8_0, Block::Q4_1, Block::MXFP4] {
        let [experts, d_model, d_ff] = [5, 64, 32];
        let packed = |rows, cols, seed| match quantised::random(Packing::Block(block), [rows, cols], seed) {
            quantised::Matrix::Blocks { bytes, .. } => bytes,
            quantised::Matrix::Int4(_) => unreachable!("a block was asked for"),
        };
        let matrices = [(experts * d_ff, d_model, 1), (experts * d_ff, d_model, 2), (experts * d_model, d_ff, 3)];
        let matrices = matrices.map(|(rows, cols, seed)| packed(rows, cols, seed));
        let numbers = |bytes: &Vec<u8>| quantised::Matrix::Blocks { block, bytes: bytes.clone() }.numbers();
        let plain = Weights::random(Routing::softmax(2), "swiglu", Element::F32, [experts, d_model, d_ff]);
        let weights = Weights { matrices: [numbers(&matrices[0]), numbers(&matrices[1]), numbers(&matrices[2])], ..plain };
        for device in devices() {
            let weight = |k: usize, rows, cols| device.gpu.quantised_blocks(&matrices[k], &[experts, rows, cols], block).unwrap().into();
            let layer = MixtureLayer {
                w_gate: weight(0, d_ff, d_model),
                w_up: weight(1, d_ff, d_model),
                w_down: weight(2, d_model, d_ff),
                ..weights.upload(&device.gpu, 0).layer().clone()
            };
            for rows in [1, 40] {
                let x = tokens(Element::F32, rows, d_model);
                let truth = mixture(&x, rows, &weights.truth());
                for looping in some_loops(&device.gpu) {
                    let mixture = Mixture::new(&device.gpu, layer.clone()).unwrap().with_loop(looping);
                    let judged =
                        run(&device.gpu, &mixture, &x, Element::F32, 0).and_then(|run| weights.judge_run(&truth, Element::F32, &run));
                    judged.unwrap_or_else(|fault| panic!("{block:?}, {rows} tokens, {looping} on {}: {fault}", device.name));
                }
            }
        }
    }
}

/// Every strategy of gate and up, of which some keep up in memory.
#[test]
fn gate_and_up_may_be_apart() {
    for weights in PAIR.map(|sizes| Weights::random(Routing::softmax(2), "swiglu", Element::F32, sizes).biased()) {
        let x = tokens(Element::F32, 21, weights.d_model);
        let truth = mixture(&x, 21, &weights.truth());
        for looping in two_loops(gpu()) {
            let strategy = Strategy { fused: false, ..Strategy::of(looping) };
            let mixture = weights.upload(gpu(), 0).with_tuning(Tuning::Fixed(strategy));
            weights.judge_run(&truth, Element::F32, &run(gpu(), &mixture, &x, Element::F32, 0).unwrap()).unwrap();
        }
    }
}

#[test]
fn what_is_shipped_and_what_is_kept_in_halves() {
    for device in devices() {
        for weights in forms(Element::F16, PAIR[1]) {
            for rows in [1, 3, 50] {
                let x = tokens(Element::F32, rows, weights.d_model);
                let truth = mixture(&x, rows, &weights.truth());
                let mixture = weights.upload(&device.gpu, 0).with_tuning(Tuning::Shipped);
                let answer = run(&device.gpu, &mixture, &x, Element::F32, 0).unwrap();
                weights.judge_run(&truth, Element::F32, &answer).unwrap();
            }
        }
    }
}

#[test]
fn operands_may_be_views() {
    for (x, w) in [(Element::F32, Element::F32), (Element::Bf16, Element::F16)] {
        let weights = Weights::random(Routing::softmax(2).unnormalised(), "swiglu", w, [6, 12, 8]).biased().sharing(true);
        let input = tokens(x, 9, 12);
        let truth = mixture(&input, 9, &weights.truth());
        for offset in 0..6 {
            for looping in two_loops(gpu()) {
                let mixture = weights.upload(gpu(), 3 * offset % 7).with_loop(looping);
                let judged = run(gpu(), &mixture, &input, x, offset).and_then(|run| weights.judge_run(&truth, x, &run));
                judged.unwrap_or_else(|fault| panic!("{x} by {w} at {offset}: {fault}"));
            }
        }
    }
}

#[test]
fn y_may_be_x() {
    let weights = Weights::random(Routing::softmax(2), "swiglu", Element::F32, PAIR[1]).sharing(true);
    let x = tokens(Element::F32, 40, 32);
    let held = support::Guarded::holding(gpu(), &x, &[40, 32], Element::F32, 0);
    let mixture = weights.upload(gpu(), 0);
    let want = run(gpu(), &mixture, &x, Element::F32, 0).unwrap();
    mixture.bind(&held.tensor, &held.tensor).unwrap().submit(gpu());
    same_bits(&held.read(gpu(), "y"), &want.y).unwrap();
}

/// Experts cut into ranges, one expert into columns, tokens into parts: the result does not change.
#[test]
fn limits_are_no_limits() {
    let weights = Weights::random(Routing::softmax(2), "swiglu", Element::F32, [5, 80, 96]).biased().sharing(true);
    let (x, rows) = (tokens(Element::F32, 90, 80), 90);
    let truth = mixture(&x, rows, &weights.truth());
    // A weight of an expert is 30720 bytes, the rows of one token's blocks are 24576.
    for (bytes, least) in [(1 << 27, 12), (100_000, 14), (40_000, 40), (26_000, 100)] {
        let small = support::product::small(bytes, 65535);
        for looping in two_loops(&small) {
            let mixture = weights.upload(&small, 0).with_loop(looping);
            let answer = run(&small, &mixture, &x, Element::F32, 0).unwrap_or_else(|fault| panic!("{bytes} bytes: {fault}"));
            weights.judge_run(&truth, Element::F32, &answer).unwrap_or_else(|fault| panic!("{bytes} bytes: {fault}"));
            let y = small.zeros(&[rows, 80], Element::F32).unwrap();
            let bound = mixture.bind(&small.tensor(&x, &[rows, 80], Element::F32).unwrap(), &y).unwrap();
            let dispatches = bound.plan().kernels().count();
            assert!(dispatches >= least, "{bytes} bytes: {dispatches} dispatches");
        }
    }
    let narrow = support::product::small(1 << 27, 4);
    for looping in two_loops(&narrow) {
        let answer = run(&narrow, &weights.upload(&narrow, 0).with_loop(looping), &x, Element::F32, 0).unwrap();
        weights.judge_run(&truth, Element::F32, &answer).unwrap();
    }
}

/// Of equal scores the expert with the lower number wins, also where they are made of -0 or of what is not a number.
#[test]
fn ties_go_to_the_lower_number() {
    for routing in [Routing::softmax(3), SIGMOID] {
        let mut weights = Weights::random(routing, "swiglu", Element::F32, [70, 4, 3]);
        // Without a router, logits are its biases: 1 for every seventh expert, else 0 of either sign.
        weights.router.fill(0.0);
        weights.router_bias = Some((0..70).map(|e| if e % 7 == 5 { 1.0 } else { 0.0_f32.copysign((e % 3) as f32 - 1.0) }).collect());
        let top_k = routing.top_k;
        let chosen = |weights: &Weights| run(gpu(), &weights.upload(gpu(), 0), &tokens(Element::F32, 2, 4), Element::F32, 0).unwrap();
        let want = [5.0, 12.0, 19.0];
        assert_eq!(chosen(&weights).experts, [&want[..top_k], &want[..top_k]].concat());
        weights.router_bias = Some((0..70).map(|e| 0.0_f32.copysign((e % 2) as f32 - 0.5)).collect());
        let want = [0.0, 1.0, 2.0];
        assert_eq!(chosen(&weights).experts, [&want[..top_k], &want[..top_k]].concat());
    }
}

/// What is not a number stays in its token, is not lost, and writes nowhere else; the same of infinities.
#[test]
fn nan_stays_where_it_is() {
    for weights in forms(Element::F32, PAIR[1]) {
        for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = tokens(Element::F32, 9, 32);
            let mixture = weights.upload(gpu(), 0);
            let want = run(gpu(), &mixture, &x, Element::F32, 0).unwrap();
            x[4 * 32 + 7] = strange;
            let answer = run(gpu(), &mixture, &x, Element::F32, 0).unwrap();
            assert!(answer.y[4 * 32..5 * 32].iter().all(|y| strange.is_infinite() || y.is_nan()), "{:?}", answer.y);
            assert!(answer.experts.iter().all(|e| (0.0..8.0).contains(e)), "{:?}", answer.experts);
            for token in (0..9).filter(|token| *token != 4) {
                same_bits(&answer.y[token * 32..][..32], &want.y[token * 32..][..32]).unwrap();
            }
        }
        // An expert whose logit is not a number is not passed over.
        let mut weights = weights;
        weights.router[3 * 32 + 5] = f32::NAN;
        let answer = run(gpu(), &weights.upload(gpu(), 0), &tokens(Element::F32, 5, 32), Element::F32, 0).unwrap();
        assert!(answer.experts.chunks(weights.routing.top_k).all(|chosen| chosen.contains(&3.0)) && answer.y.iter().all(|y| y.is_nan()));
    }
}

/// Recording allocates nothing, and what was bound goes with the mixture.
#[test]
fn recording_allocates_nothing() {
    let gpu = open();
    let weights = Weights::random(Routing::softmax(2).unnormalised(), "swiglu", Element::F32, PAIR[1]).biased().sharing(true);
    let empty = Living::settled(&gpu);
    let x = gpu.tensor(&tokens(Element::F32, 40, 32), &[40, 32], Element::F32).unwrap();
    let y = gpu.zeros(&[40, 32], Element::F32).unwrap();
    let mixture = weights.upload(&gpu, 0);
    let loaded = Living::settled(&gpu);
    let bound = mixture.bind(&x, &y).unwrap();
    let full = Living::settled(&gpu);
    let (grown, said) = (full.since(loaded), bound.plan().scratch_bytes() + bound.plan().parameter_bytes());
    assert!(grown.buffers > 0 && (grown.bytes >= said as isize || !counts_bytes(&gpu)));
    for i in 0..30 {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        bound.record(&mut encoder);
        assert_eq!(Living::now(&gpu), full, "recorded {i} times");
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(Living::now(&gpu), full, "submitted {i} times");
    }
    assert_eq!(Living::settled(&gpu), full);
    drop((bound, mixture, x, y));
    assert_eq!(Living::settled(&gpu), empty);
}

#[test]
fn no_tokens_are_no_work() {
    let mixture = Weights::random(Routing::softmax(2), "swiglu", Element::F32, PAIR[0]).sharing(true).upload(gpu(), 0);
    let answer = run(gpu(), &mixture, &[], Element::F32, 0).unwrap();
    assert_eq!((answer.y.len(), answer.counts), (0, vec![0.0; 5]));
}

/// Tokens do not know each other, and neither run nor device changes a bit.
#[test]
fn the_same_bits_everywhere() {
    let rows = 37;
    for weights in forms(Element::F32, PAIR[1]) {
        let x = tokens(Element::F32, rows, 32);
        // Of a prime number of rows, multiples of 10 are a permutation.
        let permuted = |values: &[f32]| -> Vec<f32> { (0..rows).flat_map(|row| values[row * 10 % rows * 32..][..32].to_vec()).collect() };
        for looping in two_loops(gpu()) {
            let y = |gpu: &Gpu, x: &[f32]| run(gpu, &weights.upload(gpu, 0).with_loop(looping), x, Element::F32, 0).unwrap().y;
            let want = y(gpu(), &x);
            same_bits(&y(gpu(), &permuted(&x)), &permuted(&want)).unwrap();
            same_bits(&y(&devices()[1].gpu, &x), &want).unwrap();
        }
    }
}

#[test]
fn every_number_of_tokens_on_every_loop() {
    let cases = PAIR.map(|sizes| Weights::random(Routing::softmax(2), "swiglu", Element::F32, sizes));
    check(&cases, Element::F32, &[1, 31, 70], some_loops);
    check(&cases[1..], Element::F32, &[40], loops);
}
