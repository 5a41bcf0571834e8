//! BOLT 8: the transport.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
