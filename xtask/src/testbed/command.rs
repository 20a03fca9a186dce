//! Running other programs: their failure is an error that names them.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::testbed::{file, interrupt, wait};

/// How long a program may take to end after the signal to.
const ENDING: Duration = Duration::from_secs(10);

/// How long one may take whose output is waited for: some of them download, or compile.
const MAX_RUN: Duration = Duration::from_secs(3600);

/// How long a program that may have got the interrupt, too, has to end by itself.
const INTERRUPTED: Duration = Duration::from_secs(3);

/// How much of a log says what went wrong, lines.
const LOG_LINES_SHOWN: usize = 20;

/// The command as one would type it, for messages and to be pasted.
pub(crate) fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter();
    let words: Vec<String> = words.chain(command.get_args()).map(word).collect();
    words.join(" ")
}

/// One word of it: in quotes only if it needs them.
fn word(text: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !text.is_empty() && text.as_bytes().iter().all(plain) {
        return text.to_string_lossy().into_owned();
    }
    String::from_utf8_lossy(&quote(text)).into_owned()
}

/// The text as one word of a POSIX shell.
pub(crate) fn quote(text: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            // Nothing is special between single quotes but their own end.
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// The one process that this one has started.
///
/// # Errors
/// When it has started none, or several.
pub fn only_child(parent: Pid) -> Result<Pid> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let child = children.trim().parse();
    child.map(Pid::from_raw).map_err(|_| {
        anyhow!(
            "process {parent} was to have one child, and has `{}`",
            children.trim()
        )
    })
}

/// A command of this program, also where it stands in a folder that `PATH` lacks.
pub(crate) fn named(program: &str) -> Command {
    Command::new(find(program).unwrap_or_else(|| program.into()))
}

/// Runs the command, keeps what it prints and returns its standard output.
///
/// # Errors
/// When it cannot be started or does not succeed; the error holds what it
/// wrote to standard error.
pub fn output(command: &mut Command) -> Result<String> {
    captured(command, None)
}

/// Like [`output`], with `input` on the command's standard input.
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    captured(command, Some(input)).with_context(|| format!("with this input:\n{input}"))
}

fn captured(command: &mut Command, input: Option<&str>) -> Result<String> {
    let text = line(command);
    let stdin = input.map_or_else(Stdio::null, |_| Stdio::piped());
    command.stdin(stdin).stdout(Stdio::piped());
    let mut child = spawn(command.stderr(Stdio::piped()))?;
    let written = match (child.stdin.take(), input) {
        (Some(mut stdin), Some(input)) => stdin.write_all(input.as_bytes()),
        _ => Ok(()),
    };
    let output = finish(child, &text, MAX_RUN)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`{text}` failed ({}): {}",
        output.status,
        said.trim()
    );
    written.with_context(|| format!("cannot write to `{text}`"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn spawn(command: &mut Command) -> Result<Child> {
    let child = command.spawn();
    child.with_context(|| format!("cannot run `{}`", line(command)))
}

/// What a program makes of compressed bytes; `None` if they are not compressed by xz, gzip
/// or zstd.
pub(crate) fn unpack(packed: &[u8]) -> Result<Option<Output>> {
    let tool = match packed {
        [0xfd, b'7', b'z', ..] => "xz",
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => return Ok(None),
    };
    let mut unpack = Command::new(tool);
    unpack.arg("-dc").stdin(Stdio::piped());
    unpack.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut unpack)?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // Both ends at once, or both wait; and the tool may stop reading.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(packed)));
        child.wait_with_output()
    })?;
    Ok(Some(output))
}

/// Waits for the end of a child and all that it prints. One that does not end in time is
/// killed; one that survives even that, as who waits for a device does, is left alone.
fn finish(child: Child, text: &str, limit: Duration) -> Result<Output> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let (ended, end) = mpsc::channel();
    // A thread can be left behind that waits for ever.
    thread::spawn(move || ended.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(limit) {
        return output.with_context(|| format!("cannot wait for `{text}`"));
    }
    // Nobody has waited for it yet: the id is still its own.
    let _ = kill(pid, Signal::SIGKILL);
    let survived = match end.recv_timeout(ENDING) {
        Ok(_) => "and was killed",
        Err(_) => "and survives SIGKILL",
    };
    bail!(
        "`{text}` did not end within {} s {survived}",
        limit.as_secs_f64()
    );
}

/// Runs the command with its output on this terminal, until it ends or this
/// program is interrupted.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let text = line(command);
    let status = Running::start(command, &text)?.wait(None)?;
    ensure!(status.success(), "`{text}` failed ({status})");
    Ok(())
}

/// Every process of this machine, as far as it can be seen.
pub(crate) fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| {
        let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some(Pid::from_raw(id))
    })
}

/// What stands behind a name, such as `VmHWM:`, in the status of a process.
pub(crate) fn status(pid: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// The state of a process, as one letter of `/proc/PID/stat`; `None` when there is no
/// such process.
pub fn state(pid: impl Display) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind its name, which is in parentheses and may hold any.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Where a program is on `PATH`, or in the system's folders that a user's
/// `PATH` often lacks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// A child process that does not outlive this value: dropping it ends the
/// process, first politely, then not.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    /// The file that what it says goes to.
    log: Option<PathBuf>,
}

impl Running {
    /// Takes charge of a child; `name` is for messages.
    pub fn new(child: Child, name: &str) -> Self {
        Self {
            child,
            name: name.to_owned(),
            log: None,
        }
    }

    /// Starts the program; `name` is for messages.
    pub(crate) fn start(command: &mut Command, name: &str) -> Result<Self> {
        Ok(Self::new(spawn(command)?, name))
    }

    /// The same, without input; what it says goes to a file, which is made anew.
    pub(crate) fn start_logged(command: &mut Command, name: &str, log: &Path) -> Result<Self> {
        file::create(log)?;
        Self::start_appending(command, name, log)
    }

    /// The same, behind what the file holds already.
    pub(crate) fn start_appending(command: &mut Command, name: &str, log: &Path) -> Result<Self> {
        let file = file::append(log)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut running = Self::start(command, name)?;
        running.log = Some(log.to_owned());
        Ok(running)
    }

    /// Waits for the condition, no longer than the process runs; an error comes with the
    /// end of the log.
    pub(crate) fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut condition: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let waited = wait::until(limit, what, || {
            if let Some(status) = self.ended()? {
                bail!("{} ended ({status})", self.name);
            }
            condition()
        });
        waited.map_err(|error| self.with_log(error))
    }

    /// Waits for a file, no longer than the process runs.
    pub(crate) fn until_exists(&mut self, limit: Duration, what: &str, path: &Path) -> Result<()> {
        self.until(limit, what, || Ok(path.exists().then_some(())))
    }

    /// All that it has said, if that goes to a file.
    pub(crate) fn said(&self) -> String {
        let log = self.log.as_deref();
        log.and_then(|log| file::read_text(log).ok())
            .unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        file::tail(&self.said(), LOG_LINES_SHOWN)
    }

    /// The error, and how the log ends.
    pub(crate) fn with_log(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.log {
            Some(log) => anyhow!(
                "{error:#}\n{} ends with:\n{}",
                log.display(),
                self.log_tail()
            ),
            None => error,
        }
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Sends what Ctrl-C sends.
    ///
    /// # Errors
    /// When the process is not ours or has been waited for.
    pub fn interrupt(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGINT).with_context(|| format!("cannot interrupt {}", self.name))
    }

    /// Waits for the end. An interrupt of this program, or the limit, ends the
    /// child first and is an error then.
    ///
    /// # Errors
    /// On an interrupt, or when the limit passes.
    pub fn wait(mut self, limit: Option<Duration>) -> Result<ExitStatus> {
        // A build may honestly take long: without a limit, the user's Ctrl-C
        // is the deadline.
        self.await_end(limit.unwrap_or(Duration::from_secs(24 * 3600)))
    }

    /// Ends it as Ctrl-C does. Anything but success is an error, with the end of the log.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<()> {
        self.interrupt()?;
        let status = self.await_end(limit)?;
        if status.success() {
            return Ok(());
        }
        Err(self.with_log(anyhow!("{} failed ({status})", self.name)))
    }

    fn await_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        let waited = wait::until(limit, &what, || self.ended());
        if waited.is_err() {
            // Ctrl-C reaches everything on the terminal: the child may already
            // be tidying up, and a second signal might make it stop doing so.
            if interrupt::caught().is_some() {
                let _ = wait::until_uninterrupted(INTERRUPTED, &what, || self.ended());
            }
            self.end();
        }
        waited
    }

    /// Ends the process if it still runs: SIGINT, and SIGKILL if it does not
    /// obey in time. Says how it ended; and warns of one that survives that, as
    /// who waits for a device does.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let _ = kill(self.pid(), Signal::SIGINT);
        let ended = wait::until_uninterrupted(ENDING, &self.name, || Ok(self.child.try_wait()?));
        ended.ok().or_else(|| {
            let _ = self.child.kill();
            let killed =
                wait::until_uninterrupted(ENDING, &self.name, || Ok(self.child.try_wait()?));
            killed
                .inspect_err(|_| {
                    eprintln!(
                        "warning: {} (process {}) survives SIGKILL and is left behind",
                        self.name,
                        self.pid()
                    );
                })
                .ok()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_end_is_not_waited_for() {
        let mut sleep = Command::new("sleep");
        sleep.arg("60").stdout(Stdio::piped());
        let child = sleep.spawn().unwrap();
        let error = finish(child, "sleep 60", Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().ends_with("and was killed"), "{error}");
        assert_eq!(
            output(Command::new("sh").args(["-c", "echo it; exit 0"])).unwrap(),
            "it\n"
        );
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        let mut run = Command::new("tracer");
        run.args([
            "run",
            "--netns=a",
            "--pg",
            "host=/x user=y",
            "",
            "it's",
            "50%",
        ]);
        assert_eq!(
            line(&run),
            r"tracer run --netns=a --pg 'host=/x user=y' '' 'it'\''s' 50%"
        );
    }

    #[test]
    fn a_program_is_found_or_called_by_its_name() {
        assert!(Path::new(named("sh").get_program()).is_absolute());
        // Where it is not, the error says so by its name.
        assert_eq!(named("no-such-program").get_program(), "no-such-program");
    }
}
