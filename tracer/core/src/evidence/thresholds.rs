//! Where judgement begins: every number that a finding depends on, with its source.
//!
//! Three kinds of sources: a rule of TCP or of PostgreSQL, linked; arithmetic, written
//! out; and a choice, which says what it keeps apart. Choices are held in place by the
//! scenarios in `tests/scenarios` and by the recorded runs in `tests/data/runs`.

/// What lasted shorter than this is not worth a finding, s. A choice: half of what people
/// notice of a page that loads.
pub(crate) const MIN_DURATION_S: f64 = 1.0;

/// What was seen once is not worth a finding: one sample may catch anything.
pub(crate) const MIN_SAMPLES: usize = 2;

/// What explains less of the waiting than this is not its cause. A choice: up to four
/// causes at once can be found.
pub(crate) const MIN_SHARE: f64 = 0.2;

/// From which share of the waiting on a finding explains most of it, or a good part.
pub(crate) const HIGH_SHARE: f64 = 0.7;
/// See [`HIGH_SHARE`].
pub(crate) const MEDIUM_SHARE: f64 = 0.4;

/// Waiting that nothing explains is worth a finding only if it is most of all.
pub(crate) const MIN_UNEXPLAINED_SHARE: f64 = 0.5;

/// Waiting that nothing explains comes behind what is known, unless that is less than this
/// part of it.
pub(crate) const UNEXPLAINED_WEIGHT: f64 = 0.25;

/// Waits of one kind that are seen in each sample for so long block something, ns: a
/// single commit of a second is what people call slow.
pub(crate) const MIN_BLOCKED_NS: u64 = 1_000_000_000;

/// A busy primary shows other waits in each sample, and those are as short as this, ms: a
/// flush of a disk or a round trip within a data centre takes less.
pub(crate) const MAX_SHORT_WAIT_MS: f64 = 10.0;

/// Among such waits, so many samples in a row show one of a statement that is slow, for
/// [`MIN_BLOCKED_NS`] at least, where something blocks them. A choice: of a statement that took
/// its time before it waited for a moment, one sample or another catches the end.
pub(crate) const MIN_SLOW_SAMPLES: usize = 3;

/// A sample speaks for no more than so many sampling intervals before it.
pub(crate) const MAX_INTERVALS_PER_SAMPLE: u64 = 3;

/// Fewer segments that were retransmitted or had a bad checksum are no sign of anything: a
/// single one gets lost now and then everywhere.
pub(crate) const MIN_LOST_SEGMENTS: u64 = 3;

/// Of two directions of one connection, the one with fewer than a quarter of the other's
/// segments is its echo, if it is seen at the same time: what is lost takes acknowledgements
/// with it.
pub(crate) const MAX_ECHO: u64 = 4;

/// Retransmits no further apart than this may belong to one loss, ns: the least time after
/// which a timer retransmits is 200 ms here and a second by
/// [RFC 6298, section 2.4](https://www.rfc-editor.org/rfc/rfc6298#section-2).
pub(crate) const MAX_RETRANSMIT_DISTANCE_NS: u64 = 1_000_000_000;

/// Where the peer had as much of what was retransmitted (it says so by D-SACK,
/// [RFC 2883](https://www.rfc-editor.org/rfc/rfc2883)), it was not lost: what says that it
/// arrived was, and half of what says so the second time may be, too.
pub(crate) const MIN_DSACK_SHARE: f64 = 0.25;

/// What another segment overtakes once is no loss.
pub(crate) const MIN_OUT_OF_ORDER_READINGS: usize = 2;

/// Nearly all that was retransmitted.
pub(crate) const NEARLY_ALL: f64 = 0.8;

/// When round trips get longer at once, so many are retransmitted before the kernel has
/// learnt it: its timers follow each measurement by an eighth
/// ([RFC 6298, section 2.3](https://www.rfc-editor.org/rfc/rfc6298#section-2)).
pub(crate) const MAX_EARLY_RETRANSMITS: u64 = 4;

/// What the peer had of what was retransmitted because acknowledgements showed a gap was
/// not lost: others had overtaken it
/// ([RFC 8985, section 6.2](https://www.rfc-editor.org/rfc/rfc8985#section-6.2)). What was
/// lost as well is among the rest.
pub(crate) const MIN_OVERTAKEN_SHARE: f64 = 0.5;

/// Where only probes were retransmitted, the peer told of so many that it had what they brought,
/// and nothing arrived out of order: a busy host took its time to answer. One acknowledgement
/// may tell of two, so that of some nothing is told. A choice.
pub(crate) const MOST_PROBES: f64 = 2.0 / 3.0;

/// Half of the least timeout (`TCP_RTO_MIN`, 200 ms in
/// [`include/net/tcp.h`](https://elixir.bootlin.com/linux/v6.12/source/include/net/tcp.h)).
/// Where acknowledgements are lost, round trips that timed out are among others that did
/// not; these keep the mean below.
pub(crate) const MIN_RTT_GROWTH_MS: f64 = 100.0;

/// Nothing arrived though so many were retransmitted: if every second segment were lost in
/// either direction, one such silence in 64 would be expected by chance (2^-6).
pub(crate) const MIN_UNANSWERED: u64 = 6;

/// By chance, one in sixteen (2^-4): a wait of seconds has as many wherever half of all is
/// lost, so that they show nothing; but a path that is cut for two seconds has no more, either:
/// a probe, and timeouts of 200 ms that double.
pub(crate) const FEW_UNANSWERED: u64 = 4;

/// The same where it is not known when the last acknowledgement arrived, so that the first of
/// them are not counted.
pub(crate) const FEW_UNANSWERED_SINCE_READING: u64 = 3;

/// By chance, one in 512 (2^-9): hardly chance even where most is lost.
pub(crate) const SURELY_UNANSWERED: u64 = 9;

/// How much of the time in which commits waited nothing has to have arrived for the path to
/// be cut: what loses lets some through.
pub(crate) const MIN_PARTITION_SHARE: f64 = 0.8;

/// For so much of it, it may be cut.
pub(crate) const MIN_POSSIBLE_PARTITION_SHARE: f64 = 0.5;

/// A shorter round trip is no matter to a commit that people would call slow, ms.
pub(crate) const MIN_RTT_MS: f64 = 5.0;

/// A commit waits for one round trip at least; where it takes more than 2.5 times as long,
/// most of it went elsewhere.
pub(crate) const MIN_RTT_SHARE: f64 = 0.4;

/// Where round trips are such a share of a commit, hardly anything is left for a
/// standby's disk.
pub(crate) const DOMINANT_RTT_SHARE: f64 = 0.6;

/// Where it is not known how long commits took: how much longer than the best round trip
/// of the run it has to be.
pub(crate) const MIN_RTT_FACTOR: f64 = 3.0;

/// Without a reply, the last one grows older as time goes by, or nearly so.
pub(crate) const MIN_SILENT_GROWTH: f64 = 0.8;

/// A reply that is lost is retransmitted, ever later: by the timeouts of 200 ms that double
/// ([RFC 6298, section 5.5](https://www.rfc-editor.org/rfc/rfc6298#section-5)), what is
/// silent for this long has retransmitted four times, or has sent nothing, s.
pub(crate) const SURELY_SILENT_S: f64 = 4.0;

/// Of what a standby has not replayed, it has all but a quarter on its disk: that is what
/// it waits for.
pub(crate) const MIN_REPLAY_TO_FLUSH_LAG: i64 = 4;

/// A position that is read a moment later may be a little ahead of the primary's; what a
/// standby claims by mistake is far away, bytes.
pub(crate) const FAR_AHEAD_BYTES: i64 = -(1 << 20);

/// A commit that waits because its server has no processor has somebody ready to run
/// without running nearly all the time.
pub(crate) const MIN_STARVED_SHARE: f64 = 0.7;

/// Readings of the scheduler's counts within this are taken together, ns: who waits for a
/// processor has one now and then.
pub(crate) const STARVATION_WINDOW_NS: u64 = 1_000_000_000;

/// Who waits for a lock while its holder waits for something else waits for that: so much
/// of the waiting makes it so.
pub(crate) const MAX_BEHIND_OTHERS: f64 = 0.5;

/// How much more waiting than for all else is a clear case.
pub(crate) const CLEAR_FACTOR: f64 = 2.0;

/// What takes as much of the slow commits' time is what made them slow.
pub(crate) const MIN_PART_OF_COMMITS: f64 = 0.5;

/// During so much of their waiting it has to have arrived something out of order for that
/// to be why: a reading takes in more than the wait itself.
pub(crate) const MIN_OUT_OF_ORDER_SHARE: f64 = 0.7;

/// Of their waiting, so much has to fall into recoveries from losses.
pub(crate) const MIN_RECOVERY_SHARE: f64 = 0.4;

/// The first retransmit of a SYN comes this long after it, s (`TCP_TIMEOUT_INIT`,
/// [RFC 6298, section 2.1](https://www.rfc-editor.org/rfc/rfc6298#section-2.1)).
pub(crate) const FIRST_SYN_S: f64 = 1.0;

/// From this share of what is sent on, what is retransmitted is worth a finding. A choice: one in
/// a thousand is what people live with, a third is what they search for.
pub(crate) const MIN_LOSING_SHARE: f64 = 0.01;
/// From this share on, it is most probably lost. A choice.
pub(crate) const HIGH_LOSING_SHARE: f64 = 0.05;
/// Fewer are no share of anything: one burst may lose as many. A choice.
pub(crate) const MIN_LOSING_SEGMENTS: u64 = 20;
