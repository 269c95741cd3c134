//! The harness tested: what the tests of the service rely on when they use a real broker.

use crate::support::broker::Broker;
use crate::support::kafka::{
    Outgoing, Record, add_partitions, create_topic, high_watermarks, produce, read_all,
};

const PARTITIONS: i32 = 4;

/// Partition, offset, key, payload.
type Fields = (i32, i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// Keys and payloads of every kind, over four partitions.
fn records(count: i32) -> Vec<Outgoing> {
    let payload = |n: i32| {
        (n % 7 != 0).then(|| format!("payload {n} {}", "x".repeat(n as usize % 3000)).into_bytes())
    };
    let key = |n: i32| (n % 3 != 0).then(|| format!("key {n}").into_bytes());
    (0..count)
        .map(|n| (Some(n % PARTITIONS), key(n), payload(n)))
        .collect()
}

/// The records as they must come back: by partition, with the offsets that follow from their order.
fn expected(sent: &[Outgoing]) -> Vec<Fields> {
    let of = |p: i32| {
        sent.iter()
            .filter(move |(partition, ..)| *partition == Some(p))
            .zip(0..)
    };
    (0..PARTITIONS)
        .flat_map(|p| {
            of(p).map(move |((_, key, load), offset)| (p, offset, key.clone(), load.clone()))
        })
        .collect()
}

fn fields(records: Vec<Record>) -> Vec<Fields> {
    records
        .into_iter()
        .map(|r| (r.partition, r.offset, r.key, r.payload))
        .collect()
}

#[test]
fn records_come_back_as_sent_whatever_the_compression() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let sent = records(1000);
    for compression in ["none", "gzip", "lz4", "zstd"] {
        let topic = format!("harness-{compression}");
        create_topic(broker.address(), &topic, PARTITIONS, &[]);
        assert_eq!(
            produce(broker.address(), &topic, sent.clone(), compression),
            1000
        );
        let read = read_all(broker.address(), &topic);
        assert!(
            read.iter().all(|record| record.timestamp_ms.is_some()),
            "the broker keeps the time of publishing"
        );
        assert_eq!(fields(read), expected(&sent), "{compression}");
    }
}

#[test]
fn an_empty_topic_is_read_as_empty_and_can_grow() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    create_topic(
        broker.address(),
        "harness-empty",
        1,
        &[("cleanup.policy", "compact")],
    );
    assert_eq!(read_all(broker.address(), "harness-empty"), []);
    add_partitions(broker.address(), "harness-empty", 3);
    produce(
        broker.address(),
        "harness-empty",
        [(Some(2), Some(b"k".to_vec()), Some(b"v".to_vec()))],
        "none",
    );
    assert_eq!(
        high_watermarks(broker.address(), "harness-empty")
            .into_values()
            .collect::<Vec<_>>(),
        [0, 0, 1]
    );
}

#[test]
fn a_restart_keeps_address_and_data() {
    let Some(broker) = Broker::start("restart") else {
        return;
    };
    let address = broker.address().to_owned();
    let sent = records(100);
    create_topic(&address, "kept", PARTITIONS, &[]);
    produce(&address, "kept", sent.clone(), "lz4");
    broker.stop();
    broker.restart();
    assert_eq!(
        fields(read_all(&address, "kept")),
        expected(&sent),
        "after SIGTERM"
    );
    broker.kill();
    broker.restart();
    assert_eq!(broker.address(), address);
    assert_eq!(
        fields(read_all(&address, "kept")),
        expected(&sent),
        "after SIGKILL"
    );
}

#[test]
fn two_brokers_run_side_by_side_and_leave_nothing() {
    let Some(first) = Broker::start("first") else {
        return;
    };
    let Some(second) = Broker::start("second") else {
        return;
    };
    assert_ne!(first.address(), second.address());
    create_topic(first.address(), "mine", 1, &[]);
    create_topic(second.address(), "mine", 1, &[]);
    produce(
        first.address(),
        "mine",
        [(None, None, Some(b"first".to_vec()))],
        "none",
    );
    assert_eq!(read_all(second.address(), "mine"), []);
    let address = second.address().to_owned();
    drop(second);
    let refused = std::net::TcpStream::connect(address).map(drop);
    assert!(refused.is_err(), "nobody listens once a broker is dropped");
    assert_eq!(read_all(first.address(), "mine").len(), 1);
}
