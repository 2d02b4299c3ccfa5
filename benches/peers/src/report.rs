//! The table, and the same as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::measure::{Row, Side};
use crate::workload::Work;

/// What is said above the table.
pub struct Header {
    /// Adapter, backend and driver.
    pub adapter: String,
    /// Year, month and day, UTC.
    pub date: String,
    /// Names and versions of the crates that are compared.
    pub versions: Vec<(&'static str, &'static str)>,
    /// Counted runs of each side.
    pub runs: usize,
}

impl Header {
    /// For this program, as it was locked and compiled.
    pub fn new(adapter: String, runs: usize) -> Self {
        let versions = ["ffwd", "burn", "cubecl-wgpu", "wgpu"].map(|name| (name, locked_version(name)));
        Self { adapter, date: today(), versions: versions.to_vec(), runs }
    }
}

/// Version of a crate in Cargo.lock.
fn locked_version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")));
    let version = package.and_then(|package| package.split("version = \"").nth(1)).and_then(|rest| rest.split('"').next());
    version.unwrap_or("unknown")
}

/// The date in UTC.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// Prints what comes before the rows.
pub fn print_header(header: &Header) {
    let versions: Vec<_> = header.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    println!("{} on {}", header.date, header.adapter);
    println!("{}; both through WGSL; medians of {} runs that take turns", versions.join(", "), header.runs);
    println!("Errors: the largest, in units of 2^-24 of the sum of the absolute values of what is added up.\n");
    println!(
        "{:<28} {:>10} {:>10} {:>9} {:>18} {:>18} {:>9} {:>9} {:>8} {:>12}",
        "workload", "ffwd ms", "burn ms", "burn/ffwd", "ffwd", "burn", "ffwd err", "burn err", "allowed", "burn's 1st s"
    );
}

/// Prints one row.
pub fn print_row(row: &Row) {
    let milliseconds = |side: &Side| side.median().map_or("-".into(), |s| format!("{:.3}", 1e3 * s));
    let rate = |side: &Side| match side.median() {
        Some(s) => format!("{:.2} {}", per_second(row.work, s), unit(row.work)),
        None if side.error <= row.allowed => "-".into(),
        None => "wrong".into(),
    };
    println!(
        "{:<28} {:>10} {:>10} {:>9} {:>18} {:>18} {:>9.2} {:>9.2} {:>8.0} {:>12.2}",
        row.name,
        milliseconds(&row.ours),
        milliseconds(&row.theirs),
        ratio(row).map_or("-".into(), |ratio| format!("{ratio:.2}")),
        rate(&row.ours),
        rate(&row.theirs),
        row.ours.error,
        row.theirs.error,
        row.allowed,
        row.theirs.first
    );
}

/// burn's time in units of ffwd's: above 1, ffwd is faster.
fn ratio(row: &Row) -> Option<f64> {
    Some(row.theirs.median()? / row.ours.median()?)
}

fn unit(work: Work) -> &'static str {
    match work {
        Work::Flop(_) => "GFLOP/s",
        Work::Bytes(_) => "GB/s",
    }
}

fn per_second(work: Work, seconds: f64) -> f64 {
    let (Work::Flop(amount) | Work::Bytes(amount)) = work;
    1e-9 * amount / seconds
}

/// Everything that the table says, and the time of each run.
pub fn json(header: &Header, rows: &[Row]) -> Value {
    let side = |row: &Row, side: &Side| {
        json!({
            "median_s": side.median(),
            "rate": side.median().map(|s| per_second(row.work, s)),
            "error": side.error,
            "first_s": side.first,
            "seconds": side.seconds,
        })
    };
    let rows = rows.iter().map(|row| {
        json!({
            "workload": row.name,
            "unit": unit(row.work),
            "allowed_error": row.allowed,
            "right": row.is_right(),
            "burn_over_ffwd": ratio(row),
            "ffwd": side(row, &row.ours),
            "burn": side(row, &row.theirs),
        })
    });
    let versions: Value = header.versions.iter().copied().collect();
    json!({
        "date": header.date,
        "adapter": header.adapter,
        "versions": versions,
        "runs": header.runs,
        "rows": rows.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!([0, 59, 11_016, 20_512].map(civil), [(1970, 1, 1), (1970, 3, 1), (2000, 2, 29), (2026, 2, 28)]);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(["ffwd", "burn", "cubecl-wgpu", "wgpu"].iter().all(|name| locked_version(name).starts_with(|c: char| c.is_ascii_digit())));
        assert_eq!(locked_version("no such crate"), "unknown");
    }
}
