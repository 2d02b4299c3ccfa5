//! Kernels around the products of a mixture of experts: the choice, the order of rows, and what leads to rows and back.

use super::elementwise::unit_file;
use super::operand::{Lanes, Operand};
use super::{Kernel, NUMERICS};
use crate::element::Element;
use crate::routing::Scoring;

const F32: Element = Element::F32;
const PARAMS: &str = include_str!("../../shaders/mixture/params.wgsl");
const TOTAL: &str = include_str!("../../shaders/mixture/total.wgsl");

fn read(name: &'static str, element: Element) -> Operand {
    Operand::new(name, element, Lanes::One, false)
}

fn written(name: &'static str) -> Operand {
    Operand::new(name, F32, Lanes::One, true)
}

fn link(name: String, operands: &[Operand], files: &[&'static str], rendered: &str) -> Kernel {
    let files: Vec<_> = [PARAMS, NUMERICS].into_iter().chain(files.iter().copied()).collect();
    Kernel::of_operands(format!("mixture/{name}"), operands, &files, rendered)
}

fn scored(scoring: Scoring) -> (&'static str, String) {
    let name = match scoring {
        Scoring::Softmax => "softmax",
        Scoring::Sigmoid => "sigmoid",
    };
    (name, format!("const SOFTMAX = {};\n", scoring == Scoring::Softmax))
}

/// From logits to experts and weights; with a bias of this kind on the choice.
pub fn choose(scoring: Scoring, bias: Option<Element>) -> Kernel {
    let mut operands = vec![read("logits", F32), written("experts"), written("weights")];
    operands.extend(bias.map(|element| read("bias", element)));
    let (name, mut rendered) = scored(scoring);
    let key = if bias.is_some() { "score(logit, all) + load_bias(e)" } else { "logit" };
    rendered += &format!("fn key_of(logit: f32, e: u32, all: Softmax) -> f32 {{\n    return {key};\n}}\n");
    let name = format!("choose/{name}/{}", bias.map_or("unbiased", Element::name));
    let files = [include_str!("../../shaders/mixture/choose.wgsl"), include_str!("../../shaders/mixture/order.wgsl"), TOTAL];
    link(name, &operands, &files, &rendered)
}

/// From the gradients of weights to those of logits.
pub fn choose_grad(scoring: Scoring) -> Kernel {
    let operands = [read("logits", F32), read("experts", F32), read("weights", F32), read("dweights", F32), written("dlogits")];
    let (name, rendered) = scored(scoring);
    link(format!("choose_grad/{name}"), &operands, &[include_str!("../../shaders/mixture/choose_grad.wgsl")], &rendered)
}

const SLOTS: [&str; 2] = [include_str!("../../shaders/mixture/slots.wgsl"), include_str!("../../shaders/mixture/before.wgsl")];

/// How many tokens chose each expert.
pub fn count() -> Kernel {
    let files = [include_str!("../../shaders/mixture/count.wgsl"), SLOTS[0], SLOTS[1]];
    link("count".into(), &[read("experts", F32), written("counts")], &files, "")
}

/// Where each expert's rows are, and the grids of what computes them.
pub fn segments() -> Kernel {
    let operands = [read("counts", F32), read("dispatches", F32).counting(), written("segments").counting(), written("grids").counting()];
    link("segments".into(), &operands, &[include_str!("../../shaders/mixture/segments.wgsl"), SLOTS[1]], "")
}

/// From slots to rows and back.
pub fn place() -> Kernel {
    // One table, of which each has its part.
    let part = |name| Operand { binding: "table".into(), ..written(name).counting() };
    let operands = [read("experts", F32), part("segments"), part("members"), written("places").counting()];
    link("place".into(), &operands, &[include_str!("../../shaders/mixture/place.wgsl"), SLOTS[0], SLOTS[1]], "")
}

/// What is added up for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combine {
    /// Kind of the sum.
    pub y: Element,
    /// Elements in a unit.
    pub lanes: Lanes,
    /// Whether rows are multiplied by their weights.
    pub weighted: bool,
    /// Whether there is a shared expert, and whether it has a sigmoid.
    pub shared: Option<bool>,
}

impl Combine {
    /// The tensors in the order of their offsets.
    pub fn operands(self) -> Vec<Operand> {
        let rows = |name| Operand::new(name, F32, self.lanes, false);
        let mut operands = vec![rows("rows"), read("places", F32).counting(), Operand::new("y", self.y, self.lanes, true)];
        operands.extend(self.weighted.then(|| read("weights", F32)));
        operands.extend(self.shared.map(|_| rows("shared")));
        operands.extend((self.shared == Some(true)).then(|| read("sigmoids", F32)));
        operands
    }

    /// Links the kernel.
    pub fn kernel(self) -> Kernel {
        let weight = if self.weighted { "load_weights(slot)" } else { "1.0" };
        let shared = match (self.shared, self.lanes) {
            (None, _) => "Lanes()",
            (Some(false), _) => "load_shared(i)",
            (Some(true), Lanes::One) => "logistic(load_sigmoids(token), load_shared(i))",
            (Some(true), _) => {
                "Lanes(logistic(load_sigmoids(token), load_shared(i).x), logistic(load_sigmoids(token), load_shared(i).y), \
                 logistic(load_sigmoids(token), load_shared(i).z), logistic(load_sigmoids(token), load_shared(i).w))"
            }
        };
        let rendered = format!(
            "fn weight_of(slot: u32) -> f32 {{\n    return {weight};\n}}\n\
             fn shared_of(token: u32, i: u32) -> Lanes {{\n    return {shared};\n}}\n"
        );
        let of = match (self.weighted, self.shared) {
            (false, None) => "plain",
            (false, Some(_)) => "plain_shared",
            (true, None) => "weighted",
            (true, Some(false)) => "shared",
            (true, Some(true)) => "shared_sigmoid",
        };
        let name = format!("combine/{of}/{}x{}", self.y, self.lanes.count());
        link(name, &self.operands(), &[include_str!("../../shaders/mixture/combine.wgsl"), unit_file(self.lanes)], &rendered)
    }
}

/// The operands of [`spread`].
pub fn spread_operands(dy: Element, lanes: Lanes) -> Vec<Operand> {
    let (dy, rows) = (Operand::new("dy", dy, lanes, false), Operand::new("rows", F32, lanes, true));
    vec![dy, read("weights", F32), read("places", F32).counting(), rows]
}

/// From the gradients of tokens, in this kind, to those of rows.
pub fn spread(dy: Element, lanes: Lanes) -> Kernel {
    let files = [include_str!("../../shaders/mixture/spread.wgsl"), unit_file(lanes)];
    link(format!("spread/{dy}x{}", lanes.count()), &spread_operands(dy, lanes), &files, "")
}

/// The gradients of weights from those of tokens, in this kind.
pub fn weights_grad(dy: Element) -> Kernel {
    let operands = [read("dy", dy), read("rows", F32), read("places", F32).counting(), written("dweights")];
    link(format!("weights_grad/{dy}"), &operands, &[include_str!("../../shaders/mixture/weights_grad.wgsl"), TOTAL], "")
}

/// The gradients of a shared expert and of its sigmoid from those of tokens, in this kind.
pub fn shared_grad(dy: Element) -> Kernel {
    let operands = [read("dy", dy), read("shared", F32), read("sigmoids", F32), written("dshared"), written("dsigmoids")];
    link(format!("shared_grad/{dy}"), &operands, &[include_str!("../../shaders/mixture/shared_grad.wgsl"), TOTAL], "")
}

/// Every such kernel.
pub(super) fn all() -> Vec<Kernel> {
    let mut kernels = vec![count(), segments(), place()];
    for scoring in [Scoring::Softmax, Scoring::Sigmoid] {
        let biases = Element::ALL.map(Some).into_iter().chain([None]);
        kernels.extend(biases.map(|bias| choose(scoring, bias)).chain([choose_grad(scoring)]));
    }
    for element in Element::ALL {
        kernels.extend([weights_grad(element), shared_grad(element)]);
        for lanes in [Lanes::Four, Lanes::One] {
            kernels.push(spread(element, lanes));
            for (weighted, shared) in [(false, None), (false, Some(false)), (true, None), (true, Some(false)), (true, Some(true))] {
                kernels.push(Combine { y: element, lanes, weighted, shared }.kernel());
            }
        }
    }
    kernels
}
