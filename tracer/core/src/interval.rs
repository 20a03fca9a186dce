//! Lengths of time between two moments.

/// A length of time, from a moment on and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

impl Span {
    pub(crate) fn length_ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    pub(crate) fn seconds(self) -> f64 {
        self.length_ns() as f64 / 1e9
    }

    /// Whether an interval that ended then belongs to it.
    pub(crate) fn has(self, end_ns: u64) -> bool {
        self.from_ns < end_ns && end_ns <= self.to_ns
    }

    /// Those of them that overlap or touch as one, in order.
    pub(crate) fn apart(mut spans: Vec<Self>) -> Vec<Self> {
        spans.sort_unstable_by_key(|span| (span.from_ns, span.to_ns));
        let mut found: Vec<Self> = Vec::with_capacity(spans.len());
        for span in spans {
            match found.last_mut() {
                Some(last) if span.from_ns <= last.to_ns => {
                    last.to_ns = last.to_ns.max(span.to_ns);
                }
                _ => found.push(span),
            }
        }
        found
    }

    /// How much of it these cover, ns; they are in order and do not overlap.
    pub(crate) fn covered_ns(self, spans: &[Self]) -> u64 {
        let common = |span: &Self| Self {
            from_ns: span.from_ns.max(self.from_ns),
            to_ns: span.to_ns.min(self.to_ns),
        };
        let first = spans.partition_point(|span| span.to_ns <= self.from_ns);
        let there = spans[first..].iter();
        there
            .take_while(|span| span.from_ns < self.to_ns)
            .map(|span| common(span).length_ns())
            .sum()
    }
}
