//! Frames on their way.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// An Ethernet frame with an IPv4 packet with a TCP segment of so many bytes, filled with a
/// number.
fn segment(port: u16, bytes: usize, fill: u8) -> Vec<u8> {
    let length = u16::try_from(40 + bytes).unwrap();
    let mut frame = vec![0; ETHERNET + 40];
    frame[12] = 0x08;
    frame[ETHERNET] = 0x45;
    frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&length.to_be_bytes());
    frame[ETHERNET + 9] = TCP;
    frame[ETHERNET + 20..ETHERNET + 22].copy_from_slice(&port.to_be_bytes());
    frame.resize(frame.len() + bytes, fill);
    frame
}

fn way(harm: Harm, which: Which) -> Way {
    let mut way = Way::new(7, 0);
    way.impair(&[Impairment { harm, which }]);
    way
}

/// What arrives, and when, of frames that are sent one a millisecond.
fn carried(way: &mut Way, frames: &[Vec<u8>]) -> Vec<(Duration, Vec<u8>)> {
    let mut now = Duration::ZERO;
    for frame in frames {
        now += MS;
        way.accept(now, frame);
    }
    let mut arrived = Vec::new();
    while let Some(due) = way.next_due() {
        assert_eq!(way.take_due(due - Duration::from_nanos(1)), None);
        arrived.push((due, way.take_due(due).unwrap()));
    }
    arrived
}

fn many(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|one| segment(5432, 100, one)).collect()
}

#[test]
fn without_harm_all_arrive_at_once_and_in_order() {
    let mut way = Way::new(7, 0);
    let frames = many(50);
    let arrived = carried(&mut way, &frames);
    for (index, (due, frame)) in arrived.iter().enumerate() {
        assert_eq!(frame, &frames[index]);
        assert_eq!(*due, MS * u32::try_from(index + 1).unwrap());
    }
    assert_eq!((arrived.len(), way.harmed()), (50, 0));
}

#[test]
fn what_is_lost_does_not_arrive_and_is_counted() {
    for harm in [
        Harm::Loss { percent: 50 },
        Harm::Bursts { begin: 20, end: 20 },
    ] {
        let mut way = way(harm, Which::All);
        let arrived = carried(&mut way, &many(200));
        assert_eq!(arrived.len() as u64 + way.harmed(), 200);
        assert!((60..140).contains(&arrived.len()), "{harm:?}");
    }
    assert_eq!(carried(&mut way(Harm::Cut, Which::All), &many(9)).len(), 0);
    let large = Harm::Larger { bytes: 600 };
    let frames = [segment(5432, 100, 1), segment(5432, 900, 2)];
    let arrived = carried(&mut way(large, Which::All), &frames);
    assert_eq!(arrived.len(), 1);
}

#[test]
fn only_the_frames_that_are_meant_are_harmed() {
    let frames = [segment(5432, 9, 1), segment(7000, 9, 2), vec![0; 42]];
    let count = |which| carried(&mut way(Harm::Cut, which), &frames).len();
    let counts = [Which::All, Which::Port(5432), Which::OtherPorts(5432)].map(count);
    assert_eq!(counts, [0, 2, 2]);
}

#[test]
fn one_bit_of_what_is_damaged_is_another() {
    let mut way = way(Harm::Damage { percent: 100 }, Which::All);
    let frames = many(40);
    for ((_, frame), sent) in carried(&mut way, &frames).iter().zip(&frames) {
        let bits = frame.iter().zip(sent).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
        assert_eq!(ports(frame), ports(sent));
    }
    // What is no TCP segment stays as it is.
    let others = [vec![0; 42], segment(5432, 0, 0)[..20].to_vec()];
    let arrived = carried(&mut way, &others);
    assert!(arrived.iter().zip(&others).all(|((_, a), b)| a == b));
    assert_eq!(way.harmed(), 40);
}

#[test]
fn what_is_held_up_holds_up_what_comes_behind() {
    let in_order = |arrived: &[(Duration, Vec<u8>)]| {
        assert!(arrived.is_sorted_by_key(|(_, frame)| frame.last().copied()));
    };
    let delay = Harm::Delay {
        by: 20 * MS,
        jitter: 30 * MS,
    };
    let arrived = carried(&mut way(delay, Which::All), &many(50));
    in_order(&arrived);
    assert!(
        arrived
            .iter()
            .all(|(due, _)| *due >= 21 * MS && *due <= 100 * MS)
    );

    let hold = Harm::Hold {
        every: 100 * MS,
        held: 10 * MS,
    };
    let arrived = carried(&mut way(hold, Which::All), &many(50));
    in_order(&arrived);
    // The first ten milliseconds are over with the eleventh frame.
    assert_eq!(
        arrived.iter().filter(|(due, _)| *due == 11 * MS).count(),
        11
    );

    // 154 bytes each millisecond where 77 pass, and room for ten of them.
    let rate = Harm::Rate {
        bytes_per_s: 77_000,
        queue_bytes: 1_540,
    };
    let arrived = carried(&mut way(rate, Which::All), &many(50));
    in_order(&arrived);
    assert!((29..=36).contains(&arrived.len()), "{}", arrived.len());
    let gaps = arrived.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(
        gaps.into_iter()
            .all(|gap| gap >= 2 * MS - Duration::from_micros(1))
    );
}

#[test]
fn some_arrive_twice_or_behind_others() {
    let twice = Harm::Duplicate { percent: 100 };
    assert_eq!(carried(&mut way(twice, Which::All), &many(9)).len(), 18);
    let late = Harm::Reorder {
        percent: 30,
        by: 5 * MS,
    };
    let arrived = carried(&mut way(late, Which::All), &many(50));
    assert_eq!(arrived.len(), 50);
    assert!(!arrived.is_sorted_by_key(|(_, frame)| frame.last().copied()));
}

#[test]
fn the_same_seed_harms_the_same_frames() {
    let run = || carried(&mut way(Harm::Loss { percent: 40 }, Which::All), &many(100));
    assert_eq!(run(), run());
}
