//! The desk at which questions over HTTP are answered, on a thread of its own: the same question is answered once a second,
//! different ones within a budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::pipeline::spawn;
use super::budget::Budget;
use super::give_way;
use crate::engine::calendar::Bounds;
use crate::engine::look::Select;
use crate::engine::look::clerk::{Clerk, Counted, Unanswered};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::http::parameters::Question;
use crate::io::http::{Answer, Answers, Promise, Refusal};
use crate::limits::{ANSWER_FRESH_MS, ANSWER_WAIT_MS, QUESTION_QUEUE};
use crate::observe::happenings::QuestionFailed;

type Outcome = Result<Arc<Answer>, Refusal>;

struct Job {
    question: Question,
    outcome: watch::Sender<Option<Outcome>>,
}

/// The desk.
pub(super) struct Desk {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    books: Mutex<Books>,
    asked: AtomicU64,
    refused: AtomicU64,
}

struct Books {
    /// Questions of the last second, and those that are not answered yet. The budget bounds them.
    lately: BTreeMap<Question, (u64, watch::Receiver<Option<Outcome>>)>,
    budget: Budget,
}

impl Desk {
    /// Opens the desk.
    pub(super) fn open(
        clerk: Clerk<impl Counted + Send + 'static>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let (jobs, to_do) = bounded(QUESTION_QUEUE);
        let shared = Arc::new(Shared {
            books: Mutex::new(Books {
                lately: BTreeMap::new(),
                budget: Budget::new(clock.monotonic_ms()),
            }),
            asked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let books = Arc::clone(&shared);
        // Not joined: it ends when nobody can ask any more, or an answer's time is over.
        drop(spawn("desk".to_owned(), move || {
            work(clerk, &to_do, &books)
        })?);
        Ok(Self {
            shared,
            jobs,
            clock,
        })
    }

    fn take_in(&self, question: Question) -> Result<watch::Receiver<Option<Outcome>>, Refusal> {
        let now_ms = self.clock.monotonic_ms();
        let mut books = self.shared.books.lock();
        books.lately.retain(|_, (asked_ms, outcome)| {
            now_ms < *asked_ms + ANSWER_FRESH_MS || outcome.borrow().is_none()
        });
        if let Some((_, outcome)) = books.lately.get(&question) {
            return Ok(outcome.clone());
        }
        books.budget.take(now_ms).map_err(Refusal::TooMany)?;
        let (to_tell, outcome) = watch::channel(None);
        let job = Job {
            question,
            outcome: to_tell,
        };
        self.jobs.try_send(job).map_err(|_| Refusal::TooMany(1))?;
        self.shared.asked.fetch_add(1, Ordering::Relaxed);
        books.lately.insert(question, (now_ms, outcome.clone()));
        Ok(outcome)
    }
}

impl Answers for Desk {
    fn ask(&self, question: Question) -> Promise {
        let taken = self.take_in(question);
        if taken.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async move {
            let mut outcome = taken?;
            let told = timeout(
                Duration::from_millis(ANSWER_WAIT_MS),
                outcome.wait_for(Option::is_some),
            );
            match told.await {
                Err(_) => Err(Refusal::Unanswered(Unanswered::Late)),
                Ok(Err(_)) => Err(Refusal::Unanswered(Unanswered::Ended)),
                Ok(Ok(outcome)) => outcome
                    .clone()
                    .unwrap_or(Err(Refusal::Unanswered(Unanswered::Ended))),
            }
        })
    }

    fn asked(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.shared.asked), count(&self.shared.refused))
    }
}

fn work(mut clerk: Clerk<impl Counted>, to_do: &Receiver<Job>, shared: &Shared) {
    give_way();
    while let Ok(job) = to_do.recv() {
        let before_us = cpu_us();
        let answered = answer(&mut clerk, job.question);
        let spent_us = cpu_us().saturating_sub(before_us);
        shared.books.lock().budget.spend(spent_us);
        if let Err(Unanswered::Damaged(why)) = &answered {
            QuestionFailed { why }.emit();
        }
        let outcome = answered.map(Arc::new).map_err(Refusal::Unanswered);
        // Whoever asked may have left.
        let _ = job.outcome.send(Some(outcome));
    }
}

fn answer(clerk: &mut Clerk<impl Counted>, question: Question) -> Result<Answer, Unanswered> {
    let select = match question {
        Question::Last(seconds) => Select::Last(seconds),
        Question::Since(second) => Select::Since(second),
        Question::Union(start, end) => {
            return clerk.union(Bounds { start, end }).map(Answer::Users);
        }
        Question::Series(..) => {
            let list = question.list().ok_or(Unanswered::Ended)?;
            return clerk.series(list).map(Answer::Windows);
        }
    };
    let one = clerk.trailing(select)?.into_iter().next();
    one.map(Answer::Users).ok_or(Unanswered::Ended)
}

/// CPU time of this thread so far.
fn cpu_us() -> u64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    (spent.tv_sec as u64) * 1_000_000 + (spent.tv_nsec as u64) / 1_000
}
