//! Two hosts whose clocks are known, and what their exchanges show of them.

use super::*;

const MS: f64 = 1e6;
const SECOND: f64 = 1e9;
/// When it all began, by our clock.
const START_NS: u64 = 5_000_000_000_000;

/// A clock that is ahead of ours, and drifts.
#[derive(Clone, Copy)]
struct Other {
    ahead_ns: f64,
    drift: f64,
}

impl Other {
    fn ahead_at(self, after_ns: f64) -> f64 {
        self.ahead_ns + self.drift * after_ns
    }

    /// Its time so long after the start.
    fn time(self, after_ns: f64) -> u64 {
        START_NS.saturating_add_signed((after_ns + self.ahead_at(after_ns)) as i64)
    }
}

fn ours(after_ns: f64) -> u64 {
    START_NS + after_ns as u64
}

/// Numbers from 0 to 1 that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}

/// An exchange each `every_s` for so long; `took` says how long both ways took by when.
fn exchanged(
    other: Other,
    length_s: f64,
    every_s: f64,
    mut took: impl FnMut(f64) -> [f64; 2],
) -> [Vec<OneWay>; 2] {
    let (mut out, mut back) = (Vec::new(), Vec::new());
    let mut at_s = 0.0;
    while at_s < length_s {
        let sent = at_s * SECOND;
        let [there, again] = took(at_s);
        let replied = sent + there + 0.5 * MS;
        out.push(OneWay {
            sent_ns: ours(sent),
            arrived_ns: other.time(sent + there),
        });
        back.push(OneWay {
            sent_ns: other.time(replied),
            arrived_ns: ours(replied + again),
        });
        at_s += every_s;
    }
    [out, back]
}

/// Ways that take 0.1 ms, mostly a little longer, and now and then far longer.
fn usual(seed: u64) -> impl FnMut(f64) -> [f64; 2] {
    let mut numbers = Numbers(seed);
    move |_| {
        [0, 1].map(|_| {
            let busy = numbers.next();
            let rare = if numbers.next() < 0.05 {
                30.0 * MS
            } else {
                0.0
            };
            0.1 * MS + 0.4 * MS * busy * busy + rare * numbers.next()
        })
    }
}

const CLOCKS: [Other; 6] = [
    Other {
        ahead_ns: 0.0,
        drift: 0.0,
    },
    Other {
        ahead_ns: 3.0 * SECOND,
        drift: 50e-6,
    },
    Other {
        ahead_ns: -3.0 * SECOND,
        drift: 200e-6,
    },
    Other {
        ahead_ns: 3.0 * SECOND,
        drift: -200e-6,
    },
    Other {
        ahead_ns: 4_000_000.0 * SECOND,
        drift: 1e-6,
    },
    Other {
        ahead_ns: 0.0,
        drift: 490e-6,
    },
];

#[test]
fn the_difference_is_known_to_half_of_the_smallest_round_trip_whatever_the_clocks() {
    for (number, other) in CLOCKS.into_iter().enumerate() {
        let mut ways = usual(number as u64);
        let [out, back] = exchanged(other, 120.0, 0.5, &mut ways);
        let bounds = ClockBounds::new(&out, &back).unwrap();
        for step in 0..1_200 {
            let after_ns = f64::from(step) * 0.1 * SECOND;
            let known = bounds.at(ours(after_ns));
            let truth = other.ahead_at(after_ns);
            // A nanosecond at either end is rounded away.
            assert!(known.least_ns <= truth + 2.0, "{number} {step} {known:?}");
            assert!(known.most_ns >= truth - 2.0, "{number} {step} {known:?}");
            // The smallest of all round trips is 0.2 ms, without what the other did.
            assert!(
                known.most_ns - known.least_ns <= 0.25 * MS,
                "{number} {step} {known:?}"
            );
        }
    }
}

#[test]
fn what_one_way_takes_longer_is_that_way_s() {
    let other = CLOCKS[2];
    let mut ways = usual(7);
    let slow = |at_s: f64| match at_s >= 30.0 {
        true => [10.0 * MS, 1.0 * MS],
        false => ways(at_s),
    };
    // From then on, no exchange is quick: what was so before is what counts.
    let [out, back] = exchanged(other, 40.0, 0.2, slow);
    let bounds = ClockBounds::new(&out, &back).unwrap();
    for one in back
        .iter()
        .filter(|one| one.arrived_ns > ours(31.0 * SECOND))
    {
        let took = bounds.took_back(one.sent_ns, one.arrived_ns);
        assert!(
            took.least_ns <= 1.0 * MS && took.most_ns >= 1.0 * MS,
            "{took:?}"
        );
        let middle_ms = f64::midpoint(took.least_ns, took.most_ns) / MS;
        assert!((0.8..1.2).contains(&middle_ms), "{took:?}");
    }
}

#[test]
fn without_a_quick_exchange_it_is_not_known_better_than_by_half_a_round_trip() {
    let [out, back] = exchanged(CLOCKS[1], 40.0, 0.2, |_| [10.0 * MS, 1.0 * MS]);
    let bounds = ClockBounds::new(&out, &back).unwrap();
    let known = bounds.at(ours(20.0 * SECOND));
    let wide_ms = (known.most_ns - known.least_ns) / MS;
    // The other took half a millisecond, and that is not the network's.
    assert!((10.9..11.1).contains(&wide_ms), "{known:?}");
    let truth = CLOCKS[1].ahead_at(20.0 * SECOND);
    assert!(known.least_ns <= truth && truth <= known.most_ns);
}

#[test]
fn a_clock_that_jumped_bounds_nothing() {
    let [mut out, mut back] = exchanged(CLOCKS[1], 60.0, 0.5, usual(3));
    let jump = |time_ns: &mut u64| {
        if *time_ns > CLOCKS[1].time(30.0 * SECOND) {
            *time_ns += 50_000_000;
        }
    };
    out.iter_mut().for_each(|one| jump(&mut one.arrived_ns));
    assert!(ClockBounds::new(&out, &back).is_ok());
    back.iter_mut().for_each(|one| jump(&mut one.sent_ns));
    let found = ClockBounds::new(&out, &back).err();
    assert_eq!(found, Some(Unbounded::Contradiction));
}

#[test]
fn a_clock_that_is_slewed_for_a_while_is_still_bounded() {
    // By 300 ppm from second 20 to second 30, by 3 ms in all.
    let [mut out, mut back] = exchanged(CLOCKS[0], 60.0, 0.2, usual(4));
    let slewed = |time_ns: u64| {
        let after = time_ns.saturating_sub(ours(20.0 * SECOND)) as f64;
        time_ns + (after.min(10.0 * SECOND) * 300e-6) as u64
    };
    let change = |time_ns: &mut u64| *time_ns = slewed(*time_ns);
    out.iter_mut().for_each(|one| change(&mut one.arrived_ns));
    back.iter_mut().for_each(|one| change(&mut one.sent_ns));
    let bounds = ClockBounds::new(&out, &back).unwrap();
    for step in 0..600 {
        let at_ns = ours(f64::from(step) * 0.1 * SECOND);
        let known = bounds.at(at_ns);
        let truth = (slewed(at_ns) - at_ns) as f64;
        assert!(known.least_ns <= truth + 2.0 && truth <= known.most_ns + 2.0);
        assert!(
            known.most_ns - known.least_ns < 0.8 * MS,
            "{step} {known:?}"
        );
    }
}

#[test]
fn one_direction_alone_bounds_nothing() {
    let [out, back] = exchanged(CLOCKS[1], 1.0, 0.5, usual(1));
    for (out, back) in [(&out[..], &[][..]), (&[], &back), (&[], &[])] {
        let found = ClockBounds::new(out, back).err();
        assert_eq!(found, Some(Unbounded::NoExchange));
    }
}

#[test]
fn times_that_no_clock_tells_are_no_harm() {
    let times = [0, 1, 1 << 53, u64::MAX - 1, u64::MAX];
    let mut all = Vec::new();
    for sent_ns in times {
        all.extend(times.map(|arrived_ns| OneWay {
            sent_ns,
            arrived_ns,
        }));
    }
    for out in &all {
        for back in &all {
            let Ok(bounds) = ClockBounds::new(&[*out], &[*back]) else {
                continue;
            };
            for at_ns in times {
                let known = bounds.at(at_ns);
                assert!(known.least_ns <= known.most_ns, "{known:?}");
                let took = bounds.took_back(u64::MAX - at_ns, at_ns);
                assert!(took.least_ns <= took.most_ns, "{took:?}");
            }
        }
    }
}
