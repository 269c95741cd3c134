//! The loop that everybody writes first, straight on librdkafka with its default configuration: poll a message, drop it.
//!
//! Why this is sound: every handle is made here, checked, used on this thread alone, and given back once; a message is
//! looked at before it is destroyed and not after.
#![allow(
    unsafe_code,
    reason = "the safe wrapper allocates for each message, which would flatter us; the argument is above"
)]

use std::ffi::{CString, c_char};

use rdkafka::bindings as rd;

const TEXT: usize = 512;

/// Reads so many frames of a topic's partitions, from their beginning; returns their bytes.
pub fn read(brokers: &str, topic: &str, partitions: i32, frames: u64) -> u64 {
    let properties = [
        ("bootstrap.servers", brokers),
        ("group.id", "bare-loop"),
        ("auto.offset.reset", "earliest"),
    ];
    let mut text: [c_char; TEXT] = [0; TEXT];
    // SAFETY: see above; texts are copied by the library.
    unsafe {
        let conf = rd::rd_kafka_conf_new();
        for (key, value) in properties {
            let (key, value) = (CString::new(key).unwrap(), CString::new(value).unwrap());
            let set =
                rd::rd_kafka_conf_set(conf, key.as_ptr(), value.as_ptr(), text.as_mut_ptr(), TEXT);
            assert_eq!(set, rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK, "{key:?}");
        }
        let kind = rd::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        let client = rd::rd_kafka_new(kind, conf, text.as_mut_ptr(), TEXT);
        assert!(!client.is_null(), "a client");
        rd::rd_kafka_poll_set_consumer(client);
        let list = rd::rd_kafka_topic_partition_list_new(partitions);
        let topic = CString::new(topic).unwrap();
        for partition in 0..partitions {
            let element = rd::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition);
            (*element).offset = 0;
        }
        let assigned = rd::rd_kafka_assign(client, list);
        assert_eq!(
            assigned,
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        );
        rd::rd_kafka_topic_partition_list_destroy(list);
        let (mut read, mut bytes) = (0, 0);
        while read < frames {
            let message = rd::rd_kafka_consumer_poll(client, 100);
            if !message.is_null() {
                if (*message).err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    read += 1;
                    bytes += (*message).len as u64;
                }
                rd::rd_kafka_message_destroy(message);
            }
        }
        rd::rd_kafka_consumer_close(client);
        rd::rd_kafka_destroy(client);
        bytes
    }
}
