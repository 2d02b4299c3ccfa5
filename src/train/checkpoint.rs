//! Checkpoints: everything that the next step depends on.

use super::parameter::write;
use super::trainer::{Trainer, count_of};
use crate::element::Element;
use crate::error::Error;
use crate::weights::{HostData, HostTensor};

impl Trainer {
    /// Every tensor that the next step depends on, bit for bit: master weights by their names, what the optimizer keeps of
    /// them (`optimizer.0.NAME`, ...), and `state`, with `history` and `norms`, of which an evaluation reads the last step's.
    /// Waits for the last step.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub async fn checkpoint_async(&self) -> Result<Vec<(String, HostTensor)>, Error> {
        let download = async |tensor: &crate::Tensor| -> Result<HostTensor, Error> {
            let data = HostData { element: Element::F32, bytes: self.gpu().read_bytes_async(tensor).await? };
            Ok(HostTensor { shape: tensor.shape().to_vec(), data })
        };
        let mut tensors = Vec::new();
        for (name, tensor) in self.steering() {
            tensors.push((name.to_owned(), download(tensor).await?));
        }
        for parameter in self.learned() {
            tensors.push((parameter.name.clone(), download(&parameter.master).await?));
            for (k, kept) in parameter.kept.iter().enumerate() {
                tensors.push((format!("optimizer.{k}.{}", parameter.name), download(kept).await?));
            }
        }
        Ok(tensors)
    }

    /// Goes on from a checkpoint of a trainer that was made alike; the following steps have the same bits as they would have
    /// had there, on the same adapter. `get` hands over a tensor by its name.
    ///
    /// # Errors
    /// Those of `get`; [`Error::Shape`], [`Error::Kind`] or [`Error::TooSmall`] where a tensor is not this
    /// trainer's. It is then as it was.
    pub fn restore<E: From<Error>>(&mut self, mut get: impl FnMut(&str) -> Result<HostTensor, E>) -> Result<(), E> {
        let mut fitting = |name: &str, shape: &[usize]| -> Result<Vec<u8>, E> {
            let HostTensor { shape: actual, data } = get(name)?;
            if actual != shape {
                let expected = format!("{shape:?} for `{name}`");
                return Err(Error::Shape { operand: "checkpoint", expected, actual }.into());
            }
            if data.element != Element::F32 {
                return Err(Error::Kind { operand: "checkpoint", expected: Element::F32, actual: data.element }.into());
            }
            let (expected, actual) = (shape.iter().product::<usize>() * 4, data.bytes.len());
            if actual != expected {
                let (operand, shape, required) = ("checkpoint", shape.to_vec(), expected as u64);
                return Err(Error::TooSmall { operand, shape, element: data.element, offset: 0, required, actual: actual as u64 }.into());
            }
            Ok(data.bytes)
        };
        let steering = self.steering().map(|(name, tensor)| fitting(name, tensor.shape()));
        let steering = steering.into_iter().collect::<Result<Vec<_>, _>>()?;
        let taken = count_of(steering.first().map_or(&[], Vec::as_slice))?;
        let mut tensors = Vec::new();
        for parameter in self.learned() {
            let shape = parameter.master.shape();
            let master = fitting(&parameter.name, shape)?;
            let names = (0..parameter.kept.len()).map(|k| format!("optimizer.{k}.{}", parameter.name));
            let kept = names.map(|name| fitting(&name, shape)).collect::<Result<Vec<_>, _>>()?;
            tensors.push((master, kept));
        }
        for (parameter, (master, kept)) in self.learned().iter().zip(tensors) {
            parameter.set(self.gpu(), &master)?;
            parameter.kept.iter().zip(kept).for_each(|(tensor, bytes)| write(self.gpu(), tensor, &bytes));
        }
        self.steering().iter().zip(&steering).for_each(|((_, tensor), bytes)| write(self.gpu(), tensor, bytes));
        self.taken = taken;
        self.forget();
        Ok(())
    }

    /// What steers steps and tells of them.
    fn steering(&self) -> [(&'static str, &crate::Tensor); 3] {
        let tensors = self.tensors();
        [("state", &tensors.state), ("history", &tensors.history), ("norms", &tensors.norms)]
    }
}
