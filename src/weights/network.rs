//! Where a layer's operands lie, found and checked before a byte of them is read.

use std::path::Path;

use super::config::Config;
use super::error::{Result, ShapeMismatch, WeightsError};
use super::feed_forward::{FeedForwardWeights, check_shapes};
use super::host::{HostTensor, HostWeight};
use super::int4::Tensors4;
use super::schemes::{Found, Part, Piece, Role};
use super::source::Source;
use super::stored::Stored;
use crate::gate::Layout;

/// A layer: what is called how, in which files, under which settings.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub source: &'a dyn Source,
    pub config: &'a Config,
    pub found: &'a Found,
}

/// A weight and its bias, where it has one.
#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Stored,
    pub bias: Option<Stored>,
}

/// One network, or as many as there are experts.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Network {
    Dense { up: Linear, down: Linear },
    Gated { gate: Linear, up: Linear, down: Linear },
    Fused { gate_up: Linear, layout: Layout, down: Linear },
}

impl<'a> Context<'a> {
    pub fn file(&self) -> &'a Path {
        self.source.file()
    }

    fn not_understood(&self, tensor: &str) -> WeightsError {
        WeightsError::NotUnderstood { file: self.file().to_owned(), tensor: tensor.to_owned() }
    }

    /// One operand, in whichever form it is stored.
    fn weight(&self, part: Part, role: Role) -> Result<Stored> {
        let name = |piece| self.found.name(part, role, piece);
        let needed = |piece| name(piece).ok_or_else(|| self.found.missing(self.file(), part, role, piece));
        let (stored, pieces): (_, &[Piece]) = if let Some(codes) = name(Piece::Codes) {
            let unsaid = || WeightsError::Unsaid {
                file: self.config.file().to_owned(),
                what: "how the numbers of four bits are packed and grouped",
                keys: ["quant_method", "bits", "group_size"].map(str::to_owned).into(),
            };
            let tensors = Tensors4 {
                codes: codes.to_owned(),
                zeros: needed(Piece::Zeros)?.to_owned(),
                scales: needed(Piece::Scales)?.to_owned(),
                groups: name(Piece::Groups).map(str::to_owned),
                grouping: self.config.int4.ok_or_else(unsaid)?,
            };
            (Stored::int4(self.source, tensors)?, &[Piece::Codes, Piece::Zeros, Piece::Scales, Piece::Groups, Piece::Bias])
        } else if let Some(blocks) = name(Piece::Blocks) {
            let stored = Stored::mxfp4(self.source, blocks, needed(Piece::BlockScales)?)?;
            (stored, &[Piece::Blocks, Piece::BlockScales, Piece::Bias])
        } else {
            let stored = Stored::tensor(self.source, needed(Piece::Weight)?)?;
            let stored = if self.found.scheme.transposed { stored.transposed() } else { stored };
            (stored, &[Piece::Weight, Piece::Bias])
        };
        // A weight that is there twice, or scales without what they scale.
        let stray = self.found.pieces(part, role).find(|(piece, _)| !pieces.contains(piece));
        stray.map_or(Ok(stored), |(_, name)| Err(self.not_understood(name)))
    }

    /// A weight and its bias; all experts', where they have tensors of their own.
    pub fn linear(&self, part: Part, role: Role) -> Result<Linear> {
        if part != Part::Experts || self.found.any(part, role).is_some() {
            let bias = self.found.name(part, role, Piece::Bias).map(|name| Stored::tensor(self.source, name)).transpose()?;
            return Ok(Linear { weight: self.weight(part, role)?, bias });
        }
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        let has_bias = self.found.name(Part::Expert(0), role, Piece::Bias).is_some();
        // Ends at the first that is missing, however many there are said to be.
        for expert in (0..self.found.experts().max(1)).map(Part::Expert) {
            weights.push(self.weight(expert, role)?);
            match self.found.name(expert, role, Piece::Bias) {
                Some(name) if has_bias => biases.push(Stored::tensor(self.source, name)?),
                Some(name) => return Err(self.not_understood(name)),
                None if has_bias => return Err(self.found.missing(self.file(), expert, role, Piece::Bias)),
                None => {}
            }
        }
        let bias = if has_bias { Some(Stored::each(self.source, biases)?) } else { None };
        Ok(Linear { weight: Stored::each(self.source, weights)?, bias })
    }

    /// Whether an operand is there, in any form.
    fn has(&self, part: Part, role: Role) -> Option<&'a str> {
        let own = self.found.any(part, role);
        if part == Part::Experts { own.or_else(|| self.found.any(Part::Expert(0), role)) } else { own }
    }

    /// Finds one network, or the experts'.
    pub fn network(&self, part: Part) -> Result<Network> {
        if let Some(fused) = self.has(part, Role::GateUp) {
            if let Some(other) = self.has(part, Role::Gate).or_else(|| self.has(part, Role::Up)) {
                let (tensor, other) = (fused.to_owned(), other.to_owned());
                return Err(WeightsError::Conflict { file: self.file().to_owned(), tensor, other });
            }
            let layout = if part == Part::Experts && self.config.interleaved() { Layout::Interleaved } else { Layout::Packed };
            let (mut gate_up, mut down) = (self.linear(part, Role::GateUp)?, self.linear(part, Role::Down)?);
            // Parameters of experts are [in, out] in gpt-oss, [out, in] in others: gate and up together tell.
            if let ([_, inputs, both], [_, d_ff, d_model]) = (gate_up.weight.shape(), down.weight.shape())
                && (inputs, both / 2, both % 2) == (d_model, *d_ff, 0)
            {
                gate_up.weight = gate_up.weight.transposed();
                down.weight = down.weight.transposed();
            }
            return Ok(Network::Fused { gate_up, layout, down });
        }
        if self.has(part, Role::Gate).is_some() {
            let (gate, up, down) = (self.linear(part, Role::Gate)?, self.linear(part, Role::Up)?, self.linear(part, Role::Down)?);
            return Ok(Network::Gated { gate, up, down });
        }
        let (up, down) = (self.linear(part, Role::Up)?, self.linear(part, Role::Down)?);
        let holds_gate = match (up.weight.shape(), down.weight.shape()) {
            ([rows, _], [_, d_ff]) => self.found.scheme.up_may_hold_gate && d_ff.checked_mul(2) == Some(*rows),
            _ => false,
        };
        Ok(if holds_gate { Network::Fused { gate_up: up, layout: Layout::Packed, down } } else { Network::Dense { up, down } })
    }
}

/// What a network's headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub d_model: usize,
    pub d_ff: usize,
}

impl Network {
    /// Its linear maps.
    pub fn linears(&self) -> Vec<&Linear> {
        match self {
            Self::Dense { up, down } => vec![up, down],
            Self::Gated { gate, up, down } => vec![gate, up, down],
            Self::Fused { gate_up, down, .. } => vec![gate_up, down],
        }
    }

    pub fn is_gated(&self) -> bool {
        !matches!(self, Self::Dense { .. })
    }

    pub fn has_biases(&self) -> bool {
        self.linears().iter().any(|linear| linear.bias.is_some())
    }

    /// The operands' shapes by name, as they will be in memory.
    fn shapes(&self, file: &Path) -> Result<Vec<(&'static str, Vec<usize>)>> {
        let mut shapes = Vec::new();
        let mut push = |weight: &'static str, bias: &'static str, linear: &Linear| {
            shapes.push((weight, linear.weight.shape().to_vec()));
            shapes.extend(linear.bias.iter().map(|stored| (bias, stored.shape().to_vec())));
        };
        match self {
            Self::Dense { up, down } => {
                push("w1", "b1", up);
                push("w2", "b2", down);
            }
            Self::Gated { gate, up, down } => {
                push("w_gate", "b_gate", gate);
                push("w_up", "b_up", up);
                push("w_down", "b_down", down);
            }
            Self::Fused { gate_up, down, .. } => {
                let weight = half(&gate_up.weight, 2, file)?;
                shapes.extend([("w_gate", weight.clone()), ("w_up", weight)]);
                if let Some(bias) = &gate_up.bias {
                    let bias = half(bias, 1, file)?;
                    shapes.extend([("b_gate", bias.clone()), ("b_up", bias)]);
                }
                shapes.push(("w_down", down.weight.shape().to_vec()));
                shapes.extend(down.bias.iter().map(|stored| ("b_down", stored.shape().to_vec())));
            }
        }
        Ok(shapes)
    }

    /// Holds the shapes against each other; those of `experts` experts have that dimension first.
    pub fn sizes(&self, file: &Path, layer: usize, experts: Option<usize>) -> Result<Sizes> {
        let mut shapes = self.shapes(file)?;
        if let Some(experts) = experts {
            for linear in self.linears() {
                let wrong = std::iter::once(&linear.weight).chain(&linear.bias).find(|stored| stored.shape().first() != Some(&experts));
                if let Some(stored) = wrong {
                    return Err(WeightsError::TensorShape {
                        file: file.to_owned(),
                        tensor: stored.name().to_owned(),
                        found: stored.shape().to_vec(),
                        expected: format!("{experts} first, the router's number of experts"),
                    });
                }
            }
            shapes.iter_mut().for_each(|(_, shape)| drop(shape.drain(..1)));
        }
        let shapes: Vec<_> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        let mismatch = |mismatch: ShapeMismatch| WeightsError::Shape { file: file.to_owned(), layer, mismatch: Box::new(mismatch) };
        let [d_ff, d_model] = check_shapes(&shapes).map_err(mismatch)?;
        Ok(Sizes { d_model, d_ff })
    }

    /// Reads its operands.
    pub fn read(&self, source: &dyn Source, activation: Option<String>) -> Result<FeedForwardWeights> {
        let linear = |linear: &Linear| -> Result<(HostWeight, Option<HostTensor>)> {
            let bias = linear.bias.as_ref().map(|bias| bias.read_plain(source)).transpose()?;
            Ok((linear.weight.read(source)?, bias))
        };
        let ((w_gate, b_gate), (w_up, b_up), down) = match self {
            Self::Dense { up, down } => {
                let ((w1, b1), (w2, b2)) = (linear(up)?, linear(down)?);
                return Ok(FeedForwardWeights::Dense { w1, b1, w2, b2, activation });
            }
            Self::Gated { gate, up, down } => (linear(gate)?, linear(up)?, down),
            Self::Fused { gate_up, layout, down } => {
                let (weight, bias) = linear(gate_up)?;
                let (w_gate, w_up) = weight.split(*layout).ok_or_else(|| odd(&gate_up.weight, source.file()))?;
                drop(weight);
                let halves = |bias: HostTensor| {
                    let axis = bias.shape.len().saturating_sub(1);
                    bias.split(axis, *layout).ok_or_else(|| odd(gate_up.bias.as_ref().unwrap_or(&gate_up.weight), source.file()))
                };
                let (b_gate, b_up) = bias.map(halves).transpose()?.unzip();
                ((w_gate, b_gate), (w_up, b_up), down)
            }
        };
        let (w_down, b_down) = linear(down)?;
        Ok(FeedForwardWeights::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, activation })
    }
}

/// The shape of gate or up; they share the dimension that is `back` from the end.
fn half(stored: &Stored, back: usize, file: &Path) -> Result<Vec<usize>> {
    let mut shape = stored.shape().to_vec();
    let at = shape.len().checked_sub(back);
    match at.and_then(|at| shape.get_mut(at)).filter(|both| **both % 2 == 0) {
        Some(both) => *both /= 2,
        None => return Err(odd(stored, file)),
    }
    Ok(shape)
}

fn odd(stored: &Stored, file: &Path) -> WeightsError {
    WeightsError::OddRows { file: file.to_owned(), tensor: stored.name().to_owned(), shape: stored.shape().to_vec() }
}
