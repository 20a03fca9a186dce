//! `cargo xtask`: what a developer or newcomer runs.

fn main() -> std::process::ExitCode {
    xtask::task::main()
}
