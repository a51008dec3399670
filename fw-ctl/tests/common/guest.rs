//! A test that runs itself in guests: what holds in this machine's kernel holds in others.

use std::time::Duration;

use sandbox::guest::{Guest, on_each_kernel, or_skip};

/// No test takes a tenth of it where nothing else runs; with more effort, longer.
const LIMIT: Duration = Duration::from_mins(10);
/// How many times as much as usual the tests in a guest try; it is slow, so that is not
/// much.
const EFFORT: &str = "FW_GUEST_EFFORT";
/// In the environment of what runs in a guest.
const HERE: &str = "FW_IN_GUEST";

/// Where the corpora are in a guest that has them, as [`super::corpus`] looks for them.
pub const CORPORA: &str = "FW_CONFORMANCE=/corpora";

/// The number in [`EFFORT`], or 1.
pub fn effort() -> u32 {
    std::env::var(EFFORT).map_or(1, |effort| {
        let number = effort.parse().ok().filter(|number| *number > 0);
        number.unwrap_or_else(|| panic!("{EFFORT} is {effort:?}, which is no number of times"))
    })
}

/// Whether this is the program in the guest.
pub fn is_here() -> bool {
    std::env::var_os(HERE).is_some()
}

/// Runs one test of this program in each kernel of `FW_GUESTS`. `environment` is the
/// test's, `NAME=value`; `prepare` gives the guest what it needs.
pub fn passes_in_guests(
    test: &str,
    environment: &str,
    prepare: impl for<'a> Fn(Guest<'a>) -> Guest<'a>,
) {
    let program = std::env::current_exe().unwrap();
    let name = program.file_name().unwrap().to_str().unwrap();
    let script = format!(
        "export {HERE}=yes {EFFORT}={} FW_KERNEL_TESTS=require {environment}\n\
         {name} --exact {test} --nocapture >/out/log 2>&1",
        effort()
    );
    on_each_kernel(|kernel| {
        // A second CPU would only wait for its turn.
        let guest = prepare(Guest::new(kernel).cpus(1)).program(&program);
        let Some(output) = or_skip(guest.run(&script, LIMIT * effort())) else {
            return;
        };
        let log = output.file("log").unwrap();
        let failed = || format!("Linux {}:\n{log}\n{}", kernel.release(), output.console);
        assert!(output.status == 0, "{}", failed());
        // A name that is no test's would be none that fails.
        assert!(log.contains("test result: ok. 1 passed;"), "{}", failed());
        println!("Linux {}:\n{log}", kernel.release());
    });
}
