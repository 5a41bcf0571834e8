//! Tells a torn end of SQLite's log, which is no fault, from damage in its middle, which SQLite would cut off in silence.
//!
//! The log is a row of frames, each with a checksum that goes on from that of the frame before. SQLite believes it up to the first
//! frame that does not fit and drops the rest: right after a loss of power, since what was not synced may be torn. But each commit
//! is synced before the next begins. So a frame that does not fit, with a whole commit behind it and the next commit's frames
//! behind that, was synced once, and has been damaged since: batches that were durable would be cut off.
//!
//! The format is SQLite's documented one ("WAL-mode file format"). Damage in the newest commit looks like a torn end, here as in
//! any log.

/// Where the log is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame {frame} of its log does not fit its checksum, but later commits follow frame {commit}")]
pub(super) struct LogDamage {
    /// The frame that does not fit, counted from 1.
    pub(super) frame: usize,
    /// The end of a commit that follows it, and is itself followed by another one.
    pub(super) commit: usize,
}

/// Looks for damage in the bytes of a log.
pub(super) fn check_log(bytes: &[u8]) -> Result<(), LogDamage> {
    let (log, bad) = match Log::parse(bytes) {
        Some(log) => {
            let bad = (0..log.frame_count()).find(|frame| !log.fits(*frame));
            (log, bad)
        }
        // The header is synced before the first frame is written: without it there should be no commits.
        None => match Log::without_header(bytes) {
            Some(log) => (log, Some(0)),
            None => return Ok(()),
        },
    };
    let Some(bad) = bad else {
        return Ok(());
    };
    let later = (bad..log.frame_count()).find(|frame| {
        let whole = *frame == bad || log.fits(*frame);
        whole && log.is_commit(*frame) && log.fits(frame + 1)
    });
    match later {
        Some(commit) => Err(LogDamage {
            frame: bad + 1,
            commit: commit + 1,
        }),
        None => Ok(()),
    }
}

struct Log<'a> {
    order: Order,
    salts: &'a [u8],
    start: Sum,
    frame_size: usize,
    frames: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl<'a> Log<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, frames) = bytes.split_at_checked(HEADER_SIZE)?;
        let order = match number(header, 0)? {
            0x377f_0682 => Order::Little,
            0x377f_0683 => Order::Big,
            _ => return None,
        };
        let start = Sum(number(header, 24)?, number(header, 28)?);
        if Sum(0, 0).and(header.get(..24)?, order) != start {
            return None;
        }
        let page_size = usize::try_from(number(header, 8)?).ok()?;
        Some(Self {
            order,
            salts: header.get(16..24)?,
            start,
            frame_size: FRAME_HEADER_SIZE.checked_add(page_size)?,
            frames,
        })
    }

    /// A log whose header is damaged, as its first frame and this store's own settings make it out.
    fn without_header(bytes: &'a [u8]) -> Option<Self> {
        let (_, frames) = bytes.split_at_checked(HEADER_SIZE)?;
        let log = |order| Self {
            order,
            salts: frames.get(8..16).unwrap_or_default(),
            start: Sum(0, 0),
            frame_size: FRAME_HEADER_SIZE + PAGE_SIZE,
            frames,
        };
        let orders = [Order::Little, Order::Big].into_iter();
        orders
            .map(log)
            .find(|log| (1..log.frame_count()).any(|frame| log.fits(frame)))
    }

    fn frame_count(&self) -> usize {
        self.frames.len() / self.frame_size
    }

    fn frame(&self, place: usize) -> Option<&'a [u8]> {
        let start = place.checked_mul(self.frame_size)?;
        self.frames.get(start..start.checked_add(self.frame_size)?)
    }

    /// Whether the frame is of this log, and its checksum goes on from that of the frame before: from what stands there, or, since
    /// that may be what is damaged, from what should.
    fn fits(&self, place: usize) -> bool {
        let fits = || {
            let frame = self.frame(place)?;
            let stored = stored_sum(frame)?;
            let follows = |before: Sum| before.and_frame(frame, self.order) == Some(stored);
            let before = self.sum_before(place)?;
            let should = || {
                let earlier = place.checked_sub(1)?;
                self.sum_before(earlier)?.and_frame(self.frame(earlier)?, self.order)
            };
            Some(frame.get(8..16)? == self.salts && (follows(before) || should().is_some_and(follows)))
        };
        fits() == Some(true)
    }

    /// The checksum that stands before a frame.
    fn sum_before(&self, place: usize) -> Option<Sum> {
        match place.checked_sub(1) {
            Some(before) => stored_sum(self.frame(before)?),
            None => Some(self.start),
        }
    }

    /// Whether the frame says that it ends a commit of this log.
    fn is_commit(&self, place: usize) -> bool {
        let ends = || {
            let frame = self.frame(place)?;
            Some(frame.get(8..16)? == self.salts && number(frame, 4)? != 0)
        };
        ends() == Some(true)
    }
}

impl Sum {
    fn and_frame(self, frame: &[u8], order: Order) -> Option<Self> {
        Some(
            self.and(frame.get(..8)?, order)
                .and(frame.get(FRAME_HEADER_SIZE..)?, order),
        )
    }

    fn and(self, bytes: &[u8], order: Order) -> Self {
        let word = |bytes: [u8; 4]| match order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        };
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .fold(self, |Self(one, other), &[a, b, c, d, e, f, g, h]| {
                let one = one.wrapping_add(word([a, b, c, d])).wrapping_add(other);
                Self(one, other.wrapping_add(word([e, f, g, h])).wrapping_add(one))
            })
    }
}

fn stored_sum(frame: &[u8]) -> Option<Sum> {
    Some(Sum(number(frame, 16)?, number(frame, 20)?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

const HEADER_SIZE: usize = 32;
const FRAME_HEADER_SIZE: usize = 24;
const PAGE_SIZE: usize = 4096;
