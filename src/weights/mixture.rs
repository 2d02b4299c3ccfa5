//! The operands of one mixture of experts.

use super::error::{Result, WeightsError};
use super::feed_forward::FeedForwardWeights;
use super::host::{HostTensor, HostWeight};
use super::network::{Context, Linear, Network, Sizes};
use super::schemes::{Part, Piece, Role};
use super::source::Source;
use super::stored::Stored;
use crate::routing::Routing;

/// One mixture's weights, as its file has them; `E` experts.
///
/// Weights of four bits in groups ([`Int4`](crate::quantised::Int4)) have two dimensions, `[E * d_ff, d_model]` and
/// `[E * d_model, d_ff]`: the experts' rows one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureWeights {
    /// How experts are chosen.
    pub routing: Routing,
    /// The router, `[E, d_model]`.
    pub router: HostTensor,
    /// Added to the logits, `[E]`.
    pub router_bias: Option<HostTensor>,
    /// Added to the scores for the choice alone, not to the weights, `[E]` (DeepSeek-V3).
    pub choice_bias: Option<HostTensor>,
    /// `[E, d_ff, d_model]`.
    pub w_gate: HostWeight,
    /// `[E, d_ff]`.
    pub b_gate: Option<HostTensor>,
    /// `[E, d_ff, d_model]`.
    pub w_up: HostWeight,
    /// `[E, d_ff]`.
    pub b_up: Option<HostTensor>,
    /// `[E, d_model, d_ff]`.
    pub w_down: HostWeight,
    /// `[E, d_model]`.
    pub b_down: Option<HostTensor>,
    /// What the file calls the experts' activation or gate: `silu`, `swiglu_oai`.
    pub activation: Option<String>,
    /// An expert that every token goes through, of a width of its own.
    pub shared: Option<FeedForwardWeights>,
    /// `[1, d_model]`: the shared expert's output is multiplied by the sigmoid of x times this (Qwen2-MoE).
    pub shared_gate: Option<HostTensor>,
}

/// Where a mixture's operands lie.
#[derive(Debug)]
pub(super) struct Mixture {
    router: Linear,
    choice_bias: Option<Stored>,
    pub experts: Network,
    pub shared: Option<Network>,
    shared_gate: Option<Stored>,
    pub routing: Routing,
    pub count: usize,
    pub sizes: Sizes,
    pub shared_sizes: Option<Sizes>,
}

impl Context<'_> {
    /// Finds and checks a mixture.
    pub fn mixture(&self) -> Result<Mixture> {
        let (found, source, file) = (self.found, self.source, self.file());
        if let Some(name) = found.any_of(Part::Network) {
            return Err(WeightsError::NotUnderstood { file: file.to_owned(), tensor: name.to_owned() });
        }
        let router = self.linear(Part::Experts, Role::Router)?;
        let shape = |stored: &Stored, expected: String| WeightsError::TensorShape {
            file: file.to_owned(),
            tensor: stored.name().to_owned(),
            found: stored.shape().to_vec(),
            expected,
        };
        let &[count, d_model] = router.weight.shape() else { return Err(shape(&router.weight, "[experts, d_model]".into())) };
        let optional = |part, role, piece| found.name(part, role, piece).map(|name| Stored::tensor(source, name)).transpose();
        let choice_bias = optional(Part::Experts, Role::ChoiceBias, Piece::Weight)?;
        if let Some(bias) = router.bias.iter().chain(&choice_bias).find(|bias| bias.shape() != [count]) {
            return Err(shape(bias, format!("[{count}], the router's number of experts")));
        }
        let experts = self.network(Part::Experts)?;
        if !experts.is_gated() {
            return Err(found.missing(file, Part::Experts, Role::Gate, Piece::Weight));
        }
        self.experts_said(&router.weight, count)?;
        let sizes = experts.sizes(file, found.layer, Some(count))?;
        let shared = found.any_of(Part::Shared).map(|_| self.network(Part::Shared)).transpose()?;
        let shared_sizes = shared.as_ref().map(|shared| shared.sizes(file, found.layer, None)).transpose()?;
        for (network, sizes) in [(Some(&experts), Some(sizes)), (shared.as_ref(), shared_sizes)] {
            let weight = network.and_then(|network| network.linears().first().map(|linear| &linear.weight));
            if let Some((weight, _)) = weight.zip(sizes).filter(|(_, sizes)| sizes.d_model != d_model) {
                return Err(shape(weight, format!("{d_model} last, as the router {:?} has", router.weight.shape())));
            }
        }
        // A row or a vector.
        let shared_gate = optional(Part::Shared, Role::SharedGate, Piece::Weight)?.map(Stored::into_row);
        if let Some(gate) = shared_gate.as_ref().filter(|gate| gate.shape() != [1, d_model]) {
            return Err(shape(gate, format!("[1, {d_model}]")));
        }
        let routing = self.config.routing(choice_bias.is_some())?;
        if routing.top_k > count {
            let said = self.config.per_token.clone();
            return Err(said.map_or_else(
                || shape(&router.weight, format!("at least {} experts", routing.top_k)),
                |said| self.config.disagreement(&said.key, said.value, router.weight.name(), count),
            ));
        }
        Ok(Mixture { router, choice_bias, experts, shared, shared_gate, routing, count, sizes, shared_sizes })
    }

    /// Holds the number of experts against the settings.
    fn experts_said(&self, router: &Stored, count: usize) -> Result<()> {
        match &self.config.experts {
            Some(said) if said.value != count as u64 => Err(self.config.disagreement(&said.key, said.value, router.name(), count)),
            _ => Ok(()),
        }
    }
}

impl Mixture {
    /// Every operand.
    pub fn stored(&self) -> impl Iterator<Item = &Stored> {
        let linears = self.experts.linears().into_iter().chain(self.shared.iter().flat_map(Network::linears)).chain([&self.router]);
        linears.flat_map(|linear| std::iter::once(&linear.weight).chain(&linear.bias)).chain(&self.choice_bias).chain(&self.shared_gate)
    }

    /// Reads its operands.
    pub fn read(&self, source: &dyn Source, activation: Option<String>, shared: Option<String>) -> Result<MixtureWeights> {
        let plain = |stored: &Option<Stored>| stored.as_ref().map(|stored| stored.read_plain(source)).transpose();
        let FeedForwardWeights::Gated { w_gate, b_gate, w_up, b_up, w_down, b_down, activation } = self.experts.read(source, activation)?
        else {
            return Err(WeightsError::NotUnderstood { file: source.file().to_owned(), tensor: self.router.weight.name().to_owned() });
        };
        Ok(MixtureWeights {
            routing: self.routing,
            router: self.router.weight.read_plain(source)?,
            router_bias: plain(&self.router.bias)?,
            choice_bias: plain(&self.choice_bias)?,
            w_gate,
            b_gate,
            w_up,
            b_up,
            w_down,
            b_down,
            activation,
            shared: self.shared.as_ref().map(|network| network.read(source, shared)).transpose()?,
            shared_gate: plain(&self.shared_gate)?,
        })
    }
}
