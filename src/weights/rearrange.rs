//! Rows in another order: gate and up out of one tensor, weights of another library's layout, one tensor of many.

use super::host::{HostData, HostTensor, HostWeight};
use crate::gate::Layout;
use crate::quantised::Int4;

/// Every `rows` rows of `data`, of which there are `outer` times as many, as gate and up; `None` where they cannot be halved.
fn split<T: Clone>(data: &[T], outer: usize, rows: usize, layout: Layout) -> Option<(Vec<T>, Vec<T>)> {
    let count = outer.checked_mul(rows).filter(|_| rows.is_multiple_of(2))?;
    if count == 0 || !data.len().is_multiple_of(count) {
        return None;
    }
    let row = data.len() / count;
    let (mut gate, mut up) = (Vec::with_capacity(data.len() / 2), Vec::with_capacity(data.len() / 2));
    // Halves of all rows, or every other row: what alternates is longer or shorter, no more.
    let run = match layout {
        Layout::Interleaved => row,
        Layout::Packed | Layout::Swapped | Layout::Separate => row * (rows / 2),
    };
    for (i, rows) in data.chunks_exact(run.max(1)).enumerate() {
        if (i % 2 == 0) == (layout != Layout::Swapped) { &mut gate } else { &mut up }.extend_from_slice(rows);
    }
    Some((gate, up))
}

/// The shape with `axis` halved, and how often what lies below it comes.
fn halved(shape: &[usize], axis: usize) -> Option<(Vec<usize>, usize, usize)> {
    let rows = *shape.get(axis)?;
    let outer = shape.get(..axis)?.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))?;
    let mut half = shape.to_vec();
    *half.get_mut(axis)? = rows / 2;
    Some((half, outer, rows))
}

impl HostTensor {
    /// Gate and up, that share dimension `axis`; `None` where it cannot be halved.
    pub(super) fn split(&self, axis: usize, layout: Layout) -> Option<(Self, Self)> {
        let (shape, outer, rows) = halved(&self.shape, axis)?;
        let (gate, up) = split(&self.data.bytes, outer, rows, layout)?;
        let half = |bytes| Self { shape: shape.clone(), data: HostData { element: self.data.element, bytes } };
        Some((half(gate), half(up)))
    }

    /// The last two dimensions exchanged.
    pub(super) fn transposed(self) -> Option<Self> {
        let Self { mut shape, data: HostData { element, bytes } } = self;
        let [.., rows, cols] = shape.as_mut_slice() else { return None };
        let size = usize::try_from(element.size()).ok()?;
        let (r, c) = (*rows, *cols);
        let matrix = r.checked_mul(c)?.checked_mul(size).filter(|bytes| *bytes > 0)?;
        std::mem::swap(rows, cols);
        let mut out = Vec::with_capacity(bytes.len());
        for matrix in bytes.chunks_exact(matrix) {
            for col in 0..c {
                for row in 0..r {
                    let at = (row * c + col) * size;
                    out.extend_from_slice(matrix.get(at..at + size)?);
                }
            }
        }
        Some(Self { shape, data: HostData { element, bytes: out } })
    }
}

impl HostWeight {
    /// Gate and up, that share the rows; `None` where those are odd. Of int4 each half is what the whole is.
    pub(super) fn split(&self, layout: Layout) -> Option<(Self, Self)> {
        let axis = self.shape().len().checked_sub(2)?;
        match self {
            Self::Plain(tensor) => tensor.split(axis, layout).map(|(gate, up)| (Self::Plain(gate), Self::Plain(up))),
            Self::Blocks { shape, block, bytes } => {
                let (shape, outer, rows) = halved(shape, axis)?;
                let (gate, up) = split(bytes, outer, rows, layout)?;
                let half = |bytes| Self::Blocks { shape: shape.clone(), block: *block, bytes };
                Some((half(gate), half(up)))
            }
            Self::Int4(Int4 { shape: [rows, cols], group, codes, scales, zeros, order }) => {
                let (codes, scales, zeros) =
                    (split(codes, 1, *rows, layout)?, split(scales, 1, *rows, layout)?, split(zeros, 1, *rows, layout)?);
                let half = |codes, scales, zeros| {
                    Self::Int4(Int4 { shape: [rows / 2, *cols], group: *group, codes, scales, zeros, order: order.clone() })
                };
                Some((half(codes.0, scales.0, zeros.0), half(codes.1, scales.1, zeros.1)))
            }
        }
    }

    /// Appends a matrix of the same kind and width; false where it is of another.
    pub(super) fn append(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::Plain(all), Self::Plain(one)) if all.element() == one.element() => all.data.bytes.extend(one.data.bytes),
            (Self::Blocks { block, bytes, .. }, Self::Blocks { block: other, bytes: one, .. }) if *block == other => bytes.extend(one),
            (Self::Int4(all), Self::Int4(one)) if (all.group, &all.order) == (one.group, &one.order) => {
                all.shape[0] = all.shape[0].saturating_add(one.shape[0]);
                all.codes.extend(one.codes);
                all.scales.extend(one.scales);
                all.zeros.extend(one.zeros);
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use crate::quantised::Block;

    fn counting(shape: &[usize]) -> HostTensor {
        let count = shape.iter().product::<usize>();
        HostTensor::new(shape, Element::F16, &(0..count).map(|i| i as f32).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn gate_and_up_part_in_every_layout() {
        let vector = counting(&[2, 4]);
        for (layout, gate) in
            [(Layout::Packed, [0.0, 1.0, 4.0, 5.0]), (Layout::Swapped, [2.0, 3.0, 6.0, 7.0]), (Layout::Interleaved, [0.0, 2.0, 4.0, 6.0])]
        {
            let (first, second) = vector.split(1, layout).unwrap();
            assert_eq!((first.shape.as_slice(), first.to_f32()), (&[2, 2][..], gate.to_vec()));
            assert_eq!(second.to_f32().iter().sum::<f32>(), 28.0 - gate.iter().sum::<f32>());
        }
        let weight = HostWeight::Plain(counting(&[2, 2, 2]));
        let (gate, up) = weight.split(Layout::Packed).unwrap();
        assert_eq!((gate.to_f32(), up.to_f32()), (vec![0.0, 1.0, 4.0, 5.0], vec![2.0, 3.0, 6.0, 7.0]));
        assert!(counting(&[3]).split(0, Layout::Packed).is_none());
        assert!(counting(&[3]).split(1, Layout::Packed).is_none());
    }

    #[test]
    fn blocks_and_int4_part_as_numbers_do() {
        let bytes: Vec<u8> = (0..4 * 34_u8).collect();
        let blocks = HostWeight::Blocks { shape: vec![4, 32], block: Block::Q8_0, bytes };
        let int4 = Int4 {
            shape: [4, 2],
            group: 2,
            codes: vec![1, 2, 3, 4],
            scales: vec![1.0, 2.0, 3.0, 4.0],
            zeros: vec![0, 1, 2, 3],
            order: Some(vec![1, 0]),
        };
        for weight in [blocks, HostWeight::Int4(int4)] {
            let all = weight.to_f32();
            let row = all.len() / 4;
            for layout in [Layout::Packed, Layout::Interleaved] {
                let (gate, up) = weight.split(layout).unwrap();
                let mut together = gate.to_f32();
                together.extend(up.to_f32());
                let order = if layout == Layout::Packed { [0, 1, 2, 3] } else { [0, 2, 1, 3] };
                let want: Vec<f32> = order.iter().flat_map(|r| all[r * row..(r + 1) * row].to_vec()).collect();
                assert_eq!(together, want);
            }
            let (mut gate, up) = weight.split(Layout::Packed).unwrap();
            assert!(gate.append(up) && gate.to_f32() == all);
            assert!(!gate.append(counting(&[1, 2]).into()));
        }
    }

    #[test]
    fn matrices_are_transposed_one_by_one() {
        let tensor = counting(&[2, 2, 3]).transposed().unwrap();
        assert_eq!(tensor.shape, [2, 3, 2]);
        assert_eq!(tensor.to_f32(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]);
        assert!(counting(&[3]).transposed().is_none());
    }
}
