//! Hosts around a switch.

use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Netns, Queue, remove_orphans, run_ip, shape};

/// The kernel's limit for names of interfaces.
const INTERFACE_NAME_MAX: usize = 15;

const BRIDGE: &str = "switch";

/// As on the hosts of the cluster that the lab stands for.
const INTERFACE: &str = "ens160";

/// What a host shall be.
#[derive(Debug, Clone, Copy)]
pub struct HostSpec<'a> {
    /// Last part of its namespace's name, and its port's name on the switch;
    /// no dashes.
    pub role: &'a str,
    /// Last number of its addresses: `10.0.10.N/24` and `fd00:10::N/64`.
    pub number: u8,
    /// The name of its interface, such as `ens160`.
    pub interface: &'a str,
}

/// A host: a namespace with one interface.
#[derive(Debug)]
pub struct Host {
    /// The namespace.
    pub netns: Netns,
    /// The name of the interface inside.
    pub interface: String,
    /// Its IPv4 address, in a /24.
    pub v4: Ipv4Addr,
    /// Its IPv6 address, in a /64; usable at once (no duplicate detection).
    pub v6: Ipv6Addr,
    role: String,
}

impl Host {
    /// A host that another process has made and will remove, by the name of its
    /// namespace and the last number of its addresses.
    pub(crate) fn borrowed(namespace: &str, number: u8) -> Result<ManuallyDrop<Self>> {
        ensure!(
            super::names().iter().any(|name| name == namespace),
            "there is no namespace {namespace}"
        );
        let (v4, v6) = addresses(number)?;
        Ok(ManuallyDrop::new(Self {
            netns: Netns {
                name: namespace.to_owned(),
            },
            interface: String::new(),
            v4,
            v6,
            role: String::new(),
        }))
    }

    /// Gives its interface its addresses, after these lines of `ip`.
    fn set_up(&self, first: &str) -> Result<()> {
        let Self {
            v4, v6, interface, ..
        } = self;
        self.netns.ip(&format!(
            "{first}\
             address add {v4}/24 dev {interface}\n\
             address add {v6}/64 dev {interface} nodad\n\
             link set {interface} up\n"
        ))
    }

    /// Its IPv4 address, or its IPv6 address.
    pub fn address(&self, ipv6: bool) -> IpAddr {
        if ipv6 { self.v6.into() } else { self.v4.into() }
    }

    pub(crate) fn listen(&self) -> Result<TcpListener> {
        let address = SocketAddr::new(self.v4.into(), 0);
        self.netns.enter(|| Ok(TcpListener::bind(address)?))
    }

    /// A connection from this host, made within the limit.
    pub(crate) fn connect(&self, to: SocketAddr, limit: Duration) -> Result<TcpStream> {
        let connect = || Ok(TcpStream::connect_timeout(&to, limit)?);
        let connected = self.netns.enter(connect);
        connected.with_context(|| format!("cannot connect to {to}"))
    }

    /// Switches offloads of the interface, as `ethtool -K` names them.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn offloads(&self, features: &[&str], on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        let mut arguments = vec!["-K", &self.interface];
        for feature in features {
            arguments.extend([feature, state]);
        }
        self.netns.run("ethtool", &arguments).map(|_| ())
    }

    /// Puts a small queue in front of what the host sends. Of what it drops the host's
    /// own TCP knows: that is congestion in the host.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn shape(&self, queue: &Queue) -> Result<()> {
        shape(&self.netns, &self.interface, queue)
    }
}

/// Hosts around a switch; all of it is removed when dropped.
#[derive(Debug)]
pub struct Net {
    // Dropped in this order: processes in the hosts end before their switch.
    hosts: Vec<Host>,
    switch: Netns,
}

impl Net {
    /// Two hosts, `primary` at 10.0.10.2 (fd00:10::2) and `standby` at
    /// 10.0.10.3 (fd00:10::3), both with an interface of this name.
    ///
    /// # Errors
    /// As [`Net::star`].
    pub fn pair(tag: &str, interface: &str) -> Result<Self> {
        let host = |role, number| HostSpec {
            role,
            number,
            interface,
        };
        Self::star(tag, &[host("primary", 2), host("standby", 3)])
    }

    /// The same with a `client` at 10.0.10.10, all with the interface of the cluster that
    /// the lab stands for.
    pub(crate) fn pair_and_client(tag: &str) -> Result<Self> {
        let hosts = [("primary", 2), ("standby", 3), ("client", 10)];
        Self::lab(tag, &hosts)
    }

    /// Hosts by their roles and numbers, with that interface.
    pub(crate) fn lab<const N: usize>(tag: &str, hosts: &[(&str, u8); N]) -> Result<Self> {
        let specs = hosts.map(|(role, number)| HostSpec {
            role,
            number,
            interface: INTERFACE,
        });
        Self::star(tag, &specs).context("cannot make the lab's network")
    }

    /// Hosts around a switch. Clears away first what crashed runs have left.
    ///
    /// Within a process, tags have to differ.
    ///
    /// # Errors
    /// Without root, or when the kernel refuses something.
    pub fn star(tag: &str, specs: &[HostSpec]) -> Result<Self> {
        remove_orphans().context("cannot clear away an earlier run")?;
        let switch = Netns::named(tag, BRIDGE)?;
        let hosts = specs
            .iter()
            .map(|spec| host(tag, spec))
            .collect::<Result<Vec<_>>>()?;
        // A start of `ip` is what takes time: few of them, of many lines. Both
        // ends of a cable are born inside: nothing appears among the machine's own.
        let mut made = format!("netns add {}\n", switch.name());
        // No snooping: nobody here would answer the queries, and neighbour
        // discovery is multicast.
        let mut inside = format!(
            "link set lo up\nlink add {BRIDGE} type bridge mcast_snooping 0\n\
             link set {BRIDGE} up\n"
        );
        for host in &hosts {
            let (name, role) = (host.netns.name(), &host.role);
            made += &format!("netns add {name}\n");
            inside += &format!(
                "link add {role} type veth peer name {} netns {name}\n\
                 link set {role} master {BRIDGE} up\n",
                host.interface
            );
        }
        run_ip(&[], &made)?;
        switch.ip(&inside)?;
        for host in &hosts {
            host.set_up("link set lo up\n")?;
        }
        Ok(Self { hosts, switch })
    }

    /// Puts two other interfaces in the place of the host's cable: the host's own, and its
    /// port on the switch. `make` makes one of a name in the namespace of its thread, and
    /// whatever carries frames between the two has what it returns, in this order.
    pub(crate) fn open_cable<T: Send>(
        &self,
        role: &str,
        make: impl Fn(&str) -> Result<T> + Sync,
    ) -> Result<[T; 2]> {
        let host = self.host(role)?;
        // Its other end goes with it.
        host.netns
            .ip(&format!("link delete {}\n", host.interface))?;
        let own = host.netns.enter(|| make(&host.interface))?;
        host.set_up("")?;
        let port = self.switch.enter(|| make(role))?;
        self.switch
            .ip(&format!("link set {role} master {BRIDGE} up\n"))?;
        Ok([own, port])
    }

    /// The hosts, in the order of their specs.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host of this role.
    ///
    /// # Errors
    /// When there is none.
    pub fn host(&self, role: &str) -> Result<&Host> {
        self.hosts
            .iter()
            .find(|host| host.role == role)
            .with_context(|| format!("the lab has no host {role}"))
    }

    /// The switch's namespace. Its port toward a host bears the host's role.
    pub fn switch(&self) -> &Netns {
        &self.switch
    }

    /// Puts a small queue on the switch's port toward the host. What it drops
    /// is lost on the way, unknown to either TCP: that is network loss.
    ///
    /// # Errors
    /// When there is no such host or the kernel refuses.
    pub fn shape_toward(&self, role: &str, queue: &Queue) -> Result<()> {
        shape(&self.switch, &self.host(role)?.role, queue)
    }

    /// Puts a small queue on the way from the primary to the standby.
    pub(crate) fn narrow(&self, queue: &Queue) -> Result<()> {
        // Segments one by one: the queue would refuse larger packets as a whole.
        self.host("primary")?
            .offloads(&["tso", "gso", "gro"], false)?;
        self.shape_toward("standby", queue)
    }

    /// Pulls the host's cable, or plugs it in again: its port on the switch
    /// goes down or up, and the host's link with it.
    ///
    /// # Errors
    /// When there is no such host or the kernel refuses.
    pub fn plug(&self, role: &str, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        let port = &self.host(role)?.role;
        self.switch.ip(&format!("link set {port} {state}\n"))
    }
}

/// A host of which only the name is there.
fn host(tag: &str, spec: &HostSpec) -> Result<Host> {
    let HostSpec {
        role,
        number,
        interface,
    } = *spec;
    ensure!(
        !role.contains('-') && role != BRIDGE && role.len() <= INTERFACE_NAME_MAX,
        "a host cannot be called {role}: at most 15 letters, no dash, not `{BRIDGE}`"
    );
    let (v4, v6) = addresses(number)?;
    Ok(Host {
        netns: Netns::named(tag, role)?,
        interface: interface.to_owned(),
        v4,
        v6,
        role: role.to_owned(),
    })
}

fn addresses(number: u8) -> Result<(Ipv4Addr, Ipv6Addr)> {
    // Number 10 is written `::10`, as in the IPv4 address, so that a person
    // can match the two; hexadecimal it may be.
    let v6 = format!("fd00:10::{number}")
        .parse()
        .with_context(|| format!("no IPv6 address for host {number}"))?;
    Ok((Ipv4Addr::new(10, 0, 10, number), v6))
}
