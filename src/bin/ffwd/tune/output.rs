//! The report for people and for programs.

use std::io::Write;

use ffwd::tuning::{Choice, Strategy};
use serde_json::{Value, json};

use super::check::Checked;
use super::products::Skipped;
use super::{Report, Row};
use crate::bench::duration;
use crate::error::CliError;
use crate::table::{self, Align};

impl Row {
    fn seconds(&self, wanted: Strategy) -> Option<f64> {
        let measured = self.tuned.as_ref().map(|tuned| tuned.measured.as_slice()).unwrap_or_default();
        measured.iter().find(|(strategy, _)| *strategy == wanted).map(|(_, seconds)| *seconds)
    }

    fn cells(&self) -> Option<Vec<String>> {
        let tuned = self.tuned.as_ref()?;
        let seconds = self.seconds(tuned.chosen)?;
        let times = |other: f64| format!("{:.2} x", other / seconds);
        let refused = || "refused".to_owned();
        let (second, behind) = tuned
            .measured
            .get(1)
            .map_or_else(|| ("none".to_owned(), String::new()), |(strategy, seconds)| (strategy.to_string(), times(*seconds)));
        Some(vec![
            self.product.class.clone(),
            tuned.chosen.to_string(),
            duration(seconds),
            self.shipped.to_string(),
            self.seconds(self.shipped).map_or_else(refused, times),
            second,
            behind,
        ])
    }

    fn as_json(&self) -> Value {
        let choice = |strategy: Strategy, seconds: Option<f64>| json!({ "strategy": strategy.to_string(), "seconds": seconds });
        let problem = self.product.problem;
        let measured = self.tuned.as_ref().map(|tuned| tuned.measured.as_slice()).unwrap_or_default();
        json!({
            "class": self.product.class,
            "workloads": self.product.names,
            "shape": { "rows": problem.rows, "cols": problem.cols, "depth": problem.depth },
            "gated": problem.gated,
            "candidates": self.candidates.iter().map(Strategy::to_string).collect::<Vec<_>>(),
            "remembered": self.remembered.map(|Choice { strategy, seconds }| choice(strategy, Some(seconds))),
            "shipped": choice(self.shipped, self.seconds(self.shipped)),
            "chosen": self.tuned.as_ref().map(|tuned| choice(tuned.chosen, self.seconds(tuned.chosen))),
            "runner_up": measured.get(1).map(|(strategy, seconds)| choice(*strategy, Some(*seconds))),
            "measured": measured.iter().map(|(strategy, seconds)| choice(*strategy, Some(*seconds))).collect::<Vec<_>>(),
            "kept": self.tuned.as_ref().map(|tuned| tuned.not_kept.is_none()),
            "checked": self.checked.iter().map(|checked| json!({
                "shape": { "rows": checked.problem.rows, "cols": checked.problem.cols, "depth": checked.problem.depth },
                "chosen": choice(checked.chosen.0, Some(checked.chosen.1).filter(|seconds| seconds.is_finite())),
                "best": choice(checked.best.0, Some(checked.best.1)),
                "ratio": Some(checked.ratio()).filter(|ratio| ratio.is_finite()),
                "measurements": checked.measurements,
                "passed": checked.passed(),
            })).collect::<Vec<_>>(),
        })
    }
}

impl Report<'_> {
    /// For programs: `ffwd-tune/1`.
    pub fn as_json(&self) -> Value {
        let info = self.gpu.info();
        let skipped = |Skipped { class, names, reason }: &Skipped| json!({ "class": class, "workloads": names, "reason": reason });
        json!({
            "schema": "ffwd-tune/1",
            "version": env!("CARGO_PKG_VERSION"),
            "adapter": info.name,
            "backend": format!("{:?}", info.backend).to_lowercase(),
            "driver": info.driver,
            "driver_info": info.driver_info,
            "key": self.gpu.tuning_key(),
            "file": self.file,
            "classes": self.rows.iter().map(Row::as_json).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
        })
    }

    /// For people; of a dry run only what would be measured.
    pub fn print(&self, dry: bool, out: &mut dyn Write) -> Result<(), CliError> {
        if dry {
            self.print_candidates(out)?;
        } else {
            self.print_choices(out)?;
        }
        if self.rows.iter().any(|row| !row.checked.is_empty()) {
            self.print_checked(out)?;
        }
        if !self.skipped.is_empty() {
            writeln!(out, "\nskipped")?;
            let row = |skipped: &Skipped| vec![skipped.class.clone(), skipped.reason.clone(), skipped.names.join(", ")];
            table::print(out, &[Align::Left; 3], &self.skipped.iter().map(row).collect::<Vec<_>>())?;
        }
        let kept = self.rows.iter().filter_map(|row| row.tuned.as_ref()).filter(|tuned| tuned.not_kept.is_none()).count();
        match (dry, kept) {
            (true, _) => writeln!(out, "\nnothing was measured; choices are kept in {}", self.file.display())?,
            (false, 0) => {}
            (false, 1) => writeln!(out, "\n1 choice written to {}", self.file.display())?,
            (false, kept) => writeln!(out, "\n{kept} choices written to {}", self.file.display())?,
        }
        Ok(())
    }

    fn print_candidates(&self, out: &mut dyn Write) -> Result<(), CliError> {
        for Row { product, candidates, shipped, remembered, .. } in &self.rows {
            let known = remembered.map(|Choice { strategy, seconds }| format!("{strategy}, {}", duration(seconds)));
            writeln!(out, "{}: {}", product.class, product.names.join(", "))?;
            writeln!(out, "  remembered  {}", known.unwrap_or_else(|| "none".into()))?;
            writeln!(out, "  shipped     {shipped}")?;
            writeln!(out, "  candidates  {}", candidates.iter().map(Strategy::to_string).collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }

    fn print_choices(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let heading = ["class", "chosen", "median", "shipped", "takes", "runner-up", "takes"];
        let mut lines = vec![heading.map(String::from).to_vec()];
        lines.extend(self.rows.iter().filter_map(Row::cells));
        if lines.len() > 1 {
            let mut align = [Align::Left; 7];
            (align[2], align[4], align[6]) = (Align::Right, Align::Right, Align::Right);
            table::print(out, &align, &lines)?;
        }
        Ok(())
    }

    fn print_checked(&self, out: &mut dyn Write) -> Result<(), CliError> {
        writeln!(out)?;
        let heading = ["checked", "product", "chosen", "median", "best", "median", "chosen/best", ""];
        let mut lines = vec![heading.map(String::from).to_vec()];
        for (class, checked) in self.rows.iter().flat_map(|row| row.checked.iter().map(|checked| (&row.product.class, checked))) {
            let Checked { problem, chosen, best, measurements, .. } = checked;
            lines.push(vec![
                class.clone(),
                format!("{}x{}x{}", problem.rows, problem.cols, problem.depth),
                chosen.0.to_string(),
                duration(chosen.1),
                best.0.to_string(),
                duration(best.1),
                format!("{:.3}", checked.ratio()),
                match (checked.passed(), measurements) {
                    (true, 1) => "ok".into(),
                    (true, _) => "ok the second time".into(),
                    (false, _) => "SLOW".into(),
                },
            ]);
        }
        let mut align = [Align::Left; 8];
        (align[3], align[5], align[6]) = (Align::Right, Align::Right, Align::Right);
        table::print(out, &align, &lines)
    }
}
