//! Prints, for each official vector file, what held and what did not; exits non-zero when anything did not.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for (file, check) in quittance_vectors::files() {
        let report = quittance_vectors::run(file, check);
        for failure in &report.failures {
            println!("    {failure}");
        }
        println!("{file}: {} passed, {} failed", report.passed, report.failures.len());
        passed += report.passed;
        failed += report.failures.len();
    }
    for (file, reason) in quittance_vectors::NOT_RUN {
        println!("{file}: not run ({reason})");
    }
    let unaccounted = quittance_vectors::unaccounted();
    for line in &unaccounted {
        println!("error: {line}");
    }
    println!("vectors: {passed} passed, {failed} failed");
    if failed == 0 && unaccounted.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
