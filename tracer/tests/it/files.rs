//! The commands that read files and nothing else: the real program, without root.

mod alerts;
mod compare;
mod docs;
mod explain;
mod frozen;
mod hostile;
mod killed;
mod merge;
mod recordings;
mod replay;
mod report;
