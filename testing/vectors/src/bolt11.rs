//! BOLT 11: invoices.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
