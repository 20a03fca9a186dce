//! Whether the engine works here, without hitting anything.

use tracer_ebpf::{FaultSettings, MAX_PORTS};

use super::{InjectError, engine::Engine};

/// How far the engine got.
#[derive(Debug)]
pub struct EngineTrial {
    /// Whether the kernel took the fault's program.
    pub load: Result<(), InjectError>,
    /// Whether it could be attached and was let go of again; [`None`] if there
    /// was no program to attach.
    pub attach: Option<Result<(), InjectError>>,
}

/// Loads the fault's program, which would hit nothing, attaches it to the
/// interface and takes it off again. The interface should be one that nobody
/// uses: see [`crate::kernel::netns::in_private`].
#[must_use]
pub fn try_engine(interface: &str) -> EngineTrial {
    let nothing = FaultSettings {
        threshold: 0,
        port_count: 0,
        _pad: 0,
        ports: [0; MAX_PORTS],
    };
    match Engine::load(interface, nothing, &[]) {
        Ok(mut engine) => EngineTrial {
            attach: Some(engine.attach().and_then(|()| let_go(&mut engine))),
            load: Ok(()),
        },
        Err(error) => EngineTrial {
            load: Err(error),
            attach: None,
        },
    }
}

fn let_go(engine: &mut Engine) -> Result<(), InjectError> {
    if engine.detach() {
        return Ok(());
    }
    Err(InjectError::Program {
        doing: "detach",
        reason: "the kernel did not confirm that it is gone".to_owned(),
    })
}
