//! BOLT 4: onions, failures, blinded paths.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
