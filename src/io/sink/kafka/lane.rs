//! A producer for one topic, in transactions where it is to be the only one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};

use crate::engine::report::outbox::{Outgoing, Ticket};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::{Connection, Revival, Voice};
use crate::io::sink::{Delivery, Full, Lost};
use crate::limits::{TRANSACTION_END_MAX_MS, TRANSACTION_MAX_MS, TRANSACTION_STEP_MS};

/// Collects acknowledgements, which the client library hands over while it is polled.
struct Acknowledgements {
    voice: Voice,
    // A plain mutex: only the polling thread ever takes it, so it is never waited for.
    delivered: Mutex<Vec<Delivery>>,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What is refused is told as a record that was not delivered, and being replaced by another instance once, by
        // whoever asks for the claim.
        let is_told = facility == "TXNERR" || message.to_lowercase().contains("fenced");
        if !is_told {
            self.voice.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::Fatal) && !code.is_some_and(is_fenced) {
            self.voice.error(error, reason);
        }
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.to_string()),
        };
        let ticket = *ticket;
        self.delivered.lock().push(Delivery { ticket, result });
    }
}

/// Whether an error says that the brokers have given this producer's place to another one, or have taken it for gone.
fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
            | RDKafkaErrorCode::InvalidProducerIdMapping
            | RDKafkaErrorCode::UnknownProducerId
    )
}

/// Whether an error says that another try cannot help: somebody has to give a right first.
fn is_refused(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// How far a lane's transactions have come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// There are none.
    Plain,
    /// It does not have the right to publish yet.
    Unclaimed,
    /// No transaction is open.
    Ready,
    /// One is, and may take more.
    Open,
    /// Everything is with the brokers; since that moment they are told to commit.
    Committing(u64),
    /// Something was refused; since that moment the brokers are told to forget all of it.
    Aborting(u64),
    /// There can be no more transactions: it takes another producer.
    Lost(Lost),
}

/// A producer for one topic.
pub(super) struct Lane {
    producer: BaseProducer<Acknowledgements>,
    revival: Revival,
    /// Answers of the brokers so far.
    answers: u64,
    clock: Arc<dyn Clock>,
    pub(super) topic: String,
    schema: &'static str,
    phase: Phase,
    /// Records of the open transaction that the brokers have not answered for.
    unanswered: BTreeSet<Ticket>,
    /// Records of the open transaction that the brokers have.
    taken: Vec<Ticket>,
    /// Why the open transaction cannot be committed.
    refused: Option<String>,
}

impl Lane {
    /// A producer; with a job's name, an exclusive one for it.
    pub(super) fn new(
        connection: &Connection,
        topic: &str,
        schema: &'static str,
        exclusive: Option<&str>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let mut config = connection.configure(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.type", "zstd"),
            ("linger.ms", "5"),
            // A record that waits longer is given back, and a newer one may take its place.
            ("message.timeout.ms", "60000"),
            ("reconnect.backoff.max.ms", "2000"),
        ]);
        if let Some(job) = exclusive {
            config
                .set("transactional.id", format!("headcount/{job}/{topic}"))
                .set("transaction.timeout.ms", TRANSACTION_MAX_MS.to_string());
        }
        let producer = config
            .create_with_context(Acknowledgements {
                voice: connection.voice(),
                delivered: Mutex::default(),
            })
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))?;
        Ok(Self {
            producer,
            revival: Revival::new(connection, Arc::clone(clock)),
            answers: 0,
            clock: Arc::clone(clock),
            topic: topic.to_owned(),
            schema,
            phase: match exclusive {
                Some(_) => Phase::Unclaimed,
                None => Phase::Plain,
            },
            unanswered: BTreeSet::new(),
            taken: Vec::new(),
            refused: None,
        })
    }

    /// Takes the right to publish from whoever has it; false if that takes longer.
    pub(super) fn claim(&mut self) -> Result<bool, Failure> {
        if self.phase != Phase::Unclaimed {
            return Ok(true);
        }
        self.revive(true);
        let step = Duration::from_millis(TRANSACTION_STEP_MS);
        match self.producer.init_transactions(step) {
            Ok(()) => self.phase = Phase::Ready,
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) if error.rdkafka_error_code().is_some_and(is_fenced) => self.lose(&error),
            Err(error) => {
                return Err(Failure::Output(format!(
                    "the brokers do not let this instance publish alone ({error}); allow the transactional id \
                     'headcount/<job>/{}' to be written, or use --exclusive false",
                    self.topic
                )));
            }
        }
        Ok(self.phase == Phase::Ready)
    }

    /// How the right to publish was lost, if it is.
    pub(super) fn lost(&self) -> Option<&Lost> {
        match &self.phase {
            Phase::Lost(lost) => Some(lost),
            _ => None,
        }
    }

    /// Answers for everything that is under way.
    pub(super) fn give_up(mut self, why: &str) -> Vec<Delivery> {
        let tickets = std::mem::take(&mut self.unanswered).into_iter();
        let tickets = tickets.chain(std::mem::take(&mut self.taken));
        let result = Err(why.to_owned());
        tickets
            .map(|ticket| Delivery {
                ticket,
                result: result.clone(),
            })
            .collect()
    }

    pub(super) fn send(
        &mut self,
        ticket: Ticket,
        record: &Outgoing,
    ) -> Result<Result<(), Full>, Failure> {
        match self.phase {
            Phase::Ready => match self.producer.begin_transaction() {
                Ok(()) => self.phase = Phase::Open,
                Err(error) => {
                    self.settle(&error)?;
                    return Ok(Err(Full));
                }
            },
            Phase::Open if self.refused.is_none() => {}
            Phase::Plain => {}
            _ => return Ok(Err(Full)),
        }
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(header("content-type", "application/json"))
            .insert(header("headcount-schema", self.schema));
        // All of a topic's records in one partition: their order is that of their numbers.
        let mut message =
            BaseRecord::<str, [u8], Box<Ticket>>::with_opaque_to(&self.topic, Box::new(ticket))
                .partition(0)
                .key(&record.key)
                .headers(headers);
        message.payload = record.payload.as_deref();
        match self.producer.send(message) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                return Ok(Err(Full));
            }
            Err((error, _)) => {
                if self.producer.client().fatal_error().is_some() {
                    self.settle(&error)?;
                    return Ok(Err(Full));
                }
                let result = Err(error.to_string());
                let delivered = &self.producer.context().delivered;
                delivered.lock().push(Delivery { ticket, result });
            }
        }
        if self.phase != Phase::Plain {
            self.unanswered.insert(ticket);
        }
        Ok(Ok(()))
    }

    /// Gives up what is under way: otherwise the client waits for it when it is closed.
    pub(super) fn abandon(&mut self) {
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
    }

    /// A client that has lost sight of all brokers finds them again.
    fn revive(&mut self, waits: bool) {
        self.revival
            .tend(self.producer.client(), waits, self.answers);
    }

    /// Takes answers, and brings the open transaction to its end.
    pub(super) fn tend(
        &mut self,
        wait: Duration,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), Failure> {
        self.producer.poll(wait);
        let answers = std::mem::take(&mut *self.producer.context().delivered.lock());
        self.answers += answers.len() as u64;
        if self.phase == Phase::Plain {
            deliveries.extend(answers);
            self.revive(self.producer.in_flight_count() > 0);
            return Ok(());
        }
        for Delivery { ticket, result } in answers {
            if !self.unanswered.remove(&ticket) {
                continue;
            }
            match result {
                Ok(()) => self.taken.push(ticket),
                Err(why) => {
                    let result = Err(why.clone());
                    deliveries.push(Delivery { ticket, result });
                    self.refused.get_or_insert(why);
                }
            }
        }
        if let Some((code, why)) = self.producer.client().fatal_error() {
            return self.settle_fatal(code, &why);
        }
        let is_ending = matches!(self.phase, Phase::Committing(_) | Phase::Aborting(_));
        self.revive(is_ending || !self.unanswered.is_empty());
        let now_ms = self.clock.monotonic_ms();
        if self.phase == Phase::Open && self.refused.is_some() {
            self.phase = Phase::Aborting(now_ms);
        } else if self.phase == Phase::Open && self.unanswered.is_empty() {
            self.phase = Phase::Committing(now_ms);
        }
        let step = Duration::from_millis(TRANSACTION_STEP_MS);
        let (since_ms, result) = match self.phase {
            Phase::Committing(since_ms) => (since_ms, self.producer.commit_transaction(step)),
            Phase::Aborting(since_ms) => (since_ms, self.producer.abort_transaction(step)),
            _ => return Ok(()),
        };
        match result {
            Ok(()) => self.note_end(deliveries),
            Err(_) if now_ms - since_ms > TRANSACTION_END_MAX_MS => {
                let seconds = TRANSACTION_END_MAX_MS / 1_000;
                self.phase = Phase::Lost(Lost::Stuck(format!(
                    "the brokers have not ended a transaction on '{}' within {seconds} s",
                    self.topic
                )));
            }
            Err(error) => self.settle(&error)?,
        }
        Ok(())
    }

    /// The open transaction is committed, or forgotten with all that was in it.
    fn note_end(&mut self, deliveries: &mut Vec<Delivery>) {
        self.answers += 1;
        let refused = self.refused.take();
        let result = refused.map_or(Ok(()), |why| {
            Err(format!("another record of its transaction failed: {why}"))
        });
        let taken = std::mem::take(&mut self.taken).into_iter();
        // Of those that were purged the answers may be yet to come.
        let all = taken.chain(std::mem::take(&mut self.unanswered));
        deliveries.extend(all.map(|ticket| Delivery {
            ticket,
            result: result.clone(),
        }));
        self.phase = Phase::Ready;
    }

    /// What an error of a transaction means for it.
    fn settle(&mut self, error: &KafkaError) -> Result<(), Failure> {
        if let Some((code, why)) = self.producer.client().fatal_error() {
            return self.settle_fatal(code, &why);
        }
        match error {
            KafkaError::Transaction(error) if error.is_retriable() => {}
            KafkaError::Transaction(error) if error.txn_requires_abort() => {
                self.refused.get_or_insert_with(|| error.to_string());
                if !matches!(self.phase, Phase::Aborting(_)) {
                    self.phase = Phase::Aborting(self.clock.monotonic_ms());
                }
            }
            // Nothing was answered in time.
            KafkaError::Flush(_) => {}
            error => {
                // Among them: a call was left before its answer, and the library has gone on without us.
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                return self.settle_fatal(code, &error.to_string());
            }
        }
        Ok(())
    }

    fn settle_fatal(&mut self, code: RDKafkaErrorCode, why: &str) -> Result<(), Failure> {
        if self.phase == Phase::Plain || is_refused(code) {
            return Err(gave_up(why));
        }
        if is_fenced(code) {
            self.lose(&why);
        } else {
            // Brokers that were away for longer than a transaction lives do not know it any more, for example.
            self.phase = Phase::Lost(Lost::Stuck(format!(
                "a transaction on '{}' has failed ({why})",
                self.topic
            )));
        }
        Ok(())
    }

    fn lose(&mut self, why: &dyn std::fmt::Display) {
        self.phase = Phase::Lost(Lost::Taken(why.to_string()));
    }
}

pub(super) fn gave_up(why: &str) -> Failure {
    Failure::Output(format!(
        "the Kafka client gave up on publishing: {why}; what is saved is published by the next run"
    ))
}
