//! What is under way: every frame sent and not settled, by partition, and how far each partition is settled.

use std::collections::VecDeque;

use crate::io::target::{Answer, Delivery};
use crate::limits::{REPLAY_IN_FLIGHT_BYTES, REPLAY_IN_FLIGHT_FRAMES};

/// One frame under way.
#[derive(Debug)]
struct Sent {
    ticket: u64,
    bytes: usize,
    /// Its answer, where an earlier one is still to come.
    settled: Option<Settled>,
}

/// An answer that settles a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    At(Option<i64>),
    Refused,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    under_way: VecDeque<Sent>,
    /// The offset behind the last acknowledged frame, if known.
    offset: Option<i64>,
}

impl Lane {
    fn settle_first(&mut self) {
        while let Some(settled) = self.under_way.front().and_then(|sent| sent.settled) {
            self.under_way.pop_front();
            if let Settled::At(offset) = settled {
                self.offset = offset.map(|offset| offset + 1);
            }
        }
    }
}

/// All frames under way, bounded.
#[derive(Debug)]
pub(super) struct Window {
    lanes: Vec<Lane>,
    frames: usize,
    bytes: usize,
}

impl Window {
    /// A window over partitions whose next own offset is this, if known.
    pub(super) fn new(offsets: Vec<Option<i64>>) -> Self {
        let lane = |offset| Lane {
            under_way: VecDeque::new(),
            offset,
        };
        Self {
            lanes: offsets.into_iter().map(lane).collect(),
            frames: 0,
            bytes: 0,
        }
    }

    pub(super) fn partitions(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Whether one more frame may go; the first may be of any size.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.frames == 0
            || (self.frames < REPLAY_IN_FLIGHT_FRAMES
                && self.bytes + bytes <= REPLAY_IN_FLIGHT_BYTES)
    }

    /// A frame goes. Tickets rise.
    pub(super) fn send(&mut self, ticket: u64, partition: usize, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes;
        self.lanes[partition].under_way.push_back(Sent {
            ticket,
            bytes,
            settled: None,
        });
    }

    /// A frame need not go: it is in the topic already, at this offset.
    pub(super) fn found(&mut self, ticket: u64, partition: usize, offset: i64) {
        let lane = &mut self.lanes[partition];
        lane.under_way.push_back(Sent {
            ticket,
            bytes: 0,
            settled: Some(Settled::At(Some(offset))),
        });
        lane.settle_first();
    }

    /// A frame is acknowledged or refused: its size, unless it is not under way.
    pub(super) fn settle(&mut self, delivery: &Delivery) -> Option<usize> {
        let settled = match delivery.answer {
            Answer::Acknowledged(offset) => Settled::At(offset),
            Answer::TooLarge => Settled::Refused,
            Answer::Failed(_) => return None,
        };
        let lane = self.lanes.get_mut(delivery.partition)?;
        let under_way = &mut lane.under_way;
        // Answers come in the order of sending, so it is the first one. If ever not, the position waits for the others.
        let at = under_way
            .binary_search_by_key(&delivery.ticket, |sent| sent.ticket)
            .ok()?;
        let sent = &mut under_way[at];
        if sent.settled.replace(settled).is_some() {
            return None;
        }
        let bytes = sent.bytes;
        self.frames -= 1;
        self.bytes -= bytes;
        lane.settle_first();
        Some(bytes)
    }

    /// For each partition the first ticket that is not settled, `next` where all are, and the offset behind the last
    /// acknowledged frame.
    pub(super) fn reached(&self, next: u64) -> impl Iterator<Item = (u64, Option<i64>)> {
        self.lanes.iter().map(move |lane| {
            let first = lane.under_way.front();
            (first.map_or(next, |sent| sent.ticket), lane.offset)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(ticket: u64, partition: usize, answer: Answer) -> Delivery {
        Delivery {
            ticket,
            partition,
            answer,
        }
    }

    #[test]
    fn a_partition_is_settled_up_to_its_first_frame_without_an_answer() {
        let mut window = Window::new(vec![Some(50), None]);
        for ticket in 0..6 {
            window.send(ticket, ticket as usize % 2, 10);
        }
        let reached = |window: &Window| window.reached(6).collect::<Vec<_>>();
        assert_eq!(reached(&window), [(0, Some(50)), (1, None)]);
        assert_eq!(
            window.settle(&delivery(2, 0, Answer::Acknowledged(Some(60)))),
            Some(10)
        );
        assert_eq!(reached(&window)[0], (0, Some(50)), "0 is still under way");
        window.settle(&delivery(0, 0, Answer::Acknowledged(Some(59))));
        assert_eq!(reached(&window)[0], (4, Some(61)));
        window.settle(&delivery(4, 0, Answer::TooLarge));
        assert_eq!(
            reached(&window)[0],
            (6, Some(61)),
            "a refused frame is nowhere"
        );
        assert_eq!(window.settle(&delivery(4, 0, Answer::TooLarge)), None);
        window.settle(&delivery(1, 1, Answer::Acknowledged(None)));
        assert_eq!(reached(&window)[1], (3, None));
        assert_eq!(window.frames(), 2);
    }

    #[test]
    fn frames_and_bytes_are_bounded_but_one_frame_always_goes() {
        let mut window = Window::new(vec![None]);
        assert!(window.has_room(REPLAY_IN_FLIGHT_BYTES * 2));
        window.send(0, 0, REPLAY_IN_FLIGHT_BYTES * 2);
        assert!(!window.has_room(1));
        window.settle(&delivery(0, 0, Answer::Acknowledged(None)));
        for ticket in 1..=REPLAY_IN_FLIGHT_FRAMES as u64 {
            assert!(window.has_room(1));
            window.send(ticket, 0, 1);
        }
        assert!(!window.has_room(1));
    }
}
