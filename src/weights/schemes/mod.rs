//! What the field calls the operands of a feed-forward network, and finding them among a file's names.

mod families;
mod operand;

use std::collections::BTreeMap;
use std::path::Path;

use self::families::SCHEMES;
use self::operand::{Key, Operand, number};
pub(super) use self::operand::{Part, Piece, Role};
use super::error::{Result, WeightsError};

/// Layers that are numbered together.
#[derive(Debug)]
struct Stack {
    /// What stands before the layer's number: `layers` in `model.layers.3.mlp`. None where the file holds one network.
    layers: Option<&'static str>,
    operands: &'static [Operand],
    /// What names of the network start with; one that no operand explains changes what the network computes.
    modules: &'static [&'static str],
    /// Names that start so and are not the network's.
    beside: &'static [&'static str],
}

/// A family of names.
#[derive(Debug)]
pub(super) struct Scheme {
    /// For messages.
    title: &'static str,
    /// Prefixes that win over others, which a second model in the same file may have.
    usual: &'static [&'static str],
    /// An encoder's layers and then its decoder's; most have one stack.
    stacks: &'static [Stack],
    /// Whether an up without a gate may hold both (ggml's Phi-3 and ChatGLM).
    pub up_may_hold_gate: bool,
    /// Whether weights are `[in, out]` (GPT-2's Conv1D).
    pub transposed: bool,
}

/// The tensors of one layer.
#[derive(Debug)]
pub(super) struct Found {
    pub scheme: &'static Scheme,
    /// Number of the layer in the whole model.
    pub layer: usize,
    stack: &'static Stack,
    /// What stands before the operands' names.
    stem: String,
    present: BTreeMap<Key, String>,
    /// A tensor that is the same as another.
    conflict: Option<(String, String)>,
}

impl Found {
    /// A tensor's name, where there is such a tensor.
    pub fn name(&self, part: Part, role: Role, piece: Piece) -> Option<&str> {
        self.present.get(&Key { part, role, piece }).map(String::as_str)
    }

    /// What stands before its operands' names.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Every tensor of an operand.
    pub fn pieces(&self, part: Part, role: Role) -> impl Iterator<Item = (Piece, &str)> {
        let all = self.present.iter().filter(move |(key, _)| (key.part, key.role) == (part, role));
        all.map(|(key, name)| (key.piece, name.as_str()))
    }

    /// Any tensor of an operand.
    pub fn any(&self, part: Part, role: Role) -> Option<&str> {
        self.pieces(part, role).next().map(|(_, name)| name)
    }

    /// Whether it is a mixture of experts.
    pub fn is_mixture(&self) -> bool {
        self.present.keys().any(|key| key.part != Part::Network)
    }

    /// A tensor of a part.
    pub fn any_of(&self, part: Part) -> Option<&str> {
        self.present.iter().find(|(key, _)| key.part == part).map(|(_, name)| name.as_str())
    }

    /// How many experts have tensors of their own, were there none missing.
    pub fn experts(&self) -> usize {
        let mut count = 0_usize;
        for key in self.present.keys() {
            if let Part::Expert(expert) = key.part {
                count = count.max(expert.saturating_add(1));
            }
        }
        count
    }

    /// The error for an operand that is not there; it says what it would be called.
    pub fn missing(&self, file: &Path, part: Part, role: Role, piece: Piece) -> WeightsError {
        let name = self.stack.operands.iter().find_map(|operand| operand.name(Key { part, role, piece }));
        WeightsError::Incomplete {
            file: file.to_owned(),
            layer: self.layer,
            missing: name.map_or_else(|| format!("{}{role:?}", self.stem), |name| format!("{}{name}", self.stem)),
            found: self.present.values().cloned().collect(),
        }
    }

    /// Whether every tensor of the network is understood, and none is there twice.
    pub fn check<'a>(&self, file: &Path, mut names: impl Iterator<Item = &'a str>) -> Result<()> {
        if let Some((tensor, other)) = self.conflict.clone() {
            return Err(WeightsError::Conflict { file: file.to_owned(), tensor, other });
        }
        let is_strange = |name: &str| {
            let Some(rest) = name.strip_prefix(self.stem.as_str()) else { return false };
            let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| rest.starts_with(prefix));
            starts(self.stack.modules)
                && !starts(self.stack.beside)
                && self.stack.operands.iter().all(|operand| operand.key(rest).is_none())
        };
        names
            .find(|name| is_strange(name))
            .map_or(Ok(()), |name| Err(WeightsError::NotUnderstood { file: file.to_owned(), tensor: name.to_owned() }))
    }
}

/// The model of a file.
#[derive(Debug)]
pub(super) struct Survey {
    /// By number; those of a second stack follow those of the first.
    pub layers: BTreeMap<usize, Found>,
    /// How many layers each stack has, the highest number's included.
    pub stacks: Vec<usize>,
}

impl Survey {
    /// One layer.
    pub fn layer(&self, file: &Path, layer: usize) -> Result<&Found> {
        let missing = || WeightsError::MissingLayer { file: file.to_owned(), layer, layers: self.layers.keys().copied().collect() };
        self.layers.get(&layer).ok_or_else(missing)
    }
}

/// One model in a file: a family of names behind a prefix.
type Model<'a> = (usize, &'a str);
/// The operands' names by stack and layer.
type Layers<'a> = BTreeMap<(usize, usize), Vec<(Key, &'a str)>>;

/// Finds a model's operands among the names of a file.
pub(super) fn survey<'a>(file: &Path, names: impl Iterator<Item = &'a str>) -> Result<Survey> {
    let mut models: BTreeMap<Model, Layers> = BTreeMap::new();
    let (mut first, mut count) = (Vec::new(), 0_usize);
    for name in names {
        count += 1;
        if first.len() < 6 {
            first.push(name);
        }
        for (index, scheme) in SCHEMES.iter().enumerate() {
            for (s, stack) in scheme.stacks.iter().enumerate() {
                let Some((prefix, layer, rest)) = split(name, stack.layers) else { continue };
                if let Some(key) = stack.operands.iter().find_map(|operand| operand.key(rest)) {
                    models.entry((index, prefix)).or_default().entry((s, layer)).or_default().push((key, name));
                }
            }
        }
    }
    let ((scheme, prefix), layers) = choose(file, &first, count, models)?;
    let mut found = Survey { layers: BTreeMap::new(), stacks: Vec::new() };
    for (s, stack) in scheme.stacks.iter().enumerate() {
        let before = found.stacks.iter().fold(0_usize, |sum, count| sum.saturating_add(*count));
        let mut count = 0_usize;
        for ((_, n), names) in layers.range((s, 0)..=(s, usize::MAX)) {
            count = n.saturating_add(1);
            let (layer, stem) = (before.saturating_add(*n), stack.layers.map(|marker| format!("{prefix}{marker}.{n}.")));
            let (mut present, mut conflict) = (BTreeMap::new(), None);
            for (key, name) in names {
                if let Some(other) = present.insert(*key, (*name).to_owned()) {
                    conflict = Some(((*name).to_owned(), other));
                }
            }
            found.layers.insert(layer, Found { scheme, layer, stack, stem: stem.unwrap_or_default(), present, conflict });
        }
        found.stacks.push(count);
    }
    Ok(found)
}

/// The prefix, the layer and the rest of a name; the last marker with a number counts.
fn split<'a>(name: &'a str, layers: Option<&str>) -> Option<(&'a str, usize, &'a str)> {
    let Some(marker) = layers else { return Some(("", 0, name)) };
    let places = name.rmatch_indices(marker);
    places.filter(|(at, _)| *at == 0 || name.as_bytes().get(at - 1) == Some(&b'.')).find_map(|(at, _)| {
        let (prefix, rest) = name.split_at_checked(at)?;
        let (layer, rest) = rest.strip_prefix(marker)?.strip_prefix('.')?.split_once('.')?;
        Some((prefix, number(layer)?, rest))
    })
}

/// The one model of a file that has a weight; of several, the one with a usual prefix.
fn choose<'a>(
    file: &Path,
    first: &[&str],
    count: usize,
    models: BTreeMap<Model<'a>, Layers<'a>>,
) -> Result<((&'static Scheme, &'a str), Layers<'a>)> {
    let has_weight = |layers: &Layers| {
        let mut pieces = layers.values().flatten().map(|(key, _)| key.piece);
        pieces.any(|piece| matches!(piece, Piece::Weight | Piece::Codes | Piece::Blocks))
    };
    let known = models.into_iter().filter(|(_, layers)| has_weight(layers));
    let known = known.filter_map(|((index, prefix), layers)| Some(((SCHEMES.get(index)?, prefix), layers)));
    let is_usual = |scheme: &Scheme, prefix: &str| scheme.usual.is_empty() || scheme.usual.contains(&prefix);
    let (usual, other): (Vec<_>, Vec<_>) = known.partition(|((scheme, prefix), _)| is_usual(scheme, prefix));
    let mut candidates = if usual.is_empty() { other } else { usual };
    match (candidates.pop(), candidates.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(WeightsError::NoFeedForward {
            file: file.to_owned(),
            count,
            names: first.iter().map(|name| (*name).to_owned()).collect(),
            schemes: SCHEMES.iter().map(|scheme| scheme.title).collect::<Vec<_>>().join("; "),
        }),
        (Some(last), others) => {
            let all = others.iter().chain(std::iter::once(&last));
            let found = all.filter_map(|(_, layers)| layers.values().flatten().next().map(|(_, name)| (*name).to_owned())).collect();
            Err(WeightsError::Ambiguous { file: file.to_owned(), found })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], layer: usize) -> Result<Found> {
        let file = Path::new("f");
        let mut survey = survey(file, names.iter().copied())?;
        survey.layer(file, layer)?.check(file, names.iter().copied())?;
        Ok(survey.layers.remove(&layer).unwrap())
    }

    fn weight(found: &Found, part: Part, role: Role) -> Option<&str> {
        found.name(part, role, Piece::Weight)
    }

    #[test]
    fn prefixes_and_layers_are_split_off() {
        assert_eq!(split("model.layers.12.mlp.up_proj.weight", Some("layers")), Some(("model.", 12, "mlp.up_proj.weight")));
        assert_eq!(split("layers.0.mlp.up_proj.weight", Some("layers")), Some(("", 0, "mlp.up_proj.weight")));
        assert_eq!(split("a.layers.1.layers.2.x", Some("layers")), Some(("a.layers.1.", 2, "x")));
        for name in ["sublayers.0.x", "layers.00.x", "layers.+1.x", "layers..x", "layers.0x", "x", "0.x", "layers.99999999999999999999.x"] {
            assert_eq!(split(name, Some("layers")), None, "{name}");
        }
        assert_eq!(split("a.w1", None), Some(("", 0, "a.w1")));
    }

    #[test]
    fn attention_is_not_taken_for_the_network() {
        let names = [
            "bert.encoder.layer.3.attention.output.dense.weight",
            "bert.encoder.layer.3.intermediate.dense.weight",
            "bert.encoder.layer.3.output.dense.weight",
            "bert.encoder.layer.3.output.LayerNorm.weight",
        ];
        let found = found(&names, 3).unwrap();
        assert_eq!(weight(&found, Part::Network, Role::Down), Some(names[2]));
        assert_eq!((found.name(Part::Network, Role::Down, Piece::Bias), found.any(Part::Network, Role::Gate)), (None, None));
    }

    #[test]
    fn the_language_model_wins_over_its_helpers() {
        for other in ["mtp.layers.0.mlp.up_proj.weight", "vision_tower.encoder.layers.0.mlp.fc1.weight"] {
            let names = ["language_model.model.layers.0.mlp.up_proj.weight", other];
            assert_eq!(weight(&found(&names, 0).unwrap(), Part::Network, Role::Up), Some(names[0]));
        }
        let both = ["a.layers.0.mlp.up_proj.weight", "b.layers.0.mlp.up_proj.weight"];
        assert!(matches!(found(&both, 0), Err(WeightsError::Ambiguous { found, .. }) if found == both));
        assert!(matches!(found(&["w1", "w2", "w_gate"], 0), Err(WeightsError::Ambiguous { .. })));
    }

    #[test]
    fn a_decoder_follows_its_encoder() {
        let names = [
            "encoder.block.1.layer.1.DenseReluDense.wi.weight",
            "decoder.block.0.layer.2.DenseReluDense.wi.weight",
            "decoder.block.0.layer.1.EncDecAttention.o.weight",
        ];
        assert_eq!(weight(&found(&names, 1).unwrap(), Part::Network, Role::Up), Some(names[0]));
        assert_eq!(weight(&found(&names, 2).unwrap(), Part::Network, Role::Up), Some(names[1]));
        let names = ["enc.blk.0.ffn_up.weight", "dec.blk.0.ffn_up.weight"];
        assert_eq!(weight(&found(&names, 1).unwrap(), Part::Network, Role::Up), Some(names[1]));
    }

    #[test]
    fn experts_are_numbered() {
        let names = ["layers.0.mlp.gate.weight", "layers.0.mlp.experts.11.up_proj.weight", "layers.0.mlp.shared_expert_gate.weight"];
        let found = found(&names, 0).unwrap();
        assert!(found.is_mixture() && found.experts() == 12);
        assert_eq!(weight(&found, Part::Expert(11), Role::Up), Some(names[1]));
        assert_eq!(weight(&found, Part::Experts, Role::Router), Some(names[0]));
        assert_eq!(weight(&found, Part::Shared, Role::SharedGate), Some(names[2]));
        let missing = found.missing("f".as_ref(), Part::Expert(3), Role::Up, Piece::Weight).to_string();
        assert!(missing.contains("no \"layers.0.mlp.experts.3.up_proj.weight\""), "{missing}");
    }

    #[test]
    fn strays_are_not_ignored() {
        for stray in ["blk.0.ffn_up.scale", "blk.0.ffn_gate.qweight", "blk.0.ffn_sub_norm.weight"] {
            let names = ["blk.0.ffn_up.weight", "blk.0.ffn_down.weight", "blk.0.ffn_norm.weight", stray];
            assert!(matches!(found(&names, 0), Err(WeightsError::NotUnderstood { tensor, .. }) if tensor == stray));
        }
        let names = ["layers.0.mlp.up_proj.weight", "layers.0.mlp.experts.01.up_proj.weight"];
        assert!(matches!(found(&names, 0), Err(WeightsError::NotUnderstood { tensor, .. }) if tensor == names[1]));
        let names = ["layers.0.mlp.gate.weight", "layers.0.mlp.router.weight"];
        assert!(matches!(found(&names, 0), Err(WeightsError::Conflict { .. })));
    }

    #[test]
    fn errors_say_what_there_is() {
        let names = ["blk.1.ffn_up.weight", "blk.2.ffn_up.weight", "token_embd.weight"];
        assert!(found(&names, 7).unwrap_err().to_string().contains("layers: 1-2"));
        let error = found(&["token_embd.weight", "b1"], 0).unwrap_err().to_string();
        assert!(error.contains("token_embd.weight") && error.contains("w1 b1 w2 b2"), "{error}");
        let missing = found(&names, 1).unwrap().missing("f".as_ref(), Part::Network, Role::Down, Piece::Weight).to_string();
        assert!(missing.contains("no \"blk.1.ffn_down.weight\""), "{missing}");
    }
}
