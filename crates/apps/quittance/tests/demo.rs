//! The demonstration ends well, and a wrong option is answered with what to do.

use std::process::Command;

fn quittance(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_quittance"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

#[test]
fn every_payment_of_the_demonstration_has_one_outcome() {
    let output = quittance(&["demo", "--payments", "3"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("Every payment has one outcome"), "{text}");
    assert_eq!(
        text.matches("kill -9: ").count(),
        5,
        "somebody dies in each payment: {text}"
    );
    assert!(text.contains("5 were sent") || text.contains("failed"), "{text}");
    assert!(!text.contains("NOT RECEIVED"), "{text}");
}

#[test]
fn a_wrong_number_of_payments_is_refused_with_the_bounds() {
    let output = quittance(&["demo", "--payments", "0"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("0 is not in 1..=100"), "{text}");
}
