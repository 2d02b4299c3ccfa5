//! One layer of a model: what its headers say, held against the settings, and its weights.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::{Config, Said};
use super::error::{Result, WeightsError};
use super::feed_forward::FeedForwardWeights;
use super::mixture::{Mixture, MixtureWeights};
use super::network::{Context, Network, Sizes};
use super::schemes::{Part, Survey};
use super::source::Source;
use super::stored::Stored;
use crate::routing::Routing;

/// The weights of one layer.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one layer at a time is in memory, and what it points to is millions of times larger")]
pub enum LayerWeights {
    /// One network.
    FeedForward(FeedForwardWeights),
    /// A mixture of experts.
    Mixture(MixtureWeights),
}

impl LayerWeights {
    /// The one network; a mixture is an error.
    pub(super) fn into_feed_forward(self, file: &Path, layer: usize) -> Result<FeedForwardWeights> {
        match self {
            Self::FeedForward(weights) => Ok(weights),
            Self::Mixture(mixture) => {
                let experts = mixture.router.shape.first().copied().unwrap_or(0);
                Err(WeightsError::Mixture { file: file.to_owned(), layer, experts })
            }
        }
    }
}

/// What is known of a layer without reading its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerFacts {
    /// Width of its input and output.
    pub d_model: usize,
    /// Hidden width; of a mixture, of each expert.
    pub d_ff: usize,
    /// Whether it has a gate.
    pub gated: bool,
    /// Whether any of its linear maps has a bias; the router's does not count.
    pub biases: bool,
    /// What the model calls its activation.
    pub activation: Option<String>,
    /// Present where it is a mixture of experts.
    pub mixture: Option<MixtureFacts>,
    /// Bytes by the kind that they are stored as: `bf16`, `Q4_K`, `int4`.
    pub stored: BTreeMap<String, u64>,
}

/// What is known of a mixture without reading its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureFacts {
    /// How many experts there are to choose from.
    pub experts: usize,
    /// How they are chosen.
    pub routing: Routing,
    /// Hidden width of the expert that every token goes through, where there is one.
    pub shared_d_ff: Option<usize>,
}

/// Where a layer's operands lie.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Kind {
    FeedForward(Network, Sizes),
    Mixture(Mixture),
}

/// A layer that was found and checked.
#[derive(Debug)]
pub(super) struct Layer<'a> {
    source: &'a dyn Source,
    config: &'a Config,
    kind: Kind,
}

impl Context<'_> {
    /// Holds the settings' numbers against the tensors'.
    fn hold(&self, network: &Network, said: [(Option<Said<u64>>, usize); 2]) -> Result<()> {
        let linears = network.linears();
        let Some(first) = linears.first().map(|linear| &linear.weight) else { return Ok(()) };
        for (said, found) in said {
            if let Some(said) = said.filter(|said| said.value != found as u64) {
                return Err(self.config.disagreement(&said.key, said.value, first.name(), found));
            }
        }
        Ok(())
    }

    /// Holds flags against what there is.
    fn hold_flags(&self, network: &Network) -> Result<()> {
        let linears = network.linears();
        let Some(first) = linears.first().map(|linear| &linear.weight) else { return Ok(()) };
        for (said, found) in [(&self.config.biases, network.has_biases()), (&self.config.gated, network.is_gated())] {
            if let Some(said) = said.as_ref().filter(|said| said.value != found) {
                return Err(self.config.disagreement(&said.key, said.value, first.name(), found));
            }
        }
        Ok(())
    }

    fn kind(&self) -> Result<Kind> {
        self.found.check(self.file(), self.source.names())?;
        let (config, layer, is_mixture) = (self.config, self.found.layer, self.found.is_mixture());
        if let Some(said) = config.is_mixture(layer).filter(|said| said.value != is_mixture) {
            let words = |mixture| if mixture { "a mixture of experts" } else { "one network" };
            let (file, said, found) = (config.file().to_owned(), said.key, words(is_mixture).to_owned());
            return Err(WeightsError::LayerKind { file, layer, key: said, said: words(!is_mixture).to_owned(), found });
        }
        if !is_mixture {
            let network = self.network(Part::Network)?;
            let sizes = network.sizes(self.file(), layer, None)?;
            self.hold(&network, [(config.d_model.clone(), sizes.d_model), (config.d_ff(layer), sizes.d_ff)])?;
            self.hold_flags(&network)?;
            return Ok(Kind::FeedForward(network, sizes));
        }
        let mixture = self.mixture()?;
        self.hold(&mixture.experts, [(config.d_model.clone(), mixture.sizes.d_model), (config.expert_d_ff(layer), mixture.sizes.d_ff)])?;
        if let Some((shared, sizes)) = mixture.shared.as_ref().zip(mixture.shared_sizes) {
            self.hold(shared, [(None, sizes.d_model), (config.shared_d_ff(), sizes.d_ff)])?;
        }
        Ok(Kind::Mixture(mixture))
    }
}

impl<'a> Layer<'a> {
    /// Finds layer `layer` and checks it.
    pub fn find(source: &'a dyn Source, config: &'a Config, survey: &'a Survey, layer: usize) -> Result<Self> {
        let context = Context { source, config, found: survey.layer(source.file(), layer)? };
        Ok(Self { source, config, kind: context.kind()? })
    }

    /// What is known of it.
    pub fn facts(&self) -> LayerFacts {
        let (network, sizes, mixture) = match &self.kind {
            Kind::FeedForward(network, sizes) => (network, *sizes, None),
            Kind::Mixture(mixture) => {
                let Mixture { count, routing, shared_sizes, .. } = mixture;
                let facts = MixtureFacts { experts: *count, routing: *routing, shared_d_ff: shared_sizes.map(|sizes| sizes.d_ff) };
                (&mixture.experts, mixture.sizes, Some(facts))
            }
        };
        let mut stored = BTreeMap::new();
        let mut count = |operand: &Stored| {
            let bytes: &mut u64 = stored.entry(operand.header().kind.clone()).or_default();
            *bytes = bytes.saturating_add(operand.header().bytes);
        };
        match &self.kind {
            Kind::FeedForward(network, _) => {
                network.linears().into_iter().flat_map(|linear| std::iter::once(&linear.weight).chain(&linear.bias)).for_each(&mut count);
            }
            Kind::Mixture(mixture) => mixture.stored().for_each(&mut count),
        }
        LayerFacts {
            d_model: sizes.d_model,
            d_ff: sizes.d_ff,
            gated: network.is_gated(),
            biases: network.has_biases(),
            activation: self.config.activation(network.is_gated()),
            mixture,
            stored,
        }
    }

    /// Reads it.
    pub fn read(&self) -> Result<LayerWeights> {
        match &self.kind {
            Kind::FeedForward(network, _) => {
                network.read(self.source, self.config.activation(network.is_gated())).map(LayerWeights::FeedForward)
            }
            Kind::Mixture(mixture) => {
                let shared = mixture.shared.as_ref().and_then(|shared| self.config.activation(shared.is_gated()));
                mixture.read(self.source, self.config.activation(true), shared).map(LayerWeights::Mixture)
            }
        }
    }
}
