//! BOLT 1: BigSize, TLV streams, the init message, signed integers.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
