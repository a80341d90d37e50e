//! The binary: parse the arguments, run, turn the outcome into an exit status.

fn main() -> std::process::ExitCode {
    gradwatch::app::main()
}
