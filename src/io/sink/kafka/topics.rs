//! The topics that are written to.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use crate::io::kafka_client::{Connection, Voice};
use crate::limits::SURVEY_TIMEOUT_MS;

/// A topic that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions to create it with; -1 leaves it to the brokers.
    pub partitions: i32,
    /// `delete` or `compact`.
    pub cleanup: &'static str,
}

/// Creates topics where they are missing and the brokers let us. Blocks.
///
/// # Errors
///
/// One sentence when the brokers do not answer; that a topic exists or must not be created is no error.
pub fn create_topics(connection: &Connection, wanted: &[TopicPlan]) -> Result<Vec<String>, String> {
    let admin: AdminClient<Voice> = connection
        .configure(&[])
        .create_with_context(connection.voice())
        .map_err(|error| error.to_string())?;
    let timeout = Duration::from_millis(SURVEY_TIMEOUT_MS);
    let known = admin
        .inner()
        .fetch_metadata(None, timeout)
        .map_err(|error| format!("the brokers do not answer ({error})"))?;
    connection.note_answer();
    let missing = wanted.iter().filter(|plan| {
        let topics = known.topics();
        !topics.iter().any(|topic| topic.name() == plan.name)
    });
    // -1: as many replicas as the brokers think right.
    let topics: Vec<_> = missing
        .map(|plan| {
            NewTopic::new(&plan.name, plan.partitions, TopicReplication::Fixed(-1))
                .set("cleanup.policy", plan.cleanup)
        })
        .collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let created = futures_executor::block_on(admin.create_topics(&topics, &options));
    let results = created.map_err(|error| error.to_string());
    let mut refused = Vec::new();
    match results {
        Ok(results) => {
            for result in results {
                if let Err((topic, code)) = result
                    && code != RDKafkaErrorCode::TopicAlreadyExists
                {
                    refused.push(format!(
                        "cannot create topic '{topic}' ({code}); create it, or let the brokers"
                    ));
                }
            }
        }
        Err(error) => refused.push(format!(
            "cannot create the output topics ({error}); create them, or let the brokers"
        )),
    }
    Ok(refused)
}
