//! What is measured: functions over long vectors, products, and the feed-forward layers of published models.

use serde_json::{Value, json};

use crate::activation::Activation;
use crate::element::Element;
use crate::error::Error;
use crate::gate::Gate;
use crate::shader::function::Function;
use crate::tuning::Problem;

/// One thing to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// What it is one of.
    pub group: Group,
    /// Its name; no other has the same.
    pub name: String,
    /// Kind of every tensor but a layer's hidden one, which is f32.
    pub element: Element,
    /// What is computed.
    pub task: Task,
}

/// What a workload is one of; the order is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Activations.
    Elementwise,
    /// Gates over gate and up in two tensors.
    Gate,
    /// One product.
    Product,
    /// Gated layers on 1 or 16 tokens.
    Decode,
    /// Gated layers on more.
    Prefill,
    /// Layers without a gate, with biases.
    Dense,
}

/// What a workload computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// An activation or a gate of so many elements.
    Elementwise {
        /// What is applied.
        function: Function,
        /// To how many elements.
        elements: usize,
    },
    /// `[rows, depth]` times the transpose of `[cols, depth]`.
    Product {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        cols: usize,
        /// What is summed over.
        depth: usize,
    },
    /// A layer: gated and without biases, or an activation and biases.
    FeedForward {
        /// Between the products.
        function: Function,
        /// Rows.
        tokens: usize,
        /// Features in and out.
        d_model: usize,
        /// Hidden features.
        d_ff: usize,
    },
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 6] = [Self::Elementwise, Self::Gate, Self::Product, Self::Decode, Self::Prefill, Self::Dense];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elementwise => "elementwise",
            Self::Gate => "gate",
            Self::Product => "product",
            Self::Decode => "decode",
            Self::Prefill => "prefill",
            Self::Dense => "dense",
        }
    }
}

impl Task {
    /// Operations: a multiplication and an addition for each term of a product. An activation counts as one operation, a
    /// gate as two, whatever they take: nobody agrees on those, and memory bounds them.
    pub fn flops(&self) -> f64 {
        match self {
            Self::Elementwise { function: Function::Activation(_), elements } => *elements as f64,
            Self::Elementwise { elements, .. } => 2.0 * *elements as f64,
            Self::Product { rows, cols, depth } => 2.0 * product(&[*rows, *cols, *depth]),
            Self::FeedForward { tokens, .. } => 2.0 * *tokens as f64 * self.weights(),
        }
    }

    /// Elements of all operands, each counted once; hidden is none.
    pub fn operands(&self) -> f64 {
        match *self {
            Self::Elementwise { function: Function::Activation(_), elements } => 2.0 * elements as f64,
            Self::Elementwise { elements, .. } => 3.0 * elements as f64,
            Self::Product { rows, cols, depth } => product(&[rows, depth]) + product(&[cols, depth]) + product(&[rows, cols]),
            Self::FeedForward { ref function, tokens, d_model, d_ff } => {
                let biases = if matches!(function, Function::Gate(_)) { 0 } else { d_model + d_ff };
                self.weights() + biases as f64 + 2.0 * product(&[tokens, d_model])
            }
        }
    }

    /// Elements of a layer's matrices.
    fn weights(&self) -> f64 {
        match self {
            Self::FeedForward { function: Function::Gate(_), d_model, d_ff, .. } => 3.0 * product(&[*d_model, *d_ff]),
            Self::FeedForward { d_model, d_ff, .. } => 2.0 * product(&[*d_model, *d_ff]),
            _ => 0.0,
        }
    }

    /// The products that it consists of, where every tensor but a layer's hidden one is of this kind: none, one, or those
    /// into hidden and out of it.
    pub fn problems(&self, element: Element) -> Vec<Problem> {
        let product = |rows, cols, depth| Problem { a: element, b: element.into(), out: element, ..Problem::new(rows, cols, depth) };
        match *self {
            Self::Elementwise { .. } => Vec::new(),
            Self::Product { rows, cols, depth } => vec![product(rows, cols, depth)],
            Self::FeedForward { ref function, tokens, d_model, d_ff } => {
                let gated = matches!(function, Function::Gate(_));
                let into = Problem { gated, out: Element::F32, ..product(tokens, d_ff, d_model) };
                vec![into, Problem { a: Element::F32, ..product(tokens, d_model, d_ff) }]
            }
        }
    }

    /// Its sizes, as in the report.
    pub fn shape(&self) -> Value {
        match self {
            Self::Elementwise { elements, .. } => json!({ "elements": elements }),
            Self::Product { rows, cols, depth } => json!({ "rows": rows, "cols": cols, "depth": depth }),
            Self::FeedForward { tokens, d_model, d_ff, .. } => json!({ "tokens": tokens, "d_model": d_model, "d_ff": d_ff }),
        }
    }
}

impl Workload {
    /// Operations; see [`Task::flops`].
    pub fn flops(&self) -> f64 {
        self.task.flops()
    }

    /// Bytes of all operands, each counted once.
    pub fn bytes(&self) -> f64 {
        self.task.operands() * self.element.size() as f64
    }

    /// Bytes of the largest tensor, hidden included.
    pub fn largest(&self) -> f64 {
        let size = self.element.size() as f64;
        match self.task {
            Task::Elementwise { elements, .. } => elements as f64 * size,
            Task::Product { rows, cols, depth } => product(&[rows, depth]).max(product(&[cols, depth])).max(product(&[rows, cols])) * size,
            Task::FeedForward { tokens, d_model, d_ff, .. } => {
                (product(&[d_model, d_ff]) * size).max(product(&[tokens, d_ff]) * Element::F32.size() as f64)
            }
        }
    }

    /// Whether it is made of products.
    pub fn multiplies(&self) -> bool {
        !matches!(self.task, Task::Elementwise { .. })
    }
}

fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|n| *n as f64).product()
}

const MILLIONS: [(&str, usize); 2] = [("4M", 1 << 22), ("16M", 1 << 24)];

/// Rows, columns, depth.
const PRODUCTS: [[usize; 3]; 4] = [[512, 512, 512], [1024, 1024, 1024], [4096, 4096, 4096], [16, 4096, 4096]];

/// A model's gated layer: name, gate, hidden_size, intermediate_size, as its publisher's configuration says.
const GATED: [(&str, &str, usize, usize); 5] = [
    ("smollm2-135m", "swiglu", 576, 1536),
    ("qwen3-0.6b", "swiglu", 1024, 3072),
    ("llama-3.2-1b", "swiglu", 2048, 8192),
    ("gemma-2-2b", "geglu_tanh", 2304, 9216),
    ("llama-3-8b", "swiglu", 4096, 14336),
];

/// Of the size of Llama 3 8B's, but there are 8 of them, and each gets a part of the tokens.
const EXPERT: (&str, &str, usize, usize) = ("mixtral-8x7b-expert", "swiglu", 4096, 14336);

const TOKENS: [usize; 4] = [1, 16, 128, 512];

/// A model's dense layer: name, activation, sizes, and tokens: the longest sequence that the model takes.
const DENSE: [(&str, &str, usize, usize, usize); 2] = [("bert-base", "gelu", 768, 3072, 512), ("gpt-2", "gelu_tanh", 768, 3072, 1024)];

/// What `--quick` measures of all.
const QUICK: [&str; 12] = [
    "relu/4M/f32",
    "silu/4M/f32",
    "silu/4M/f16",
    "gelu/4M/f32",
    "swiglu/4M/f32",
    "product/512x512x512/f32",
    "swiglu/smollm2-135m/1/f32",
    "swiglu/smollm2-135m/1/f16",
    "swiglu/llama-3.2-1b/1/f16",
    "swiglu/llama-3.2-1b/16/f32",
    "swiglu/smollm2-135m/128/f32",
    "gelu/bert-base/512/f32",
];

/// Every workload, grouped; or the few that tell most in a minute.
///
/// # Errors
/// None, unless a name in the tables above is wrong.
pub fn workloads(quick: bool) -> Result<Vec<Workload>, Error> {
    let mut all = elementwise()?;
    for element in [Element::F32, Element::F16] {
        all.extend(PRODUCTS.map(|[rows, cols, depth]| Workload {
            group: Group::Product,
            name: format!("product/{rows}x{cols}x{depth}/{element}"),
            element,
            task: Task::Product { rows, cols, depth },
        }));
    }
    for model in GATED {
        for tokens in TOKENS {
            for element in Element::ALL {
                // bf16 differs from f16 in decoding alone; once is enough to see it.
                if element != Element::Bf16 || tokens == 1 {
                    all.push(gated(model, tokens, element)?);
                }
            }
        }
    }
    for tokens in [16, 128] {
        all.push(gated(EXPERT, tokens, Element::Bf16)?);
    }
    for (model, activation, d_model, d_ff, tokens) in DENSE {
        for element in [Element::F32, Element::F16] {
            let function = Function::Activation(Activation::parse(activation)?);
            all.push(layer(Group::Dense, model, function, [tokens, d_model, d_ff], element));
        }
    }
    if quick {
        all.retain(|workload| QUICK.contains(&workload.name.as_str()));
    }
    // The sort is stable.
    all.sort_by_key(|workload| workload.group);
    Ok(all)
}

fn elementwise() -> Result<Vec<Workload>, Error> {
    let mut all = Vec::new();
    let mut push = |group, function: Function, element| {
        for (size, elements) in MILLIONS {
            let name = format!("{}/{size}/{element}", function.name());
            all.push(Workload { group, name, element, task: Task::Elementwise { function: function.clone(), elements } });
        }
    };
    for name in ["relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "mish"] {
        push(Group::Elementwise, Function::Activation(Activation::parse(name)?), Element::F32);
    }
    for name in ["glu", "reglu", "geglu", "swiglu"] {
        push(Group::Gate, Function::Gate(Gate::parse(name)?), Element::F32);
    }
    for element in [Element::F16, Element::Bf16] {
        for name in ["relu", "silu"] {
            push(Group::Elementwise, Function::Activation(Activation::parse(name)?), element);
        }
        push(Group::Gate, Function::Gate(Gate::parse("swiglu")?), element);
    }
    Ok(all)
}

fn gated((model, gate, d_model, d_ff): (&str, &str, usize, usize), tokens: usize, element: Element) -> Result<Workload, Error> {
    let group = if tokens <= 16 { Group::Decode } else { Group::Prefill };
    Ok(layer(group, model, Function::Gate(Gate::parse(gate)?), [tokens, d_model, d_ff], element))
}

fn layer(group: Group, model: &str, function: Function, [tokens, d_model, d_ff]: [usize; 3], element: Element) -> Workload {
    let name = format!("{}/{model}/{tokens}/{element}", function.name());
    Workload { group, name, element, task: Task::FeedForward { function, tokens, d_model, d_ff } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_quick_ones_exist() {
        let names = |quick| workloads(quick).unwrap().into_iter().map(|w| w.name).collect::<Vec<_>>();
        let mut all = names(false);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(names(true).len(), QUICK.len());
    }

    /// The same multiplications as the operations are counted by.
    #[test]
    fn problems_are_all_of_the_work() {
        for Workload { name, element, task, .. } in workloads(false).unwrap() {
            let macs: u64 = task.problems(element).iter().map(Problem::macs).sum();
            let flops = if matches!(task, Task::Elementwise { .. }) { 0.0 } else { task.flops() };
            assert_eq!(2.0 * macs as f64, flops, "{name}");
        }
        let layer = Task::FeedForward { function: Function::Gate(Gate::parse("swiglu").unwrap()), tokens: 1, d_model: 64, d_ff: 256 };
        let classes: Vec<_> = layer.problems(Element::F16).iter().map(Problem::class).collect();
        assert_eq!(classes, ["gate_up/f16*f16->f32/1x256x64", "linear/f32*f16->f16/1x64x256"]);
    }

    #[test]
    fn counts_by_hand() {
        let find = |name: &str| workloads(false).unwrap().into_iter().find(|w| w.name == name).unwrap();
        let decode = find("swiglu/llama-3-8b/1/f16");
        assert_eq!((decode.flops(), decode.bytes()), (352_321_536.0, 2.0 * (176_160_768.0 + 8192.0)));
        let dense = find("gelu/bert-base/512/f32");
        assert_eq!((dense.flops(), dense.bytes()), (4_831_838_208.0, 4.0 * (4_718_592.0 + 3840.0 + 786_432.0)));
        assert_eq!((dense.largest(), decode.largest()), (4.0 * 768.0 * 3072.0, 2.0 * 4096.0 * 14336.0));
        let gate = find("swiglu/4M/bf16");
        assert_eq!((gate.flops(), gate.bytes()), (8_388_608.0, 25_165_824.0));
        let skinny = find("product/16x4096x4096/f32");
        assert_eq!((skinny.flops(), skinny.bytes()), (536_870_912.0, 4.0 * 16_908_288.0));
    }
}
