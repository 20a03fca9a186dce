//! What grew by interval, in the file as one array a figure: a tenth of an object an
//! interval.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use tracer_ebpf::RetransmitKind;

use crate::report::ByKind;

/// One interval.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StepReport {
    /// Its end, from the start of the window.
    pub offset_s: f64,
    /// Retransmitted segments.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments by kind.
    pub by_kind: ByKind,
}

/// The same in the file: arrays of one length, and of kinds those that there are.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Columns {
    offset_s: Vec<f64>,
    segments: Vec<u64>,
    events: Vec<u64>,
    bytes: Vec<u64>,
    by_kind: BTreeMap<String, Vec<u64>>,
}

impl Columns {
    fn of(steps: &[StepReport]) -> Self {
        let column = |of: fn(&StepReport) -> u64| steps.iter().map(of).collect::<Vec<u64>>();
        let kinds = RetransmitKind::ALL.into_iter().map(|kind| {
            let counts = steps.iter().map(|step| step.by_kind.of(kind));
            (kind.name().to_owned(), counts.collect::<Vec<u64>>())
        });
        Self {
            offset_s: steps.iter().map(|step| step.offset_s).collect(),
            segments: column(|step| step.segments),
            events: column(|step| step.events),
            bytes: column(|step| step.bytes),
            by_kind: kinds
                .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
                .collect(),
        }
    }

    /// `None` if the arrays are not of one length.
    fn steps(&self) -> Option<Vec<StepReport>> {
        let length = self.offset_s.len();
        let counts = [&self.segments, &self.events, &self.bytes].into_iter();
        if !counts
            .chain(self.by_kind.values())
            .all(|column| column.len() == length)
        {
            return None;
        }
        let at = |column: &[u64], index: usize| column.get(index).copied().unwrap_or(0);
        let steps = self.offset_s.iter().enumerate().map(|(index, offset_s)| {
            let kinds = RetransmitKind::ALL.map(|kind| {
                let column = self.by_kind.get(kind.name());
                column.map_or(0, |column| at(column, index))
            });
            StepReport {
                offset_s: *offset_s,
                segments: at(&self.segments, index),
                events: at(&self.events, index),
                bytes: at(&self.bytes, index),
                by_kind: ByKind::from(kinds),
            }
        });
        Some(steps.collect())
    }
}

/// As arrays.
///
/// # Errors
/// Those of the format.
pub fn serialize<S: Serializer>(steps: &[StepReport], to: S) -> Result<S::Ok, S::Error> {
    Columns::of(steps).serialize(to)
}

/// Of arrays, or of the objects that `tracer.report/1` has instead.
///
/// # Errors
/// If it is neither, or the arrays are not of one length.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<StepReport>, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Vec<StepReport>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a series by interval")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut steps = Vec::new();
            while let Some(step) = all.next_element()? {
                steps.push(step);
            }
            Ok(steps)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let columns = Columns::deserialize(MapAccessDeserializer::new(map))?;
            let unequal = || A::Error::custom("the arrays of a series are not of one length");
            columns.steps().ok_or_else(unequal)
        }
    }

    from.deserialize_any(Either)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct File {
        #[serde(with = "super")]
        series: Vec<StepReport>,
    }

    fn read(series: &Value) -> Result<Vec<StepReport>, String> {
        let file = serde_json::from_value::<File>(json!({ "series": series }));
        file.map(|file| file.series)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_versions_hold_the_same() {
        let kinds = |rto: u64, tlp: u64| {
            json!({"tlp": tlp, "rto": rto, "fast": 0, "rack": 0, "slow_start": 0, "syn": 0,
                   "synack": 0, "other": 0})
        };
        let objects = json!([
            {"time": "2026-01-02T03:04:05Z", "offset_s": 1.0, "segments": 3, "events": 2,
             "bytes": 300, "by_kind": kinds(3, 0)},
            {"time": "2026-01-02T03:04:07Z", "offset_s": 3.0, "segments": 1, "events": 1,
             "bytes": 100, "by_kind": kinds(0, 1)},
        ]);
        let arrays = json!({
            "offset_s": [1.0, 3.0], "segments": [3, 1], "events": [2, 1], "bytes": [300, 100],
            "by_kind": {"rto": [3, 0], "tlp": [0, 1]},
        });
        let series = read(&objects).unwrap();
        assert_eq!(series, read(&arrays).unwrap());
        let written = serde_json::to_value(File { series }).unwrap();
        assert_eq!(written["series"], arrays);
    }

    #[test]
    fn arrays_of_different_lengths_are_refused() {
        let arrays = |segments: &Value, kinds: &Value| {
            read(&json!({
                "offset_s": [1.0], "segments": segments, "events": [1], "bytes": [1],
                "by_kind": kinds,
            }))
        };
        assert!(arrays(&json!([1]), &json!({"rto": [1], "later": [1]})).is_ok());
        for wrong in [
            arrays(&json!([1, 2]), &json!({})),
            arrays(&json!([1]), &json!({"rto": []})),
        ] {
            assert!(wrong.unwrap_err().contains("not of one length"));
        }
    }
}
