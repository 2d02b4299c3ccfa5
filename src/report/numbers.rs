//! Numbers as people read them: three digits that count, and a unit.

const NARROW: char = '\u{202f}';

/// With three significant digits, whole numbers in full and in groups of three.
pub fn plain(value: f64) -> String {
    let size = value.abs();
    let digits: usize = match size {
        0.0 => 0,
        _ if !(1e-3..1e9).contains(&size) => return format!("{value:.2e}"),
        _ if size < 0.00995 => 5,
        _ if size < 0.0995 => 4,
        _ if size < 0.995 => 3,
        _ if size < 9.995 => 2,
        _ if size < 99.95 => 1,
        _ => 0,
    };
    grouped(&format!("{value:.digits$}"))
}

/// A whole number in groups of three; four digits stay together.
pub fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(text: &str) -> String {
    if text.contains('.') || text.len() < 5 {
        return text.to_owned();
    }
    let mut grouped = String::new();
    for (i, c) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            grouped.push(NARROW);
        }
        grouped.push(c);
    }
    grouped
}

/// With three significant digits and a prefix to the unit: `1.23 ms`.
pub fn si(value: f64, unit: &str) -> String {
    let (factor, prefix) = prefix(value);
    format!("{}\u{a0}{prefix}{unit}", plain(value / factor))
}

/// From one value to another, in the unit that a third one has: `1.20 to 1.31 ms`.
pub fn spread([low, high]: [f64; 2], like: f64, unit: &str) -> String {
    let (factor, prefix) = prefix(like);
    format!("{} to {}\u{a0}{prefix}{unit}", plain(low / factor), plain(high / factor))
}

/// The prefix that leaves one to three digits before the point, and what it stands for.
fn prefix(value: f64) -> (f64, &'static str) {
    const PREFIXES: [&str; 11] = ["p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E"];
    // 999.6 is rounded to 1.00 k.
    let exponent = if value == 0.0 { 0 } else { (value.abs() * 1.0005).log10().floor() as i32 };
    let thousands = exponent.div_euclid(3).clamp(-4, 6);
    let prefix = usize::try_from(thousands + 4).ok().and_then(|i| PREFIXES.get(i)).copied().unwrap_or_default();
    (10f64.powi(3 * thousands), prefix)
}

/// Bytes with binary prefixes, as sizes of memory are named.
pub fn memory(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4);
    let value = bytes as f64 / 1024f64.powi(power as i32);
    let unit = UNITS.get(power as usize).copied().unwrap_or_default();
    if value.fract() == 0.0 { format!("{value}\u{a0}{unit}") } else { format!("{}\u{a0}{unit}", plain(value)) }
}

/// A share in percent, of which no digit more than matters.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = usize::from(percent < 9.95);
    format!("{percent:.digits$}{NARROW}%")
}

/// A digit times a power of ten, as an axis shows it.
pub fn times_power_of_ten(digit: i32, exponent: i32) -> String {
    if (-3..=5).contains(&exponent) {
        let digits = usize::try_from(-exponent).unwrap_or(0);
        return grouped(&format!("{:.digits$}", f64::from(digit) * 10f64.powi(exponent)));
    }
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    let factor = if digit == 1 { String::new() } else { format!("{digit}·") };
    format!("{factor}10{}", exponent.to_string().chars().map(raised).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let texts: Vec<_> = [0.0, 0.00123, 0.012345, 0.9999, 9.996, 12.34, 999.6, 12345.0, 1e-7].map(plain).to_vec();
        assert_eq!(texts, ["0", "0.00123", "0.0123", "1.00", "10.0", "12.3", "1000", "12\u{202f}345", "1.00e-7"]);
        let texts: Vec<_> = [1.234e-3, 999.9e-6, 9.999e-6, 0.0, 2.5, 1e9].map(|seconds| si(seconds, "s")).to_vec();
        assert_eq!(texts, ["1.23\u{a0}ms", "1.00\u{a0}ms", "10.0\u{a0}µs", "0\u{a0}s", "2.50\u{a0}s", "1.00\u{a0}Gs"]);
        assert_eq!([0.003, 0.0996, 0.61, 1.5].map(percent), ["0.3\u{202f}%", "10\u{202f}%", "61\u{202f}%", "150\u{202f}%"]);
        assert_eq!([0, 128 << 20, 1 << 31].map(memory), ["0\u{a0}bytes", "128\u{a0}MiB", "2\u{a0}GiB"]);
        let texts: Vec<_> = [(1, -4), (2, -1), (5, 0), (1, 4), (2, 12)].map(|(n, exponent)| times_power_of_ten(n, exponent)).to_vec();
        assert_eq!(texts, ["10⁻⁴", "0.2", "5", "10\u{202f}000", "2·10¹²"]);
        assert_eq!(spread([0.98e-3, 1.2e-3], 1e-3, "s"), "0.980 to 1.20\u{a0}ms");
        assert_eq!(spread([9.996e-4, 1.2e-3], 9.996e-4, "s"), "1.00 to 1.20\u{a0}ms");
    }
}
