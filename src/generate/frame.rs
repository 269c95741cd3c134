//! The bytes of one frame: the two root fields at places that vary, and filler around them.

use super::Plan;
use super::dice::{Chance, Dice, Purpose};
use super::filler::Fillers;
use super::uid::Uid;

/// Writes frames, one after the other, from one sequence of choices.
#[derive(Debug)]
pub(super) struct FrameWriter {
    dice: Dice,
    fillers: Fillers,
    population: u64,
    /// The size to meet on average, bytes.
    size: u32,
    string_ts: Chance,
    float_ts: Chance,
    uid: Vec<u8>,
    ts: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            dice: Dice::new(plan.seed, Purpose::Frame),
            fillers: Fillers::new(&mut Dice::new(plan.seed, Purpose::Filler)),
            population: plan.population,
            size: plan.frame_bytes,
            string_ts: Chance::new(plan.string_ts),
            float_ts: Chance::new(plan.float_ts),
            uid: Vec::new(),
            ts: Vec::new(),
        }
    }

    /// Appends one frame without a line end: `user` was seen `millis` (0..1000) after the second `ts`.
    pub(super) fn write(&mut self, user: u32, ts: u32, millis: u32, out: &mut Vec<u8>) {
        self.spell_uid(user);
        self.spell_ts(ts, millis);
        let fields = self.uid.len() + self.ts.len();
        let size = self.vary_size();
        let room = size.saturating_sub(1 + fields);
        let (first_at, second_at) = self.places(room);
        let (first, second) = if self.dice.once_in(2) {
            (&self.uid, &self.ts)
        } else {
            (&self.ts, &self.uid)
        };

        out.reserve(size.max(1 + fields));
        out.push(b'{');
        let left = self
            .fillers
            .fill(&mut self.dice, room, room - first_at, out);
        out.extend_from_slice(first);
        let left = self
            .fillers
            .fill(&mut self.dice, left, room - second_at, out);
        out.extend_from_slice(second);
        self.fillers.fill(&mut self.dice, left, 0, out);
        // Every member brought its comma; the last one's place is the closing bracket's.
        if let Some(last) = out.last_mut() {
            *last = b'}';
        }
    }

    /// A size within an eighth of the one asked for.
    fn vary_size(&mut self) -> usize {
        let spread = self.size / 8;
        (self.size - spread + self.dice.below(2 * spread + 1)) as usize
    }

    /// After how many of the `room` bytes of filler the two root fields stand: half of the time in the last
    /// quarter, which is where a reader that stops early has the most to read; half of the time side by side.
    fn places(&mut self, room: usize) -> (usize, usize) {
        let first = self.place(room);
        let second = if self.dice.once_in(2) {
            first
        } else {
            self.place(room)
        };
        (first.min(second), first.max(second))
    }

    fn place(&mut self, room: usize) -> usize {
        let room = room as u32;
        let at = match self.dice.below(16) {
            0 => 0,
            1 => room,
            2..8 => room - self.dice.below(room / 4 + 1),
            _ => self.dice.below(room + 1),
        };
        at as usize
    }

    fn spell_uid(&mut self, user: u32) {
        self.uid.clear();
        let key = self.dice.below(512);
        self.uid.extend_from_slice(match key {
            0 => b"\"\\u0075id\":\"",
            1..10 => b"\"uid\" : \"",
            _ => b"\"uid\":\"",
        });
        Uid::new(user, self.population).spell(&mut self.dice, &mut self.uid);
        self.uid.extend_from_slice(b"\",");
    }

    fn spell_ts(&mut self, ts: u32, millis: u32) {
        self.ts.clear();
        let key = self.dice.below(512);
        self.ts.extend_from_slice(match key {
            0 => b"\"t\\u0073\":",
            1..10 => b"\"ts\" : ",
            _ => b"\"ts\":",
        });
        let quoted = self.dice.hit(self.string_ts);
        let fraction = self.dice.hit(self.float_ts);
        if quoted {
            self.ts.push(b'"');
        }
        decimal(ts, 1, &mut self.ts);
        if fraction {
            self.ts.push(b'.');
            decimal(millis, 3, &mut self.ts);
        }
        self.ts
            .extend_from_slice(if quoted { b"\"," } else { b"," });
    }
}

/// Appends `number` with at least `width` (up to 10) digits.
fn decimal(mut number: u32, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 10];
    let mut at = digits.len();
    while number > 0 || at > digits.len() - width {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 1, 9, 10, 999, 1_468_244_385, u32::MAX] {
            let mut out = Vec::new();
            decimal(number, 1, &mut out);
            decimal(number, 3, &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{number}{number:03}")
            );
        }
    }

    #[test]
    fn the_smallest_frames_hold_the_fields_alone() {
        let mut writer = FrameWriter::new(&Plan {
            frame_bytes: 10,
            ..Plan::default()
        });
        for user in 0..1_000 {
            let mut frame = Vec::new();
            writer.write(user, 7, 0, &mut frame);
            let value: serde_json::Value = serde_json::from_slice(&frame).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 2);
        }
    }
}
