//! The id that the brokers give a topic when it is made (KIP-516): a topic of the same name with another id is another one,
//! whatever its offsets.
//!
//! The Rust wrapper of the client library lacks this request, so it is made through the C interface. Soundness: every pointer
//! that the library hands out is owned by a guard that frees it once, after its last use and before the client, which the
//! borrow keeps alive; what is reached through the event is read before the event is destroyed; the name outlives the call
//! that copies it.
#![allow(unsafe_code, reason = "the wrapper lacks DescribeTopics")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::Client;
use rdkafka::{ClientContext, types::RDKafkaRespErr};

/// Something of the library's, and how to give it back.
struct Owned<T> {
    pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!pointer.is_null()).then_some(Self { pointer, free })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` took a pointer that the library gave away, with the function that takes it back; nobody else has it.
        unsafe { (self.free)(self.pointer) }
    }
}

/// A topic's id; `None` where the brokers do not tell: old ones have none. Blocks, at most so long.
///
/// # Errors
///
/// In a few words, when there is no answer.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<u128>, String> {
    let event = describe(client, topic, timeout)?;
    // SAFETY: the event is alive until the end of this function, and all that follows is read from it.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event.pointer);
        if result.is_null() {
            return Err(text(c::rd_kafka_event_error_string(event.pointer)));
        }
        let failed = c::rd_kafka_event_error(event.pointer);
        if failed != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(c::rd_kafka_event_error_string(event.pointer)));
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Ok(None);
        }
        let described = *topics;
        let failed = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(described));
        if failed != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(c::rd_kafka_err2str(failed)));
        }
        let id = c::rd_kafka_TopicDescription_topic_id(described);
        if id.is_null() {
            return Ok(None);
        }
        let high = c::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let low = c::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        let id = u128::from(high) << 64 | u128::from(low);
        Ok((id != 0).then_some(id))
    }
}

/// The brokers' answer about a topic.
fn describe<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Owned<c::rd_kafka_event_t>, String> {
    let nothing = || "the client library gives nothing".to_owned();
    let name = CString::new(topic).map_err(|_| "a name with a zero byte".to_owned())?;
    let rk = client.native_ptr();
    let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `rk` is a live client, since `client` is borrowed. The library copies names and options before
    // DescribeTopics returns; the queue is freed after the last poll, and takes an answer that comes later with it.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy).ok_or_else(nothing)?;
        let what = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = c::rd_kafka_AdminOptions_new(rk, what);
        let options = Owned::new(options, c::rd_kafka_AdminOptions_destroy).ok_or_else(nothing)?;
        // Refused only for a timeout out of range; then the library's own holds.
        c::rd_kafka_AdminOptions_set_request_timeout(options.pointer, ms, ptr::null_mut(), 0);
        let queue = c::rd_kafka_queue_new(rk);
        let queue = Owned::new(queue, c::rd_kafka_queue_destroy).ok_or_else(nothing)?;
        c::rd_kafka_DescribeTopics(rk, topics.pointer, options.pointer, queue.pointer);
        let event = c::rd_kafka_queue_poll(queue.pointer, ms);
        Owned::new(event, c::rd_kafka_event_destroy).ok_or_else(|| "no answer in time".to_owned())
    }
}

/// A text of the library's, which lives as long as what it was asked of.
///
/// # Safety
///
/// `text` is null, or ends with a zero byte.
unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
