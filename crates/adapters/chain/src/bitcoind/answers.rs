//! Reading answers: a field that is missing or has another form is named, and never replaced by a default.

use bitcoin::{Amount, BlockHash, Work};
use serde_json::Value;

use crate::ChainError;

/// A value in an answer, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    method: &'static str,
    name: &'a str,
    value: &'a Value,
}

impl<'a> Answer<'a> {
    pub(super) const fn of(method: &'static str, value: &'a Value) -> Self {
        Self {
            method,
            name: "the answer",
            value,
        }
    }

    pub(super) fn optional<'b>(&self, name: &'b str) -> Option<Answer<'b>>
    where
        'a: 'b,
    {
        let value = self.value.get(name)?;
        Some(Answer {
            method: self.method,
            name,
            value,
        })
    }

    pub(super) fn field<'b>(&self, name: &'b str) -> Result<Answer<'b>, ChainError>
    where
        'a: 'b,
    {
        self.optional(name)
            .ok_or_else(|| self.garbage(&format!("{name} is missing")))
    }

    pub(super) fn text(&self) -> Result<&'a str, ChainError> {
        self.value.as_str().ok_or_else(|| self.garbage("no text"))
    }

    pub(super) fn integer(&self) -> Result<i64, ChainError> {
        self.value.as_i64().ok_or_else(|| self.garbage("no integer"))
    }

    pub(super) fn u32(&self) -> Result<u32, ChainError> {
        u32::try_from(self.integer()?).map_err(|_| self.garbage("out of range"))
    }

    pub(super) fn flag(&self) -> Result<bool, ChainError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.garbage("neither true nor false"))
    }

    pub(super) fn block_hash(&self) -> Result<BlockHash, ChainError> {
        self.text()?.parse().map_err(|_| self.garbage("no block hash"))
    }

    /// An amount in bitcoin. Numbers come through a float, which holds 15 digits: enough, with rounding, for eight decimals.
    pub(super) fn amount(&self) -> Result<Amount, ChainError> {
        let amount = self.value.as_f64().and_then(|bitcoin| Amount::from_btc(bitcoin).ok());
        amount.ok_or_else(|| self.garbage("no amount"))
    }

    pub(super) fn work(&self) -> Result<Work, ChainError> {
        let text = self.text()?;
        let bytes = <[u8; 32] as bitcoin::hex::FromHex>::from_hex(text);
        bytes
            .map(Work::from_be_bytes)
            .map_err(|_| self.garbage("no 32 bytes of work"))
    }

    pub(super) fn garbage(&self, what: &str) -> ChainError {
        /// Enough to recognise what answered.
        const SHOWN_MAX: usize = 60;
        let shown: String = self.value.to_string().chars().take(SHOWN_MAX).collect();
        ChainError::Garbage {
            method: self.method,
            what: format!("{}: {what}: {shown}", self.name),
        }
    }
}
