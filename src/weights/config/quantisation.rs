//! How a model's weights were quantised: `quantization_config` of `config.json`, or AutoGPTQ's `quantize_config.json`.

use super::Said;
use super::settings::Settings;
use crate::weights::error::{Result, WeightsError};
use crate::weights::int4::{Grouping, Packing};

/// What the settings say of four-bit groups; `None` where the method has none (MXFP4), or is known by its tensors.
pub(super) fn read(settings: &Settings) -> Result<Option<Grouping>> {
    let method = settings.text(&["quant_method"])?;
    let format = settings.text(&["checkpoint_format"])?;
    let version = settings.text(&["version"])?;
    let refused = |said: Said<String>, expected: &str| -> Result<Option<Grouping>> {
        let (file, expected) = (settings.file().to_owned(), expected.to_owned());
        Err(WeightsError::Setting { file, key: said.key, found: said.value, expected })
    };
    let packing = match method.as_ref().map(|said| said.value.as_str()) {
        // A file of AutoGPTQ's own, which does not say whose it is.
        Some("gptq") | None => match format.as_ref().map(|said| said.value.as_str()) {
            None | Some("gptq") => Packing::Gptq { one_less: true },
            Some("gptq_v2") => Packing::Gptq { one_less: false },
            Some(_) => return format.map_or(Ok(None), |said| refused(said, "gptq or gptq_v2")),
        },
        Some("awq") => match version {
            Some(said) if !said.value.eq_ignore_ascii_case("gemm") => return refused(said, "gemm"),
            _ => Packing::Awq,
        },
        // Their tensors say what they are, or are refused by name.
        Some(_) => return Ok(None),
    };
    let Some(bits) = settings.number(&["bits", "w_bit"])? else { return Ok(None) };
    if bits.value != 4 {
        return refused(Said { key: bits.key, value: bits.value.to_string() }, "4");
    }
    let group = match settings.signed(&["group_size", "q_group_size"])? {
        None => return Ok(None),
        Some(Said { value: -1, .. }) => None,
        Some(said) => match usize::try_from(said.value).ok().filter(|group| *group > 0) {
            Some(group) => Some(group),
            None => return refused(Said { key: said.key, value: said.value.to_string() }, "a whole number from 1, or -1 for one group"),
        },
    };
    Ok(Some(Grouping { packing, group }))
}
