//! BOLT 2: the message flows of splicing, as codec vectors.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
