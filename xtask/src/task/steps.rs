//! The steps of a run: every one is made, also after one has failed, and timed.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::testbed::interrupt;

#[derive(Debug, Default)]
pub(super) struct Steps {
    times: Vec<String>,
    failed: Vec<&'static str>,
}

impl Steps {
    /// An error only on an interrupt: there is nothing to go on with then.
    pub(super) fn make(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        println!("\n== {name}");
        let begun = Instant::now();
        let outcome = work();
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        self.times
            .push(format!("{name:<8} {verdict:<6} {seconds:>6.1} s"));
        if let Err(error) = outcome {
            interrupt::check()?;
            eprintln!("error: {error:#}");
            self.failed.push(name);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        println!("\n{}", self.times.join("\n"));
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", self.failed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_step_that_fails_ends_nothing_and_is_named() {
        let mut steps = Steps::default();
        let mut made = Vec::new();
        steps.make("one", || bail!("no")).unwrap();
        steps
            .make("two", || {
                made.push("two");
                Ok(())
            })
            .unwrap();
        assert_eq!(made, ["two"]);
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: one");
    }
}
