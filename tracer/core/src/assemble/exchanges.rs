//! The exchanges that a host has kept, as the report has them.

use crate::recording::exchange_sample::ExchangeSample;
use crate::report::exchanges::ExchangesReport;

pub(super) fn exchanges(sample: &ExchangeSample) -> ExchangesReport {
    let (wal_end, wal_ns) = sample.wal.moments().unzip();
    // What is no sequence number is none of a reply's.
    let replies = sample.replies.moments();
    let replies = replies.filter_map(|(seq, at_ns)| Some((u32::try_from(seq).ok()?, at_ns)));
    let (reply_seq, reply_ns) = replies.unzip();
    ExchangesReport {
        wal_end,
        wal_ns,
        reply_seq,
        reply_ns,
    }
}
