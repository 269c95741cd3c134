//! Answers from a state at rest, or from what a running service last saved.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::state::{Open, open_at};
use super::{Answered, Asked, unanswered};
use crate::engine::admit::Admission;
use crate::engine::calendar::{Bounds, Period, WindowId};
use crate::engine::checkpoint::codec::Damaged;
use crate::engine::look::Select;
use crate::engine::look::clerk::{Clerk, Counted, Looked, Unanswered};
use crate::engine::report::answer::UsersAnswer;
use crate::engine::shard::{Shard, Shelf};
use crate::error::Failure;
use crate::io::http::parameters::Question;
use crate::io::print::answers::Trailing;
use crate::limits::PAGES;

/// A state that can be asked.
struct AtRest {
    admission: Admission,
    shard: Shard,
    shelf: Box<dyn Shelf>,
    names: Arc<[String]>,
}

impl Counted for AtRest {
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered> {
        let known = self.admission.look(&select);
        let seen = vec![self.shard.look(&known.look)];
        let names = Arc::clone(&self.names);
        Ok(Looked { known, names, seen })
    }

    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        self.shelf.fetch(id)
    }
}

pub(super) fn answer(directory: &Path, asked: &Asked) -> Result<Answered, Failure> {
    let open = open_at(directory)?;
    check_period(asked, open.periods)?;
    let mut clerk = clerk(open)?;
    let answered = match asked {
        Asked::Trailing => {
            let six = clerk.trailing(Select::Trailing).map_err(unanswered)?;
            let trailing = Trailing::of_answers(&six);
            let json = as_json(&six);
            Ok(Answered::Trailing(trailing, json))
        }
        Asked::Users(Question::Union(start, end), _) => {
            let stretch = Bounds {
                start: *start,
                end: *end,
            };
            clerk.union(stretch).map(Answered::Users)
        }
        Asked::Users(question, _) | Asked::Windows(question, _) => {
            match (*question, question.list()) {
                (_, Some(list)) => clerk.series(list).map(Answered::Windows),
                (Question::Last(seconds), _) => one(&mut clerk, Select::Last(seconds)),
                (Question::Since(second), _) => one(&mut clerk, Select::Since(second)),
                _ => Err(Unanswered::Ended),
            }
        }
    };
    answered.map_err(unanswered)
}

/// Of a period that was not counted there is no series.
fn check_period(asked: &Asked, periods: u8) -> Result<(), Failure> {
    let Asked::Windows(Question::Series(period, ..), _) = asked else {
        return Ok(());
    };
    let counted = Period::ALL.into_iter().filter(|p| periods & p.bit() != 0);
    let counted: Vec<_> = counted.map(Period::name).collect();
    let wanted = Period::ALL[*period].name();
    if counted.contains(&wanted) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the state was counted with --window {}: it has nothing of that length ({wanted})",
        counted.join(",")
    )))
}

fn one(clerk: &mut Clerk<AtRest>, select: Select) -> Result<Answered, Unanswered> {
    let answer = clerk.trailing(select)?.into_iter().next();
    answer.map(Answered::Users).ok_or(Unanswered::Ended)
}

/// As records call a partition of these topics: a service with one topic names only its number. Whatever else there is, such as a file
/// or a partition of another state that was merged under a prefix, is called as the state calls it.
fn name_of(place: &str, topics: &str) -> String {
    let mut each = topics.split(',');
    match place.rsplit_once('/') {
        Some((topic, number)) if topics == topic => number.to_owned(),
        Some((topic, number)) if each.any(|each| each == topic) => format!("{topic}:{number}"),
        _ => place.to_owned(),
    }
}

fn clerk(of: Open) -> Result<Clerk<AtRest>, Failure> {
    let Open {
        inspected,
        loaded,
        audit,
        precision,
        calendar,
        shelf,
        sketched,
        ..
    } = of;
    let damaged = |why: Damaged| Failure::State(why.to_string());
    let mut shard = Shard::new(precision, 0..PAGES, calendar.clone());
    for id in sketched {
        shard.restore_window(id).map_err(damaged)?;
    }
    for stretch in &loaded.stretches {
        shard.restore_stretch(stretch).map_err(damaged)?;
    }
    let topics = inspected.identity("topic").unwrap_or_default();
    let names = loaded.names.iter().map(|place| name_of(place, topics));
    let at_rest = AtRest {
        admission: audit.admission,
        shard,
        shelf,
        names: names.collect(),
    };
    Ok(Clerk::new(at_rest, precision, calendar))
}

/// The fields that a tick has too, under the same names.
fn as_json(six: &[UsersAnswer]) -> Value {
    let mut json = json!({});
    let mut intervals = json!({});
    for (name, answer) in Trailing::NAMES.iter().zip(six) {
        json[format!("users_last_{name}")] = answer.users.into();
        intervals[format!("last_{name}")] = json!([answer.lo, answer.hi]);
    }
    if let Some(first) = six.first() {
        let moment = &first.moment;
        json["as_of"] = moment.as_of.into();
        json["since"] = moment.since.into();
        json["watermark"] = moment.watermark.into();
        json["intervals"] = intervals;
        json["tz"] = moment.tz.clone().into();
        json["source"] = json!({"offsets": moment.offsets});
    }
    json
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn partitions_are_called_as_in_records() {
        assert_eq!(name_of("users/3", "users"), "3");
        assert_eq!(name_of("users/3", "others,users"), "users:3");
        assert_eq!(name_of("eu/users/3", "users"), "eu/users/3");
        for file in ["a.log", "x/a.log", "eu/a.log"] {
            assert_eq!(name_of(file, "(files)"), file);
        }
    }
}
