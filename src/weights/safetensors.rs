//! Safetensors files (<https://github.com/huggingface/safetensors#format>): a thin layer over the `safetensors` crate, which
//! checks the header; the tensors themselves are not read before they are asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::error::{Result, WeightsError};
use super::host::HostTensor;
use super::tensors::{Encoding, Entry, Store, Tensors, map};
use super::whole_file::WholeFile;
use crate::element::Element;

/// Bytes of the header's length.
const PREFIX: u64 = 8;
/// The name under which a header has texts instead of a tensor.
const TEXTS: &str = "__metadata__";
/// The longest header that the format's own library accepts.
const LONGEST_HEADER: u64 = 100_000_000;

/// Opens a file and checks its header.
///
/// # Errors
/// [`WeightsError::Io`], [`WeightsError::Truncated`], [`WeightsError::Json`], [`WeightsError::Size`]. A tensor of a kind that is
/// not read is an error only when it is asked for.
pub fn read_safetensors(path: impl AsRef<Path>) -> Result<Tensors> {
    let path = path.as_ref();
    let map = map(path)?;
    let bytes = map.bytes().map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "read", error })?;
    let (metadata, data) = read_header(bytes, path)?;
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        let entry = Entry {
            shape: info.shape.clone(),
            encoding: encoding(info.dtype),
            offset: data.saturating_add(start as u64),
            bytes: end.saturating_sub(start) as u64,
        };
        (name, entry)
    });
    let (entries, texts) = (entries.collect(), metadata.metadata().clone().unwrap_or_default().into_iter().collect());
    Ok(Tensors { entries, file: path.to_owned(), store: Store::File(map), metadata: texts })
}

/// The header, and where the data starts.
fn read_header(bytes: &[u8], path: &Path) -> Result<(Metadata, u64)> {
    let truncated = |what: &str, needs, has| WeightsError::Truncated { file: path.to_owned(), what: what.to_owned(), needs, has };
    let size = bytes.len() as u64;
    let Some((prefix, rest)) = bytes.split_first_chunk() else {
        return Err(truncated("the header's length", PREFIX, size));
    };
    let length = u64::from_le_bytes(*prefix);
    if length > LONGEST_HEADER {
        return Err(WeightsError::Count { file: path.to_owned(), what: "bytes of header".into(), claimed: length, room: LONGEST_HEADER });
    }
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Err(truncated("the header", length, size - PREFIX));
    };
    let Header { texts, mut tensors } = serde_json::from_slice(header).map_err(|e| bad_header(path, e.to_string()))?;
    let mut seen = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        return Err(WeightsError::Duplicate { file: path.to_owned(), what: "tensor", name: name.clone() });
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(texts, tensors).map_err(|e| bad_header(path, e.to_string()))?;
    let data = PREFIX + length;
    let described = data.saturating_add(metadata.data_len() as u64);
    if described != size {
        return Err(WeightsError::Size { file: path.to_owned(), described, size });
    }
    Ok((metadata, data))
}

/// What the JSON says. The format's own library would build it from a tree of values, some 40 times as large as the text of
/// a file that is made for that; this takes it as it comes.
struct Header {
    texts: Option<HashMap<String, String>>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Header, A::Error> {
                let mut header = Header { texts: None, tensors: Vec::new() };
                while let Some(name) = entries.next_key::<String>()? {
                    if name == TEXTS {
                        header.texts = entries.next_value()?;
                    } else {
                        header.tensors.push((name, entries.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn bad_header(file: &Path, reason: String) -> WeightsError {
    WeightsError::Json { file: file.to_owned(), what: "safetensors header", reason }
}

fn encoding(dtype: Dtype) -> Encoding {
    match dtype {
        Dtype::F32 => Encoding::Plain(Element::F32),
        Dtype::F16 => Encoding::Plain(Element::F16),
        Dtype::BF16 => Encoding::Plain(Element::Bf16),
        other => Encoding::Unsupported(other.to_string()),
    }
}

/// Writes a file whole or not at all: to a temporary file beside it, which then takes its name.
///
/// # Errors
/// [`WeightsError::Bytes`] where a tensor's shape and bytes disagree, [`WeightsError::Duplicate`],
/// [`WeightsError::ReservedName`], [`WeightsError::Io`].
pub fn write_safetensors<S: AsRef<str>>(path: impl AsRef<Path>, tensors: &[(S, HostTensor)]) -> Result<()> {
    write_safetensors_with(path, tensors, &BTreeMap::new())
}

/// The same with text by name, [`Tensors::metadata`].
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_safetensors_with<S: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: &[(S, HostTensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = path.as_ref();
    let mut sorted: Vec<(&str, &HostTensor)> = tensors.iter().map(|(name, tensor)| (name.as_ref(), tensor)).collect();
    // The widest kind first, as the format's own library has it: every tensor is then aligned in a mapped file.
    sorted.sort_by(|(a, s), (b, t)| dtype(t.element()).cmp(&dtype(s.element())).then(a.cmp(b)));
    let header = header(path, &sorted, metadata)?;
    let length = (header.len() as u64).to_le_bytes();
    let data = sorted.iter().map(|(_, tensor)| tensor.data.bytes.as_slice());
    let written = WholeFile::check(path).and_then(|file| file.write([&length[..], &header].into_iter().chain(data)));
    written.map_err(|error| WeightsError::Io { file: path.to_owned(), doing: "write", error })
}

fn dtype(element: Element) -> Dtype {
    match element {
        Element::F32 => Dtype::F32,
        Element::F16 => Dtype::F16,
        Element::Bf16 => Dtype::BF16,
    }
}

/// The header's text, padded to 8 bytes.
fn header(path: &Path, sorted: &[(&str, &HostTensor)], texts: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut seen = HashSet::new();
    let mut offset = 0_usize;
    let mut infos = Vec::new();
    for (name, tensor) in sorted {
        tensor.check(name)?;
        if *name == TEXTS {
            return Err(WeightsError::ReservedName { file: path.to_owned(), name: (*name).to_owned() });
        }
        if !seen.insert(name) {
            return Err(WeightsError::Duplicate { file: path.to_owned(), what: "tensor", name: (*name).to_owned() });
        }
        let start = offset;
        offset = offset.saturating_add(tensor.data.bytes.len());
        let info = TensorInfo { dtype: dtype(tensor.element()), shape: tensor.shape.clone(), data_offsets: (start, offset) };
        infos.push(((*name).to_owned(), info));
    }
    let texts = (!texts.is_empty()).then(|| texts.clone().into_iter().collect());
    let metadata = Metadata::new(texts, infos).map_err(|e| bad_header(path, e.to_string()))?;
    let mut text = serde_json::to_vec(&metadata).map_err(|e| bad_header(path, e.to_string()))?;
    text.resize(text.len().next_multiple_of(PREFIX as usize), b' ');
    let length = text.len() as u64;
    if length > LONGEST_HEADER {
        return Err(WeightsError::Count { file: path.to_owned(), what: "bytes of header".into(), claimed: length, room: LONGEST_HEADER });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<(&'static str, HostTensor)> {
        vec![
            ("half", HostTensor::new(&[3], Element::F16, &[1.0, -0.5, 65504.0]).unwrap()),
            ("w1", HostTensor::new(&[2, 2], Element::F32, &[0.0, -0.0, f32::INFINITY, 1e-40]).unwrap()),
            ("brain", HostTensor::new(&[1, 2], Element::Bf16, &[3.0, 4.0]).unwrap()),
            ("empty", HostTensor::new(&[0, 7], Element::F32, &[]).unwrap()),
        ]
    }

    fn opened(bytes: &[u8]) -> Result<Tensors> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_safetensors(file.path())
    }

    fn raw(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data][..]].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.safetensors");
        for _ in 0..2 {
            write_safetensors(&path, &sample()).unwrap();
            let tensors = read_safetensors(&path).unwrap();
            assert_eq!(tensors.names().collect::<Vec<_>>(), ["brain", "empty", "half", "w1"]);
            for (name, tensor) in sample() {
                assert_eq!(tensors.get(name).unwrap(), tensor);
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let texts = BTreeMap::from([("made by".to_owned(), "a \"test\"\n".to_owned())]);
        write_safetensors_with(&path, &sample(), &texts).unwrap();
        let tensors = read_safetensors(&path).unwrap();
        assert_eq!((tensors.metadata(), tensors.names().count()), (&texts, 4));
        // The format's own library reads it too.
        let bytes = std::fs::read(&path).unwrap();
        let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.tensor("half").unwrap().data(), sample()[0].1.data.bytes);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.safetensors");
        let mut bad = sample();
        bad[1].1.shape = vec![5];
        assert!(matches!(write_safetensors(&path, &bad), Err(WeightsError::Bytes { .. })));
        assert!(matches!(write_safetensors(&path, &[sample(), sample()].concat()), Err(WeightsError::Duplicate { .. })));
        assert!(matches!(write_safetensors(&path, &[("__metadata__", sample().remove(0).1)]), Err(WeightsError::ReservedName { .. })));
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(write_safetensors(&path, &sample()), Err(WeightsError::Io { .. })));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let nowhere = directory.path().join("none/t.safetensors");
        assert!(write_safetensors(&nowhere, &sample()).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn missing_and_unsupported_tensors_are_named() {
        let tensors = opened(&raw(r#"{"ids":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#, 8)).unwrap();
        let error = tensors.get("ids").unwrap_err().to_string();
        assert!(error.contains("\"ids\" is I32"), "{error}");
        let error = tensors.get("idz").unwrap_err().to_string();
        assert!(error.contains("\"idz\"") && error.contains("\"ids\""), "{error}");
    }

    #[test]
    fn lying_headers_are_errors() {
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            raw(&format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#), 8)
        };
        assert!(opened(&entry("F32", "[2]", "[0,8]")).is_ok());
        for (dtype, shape, offsets) in [
            ("F32", "[3]", "[0,8]"),
            ("F32", "[2]", "[0,4]"),
            ("F32", "[2]", "[8,0]"),
            ("F32", "[2]", "[4,12]"),
            ("F32", "[-2]", "[0,8]"),
            ("Q9", "[2]", "[0,8]"),
            ("F32", "[4611686018427387904,4]", "[0,0]"),
            ("F32", "[1]", "[0,4]"),
            ("F32", "[3]", "[0,12]"),
        ] {
            assert!(opened(&entry(dtype, shape, offsets)).is_err(), "{dtype} {shape} {offsets}");
        }
        let info = r#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
        assert!(opened(&raw(&format!("{{{info}}}"), 0)).is_ok());
        assert!(matches!(opened(&raw(&format!("{{{info},{info}}}"), 0)), Err(WeightsError::Duplicate { .. })));
        for bytes in [&[][..], &[1, 2, 3], &[0xff; 64], &raw("[]", 0), &raw("{", 0), &raw("\u{0}", 9)] {
            assert!(opened(bytes).is_err());
        }
    }

    #[test]
    fn truncated_and_mutated_files_do_not_panic() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_safetensors(file.path(), &sample()).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            assert!(opened(&whole[..length]).is_err(), "{length}");
        }
        let mut random = crate::accuracy::Random::new(7);
        for _ in 0..2000 {
            let Ok(tensors) = opened(&super::super::testing::mutated(&mut random, &whole)) else { continue };
            for name in tensors.names() {
                let _ = tensors.get(name);
            }
        }
    }
}
