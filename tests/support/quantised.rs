//! Quantised weights with random codes and scales, and the numbers that they stand for.

use ffwd::Gpu;
use ffwd::accuracy::Random;
use ffwd::gpu::Quantised;
use ffwd::quantised::{Block, Int4, Packing};

/// A matrix on the host.
pub enum Matrix {
    Blocks { block: Block, bytes: Vec<u8> },
    Int4(Int4),
}

/// Every packing, int4 with groups of one and of several blocks.
pub fn packings() -> Vec<Packing> {
    Block::ALL.map(Packing::Block).into_iter().chain([32, 64].map(|group| Packing::Int4 { group })).collect()
}

fn bytes(random: &mut Random, count: usize) -> Vec<u8> {
    (0..count).map(|_| random.uniform(0.0, 256.0) as u8).collect()
}

/// Any codes, and scales of either sign, of which every ninth is 0.
pub fn random(packing: Packing, [rows, cols]: [usize; 2], seed: u64) -> Matrix {
    let mut random = Random::new(seed);
    let mut scale = {
        let mut random = Random::new(seed + 1);
        move |i: usize| if i % 9 == 4 { 0.0 } else { random.uniform(-0.1, 0.1) }
    };
    match packing {
        Packing::Block(block) => {
            let mut bytes = bytes(&mut random, rows * cols / block.len() * block.size());
            for (i, block_bytes) in bytes.chunks_exact_mut(block.size()).enumerate() {
                let mut put = |at: usize, value: f32| block_bytes[at..at + 2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
                match block {
                    Block::Q8_0 | Block::Q4_0 | Block::Q5_0 => put(0, scale(i)),
                    Block::Q4_1 | Block::Q5_1 | Block::Q4_K | Block::Q5_K => {
                        put(0, scale(i));
                        put(2, scale(i));
                    }
                    Block::Q6_K => put(208, scale(i)),
                    Block::MXFP4 => block_bytes[0] = 120 + (i % 11) as u8,
                }
            }
            Matrix::Blocks { block, bytes }
        }
        Packing::Int4 { group } => {
            let groups = rows * cols / group as usize;
            let zeros = (0..groups).map(|i| (i % 17) as u8).collect();
            let scales = (0..groups).map(|i| half::f16::from_f32(scale(i)).to_f32()).collect();
            Matrix::Int4(Int4 {
                shape: [rows, cols],
                group: group as usize,
                codes: bytes(&mut random, rows * cols / 2),
                scales,
                zeros,
                order: None,
            })
        }
    }
}

impl Matrix {
    /// What it stands for, by the formats' own arithmetic.
    pub fn numbers(&self) -> Vec<f32> {
        match self {
            Self::Blocks { block, bytes } => {
                let mut out = Vec::new();
                block.dequantise(bytes, &mut out);
                out
            }
            Self::Int4(int4) => int4.dequantise(),
        }
    }

    pub fn upload(&self, gpu: &Gpu, shape: [usize; 2]) -> Quantised {
        match self {
            Self::Blocks { block, bytes } => gpu.quantised_blocks(bytes, &shape, *block).unwrap(),
            Self::Int4(int4) => gpu.quantised_int4(int4).unwrap(),
        }
    }
}
