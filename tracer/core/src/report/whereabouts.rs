//! What became of the interface of a fault.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where it is, compared with where the fault was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Whereabouts {
    /// There, and called the same.
    AsBefore,
    /// There, and called something else.
    Renamed {
        /// Its name now.
        name: String,
    },
    /// In another network namespace. Its queueing disciplines and filters did not go
    /// with it.
    Moved {
        /// Inode of that namespace.
        netns: u32,
        /// What people call it; empty out of a file.
        #[serde(skip)]
        namespace: String,
        /// Its name there.
        name: String,
    },
    /// Nowhere: deleted, or gone with its namespace or with the boot. Everything that
    /// was on it is gone with it.
    Gone,
    /// Gone, and its index is another interface's.
    Replaced {
        /// Of that one, which nothing was done to.
        name: String,
    },
    /// It could not be found out.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Whereabouts {
    /// Whether everything that was on it is gone with it.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Gone | Self::Replaced { .. })
    }

    /// In words, for an interface of this name; [`None`] if nothing became of it.
    pub fn told_of(&self, interface: &str) -> Option<String> {
        match self {
            Self::AsBefore => None,
            other => Some(format!("interface {interface} {other}")),
        }
    }
}

/// Behind the interface's name.
impl fmt::Display for Whereabouts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsBefore => formatter.write_str("is as before"),
            Self::Renamed { name } => write!(formatter, "is called {name} now"),
            Self::Moved {
                netns,
                namespace,
                name,
            } => {
                formatter.write_str("is in another network namespace now (")?;
                match namespace.is_empty() {
                    true => write!(formatter, "net:[{netns}]")?,
                    false => formatter.write_str(namespace)?,
                }
                write!(formatter, "), as {name}")
            }
            Self::Gone => formatter.write_str("is gone, and everything on it with it"),
            Self::Replaced { name } => write!(
                formatter,
                "is gone, and everything on it with it; {name}, which has its index now, is another one and was not touched"
            ),
            Self::Unknown { reason } => {
                write!(formatter, "cannot be found again for certain: {reason}")
            }
        }
    }
}
