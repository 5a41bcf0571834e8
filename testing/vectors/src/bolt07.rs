//! BOLT 7: gossip queries and the routing example.

use crate::Check;

pub(crate) const FILES: &[(&str, Check)] = &[];
