//! The operands of one feed-forward network, checked against each other.

use super::config::Config;
use super::error::{Result, ShapeMismatch};
use super::host::{HostTensor, HostWeight};
use super::layer::Layer;
use super::schemes::survey;
use super::tensors::Tensors;

/// One network's weights `[out, in]`, its biases where it has them, and its activation where the file says it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are the operands of the formulas")]
pub enum FeedForwardWeights {
    /// `activation(x w1^T + b1) w2^T + b2`.
    Dense { w1: HostWeight, b1: Option<HostTensor>, w2: HostWeight, b2: Option<HostTensor>, activation: Option<String> },
    /// `(activation(x w_gate^T + b_gate) * (x w_up^T + b_up)) w_down^T + b_down`.
    Gated {
        w_gate: HostWeight,
        b_gate: Option<HostTensor>,
        w_up: HostWeight,
        b_up: Option<HostTensor>,
        w_down: HostWeight,
        b_down: Option<HostTensor>,
        activation: Option<String>,
    },
}

/// A weight or a bias.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "what they are called")]
pub enum Operand<'a> {
    Weight(&'a HostWeight),
    Bias(&'a HostTensor),
}

impl<'a> Operand<'a> {
    /// Dimensions, the slowest first.
    pub fn shape(self) -> &'a [usize] {
        match self {
            Self::Weight(weight) => weight.shape(),
            Self::Bias(bias) => &bias.shape,
        }
    }

    /// The numbers, exactly.
    pub fn to_f32(self) -> Vec<f32> {
        match self {
            Self::Weight(weight) => weight.to_f32(),
            Self::Bias(bias) => bias.to_f32(),
        }
    }
}

impl FeedForwardWeights {
    /// Finds and reads one layer of an open file; a file that holds a single network has layer 0.
    ///
    /// # Errors
    /// [`NoFeedForward`](super::WeightsError::NoFeedForward), [`MissingLayer`](super::WeightsError::MissingLayer) and the others that say what does not fit.
    pub fn from_tensors(tensors: &Tensors, layer: usize) -> Result<Self> {
        let (config, survey) = (Config::default(), survey(tensors.file(), tensors.names())?);
        Layer::find(tensors, &config, &survey, layer)?.read()?.into_feed_forward(tensors.file(), layer)
    }

    /// Width of the network's input and output.
    pub fn d_model(&self) -> usize {
        self.first().shape().get(1).copied().unwrap_or(0)
    }

    /// Width of the hidden layer.
    pub fn d_ff(&self) -> usize {
        self.first().shape().first().copied().unwrap_or(0)
    }

    /// What the file calls the activation, as it spells it.
    pub fn activation(&self) -> Option<&str> {
        match self {
            Self::Dense { activation, .. } | Self::Gated { activation, .. } => activation.as_deref(),
        }
    }

    fn first(&self) -> &HostWeight {
        match self {
            Self::Dense { w1, .. } => w1,
            Self::Gated { w_gate, .. } => w_gate,
        }
    }

    /// The matrices, by name.
    pub fn matrices(&self) -> Vec<(&'static str, &HostWeight)> {
        match self {
            Self::Dense { w1, w2, .. } => vec![("w1", w1), ("w2", w2)],
            Self::Gated { w_gate, w_up, w_down, .. } => vec![("w_gate", w_gate), ("w_up", w_up), ("w_down", w_down)],
        }
    }

    /// Every operand that is there, by name.
    pub fn operands(&self) -> Vec<(&'static str, Operand<'_>)> {
        let weight = |weight| Some(Operand::Weight(weight));
        fn bias(bias: &Option<HostTensor>) -> Option<Operand<'_>> {
            bias.as_ref().map(Operand::Bias)
        }
        let all = match self {
            Self::Dense { w1, b1, w2, b2, .. } => vec![("w1", weight(w1)), ("b1", bias(b1)), ("w2", weight(w2)), ("b2", bias(b2))],
            Self::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, .. } => vec![
                ("w_gate", weight(w_gate)),
                ("b_gate", bias(b_gate)),
                ("w_up", weight(w_up)),
                ("b_up", bias(b_up)),
                ("w_down", weight(w_down)),
                ("b_down", bias(b_down)),
            ],
        };
        all.into_iter().filter_map(|(name, operand)| Some((name, operand?))).collect()
    }

    /// Whether the operands fit together, with `d_model` and `d_ff` as the first weight has them.
    ///
    /// # Errors
    /// [`ShapeMismatch`] with the operand and both shapes.
    pub fn check(&self) -> std::result::Result<(), ShapeMismatch> {
        let shapes: Vec<_> = self.operands().into_iter().map(|(name, operand)| (name, operand.shape())).collect();
        check_shapes(&shapes).map(|_| ())
    }

    /// The same with every quantised matrix in f32, which holds its numbers exactly: gradients need plain ones.
    #[must_use]
    pub fn dequantised(self) -> Self {
        let plain = |weight: HostWeight| HostWeight::Plain(weight.into_plain());
        match self {
            Self::Dense { w1, b1, w2, b2, activation } => Self::Dense { w1: plain(w1), b1, w2: plain(w2), b2, activation },
            Self::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, activation } => {
                let (w_gate, w_up, w_down) = (plain(w_gate), plain(w_up), plain(w_down));
                Self::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, activation }
            }
        }
    }
}

/// Whether operands fit together, the first of which is `w1` or `w_gate`: `[d_ff, d_model]`.
pub(super) fn check_shapes(operands: &[(&'static str, &[usize])]) -> std::result::Result<[usize; 2], ShapeMismatch> {
    let (reference, first) = operands.first().copied().unwrap_or(("w1", &[]));
    let mismatch = |operand, found: &[usize], expected| ShapeMismatch {
        operand,
        found: found.to_vec(),
        expected,
        reference,
        reference_shape: first.to_vec(),
    };
    let [d_ff, d_model] = *first else {
        return Err(mismatch(reference, first, "[d_ff, d_model]".into()));
    };
    // With one width zero the other could be any number, with not a byte in the file to back it.
    if d_ff == 0 || d_model == 0 {
        return Err(mismatch(reference, first, "[d_ff, d_model] without a zero".into()));
    }
    for (name, shape) in operands {
        let expected = match *name {
            "w2" | "w_down" => vec![d_model, d_ff],
            "b2" | "b_down" => vec![d_model],
            "b1" | "b_gate" | "b_up" => vec![d_ff],
            _ => vec![d_ff, d_model],
        };
        if *shape != expected {
            return Err(mismatch(name, shape, format!("{expected:?}")));
        }
    }
    Ok([d_ff, d_model])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use crate::weights::testing::Builder;
    use crate::weights::{Gguf, WeightsError};

    /// Tensors that count up, f32; `d_model` is 2 and `d_ff` 3 where they fit.
    fn load(tensors: &[(&str, &[u64])], layer: usize) -> Result<FeedForwardWeights> {
        let file = tensors.iter().fold(Builder::new(), |file, (name, shape)| file.counting(name, shape, 0.0));
        FeedForwardWeights::from_tensors(Gguf::from_bytes(file.build(), "f").unwrap().tensors(), layer)
    }

    fn names(weights: &FeedForwardWeights) -> Vec<&str> {
        assert_eq!((weights.d_model(), weights.d_ff()), (2, 3));
        weights.operands().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn every_scheme_is_read() {
        for (up, up_bias, down, layer) in [
            ("w1", "b1", "w2", 0),
            ("blk.1.ffn_up.weight", "blk.1.ffn_up.bias", "blk.1.ffn_down.weight", 1),
            ("model.layers.2.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.bias", "model.layers.2.mlp.down_proj.weight", 2),
            (
                "bert.encoder.layer.3.intermediate.dense.weight",
                "bert.encoder.layer.3.intermediate.dense.bias",
                "bert.encoder.layer.3.output.dense.weight",
                3,
            ),
        ] {
            let weights = load(&[(up, &[3, 2]), (up_bias, &[3]), (down, &[2, 3])], layer).unwrap();
            assert_eq!(names(&weights), ["w1", "b1", "w2"], "{up}");
        }
        for (prefix, suffix, layer) in [
            ("w_", "", 0),
            ("blk.4.ffn_", ".weight", 4),
            ("layers.5.mlp.", "_proj.weight", 5),
            ("language_model.model.layers.5.mlp.", "_proj.weight", 5),
            ("mlp.", "_proj.weight", 0),
            ("", "_proj.weight", 0),
        ] {
            let name = |role| format!("{prefix}{role}{suffix}");
            let weights = load(&[(&name("gate"), &[3, 2]), (&name("up"), &[3, 2]), (&name("down"), &[2, 3])], layer).unwrap();
            assert_eq!(names(&weights), ["w_gate", "w_up", "w_down"], "{prefix}");
            assert_eq!(weights.activation(), None);
        }
    }

    #[test]
    fn fused_weights_hold_the_gate_first() {
        let down = ("mlp.down_proj.weight", &[2, 3][..]);
        for tensors in [
            [("mlp.gate_up_proj.weight", &[6, 2][..]), ("mlp.gate_up_proj.bias", &[6]), down],
            [("blk.0.ffn_up.weight", &[6, 2]), ("blk.0.ffn_up.bias", &[6]), ("blk.0.ffn_down.weight", &[2, 3])],
        ] {
            let FeedForwardWeights::Gated { w_gate, b_gate, w_up, b_up, .. } = load(&tensors, 0).unwrap() else { panic!() };
            assert_eq!(w_gate.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(w_up.to_f32(), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
            assert_eq!((b_gate.unwrap().to_f32(), b_up.unwrap().to_f32()), (vec![0.0, 1.0, 2.0], vec![3.0, 4.0, 5.0]));
        }
        assert!(matches!(load(&[("mlp.gate_up_proj.weight", &[7, 2]), down], 0), Err(WeightsError::OddRows { .. })));
        let both = [("mlp.gate_up_proj.weight", &[6, 2][..]), ("mlp.up_proj.weight", &[3, 2]), down];
        assert!(matches!(load(&both, 0), Err(WeightsError::Conflict { .. })));
    }

    #[test]
    fn shapes_are_held_against_each_other() {
        let good: [(&str, &[u64]); 6] =
            [("w_gate", &[3, 2]), ("b_gate", &[3]), ("w_up", &[3, 2]), ("b_up", &[3]), ("w_down", &[2, 3]), ("b_down", &[2])];
        assert_eq!(names(&load(&good, 0).unwrap()).len(), 6);
        for (i, (operand, _)) in good.iter().enumerate().skip(1) {
            for wrong in [&[4_u64][..], &[2, 2], &[3, 2, 1], &[]] {
                let mut bad = good;
                bad[i].1 = wrong;
                let error = load(&bad, 0).unwrap_err().to_string();
                assert!(error.contains(operand) && error.contains("[3, 2]"), "{operand}: {error}");
            }
        }
        let empty = |shape: &[usize]| HostWeight::from(HostTensor::new(shape, Element::F32, &[]).unwrap());
        let (w1, w2) = (empty(&[1 << 40, 0]), empty(&[0, 1 << 40]));
        assert!(FeedForwardWeights::Dense { w1, b1: None, w2, b2: None, activation: None }.check().is_err());
        assert!(load(&[("w1", &[3]), ("w2", &[3, 3])], 0).unwrap_err().to_string().contains("[d_ff, d_model]"));
    }

    #[test]
    fn an_operand_without_its_partner_is_an_error() {
        for tensors in [
            &[("w1", &[3_u64, 2][..])][..],
            &[("w_gate", &[3, 2]), ("w_down", &[2, 3])],
            &[("blk.0.ffn_gate.bias", &[3]), ("blk.0.ffn_up.weight", &[3, 2]), ("blk.0.ffn_down.weight", &[2, 3])],
        ] {
            assert!(matches!(load(tensors, 0), Err(WeightsError::Incomplete { .. })));
        }
        let no_such = load(&[("w1", &[3, 2]), ("w2", &[2, 3])], 1).unwrap_err();
        assert!(matches!(no_such, WeightsError::MissingLayer { layer: 1, ref layers, .. } if layers == &[0]), "{no_such}");
    }

    #[test]
    fn half_precision_stays() {
        let half = Element::F16.encode(&[1.0; 6]);
        let file = Builder::new().tensor("w1", &[3, 2], 1, &half).tensor("w2", &[2, 3], 1, &half).build();
        let weights = FeedForwardWeights::from_tensors(Gguf::from_bytes(file, "f").unwrap().tensors(), 0).unwrap();
        assert!(weights.matrices().iter().all(|(_, weight)| weight.kind() == "f16"));
    }
}
