//! Numbers as bytes and back: little endian, nothing between them. Every length is checked before it is believed.

use std::fmt;

/// Saved bytes that cannot be what was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged state: {0}")]
pub struct Damaged(pub &'static str);

/// Appends a list's length.
///
/// # Panics
///
/// If the list is longer than its bound allows, which is a defect of the program.
pub(in crate::engine) fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("every list that is saved has a small bound");
    out.extend_from_slice(&len.to_le_bytes());
}

/// Appends an event time; 0 stands for none, since no event time is 0.
pub(in crate::engine) fn put_time(out: &mut Vec<u8>, time: Option<u32>) {
    out.extend_from_slice(&time.unwrap_or(0).to_le_bytes());
}

/// Appends a second that may be none: its presence as one byte, then itself or 0.
pub(in crate::engine) fn put_second(out: &mut Vec<u8>, second: Option<i64>) {
    out.push(u8::from(second.is_some()));
    out.extend_from_slice(&second.unwrap_or(0).to_le_bytes());
}

/// Reads what was saved, from front to back.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes left of {}", self.rest.len(), self.what)
    }
}

impl<'a> Reader<'a> {
    /// Reads these bytes; `what` they are is said of damaged ones.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The error for bytes that make no sense.
    #[must_use]
    pub fn damaged(&self) -> Damaged {
        Damaged(self.what)
    }

    /// Fails unless a condition holds.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check(&self, holds: bool) -> Result<(), Damaged> {
        holds.then_some(()).ok_or(self.damaged())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next so many bytes.
    ///
    /// # Errors
    ///
    /// When there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(self.damaged())?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(self.damaged())?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// When nothing is left; so for all that follow.
    pub fn u8(&mut self) -> Result<u8, Damaged> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn u16(&mut self) -> Result<u16, Damaged> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_le_bytes)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn u128(&mut self) -> Result<u128, Damaged> {
        self.array().map(u128::from_le_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`]; also for any other byte.
    pub fn bool(&mut self) -> Result<bool, Damaged> {
        let byte = self.u8()?;
        self.check(byte <= 1)?;
        Ok(byte == 1)
    }

    /// The length of a list whose items take so many bytes each.
    ///
    /// # Errors
    ///
    /// When there are not as many bytes as the items would take, or more of these than `max`.
    pub fn len(&mut self, item_bytes: usize, max: usize) -> Result<usize, Damaged> {
        let len = self.u32()? as usize;
        self.check(len <= max && len * item_bytes <= self.rest.len())?;
        Ok(len)
    }

    /// What `put_time` wrote.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn time(&mut self) -> Result<Option<u32>, Damaged> {
        self.u32().map(|time| (time != 0).then_some(time))
    }

    /// What `put_second` wrote.
    ///
    /// # Errors
    ///
    /// See [`Self::u8`].
    pub fn second(&mut self) -> Result<Option<i64>, Damaged> {
        let is_there = self.bool()?;
        let second = self.i64()?;
        self.check(is_there || second == 0)?;
        Ok(is_there.then_some(second))
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Notes that nothing more should be there.
    ///
    /// # Errors
    ///
    /// When something is.
    pub fn end(self) -> Result<(), Damaged> {
        self.check(self.rest.is_empty())
    }
}
