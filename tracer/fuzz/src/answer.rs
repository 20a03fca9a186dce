//! Answers of what is asked in a PostgreSQL server's place, and all that is made of them.

use tracer::postgres::connection::Rows;
use tracer::postgres::sampler::query;
use tracer_core::assemble::assemble;
use tracer_core::recording::Recording;
use tracer_core::recording::database::DatabaseRecord;
use tracer_core::render::{database, json};

use crate::shown;

/// What ends an answer, a row, a column, and what stands for a column that is null.
const ANSWER: u8 = 0x1d;
const ROW: u8 = 0x1e;
const COLUMN: u8 = 0x1f;
const NULL: &[u8] = b"\\N";
/// Answers of one look; more of them are the next look.
const LOOK: usize = 7;
const SECOND: u64 = 1_000_000_000;

/// The bytes are a greeting and then looks, of seven answers each.
///
/// Whatever a server says, it is diagnosed, a report that can be written, and lines that do
/// no harm.
pub fn target(data: &[u8]) {
    let answers: Vec<Rows> = data.split(|byte| *byte == ANSWER).map(rows).collect();
    let Some((greeting, looks)) = answers.split_first() else {
        return;
    };
    let mut record = DatabaseRecord::new("db1".to_owned(), Vec::new(), 0);
    if let Ok(greeting) = query::greeted(std::slice::from_ref(greeting)) {
        record.greeted(greeting);
    }
    for (number, look) in (1..).zip(looks.chunks(LOOK)) {
        let _ = query::free(look);
        for sees_all in [false, true] {
            if let Ok(mut sample) = query::read(look, sees_all) {
                sample.at_ns = number * SECOND;
                record.sampled(&sample, SECOND);
                let status = tracer_core::render::status::Status::of(&sample, &record);
                status
                    .lines(number * SECOND)
                    .iter()
                    .for_each(|line| shown::line(line));
            }
        }
    }
    record.close();
    let report = assemble(Recording {
        end_ns: 10 * SECOND,
        postgres: Some(record),
        ..Recording::default()
    });
    let postgres = report.postgres.iter();
    let lines = postgres.flat_map(database::lines);
    let texts = report.findings.iter().map(|one| one.text.clone());
    lines.chain(texts).for_each(|line| shown::line(&line));
    json::render(&report).expect("a report has a form in JSON");
}

fn rows(answer: &[u8]) -> Rows {
    let columns = |row: &[u8]| {
        let columns = row.split(|byte| *byte == COLUMN);
        let text = |column: &[u8]| String::from_utf8_lossy(column).into_owned();
        columns
            .map(|one| (one != NULL).then(|| text(one)))
            .collect()
    };
    answer.split(|byte| *byte == ROW).map(columns).collect()
}
