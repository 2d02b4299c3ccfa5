//! How long a program takes to its first result, and how much memory: opens the device, uploads a SwiGLU layer of
//! SmolLM2's size, compiles its kernels, runs 128 tokens and reads them back. Then a few rows are checked against the
//! scalar oracle. `scripts/cold-start` runs it with every cache empty.

use std::time::Instant;

use ffwd::accuracy::Random;
use ffwd::nn::{FeedForward, Layer};
use ffwd::{Element, Error, Gate, Gpu, oracle};

const TOKENS: usize = 128;
const D_MODEL: usize = 576;
const D_FF: usize = 1536;

/// Seeds.
const X: u64 = 1;
const W_GATE: u64 = 2;
const W_UP: u64 = 3;
const W_DOWN: u64 = 4;

fn main() -> Result<(), Error> {
    let mut clock = Clock::start();

    let gpu = Gpu::open(&Default::default())?;
    clock.lap("device");

    // A matrix is drawn, uploaded and forgotten before the next one, as it would be if it came from a file.
    let tensor = |seed, rows, cols| gpu.tensor(&matrix(seed, rows, cols), &[rows, cols], Element::F32);
    let gate = Gate::parse("swiglu")?;
    let layer = Layer::Gated {
        gate: gate.clone(),
        w_gate: tensor(W_GATE, D_FF, D_MODEL)?.into(),
        w_up: tensor(W_UP, D_FF, D_MODEL)?.into(),
        biases: None,
        w_down: tensor(W_DOWN, D_MODEL, D_FF)?.into(),
        b_down: None,
    };
    let (input, output) = (tensor(X, TOKENS, D_MODEL)?, gpu.zeros(&[TOKENS, D_MODEL], Element::F32)?);
    clock.lap("draw and upload");

    let bound = FeedForward::new(&gpu, layer).bind(&input, &output)?;
    clock.lap("kernels");

    bound.submit(&gpu);
    let y = gpu.read_back(&output)?;
    clock.lap("run");
    println!("{:16} {:6.3} s after the process began", "first result", clock.total);
    print_peak_memory("peak memory");
    println!("{:16} {:6.1} MB of that", "layer and rows", bound.bytes() as f64 / 1e6);

    // The same numbers once more. Rows do not know each other.
    let (x, w_gate, w_up) = (matrix(X, TOKENS, D_MODEL), matrix(W_GATE, D_FF, D_MODEL), matrix(W_UP, D_FF, D_MODEL));
    let w_down = matrix(W_DOWN, D_MODEL, D_FF);
    let weights = oracle::GatedWeights {
        d_model: D_MODEL,
        d_ff: D_FF,
        w_gate: &w_gate,
        b_gate: None,
        w_up: &w_up,
        b_up: None,
        w_down: &w_down,
        b_down: None,
    };
    for token in [0, 77, TOKENS - 1] {
        let row = token * D_MODEL..(token + 1) * D_MODEL;
        for (y, truth) in y[row.clone()].iter().zip(oracle::gated(&x[row], 1, &weights, &gate)) {
            let allowed = (D_MODEL + D_FF) as f64 * f64::exp2(-24.0) * truth.terms;
            assert!((f64::from(*y) - truth.value).abs() <= allowed, "{y} for {} in token {token}", truth.value);
        }
    }
    clock.lap("draw and check");
    print_peak_memory("peak, with check");
    println!("three rows of {TOKENS} are right on {}", gpu.info().name);
    Ok(())
}

/// A random matrix, the same each time.
fn matrix(seed: u64, rows: usize, cols: usize) -> Vec<f32> {
    let mut random = Random::new(seed);
    let scale = 1.0 / (cols as f32).sqrt();
    (0..rows * cols).map(|_| random.uniform(-scale, scale)).collect()
}

/// Seconds since the process began, part by part.
struct Clock {
    last: Instant,
    total: f64,
}

impl Clock {
    fn start() -> Self {
        let mut clock = Self { last: Instant::now(), total: 0.0 };
        clock.record("before main", before_main().unwrap_or(0.0));
        clock
    }

    fn lap(&mut self, part: &str) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.record(part, seconds);
    }

    fn record(&mut self, part: &str, seconds: f64) {
        self.total += seconds;
        println!("{part:16} {seconds:6.3} s");
    }
}

/// Seconds that this process is old, to a hundredth; only Linux says.
fn before_main() -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields are counted from after the name, which may hold spaces; the 22nd is in hundredths since the machine started.
    let start: f64 = stat.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    Some((uptime.split_whitespace().next()?.parse::<f64>().ok()? - start / 100.0).max(0.0))
}

/// The most bytes that this process has had in memory so far; only Linux says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn print_peak_memory(name: &str) {
    match peak_memory() {
        Some(bytes) => println!("{name:16} {:6.1} MB", bytes as f64 / 1e6),
        None => println!("{name:16} unknown here"),
    }
}
