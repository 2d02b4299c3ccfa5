//! An operand as a file holds it: in one tensor, in several, or in one for each expert. Shapes are known and checked before a
//! byte is read.

use super::error::{Difference, Result, WeightsError};
use super::host::{HostTensor, HostWeight};
use super::int4::Tensors4;
use super::mxfp4;
use super::source::{Header, Source};

/// Where an operand lies.
#[derive(Debug)]
enum Place {
    Tensor(String),
    /// The same with its last two dimensions exchanged.
    Transposed(String),
    Int4(Tensors4),
    Mxfp4 {
        blocks: String,
        scales: String,
    },
    /// One for each expert.
    Each(Vec<Stored>),
}

/// An operand in its file.
#[derive(Debug)]
pub(super) struct Stored {
    place: Place,
    header: Header,
}

impl Stored {
    pub fn tensor(source: &dyn Source, name: &str) -> Result<Self> {
        Ok(Self { header: source.header(name)?, place: Place::Tensor(name.to_owned()) })
    }

    pub fn int4(source: &dyn Source, tensors: Tensors4) -> Result<Self> {
        Ok(Self { header: tensors.header(source)?, place: Place::Int4(tensors) })
    }

    pub fn mxfp4(source: &dyn Source, blocks: &str, scales: &str) -> Result<Self> {
        let header = mxfp4::header(source, blocks, scales)?;
        Ok(Self { header, place: Place::Mxfp4 { blocks: blocks.to_owned(), scales: scales.to_owned() } })
    }

    /// All experts', which have to be alike.
    pub fn each(source: &dyn Source, experts: Vec<Self>) -> Result<Self> {
        let Some(first) = experts.first() else {
            return Err(WeightsError::Unsaid { file: source.file().to_owned(), what: "any expert", keys: Vec::new() });
        };
        let text = |stored: &Self| format!("{} {:?}", stored.header.kind, stored.header.shape);
        if let Some(other) = experts.iter().find(|expert| text(expert) != text(first)) {
            return Err(unlike(source, [other.name(), &text(other), first.name(), &text(first)]));
        }
        let shape = std::iter::once(experts.len()).chain(first.header.shape.iter().copied()).collect();
        let bytes = experts.iter().fold(0_u64, |sum, expert| sum.saturating_add(expert.header.bytes));
        Ok(Self { header: Header { shape, kind: first.header.kind.clone(), bytes }, place: Place::Each(experts) })
    }

    /// The same with its last two dimensions exchanged, where it is one tensor.
    pub fn transposed(mut self) -> Self {
        if let Place::Tensor(name) = self.place {
            self.place = Place::Transposed(name);
            if let [.., rows, cols] = self.header.shape.as_mut_slice() {
                std::mem::swap(rows, cols);
            }
        }
        self
    }

    /// A vector as a matrix of one row.
    pub fn into_row(mut self) -> Self {
        if let [length] = *self.header.shape {
            self.header.shape = vec![1, length];
        }
        self
    }

    /// Its tensor's name, or its first one's.
    pub fn name(&self) -> &str {
        match &self.place {
            Place::Tensor(name) | Place::Transposed(name) => name,
            Place::Int4(tensors) => &tensors.codes,
            Place::Mxfp4 { blocks, .. } => blocks,
            Place::Each(experts) => experts.first().map_or("", Self::name),
        }
    }

    /// Dimensions as they will be in memory.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads it.
    pub fn read(&self, source: &dyn Source) -> Result<HostWeight> {
        let shape = &self.header.shape;
        Ok(match &self.place {
            Place::Tensor(name) => with_shape(source.weight(name)?, shape),
            // Blocks run along the inputs, which are rows here: they cannot be turned without being decoded.
            Place::Transposed(name) => source.weight(name)?.into_plain().transposed().ok_or_else(|| self.odd(source))?.into(),
            Place::Int4(tensors) => tensors.read(source, shape)?,
            Place::Mxfp4 { blocks, scales } => mxfp4::read(source, blocks, scales, shape)?,
            Place::Each(experts) => {
                let mut all: Option<HostWeight> = None;
                for expert in experts {
                    let weight = expert.read(source)?;
                    let Some(all) = &mut all else {
                        all = Some(weight);
                        continue;
                    };
                    if !all.append(weight) {
                        return Err(self.unlike_order(source, expert));
                    }
                }
                with_shape(all.ok_or_else(|| self.odd(source))?, shape)
            }
        })
    }

    /// Reads it as plain numbers, which biases and routers are.
    pub fn read_plain(&self, source: &dyn Source) -> Result<HostTensor> {
        self.read(source).map(HostWeight::into_plain)
    }

    fn odd(&self, source: &dyn Source) -> WeightsError {
        let (file, tensor, found) = (source.file().to_owned(), self.name().to_owned(), self.header.shape.clone());
        WeightsError::TensorShape { file, tensor, found, expected: "a matrix without a zero".into() }
    }

    /// Kinds and shapes were held against each other: what is left is the order of inputs.
    fn unlike_order(&self, source: &dyn Source, expert: &Self) -> WeightsError {
        let says = ["in one order of inputs (act-order)", "in another, and experts share one"];
        unlike(source, [expert.name(), says[0], self.name(), says[1]])
    }
}

fn unlike(source: &dyn Source, names: [&str; 4]) -> WeightsError {
    let [one, says, other, found] = names.map(str::to_owned);
    WeightsError::Unlike { file: source.file().to_owned(), difference: Box::new(Difference { one, says, other, found }) }
}

/// The same numbers in another shape; int4 has two dimensions always.
fn with_shape(weight: HostWeight, shape: &[usize]) -> HostWeight {
    match weight {
        HostWeight::Plain(tensor) => HostWeight::Plain(HostTensor { shape: shape.to_vec(), ..tensor }),
        HostWeight::Blocks { block, bytes, .. } => HostWeight::Blocks { shape: shape.to_vec(), block, bytes },
        int4 @ HostWeight::Int4(_) => int4,
    }
}
