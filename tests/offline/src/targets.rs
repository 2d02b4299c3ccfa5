//! What wgpu hands to each driver: naga's text of a kernel, with the options and the bindings that wgpu gives its writers.

use ffwd::shader::{Access, Kernel};
use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// A language that naga writes.
pub struct Target {
    pub name: &'static str,
    pub extension: &'static str,
    pub write: fn(&Parsed) -> Result<Vec<u8>, String>,
    /// Makes a mistake in such a text that its compilers must find.
    pub spoil: fn(Vec<u8>) -> Vec<u8>,
}

/// All of them: browsers, Vulkan 1.1 and 1.3, Metal, Direct3D 12, OpenGL ES and OpenGL.
pub const TARGETS: &[Target] = &[
    Target { name: "wgsl", extension: "wgsl", write: browser, spoil: |text| misspell(text, "bitcast<u32>", "bitcats<u32>") },
    Target { name: "spirv-1.3", extension: "spv", write: |p| spirv(p, (1, 3)), spoil: negate },
    Target { name: "spirv-1.6", extension: "spv", write: |p| spirv(p, (1, 6)), spoil: negate },
    Target { name: "msl-2.4", extension: "metal", write: metal, spoil: |text| misspell(text, "as_type<uint>", "as_typo<uint>") },
    Target { name: "hlsl", extension: "hlsl", write: direct3d, spoil: |text| misspell(text, "asuint(", "asuinn(") },
    Target { name: "glsl-es-3.10", extension: "comp", write: |p| opengl(p, glsl::Version::new_gles(310)), spoil: misspell_glsl },
    Target { name: "glsl-4.50", extension: "comp", write: |p| opengl(p, glsl::Version::Desktop(450)), spoil: misspell_glsl },
];

fn misspell(text: Vec<u8>, right: &str, wrong: &str) -> Vec<u8> {
    String::from_utf8_lossy(&text).replace(right, wrong).into_bytes()
}

fn misspell_glsl(text: Vec<u8>) -> Vec<u8> {
    misspell(text, "floatBitsToUint(", "floatBitsToUnit(")
}

/// Makes negations out of casts, which change the type.
fn negate(mut bytes: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 5 * 4;
    const CAST: usize = 124;
    const NEGATE: u16 = 127;
    let mut at = HEADER;
    while let Some(&[a, b, c, d]) = bytes.get(at..at + 4).and_then(|word| word.first_chunk()) {
        let word = u32::from_le_bytes([a, b, c, d]) as usize;
        if word & 0xffff == CAST {
            bytes[at..at + 2].copy_from_slice(&NEGATE.to_le_bytes());
        }
        at += 4 * (word >> 16).max(1);
    }
    bytes
}

/// A kernel that naga has read.
pub struct Parsed<'a> {
    kernel: &'a Kernel,
    module: naga::Module,
    info: ModuleInfo,
}

impl<'a> Parsed<'a> {
    pub fn new(kernel: &'a Kernel) -> Result<Self, String> {
        let mut options = naga::front::wgsl::Options::new();
        options.capabilities = Capabilities::all();
        let parsed = naga::front::wgsl::Frontend::new_with_options(options).parse(&kernel.wgsl);
        let module = parsed.map_err(|e| e.emit_to_string(&kernel.wgsl))?;
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
        Ok(Self { kernel, info: info.map_err(|e| e.emit_to_string(&kernel.wgsl))?, module })
    }

    /// Every binding with its number.
    fn bindings(&self) -> impl Iterator<Item = (naga::ResourceBinding, u8, Access)> {
        let access = self.kernel.bindings.iter().map(|binding| binding.access);
        access.zip(0..).map(|(access, number)| (naga::ResourceBinding { group: 0, binding: number.into() }, number, access))
    }
}

/// Bounds are checked but for those that the language's own robustness covers.
const CHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Restrict,
    binding_array: BoundsCheckPolicy::Unchecked,
};

fn browser(p: &Parsed) -> Result<Vec<u8>, String> {
    Ok([p.kernel.browser_directives(), &p.kernel.wgsl].concat().into_bytes())
}

fn spirv(p: &Parsed, lang_version: (u8, u8)) -> Result<Vec<u8>, String> {
    let options = spv::Options {
        lang_version,
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: CHECKED,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: p.kernel.custom,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    let words = spv::write_vec(&p.module, &p.info, &options, Some(&pipeline)).map_err(|e| e.to_string())?;
    Ok(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

fn metal(p: &Parsed) -> Result<Vec<u8>, String> {
    let slot = |number, mutable| msl::BindTarget { buffer: Some(number), mutable, ..Default::default() };
    let resources = p.bindings().map(|(binding, number, access)| (binding, slot(number, access == Access::ReadWrite))).collect();
    let sizes_buffer = u8::try_from(p.kernel.bindings.len()).ok();
    let options = msl::Options {
        lang_version: (2, 4),
        per_entry_point_map: [("main".into(), msl::EntryPointResources { resources, immediates_buffer: None, sizes_buffer })].into(),
        fake_missing_bindings: false,
        bounds_check_policies: CHECKED,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        emit_int_div_checks: p.kernel.custom,
        ..Default::default()
    };
    let pipeline = msl::PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, "main".into())), ..Default::default() };
    let (text, _) = msl::write_string(&p.module, &p.info, &options, &pipeline).map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

/// One text for every shader model.
fn direct3d(p: &Parsed) -> Result<Vec<u8>, String> {
    let [oldest, least] = [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0].map(|model| direct3d_of(p, model));
    if oldest == least { least } else { Err("the text differs from shader model 5.1 to 6.0".into()) }
}

fn direct3d_of(p: &Parsed, shader_model: hlsl::ShaderModel) -> Result<Vec<u8>, String> {
    // Each class of registers (b, t, u) is counted by itself.
    let register = |number: u8, access| p.bindings().take(number.into()).filter(|(.., other)| *other == access).count() as u32;
    let slot = |number, access| hlsl::BindTarget { register: register(number, access), restrict_indexing: true, ..Default::default() };
    let options = hlsl::Options {
        shader_model,
        binding_map: p.bindings().map(|(binding, number, access)| (binding, slot(number, access))).collect(),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: true,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, "main".into())) };
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &options, &pipeline).write(&p.module, &p.info, None).map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

fn opengl(p: &Parsed, version: glsl::Version) -> Result<Vec<u8>, String> {
    // Each class of bindings (uniform, storage) is counted by itself.
    let uniform = |access: Access| access == Access::Uniform;
    let slot = |number: u8, access| p.bindings().take(number.into()).filter(|(.., other)| uniform(*other) == uniform(access)).count() as u8;
    let options = glsl::Options {
        version,
        writer_flags: glsl::WriterFlags::ADJUST_COORDINATE_SPACE | glsl::WriterFlags::FORCE_POINT_SIZE,
        binding_map: p.bindings().map(|(binding, number, access)| (binding, slot(number, access))).collect(),
        zero_initialize_workgroup_memory: false,
    };
    let pipeline = glsl::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let mut text = String::new();
    glsl::Writer::new(&mut text, &p.module, &p.info, &options, &pipeline, BoundsCheckPolicies::default())
        .and_then(|mut writer| writer.write().map(drop))
        .map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}
