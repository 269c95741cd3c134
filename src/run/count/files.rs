//! Which of the files named are those that the state knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::cli::run::OnGap;
use crate::error::Failure;
use crate::io::source::lines::{BytesRead, Head, Input, LineReader, Mark, Marker, open_behind};
use crate::observe::happenings::{FileGone, FileRenamed};

/// A file in which some lines were counted.
pub(super) struct Known {
    /// What it was called then.
    pub(super) name: String,
    /// How many lines of it are counted.
    pub(super) lines: i64,
    /// By what it is known again.
    pub(super) mark: Mark,
}

/// The partitions by the names that they have from now on, each with its input.
#[derive(Default)]
pub(super) struct Places {
    /// Those that the state knows, in its order; without an input where it is not named, or is gone.
    pub(super) known: Vec<(String, Option<usize>)>,
    /// New ones.
    pub(super) new: Vec<(String, usize)>,
    /// Inputs that have the name of a file that is gone, of which nobody knows how many lines were never counted.
    pub(super) behind_gaps: Vec<usize>,
}

/// What was found of the inputs.
pub(super) struct Found {
    /// One of each input, behind what is counted.
    pub(super) readers: Vec<LineReader>,
    /// One of each input.
    pub(super) markers: Vec<Marker>,
    pub(super) places: Places,
}

struct Search<'a> {
    inputs: &'a [Input],
    known: Vec<Known>,
    /// The input that each of the known files was found as.
    found: Vec<Option<usize>>,
    /// Where to read on in each input that is known.
    readers: Vec<Option<(LineReader, Marker)>>,
    heads: Beginnings,
    names: Vec<String>,
    bytes: &'a BytesRead,
}

/// The inputs by how they begin: there may be many, and as many files that are known.
struct Beginnings {
    heads: Vec<Head>,
    /// By the digest of beginnings of one length, the last one that was asked for: that of most files is the same.
    by_digest: BTreeMap<u128, Vec<usize>>,
    length: Option<usize>,
}

impl Beginnings {
    /// The inputs that begin as the file with this mark did, in their order.
    fn like(&mut self, mark: &Mark) -> Vec<usize> {
        let (length, digest) = mark.head();
        if self.length.replace(length) != Some(length) {
            self.by_digest.clear();
            for (input, head) in self.heads.iter().enumerate() {
                if let Some(digest) = head.digest(length) {
                    self.by_digest.entry(digest).or_default().push(input);
                }
            }
        }
        self.by_digest.get(&digest).cloned().unwrap_or_default()
    }
}

/// Finds each input among the known files by what it holds; of several that hold the same, by its name.
///
/// # Errors
///
/// A file that has a known one's name and is another one, unless that one is here under another name; a file that cannot be
/// read; standard input.
pub(super) fn find(
    inputs: &[Input],
    known: Vec<Known>,
    on_gap: OnGap,
    bytes: &BytesRead,
) -> Result<Found, Failure> {
    let heads = inputs.iter().map(|input| Head::read(path(input)?));
    let mut search = Search {
        inputs,
        found: vec![None; known.len()],
        known,
        readers: inputs.iter().map(|_| None).collect(),
        heads: Beginnings {
            heads: heads.collect::<Result<_, _>>()?,
            by_digest: BTreeMap::new(),
            length: None,
        },
        names: inputs.iter().map(Input::name).collect(),
        bytes,
    };
    search.search()?;
    search.finish(on_gap)
}

/// Refuses what is no file, before a state is made for it.
///
/// # Errors
///
/// One sentence about the first such input.
pub(super) fn check(inputs: &[Input]) -> Result<(), Failure> {
    inputs.iter().try_for_each(|input| path(input).map(drop))
}

/// Only a file can be gone on with: nobody knows how much of a pipe was taken before a crash.
fn path(input: &Input) -> Result<&PathBuf, Failure> {
    match input {
        Input::File(path) if path.is_file() || !path.exists() || path.is_dir() => Ok(path),
        Input::File(_) | Input::Stdin => Err(Failure::Usage(format!(
            "with --state only files can be counted, and {} is none: after a crash nobody knows how much of it was taken",
            match input {
                Input::Stdin => "standard input".to_owned(),
                Input::File(path) => path.display().to_string(),
            }
        ))),
    }
}

impl Search<'_> {
    /// A file that was renamed or packed since still begins as it did. Those of which most is counted come first: whatever begins with
    /// all of that begins with less of it too, and nothing at all is the beginning of every file, so a name proves little.
    fn search(&mut self) -> Result<(), Failure> {
        let mut known: Vec<_> = (0..self.known.len()).collect();
        known.sort_by_key(|known| std::cmp::Reverse(self.known[*known].lines));
        let is_like = |a: &usize, b: &usize| self.known[*a].lines == self.known[*b].lines;
        let alike: Vec<_> = known.chunk_by(is_like).map(<[usize]>::to_vec).collect();
        for alike in alike {
            for name_counts in [true, false] {
                for &known in &alike {
                    self.look_for(known, name_counts)?;
                }
            }
        }
        Ok(())
    }

    fn look_for(&mut self, known: usize, name_counts: bool) -> Result<(), Failure> {
        for input in self.heads.like(&self.known[known].mark) {
            let is_free = self.readers[input].is_none() && self.found[known].is_none();
            let is_meant = !name_counts || self.names[input] == self.known[known].name;
            if is_free && is_meant {
                self.try_as(input, known)?;
            }
        }
        Ok(())
    }

    fn try_as(&mut self, input: usize, known: usize) -> Result<(), Failure> {
        let Known { lines, mark, .. } = &self.known[known];
        let head = &self.heads.heads[input];
        let path = path(&self.inputs[input])?;
        if let Some(behind) = open_behind(path, head, (*lines, mark), self.bytes)? {
            self.readers[input] = Some(behind);
            self.found[known] = Some(input);
        }
        Ok(())
    }

    fn finish(self, on_gap: OnGap) -> Result<Found, Failure> {
        let names = self.names;
        let by_name: BTreeMap<_, _> = names.iter().zip(0..).collect();
        let mut places = Places::default();
        let of_known = self.known.iter().map(|known| known.name.clone());
        let mut taken: BTreeSet<_> = of_known.chain(names.iter().cloned()).collect();
        for (Known { name, lines, .. }, found) in self.known.into_iter().zip(self.found) {
            let name = match found {
                Some(input) => {
                    let (old, new) = (&name, &names[input]);
                    if old != new && lines > 0 {
                        FileRenamed { old, new, lines }.emit();
                    }
                    new.clone()
                }
                None => match by_name.get(&name) {
                    Some(input) => {
                        let aside = set_aside(&name, lines, on_gap, &taken)?;
                        places.behind_gaps.extend((lines > 0).then_some(*input));
                        taken.insert(aside.clone());
                        aside
                    }
                    None => name,
                },
            };
            places.known.push((name, found));
        }
        let (mut readers, mut markers) = (Vec::new(), Vec::new());
        for (i, (input, known)) in self.inputs.iter().zip(self.readers).enumerate() {
            let (reader, marker) = match known {
                Some(behind) => behind,
                None => {
                    places.new.push((names[i].clone(), i));
                    (LineReader::open(input, self.bytes)?, Marker::default())
                }
            };
            readers.push(reader);
            markers.push(marker);
        }
        Ok(Found {
            readers,
            markers,
            places,
        })
    }
}

/// The name that a file keeps in the state which is gone, where its own is that of another one now.
fn set_aside(
    name: &str,
    lines: i64,
    on_gap: OnGap,
    taken: &BTreeSet<String>,
) -> Result<String, Failure> {
    // Of which nothing was counted, of that nothing is missed.
    if on_gap == OnGap::Fail && lines > 0 {
        return Err(Failure::Gap(format!(
            "{name} does not begin with what was counted of it (lines: {lines}): it was rotated, cut or rewritten; name the old one too, under whatever name it has now, so that none of its lines is missed; if it is gone, --on-gap continue counts {name} as a new file"
        )));
    }
    let aside = (1..)
        .map(|number| format!("{name}~{number}"))
        .find(|aside| !taken.contains(aside));
    let aside = aside.unwrap_or_default();
    if lines > 0 {
        let aside_name = &aside;
        FileGone { name, aside_name }.emit();
    }
    Ok(aside)
}
