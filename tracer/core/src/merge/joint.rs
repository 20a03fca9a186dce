//! What both hosts found, as one. The host that saw who waited says what harmed commits; what
//! the other saw of the same network makes it surer, explains it, or harmed nobody.

use std::cmp::Ordering;

use crate::evidence::thresholds::{
    MIN_PART_OF_COMMITS, MIN_RECOVERY_SHARE, MIN_SAMPLES, MIN_STARVED_SHARE,
};
use crate::interval::Span;
use crate::merge::agreement::{
    Echo, clause, confirm, contradict, is_damage, is_of, nobody_waited, turn, unknown_share, weigh,
};
use crate::merge::clock::{ClockMethod, Offset};
use crate::merge::journey::{Journey, journeys};
use crate::merge::lost_ways;
use crate::merge::model::HostFinding;
use crate::merge::owner;
use crate::merge::replay;
use crate::merge::replication::received_from;
use crate::merge::silence;
use crate::merge::waited::{AskedServer, Waited, losses, ns, without_processor};
use crate::report::Report;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::processors::ProcessorsReport;
use crate::report::sample::Role;
use crate::report::stages::Stage;

/// What was found, and what nobody waited for.
pub(crate) struct JointFindings {
    /// What weighs most first.
    pub(crate) findings: Vec<HostFinding>,
    /// What only the host saw that could not see who waited.
    pub(crate) unwaited: Vec<HostFinding>,
    /// What slow commits waited for.
    pub(crate) journeys: Vec<Journey>,
}

/// The two reports, and what joins them.
pub(crate) struct Sides<'a> {
    pub(crate) reports: &'a [Report; 2],
    pub(crate) labels: &'a [String; 2],
    /// From the start of the united window to the start of each, s.
    pub(crate) starts_s: [f64; 2],
    pub(crate) clock: &'a Offset,
    /// Whether they ran at the same time at all.
    pub(crate) overlap: bool,
}

/// One of the two.
#[derive(Clone, Copy)]
struct SideReport<'a> {
    index: usize,
    report: &'a Report,
    label: &'a str,
    start_s: f64,
}

pub(crate) fn joint(sides: &Sides<'_>) -> JointFindings {
    let [one, two] = both(sides);
    let (primary, other) = match (sees_waits(one.report), sees_waits(two.report)) {
        (true, false) if sides.overlap => (one, two),
        (false, true) if sides.overlap => (two, one),
        _ => {
            return JointFindings {
                findings: side_by_side(own(one), own(two)),
                unwaited: Vec::new(),
                journeys: Vec::new(),
            };
        }
    };
    let one_clock = sides.clock.method != ClockMethod::NotKnown;
    let shift_s = one_clock.then_some(primary.start_s - other.start_s);
    let waited = Waited::of(primary.report, shift_s);
    let mut joint = JointFindings {
        findings: own(primary),
        unwaited: Vec::new(),
        journeys: journeys(primary.report, primary.label, other.report),
    };
    let asked = AskedServer::of(primary.report);
    let followed = joint.journeys.iter().enumerate();
    let followed = followed.filter(|(_, one)| asked.is(one.server_pid));
    let longest = followed.max_by(|a, b| a.1.waited_ms.total_cmp(&b.1.waited_ms));
    if let Some((index, journey)) = longest {
        owner::refute(&mut joint.findings, journey, index);
    }
    let mut others = Vec::new();
    let replication = received_from(primary.report, other.report);
    let lossy = waited.share(&losses(other.report, &replication));
    for found in own(other) {
        if !found.finding.cause.is_loss() || !is_of(&found, other.index, &replication) {
            others.push(unknown_share(primary.label, found));
        } else if let Some(same) = same_trouble(&mut joint.findings, &found) {
            match is_damage(found.finding.cause) && was_reached(primary, other, shift_s) {
                true => contradict(same, &found),
                false => confirm(same, &found),
            }
        } else if let Some(reverse) = other_way(&mut joint.findings, &found) {
            match weigh(reverse.finding.size.segments, found.finding.size.segments) {
                // What one of them says of the way may rest on what its peer had of it; both
                // together know better.
                Echo::First if is_worse_by_both(reverse, &found, primary, other) => {
                    confirm(reverse, &found);
                }
                Echo::First => turn(reverse, &found),
                Echo::Second => confirm(reverse, &found),
                Echo::Neither if lossy >= MIN_RECOVERY_SHARE => {
                    others.push(unknown_share(primary.label, found));
                }
                Echo::Neither => joint.unwaited.push(nobody_waited(primary.label, found)),
            }
        } else if lossy >= MIN_RECOVERY_SHARE && is_open(&joint.findings, primary) {
            explain(&mut joint.findings, primary, lossy, found);
        } else if !one_clock && is_open(&joint.findings, primary) {
            // Whether it was at the same time is not known.
            others.push(unknown_share(primary.label, found));
        } else {
            joint.unwaited.push(nobody_waited(primary.label, found));
        }
    }
    if let Some(starved) = starved(&joint.findings, primary, &waited, other) {
        joint.findings.insert(0, starved);
    }
    if let Some((index, journey)) = longest {
        owner::own(&mut joint.findings, other.label, journey, index);
    }
    replay::explain(
        &mut joint.findings,
        other.report,
        &waited,
        other.label,
        other.index,
    );
    joint.findings = side_by_side(joint.findings, others);
    joint
}

fn both<'a>(sides: &Sides<'a>) -> [SideReport<'a>; 2] {
    let [one, two] = sides.reports;
    let [first, second] = sides.labels;
    let [starts, other_starts] = sides.starts_s;
    let host = |index, report, label: &'a String, start_s| SideReport {
        index,
        report,
        label,
        start_s,
    };
    [
        host(0, one, first, starts),
        host(1, two, second, other_starts),
    ]
}

/// Whether a report shows who waited for a standby: its server was asked, or its commits were
/// traced.
fn sees_waits(report: &Report) -> bool {
    let mut samples = report.postgres.iter().flat_map(|one| &one.series);
    let sampled = samples
        .any(|one| one.sample.role == Role::Primary && one.sample.sync_rep_waiters.is_some());
    let mut servers = report.commits.iter().flat_map(|one| &one.servers);
    sampled || servers.any(|one| one.commits > 0)
}

/// Findings of one host, whose evidence is in a merged report.
fn own(host: SideReport<'_>) -> Vec<HostFinding> {
    let merged = |pointer: &String| format!("/reports/{}{pointer}", host.index);
    let own = host.report.findings.iter().map(|finding| HostFinding {
        host: host.label.to_owned(),
        finding: Finding {
            evidence: finding.evidence.iter().map(merged).collect(),
            ..finding.clone()
        },
    });
    own.collect()
}

/// What either says, each in its own order, in which what weighs most comes first. Of what
/// the two have next, that is first which is surer, and then what was waited for longer.
fn side_by_side(one: Vec<HostFinding>, two: Vec<HostFinding>) -> Vec<HostFinding> {
    let (mut one, mut two) = (one.into_iter().peekable(), two.into_iter().peekable());
    std::iter::from_fn(|| match (one.peek(), two.peek()) {
        (Some(first), Some(second)) if order(second, first).is_gt() => two.next(),
        (Some(_), _) => one.next(),
        (None, _) => two.next(),
    })
    .collect()
}

fn order(one: &HostFinding, other: &HostFinding) -> Ordering {
    let waited_s = |of: &HostFinding| of.finding.size.waited_s.unwrap_or(0.0);
    let sure = one.finding.confidence.cmp(&other.finding.confidence);
    sure.then(waited_s(one).total_cmp(&waited_s(other)))
}

/// What the primary found of the same: the same direction, or that nothing came through.
fn same_trouble<'a>(
    findings: &'a mut [HostFinding],
    found: &HostFinding,
) -> Option<&'a mut HostFinding> {
    let cause = found.finding.cause;
    findings.iter_mut().find(|one| {
        let theirs = one.finding.cause;
        let same_way = cause.way().is_some() && theirs.way() == cause.way();
        let is_cut = |one: Cause, other: Cause| one == Cause::Partition && other.is_loss();
        same_way || is_cut(theirs, cause) || is_cut(cause, theirs)
    })
}

/// What the primary found in the other direction.
fn other_way<'a>(
    findings: &'a mut [HostFinding],
    found: &HostFinding,
) -> Option<&'a mut HostFinding> {
    let cause = found.finding.cause;
    findings.iter_mut().find(|one| {
        let theirs = one.finding.cause.way();
        theirs.is_some() && theirs != cause.way()
    })
}

/// Whether the way that the first blames for its losses lost more than the other, by what both
/// hosts retransmitted.
fn is_worse_by_both(
    one: &HostFinding,
    found: &HostFinding,
    primary: SideReport<'_>,
    other: SideReport<'_>,
) -> bool {
    let causes = [one.finding.cause, found.finding.cause];
    let way = one.finding.cause.way();
    !causes.into_iter().any(is_damage) && lost_ways::worse(primary.report, other.report) == way
}

/// Whether something reached the standby's host, with a bad checksum, while nothing came back to
/// the primary. `shift_s` as of [`Waited`].
fn was_reached(primary: SideReport<'_>, other: SideReport<'_>, shift_s: Option<f64>) -> bool {
    let silence = silence::longest(primary.report).zip(shift_s);
    silence.is_some_and(|(span, shift_s)| {
        let moved = |at_ns: u64| ns(at_ns as f64 / 1e9 + shift_s);
        let there = Span {
            from_ns: moved(span.from_ns),
            to_ns: moved(span.to_ns),
        };
        silence::corrupted_segment_arrived(other.report, there)
    })
}

/// What is slow on the way to the standby, on its host, or on the way back: the primary alone
/// cannot tell one from the other.
fn is_beyond_primary(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::StandbyNotReplying
            | Cause::StandbyFlush
            | Cause::StandbyApply
            | Cause::NotTheNetwork
            | Cause::NotDetermined
    )
}

/// Whether commits waited for something that the primary did not see, and that may have been
/// lost.
fn is_open(findings: &[HostFinding], primary: SideReport<'_>) -> bool {
    let first = findings.first();
    let is_open = first.is_some_and(|first| {
        let cause = first.finding.cause;
        is_beyond_primary(cause) && !matches!(cause, Cause::StandbyFlush | Cause::StandbyApply)
    });
    is_open && leaves_primary(primary.report)
}

/// Whether most of the slow commits' waiting was beyond the primary's host, where its stages
/// were measured.
fn leaves_primary(report: &Report) -> bool {
    let commits = report.commits.iter().flat_map(|one| &one.slow);
    let followed = commits.filter_map(|one| Some((one.wait_ms, one.stages_ms?)));
    let (all_ms, beyond_ms) = followed.fold((0.0, 0.0), |(all, beyond), (wait_ms, stages)| {
        let stages_ms = stages.of(Stage::Acknowledged) + stages.of(Stage::Remote);
        (all + wait_ms, beyond + stages_ms)
    });
    all_ms == 0.0 || beyond_ms >= MIN_PART_OF_COMMITS * all_ms
}

/// The first finding of the primary becomes what explains it.
fn explain(findings: &mut [HostFinding], primary: SideReport<'_>, share: f64, found: HostFinding) {
    let Some(first) = findings.first_mut() else {
        return;
    };
    let known = &first.finding;
    let text = format!(
        "Commits on {} waited, {:.0} % of that time while the replication recovered from a loss that {} saw: {}.",
        primary.label,
        100.0 * share,
        found.host,
        clause(&found.finding)
    );
    let mut evidence = found.finding.evidence;
    evidence.extend(known.evidence.clone());
    *first = HostFinding {
        host: found.host,
        finding: Finding {
            text,
            cause: found.finding.cause,
            confidence: Confidence::Medium,
            size: Size {
                duration_s: known.size.duration_s,
                waited_s: known.size.waited_s,
                waiters_max: known.size.waiters_max,
                commit_max_ms: known.size.commit_max_ms,
                explained_percent: Some(100.0 * share),
                ..found.finding.size
            },
            evidence,
        },
    };
}

/// The standby's server had no processor while commits waited for something that the primary
/// could not see.
fn starved(
    findings: &[HostFinding],
    primary: SideReport<'_>,
    waited: &Waited,
    other: SideReport<'_>,
) -> Option<HostFinding> {
    let first = findings.first()?;
    if !is_beyond_primary(first.finding.cause) || !leaves_primary(primary.report) {
        return None;
    }
    let asked = primary.report.postgres.iter();
    let asked = asked.filter_map(|one| one.system_identifier.as_ref());
    let running = primary.report.processors.iter().flatten();
    let running = running.filter_map(|one| one.system_identifier.as_ref());
    let theirs: Vec<&String> = asked.chain(running).collect();
    let is_standby = |one: &ProcessorsReport| {
        let own = one.system_identifier.as_ref();
        own.is_some_and(|own| theirs.contains(&own))
    };
    let servers = other.report.processors.iter().flatten().enumerate();
    let (index, server, spans) = servers
        .filter(|(_, server)| is_standby(server))
        .map(|(index, server)| (index, server, without_processor(server)))
        .max_by(|a, b| waited.share(&a.2).total_cmp(&waited.share(&b.2)))?;
    let share = waited.share(&spans);
    let starved = server.series.iter().filter(|step| {
        let to_ns = ns(step.offset_s);
        let is_without = spans.iter().any(|span| span.has(to_ns));
        is_without && waited.has(step.offset_s, step.duration_s)
    });
    if starved.clone().count() < MIN_SAMPLES || share < MIN_PART_OF_COMMITS {
        return None;
    }
    let (ran_s, starved_s) = starved.fold((0.0, 0.0), |(ran, waited), step| {
        (ran + step.ran_ms / 1e3, waited + step.waited_ms / 1e3)
    });
    let known = &first.finding.size;
    Some(HostFinding {
        host: other.label.to_owned(),
        finding: Finding {
            text: format!(
                "PostgreSQL on the standby's host {} had no CPU during {:.0} % of the time in which commits on {} waited: its processes ran for {ran_s:.1} s and waited for a CPU for {starved_s:.1} s meanwhile, all of them together.",
                other.label,
                100.0 * share,
                primary.label
            ),
            cause: Cause::CpuStarvation,
            confidence: match share >= MIN_STARVED_SHARE {
                true => Confidence::High,
                false => Confidence::Medium,
            },
            size: Size {
                duration_s: known.duration_s,
                waited_s: known.waited_s,
                waiters_max: known.waiters_max,
                commit_max_ms: known.commit_max_ms,
                starved_s: Some(starved_s),
                starved_percent: Some(100.0 * share),
                ..Size::default()
            },
            evidence: ["series", "waited_s", "ran_s"]
                .map(|field| format!("/reports/{}/processors/{index}/{field}", other.index))
                .to_vec(),
        },
    })
}
