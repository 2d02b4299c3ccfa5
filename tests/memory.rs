//! What a bound layer allocates, counted by wgpu under everything that the crate says of itself. Counters are a device's:
//! every case opens its own.

mod support;

use ffwd::nn::{BoundFeedForward, Layer};
use ffwd::shader::matmul::Loop;
use ffwd::tuning::{Problem, Strategy, Tuning, shipped};
use ffwd::wgpu::BufferUsages;
use ffwd::{Activation, Element, FeedForward, Gate, Gpu, Tensor};
use support::living::{Living, open, taken};
use support::numbers;

/// A layer and a number of tokens.
#[derive(Clone, Copy, Debug)]
struct Case {
    gated: bool,
    biases: bool,
    weights: Element,
    hidden: Element,
    sizes: [usize; 3],
    tuning: Tuning,
}

impl Case {
    fn new(gated: bool, sizes: [usize; 3]) -> Self {
        Self { gated, biases: false, weights: Element::F32, hidden: Element::F32, sizes, tuning: Tuning::Shipped }
    }

    /// The layer, x and y.
    fn make(self, gpu: &Gpu) -> (FeedForward, Tensor, Tensor) {
        let [tokens, d_model, d_ff] = self.sizes;
        let tensor = |shape: &[usize], element| {
            let values = numbers(element, shape.iter().product(), 5);
            gpu.tensor(&values, shape, element).unwrap()
        };
        let weight = |shape: &[usize]| tensor(shape, self.weights);
        let bias = |len| self.biases.then(|| weight(&[len]));
        let (first, last) = (weight(&[d_ff, d_model]), weight(&[d_model, d_ff]));
        let layer = if self.gated {
            let (w_up, biases) = (weight(&[d_ff, d_model]), bias(d_ff).zip(bias(d_ff)));
            Layer::Gated {
                gate: Gate::parse("swiglu").unwrap(),
                w_gate: first.into(),
                w_up: w_up.into(),
                biases,
                w_down: last.into(),
                b_down: bias(d_model),
            }
        } else {
            Layer::Dense { activation: Activation::Gelu, w1: first.into(), b1: bias(d_ff), w2: last.into(), b2: bias(d_model) }
        };
        let layer = FeedForward::new(gpu, layer).with_hidden(self.hidden).with_tuning(self.tuning);
        let shape = [tokens, d_model];
        (layer, tensor(&shape, Element::F32), gpu.zeros(&shape, Element::F32).unwrap())
    }

    fn strategy(self) -> Option<Strategy> {
        if let Tuning::Fixed(strategy) = self.tuning { Some(strategy) } else { None }
    }

    /// Bytes of every tensor.
    fn tensors(self) -> Vec<u64> {
        let [tokens, d_model, d_ff] = self.sizes.map(|n| n as u64);
        let rows = [(tokens * d_model, Element::F32), (tokens * d_ff, self.hidden), (tokens * d_model, Element::F32)];
        let first = if self.gated { 2 } else { 1 };
        let weights = std::iter::repeat_n(d_ff * d_model, first + 1);
        let biases = std::iter::repeat_n(d_ff, first).chain([d_model]).filter(|_| self.biases);
        weights.chain(biases).map(|len| (len, self.weights)).chain(rows).map(|(len, element)| len * element.size()).collect()
    }

    /// Columns of every product.
    fn products(self) -> Vec<u64> {
        let [_, d_model, d_ff] = self.sizes.map(|n| n as u64);
        let unfused = self.gated && self.strategy().is_some_and(|strategy| !strategy.fused);
        if unfused { vec![d_ff, d_ff, d_model] } else { vec![d_ff, d_model] }
    }

    /// Bytes of every product's sums of slices.
    fn partials(self) -> Vec<u64> {
        let slices = self.strategy().map_or(1, |strategy| u64::from(strategy.slices));
        let rows = self.sizes[0] as u64;
        self.products().into_iter().filter(|_| slices > 1).map(|cols| slices * rows * cols * 4).collect()
    }

    /// Bytes of every product's parameters.
    fn parameters(self, gpu: &Gpu) -> Vec<u64> {
        let step = 160_u64.next_multiple_of(u64::from(gpu.limits().min_uniform_buffer_offset_alignment));
        let split = !self.partials().is_empty();
        self.products().into_iter().map(|_| if split { step + 160 } else { 160 }).collect()
    }

    fn dispatches(self) -> usize {
        self.products().len() + self.partials().len()
    }
}

/// Everything that a case allocates, from an empty device to an empty device.
fn check(case: Case) {
    let gpu = open();
    let (tensors, partials, parameters) = (case.tensors(), case.partials(), case.parameters(&gpu));
    let memory = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    // A tensor's buffer is a multiple of 16 bytes.
    let storage = tensors.iter().chain(&partials).map(|size| taken(&gpu, size.next_multiple_of(16), memory));
    let bytes = storage.chain(parameters.iter().map(|size| taken(&gpu, *size, BufferUsages::UNIFORM))).sum();
    let buffers = (tensors.len() + partials.len() + parameters.len()) as isize;
    let expected = Living { buffers, bytes, bind_groups: case.dispatches() as isize };

    let empty = Living::settled(&gpu);
    let (layer, x, y) = case.make(&gpu);
    let bound = layer.bind(&x, &y).unwrap();
    let full = Living::settled(&gpu);
    assert_eq!(full.since(empty), expected, "{case:?}");
    assert_eq!(bound.bytes(), tensors.iter().chain(&partials).sum::<u64>(), "{case:?}");
    assert_eq!(bound.plan().scratch_bytes(), partials.iter().sum::<u64>(), "{case:?}");
    assert_eq!(bound.plan().parameter_bytes(), parameters.iter().sum::<u64>(), "{case:?}");
    assert_eq!(bound.plan().kernels().count(), case.dispatches(), "{case:?}");

    record(&gpu, &bound, full);
    drop((bound, layer, x, y));
    assert_eq!(Living::settled(&gpu), empty, "{case:?}");
}

/// Records a hundred times, every way there is. Nothing is waited for in between, so that what was made would be there.
fn record(gpu: &Gpu, bound: &BoundFeedForward, full: Living) {
    for i in 0..100 {
        if i % 3 == 0 {
            bound.submit(gpu);
        } else {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            if i % 3 == 1 {
                bound.record(&mut encoder);
            } else {
                bound.record_in(&mut encoder.begin_compute_pass(&Default::default()));
            }
            assert_eq!(Living::now(gpu), full, "recorded {i} times");
            gpu.queue().submit([encoder.finish()]);
        }
        assert_eq!(Living::now(gpu), full, "submitted {i} times");
    }
    assert_eq!(Living::settled(gpu), full);
}

#[test]
fn a_layer_is_its_tensors_and_its_parameters() {
    for gated in [false, true] {
        for biases in [false, true] {
            for weights in [Element::F32, Element::F16] {
                check(Case { biases, weights, ..Case::new(gated, [4, 64, 96]) });
            }
        }
        check(Case { hidden: Element::Bf16, ..Case::new(gated, [4, 64, 96]) });
        // Buffers are padded, and the driver may round them up further.
        check(Case { biases: true, weights: Element::F16, ..Case::new(gated, [3, 31, 33]) });
    }
}

#[test]
fn a_split_depth_keeps_its_sums() {
    let split = Strategy { slices: 4, ..Strategy::of(Loop::Direct(4)) };
    let unfused = Strategy { fused: false, ..split };
    check(Case { tuning: Tuning::Fixed(split), biases: true, ..Case::new(false, [4, 64, 96]) });
    check(Case { tuning: Tuning::Fixed(unfused), biases: true, ..Case::new(true, [4, 64, 96]) });
    check(Case { tuning: Tuning::Fixed(Strategy { slices: 1, ..unfused }), ..Case::new(true, [4, 64, 96]) });
}

/// SmolLM2's layer, as it is shipped: two dispatches, but where a GPU's depth is split.
#[test]
fn two_dispatches_are_enough() {
    let gpu = open();
    let software = gpu.is_software();
    for tokens in [1, 16, 128] {
        let (layer, x, y) = Case::new(true, [tokens, 576, 1536]).make(&gpu);
        let bound = layer.bind(&x, &y).unwrap();
        let names: Vec<_> = bound.plan().kernels().collect();
        let down = shipped(&gpu.capabilities(), &Problem::new(tokens, 576, 1536));
        assert_eq!(names.len(), if down.slices > 1 { 3 } else { 2 }, "{tokens} tokens: {names:?}");
        assert!(names.len() == 2 || !software, "{tokens} tokens: {names:?}");
        let elements = 3 * 576 * 1536 + tokens * (2 * 576 + 1536);
        assert_eq!(bound.bytes(), 4 * elements as u64 + bound.plan().scratch_bytes(), "{tokens} tokens");
    }
}

/// What is used twice is counted once, and of a buffer only what is used.
#[test]
fn shared_memory_is_counted_once() {
    let gpu = open();
    let arena = gpu.zeros(&[1024], Element::F32).unwrap();
    let [x, w, y] = [(0, 2), (16, 4), (32, 2)].map(|(start, rows)| arena.view(start, &[rows, 4]).unwrap());
    let layer = Layer::Dense { activation: Activation::Relu, w1: w.clone().into(), b1: None, w2: w.into(), b2: None };
    let bound = FeedForward::new(&gpu, layer).with_tuning(Tuning::Shipped).bind(&x, &y).unwrap();
    assert_eq!(bound.bytes(), 4 * (16 + 3 * 8) + bound.plan().scratch_bytes());
}

/// What was uploaded does not lie on the host's side as well, though nobody submits: at most a last piece of each tensor.
#[test]
fn uploads_are_let_go_of() {
    let gpu = open();
    let bytes = vec![1; 8 * Gpu::PIECE + 4];
    let memory = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let (tensor, word) = (taken(&gpu, bytes.len().next_multiple_of(16) as u64, memory), taken(&gpu, 4, BufferUsages::COPY_SRC));
    let empty = Living::settled(&gpu);
    let uploaded = gpu.tensor_from_bytes(&bytes, &[bytes.len() / 4], Element::F32).unwrap();
    gpu.wait().unwrap();
    assert_eq!(Living::now(&gpu).since(empty), Living { buffers: 2, bytes: tensor + word, bind_groups: 0 });
    assert_eq!(gpu.read_bytes(&uploaded).unwrap(), bytes);
}

/// Of a layer that runs once only y stays.
#[test]
fn a_run_leaves_nothing_behind() {
    let gpu = open();
    let (layer, x, y) = Case::new(true, [4, 64, 96]).make(&gpu);
    drop(y);
    let before = Living::settled(&gpu);
    let y = layer.run(&x).unwrap();
    assert_eq!(
        Living::settled(&gpu).since(before),
        Living { buffers: 1, bytes: taken(&gpu, y.bytes(), y.buffer().usage()), bind_groups: 0 }
    );
    drop(y);
    assert_eq!(Living::settled(&gpu), before);
}
