//! Mistakes in a condition as it is typed, and conditions on what was not measured.

/// Why a condition cannot be decided. A mistake on the command line: exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It has another form.
    #[error(
        "`{0}` is not METRIC OP NUMBER; write for example `commits.p99 > +20%`, `commits.p99 > 50ms` or `findings.came > 0`"
    )]
    Form(String),
    /// It names nothing that can be compared.
    #[error("`{given}`: there is no metric `{name}`; {}", close_words(.close))]
    Unknown {
        /// As it was typed.
        given: String,
        /// What was taken for its metric.
        name: String,
        /// Metrics whose names are close.
        close: Vec<String>,
    },
    /// The number is of something else.
    #[error("`{given}`: {metric} is compared with {takes}")]
    Unit {
        /// As it was typed.
        given: String,
        /// Its metric.
        metric: String,
        /// With what that can be compared.
        takes: &'static str,
    },
    /// Nothing is less by more than all of it.
    #[error("`{0}`: nothing is less by more than 100 %")]
    BelowNothing(String),
    /// There is nothing to compare.
    #[error("`{given}`: {metric} was not measured in {runs}: {needs}")]
    NotMeasured {
        /// As it was typed.
        given: String,
        /// Its metric.
        metric: String,
        /// In which of the two files.
        runs: String,
        /// What it would have taken.
        needs: &'static str,
    },
}

fn close_words(close: &[String]) -> String {
    if close.is_empty() {
        return "`tracer compare --help` names all of them".to_owned();
    }
    let quoted: Vec<String> = close.iter().map(|name| format!("`{name}`")).collect();
    format!("did you mean {}?", quoted.join(" or "))
}
