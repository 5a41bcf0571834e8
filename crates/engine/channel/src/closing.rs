//! Agreement on a closing transaction (BOLT 2, closing negotiation).

/// How far a connection has come in negotiating the closing transaction. A new connection starts over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiation {}
