//! The fw-ctl binary; everything is in the library.

fn main() -> std::process::ExitCode {
    fw_ctl::cli::main()
}
