//! Learnable parameters that come as tensors.

use ffwd::weights::{HostTensor, Tensors};
use ffwd::{Activation, Element, Gpu, Tensor};

use crate::error::{CliError, message};

/// The table of all learnable parameters, `[parameters, channels]`, and which of them came as tensors.
#[derive(Debug)]
pub struct Learned {
    table: Vec<f32>,
    channels: usize,
    given: Vec<Group>,
}

/// Parameters that one tensor holds.
#[derive(Debug)]
struct Group {
    name: &'static str,
    first: usize,
    count: usize,
    tensor: HostTensor,
}

impl Group {
    fn channels(&self) -> Result<usize, CliError> {
        let shape = &self.tensor.shape;
        let len: usize = shape.iter().product();
        let fits = self.count == 1 || shape.first() == Some(&self.count) && shape.len() <= 2;
        if fits && len > 0 {
            return Ok(len / self.count);
        }
        let wanted = if self.count == 1 { "[channels]".into() } else { format!("[{0}] or [{0}, channels]", self.count) };
        message(format!("`{}` has shape {shape:?}; {wanted} is needed", self.name))
    }
}

impl Learned {
    /// The tensors named as the activation's learnable parameters; `None` where there are none. Parameters without a tensor have
    /// the activation's own values in every channel.
    pub fn read(activation: &Activation, tensors: &Tensors, channels: Option<usize>) -> Result<Option<Self>, CliError> {
        let mut given = Vec::new();
        let mut first = 0;
        for &(name, count) in activation.learnable() {
            if tensors.shape(name).is_some() {
                given.push(Group { name, first, count, tensor: tensors.get(name)? });
            }
            first += count;
        }
        let Some(group) = given.first() else {
            return match channels {
                None | Some(1) => Ok(None),
                Some(n) => message(format!("channels={n}, and the input has no tensor {}", names(activation))),
            };
        };
        let wanted = channels.unwrap_or(group.channels()?);
        for group in &given {
            let found = group.channels()?;
            if found != wanted {
                return message(format!("`{}` has {found} channels; {wanted} are needed", group.name));
            }
        }
        let values = activation.values();
        let mut table: Vec<f32> = values[..first].iter().flat_map(|value| std::iter::repeat_n(*value as f32, wanted)).collect();
        for group in &given {
            table[group.first * wanted..][..group.count * wanted].copy_from_slice(&group.tensor.to_f32());
        }
        Ok(Some(Self { table, channels: wanted, given }))
    }

    /// On the device.
    pub fn upload(&self, gpu: &Gpu) -> Result<Tensor, CliError> {
        let shape = [self.table.len() / self.channels, self.channels];
        Ok(gpu.tensor(&self.table, &shape, Element::F32)?)
    }

    /// The gradients of the tensors, from that of the table.
    pub fn gradients(&self, table: &[f32]) -> Result<Vec<(String, HostTensor)>, CliError> {
        let gradient = |group: &Group| {
            let part = table.get(group.first * self.channels..).and_then(|part| part.get(..group.count * self.channels));
            let tensor = HostTensor::new(&group.tensor.shape, Element::F32, part.unwrap_or_default())?;
            Ok((format!("d{}", group.name), tensor))
        };
        self.given.iter().map(gradient).collect()
    }
}

fn names(activation: &Activation) -> String {
    activation.learnable().iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}
