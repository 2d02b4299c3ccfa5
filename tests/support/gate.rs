//! Gates with their truth, and gate and up in every layout.

use ffwd::ops::GateInput;
use ffwd::verify::HALF_KIND_ULP;
use ffwd::{Element, Gate, Gpu, Layout, oracle};

use super::{Guarded, subject};

/// Every named gate, with other parameters, and one around a custom activation.
pub fn all() -> Vec<Gate> {
    let changed = [("swiglu_beta", "beta", 1.5), ("swiglu_oai", "limit", 2.0)];
    let changed = changed.map(|(name, parameter, value)| Gate::parse(name).unwrap().with(parameter, value).unwrap());
    Gate::all().chain(changed).chain([Gate::Of(subject::custom())]).collect()
}

/// The gate's product.
pub fn value(gate: &Gate, g: f32, u: f32) -> f64 {
    match gate {
        Gate::Of(activation) => subject::value(activation, f64::from(g)) * f64::from(u),
        _ => oracle::gate_value(gate, f64::from(g), f64::from(u)),
    }
}

/// Its derivatives by gate and by up.
pub fn gradient(gate: &Gate, g: f32, u: f32) -> (f64, f64) {
    let (g, u) = (f64::from(g), f64::from(u));
    match gate {
        Gate::Of(activation) => (subject::derivative(activation, g) * u, subject::value(activation, g)),
        // NaN in, NaN out, also of a derivative that up enters by its clamp alone.
        _ if u.is_nan() => (u, u),
        _ => oracle::gate_gradient(gate, g, u),
    }
}

/// Units in the last place that the product or a derivative may be off: a product adds half a unit to its activation.
pub fn allowed(gate: &Gate, element: Element, by_gate: bool) -> f64 {
    let most = if by_gate { 8.0 } else { 4.0 };
    match gate {
        _ if element != Element::F32 => HALF_KIND_ULP,
        Gate::Of(activation) if activation.spec().is_some() => (subject::allowed(activation, element, by_gate) + 0.5).min(most),
        Gate::Of(activation) => subject::allowed(activation, element, by_gate) + 0.5,
        _ => most,
    }
}

/// Gate and up, row-major `[rows, d]`.
pub struct Halves {
    pub element: Element,
    pub rows: usize,
    pub d: usize,
    pub gate: Vec<f32>,
    pub up: Vec<f32>,
}

/// Gate and up, or their gradients, on a device.
pub enum Held {
    Separate(Guarded, Guarded),
    Joint(Guarded, Layout),
}

impl Halves {
    /// Moderate numbers.
    pub fn numbers(element: Element, rows: usize, d: usize, seed: u64) -> Self {
        let half = |seed| super::numbers(element, rows * d, seed);
        Self { element, rows, d, gate: half(seed), up: half(seed + 1) }
    }

    /// One row after another as the layout has them.
    pub fn joined(&self, layout: Layout) -> Vec<f32> {
        let mut x = vec![0.0; 2 * self.rows * self.d];
        for row in 0..self.rows {
            for i in 0..self.d {
                let [gate, up] = places(layout, self.d, row, i);
                (x[gate], x[up]) = (self.gate[row * self.d + i], self.up[row * self.d + i]);
            }
        }
        x
    }

    /// On the device, `offset` elements off the alignment.
    pub fn upload(&self, gpu: &Gpu, layout: Layout, offset: usize) -> Held {
        let Self { element, rows, d, .. } = *self;
        let one = |values: &[f32], offset| Guarded::holding(gpu, values, &[rows, d], element, offset);
        match layout {
            Layout::Separate => Held::Separate(one(&self.gate, offset), one(&self.up, offset / 2)),
            _ => Held::Joint(Guarded::holding(gpu, &self.joined(layout), &[rows, 2 * d], element, offset), layout),
        }
    }

    /// Where gradients of the same form go.
    pub fn outputs(&self, gpu: &Gpu, layout: Layout, offset: usize) -> Held {
        let Self { element, rows, d, .. } = *self;
        match layout {
            Layout::Separate => {
                Held::Separate(Guarded::output(gpu, &[rows, d], element, offset), Guarded::output(gpu, &[rows, d], element, offset / 2))
            }
            _ => Held::Joint(Guarded::output(gpu, &[rows, 2 * d], element, offset), layout),
        }
    }
}

impl Held {
    /// As an operand.
    pub fn input(&self) -> GateInput<'_> {
        match self {
            Self::Separate(gate, up) => GateInput::Separate { gate: &gate.tensor, up: &up.tensor },
            Self::Joint(x, layout) => GateInput::Joint { x: &x.tensor, layout: *layout },
        }
    }

    /// Both halves, row-major; or what is wrong with guards and gaps.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(&self, gpu: &Gpu) -> Result<[Vec<f32>; 2], String> {
        pollster::block_on(self.read_async(gpu))
    }

    /// The same where a thread must not block.
    pub async fn read_async(&self, gpu: &Gpu) -> Result<[Vec<f32>; 2], String> {
        match self {
            Self::Separate(gate, up) => Ok([gate.check_async(gpu).await?, up.check_async(gpu).await?]),
            Self::Joint(x, layout) => {
                let (values, (rows, cols)) = (x.check_async(gpu).await?, x.tensor.rows_cols());
                let d = cols / 2;
                let places = || (0..rows * d).map(|e| places(*layout, d, e / d, e % d));
                Ok([places().map(|[gate, _]| values[gate]).collect(), places().map(|[_, up]| values[up]).collect()])
            }
        }
    }
}

/// Where gate and up of one element lie.
fn places(layout: Layout, d: usize, row: usize, i: usize) -> [usize; 2] {
    let start = 2 * d * row;
    match layout {
        Layout::Swapped => [start + d + i, start + i],
        Layout::Interleaved => [start + 2 * i, start + 2 * i + 1],
        _ => [start + i, start + d + i],
    }
}
