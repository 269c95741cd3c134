//! From joined answers to the records that are put out.

pub mod answer;
pub mod forget;
pub mod issue;
pub mod outbox;
pub mod record;
