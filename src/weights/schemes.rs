//! What the field calls the operands of a feed-forward network, and finding them among a file's names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::{Result, WeightsError};

/// What a tensor is to the network; without a gate, `Up` is the first linear map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Gate,
    Up,
    Down,
    /// Gate and up in one tensor, gate first.
    GateUp,
}

/// A family of names.
#[derive(Debug)]
pub(super) struct Scheme {
    /// For messages.
    pub title: &'static str,
    /// What stands before the layer's number: `layers` in `model.layers.3.mlp`. None where the file holds one network.
    layers: Option<&'static str>,
    /// Prefixes that win over others, which a second model in the same file may have.
    usual: &'static [&'static str],
    /// Role, name of the weight, name of the bias.
    operands: &'static [(Role, &'static str, &'static str)],
    /// Whether an up without a gate may hold both (ggml's Phi-3 and ChatGLM).
    pub up_may_hold_gate: bool,
}

const HUGGING_FACE: &[(Role, &str, &str)] = &[
    (Role::Gate, "mlp.gate_proj.weight", "mlp.gate_proj.bias"),
    (Role::Up, "mlp.up_proj.weight", "mlp.up_proj.bias"),
    (Role::Down, "mlp.down_proj.weight", "mlp.down_proj.bias"),
    (Role::GateUp, "mlp.gate_up_proj.weight", "mlp.gate_up_proj.bias"),
];

const SCHEMES: &[Scheme] = &[
    Scheme {
        title: "w1 b1 w2 b2",
        layers: None,
        usual: &[],
        operands: &[(Role::Up, "w1", "b1"), (Role::Down, "w2", "b2")],
        up_may_hold_gate: false,
    },
    Scheme {
        title: "w_gate b_gate w_up b_up w_down b_down",
        layers: None,
        usual: &[],
        operands: &[(Role::Gate, "w_gate", "b_gate"), (Role::Up, "w_up", "b_up"), (Role::Down, "w_down", "b_down")],
        up_may_hold_gate: false,
    },
    Scheme {
        title: "blk.N.ffn_{gate,up,down}.weight (GGUF)",
        layers: Some("blk"),
        usual: &[""],
        operands: &[
            (Role::Gate, "ffn_gate.weight", "ffn_gate.bias"),
            (Role::Up, "ffn_up.weight", "ffn_up.bias"),
            (Role::Down, "ffn_down.weight", "ffn_down.bias"),
        ],
        up_may_hold_gate: true,
    },
    Scheme {
        title: "model.layers.N.mlp.{gate,up,down,gate_up}_proj.weight (Hugging Face, Llama and its kin)",
        layers: Some("layers"),
        usual: &["", "model."],
        operands: HUGGING_FACE,
        up_may_hold_gate: false,
    },
    Scheme { title: "mlp.gate_proj.weight (one layer)", layers: None, usual: &[], operands: HUGGING_FACE, up_may_hold_gate: false },
    Scheme {
        title: "gate_proj.weight (one layer)",
        layers: None,
        usual: &[],
        operands: &[
            (Role::Gate, "gate_proj.weight", "gate_proj.bias"),
            (Role::Up, "up_proj.weight", "up_proj.bias"),
            (Role::Down, "down_proj.weight", "down_proj.bias"),
            (Role::GateUp, "gate_up_proj.weight", "gate_up_proj.bias"),
        ],
        up_may_hold_gate: false,
    },
    Scheme {
        title: "encoder.layer.N.{intermediate,output}.dense.weight (BERT and its kin)",
        layers: Some("encoder.layer"),
        usual: &["", "bert."],
        operands: &[
            (Role::Up, "intermediate.dense.weight", "intermediate.dense.bias"),
            (Role::Down, "output.dense.weight", "output.dense.bias"),
        ],
        up_may_hold_gate: false,
    },
];

/// The operands of one layer.
#[derive(Debug)]
pub(super) struct Found {
    pub scheme: &'static Scheme,
    /// What stands before the operands' names.
    stem: String,
    present: BTreeSet<String>,
}

impl Found {
    fn name(&self, role: Role, bias: bool) -> Option<String> {
        let (_, w, b) = self.scheme.operands.iter().find(|(r, ..)| *r == role)?;
        Some(format!("{}{}", self.stem, if bias { b } else { w }))
    }

    /// The tensor's name, where there is such a tensor.
    pub fn weight(&self, role: Role) -> Option<String> {
        self.name(role, false).filter(|name| self.present.contains(name))
    }

    /// As [`Found::weight`].
    pub fn bias(&self, role: Role) -> Option<String> {
        self.name(role, true).filter(|name| self.present.contains(name))
    }

    /// The tensor's name, or an error that says which it would have been.
    pub fn needed(&self, role: Role, file: &Path, layer: usize) -> Result<String> {
        self.weight(role).ok_or_else(|| WeightsError::Incomplete {
            file: file.to_owned(),
            layer,
            missing: self.name(role, false).unwrap_or_default(),
            found: self.present.iter().cloned().collect(),
        })
    }
}

/// One model in a file: a family of names behind a prefix.
type Model = (usize, String);
/// The operands' names by layer.
type Layers = BTreeMap<usize, BTreeSet<String>>;

/// Finds a layer's operands among the names of a file.
pub(super) fn find(file: &Path, names: &[&str], layer: usize) -> Result<Found> {
    let mut models: BTreeMap<Model, Layers> = BTreeMap::new();
    for name in names {
        for (index, scheme) in SCHEMES.iter().enumerate() {
            for (_, weight, bias) in scheme.operands {
                if let Some((prefix, layer)) = split(name, scheme.layers, weight).or_else(|| split(name, scheme.layers, bias)) {
                    let layers = models.entry((index, prefix.to_owned())).or_default();
                    layers.entry(layer).or_default().insert((*name).to_owned());
                }
            }
        }
    }
    let ((index, prefix), mut layers) = choose(file, names, models)?;
    let Some((scheme, present)) = SCHEMES.get(index).zip(layers.remove(&layer)) else {
        return Err(WeightsError::MissingLayer { file: file.to_owned(), layer, layers: layers.into_keys().collect() });
    };
    let stem = scheme.layers.map_or_else(String::new, |marker| format!("{prefix}{marker}.{layer}."));
    let found = Found { scheme, stem, present };
    nothing_ignored(file, names, &found)?;
    Ok(found)
}

/// The prefix and the layer of a name that is this operand.
fn split<'a>(name: &'a str, layers: Option<&str>, operand: &str) -> Option<(&'a str, usize)> {
    let Some(marker) = layers else { return (name == operand).then_some(("", 0)) };
    let (head, number) = name.strip_suffix(operand)?.strip_suffix('.')?.rsplit_once('.')?;
    let layer: usize = number.parse().ok().filter(|n: &usize| n.to_string() == number)?;
    let prefix = head.strip_suffix(marker)?;
    (prefix.is_empty() || prefix.ends_with('.')).then_some((prefix, layer))
}

/// The one model of a file that has a weight; of several, the one with a usual prefix.
fn choose(file: &Path, names: &[&str], models: BTreeMap<Model, Layers>) -> Result<(Model, Layers)> {
    let is_weight = |index: usize, name: &String| {
        SCHEMES.get(index).is_some_and(|scheme| scheme.operands.iter().any(|(_, weight, _)| name.ends_with(weight)))
    };
    let is_usual = |(index, prefix): &Model| {
        SCHEMES.get(*index).is_some_and(|scheme| scheme.layers.is_none() || scheme.usual.contains(&prefix.as_str()))
    };
    let with_weights = models.into_iter().filter(|((index, _), layers)| layers.values().flatten().any(|name| is_weight(*index, name)));
    let (usual, other): (Vec<_>, Vec<_>) = with_weights.partition(|(model, _)| is_usual(model));
    let mut candidates = if usual.is_empty() { other } else { usual };
    match (candidates.pop(), candidates.as_slice()) {
        (Some(only), []) => Ok(only),
        (None, _) => Err(WeightsError::NoFeedForward {
            file: file.to_owned(),
            count: names.len(),
            names: names.iter().take(6).map(|name| (*name).to_owned()).collect(),
            schemes: SCHEMES.iter().map(|scheme| scheme.title).collect::<Vec<_>>().join("; "),
        }),
        (Some(last), others) => {
            let all = others.iter().chain(std::iter::once(&last));
            let found = all.filter_map(|(_, layers)| layers.values().flatten().next().cloned()).collect();
            Err(WeightsError::Ambiguous { file: file.to_owned(), found })
        }
    }
}

/// A tensor in an operand's module that is neither its weight nor its bias (a scale, a quantised weight, an adapter)
/// changes what the network computes.
fn nothing_ignored(file: &Path, names: &[&str], found: &Found) -> Result<()> {
    let modules: Vec<String> =
        found.scheme.operands.iter().filter_map(|(_, w, _)| Some(format!("{}{}", found.stem, w.strip_suffix("weight")?))).collect();
    let stray = names.iter().find(|name| modules.iter().any(|m| name.starts_with(m.as_str())) && !found.present.contains(**name));
    stray.map_or(Ok(()), |name| Err(WeightsError::NotUnderstood { file: file.to_owned(), tensor: (*name).to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], layer: usize) -> Result<Found> {
        find("f".as_ref(), names, layer)
    }

    #[test]
    fn prefixes_and_layers_are_split_off() {
        assert_eq!(split("model.layers.12.mlp.up_proj.weight", Some("layers"), "mlp.up_proj.weight"), Some(("model.", 12)));
        assert_eq!(split("layers.0.mlp.up_proj.weight", Some("layers"), "mlp.up_proj.weight"), Some(("", 0)));
        for name in ["sublayers.0.x", "layers.00.x", "layers.+1.x", "layers..x", "layers.0x", "x", "0.x", "layers.99999999999999999999.x"] {
            assert_eq!(split(name, Some("layers"), "x"), None, "{name}");
        }
        assert_eq!(split("w1", None, "w1"), Some(("", 0)));
        assert_eq!(split("a.w1", None, "w1"), None);
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
        assert_eq!(found.weight(Role::Down).as_deref(), Some(names[2]));
        assert_eq!((found.bias(Role::Down), found.weight(Role::Gate)), (None, None));
    }

    #[test]
    fn the_language_model_wins_over_its_helpers() {
        let names = ["model.layers.0.mlp.up_proj.weight", "mtp.layers.0.mlp.up_proj.weight"];
        assert_eq!(found(&names, 0).unwrap().weight(Role::Up).as_deref(), Some(names[0]));
        let both = ["a.layers.0.mlp.up_proj.weight", "b.layers.0.mlp.up_proj.weight"];
        assert!(matches!(found(&both, 0), Err(WeightsError::Ambiguous { found, .. }) if found == both));
        assert!(matches!(found(&["w1", "w2", "w_gate"], 0), Err(WeightsError::Ambiguous { .. })));
    }

    #[test]
    fn strays_are_not_ignored() {
        for stray in ["blk.0.ffn_up.scale", "blk.0.ffn_gate.qweight"] {
            let names = ["blk.0.ffn_up.weight", "blk.0.ffn_down.weight", stray];
            assert!(matches!(found(&names, 0), Err(WeightsError::NotUnderstood { tensor, .. }) if tensor == stray));
        }
    }

    #[test]
    fn errors_say_what_there_is() {
        let names = ["blk.1.ffn_up.weight", "blk.2.ffn_up.weight", "token_embd.weight"];
        assert!(found(&names, 7).unwrap_err().to_string().contains("layers: 1-2"));
        let error = found(&["token_embd.weight", "b1"], 0).unwrap_err().to_string();
        assert!(error.contains("token_embd.weight") && error.contains("w1 b1 w2 b2"), "{error}");
        let error = found(&names, 1).unwrap().needed(Role::Down, "f".as_ref(), 1).unwrap_err().to_string();
        assert!(error.contains("no \"blk.1.ffn_down.weight\""), "{error}");
    }
}
