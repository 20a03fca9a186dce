//! A wire between two hosts.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::*;
use crate::testbed::wait;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn hosts_reach_each_other_over_a_wire_and_do_not_when_it_is_cut_as_root() {
    let net = Net::pair_and_client("wire").unwrap();
    let wire = Wire::insert(&net, "standby", 1).unwrap();
    let [primary, standby] = ["primary", "standby"].map(|role| net.host(role).unwrap());
    let listener = standby.listen().unwrap();
    let address = listener.local_addr().unwrap();
    let mut out = primary.connect(address, LIMIT).unwrap();
    let (mut back, _) = listener.accept().unwrap();
    out.write_all(b"over the wire").unwrap();
    let mut text = [0; 13];
    back.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"over the wire");
    assert_eq!(wire.harmed(), [0, 0]);

    let damage = Impairment {
        harm: Harm::Damage { percent: 100 },
        which: Which::All,
    };
    wire.impair(Heading::Host, &[damage]);
    out.write_all(b"damaged").unwrap();
    wait::until(LIMIT, "bad checksums", || {
        let refused = standby.netns.counter("Tcp", "InCsumErrors")?;
        Ok((refused > 0).then_some(()))
    })
    .unwrap();
    assert!(wire.harmed()[Heading::Host as usize] > 0);

    wire.impair(Heading::Host, &[]);
    let mut rest = [0; 7];
    back.set_read_timeout(Some(LIMIT)).unwrap();
    back.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"damaged");
}
