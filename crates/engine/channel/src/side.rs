//! The two ends of a channel.

use quittance_records::tagged;

/// Which end: ours or the peer's. Of a commitment transaction: whose it is, that is, who can broadcast it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Ours.
    Local,
    /// The peer's.
    Remote,
}

tagged!(Side { 1 => Local, 2 => Remote });

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Local => Self::Remote,
            Self::Remote => Self::Local,
        }
    }
}

/// A value for each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BySide<T> {
    /// Ours.
    pub local: T,
    /// The peer's.
    pub remote: T,
}

impl<T> BySide<T> {
    /// What `value` is for each end.
    pub fn each(value: impl Fn(Side) -> T) -> Self {
        Self {
            local: value(Side::Local),
            remote: value(Side::Remote),
        }
    }

    /// The value of one end.
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }

    /// The value of one end, to be changed.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Local => &mut self.local,
            Side::Remote => &mut self.remote,
        }
    }
}

impl<T: quittance_records::Record> quittance_records::Record for BySide<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.local.write(out);
        self.remote.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, quittance_records::BadRecord> {
        Ok(Self {
            local: T::read(input)?,
            remote: T::read(input)?,
        })
    }
}
