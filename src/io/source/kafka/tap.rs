//! Where frames come out of librdkafka: its batch call on a queue of our own, each message read where it lies and
//! destroyed before the next one is looked at.
//!
//! Why this is sound:
//!
//! - **Handles.** `queue` and `topics` come from the client's own constructors and are checked for null. Each is destroyed
//!   once, in `Drop`, after every partition that feeds the queue was stopped. The client is held by an `Arc` for as long
//!   as they live, and the program destroys no handle of it elsewhere.
//! - **Messages.** The batch call fills the first `n` slots with messages that are ours; `n` is what it returns, and never
//!   more than the slots that it was told of. It is called only when none of the last ones is left (`left` is empty). A
//!   message leaves its slot, which is null from then on, and becomes an [`Owned`], which destroys it once, when it goes out
//!   of scope, also in a panic.
//! - **Bytes.** Payloads lie in the fetched response, which the message keeps alive. A [`Taken`] borrows from the `Owned`
//!   message, and the callback gets it for a lifetime of the call's own, so no slice outlives its message. Nobody writes
//!   to a response once it is parsed, and a null payload becomes `None` before a slice is made of it.
//! - **Errors.** A message with an error code carries text or nothing as its payload; it is never looked at but by the library's own
//!   function for that, which gives a text that ends with a zero.
//! - **Threads.** librdkafka's functions may be called from any thread, each at the same time as the others. The slots
//!   belong to whoever has the `&mut Tap`.
#![allow(
    unsafe_code,
    reason = "the safe wrapper has no batch call; the argument is above"
)]

use std::ffi::{CStr, CString, c_int};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_consume_start_queue, rd_kafka_consume_stop,
    rd_kafka_last_error, rd_kafka_message_destroy, rd_kafka_message_errstr, rd_kafka_message_t,
    rd_kafka_message_timestamp, rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_t,
    rd_kafka_resp_err_t, rd_kafka_timestamp_type_t, rd_kafka_topic_destroy, rd_kafka_topic_new,
    rd_kafka_topic_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;

use crate::io::kafka_client::Voice;
use crate::limits::MESSAGES_PER_CALL;

pub(super) type Client = BaseConsumer<Voice>;

/// A client's messages, taken in batches.
pub(super) struct Tap {
    queue: NonNull<rd_kafka_queue_t>,
    topics: Vec<NonNull<rd_kafka_topic_t>>,
    /// Topic and number of the partitions that feed the queue.
    started: Vec<(usize, i32)>,
    slots: Box<[*mut rd_kafka_message_t]>,
    /// The slots whose messages were fetched from the queue and not handed out yet.
    left: Range<usize>,
    client: Arc<Client>,
}

// SAFETY: see *Threads* above; the pointers are to things that librdkafka itself locks.
unsafe impl Send for Tap {}

/// A message, or what is said of a partition in its place.
pub(super) struct Taken<'a> {
    message: &'a rd_kafka_message_t,
    topics: &'a [NonNull<rd_kafka_topic_t>],
}

impl Taken<'_> {
    /// What is said instead of a frame.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        let code = self.message.err;
        (code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
    }

    /// What is said instead of a frame, in the client's words.
    pub(super) fn says(&self) -> String {
        // SAFETY: the message is alive; the text is its own or a constant, ends with a zero, and is copied at once.
        let text = unsafe { rd_kafka_message_errstr(self.message) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    }

    /// The index of its topic; none where something is said of no topic.
    pub(super) fn topic(&self) -> Option<usize> {
        // A topic has one address for as long as we hold a handle of it.
        let own = |topic: &NonNull<rd_kafka_topic_t>| topic.as_ptr() == self.message.rkt;
        self.topics.iter().position(own)
    }

    pub(super) fn partition(&self) -> i32 {
        self.message.partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.message.offset
    }

    /// The frame.
    pub(super) fn payload(&self) -> Option<&[u8]> {
        if self.error().is_some() || self.message.payload.is_null() {
            return None;
        }
        // SAFETY: see *Bytes* above.
        let payload =
            unsafe { slice::from_raw_parts(self.message.payload.cast::<u8>(), self.message.len) };
        Some(payload)
    }

    /// When the broker wrote it, by the broker's own clock; milliseconds since 1970.
    pub(super) fn append_time_ms(&self) -> Option<i64> {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is written to before the call returns.
        let ms = unsafe { rd_kafka_message_timestamp(self.message, &raw mut kind) };
        (kind == rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME).then_some(ms)
    }
}

/// A message that is destroyed when it goes out of scope.
struct Owned(NonNull<rd_kafka_message_t>);

impl Owned {
    fn view<'a>(&'a self, topics: &'a [NonNull<rd_kafka_topic_t>]) -> Taken<'a> {
        // SAFETY: see *Messages* above; the reference borrows from `self`.
        let message = unsafe { self.0.as_ref() };
        Taken { message, topics }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody else destroys it.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

impl Tap {
    /// A tap of topics' partitions, none of which feeds it yet.
    pub(super) fn new(client: Arc<Client>, topics: &[String]) -> Result<Self, RDKafkaErrorCode> {
        let native = client.client().native_ptr();
        // SAFETY: the client is alive.
        let queue = unsafe { rd_kafka_queue_new(native) };
        let queue = NonNull::new(queue).ok_or(RDKafkaErrorCode::Fail)?;
        let mut tap = Self {
            queue,
            topics: Vec::with_capacity(topics.len()),
            started: Vec::new(),
            slots: vec![ptr::null_mut(); MESSAGES_PER_CALL].into(),
            left: 0..0,
            client,
        };
        for topic in topics {
            let name =
                CString::new(topic.as_str()).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
            // SAFETY: the client is alive, the name is copied, and no configuration means the client's own.
            let topic = unsafe { rd_kafka_topic_new(native, name.as_ptr(), ptr::null_mut()) };
            tap.topics.push(NonNull::new(topic).ok_or_else(last_error)?);
        }
        Ok(tap)
    }

    /// Lets a partition feed the tap, from an offset on.
    pub(super) fn start(
        &mut self,
        topic: usize,
        partition: i32,
        offset: i64,
    ) -> Result<(), RDKafkaErrorCode> {
        let handle = self.topics[topic].as_ptr();
        // SAFETY: both handles are alive.
        let started =
            unsafe { rd_kafka_consume_start_queue(handle, partition, offset, self.queue.as_ptr()) };
        if started != 0 {
            return Err(last_error());
        }
        self.started.push((topic, partition));
        Ok(())
    }

    /// Stops a partition, and throws away what was fetched of it and not taken. Waits for the client's own thread, not
    /// for a broker.
    pub(super) fn stop(&mut self, topic: usize, partition: i32) -> Result<(), RDKafkaErrorCode> {
        let Some(at) = self.started.iter().position(|s| *s == (topic, partition)) else {
            return Ok(());
        };
        self.started.swap_remove(at);
        for at in self.left.clone() {
            let message = self.slots[at];
            // SAFETY: a message in a slot is alive.
            let is_its = unsafe { message.as_ref() }.is_some_and(|message| {
                message.rkt == self.topics[topic].as_ptr() && message.partition == partition
            });
            if is_its {
                drop(self.own(at));
            }
        }
        // SAFETY: the handle is alive.
        match unsafe { rd_kafka_consume_stop(self.topics[topic].as_ptr(), partition) } {
            0 => Ok(()),
            _ => Err(last_error()),
        }
    }

    /// Takes up to `most` messages and hands each to `on`, until that returns false: the others are handed out by the next
    /// call. Returns how many were handed out. Where `most` are not there yet, it waits for them: only a wait for a single
    /// one ends as soon as something comes.
    pub(super) fn take<E>(
        &mut self,
        wait: Duration,
        most: usize,
        on: &mut dyn FnMut(&Taken<'_>) -> Result<bool, E>,
    ) -> Result<usize, E> {
        if self.left.is_empty() {
            let wait_ms = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
            let most = most.min(self.slots.len());
            // SAFETY: the queue is alive, and there are at least `most` slots, all of them null.
            let taken = unsafe {
                let slots = self.slots.as_mut_ptr();
                rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait_ms, slots, most)
            };
            self.left = 0..usize::try_from(taken).unwrap_or(0);
        }
        let mut handed_out = 0;
        while let Some(at) = self.left.next() {
            // One whose partition was stopped is gone.
            let Some(message) = self.own(at) else {
                continue;
            };
            handed_out += 1;
            if !on(&message.view(&self.topics))? {
                break;
            }
        }
        Ok(handed_out)
    }

    /// Takes a message out of its slot.
    fn own(&mut self, at: usize) -> Option<Owned> {
        let message = std::mem::replace(&mut self.slots[at], ptr::null_mut());
        NonNull::new(message).map(Owned)
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // The client does not close while a partition is being fetched, and a fetched message must not go to a queue
        // that is gone.
        while let Some(&(topic, partition)) = self.started.last() {
            let _ = self.stop(topic, partition);
        }
        for at in self.left.clone() {
            drop(self.own(at));
        }
        for topic in &self.topics {
            // SAFETY: made in `new`, and not used after this.
            unsafe { rd_kafka_topic_destroy(topic.as_ptr()) }
        }
        // SAFETY: made in `new`, and not used after this.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

fn last_error() -> RDKafkaErrorCode {
    // SAFETY: it reads a variable of this thread.
    unsafe { rd_kafka_last_error() }.into()
}
