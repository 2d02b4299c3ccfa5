//! Four-bit weights whose scale and zero point belong to a group of inputs: what GPTQ and AWQ files hold, in one form.

/// A matrix `[out, in]` of numbers `scale * (q - zero)`. Groups are `group` inputs long; each row has a scale and a zero point
/// for each of its groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Int4 {
    /// Rows and columns: `[out, in]`.
    pub shape: [usize; 2],
    /// Inputs of a group; divides `in`.
    pub group: usize,
    /// Two numbers a byte, row by row: column 2 j in the low nibble of byte j of a row, column 2 j + 1 in the high one.
    pub codes: Vec<u8>,
    /// `[out, in / group]`.
    pub scales: Vec<f32>,
    /// `[out, in / group]`, 0 to 16.
    pub zeros: Vec<u8>,
    /// The input that each column multiplies, where columns are not in the order of the inputs (GPTQ's act-order sorts them
    /// by group).
    pub order: Option<Vec<u32>>,
}

impl Int4 {
    /// Whether the parts are as long as the shape says, and the order is one.
    pub fn is_consistent(&self) -> bool {
        let [rows, cols] = self.shape;
        let whole = self.group > 0 && cols % self.group.max(1) == 0 && cols % 2 == 0;
        let groups = rows.checked_mul(cols / self.group.max(1));
        let ordered = self.order.as_ref().is_none_or(|order| {
            let mut seen = vec![false; cols];
            order.len() == cols && order.iter().all(|i| seen.get_mut(*i as usize).is_some_and(|seen| !std::mem::replace(seen, true)))
        });
        whole
            && ordered
            && rows.checked_mul(cols / 2) == Some(self.codes.len())
            && groups == Some(self.scales.len())
            && groups == Some(self.zeros.len())
            && self.zeros.iter().all(|zero| *zero <= 16)
    }

    /// The code of a row and a column, in the order of the columns.
    pub fn code(&self, row: usize, col: usize) -> u8 {
        let byte = self.codes.get(row * (self.shape[1] / 2) + col / 2).copied().unwrap_or(0);
        byte >> (col % 2 * 4) & 15
    }

    /// The numbers `[out, in]` in f32, which holds them exactly where scales have at most 19 bits (those of f16 and bf16 do),
    /// inputs in their own order.
    pub fn dequantise(&self) -> Vec<f32> {
        let [rows, cols] = self.shape;
        let groups = cols / self.group.max(1);
        let mut out = vec![0.0; rows * cols];
        for row in 0..rows {
            for col in 0..cols {
                let at = row * groups + col / self.group.max(1);
                let (scale, zero) = (self.scales.get(at).copied().unwrap_or(0.0), self.zeros.get(at).copied().unwrap_or(0));
                let input = self.order.as_ref().and_then(|order| order.get(col)).map_or(col, |input| *input as usize);
                if let Some(value) = out.get_mut(row * cols + input) {
                    *value = scale * (f32::from(self.code(row, col)) - f32::from(zero));
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Int4 {
        Int4 {
            shape: [1, 4],
            group: 2,
            codes: vec![0x21, 0xf3],
            scales: vec![0.5, -1.0],
            zeros: vec![1, 16],
            order: Some(vec![2, 0, 3, 1]),
        }
    }

    #[test]
    fn columns_go_where_their_inputs_are() {
        assert_eq!(Int4 { order: None, ..sample() }.dequantise(), [0.0, 0.5, 13.0, 1.0]);
        assert_eq!(sample().dequantise(), [0.5, 1.0, 0.0, 13.0]);
    }

    #[test]
    fn what_does_not_fit_is_noticed() {
        assert!(sample().is_consistent());
        let wrong = [
            Int4 { group: 0, ..sample() },
            Int4 { group: 3, ..sample() },
            Int4 { codes: vec![0], ..sample() },
            Int4 { scales: vec![0.5], ..sample() },
            Int4 { zeros: vec![1, 17], ..sample() },
            Int4 { order: Some(vec![0, 1, 2, 2]), ..sample() },
            Int4 { order: Some(vec![0, 1, 2, 4]), ..sample() },
            Int4 { order: Some(vec![0, 1, 2]), ..sample() },
        ];
        assert!(wrong.iter().all(|int4| !int4.is_consistent()));
    }
}
