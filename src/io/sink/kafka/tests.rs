//! The sink against brokers in memory that can be told to fail.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::io::clock::ManualClock;
use crate::limits::TRANSACTION_END_MAX_MS;

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// More than enough for an answer of a broker in memory.
const TRIES: usize = 1_000;
const STEP: Duration = Duration::from_millis(20);

struct World {
    cluster: Cluster,
    clock: Arc<ManualClock>,
    sink: KafkaSink,
}

impl World {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        for topic in ["stats", "windows"] {
            cluster.create_topic(topic, 1, 1).expect("a topic");
        }
        let connection = Connection::new(cluster.bootstrap_servers(), Vec::new());
        let clock = Arc::new(ManualClock::default());
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let sink = KafkaSink::new(&connection, "stats", "windows", Some("job"), &as_clock);
        Self {
            cluster,
            clock,
            sink: sink.expect("a valid configuration"),
        }
    }

    fn claim(&mut self) {
        let granted = (0..TRIES).any(|_| self.sink.claim().expect("no refusal"));
        assert!(granted, "the right to publish");
    }

    fn send(&mut self, ticket: Ticket) -> Result<(), Full> {
        let tick = Outgoing {
            kind: Kind::Tick,
            key: "job".to_owned(),
            payload: Some(b"{}".to_vec()),
        };
        self.sink.send(ticket, &tick).expect("no failure")
    }

    fn assert_delivers(&mut self, ticket: Ticket) {
        assert_eq!(self.send(ticket), Ok(()));
        let told = (0..TRIES).find_map(|_| self.delivery());
        let result = Ok(());
        assert_eq!(told, Some(Delivery { ticket, result }));
    }

    fn delivery(&mut self) -> Option<Delivery> {
        let deliveries = self.sink.deliveries(STEP).expect("no failure");
        assert!(deliveries.len() <= 1, "{deliveries:?}");
        deliveries.into_iter().next()
    }
}

/// What brokers that were away for longer than a transaction lives say of it.
#[test]
fn a_transaction_that_the_brokers_do_not_know_any_more_is_begun_anew() {
    let mut world = World::new();
    world.claim();
    world.assert_delivers(1);
    let unknown = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE];
    world
        .cluster
        .request_errors(RDKafkaApiKey::EndTxn, &unknown);
    assert_eq!(world.send(2), Ok(()));
    let lost = (0..TRIES).find_map(|_| {
        assert_eq!(world.delivery(), None);
        world.sink.take_lost().expect("a new producer")
    });
    assert!(matches!(lost, Some(Lost::Stuck(_))), "{lost:?}");
    let told = world.delivery().expect("it is answered for");
    assert_eq!((told.ticket, told.result.is_err()), (2, true));
    world.claim();
    world.assert_delivers(3);
}

#[test]
fn publishing_that_fails_again_and_again_ends_with_the_reason() {
    let mut world = World::new();
    let unknown = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE; 1_000];
    world
        .cluster
        .request_errors(RDKafkaApiKey::EndTxn, &unknown);
    let mut tries = 0;
    let failure = loop {
        world.claim();
        assert_eq!(world.send(1), Ok(()));
        let lost = (0..TRIES).find_map(|_| {
            world.delivery();
            world.sink.take_lost().transpose()
        });
        match lost.expect("it fails") {
            Ok(_) => tries += 1,
            Err(failure) => break failure,
        }
        world.delivery();
    };
    assert_eq!(tries, PUBLISHING_TRIES_MAX);
    assert!(failure.to_string().contains("'stats'"), "{failure}");
}

/// A broker's answer can be lost on the way through the client library; nothing may wait for it for ever.
#[test]
fn a_transaction_that_comes_to_no_end_gives_way_to_another_producers() {
    let mut world = World::new();
    world.claim();
    world.assert_delivers(1);

    let never = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 10_000];
    world.cluster.request_errors(RDKafkaApiKey::EndTxn, &never);
    assert_eq!(world.send(2), Ok(()));
    let lost = (0..TRIES).find_map(|tries| {
        assert_eq!(world.delivery(), None);
        world.clock.advance_ms(TRANSACTION_END_MAX_MS / 4);
        let lost = world.sink.take_lost().expect("a new producer");
        lost.map(|lost| (tries, lost))
    });
    let (tries, Lost::Stuck(why)) = lost.expect("it is given up") else {
        panic!("nobody has taken it");
    };
    assert!(tries >= 5, "not before its time");
    assert!(why.contains("'stats'"), "{why}");
    let told = world.delivery().expect("it is answered for");
    assert_eq!((told.ticket, told.result.is_err()), (2, true));

    // Not before it has the right again.
    assert_eq!(world.send(3), Err(Full));
    world.cluster.clear_request_errors(RDKafkaApiKey::EndTxn);
    world.claim();
    world.assert_delivers(4);
    assert_eq!(world.sink.take_lost().expect("no failure"), None);
}
