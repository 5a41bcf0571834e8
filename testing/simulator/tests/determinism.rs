//! A seed gives one run, bit for bit, whichever process runs it. `cargo xtask ci` does the same with 200 seeds.

use std::process::Command;

#[test]
fn seeds_give_the_same_steps_in_two_processes() {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--twice", "6"])
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.trim(), "6 seeds in two processes, 0 differ");
}
