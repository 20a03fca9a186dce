//! Whether the program works here, without hitting anything.

use std::os::fd::AsFd as _;

use nix::net::if_::if_nametoindex;
use tracer_ebpf::{Direction, FaultSettings};

use crate::inject::engine::program::{Entry, FaultProgram};
use crate::inject::guard::origin::Origin;
use crate::inject::handles::{FILTER, FILTER_NAME, clsact, place};
use crate::inject::{InjectError, Interface};
use crate::kernel::tc::{self, Handle};

const ENTRY: Entry = Entry::Direction(Direction::Egress);

/// How far the program got.
#[derive(Debug)]
pub(crate) struct EngineTrial {
    /// Whether the kernel took the fault's program.
    pub load: Result<(), InjectError>,
    /// Whether it could be attached by a link and was let go of again; [`None`] if
    /// there was no program to attach.
    pub tcx: Option<Result<(), InjectError>>,
    /// Whether it could be attached by a filter; [`None`] likewise.
    pub clsact: Option<Result<(), InjectError>>,
}

/// Loads the fault's program, which would hit nothing, and attaches it to the
/// interface by a link and by a filter. The filter stays: the interface has to be one that
/// nobody uses and that goes afterwards, see [`crate::kernel::netns::in_private`].
pub(crate) fn try_engine(interface: &str) -> EngineTrial {
    // As it comes, no lot falls on anything.
    let nothing = FaultSettings::default();
    match FaultProgram::load(interface, &[ENTRY], nothing, &[]) {
        Ok(mut program) => EngineTrial {
            tcx: Some(
                program
                    .attach(Direction::Egress)
                    .and_then(|()| let_go(&mut program, interface)),
            ),
            clsact: Some(filter(&mut program, interface)),
            load: Ok(()),
        },
        Err(error) => EngineTrial {
            load: Err(error),
            tcx: None,
            clsact: None,
        },
    }
}

fn let_go(program: &mut FaultProgram, interface: &str) -> Result<(), InjectError> {
    if program.detach(&Origin::of(&Interface::named(interface)?)?) {
        return Ok(());
    }
    Err(InjectError::Program {
        doing: "detach",
        reason: "the kernel did not confirm that it is gone".to_owned(),
    })
}

fn filter(program: &mut FaultProgram, interface: &str) -> Result<(), InjectError> {
    let program = program.descriptor(ENTRY)?;
    let add = || -> std::io::Result<()> {
        let interface = if_nametoindex(interface)?;
        tc::add_qdisc(clsact(interface), "clsact", &[])?;
        let filter = place(interface, Handle::EGRESS, FILTER);
        tc::add_bpf_filter(filter, 1, program.as_fd(), FILTER_NAME)
    };
    add().map_err(|error| InjectError::Queue {
        what: "a filter for its program",
        interface: interface.to_owned(),
        error,
    })
}
