//! What training takes of a device's memory: what a trainer says of itself, beside the formulas of its documentation and beside
//! what wgpu counts under it. Counters are a device's: every case opens its own.

mod support;

use ffwd::nn::{FeedForwardBackward, FeedForwardTraining, Workspace};
use ffwd::shader::function::Function;
use ffwd::sizing::Policy;
use ffwd::train::{Memory, NetworkSpec, Optimizer, Task, Text, Trainer, TrainerOptions};
use ffwd::wgpu::{Backend, BufferUsages};
use ffwd::{Activation, Element, Gate, Gpu};
use support::layer::{Function as Applied, Weights, tokens};
use support::living::{Living, open, taken};
use support::{gpu, numbers, regression};

use Element::{Bf16, F32};

/// Bytes of a buffer for so many elements.
fn bytes(elements: usize, element: Element) -> u64 {
    (elements as u64 * element.size()).next_multiple_of(16)
}

/// Bytes that a driver adds to a buffer of whole 16 bytes at most. `None` where it does not tell: Metal and GL count buffers,
/// but not their bytes.
fn rounding(gpu: &Gpu) -> Option<isize> {
    let storage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let least = [storage, BufferUsages::UNIFORM].map(|usage| taken(gpu, 16, usage));
    matches!(gpu.info().backend, Backend::Vulkan | Backend::Dx12).then(|| least[0].max(least[1]) - 16)
}

/// From an empty device to an empty device.
fn check(spec: &NetworkSpec, task: &Task, options: &TrainerOptions, expected: Memory) {
    let gpu = open();
    let rounding = rounding(&gpu);
    let empty = Living::settled(&gpu);
    let mut trainer = Trainer::new(&gpu, spec, task, options).unwrap();
    let full = Living::settled(&gpu);
    let memory = trainer.memory();
    // What kernels keep for themselves is theirs to say; the count below sees whether it is true.
    let Memory { steering, scratch, parameters, .. } = memory;
    assert_eq!(memory, Memory { steering, scratch, parameters, ..expected });
    assert!((1024..4096).contains(&steering) && scratch > 0 && parameters > 0, "{memory:?}");
    let living = full.since(empty);
    if let Some(rounding) = rounding {
        let total = memory.total() as isize;
        assert!((total..=total + living.buffers * rounding).contains(&living.bytes), "{living:?}, {memory:?}");
    }

    // Nothing is waited for in between, so that what was made would be there; the 65th step reads the device's history.
    for step in 0..64 {
        trainer.step().unwrap();
        assert_eq!(Living::now(&gpu), full, "after step {step}");
    }
    (0..70).for_each(|_| trainer.step().unwrap());
    assert_eq!(Living::settled(&gpu), full);
    assert_eq!(trainer.records().unwrap().len(), 134);
    trainer.evaluate().unwrap();
    let checkpoint = trainer.checkpoint().unwrap();
    let get = |name: &str| Ok::<_, ffwd::Error>(checkpoint.iter().find(|(other, _)| other == name).unwrap().1.clone());
    trainer.restore(get).unwrap();
    assert_eq!(Living::settled(&gpu), full);
    assert_eq!(trainer.memory(), memory);
    drop(trainer);
    assert_eq!(Living::settled(&gpu), empty);
}

const ROWS: usize = 8;
const SIZES: [usize; 2] = [12, 20];

/// Elements of a block's tensors: matrices, then biases.
fn block(matrices: usize) -> Vec<usize> {
    let [d_model, d_ff] = SIZES;
    let biases = std::iter::repeat_n(d_ff, matrices - 1).chain([d_model]);
    std::iter::repeat_n(d_model * d_ff, matrices).chain(biases).collect()
}

fn sum(tensors: &[usize], element: Element) -> u64 {
    tensors.iter().map(|len| bytes(*len, element)).sum()
}

#[test]
fn dense_blocks_that_keep() {
    let [d_model, d_ff] = SIZES;
    let spec = NetworkSpec { biases: true, ..NetworkSpec::new(Function::Activation(Activation::Gelu), 2, d_model, d_ff) };
    let (x, target) = (tokens(F32, ROWS, d_model), numbers(F32, ROWS * d_model, 33));
    let task = regression(x, target);
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
    let learned = 2 * sum(&block(2), F32);
    let expected = Memory {
        weights: learned,
        gradients: learned,
        optimizer: learned,
        // Inputs of two blocks, the output, two gradients.
        activations: 5 * bytes(ROWS * d_model, F32),
        kept: 2 * bytes(ROWS * d_ff, F32),
        workspace: bytes(ROWS * d_ff, F32),
        // Inputs and targets, of training and of validation.
        task: 4 * bytes(ROWS * d_model, F32),
        ..Memory::default()
    };
    check(&spec, &task, &TrainerOptions { optimizer, ..TrainerOptions::default() }, expected);
}

#[test]
fn gated_blocks_that_recompute() {
    const CONTEXT: usize = 4;
    let [d_model, d_ff] = SIZES;
    let spec = NetworkSpec { biases: true, ..NetworkSpec::new(Function::Gate(Gate::parse("swiglu").unwrap()), 2, d_model, d_ff) };
    let text = "every gate is a door, and every door is ajar. ".repeat(10);
    let classes = text.chars().collect::<std::collections::BTreeSet<_>>().len();
    let train = text.len() / 10 * 9;
    let task = Task::Text(Text::new(&text, CONTEXT, ROWS, 2).unwrap());
    let options = TrainerOptions {
        optimizer: Optimizer::adamw(0.1),
        element: Bf16,
        hidden: Bf16,
        policy: Policy::Recompute,
        ..TrainerOptions::default()
    };
    let tensors: Vec<usize> = [block(3), block(3), vec![classes * d_model / CONTEXT, classes * d_model]].concat();
    let expected = Memory {
        // Masters, and what layers compute with.
        weights: sum(&tensors, F32) + sum(&tensors, Bf16),
        gradients: sum(&tensors, Bf16),
        optimizer: 2 * sum(&tensors, F32),
        activations: 5 * bytes(ROWS * d_model, Bf16),
        kept: 0,
        // Hidden, gate and up; and where a dx of 16 bits is added up.
        workspace: 3 * bytes(ROWS * d_ff, Bf16) + bytes(ROWS * d_model, F32),
        // The text in its parts, windows, one-hot rows, logits and their gradients, losses.
        task: sum(&[train, text.len() - train, ROWS * (CONTEXT + 1), ROWS * classes, ROWS], F32)
            + sum(&[ROWS * CONTEXT * classes, ROWS * classes], Bf16),
        ..Memory::default()
    };
    check(&spec, &task, &options, expected);
}

/// tokens x d_ff elements of hidden's kind, twice for a gated layer; nothing where it is computed again.
#[test]
fn a_layer_says_what_it_keeps() {
    let (rows, [d_model, d_ff]) = (3, [5, 7]);
    for (function, tensors) in [(Applied::dense("gelu"), 1), (Applied::gated("swiglu"), 2)] {
        for hidden in Element::ALL {
            let layer = Weights::random(function.clone(), F32, d_model, d_ff, false).upload(gpu(), 0).with_hidden(hidden);
            let tensor = || gpu().zeros(&[rows, d_model], F32).unwrap();
            let (x, y, dy, gradients) = (tensor(), tensor(), tensor(), layer.gradients().unwrap());
            for policy in Policy::ALL {
                let workspace = Workspace::new(&[&layer], rows, policy, F32).unwrap();
                let again = if policy == Policy::Keep { 0 } else { tensors };
                assert_eq!(workspace.bytes(), (1 + again) * bytes(rows * d_ff, hidden), "{function:?}, {hidden}, {policy:?}");
                let backward = FeedForwardBackward::new(&x, &dy, &gradients);
                let bound = layer.train(FeedForwardTraining { y: &y, backward, policy, workspace: &workspace }).unwrap();
                let kept = if policy == Policy::Keep { tensors * bytes(rows * d_ff, hidden) } else { 0 };
                assert_eq!(bound.kept_bytes(), kept, "{function:?}, {hidden}, {policy:?}");
            }
        }
    }
}

/// A single block whose input's gradient nobody needs; sizes that are no multiple of 16 bytes.
#[test]
fn one_block_and_odd_sizes() {
    for (blocks, rows, d_model, d_ff) in [(1, 8, 12, 20), (2, 3, 5, 7)] {
        let gpu = open();
        let rounding = rounding(&gpu);
        let (x, target) = (tokens(F32, rows, d_model), numbers(F32, rows * d_model, 33));
        let task = regression(x, target);
        let spec = NetworkSpec::new(Function::Activation(Activation::Gelu), blocks, d_model, d_ff);
        let empty = Living::settled(&gpu);
        let trainer = Trainer::new(&gpu, &spec, &task, &TrainerOptions::default()).unwrap();
        let living = Living::settled(&gpu).since(empty);
        if let Some(rounding) = rounding {
            let total = trainer.memory().total() as isize;
            assert!((total..=total + living.buffers * rounding).contains(&living.bytes), "{living:?}, {:?}", trainer.memory());
        }
    }
}
