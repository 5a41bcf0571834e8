//! Coverage marks: a name on each branch that changes an outcome, a close or a punishment. Simulations note which of them they
//! reach; in every other build a mark is nothing.

/// Marks the branch in which it stands. Each name is used once.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        $crate::marks::reach($name)
    };
}

/// A marked branch is taken. Use [`crate::mark!`].
#[cfg(not(feature = "marks"))]
#[inline]
pub const fn reach(_: &'static str) {}

#[cfg(feature = "marks")]
pub use noted::{reach, take_reached};

#[cfg(feature = "marks")]
mod noted {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static REACHED: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// A marked branch is taken.
    pub fn reach(name: &'static str) {
        REACHED.with_borrow_mut(|reached| reached.insert(name));
    }

    /// The marks that this thread has reached since it was last asked.
    pub fn take_reached() -> BTreeSet<&'static str> {
        REACHED.take()
    }
}
