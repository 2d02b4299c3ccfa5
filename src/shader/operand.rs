//! Operands: where the numbers of a kernel lie, as bindings and the functions `load_NAME` and `store_NAME`.

use std::fmt::Write as _;

use crate::element::Element;

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// The uniform block, which entry points copy into `params`.
    Uniform,
    /// Storage that is only read.
    Read,
    /// Storage that is written, or lies in a buffer that is.
    ReadWrite,
}

/// One binding: its number is its place in [`Kernel::bindings`](super::Kernel::bindings).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Name of the variable in WGSL.
    pub name: String,
    /// How it is used.
    pub access: Access,
    wgsl_type: String,
}

impl Binding {
    pub(super) fn params() -> Self {
        Self { name: "uniforms".into(), access: Access::Uniform, wgsl_type: "Params".into() }
    }

    pub(super) fn storage(name: &str, access: Access, wgsl_type: &str) -> Self {
        Self { name: name.into(), access, wgsl_type: wgsl_type.into() }
    }

    pub(super) fn declare(&self, index: usize) -> String {
        // Every entry point copies the block before anything else: a compiler cannot know that stores leave it
        // alone, and would load its fields again for each unit (a sixth of the time of a relu, measured). What
        // decides how often a workgroup meets at barriers is read from the block itself: see `Operand::steers`.
        let copy = if self.access == Access::Uniform { "var<private> params: Params;\n" } else { "" };
        let space = match self.access {
            Access::Uniform => "uniform",
            Access::Read => "storage, read",
            Access::ReadWrite => "storage, read_write",
        };
        format!("@group(0) @binding({index}) var<{space}> {}: {};\n{copy}", self.name, self.wgsl_type)
    }
}

/// Elements in a unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// Two vectors in words of 64 bits, an optional feature of a device; only the dots of matrix kernels read them.
    Eight,
    /// One vector load.
    Four,
    /// One element, at any place in its word.
    One,
}

impl Lanes {
    /// Elements in a unit.
    pub const fn count(self) -> u64 {
        match self {
            Self::Eight => 8,
            Self::Four => 4,
            Self::One => 1,
        }
    }

    pub(super) const fn wgsl_type(self) -> &'static str {
        match self {
            Self::Eight => "mat2x4<f32>",
            Self::Four => "vec4<f32>",
            Self::One => "f32",
        }
    }
}

/// How a unit's number becomes a place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    /// Side by side.
    Flat,
    /// One half of each row of two halves.
    Half,
    /// Even places.
    Even,
    /// Odd places.
    Odd,
}

/// An operand of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Its name: `load_NAME`, `store_NAME`.
    pub name: &'static str,
    /// The binding it lives in; operands may share one.
    pub binding: String,
    /// Kind of element.
    pub element: Element,
    /// Elements that are loaded or stored at a time.
    pub lanes: Lanes,
    /// Place in memory.
    pub index: Index,
    /// Whether the kernel writes it.
    pub written: bool,
    /// Whether its words may also be read and written as they are: counts, as floats, would be subnormal, and a device may
    /// flush those.
    pub counts: bool,
    /// Whether every dispatch may read any of it: biases, learned parameters, what steers a kernel.
    pub whole: bool,
    /// Whether a workgroup meets at barriers as often as its words say. A browser has to be able to prove that all of a
    /// workgroup reads the same, and does not believe that of `params`, which is a copy.
    pub steers: bool,
}

impl Operand {
    /// An operand side by side in a binding of its own.
    pub fn new(name: &'static str, element: Element, lanes: Lanes, written: bool) -> Self {
        Self { name, binding: name.into(), element, lanes, index: Index::Flat, written, counts: false, whole: false, steers: false }
    }

    /// An operand that is read one element at a time, at any place.
    pub fn table(name: &'static str, element: Element) -> Self {
        Self { whole: true, ..Self::new(name, element, Lanes::One, false) }
    }

    /// The same operand, with `NAME_word(i)` and `store_NAME_word(i, word)`.
    pub fn counting(self) -> Self {
        Self { counts: true, ..self }
    }

    /// The same operand at another place.
    pub fn at(self, index: Index) -> Self {
        Self { index, ..self }
    }
}

/// What all operands of a kernel become: bindings and accessors.
pub(super) struct Rendered {
    pub bindings: Vec<Binding>,
    pub accessors: String,
    /// The storage files to link.
    pub storage: Vec<&'static str>,
    /// Whether any takes 64-bit integers.
    pub int64: bool,
}

/// Renders operands; number k finds its offset in `params.offsets[k / 4][k % 4]`. Bindings in `shared_buffers`
/// lie in a buffer that another binding writes, so they must be writable too.
pub(super) fn render(operands: &[Operand], shared_buffers: &[&str]) -> Rendered {
    let mut bindings = vec![Binding::params()];
    let mut accessors = String::new();
    let mut files = Vec::new();
    for (slot, operand) in operands.iter().enumerate() {
        let written = operands.iter().any(|o| o.binding == operand.binding && o.written);
        let writable = written || shared_buffers.contains(&operand.binding.as_str());
        let variable = format!("{}_data", operand.binding);
        // Two invocations may store the halves of one word.
        let lanes = operand.lanes;
        let atomic = lanes == Lanes::One && written && operand.element.size() == 2;
        if !bindings.iter().any(|b| b.name == variable) {
            let access = if writable { Access::ReadWrite } else { Access::Read };
            bindings.push(Binding::storage(&variable, access, &array_type(operand.element, lanes, atomic)));
        }
        let params = if operand.steers { "uniforms" } else { "params" };
        let accessor = Accessor { operand, variable, offset: format!("{params}.offsets[{}][{}]", slot / 4, slot % 4), atomic };
        match lanes {
            Lanes::Eight => accessor.vectors(&mut accessors),
            Lanes::Four => accessor.vector(&mut accessors),
            Lanes::One => accessor.scalar(&mut accessors),
        }
        let wide = (lanes == Lanes::Eight).then_some(include_str!("../../shaders/storage/wide.wgsl"));
        for file in wide.into_iter().chain([storage_file(operand.element)]) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Rendered { bindings, accessors, storage: files, int64: operands.iter().any(|o| o.lanes == Lanes::Eight) }
}

/// Links the same files for every kernel that touches this kind.
pub(super) fn storage_file(element: Element) -> &'static str {
    match element {
        Element::F32 => include_str!("../../shaders/storage/f32.wgsl"),
        Element::F16 => include_str!("../../shaders/storage/f16.wgsl"),
        Element::Bf16 => include_str!("../../shaders/storage/bf16.wgsl"),
    }
}

fn array_type(element: Element, lanes: Lanes, atomic: bool) -> String {
    match lanes {
        Lanes::Eight => format!("array<vec{}<u64>>", element.size()),
        Lanes::Four => format!("array<{element}x4>"),
        Lanes::One if atomic => "array<atomic<u32>>".into(),
        Lanes::One => "array<u32>".into(),
    }
}

struct Accessor<'a> {
    operand: &'a Operand,
    variable: String,
    offset: String,
    atomic: bool,
}

impl Accessor<'_> {
    /// Place of unit `i`; of its first vector where it takes two.
    fn place(&self) -> String {
        let offset = &self.offset;
        match self.operand.index {
            Index::Flat => format!("{offset} + i"),
            Index::Half => format!("{offset} + (i / params.width) * (2u * params.width) + i % params.width"),
            Index::Even | Index::Odd => format!("{offset} + 2u * i"),
        }
    }

    fn vector(&self, out: &mut String) {
        let Operand { name, element, .. } = self.operand;
        let (variable, place) = (&self.variable, self.place());
        let load = match self.operand.index {
            Index::Flat | Index::Half => format!("return decode4_{element}({variable}[{place}]);"),
            Index::Even | Index::Odd => {
                let (first, second) = if self.operand.index == Index::Even { ("x", "z") } else { ("y", "w") };
                format!(
                    "let p = {place};\n    let a = decode4_{element}({variable}[p]);\n    let b = decode4_{element}({variable}[p + 1u]);\n    \
                     return vec4<f32>(a.{first}, a.{second}, b.{first}, b.{second});"
                )
            }
        };
        let _ = writeln!(out, "fn load_{name}(i: u32) -> vec4<f32> {{\n    {load}\n}}");
        if self.operand.written && matches!(self.operand.index, Index::Flat | Index::Half) {
            let _ = writeln!(out, "fn store_{name}(i: u32, v: vec4<f32>) {{\n    {variable}[{place}] = encode4_{element}(v);\n}}");
        }
    }

    fn vectors(&self, out: &mut String) {
        let Operand { name, element, .. } = self.operand;
        let (variable, place) = (&self.variable, self.place());
        let [first, second] = match element {
            Element::F32 => ["decode4_f32(halves(words.xy))", "decode4_f32(halves(words.zw))"],
            Element::F16 => ["unpack4_f16(halves(words).xy)", "unpack4_f16(halves(words).zw)"],
            Element::Bf16 => ["decode4_bf16(halves(words).xy)", "decode4_bf16(halves(words).zw)"],
        };
        let _ = writeln!(
            out,
            "fn load_{name}(i: u32) -> mat2x4<f32> {{\n    let words = {variable}[{place}];\n    return mat2x4<f32>({first}, {second});\n}}"
        );
    }

    fn scalar(&self, out: &mut String) {
        let Operand { name, element, .. } = self.operand;
        let (variable, place) = (&self.variable, self.place());
        let word = |index: &str| if self.atomic { format!("atomicLoad(&{variable}[{index}])") } else { format!("{variable}[{index}]") };
        let (load, store) = match element.size() {
            4 => (format!("return decode_{element}({});", word("p")), format!("{variable}[p] = encode_{element}(v);")),
            _ => (
                format!("return decode_{element}(({} >> ((p & 1u) * 16u)) & 0xffffu);", word("p / 2u")),
                format!(
                    "let shift = (p & 1u) * 16u;\n    atomicAnd(&{variable}[p / 2u], ~(0xffffu << shift));\n    \
                     atomicOr(&{variable}[p / 2u], encode_{element}(v) << shift);"
                ),
            ),
        };
        let _ = writeln!(out, "fn load_{name}(i: u32) -> f32 {{\n    let p = {place};\n    {load}\n}}");
        if self.operand.counts {
            let _ = writeln!(out, "fn {name}_word(i: u32) -> u32 {{\n    return {variable}[{place}];\n}}");
        }
        if self.operand.counts && self.operand.written {
            let _ = writeln!(out, "fn store_{name}_word(i: u32, word: u32) {{\n    {variable}[{place}] = word;\n}}");
        }
        if self.operand.written {
            let _ = writeln!(out, "fn store_{name}(i: u32, v: f32) {{\n    let p = {place};\n    {store}\n}}");
        }
    }
}

/// `store_pair(i, gate, up)`: both gradients of a gate, wherever they lie.
pub(super) fn store_pair(element: Element, layout: crate::gate::Layout, lanes: Lanes, slot: usize) -> String {
    let lanes_type = lanes.wgsl_type();
    let body = if layout == crate::gate::Layout::Interleaved && lanes == Lanes::Four {
        format!(
            "let p = params.offsets[{}][{}] + 2u * i;\n    dgate_data[p] = encode4_{element}(vec4<f32>(g.x, u.x, g.y, u.y));\n    \
             dgate_data[p + 1u] = encode4_{element}(vec4<f32>(g.z, u.z, g.w, u.w));",
            slot / 4,
            slot % 4
        )
    } else {
        "store_dgate(i, g);\n    store_dup(i, u);".into()
    };
    format!("fn store_pair(i: u32, g: {lanes_type}, u: {lanes_type}) {{\n    {body}\n}}\n")
}

/// `STEP(row, k)`: elements `4 k .. 4 (k + 1)` (of wide lanes, eights) of a row that is `depth_end()` long, 0 past its end. Of a
/// transposed operand rows are columns in memory.
pub(super) fn row_vectors(name: &str, step: &str, lanes: Lanes, transposed: bool) -> String {
    let stride = if name == "a" { "params.a_stride" } else { "params.b_stride" };
    let body = if lanes == Lanes::One || transposed {
        let side = if name == "a" { "a" } else { "b" };
        let place = |k: &str| if transposed { format!("{side}_depth({k}) * {stride} + row") } else { format!("row * {stride} + {k}") };
        let element = |j: u32| {
            let place = place(&format!("min(4u * k + {j}u, last)"));
            format!("select(0.0, load_{name}({place}), 4u * k + {j}u < depth_end())")
        };
        let elements = [0, 1, 2, 3].map(element).join(", ");
        format!("let last = depth_end() - 1u;\n    return vec4<f32>({elements});")
    } else {
        format!("return load_{name}(row * {stride} + k);")
    };
    let step_type = if lanes == Lanes::Eight { lanes.wgsl_type() } else { Lanes::Four.wgsl_type() };
    format!("fn {step}(row: u32, k: u32) -> {step_type} {{\n    {body}\n}}\n")
}

/// `NAME_of(row, col)`: four columns of an operand that is laid out in rows `stride` apart; past the last column it repeats.
pub(super) fn col_vectors(name: &str, lanes: Lanes, stride: &str) -> String {
    let body = match lanes {
        Lanes::Four | Lanes::Eight => format!("return load_{name}(row * {stride} + col / 4u);"),
        Lanes::One => {
            let element = |j: u32| format!("load_{name}(i + inside_cols(col + {j}u))");
            format!("let i = row * {stride};\n    return vec4<f32>({}, {}, {}, {});", element(0), element(1), element(2), element(3))
        }
    };
    format!("fn {name}_of(row: u32, col: u32) -> vec4<f32> {{\n    {body}\n}}\n")
}
