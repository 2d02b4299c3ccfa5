//! Bad input gets an error that names the operand and both numbers, and leaves every operand as it was.

mod support;

use ffwd::gpu::Selection;
use ffwd::nn::{FeedForwardArgs, Layer};
use ffwd::ops::{Activate, Backward, Forward, GateInput, Gated, GatedBackward, GatedForward, Linear, LinearArgs, Weights};
use ffwd::{Activation, Custom, Element, Error, FeedForward, Gate, Gpu, Layout, Plan, Tensor, wgpu};
use support::{gpu, numbers};

use Element::{F16, F32};

/// A tensor of its own with numbers that would change.
fn some(shape: &[usize], element: Element) -> Tensor {
    gpu().tensor(&numbers(element, shape.iter().product(), 1), shape, element).unwrap()
}

fn forward(activation: Activation, x: &Tensor, y: &Tensor) -> Result<Plan, Error> {
    Activate::new(gpu(), activation).forward(Forward { x, y, bias: None, parameters: None })
}

fn with_table(activation: &str, x: &Tensor, table: &Tensor) -> Result<Plan, Error> {
    let activation = Activation::parse(activation).unwrap();
    Activate::new(gpu(), activation).forward(Forward { x, y: x, bias: None, parameters: Some(table) })
}

fn gated(gate: Gate, input: GateInput<'_>, y: &Tensor) -> Result<Plan, Error> {
    Gated::new(gpu(), gate).forward(GatedForward { input, y, bias: None, parameters: None })
}

fn raw(size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu().device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

/// One row of the table: what was tried, and what its message must hold.
#[track_caller]
fn refuses<T>(result: Result<T, Error>, variant: fn(&Error) -> bool, parts: &[&str]) {
    let Err(error) = result else { panic!("accepted, where {parts:?} was expected") };
    let message = error.to_string();
    assert!(variant(&error), "{error:?}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

macro_rules! is {
    ($variant:ident) => {
        |error: &Error| matches!(error, Error::$variant { .. })
    };
}

#[test]
fn shapes() {
    let (six, eight, table) = (some(&[2, 3], F32), some(&[8], F32), some(&[2, 4], F32));
    refuses(forward(Activation::Relu, &six, &eight), is!(Shape), &["`y`", "[2, 3]", "[8]"]);
    let backward = Backward { x: &six, dy: &eight, dx: &six, bias: None, parameters: None };
    refuses(Activate::new(gpu(), Activation::Relu).backward(backward), is!(Shape), &["`dy`", "[2, 3]", "[8]"]);
    let biased = Forward { x: &six, y: &six, bias: Some(&eight), parameters: None };
    refuses(Activate::new(gpu(), Activation::Relu).forward(biased), is!(Shape), &["`bias`", "[3]", "[8]"]);
    refuses(with_table("swish", &six, &table), is!(Shape), &["`parameters`", "[2, 4]", "3"]);
    let odd = some(&[4, 5], F32);
    refuses(gated(Gate::OAI, GateInput::Joint { x: &odd, layout: Layout::Packed }, &six), is!(Shape), &["`x`", "[4, 5]", "even"]);
    refuses(gated(Gate::OAI, GateInput::Separate { gate: &six, up: &eight }, &six), is!(Shape), &["`up`", "[2, 3]", "[8]"]);
    let joint = GateInput::Joint { x: &table, layout: Layout::Interleaved };
    refuses(gated(Gate::OAI, joint, &six), is!(Shape), &["`y`", "[2, 2]", "[2, 3]"]);
    let (y, packed) = (some(&[2, 2], F32), GateInput::Joint { x: &table, layout: Layout::Packed });
    let args = GatedBackward { input: joint, dy: &y, grads: packed, bias: None, parameters: None };
    refuses(Gated::new(gpu(), Gate::OAI).backward(args), is!(Shape), &["`dgate`", "interleaved"]);
    let weights = Weights::plain(&table);
    let linear = LinearArgs::new(&six, weights, &eight);
    refuses(Linear::new(gpu(), Activation::Relu).plan(linear), is!(Shape), &["`weight`", "[out, 3]", "[2, 4]"]);
    refuses(six.view(4, &[3]), is!(Shape), &["`view`", "4 + [3]", "[2, 3]"]);
    refuses(six.reshape(&[7]), is!(Shape), &["`reshape`", "[7]", "[2, 3]"]);
    refuses(gpu().tensor(&[1.0; 5], &[6], F32), is!(Shape), &["`data`", "5", "[6]"]);
    refuses(ffwd::activate_backward(gpu(), Activation::Relu, &[1.0; 3], &[1.0; 2]), is!(Shape), &["`dy`", "[3]", "[2]"]);
}

#[test]
fn kinds() {
    let (x, half) = (some(&[6], F32), some(&[6], F16));
    refuses(forward(Activation::Relu, &x, &half), is!(Kind), &["`y`", "f16", "f32"]);
    refuses(gated(Gate::OAI, GateInput::Separate { gate: &half, up: &x }, &half), is!(Kind), &["`up`", "f16", "f32"]);
    refuses(with_table("prelu", &x, &half), is!(Kind), &["`parameters`", "f16", "f32"]);
    let args = Backward { x: &half, dy: &half, dx: &half, bias: Some(&half), parameters: None };
    refuses(Activate::new(gpu(), Activation::Relu).bias_gradient(args, &half), is!(Kind), &["`dbias`", "f16", "f32"]);
}

#[test]
fn buffers() {
    let storage = wgpu::BufferUsages::STORAGE;
    refuses(Tensor::from_buffer(&raw(64, storage), 5, &[3, 4], F32), is!(TooSmall), &["`buffer`", "64", "68", "[3, 4]", "f32", "5"]);
    refuses(Tensor::from_buffer(&raw(64, storage), 1, &[usize::MAX, 2], F16), is!(TooSmall), &["64", "18446744073709551615"]);
    // Bindings are whole words, so the last half of one needs the other.
    refuses(Tensor::from_buffer(&raw(6, storage), 0, &[3], F16), is!(TooSmall), &["6 bytes", "8"]);
    refuses(Tensor::from_buffer(&raw(64, wgpu::BufferUsages::COPY_SRC), 0, &[3], F32), is!(Usage), &["`buffer`", "STORAGE"]);
    let unread = Tensor::from_buffer(&raw(64, storage), 0, &[3], F32).unwrap();
    refuses(gpu().read_back(&unread), is!(Usage), &["`tensor`", "COPY_SRC"]);
    let allowed = gpu().limits().max_buffer_size.to_string();
    refuses(gpu().zeros(&[1 << 62], F32), is!(Limit), &["bytes of a buffer", &allowed]);
    refuses(gpu().zeros(&[usize::MAX, 3], F16), is!(Limit), &["bytes of a buffer", &allowed]);
}

#[test]
fn overlaps() {
    let whole = some(&[64], F32);
    let view = |start, len| whole.view(start, &[len]).unwrap();
    refuses(forward(Activation::Relu, &view(0, 8), &view(4, 8)), is!(Alias), &["`x`", "`y`"]);
    let (x, dx) = (view(0, 8), view(7, 8));
    let apart = some(&[8], F32);
    let args = |x, dy, dx| Backward { x, dy, dx, bias: None, parameters: None };
    refuses(Activate::new(gpu(), Activation::Relu).backward(args(&apart, &x, &dx)), is!(Alias), &["`dy`", "`dx`"]);
    let bias = view(3, 8);
    let biased = Forward { x: &apart, y: &x, bias: Some(&bias), parameters: None };
    refuses(Activate::new(gpu(), Activation::Relu).forward(biased), is!(Alias), &["bias", "`y`"]);
    let (gate, up) = (some(&[8], F32), some(&[8], F32));
    let same = GateInput::Separate { gate: &x, up: &x };
    let gated =
        GatedBackward { input: GateInput::Separate { gate: &gate, up: &up }, dy: &apart, grads: same, bias: None, parameters: None };
    refuses(Gated::new(gpu(), Gate::OAI).backward(gated), is!(Alias), &["`dgate`", "`dup`"]);
    let sums = GatedBackward { grads: GateInput::Separate { gate: &gate, up: &up }, bias: Some((&gate, &up)), ..gated };
    refuses(Gated::new(gpu(), Gate::OAI).bias_gradient(sums, (&x, &dx)), is!(Alias), &["`dbias of gate`", "`dbias of up`"]);
    let (joint, y) = (whole.view(0, &[2, 8]).unwrap(), whole.view(8, &[2, 4]).unwrap());
    let input = GateInput::Joint { x: &joint, layout: Layout::Packed };
    let args = GatedForward { input, y: &y, bias: None, parameters: None };
    refuses(Gated::new(gpu(), Gate::OAI).forward(args), is!(Alias), &["`y`"]);
    let square = whole.view(0, &[8, 8]).unwrap();
    let weights = Weights::plain(&square);
    let (a, out) = (some(&[2, 8], F32), whole.view(0, &[2, 8]).unwrap());
    let linear = LinearArgs::new(&a, weights, &out);
    refuses(Linear::new(gpu(), Activation::Relu).plan(linear), is!(Alias), &["`b`", "`out`"]);
}

#[test]
fn parameters() {
    let x = some(&[4], F32);
    let with = |name: &str, parameter, value| forward(Activation::parse(name).unwrap().with(parameter, value).unwrap(), &x, &x);
    refuses(with("elu", "alpha", f64::NAN), is!(Parameter), &["`elu`", "`alpha`", "NaN", "not a number"]);
    refuses(with("celu", "alpha", 0.0), is!(Parameter), &["`celu`", "`alpha`", "is 0"]);
    refuses(with("softplus", "beta", 0.0), is!(Parameter), &["`softplus`", "`beta`", "is 0"]);
    refuses(with("softshrink", "lambd", -0.5), is!(Parameter), &["`softshrink`", "`lambd`", "-0.5", "negative"]);
    refuses(with("hardshrink", "lambd", -1.0), is!(Parameter), &["`hardshrink`", "`lambd`", "-1"]);
    let gate = Gate::OAI.with("limit", f64::NAN).unwrap();
    refuses(gated(gate, GateInput::Separate { gate: &x, up: &x }, &x), is!(Parameter), &["`swiglu_oai`", "NaN"]);
}

#[test]
fn what_does_not_exist() {
    let (x, table) = (some(&[4], F32), some(&[1], F32));
    refuses(with_table("relu", &x, &table), is!(Unsupported), &["`relu`", "learnable parameter"]);
    let args = Backward { x: &x, dy: &x, dx: &x, bias: None, parameters: None };
    let op = Activate::new(gpu(), Activation::parse("prelu").unwrap());
    refuses(op.parameter_gradient(args, &table), is!(Unsupported), &["`prelu`", "`parameters`"]);
    refuses(op.bias_gradient(args, &table), is!(Unsupported), &["`prelu`", "`bias`"]);
    let square = some(&[4, 4], F32);
    let both = Weights::GateUp { gate: (&square).into(), up: (&square).into(), bias: None };
    let (a, out) = (some(&[1, 4], F32), some(&[1, 4], F32));
    let linear = LinearArgs::new(&a, both, &out);
    refuses(Linear::new(gpu(), Activation::Relu).plan(linear), is!(Unsupported), &["`relu`", "gate and up"]);
    let single = LinearArgs { weights: Weights::plain(&square), ..linear };
    refuses(Linear::gated(gpu(), Gate::OAI).plan(single), is!(Unsupported), &["`swiglu_oai`", "single weight"]);
}

#[test]
fn names() {
    let parse = |name| Activation::parse(name).map_err(Error::from);
    refuses(parse("gellu"), is!(UnknownName), &["activation", "`gellu`", "gelu"]);
    refuses(Gate::parse("swigul").map_err(Error::from), is!(UnknownName), &["gate", "`swigul`", "swiglu"]);
    refuses(Activation::Relu.with("slope", 1.0).map_err(Error::from), is!(UnknownName), &["parameter", "`slope`", "none"]);
    refuses(Gate::OAI.with("limitt", 1.0).map_err(Error::from), is!(UnknownName), &["`limitt`", "limit"]);
    let none = Selection { backend: None, adapter: Some("no such adapter".into()) };
    refuses(Gpu::open(&none), is!(NoAdapter), &["`no such adapter`", "available", "scripts/with-adapter"]);
    let index = Selection { backend: None, adapter: Some("999".into()) };
    refuses(Gpu::open(&index), is!(NoAdapter), &["`999`"]);
}

#[test]
fn customs() {
    let new = |value, derivative, parameters: &[(&str, f64)]| Custom::new("mine", value, derivative, parameters).map_err(Error::from);
    refuses(new("x; return 0.0", "1.0", &[]), is!(Custom), &["`mine`", "value", "`;`"]);
    refuses(new("x", "y", &[]), is!(Custom), &["`mine`", "derivative", "y"]);
    refuses(new("x", "vec2(x)", &[]), is!(Custom), &["`mine`", "derivative"]);
    refuses(new("a b", "1.0", &[("a b", 1.0)]), is!(Custom), &["`mine`", "`a b`"]);
    let many: Vec<(&str, f64)> = "abcdfghijkl".split("").filter(|name| !name.is_empty()).map(|name| (name, 1.0)).collect();
    refuses(new("x", "1.0", &many), is!(Custom), &["11", "10"]);
}

/// Whatever is refused, nothing was written: not even the part that would have been possible.
#[test]
fn a_failing_call_changes_nothing() {
    let (x, w1, w2) = (some(&[3, 6], F32), some(&[5, 6], F32), some(&[6, 4], F32));
    let layer = Layer::Dense { activation: Activation::Relu, w1: w1.clone().into(), b1: None, w2: w2.clone().into(), b2: None };
    let (hidden, y) = (some(&[3, 5], F32), some(&[3, 6], F32));
    let tensors = [&x, &w1, &w2, &hidden, &y];
    let bytes = || tensors.map(|tensor| gpu().read_bytes(tensor).unwrap());
    let before = bytes();
    // The first product fits, the second does not.
    let plan = FeedForward::new(gpu(), layer).plan(FeedForwardArgs { x: &x, hidden: &hidden, y: &y });
    refuses(plan, is!(Shape), &["`weight`", "5", "[6, 4]"]);
    refuses(forward(Activation::Relu, &x, &y.view(1, &[3, 5]).unwrap()), is!(Shape), &["`y`"]);
    refuses(forward(Activation::SoftShrink { lambd: -1.0 }, &x, &y), is!(Parameter), &["`lambd`"]);
    gpu().wait().unwrap();
    assert_eq!(bytes(), before);
}
