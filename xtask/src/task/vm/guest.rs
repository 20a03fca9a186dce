//! One boot of one kernel.

use std::fs;
use std::io::{Read as _, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};

use super::image::Image;
use super::initrd;
use super::job::Job;
use super::outcome::{self, GuestOutcome};
use crate::provision::cache;
use crate::testbed::command::Running;
use crate::testbed::{file, interrupt, wait};

/// A panic ends the guest at once, and what slows down an emulated processor
/// without need is off; so is the check whether timer interrupts come in time, which on a
/// busy host they do not, and which ends in a panic
/// (<https://github.com/torvalds/linux/blob/v6.18/arch/x86/kernel/apic/io_apic.c>).
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic \
    mitigations=off tsc=reliable no_timer_check random.trust_cpu=on";

/// How often a kernel is booted that does not come up: nothing of the job has run then.
const BOOTS: usize = 2;

/// How much of a console says what went wrong.
const LAST_LINES: usize = 50;

/// Boots the kernel, runs the job in it, and writes on what it prints as it comes.
pub(super) fn run(
    image: &Image,
    job: &Job,
    limit: Duration,
    to: &mut dyn Write,
) -> Result<GuestOutcome> {
    for _ in 1..BOOTS {
        match boot(image, job, limit, to)? {
            Ok(outcome) => return Ok(outcome),
            Err(why) => eprintln!("kernel     {}, once more: {why}", image.release),
        }
    }
    boot(image, job, limit, to)?.map_err(Error::msg)
}

type Booted = std::result::Result<GuestOutcome, String>;

/// What came of a boot; or the guest did not come up, and what its console said.
fn boot(image: &Image, job: &Job, limit: Duration, to: &mut dyn Write) -> Result<Booted> {
    let scratch = cache::scratch(&super::folder(), "guest")?;
    let within = |name| scratch.path().join(name);
    let initrd = initrd::build(image, job).context("cannot make the guest's first root")?;
    file::write(&within("initrd"), initrd)?;
    file::create(&within("output"))?;

    // Ended when dropped, whatever happens below.
    let log = within("machine");
    let mut machine = machine(image, scratch.path());
    let mut machine = Running::start_logged(&mut machine, "the guest", &log)?;
    let mut output = fs::File::open(within("output")).context("cannot read the guest's output")?;
    let begun = Instant::now();
    let ended = wait::until(limit + Duration::from_secs(1), "the guest", || {
        // Asked before its output is read, so that none is missed.
        let ended = machine.ended()?;
        pass_on(&mut output, to)?;
        let late = begun.elapsed() >= limit;
        Ok((ended.is_some() || late).then_some(ended))
    })?;
    // Ctrl-C reaches the machine, too, which may have been quicker to end.
    interrupt::check()?;
    if ended.is_none() {
        return Ok(Ok(GuestOutcome::TimedOut));
    }
    let reason = match outcome::parse(&read(&within("report"))) {
        Ok(status) => return Ok(Ok(GuestOutcome::Exit(status))),
        Err(reason) => reason,
    };
    let last = |path: &Path| file::tail(&read(path), LAST_LINES).replace('\n', "\n    ");
    let said = [within("console"), log].map(|path| format!("    {}\n", last(&path)));
    let why = format!("{reason}\n{}", said.concat().trim_end());
    if reason == outcome::NOT_UP {
        return Ok(Err(why));
    }
    bail!(why)
}

/// Without a network, and with the host's files to read only. One processor, and
/// none of the latest: two of them wait for each other half of the time where
/// both are emulated, and so would wide registers be.
fn machine(image: &Image, folder: &Path) -> Command {
    // The machine does not outlive this program, even when that is killed.
    let mut machine = Command::new("setpriv");
    machine.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    machine.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    machine.args(["-display", "none", "-machine", "q35", "-cpu", "Nehalem"]);
    machine.args(["-accel", "tcg,thread=multi", "-smp", "1", "-m", "2048"]);
    machine.args(["-nic", "none", "-device", "virtio-rng-pci"]);
    machine.args([
        "-fsdev",
        "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device",
        "virtio-9p-pci,fsdev=host,mount_tag=host",
    ]);
    for port in ["console", "output", "report"] {
        machine.args(["-serial", &format!("file:{port}")]);
    }
    machine.arg("-kernel").arg(image.vmlinuz());
    machine.args(["-initrd", "initrd", "-append", KERNEL_ARGUMENTS]);
    machine.current_dir(folder);
    machine
}

/// Writes on what has come since the last call.
fn pass_on(output: &mut fs::File, to: &mut dyn Write) -> Result<()> {
    let mut bytes = Vec::new();
    output
        .read_to_end(&mut bytes)
        .context("cannot read the guest's output")?;
    let written = to.write_all(&bytes).and_then(|()| to.flush());
    written.context("cannot write what the guest prints")
}

fn read(path: &Path) -> String {
    file::read_text(path).unwrap_or_default()
}
