//! Kernels of training that walk through tensors element by element: updates of weights, gradients of losses, random
//! numbers, other kinds, windows of a text.

use super::elementwise::{self, MAP, Mapped, Places};
use super::operand::{self, Lanes, Operand};
use super::{Kernel, NUMERICS};
use crate::element::Element;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Gradient descent.
    Sgd,
    /// The same with momentum.
    Momentum,
    /// AdamW.
    AdamW,
    /// The gradient of the mean squared error.
    SquaredError,
    /// The same numbers in another kind.
    Convert,
    /// Random numbers.
    Fill,
    /// Windows of a text.
    Windows,
    /// Classes as rows with one 1.
    OneHot,
    /// Columns in another order.
    Gather,
}

/// What changes the text of such a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// What is computed.
    pub update: Update,
    /// Its operands with their kinds, in the order of their offsets.
    pub operands: Vec<(&'static str, Element)>,
    /// Numbers of its own.
    pub constants: [[f32; 4]; 5],
    /// Elements in a unit.
    pub lanes: Lanes,
    /// Where operands share memory.
    pub places: Places,
}

impl Variant {
    /// Vectors, nothing shared.
    pub fn new(update: Update, operands: &[(&'static str, Element)]) -> Self {
        Self { update, operands: operands.to_vec(), constants: [[0.0; 4]; 5], lanes: Lanes::Four, places: Places::default() }
    }

    fn name(&self) -> String {
        let kinds: Vec<_> = self.operands.iter().map(|(_, element)| element.name()).collect();
        format!("train/{:?}/{}x{}", self.update, kinds.join("_"), self.lanes.count()).to_lowercase()
    }

    /// What the operation does, and what it needs of the rest of shaders/.
    fn files(&self) -> Vec<&'static str> {
        let one = self.lanes == Lanes::One;
        let state = include_str!("../../shaders/train/state.wgsl");
        let random = elementwise::random_files(self.lanes);
        let elements = match one {
            true => include_str!("../../shaders/text/elements1.wgsl"),
            false => include_str!("../../shaders/text/elements4.wgsl"),
        };
        match self.update {
            Update::Sgd => vec![include_str!("../../shaders/train/sgd.wgsl"), state],
            Update::Momentum => vec![include_str!("../../shaders/train/momentum.wgsl"), state],
            Update::AdamW => vec![include_str!("../../shaders/train/adamw.wgsl"), state],
            Update::SquaredError => vec![include_str!("../../shaders/train/squared_error.wgsl"), state],
            Update::Convert => vec![include_str!("../../shaders/train/convert.wgsl")],
            Update::Fill => {
                let drawn = match one {
                    true => include_str!("../../shaders/random/drawn1.wgsl"),
                    false => include_str!("../../shaders/random/drawn4.wgsl"),
                };
                vec![include_str!("../../shaders/random/fill.wgsl"), drawn, random[0], random[1]]
            }
            Update::Windows => vec![include_str!("../../shaders/text/windows.wgsl"), elements, random[0]],
            Update::OneHot => vec![include_str!("../../shaders/text/one_hot.wgsl"), elements],
            Update::Gather => vec![include_str!("../../shaders/elementwise/gather.wgsl"), elements],
        }
    }
}

impl Mapped for Variant {
    fn operands(&self) -> Vec<Operand> {
        let operand = |&(name, element): &(&'static str, Element)| match name {
            "counter" | "order" => Operand::table(name, element).counting(),
            "state" | "source" | "text" | "classes" => Operand::table(name, element),
            "gradient" | "x" | "target" => Operand::new(name, element, self.lanes, false),
            _ => Operand::new(name, element, self.lanes, true),
        };
        let mut operands: Vec<_> = self.operands.iter().map(operand).collect();
        self.places.bind(&mut operands);
        operands
    }

    fn constants(&self) -> [[f32; 4]; 5] {
        self.constants
    }

    fn lanes(&self) -> Lanes {
        self.lanes
    }

    fn with_lanes(self, lanes: Lanes) -> Self {
        Self { lanes, ..self }
    }

    fn places(&mut self) -> &mut Places {
        &mut self.places
    }

    fn kernel(&self) -> Kernel {
        let operand::Rendered { bindings, accessors: mut rendered, storage, .. } = operand::render(&self.operands(), &self.places.shared);
        if self.operands.iter().any(|(name, _)| *name == "weight") {
            // The kind that layers compute with, where it is not the weights' own.
            let copied = self.operands.iter().any(|(name, _)| *name == "copy");
            let copy = if copied { "    store_copy(i, w);\n" } else { "" };
            rendered += &format!("fn update_weight(i: u32, w: Lanes) {{\n    store_weight(i, w);\n{copy}}}\n");
        }
        let mut files = vec![MAP, elementwise::unit_file(self.lanes), NUMERICS];
        files.extend(self.files());
        files.extend(storage);
        Kernel::link(self.name(), false, bindings, &files, &rendered)
    }
}

/// Softmax cross-entropy: losses of rows and gradients of logits, in these kinds.
pub fn cross_entropy(logits: Element, gradients: Element) -> Kernel {
    let operands = [
        Operand::new("logits", logits, Lanes::One, false),
        Operand::new("classes", Element::F32, Lanes::One, false),
        Operand::new("state", Element::F32, Lanes::One, false),
        Operand::new("losses", Element::F32, Lanes::One, true),
        Operand::new("dlogits", gradients, Lanes::One, true),
    ];
    let files = [NUMERICS, include_str!("../../shaders/train/state.wgsl"), include_str!("../../shaders/train/cross_entropy.wgsl")];
    let name = format!("train/cross_entropy/{logits}/{gradients}");
    Kernel::of_operands(name, &operands, &files, "")
}

/// What a step does between the gradients and the updates.
pub fn control() -> Kernel {
    let operand = |name, written| Operand::new(name, Element::F32, Lanes::One, written);
    let operands = [operand("norms", false), operand("loss", false), operand("state", true).counting(), operand("history", true)];
    let files = [NUMERICS, include_str!("../../shaders/train/state.wgsl"), include_str!("../../shaders/train/control.wgsl")];
    Kernel::of_operands("train/control".into(), &operands, &files, "")
}

/// Every such kernel that differs in text, less products of independent choices.
pub(super) fn all() -> Vec<Kernel> {
    const F32: Element = Element::F32;
    let mut kernels = vec![control()];
    for element in Element::ALL {
        kernels.extend(Element::ALL.map(|logits| cross_entropy(logits, element)));
        let weights = [("weight", F32), ("gradient", element)];
        let (copy, state) = (("copy", element), ("state", F32));
        let variants = [
            Variant::new(Update::Sgd, &[weights[0], weights[1], state]),
            Variant::new(Update::Momentum, &[weights[0], weights[1], ("velocity", F32), copy, state]),
            Variant::new(Update::AdamW, &[weights[0], weights[1], ("first", F32), ("second", F32), copy, state]),
            Variant::new(Update::SquaredError, &[("x", element), ("target", F32), ("dx", element), state]),
            Variant::new(Update::Convert, &[("x", F32), ("y", element)]),
            Variant::new(Update::Fill, &[("y", element)]),
            Variant::new(Update::Windows, &[("text", F32), ("counter", F32), ("y", element)]),
            Variant::new(Update::OneHot, &[("classes", F32), ("y", element)]),
            Variant::new(Update::Gather, &[("source", element), ("order", F32), ("y", element)]),
        ];
        let lanes = [Lanes::Four, Lanes::One];
        kernels.extend(variants.into_iter().flat_map(|variant| lanes.map(|lanes| variant.clone().with_lanes(lanes).kernel())));
    }
    kernels
}
