//! What a guest is to do, as text for its shell.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::testbed::command::quote;

/// A command, and what it needs to be run as on the host.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Its words; the first is the program.
    pub(super) command: Vec<OsString>,
    pub(super) folder: PathBuf,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Job {
    /// The script that becomes the command.
    pub(super) fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        for (name, value) in &self.environment {
            script.extend([b"export ", name.as_bytes(), b"=", &quote(value), b"\n"].concat());
        }
        let folder = quote(self.folder.as_os_str());
        script.extend([b"cd ", &folder[..], b" || exit 125\nexec"].concat());
        for word in &self.command {
            script.push(b' ');
            script.extend(quote(word));
        }
        script.push(b'\n');
        script
    }
}

/// What the guest's init reads of the kernel it runs on.
pub(super) fn settings(release: &str, modules: &Path) -> Vec<u8> {
    let (release, modules) = (quote(OsStr::new(release)), quote(modules.as_os_str()));
    [b"release=", &release[..], b"\nmodules=", &modules, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::Command;

    use super::*;

    fn job(command: &[&str]) -> Job {
        Job {
            command: command.iter().map(OsString::from).collect(),
            folder: PathBuf::from("/"),
            environment: vec![("GREETING", OsString::from("it's $HOME"))],
        }
    }

    #[test]
    fn words_arrive_as_they_were() {
        let words = [
            "a b",
            "",
            "'",
            "\"$HOME\"",
            "*",
            "\\",
            "line\nbreak",
            "-n",
            "é;&|",
        ];
        let script = job(&[&["printf", "%s|"][..], &words].concat()).script();
        let output = Command::new("sh")
            .arg("-c")
            .arg(OsStr::from_bytes(&script))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            words.map(|word| format!("{word}|")).concat()
        );
    }

    #[test]
    fn a_script_sets_its_scene_first() {
        let script = String::from_utf8(job(&["true"]).script()).unwrap();
        assert_eq!(
            script,
            "export GREETING='it'\\''s $HOME'\ncd '/' || exit 125\nexec 'true'\n"
        );
    }

    #[test]
    fn settings_are_shell_too() {
        let settings = settings("6.1.0-1-amd64", Path::new("/a b"));
        assert_eq!(settings, b"release='6.1.0-1-amd64'\nmodules='/a b'\n");
    }
}
