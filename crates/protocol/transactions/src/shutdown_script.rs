//! Where a closing channel may pay to (BOLT 2, `shutdown`), and from which amount on an output is worth relaying (BOLT 3,
//! dust limits).

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::{Amount, Script, ScriptBuf};

/// A script that has one of the forms that BOLT 2 allows in `shutdown` and `closing_complete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownScript(ScriptBuf);

/// Which forms both sides agreed on, beside the two of segwit version 0 that always stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownForms {
    /// Later segwit versions (`option_shutdown_anysegwit`).
    pub any_segwit: bool,
    /// `OP_RETURN` (`option_simple_close`).
    pub op_return: bool,
}

/// The script has none of the agreed forms. Whoever sent it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a closing channel cannot pay to the script {0:x}")]
pub struct InvalidShutdownScript(pub ScriptBuf);

impl ShutdownScript {
    /// Checks a script that we or a peer want to be paid to.
    ///
    /// # Errors
    /// [`InvalidShutdownScript`] when it has none of the agreed forms.
    ///
    /// ```
    /// use bitcoin::ScriptBuf;
    /// use quittance_transactions::{ShutdownForms, ShutdownScript};
    ///
    /// let taproot = ScriptBuf::from_hex(&format!("5120{}", "07".repeat(32)))?;
    /// assert!(ShutdownScript::new(taproot.clone(), ShutdownForms::default()).is_err());
    /// let agreed = ShutdownForms { any_segwit: true, op_return: false };
    /// let script = ShutdownScript::new(taproot, agreed)?;
    /// assert_eq!(script.dust_threshold().to_sat(), 354);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(script: ScriptBuf, forms: ShutdownForms) -> Result<Self, InvalidShutdownScript> {
        let is_later_segwit =
            script.is_witness_program() && script.witness_version() != Some(bitcoin::WitnessVersion::V0);
        let is_allowed = script.is_p2wpkh()
            || script.is_p2wsh()
            || (forms.any_segwit && is_later_segwit)
            || (forms.op_return && is_single_push_op_return(script.as_bytes()));
        if is_allowed {
            Ok(Self(script))
        } else {
            Err(InvalidShutdownScript(script))
        }
    }

    /// The script itself.
    pub fn as_script(&self) -> &Script {
        &self.0
    }

    /// The script itself.
    pub fn into_script(self) -> ScriptBuf {
        self.0
    }

    /// Whether it gives the money to the miners.
    pub fn is_op_return(&self) -> bool {
        self.0.is_op_return()
    }

    /// The least amount of an output with this script that relays.
    pub fn dust_threshold(&self) -> Amount {
        dust_threshold(&self.0)
    }
}

/// The least amount of an output with this script that relays, at the usual 3000 sat/kvB (BOLT 3, dust limits).
pub fn dust_threshold(script: &Script) -> Amount {
    let sat = if script.is_op_return() {
        0
    } else if script.is_p2wpkh() {
        294
    } else if script.is_p2wsh() {
        330
    } else if script.is_p2sh() {
        540
    } else if *script == *ScriptBuf::new_p2a() {
        240
    } else if script.is_witness_program() {
        354
    } else if script.is_p2pkh() {
        546
    } else {
        return script.minimal_non_dust();
    };
    Amount::from_sat(sat)
}

/// `OP_RETURN` and one push: of 6 to 75 bytes, or by `OP_PUSHDATA1` of 76 to 80 bytes (BOLT 2, `shutdown`).
fn is_single_push_op_return(script: &[u8]) -> bool {
    match script {
        [return_op, length @ 6..=75, data @ ..] if *return_op == OP_RETURN.to_u8() => {
            data.len() == usize::from(*length)
        }
        [return_op, 76, length @ 76..=80, data @ ..] if *return_op == OP_RETURN.to_u8() => {
            data.len() == usize::from(*length)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: ShutdownForms = ShutdownForms {
        any_segwit: true,
        op_return: true,
    };

    fn is_allowed(bytes: Vec<u8>, forms: ShutdownForms) -> bool {
        ShutdownScript::new(ScriptBuf::from(bytes), forms).is_ok()
    }

    fn program(version: u8, length: u8) -> Vec<u8> {
        [&[version, length][..], &vec![7; usize::from(length)]].concat()
    }

    #[test]
    fn segwit_version_0_is_always_allowed_and_only_in_its_two_lengths() {
        assert!(is_allowed(program(0, 20), ShutdownForms::default()));
        assert!(is_allowed(program(0, 32), ShutdownForms::default()));
        assert!(!is_allowed(program(0, 31), ALL));
    }

    #[test]
    fn later_versions_need_the_feature() {
        for version in 0x51..=0x60 {
            for length in [2, 32, 40] {
                assert!(is_allowed(program(version, length), ALL));
                let without = ShutdownForms {
                    any_segwit: false,
                    ..ALL
                };
                assert!(!is_allowed(program(version, length), without));
            }
            assert!(!is_allowed(program(version, 1), ALL));
            assert!(!is_allowed(program(version, 41), ALL));
        }
    }

    #[test]
    fn op_return_needs_the_feature_and_one_push_of_a_stated_length() {
        let push = |length: u8| [&[0x6a, length][..], &vec![7; usize::from(length)]].concat();
        let long_push = |length: u8| [&[0x6a, 76, length][..], &vec![7; usize::from(length)]].concat();
        for length in [6, 40, 75] {
            assert!(is_allowed(push(length), ALL));
            assert!(!is_allowed(
                push(length),
                ShutdownForms {
                    op_return: false,
                    ..ALL
                }
            ));
        }
        assert!(!is_allowed(push(5), ALL));
        assert!(!is_allowed([push(6), vec![7]].concat(), ALL), "a byte behind the push");
        assert!(!is_allowed(push(20)[..15].to_vec(), ALL), "a push that ends early");
        for length in [76, 80] {
            assert!(is_allowed(long_push(length), ALL));
        }
        assert!(!is_allowed(long_push(75), ALL));
        assert!(!is_allowed(long_push(81), ALL));
    }

    #[test]
    fn scripts_that_are_not_segwit_are_refused() {
        let hash = ScriptBuf::from_hex(&format!("76a914{}88ac", "07".repeat(20))).unwrap();
        assert_eq!(ShutdownScript::new(hash.clone(), ALL), Err(InvalidShutdownScript(hash)));
        assert!(!is_allowed(Vec::new(), ALL));
    }

    #[test]
    fn dust_thresholds_are_those_of_bolt_3() {
        let threshold = |bytes: Vec<u8>| dust_threshold(&ScriptBuf::from(bytes)).to_sat();
        let legacy = |hex: &str| ScriptBuf::from_hex(hex).unwrap().to_bytes();
        assert_eq!(threshold(legacy(&format!("76a914{}88ac", "07".repeat(20)))), 546);
        assert_eq!(threshold(legacy(&format!("a914{}87", "07".repeat(20)))), 540);
        assert_eq!(threshold(program(0, 20)), 294);
        assert_eq!(threshold(program(0, 32)), 330);
        assert_eq!(threshold(vec![0x51, 2, 0x4e, 0x73]), 240);
        assert_eq!(threshold(program(0x51, 40)), 354);
        assert_eq!(threshold(vec![0x6a, 1, 7]), 0);
    }
}
