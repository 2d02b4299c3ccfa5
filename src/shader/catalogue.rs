//! Every kernel that there is, as far as its text differs: what the tests check, and what is compiled offline for every
//! target. Choices that do not meet in the text are not multiplied: every function with every kind of element in one loop,
//! and one function of each sort in every loop. Widths of subgroups are one number in the text, so one of them stands for all.

use std::collections::HashSet;

use super::elementwise::{Mapped as _, Pass, Places, Variant};
use super::function::Function;
use super::matmul::{self, Capabilities, Experts, Loop, Matrices, Products, Tile, Total};
use super::operand::Lanes;
use super::reduce::{self, Inputs, Terms};
use super::{Kernel, ceilings, mixture, update};
use crate::activation::Activation;
use crate::custom::Custom;
use crate::element::Element;
use crate::gate::{Gate, Layout};
use crate::quantised::{Packing, WeightKind};

fn functions() -> Vec<Function> {
    let snake = Custom::new("snake", "x + sin(a * x) * sin(a * x) / a", "1.0 + sin(2.0 * a * x)", &[("a", 0.5)]);
    let activations = Activation::all().chain(snake.map(Custom::into_activation));
    activations.map(Function::Activation).chain(Gate::all().map(Function::Gate)).collect()
}

/// Every elementwise variant that differs in text, less products of independent choices.
fn elementwise() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for function in functions() {
        let gated = matches!(function, Function::Gate(_));
        for pass in [Pass::Forward, Pass::Backward, Pass::Joint] {
            for element in Element::ALL {
                for lanes in [Lanes::Four, Lanes::One] {
                    let layouts: &[Layout] = if gated && pass != Pass::Joint { &Layout::ALL } else { &[Layout::Separate] };
                    for layout in layouts {
                        let mut variant = Variant::new(function.clone(), pass, element);
                        variant.lanes = lanes;
                        variant.layout = *layout;
                        kernels.push(variant.kernel());
                        // The options together, on one kind, are the largest kernel.
                        if element == Element::F16 {
                            variant.bias = pass != Pass::Joint;
                            variant.learned = function.learnable_len() > 0;
                            kernels.push(variant.kernel());
                            variant.bias = false;
                            variant.dropout = true;
                            kernels.push(variant.kernel());
                        }
                    }
                }
            }
        }
    }
    kernels
}

pub(super) fn sums() -> Vec<Kernel> {
    let mut kernels = vec![reduce::sums()];
    for function in functions() {
        for element in Element::ALL {
            let inputs = |bias| Inputs {
                function: function.clone(),
                element,
                layout: Layout::Separate,
                bias,
                learned: function.learnable_len() > 0,
                dropout: true,
            };
            kernels.push(Terms::Bias(inputs(true)).partials());
            if function.learnable_len() > 0 {
                kernels.push(Terms::Learned(inputs(false)).partials());
            }
        }
    }
    for x in Element::ALL {
        let of = [Terms::Squares, Terms::Values, Terms::NonZeros, Terms::Underflows].map(|terms| terms(x));
        let differences = Element::ALL.map(|target| Terms::SquaredDifferences { x, target });
        kernels.extend(of.into_iter().chain(differences).map(|terms| terms.partials()));
    }
    kernels
}

/// A device that runs every loop.
const CAPABLE: Capabilities = Capabilities {
    software: false,
    workgroup_bytes: 32768,
    invocations: 256,
    wide: true,
    subgroup: Some((32, 32)),
    cooperative: Some(Matrices { tile: 16, lanes: 32 }),
};

/// Another, whose subgroups do not tell their numbers.
const OTHER: Capabilities = Capabilities { subgroup: None, cooperative: Some(Matrices { tile: 8, lanes: 64 }), ..CAPABLE };

pub(super) fn loops(gated: bool) -> Vec<Loop> {
    let mut loops = Loop::available(&CAPABLE, gated);
    loops.extend(Loop::available(&OTHER, gated).into_iter().filter(|looping| matches!(looping, Loop::Cooperative(_))));
    loops
}

/// Every loop with one function of each sort, and every function on one loop.
pub(super) fn products() -> Vec<Kernel> {
    let some = || functions().into_iter().filter(|f| ["relu", "prelu", "snake", "swiglu", "swiglu_oai"].contains(&f.name()));
    let mut variants = Vec::new();
    for gated in [false, true] {
        let loops = loops(gated).into_iter().chain((!gated).then_some(Loop::Sum));
        for (looping, function) in loops.flat_map(|looping| some().map(move |function| (looping, function))) {
            if matches!(function, Function::Gate(_)) == gated {
                variants.push(matmul::Variant::new(looping, function));
            }
        }
    }
    variants.extend(functions().into_iter().map(|function| matmul::Variant::new(Loop::Direct(4), function)));
    let gates = variants.iter().filter(|v| v.products == Products::GateUp);
    let gate = |v: &matmul::Variant| matmul::Variant { products: Products::Gate, in_place: vec!["up"], ..v.clone() };
    let gates: Vec<_> = gates.map(gate).chain([gate(&matmul::Variant::new(Loop::Sum, Function::Gate(Gate::OAI)))]).collect();
    let summed = |v: &matmul::Variant| v.products == Products::One && v.function.name() == "relu" && v.looping != Loop::Sum;
    let summed = variants.iter().filter(|v| summed(v) && !matches!(v.looping, Loop::Cooperative(_)));
    let summed: Vec<_> = summed.map(|v| matmul::Variant { products: Products::Summed, ..v.clone() }).collect();
    // Of experts, what differs from loop to loop is one function.
    let of_experts = |v: &&matmul::Variant| ["relu", "swiglu", "swiglu_oai"].contains(&v.function.name()) && v.looping != Loop::Sum;
    let experts = [false, true].map(|gathered| [Experts::Rows { gathered }, Experts::Depth { gathered }]);
    let experts: Vec<_> = experts
        .into_iter()
        .flatten()
        .flat_map(|experts| {
            let fits = move |v: &&matmul::Variant| match experts {
                Experts::Depth { .. } => v.products == Products::Summed || (v.products == Products::One && v.function.name() == "relu"),
                _ => v.products != Products::Summed,
            };
            let all = variants.iter().chain(&gates).chain(&summed).filter(of_experts).filter(fits);
            all.map(move |v| matmul::Variant { experts, ..v.clone() }).collect::<Vec<_>>()
        })
        .collect();
    let mut kernels = Vec::new();
    for variant in variants.into_iter().chain(gates).chain(summed).chain(experts) {
        for lanes in [Lanes::Four, Lanes::One] {
            for element in Element::ALL {
                if matches!(variant.looping, Loop::Cooperative(_)) && element != Element::F16 {
                    continue;
                }
                let whole = lanes == Lanes::Four;
                let nothing_added = variant.experts != Experts::None && variant.products == Products::GateUp;
                // The options together, where nothing is a vector, are the largest kernel.
                let variant = matmul::Variant {
                    a: if variant.looping == Loop::Sum { Element::F32 } else { element },
                    b: element.into(),
                    out: element,
                    up: element,
                    bias: (!whole).then_some(element),
                    residual: (!whole && !nothing_added).then_some(element),
                    transposed: match variant.experts {
                        Experts::None => [!whole && element == Element::F16, !whole && element != Element::F32],
                        Experts::Rows { .. } => [false, !whole],
                        Experts::Depth { .. } => [true; 2],
                    },
                    depth_lanes: [lanes; 2],
                    out_lanes: lanes,
                    sums: (element, !whole),
                    learned: !whole && variant.function.learnable_len() > 0,
                    ..variant.clone()
                };
                kernels.push(variant.kernel());
                let dots = matches!(variant.looping, Loop::Dot(..)) && !matches!(variant.experts, Experts::Depth { .. });
                if dots && whole && variant.products != Products::Summed {
                    kernels.push(matmul::Variant { depth_lanes: [Lanes::Eight; 2], ..variant }.kernel());
                }
            }
        }
    }
    kernels.extend(packed());
    kernels
}

/// Every packing in a loop that takes blocks, in one that shares rows and in one that does not; every loop with one packing.
fn packed() -> Vec<Kernel> {
    let relu = || Function::Activation(crate::Activation::Relu);
    let swiglu = || Function::Gate(Gate::Of(Activation::Silu));
    let blocks = crate::quantised::Block::ALL.map(Packing::Block);
    let mut kernels = Vec::new();
    for packing in blocks.into_iter().chain([Packing::Int4 { group: 64 }]) {
        for (gated, looping) in [false, true].into_iter().flat_map(|gated| loops(gated).into_iter().map(move |looping| (gated, looping))) {
            let few =
                matches!(looping, Loop::Dot(1 | 4, Total::Tree) | Loop::Broadcast(1 | 16) | Loop::Direct(4) | Loop::Tiled(Tile::SMALL));
            if matches!(looping, Loop::Cooperative(_)) || !(few || packing == blocks[1]) {
                continue;
            }
            let variant = matmul::Variant {
                b: WeightKind::Packed(packing),
                depth_lanes: [if gated { Lanes::Four } else { Lanes::One }, Lanes::Four],
                bias: gated.then_some(Element::F32),
                built_in_halves: gated,
                ..matmul::Variant::new(looping, if gated { swiglu() } else { relu() })
            };
            kernels.push(variant.kernel());
        }
    }
    kernels
}

pub(super) fn ceilings() -> Vec<Kernel> {
    let chains = ceilings::Chains::ALL.map(ceilings::Chains::kernel);
    let matrices = [8, 16].map(|tile| ceilings::cooperative_rate(Matrices { tile, lanes: 32 }));
    chains.into_iter().chain(matrices).chain([ceilings::copy()]).collect()
}

/// Operands that share memory, with one function of each sort.
fn sharing() -> Vec<Kernel> {
    let (relu, swiglu) = (Function::Activation(Activation::Relu), Function::Gate(Gate::Of(Activation::Silu)));
    let cases = [
        (&relu, Pass::Forward, vec![("x", "y")], vec!["x"]),
        (&relu, Pass::Backward, vec![("dy", "dx")], vec!["x", "dy"]),
        (&swiglu, Pass::Forward, vec![("gate", "y")], vec!["gate", "up"]),
        (&swiglu, Pass::Backward, vec![("gate", "dgate"), ("up", "dup")], vec!["gate", "up", "dy"]),
    ];
    let mut kernels = Vec::new();
    for (function, pass, in_place, shared) in cases {
        for places in [Places { in_place, ..Places::default() }, Places { shared, ..Places::default() }] {
            let variant = Variant { places, ..Variant::new(function.clone(), pass, Element::F16) };
            kernels.extend([Lanes::Four, Lanes::One].map(|lanes| variant.clone().with_lanes(lanes).kernel()));
        }
    }
    let product = matmul::Variant::new(Loop::Direct(4), relu);
    let residual = matmul::Variant { residual: Some(Element::F32), in_place: vec!["residual"], ..product.clone() };
    let shared = matmul::Variant { shared: vec!["a", "b"], ..product };
    kernels.extend([residual.kernel(), shared.kernel()]);
    kernels
}

/// All of them, each text once.
pub fn all() -> Vec<Kernel> {
    let elements = update::all().into_iter().chain(mixture::all()).chain(elementwise()).chain(sums());
    let mut kernels: Vec<_> = elements.chain(products()).chain(ceilings()).chain(sharing()).collect();
    let mut texts = HashSet::new();
    kernels.retain(|kernel| texts.insert(kernel.wgsl.clone()));
    kernels
}
