//! Biases and learned parameters of activations: applied, and their gradients.

mod support;

use ffwd::accuracy::{Random, Sample};
use ffwd::ops::{Activate, Backward, Forward};
use ffwd::{Activation, Element, Gpu, Tensor, oracle};
use support::{Guarded, devices, judge, numbers, same_bits, subject, sum_bound};

/// Units that a term of a sum may be off: the contract of derivatives.
const TERM_ULP: f64 = 8.0;

/// A call with everything that it may have.
struct Case {
    activation: Activation,
    element: Element,
    shape: Vec<usize>,
    /// Channels of the table of learned parameters; 0 without one.
    table: usize,
    bias: bool,
}

struct Data {
    x: Vec<f32>,
    dy: Vec<f32>,
    bias: Vec<f32>,
    table: Vec<f32>,
}

impl Case {
    fn new(name: &str, shape: &[usize], table: usize, bias: bool) -> Self {
        Self { activation: Activation::parse(name).unwrap(), element: Element::F32, shape: shape.to_vec(), table, bias }
    }

    fn name(&self) -> String {
        let Self { activation, element, shape, table, bias } = self;
        format!("{activation} {element} {shape:?}, table of {table}, bias {bias}")
    }

    fn data(&self) -> Data {
        let len = self.shape.iter().product();
        let mut random = Random::new(9);
        // [parameter][channel], each around its default.
        let defaults = self.activation.values();
        let table = defaults[..self.activation.learnable_len()].iter().flat_map(|v| std::iter::repeat_n(*v, self.table));
        Data {
            x: numbers(self.element, len, 1),
            dy: numbers(self.element, len, 2),
            bias: numbers(self.element, self.shape[self.shape.len() - 1], 3),
            table: table.map(|v| v as f32 + 0.125 * random.factor()).collect(),
        }
    }

    /// PyTorch's convention: the last dimension of up to two (seen as rows of the table's length), else dimension 1.
    fn channel(&self, e: usize) -> usize {
        match *self.shape.as_slice() {
            [_] | [_, _] => e % self.table.max(1),
            [_, channels, ref rest @ ..] => e / rest.iter().product::<usize>() % channels % self.table.max(1),
            [] => 0,
        }
    }

    /// The activation that element `e` meets.
    fn at(&self, data: &Data, e: usize) -> Activation {
        let mut activation = self.activation.clone();
        for (k, (name, _)) in self.activation.parameters().iter().enumerate().take(data.table.len() / self.table.max(1)) {
            activation = activation.with(name, f64::from(data.table[k * self.table + self.channel(e)])).unwrap();
        }
        activation
    }

    /// What the activation is applied to: x + bias, rounded to f32.
    fn input(&self, data: &Data, e: usize) -> f32 {
        data.x[e] + if self.bias { data.bias[e % data.bias.len()] } else { 0.0 }
    }

    /// Forward and backward by the contract, gradients by the bound of sums; twice, to the bit.
    fn check(&self, gpu: &Gpu) -> Result<(), String> {
        let (data, element) = (self.data(), self.element);
        let tensor = |values: &[f32], shape: &[usize], element| gpu.tensor(values, shape, element).unwrap();
        let (x, dy) = (tensor(&data.x, &self.shape, element), tensor(&data.dy, &self.shape, element));
        let bias = self.bias.then(|| tensor(&data.bias, &[data.bias.len()], element));
        let parameters = (self.table > 0).then(|| tensor(&data.table, &[data.table.len() / self.table, self.table], Element::F32));
        let (bias, parameters) = (bias.as_ref(), parameters.as_ref());
        let op = Activate::new(gpu, self.activation.clone());

        let out = Guarded::output(gpu, &self.shape, element, 0);
        op.forward(Forward { x: &x, y: &out.tensor, bias, parameters }).unwrap().submit(gpu);
        let y = out.check(gpu)?;
        let judged = |e| subject::judged_value(&self.at(&data, e), element, self.input(&data, e), y[e]);
        let samples: Vec<_> = (0..y.len()).map(judged).collect();
        judge(element, subject::allowed(&self.activation, element, false), &samples, |e| self.input(&data, e))?;

        let out = Guarded::output(gpu, &self.shape, element, 0);
        let args = Backward { x: &x, dy: &dy, dx: &out.tensor, bias, parameters };
        op.backward(args).unwrap().submit(gpu);
        let dx = out.check(gpu)?;
        let judged = |e| subject::judged_derivative(&self.at(&data, e), element, self.input(&data, e), data.dy[e], dx[e]);
        let samples: Vec<_> = (0..dx.len()).map(judged).collect();
        judge(element, subject::allowed(&self.activation, element, true), &samples, |e| (self.input(&data, e), data.dy[e]))?;

        if let Some(table) = parameters {
            let plan = |out: &Tensor| op.parameter_gradient(args, out).unwrap();
            let term = |e: usize| {
                let gradient = oracle::parameter_gradient(&self.at(&data, e), f64::from(self.input(&data, e)));
                let places = (0..).map(|k| k * self.table + self.channel(e));
                places.zip(gradient.into_iter().map(|g| (g * f64::from(data.dy[e]), (g * f64::from(data.dy[e])).abs()))).collect()
            };
            self.check_sums(gpu, table.shape(), plan, term).map_err(|fault| format!("parameters: {fault}"))?;
        }
        if let Some(bias) = bias {
            let plan = |out: &Tensor| op.bias_gradient(args, out).unwrap();
            let term = |e: usize| {
                let (activation, x) = (self.at(&data, e), f64::from(self.input(&data, e)));
                let terms = oracle::derivative_terms(&activation, x) * f64::from(data.dy[e].abs());
                vec![(e % data.bias.len(), (oracle::derivative(&activation, x) * f64::from(data.dy[e]), terms))]
            };
            self.check_sums(gpu, bias.shape(), plan, term).map_err(|fault| format!("bias: {fault}"))?;
        }
        Ok(())
    }

    /// Sums of `term(e)`: (place, (value, absolute value)) of every element.
    fn check_sums(
        &self,
        gpu: &Gpu,
        shape: &[usize],
        plan: impl Fn(&Tensor) -> ffwd::Plan,
        term: impl Fn(usize) -> Vec<(usize, (f64, f64))>,
    ) -> Result<(), String> {
        let runs = [1, 6].map(|offset| Guarded::output(gpu, shape, Element::F32, offset));
        runs.iter().for_each(|out| plan(&out.tensor).submit(gpu));
        let [sums, again] = [runs[0].check(gpu)?, runs[1].check(gpu)?];
        same_bits(&again, &sums).map_err(|fault| format!("from run to run: {fault}"))?;
        let mut exact = vec![(0.0, 0.0, 0); sums.len()];
        for (place, (value, terms)) in (0..self.shape.iter().product()).flat_map(term) {
            let (sum, sum_terms, count) = &mut exact[place];
            (*sum, *sum_terms, *count) = (*sum + value, *sum_terms + terms, *count + 1);
        }
        let samples: Vec<_> = sums
            .iter()
            .zip(&exact)
            .map(|(sum, (truth, terms, count))| Sample { actual: *sum, truth: *truth, forgiven: sum_bound(*count, TERM_ULP, *terms) })
            .collect();
        judge(Element::F32, 0.0, &samples, |i| format!("{} terms", exact[i].2))
    }
}

fn check(cases: &[Case]) {
    let mut faults = Vec::new();
    for device in devices() {
        for case in cases {
            if let Err(fault) = case.check(&device.gpu) {
                faults.push(format!("{} on {}: {fault}", case.name(), device.name));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

const LEARNING: [&str; 5] = ["prelu", "elu", "swish", "xielu", "rational"];

#[test]
fn channels_have_their_own_parameters() {
    let shapes: [&[usize]; 4] = [&[30], &[7, 5], &[2, 5, 3], &[2, 5, 3, 2]];
    check(&shapes.map(|shape| LEARNING.map(|name| Case::new(name, shape, 5, false))).into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn channels_may_share_parameters() {
    check(&LEARNING.map(|name| Case::new(name, &[2, 5, 3, 2], 1, false)));
}

#[test]
fn kinds_do_not_matter() {
    let kinds = [Element::F16, Element::Bf16];
    check(&kinds.map(|element| Case { element, ..Case::new("swish", &[3, 7], 7, true) }));
    check(&kinds.map(|element| Case { element, ..Case::new("gelu", &[5, 4], 0, true) }));
}

#[test]
fn biases_belong_to_the_last_dimension() {
    let shapes: [&[usize]; 4] = [&[9], &[7, 5], &[4, 8], &[2, 3, 2, 4]];
    check(&shapes.map(|shape| ["gelu", "tanh"].map(|name| Case::new(name, shape, 0, true))).into_iter().flatten().collect::<Vec<_>>());
    check(&[Case::new("prelu", &[2, 5, 3, 2], 5, true), Case::new("swish", &[6, 4], 1, true)]);
}

#[test]
fn sums_may_be_long_or_many() {
    check(&[
        Case::new("swish", &[100_003], 1, false),
        Case::new("prelu", &[3, 20_000], 20_000, true),
        Case::new("gelu", &[5000, 3], 0, true),
        Case::new("elu", &[0, 4], 4, true),
    ]);
}

/// A sum with a NaN in it is NaN, whichever side of a kink its bits fall on.
#[test]
fn nan_reaches_every_gradient() {
    let gpu = support::gpu();
    for name in LEARNING {
        let activation = Activation::parse(name).unwrap();
        for (x, dy) in [(f32::NAN, 1.0), (-f32::NAN, 1.0), (1.5, f32::NAN), (-1.5, f32::NAN)] {
            let tensor = |v: &[f32], shape: &[usize]| gpu.tensor(v, shape, Element::F32).unwrap();
            let table: Vec<f32> = activation.values()[..activation.learnable_len()].iter().map(|v| *v as f32).collect();
            let (x_in, dy_in, table, bias) =
                (tensor(&[0.5, x], &[2, 1]), tensor(&[2.0, dy], &[2, 1]), tensor(&table, &[table.len(), 1]), tensor(&[1.0], &[1]));
            let (dtable, dbias) = (gpu.zeros(table.shape(), Element::F32).unwrap(), gpu.zeros(&[1], Element::F32).unwrap());
            let args = Backward { x: &x_in, dy: &dy_in, dx: &x_in, bias: Some(&bias), parameters: Some(&table) };
            let op = Activate::new(gpu, activation.clone());
            op.parameter_gradient(args, &dtable).unwrap().then(op.bias_gradient(args, &dbias).unwrap()).submit(gpu);
            for (what, gradient) in [("parameters", &dtable), ("bias", &dbias)] {
                let gradient = gpu.read_back(gradient).unwrap();
                assert!(gradient.iter().all(|g| g.is_nan()), "{name} at {x}, dy {dy}: {what} {gradient:?}");
            }
        }
    }
}
