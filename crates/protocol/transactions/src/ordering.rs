//! The order of outputs that both sides must agree on (BOLT 3, transaction output ordering).

use std::cmp::Ordering;

use bitcoin::{Amount, Script};
use quittance_primitives::CltvExpiry;

/// Orders two outputs: by value, then by script as `memcmp` would, the shorter first, then by expiry. Outputs that are no
/// HTLC have no expiry and never tie with one, since their scripts differ.
pub fn compare_outputs(
    one: (Amount, &Script, Option<CltvExpiry>),
    other: (Amount, &Script, Option<CltvExpiry>),
) -> Ordering {
    one.0
        .cmp(&other.0)
        .then_with(|| one.1.as_bytes().cmp(other.1.as_bytes()))
        .then_with(|| one.2.cmp(&other.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(one: (u64, &[u8], u32), other: (u64, &[u8], u32)) -> Ordering {
        let output = |(sat, script, expiry): (u64, _, _)| {
            (
                Amount::from_sat(sat),
                Script::from_bytes(script),
                Some(CltvExpiry(expiry)),
            )
        };
        compare_outputs(output(one), output(other))
    }

    #[test]
    fn value_then_script_then_length_then_expiry() {
        assert_eq!(order((1, &[9, 9], 9), (2, &[0], 0)), Ordering::Less);
        assert_eq!(order((1, &[1, 0], 9), (1, &[0, 9, 9], 0)), Ordering::Greater);
        assert_eq!(order((1, &[1], 9), (1, &[1, 0], 0)), Ordering::Less);
        assert_eq!(order((1, &[1], 505), (1, &[1], 506)), Ordering::Less);
        assert_eq!(order((1, &[1], 5), (1, &[1], 5)), Ordering::Equal);
    }
}
