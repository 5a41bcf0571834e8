//! BOLT 7: how a node asks another one for the gossip that it lacks.
//!
//! Lists start with a byte that says how they are encoded. Plain arrays are the only encoding; zlib is refused.

use bitcoin::constants::ChainHash;
use quittance_primitives::ShortChannelId;

use crate::field::{composite, read_length_and_bytes, read_to_the_end, write_all, write_length_and_bytes};
use crate::message::message;
use crate::{BigSize, Flaw, Reader, TlvValue, Wire};

message! {
    /// Asks for what is known of these channels (BOLT 7, `query_short_channel_ids`).
    #[derive(Debug)]
    QueryShortChannelIds = 261 "query_short_channel_ids" {
        chain_hash: ChainHash,
        encoded_short_ids: EncodedShortIds,
    }
    records {
        /// For each channel, which messages are wanted.
        1 => query_flags: QueryFlags,
    }
}

message! {
    /// All is said about those channels (BOLT 7, `reply_short_channel_ids_end`).
    #[derive(Debug)]
    ReplyShortChannelIdsEnd = 262 "reply_short_channel_ids_end" {
        chain_hash: ChainHash,
        /// 0 if the sender does not keep up with the chain.
        full_information: u8,
    }
}

message! {
    /// Asks which channels were opened in these blocks (BOLT 7, `query_channel_range`).
    #[derive(Debug)]
    QueryChannelRange = 263 "query_channel_range" {
        chain_hash: ChainHash,
        first_blocknum: u32,
        number_of_blocks: u32,
    }
    records {
        /// See [`WANT_TIMESTAMPS`] and [`WANT_CHECKSUMS`].
        1 => query_option: BigSize,
    }
}

message! {
    /// Channels opened in these blocks (BOLT 7, `reply_channel_range`).
    #[derive(Debug)]
    ReplyChannelRange = 264 "reply_channel_range" {
        chain_hash: ChainHash,
        first_blocknum: u32,
        number_of_blocks: u32,
        /// 0 if more replies follow.
        sync_complete: u8,
        encoded_short_ids: EncodedShortIds,
    }
    records {
        1 => timestamps_tlv: EncodedTimestamps,
        3 => checksums_tlv: Vec<ChannelUpdateChecksums>,
    }
}

message! {
    /// Asks for new gossip of this time and no other (BOLT 7, `gossip_timestamp_filter`).
    #[derive(Debug)]
    GossipTimestampFilter = 265 "gossip_timestamp_filter" {
        chain_hash: ChainHash,
        first_timestamp: u32,
        timestamp_range: u32,
    }
}

/// Bit of `query_option`: the reply shall carry timestamps.
pub const WANT_TIMESTAMPS: u64 = 1;

/// Bit of `query_option`: the reply shall carry checksums.
pub const WANT_CHECKSUMS: u64 = 1 << 1;

composite! {
    /// When each end last updated a channel; 0 for never.
    ChannelUpdateTimestamps {
        /// The `timestamp` of the update by `node_id_1`.
        timestamp_node_id_1: u32,
        /// The `timestamp` of the update by `node_id_2`.
        timestamp_node_id_2: u32,
    }

    /// CRC32C of each end's last update of a channel, without signature and timestamp; 0 for none.
    ChannelUpdateChecksums {
        /// Of the update by `node_id_1`.
        checksum_node_id_1: u32,
        /// Of the update by `node_id_2`.
        checksum_node_id_2: u32,
    }
}

/// Channels, in ascending order if the sender keeps to the BOLT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedShortIds(pub Vec<ShortChannelId>);

/// For each channel of a query, bits that say what is wanted: the announcement, the update of node 1, of node 2, the
/// announcement of node 1, of node 2, from the lowest bit on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryFlags(pub Vec<BigSize>);

/// For each channel of a reply, when it was last updated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedTimestamps(pub Vec<ChannelUpdateTimestamps>);

impl Wire for EncodedShortIds {
    fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(1 + self.0.len() * 8);
        write_plain(&self.0, &mut bytes);
        write_length_and_bytes(&bytes, out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        read_plain(read_length_and_bytes(reader)?).map(Self)
    }
}

macro_rules! encoded_list {
    ($($name:ident),*) => {$(
        impl TlvValue for $name {
            fn write_value(&self, out: &mut Vec<u8>) {
                write_plain(&self.0, out);
            }

            fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
                read_plain(bytes).map(Self)
            }
        }
    )*};
}

encoded_list!(QueryFlags, EncodedTimestamps);

impl TlvValue for Vec<ChannelUpdateChecksums> {
    fn write_value(&self, out: &mut Vec<u8>) {
        write_all(self, out);
    }

    fn read_value(bytes: &[u8]) -> Result<Self, Flaw> {
        read_to_the_end(bytes)
    }
}

/// BOLT 7, encoding types: a plain array.
const PLAIN: u8 = 0;

/// BOLT 7, encoding types: once zlib; it must not be used any more.
const ZLIB: u8 = 1;

fn write_plain<T: Wire>(values: &[T], out: &mut Vec<u8>) {
    out.push(PLAIN);
    write_all(values, out);
}

fn read_plain<T: Wire>(bytes: &[u8]) -> Result<Vec<T>, Flaw> {
    match bytes.split_first() {
        Some((&PLAIN, values)) => read_to_the_end(values),
        Some((&ZLIB, _)) => Err(Flaw::ZlibForbidden),
        Some((&unknown, _)) => Err(Flaw::UnknownEncoding(unknown)),
        None => Err(Flaw::UnexpectedEnd { needed: 1, left: 0 }),
    }
}
