//! Every kernel, linked and checked by naga without a GPU: bindings, uniform blocks, capabilities, and that
//! it translates to every backend's language.

use naga::proc::Layouter;

use super::catalogue::{all, ceilings, loops, products, sums};
use super::elementwise::{Mapped as _, Pass, Variant};
use super::function::Function;
use super::matmul::{self, Loop};
use super::{Access, Kernel, reduce};
use crate::activation::Activation;
use crate::element::Element;
use crate::gate::Gate;

fn parse(kernel: &Kernel) -> (naga::Module, naga::valid::ModuleInfo) {
    let mut options = naga::front::wgsl::Options::new();
    options.capabilities = naga::valid::Capabilities::all();
    let module = naga::front::wgsl::Frontend::new_with_options(options)
        .parse(&kernel.wgsl)
        .unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(&kernel.wgsl)));
    // No optional capability, what WebGPU grants everywhere, but where the kernel says so.
    let mut capabilities = if kernel.subgroups { naga::valid::Capabilities::SUBGROUP } else { naga::valid::Capabilities::empty() };
    use naga::valid::Capabilities;
    capabilities.set(Capabilities::SHADER_INT64, kernel.int64);
    capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, kernel.halves);
    if kernel.cooperative {
        capabilities |= Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    }
    let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
    if kernel.subgroups {
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE).subgroup_operations(naga::valid::SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(&kernel.wgsl)));
    (module, info)
}

#[test]
fn every_kernel_validates_with_no_capability_and_binds_what_its_table_says() {
    for kernel in all() {
        let (module, _) = parse(&kernel);
        let mut found: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let access = match variable.space {
                    naga::AddressSpace::Uniform => Access::Uniform,
                    naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => Access::ReadWrite,
                    naga::AddressSpace::Storage { .. } => Access::Read,
                    _ => return None,
                };
                let binding = variable.binding.unwrap();
                assert_eq!(binding.group, 0);
                Some((binding.binding as usize, variable.name.clone().unwrap(), access))
            })
            .collect();
        found.sort_by_key(|(index, ..)| *index);
        let table: Vec<_> = kernel.bindings.iter().enumerate().map(|(i, b)| (i, b.name.clone(), b.access)).collect();
        assert_eq!(found, table, "{}", kernel.name);
        assert!(kernel.bindings.iter().filter(|b| b.access != Access::Uniform).count() <= 8, "{}", kernel.name);
        assert_eq!(module.entry_points.len(), 1);
    }
}

/// Offsets of the fields of the uniform block, and its size.
fn block(kernel: &Kernel) -> (Vec<(String, u32)>, u32) {
    let (module, _) = parse(kernel);
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let (_, params) = module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some("uniforms")).unwrap();
    let naga::TypeInner::Struct { members, .. } = &module.types[params.ty].inner else { panic!("uniforms is no struct") };
    let fields = members.iter().map(|m| (m.name.clone().unwrap(), m.offset)).collect();
    (fields, layouter[params.ty].size)
}

macro_rules! assert_block {
    ($kernel:expr, $params:ty, $($field:ident),+) => {{
        let (fields, size) = block($kernel);
        let expected = vec![$((stringify!($field).to_owned(), std::mem::offset_of!($params, $field) as u32)),+];
        assert_eq!(fields, expected);
        assert_eq!(size as usize, size_of::<$params>());
    }};
}

/// Others than naga are given the same list.
#[test]
fn the_catalogue_holds_every_sort_of_kernel() {
    let kernels = all();
    let some = |what: &str, of: fn(&Kernel) -> bool| assert!(kernels.iter().any(of), "no kernel {what}");
    some("of a user's", |kernel| kernel.custom);
    some("with subgroups", |kernel| kernel.subgroups && kernel.browser_directives() == "enable subgroups;\n");
    some("without", |kernel| !kernel.subgroups && kernel.browser_directives().is_empty());
    some("with words of 64 bits", |kernel| kernel.int64);
    some("with halves", |kernel| kernel.halves);
    some("with cooperative matrices", |kernel| kernel.cooperative);
    for family in ["bench", "elementwise", "matmul", "mixture", "reduce", "train"] {
        assert!(kernels.iter().any(|kernel| kernel.name.starts_with(family)), "no {family}");
    }
}

#[test]
fn uniform_blocks_equal_their_twins_in_rust() {
    let function = Function::Activation(Activation::Relu);
    assert_block!(
        &Variant::new(function.clone(), Pass::Forward, Element::F32).kernel(),
        crate::ops::ElementwiseParams,
        fence,
        count,
        first,
        width,
        channels,
        inner,
        learned_channels,
        bias_channels,
        offsets,
        constants,
        random
    );
    assert_block!(
        &sums()[1],
        crate::ops::PartialsParams,
        fence,
        first,
        end,
        sums,
        sum_inner,
        splits,
        first_split,
        width,
        channels,
        inner,
        learned_channels,
        bias_channels,
        offsets,
        constants,
        random
    );
    assert_block!(
        &products()[0],
        crate::ops::MatmulParams,
        fence,
        rows,
        cols,
        depth,
        a_stride,
        b_stride,
        out_stride,
        learned_channels,
        first_col,
        slices,
        slice,
        expert,
        offsets,
        constants
    );
    assert_block!(
        &super::update::control(),
        crate::ops::steps::ControlParams,
        fence,
        tensors,
        history,
        growth,
        clip,
        share,
        log_beta1,
        log_beta2,
        rate,
        minimum,
        warm_up,
        total,
        offsets
    );
    assert_block!(
        &super::update::cross_entropy(Element::F32, Element::F32),
        crate::ops::steps::CrossEntropyParams,
        fence,
        rows,
        classes,
        class_stride,
        class_start,
        share,
        offsets
    );
    assert_block!(
        &super::mixture::count(),
        crate::ops::mixture::Params,
        fence,
        tokens,
        experts,
        top_k,
        width,
        block,
        dispatches,
        normalise,
        scale,
        offsets
    );
    for kernel in ceilings().iter().filter(|kernel| kernel.name.contains("fma")) {
        assert_block!(kernel, crate::bench::FmaParams, turns, factor, term, padding);
    }
    let (fields, size) = block(&reduce::sums());
    assert_eq!(fields.last(), Some(&("accumulate".to_owned(), 20)));
    assert!(size as usize <= size_of::<crate::ops::SumsParams>());
}

#[test]
fn every_kernel_translates_to_every_language() {
    use naga::back::{glsl, hlsl, msl, spv};
    for kernel in all() {
        let (module, info) = parse(&kernel);
        let name = &kernel.name;
        let options = spv::Options { lang_version: (1, 3), ..Default::default() };
        spv::write_vec(&module, &info, &options, None).unwrap_or_else(|e| panic!("{name}: spirv: {e}"));

        let options = msl::Options { fake_missing_bindings: true, lang_version: (2, 4), ..Default::default() };
        msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).unwrap_or_else(|e| panic!("{name}: msl: {e}"));

        // HLSL and GLSL have no cooperative matrices.
        if kernel.cooperative {
            continue;
        }
        let (options, pipeline) = (hlsl::Options { fake_missing_bindings: true, ..Default::default() }, hlsl::PipelineOptions::default());
        let mut text = String::new();
        let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
        writer.write(&module, &info, None).unwrap_or_else(|e| panic!("{name}: hlsl: {e}"));

        // Nor has GLSL of this version 64-bit integers.
        if kernel.int64 {
            continue;
        }
        let options = glsl::Options { version: glsl::Version::new_gles(310), ..Default::default() };
        let pipeline = glsl::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into(), multiview: None };
        let mut text = String::new();
        let policies = naga::proc::BoundsCheckPolicies::default();
        glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies)
            .and_then(|mut writer| writer.write().map(drop))
            .unwrap_or_else(|e| panic!("{name}: glsl: {e}"));
    }
}

#[test]
fn sizes_in_rust_are_those_of_the_shaders() {
    let constant = |module: &naga::Module, name: &str| {
        let (_, constant) = module.constants.iter().find(|(_, c)| c.name.as_deref() == Some(name)).unwrap();
        match module.global_expressions[constant.init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => u64::from(value),
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let (map, _) = parse(&super::ceilings::copy());
    assert_eq!(constant(&map, "WORKGROUP"), super::elementwise::WORKGROUP);
    assert_eq!(constant(&map, "STEPS"), super::elementwise::STEPS);
    for gated in [false, true] {
        for looping in loops(gated) {
            let function = if gated { Function::Gate(Gate::OAI) } else { Function::Activation(Activation::Relu) };
            let element = if matches!(looping, Loop::Cooperative(_)) { Element::F16 } else { Element::F32 };
            let variant = matmul::Variant { a: element, b: element.into(), ..matmul::Variant::new(looping, function) };
            let (module, _) = parse(&variant.kernel());
            let [rows, cols] = looping.side(gated);
            let [x, y, _] = module.entry_points[0].workgroup_size.map(u64::from);
            let outputs = match looping {
                Loop::Cooperative(_) => {
                    4 * constant(&module, "BLOCK_ROWS") * constant(&module, "BLOCK_COLS") * constant(&module, "TILE").pow(2)
                }
                _ => constant(&module, "TILE_ROWS") * constant(&module, "TILE_COLS"),
            };
            // Invocations that share a depth, or a matrix, have the same outputs.
            let invocations = if matches!(looping, Loop::Dot(..) | Loop::Cooperative(_)) { 1 } else { x * y };
            assert_eq!(outputs * invocations, rows * cols, "{looping}");
            let mut layouter = Layouter::default();
            layouter.update(module.to_ctx()).unwrap();
            let workgroup = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
            let bytes: u32 = workgroup.map(|(_, v)| layouter[v.ty].size).sum();
            assert_eq!(bytes, looping.workgroup_bytes(gated), "{looping}, gated {gated}");
        }
    }
}

/// A user's expression may call WGSL's functions; ours must not stand in their place.
#[test]
fn no_function_of_ours_hides_one_of_wgsl() {
    for kernel in all() {
        let (module, _) = parse(&kernel);
        for (_, function) in module.functions.iter() {
            let name = function.name.as_deref().unwrap();
            for call in [format!("{name}(x)"), format!("{name}(x, x)"), format!("{name}(x, x, x)")] {
                let reason = crate::custom::check_expression(&call, [].into_iter()).unwrap_err();
                assert!(reason.contains("no definition in scope") || reason.contains("recursive"), "{name}: {reason}");
            }
        }
    }
}
