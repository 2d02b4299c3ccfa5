//! Files that lie about themselves: whatever they claim, they are refused or read, without a panic and without more memory
//! than a file of their size has any business with. The normal run takes a few seconds; for as many as you like:
//!
//!     FFWD_HOSTILE_SECONDS=600 cargo test --release --test hostile_files

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ffwd::Element;
use ffwd::accuracy::Random;
use ffwd::weights::{
    Block, Encoding, GgufWriter, HostTensor, Tensors, Value, load_feed_forward, read_gguf, read_safetensors, write_safetensors_with,
};

/// The system's allocator, counted.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test at a time: the counts are of the whole process.
static TURN: Mutex<()> = Mutex::new(());

fn grown(by: usize) {
    PEAK.fetch_max(LIVE.fetch_add(by, Ordering::Relaxed) + by, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    // Moving is counted as if both were there, which they may be.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that a file of this size may cost at any time.
fn allowed(size: usize) -> usize {
    64 * size + (1 << 20)
}

/// Runs `f` and returns the most bytes that were allocated meanwhile beyond those before.
fn peak_of(f: impl FnOnce()) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    f();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// What a header of safetensors is made of.
const JSON: &[u8] = b"0123456789[]{}\",:-.e\\ ";

/// Lies drawn at random.
struct Liar(Random);

impl Liar {
    fn next(&mut self) -> u64 {
        self.0.bits()
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// A number that a header might lie with.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => u64::MAX - self.next() % 64,
            1 => 1 << self.below(64),
            2 => (1_u64 << self.below(64)).wrapping_sub(1),
            3 => self.next() % 64,
            4 => u64::from(self.next() as u32),
            _ => self.next(),
        }
    }

    /// A copy that is spoilt in one to four places, mostly in its first `header` bytes.
    fn mutated(&mut self, bytes: &[u8], header: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let len = if self.below(8) == 0 { bytes.len() } else { header.min(bytes.len()) };
            let at = self.below(len);
            let end = (at + [1, 2, 4, 8][self.below(4)]).min(bytes.len());
            match self.below(8) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let (from, count) = (self.below(bytes.len()), self.below(64));
                    let piece = bytes[from..(from + count).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, piece));
                }
                2 => bytes.truncate(self.below(bytes.len() + 1)),
                3 => bytes[at..end].fill(0),
                4 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << self.below(8)),
                5 => bytes[at..end].fill(JSON[self.below(JSON.len())]),
                _ => {
                    let number = self.number().to_le_bytes();
                    bytes[at..end].copy_from_slice(&number[..end - at]);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}

/// Reads everything that can be read; returns whether the header was believed.
fn read(tensors: Result<Tensors, ffwd::weights::WeightsError>) -> bool {
    let Ok(tensors) = tensors else { return false };
    for name in tensors.names() {
        if let Ok(tensor) = tensors.get(name) {
            let count = tensor.shape.iter().try_fold(1_usize, |n, dim| n.checked_mul(*dim)).unwrap();
            assert_eq!(tensor.data.bytes.len() as u64, count as u64 * tensor.element().size(), "{name}");
        }
    }
    true
}

fn data(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap()
}

/// How long to go on with each of three files.
fn time() -> Duration {
    let seconds = std::env::var("FFWD_HOSTILE_SECONDS").map_or(3.0, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs_f64(seconds / 3.0)
}

/// Spoils a file for as long as there is time, and reads it; of the spoilt ones enough must be believed for what is behind the
/// header to be tested.
fn spoil(name: &str, whole: &[u8], header: usize, open: impl Fn(&Path) -> Result<Tensors, ffwd::weights::WeightsError>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let (start, mut random, mut tried, mut believed) = (Instant::now(), Liar(Random::new(1)), 0, 0);
    while start.elapsed() < time() || tried < 100 {
        let bytes = random.mutated(whole, header);
        std::fs::write(&path, &bytes).unwrap();
        let mut was = false;
        let peak = peak_of(|| {
            was = read(open(&path));
            // What a model is made of it is, or is not.
            let _ = load_feed_forward(&path, 0);
        });
        if peak > allowed(bytes.len()) {
            let kept = std::env::temp_dir().join(format!("hostile-{tried}-{name}"));
            std::fs::write(&kept, &bytes).unwrap();
            panic!("{} of {} bytes cost {peak}", kept.display(), bytes.len());
        }
        tried += 1;
        believed += usize::from(was);
    }
    println!("{name}: {believed} of {tried} believed");
    assert!(believed * 50 > tried, "{name}: only {believed} of {tried} get past the header");
}

#[test]
fn spoilt_gguf_files_are_refused_or_read() {
    // Mostly data, and arrays among the metadata.
    spoil("large.gguf", &data("quantised/blocks.gguf"), 4096, |path| read_gguf(path).map(Tensors::from));
    // Mostly header: a layer, and a matrix of every kind.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole");
    let mut writer = GgufWriter::default();
    writer.set("general.architecture", &Value::String("test".into()));
    writer.set("answer", &Value::U64(42));
    writer.set("yes", &Value::Bool(true));
    for name in ["w_gate", "w_up", "w_down"] {
        writer.tensor(name, &[3, 3], Encoding::Plain(Element::F16));
    }
    for block in Block::ALL {
        writer.tensor(block.name(), &[1, block.len()], Encoding::Blocks(block));
    }
    let size = |name: &str| Block::ALL.iter().find(|block| block.name() == name).map_or(18, |block| block.size());
    writer.write(&path, |name, sink| sink.write(&vec![0x35; size(name)])).unwrap();
    let whole = std::fs::read(&path).unwrap();
    spoil("small.gguf", &whole, 700, |path| read_gguf(path).map(Tensors::from));
}

#[test]
fn spoilt_safetensors_files_are_refused_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole");
    let tensor = |shape: &[usize], element| HostTensor::new(shape, element, &vec![0.5; shape.iter().product()]).unwrap();
    let tensors = [
        ("w_gate", tensor(&[6, 4], Element::F32)),
        ("w_up", tensor(&[6, 4], Element::F32)),
        ("w_down", tensor(&[4, 6], Element::F16)),
        ("b_down", tensor(&[4], Element::Bf16)),
        ("empty", tensor(&[0, 7], Element::F32)),
    ];
    write_safetensors_with(&path, &tensors, &[("made by".to_owned(), "a test".to_owned())].into()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    spoil("spoilt.safetensors", &whole, whole.len(), |path| read_safetensors(path));
}

/// Headers that are true and as costly as can be.
#[test]
fn costly_headers_cost_no_more_than_others() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("costly");
    let raw = |header: String| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let many = |count: usize, each: &dyn Fn(usize) -> String| (0..count).map(each).collect::<Vec<_>>().join(",");
    let info = |i: usize| format!("\"{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let long = many(300_000, &|_| "1".into());
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let gguf = |tensors: u64, pairs: u64, rest: Vec<u8>| {
        [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &pairs.to_le_bytes(), &rest, &[0; 64]].concat()
    };
    let pair = |i: u32| [string(&format!("{i:x}")), 0_u32.to_le_bytes().to_vec(), vec![1]].concat();
    let tensor = |i: u32| {
        let unknown = i.is_multiple_of(2);
        let (count, kind) = if unknown { (0_u32, 99_u32) } else { (1, 16) };
        let dims = if unknown { vec![] } else { 256_u64.to_le_bytes().to_vec() };
        [string(&format!("{i:x}")), count.to_le_bytes().to_vec(), dims, kind.to_le_bytes().to_vec(), vec![0; 8]].concat()
    };
    let nested = |depth: u32| (0..depth).fold(vec![0_u8; 12], |inner, _| [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &inner].concat());
    let arrays = [
        string("k"),
        9_u32.to_le_bytes().to_vec(),
        9_u32.to_le_bytes().to_vec(),
        50_000_u64.to_le_bytes().to_vec(),
        nested(0).repeat(50_000),
    ];
    for (what, bytes) in [
        ("dimensions", raw(format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{long}],\"data_offsets\":[0,4]}}}}"))),
        ("no dimensions", raw(format!("{{\"a\":[{long}]}}"))),
        ("objects", raw(format!("{{\"a\":{{{}}}}}", many(100_000, &|_| "\"\":0".into())))),
        ("lists", raw(format!("{{\"a\":{{\"x\":[{}]}}}}", many(300_000, &|_| "[]".into())))),
        ("depth", raw(format!("{{\"a\":{}", "[".repeat(600_000)))),
        ("tensors", raw(format!("{{{}}}", many(20_000, &info)))),
        ("texts", raw(format!("{{\"__metadata__\":{{{}}}}}", many(50_000, &|i| format!("\"{i}\":\"\""))))),
        ("pairs", gguf(0, 100_000, (0..100_000).flat_map(pair).collect())),
        ("infos", gguf(50_000, 0, (0..50_000).flat_map(tensor).collect())),
        ("arrays", gguf(0, 1, arrays.concat())),
        ("names", gguf(1, 0, vec![0xff; 1 << 20])),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let start = Instant::now();
        let peak = peak_of(|| {
            let tensors = if bytes.starts_with(b"GGUF") { read_gguf(&path).map(Tensors::from) } else { read_safetensors(&path) };
            read(tensors);
        });
        println!("{what}: {} bytes, {:.1} times as much, {:?}", bytes.len(), peak as f64 / bytes.len() as f64, start.elapsed());
        assert!(peak < allowed(bytes.len()), "{what}: {} bytes cost {peak}", bytes.len());
        assert!(start.elapsed() < Duration::from_secs(20), "{what} took {:?}", start.elapsed());
    }
}
