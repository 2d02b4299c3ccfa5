//! Products of experts in the order of a pass, with the plans between them.

use super::Mixture;
use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gpu::{Plan, PlanBuilder, Tensor};
use crate::ops::Linear;
use crate::ops::experts::{ExpertsProduct, Grids, Groups};
use crate::ops::mixture::{Choices, Order, Sizes};
use crate::ops::product::{Operand, Product};
use crate::quantised::WeightKind;
use crate::shader::matmul::{Experts, Products};
use crate::tuning::{Problem, Strategy};

/// The kinds and the form of a product of experts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub products: Products,
    pub experts: Experts,
    /// Whether weights lie with the depth as their first dimension.
    pub transposed: bool,
    /// Columns and depth; where the depth belongs to experts, columns and rows.
    pub sizes: [usize; 2],
    /// Of a, of the weights, of the output.
    pub kinds: (Element, WeightKind, Element),
}

impl Form {
    /// One product of f32 rows with f32 results.
    pub(super) const fn new(sizes: [usize; 2], b: WeightKind) -> Self {
        let (experts, kinds) = (Experts::Rows { gathered: false }, (Element::F32, b, Element::F32));
        Self { products: Products::One, experts, transposed: false, sizes, kinds }
    }

    fn problem(self, rows: usize) -> Problem {
        let Self { sizes: [cols, other], kinds: (a, b, out), .. } = self;
        let gated = self.products == Products::GateUp;
        match self.experts {
            Experts::Depth { .. } => Problem { rows: other, cols, depth: rows, gated, a, b, out, transposed: [true; 2] },
            _ => Problem { rows, cols, depth: other, gated, a, b, out, transposed: [false, self.transposed] },
        }
    }

    /// What computes it where each expert has so many rows, more or less.
    pub(super) fn strategy(self, mixture: &Mixture, rows: usize) -> Result<Strategy, Error> {
        let strategy = Linear::new(&mixture.gpu, Activation::Identity).with_tuning(mixture.tuning).strategy(&self.problem(rows))?;
        if strategy.slices > 1 && matches!(mixture.tuning, crate::tuning::Tuning::Fixed(_)) {
            return Err(Error::Unsupported { function: strategy.to_string(), what: "split depth of experts" });
        }
        Ok(Strategy { slices: 1, ..strategy })
    }
}

/// How a call is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Rows of experts start at multiples of this.
    pub block: usize,
    /// Tokens at a time.
    pub tokens: usize,
    /// Rows of so many tokens.
    pub rows: usize,
}

impl Cut {
    /// For products of rows in these forms; nothing then exceeds a window, a grid, or the time that a dispatch may take.
    pub(super) fn new(mixture: &Mixture, tokens: usize, strategies: &[Strategy]) -> Self {
        let limits = mixture.gpu.limits();
        let side = limits.max_compute_workgroups_per_dimension as usize;
        let tiles = strategies.iter().map(|strategy| strategy.looping.side(strategy.fused).map(|n| n as usize));
        let sides: Vec<_> = tiles.chain(strategies.iter().map(|strategy| strategy.looping.side(false).map(|n| n as usize))).collect();
        let block = sides.iter().map(|[rows, _]| *rows).max().unwrap_or(1);
        let (least, widest) =
            (sides.iter().map(|[rows, _]| *rows).min().unwrap_or(1), sides.iter().map(|[_, cols]| *cols).max().unwrap_or(1));
        let [experts, d_model, d_ff] = mixture.layer.sizes();
        let window = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / Element::F32.size() - 64;
        let window = usize::try_from(window.min(Tensor::MOST_ELEMENTS)).unwrap_or(usize::MAX);
        let macs = usize::try_from(crate::ops::product::most_macs(&mixture.gpu) / 2).unwrap_or(usize::MAX);
        let rows = |tokens: usize| Sizes { tokens, experts, top_k: mixture.layer.routing.top_k }.rows(block);
        let fits = |tokens: usize| {
            let rows = rows(tokens);
            let within = |factor: usize, most: usize| rows.checked_mul(factor).is_some_and(|n| n <= most);
            // Kernels around the products have a workgroup for 64 units of a slot's row.
            let slots = tokens * mixture.layer.routing.top_k * d_model.div_ceil(64).max(1);
            // Counts are f32.
            within(d_model.max(d_ff), window)
                && tokens * experts <= window
                && rows / least <= side
                && rows < 1 << 24
                && slots <= side.saturating_mul(side)
                && within(widest * d_model.max(d_ff), macs)
        };
        // At least one token: what does not fit then is refused where it is bound.
        let (mut low, mut high) = (1, tokens.max(1));
        while low < high {
            let middle = (low + high).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        let tokens = low.min(tokens);
        Self { block, tokens, rows: rows(tokens) }
    }

    /// Parts of so many tokens: first and number; one, if there are none.
    pub(super) fn parts(self, tokens: usize) -> Vec<(usize, usize)> {
        if tokens == 0 {
            return vec![(0, 0)];
        }
        (0..tokens).step_by(self.tokens.max(1)).map(|first| (first, self.tokens.min(tokens - first))).collect()
    }
}

enum Item<'a> {
    Plan(Plan),
    Product(ExpertsProduct<'a>),
}

/// What is computed from the rows of one part.
pub(super) struct Pass<'a> {
    mixture: &'a Mixture,
    groups: &'a Groups,
    items: Vec<Item<'a>>,
}

impl<'a> Pass<'a> {
    pub(super) const fn new(mixture: &'a Mixture, groups: &'a Groups) -> Self {
        Self { mixture, groups, items: Vec::new() }
    }

    pub(super) fn plan(&mut self, plan: Plan) {
        self.items.push(Item::Plan(plan));
    }

    /// A product; gate and up in two, where its strategy says so and the output can hold up.
    pub(super) fn product(&mut self, form: Form, strategy: Strategy, operands: &[(&'static str, Option<&'a Tensor>)]) {
        let operands: Vec<_> = operands.iter().filter_map(|(name, tensor)| Some(Operand { name, tensor: (*tensor)? })).collect();
        let unfused = form.products == Products::GateUp && !strategy.fused;
        if !unfused {
            return self.push(form, strategy, operands);
        }
        let renamed = |o: &Operand<'a>| match o.name {
            "a" | "out" => Some(*o),
            "b_up" => Some(Operand { name: "b", ..*o }),
            "bias_up" => Some(Operand { name: "bias", ..*o }),
            _ => None,
        };
        self.push(Form { products: Products::One, ..form }, strategy, operands.iter().filter_map(renamed).collect());
        let up = operands.iter().filter(|o| o.name == "out").map(|o| Operand { name: "up", ..*o });
        let gate = operands.iter().filter(|o| !matches!(o.name, "b_up" | "bias_up")).copied().chain(up).collect();
        self.push(Form { products: Products::Gate, ..form }, strategy, gate);
    }

    fn push(&mut self, form: Form, strategy: Strategy, operands: Vec<Operand<'a>>) {
        let function = match form.products {
            Products::Gate | Products::GateUp => &self.mixture.gate,
            Products::One | Products::Summed => &self.mixture.identity,
        };
        let (gpu, problem) = (&self.mixture.gpu, form.problem(self.groups.rows));
        let product = Product { gpu, function, products: form.products, operands, problem };
        self.items.push(Item::Product(ExpertsProduct { product, groups: self.groups, experts: form.experts, looping: strategy.looping }));
    }

    /// All of it, after the rows' order.
    pub(super) fn finish(self, order: Order, choices: &Choices) -> Result<Plan, Error> {
        let gpu = &self.mixture.gpu;
        let mut grids = Grids::default();
        let reserve = |item: &Item<'_>| match item {
            Item::Plan(_) => Ok(0),
            Item::Product(product) => product.reserve(&mut grids),
        };
        let firsts = self.items.iter().map(reserve).collect::<Result<Vec<_>, _>>()?;
        let order = order.with_grids(gpu, &grids)?;
        let mut plan = PlanBuilder::new(gpu).finish()?.then(order.plan(gpu, choices)?).with_scratch(order.bytes());
        for (item, first) in self.items.into_iter().zip(firsts) {
            plan = plan.then(match item {
                Item::Plan(plan) => plan,
                Item::Product(product) => product.plan(order.grids(), first)?,
            });
        }
        Ok(plan)
    }
}
