//! BOLT 3: transactions, secrets and keys.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
