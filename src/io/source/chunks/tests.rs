//! Chunks against lines split by hand, cut at every place that there is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::*;
use crate::limits::{CHUNKS_BEGUN, MAX_FRAME_BYTES};

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn open(path: &Path, chunk_bytes: usize) -> Chunks {
    Chunks::open(
        &Input::File(path.to_owned()),
        &BytesRead::default(),
        chunk_bytes,
    )
    .unwrap()
}

/// All lines, and what ended them.
fn lines_of(chunks: &Chunks) -> (Vec<Vec<u8>>, Result<(), Failure>) {
    let mut buffer = ChunkBuffer::default();
    let mut lines = Vec::new();
    for number in 0.. {
        match chunks.read(number, &mut buffer, true).unwrap() {
            Ok(extent) => {
                assert_eq!(extent.number, number);
                lines.extend(buffer.lines().map(<[u8]>::to_vec));
                if extent.ended {
                    break;
                }
            }
            Err(torn) => {
                assert_eq!(torn.number, number);
                return (lines, Err(torn.why));
            }
        }
    }
    (lines, chunks.finish())
}

/// The lines of a text: what stands before each newline, and what stands behind the last, if anything does.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

fn packed(text: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let mut gzip = Vec::new();
    // Two members in one file, as `cat a.gz b.gz` makes.
    for half in [&text[..text.len() / 2], &text[text.len() / 2..]] {
        let mut encoder = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
        encoder.write_all(half).unwrap();
    }
    [("gz", gzip), ("zst", zstd::encode_all(text, 1).unwrap())]
}

#[test]
fn lines_are_cut_at_every_place_where_a_chunk_may_end() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        &b"one\n\ntwo\r\nthree, a long one\nno newline at the end"[..],
        b"one\n\n\ntwo, and a newline at the end\n",
        b"\n\n\n",
        b"\n",
        b"a",
        b"",
        b"a long line that goes through many chunks, and nothing behind it",
    ] {
        let expected = split(text);
        let plain = write(dir.path(), "plain", text);
        let [gzip, zstd] = packed(text).map(|(name, bytes)| write(dir.path(), name, &bytes));
        for chunk in 1..text.len() + 3 {
            for path in [&plain, &gzip, &zstd] {
                let (lines, outcome) = lines_of(&open(path, chunk));
                assert_eq!(outcome, Ok(()));
                assert_eq!(lines, expected, "{} in chunks of {chunk}", path.display());
            }
        }
    }
}

#[test]
fn chunks_of_a_file_are_the_same_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..200).map(|i| "x".repeat(i % 17) + "\n").collect();
    let path = write(dir.path(), "x", text.as_bytes());
    for chunk in [1, 5, 16, 64] {
        let chunks = open(&path, chunk);
        let of = |number: u64| {
            let mut buffer = ChunkBuffer::default();
            chunks.read(number, &mut buffer, true).unwrap().unwrap();
            buffer.lines().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let number = text.len() as u64 / chunk as u64 + 1;
        let mut backwards: Vec<_> = (0..number).rev().map(of).collect();
        backwards.reverse();
        assert_eq!(backwards.concat(), split(text.as_bytes()));
        assert!(chunks.is_worth_reading(0) && !chunks.is_worth_reading(number));
    }
}

#[test]
fn a_line_that_is_too_long_is_cut_and_its_neighbours_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = b"first\n".to_vec();
    text.resize(text.len() + MAX_FRAME_BYTES + 100_000, b'x');
    text.extend_from_slice(b"\nlast\n");
    let longest = [&b"before\n"[..], &vec![b'y'; MAX_FRAME_BYTES], b"\nafter"].concat();
    for chunk in [64 << 10, 512 << 10] {
        let plain = write(dir.path(), "plain", &text);
        let zstd = write(dir.path(), "zst", &zstd::encode_all(&text[..], 1).unwrap());
        for path in [plain, zstd] {
            let (lines, outcome) = lines_of(&open(&path, chunk));
            assert_eq!(outcome, Ok(()));
            let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
            assert_eq!(lengths, [5, MAX_FRAME_BYTES + 1, 4], "{}", path.display());
            assert_eq!(
                (&lines[0][..], &lines[2][..]),
                (&b"first"[..], &b"last"[..])
            );
        }
        let path = write(dir.path(), "longest", &longest);
        let (lines, _) = lines_of(&open(&path, chunk));
        assert!(
            lines == split(&longest),
            "one of the greatest length is whole"
        );
    }
}

#[test]
fn a_torn_file_gives_its_whole_lines_and_then_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..40_000)
        .map(|i| format!("line {i} {}\n", i * i))
        .collect();
    for (name, bytes) in packed(text.as_bytes()) {
        for torn in [bytes.len() - 4, bytes.len() / 2, bytes.len() / 4] {
            let path = write(dir.path(), name, &bytes[..torn]);
            for chunk in [100, 1_000, 1 << 20] {
                let (lines, outcome) = lines_of(&open(&path, chunk));
                assert!(matches!(outcome, Err(Failure::Data(_))), "{outcome:?}");
                let all = split(text.as_bytes());
                assert!(lines.len() <= all.len() && lines == all[..lines.len()]);
                assert!(torn < bytes.len() - 4 || !lines.is_empty());
            }
        }
    }
}

#[test]
fn what_is_added_to_a_file_while_it_is_read_is_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "x", b"1\n2\n3\n4");
    let chunks = open(&path, 4);
    let mut buffer = ChunkBuffer::default();
    let mut read = |number| {
        let extent = chunks.read(number, &mut buffer, true).unwrap().unwrap();
        let lines: Vec<_> = buffer.lines().map(<[u8]>::to_vec).collect();
        (lines.concat(), extent.ended)
    };
    assert_eq!(read(0), (b"12".to_vec(), false));
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"4\n5\n6").unwrap();
    assert_eq!(read(1), (b"344".to_vec(), false));
    assert_eq!(read(2), (b"56".to_vec(), true));
    assert_eq!(chunks.finish(), Ok(()));
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "x", b"1\n2\n3\n4\n5\n");
    let chunks = open(&path, 4);
    let mut buffer = ChunkBuffer::default();
    let extent = chunks.read(0, &mut buffer, true).unwrap().unwrap();
    assert_eq!((buffer.text(), extent.ended), (&b"1\n2\n"[..], false));
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(5).unwrap();
    let extent = chunks.read(1, &mut buffer, true).unwrap().unwrap();
    assert_eq!((buffer.text(), extent.ended), (&b"3"[..], true));
    let Err(Failure::Data(why)) = chunks.finish() else {
        panic!("it is short of something");
    };
    assert!(
        why.contains("had 10 bytes") && why.contains("has 5"),
        "{why}"
    );
}

#[test]
fn a_chunk_of_a_stream_is_what_has_come() {
    let (read, mut write) = io::pipe().unwrap();
    let waits = read.try_clone().unwrap();
    let mut stream = Stream::new(String::new(), flowing(read), Some(waits.into()), 16);
    let mut buffer = ChunkBuffer::default();
    let mut next = |stream: &mut Stream| {
        let extent = stream.read(&mut buffer).unwrap();
        (
            String::from_utf8(buffer.text().to_vec()).unwrap(),
            extent.ended,
        )
    };
    write.write_all(b"one\ntwo\nthr").unwrap();
    assert_eq!(next(&mut stream), ("one\ntwo\n".to_owned(), false));
    write.write_all(b"ee\n").unwrap();
    assert_eq!(next(&mut stream), ("three\n".to_owned(), false));
    write
        .write_all(b"and more than a chunk may have\nthe last")
        .unwrap();
    drop(write);
    let (line, ended) = next(&mut stream);
    assert_eq!(
        (&line[..], ended),
        ("and more than a chunk may have\n", false)
    );
    let (line, ended) = next(&mut stream);
    assert_eq!((&line[..], ended), ("the last", true));
    assert_eq!(next(&mut stream), (String::new(), true));
}

#[test]
fn between_chunks_only_the_line_that_was_begun_is_kept() {
    let text = "x".repeat(99) + "\n";
    let input = io::Cursor::new(text.repeat(10_000));
    let mut stream = Stream::new(String::new(), flowing(input), None, 64 << 10);
    let mut buffer = ChunkBuffer::default();
    assert_eq!(stream.kept_bytes(), 0);
    while !stream.read(&mut buffer).unwrap().ended {
        assert!(stream.kept_bytes() < 100, "{}", stream.kept_bytes());
    }
    assert_eq!(stream.kept_bytes(), 0);
}

#[test]
fn bytes_read_are_those_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..1_000).map(|i| format!("line {i}\n")).collect();
    let mut files = packed(text.as_bytes()).to_vec();
    files.push(("plain", text.clone().into_bytes()));
    for (name, content) in files {
        let path = write(dir.path(), name, &content);
        let bytes = BytesRead::default();
        let chunks = Chunks::open(&Input::File(path), &bytes, 100).unwrap();
        assert_eq!(lines_of(&chunks).0.len(), 1_000);
        assert_eq!(
            bytes.load(Ordering::Relaxed),
            content.len() as u64,
            "{name}"
        );
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused_however_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let input = Input::File(path.clone());
    let bytes = BytesRead::default();
    let inputs = [input.clone()];
    let readers = || vec![LineReader::open(&input, &bytes).unwrap()];
    type Open<'a> = &'a dyn Fn() -> Vec<Opened>;
    let in_ranges: Open<'_> = &|| super::open(&inputs, &bytes).unwrap();
    let read_on: Open<'_> = &|| on_from(&inputs, readers()).unwrap();
    for open in [in_ranges, read_on] {
        for (length, is_whole) in [(8, true), (12, true), (3, false)] {
            std::fs::write(&path, "one\ntwo\n").unwrap();
            let opened = open().remove(0);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(length).unwrap();
            assert_eq!(opened.chunks.finish().is_ok(), is_whole, "{length}");
        }
    }
}

#[test]
fn a_packed_file_that_is_one_of_several_holds_nothing_while_it_has_only_begun() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..1_000).map(|i| format!("line {i}\n")).collect();
    for (name, content) in packed(text.as_bytes()) {
        let input = Input::File(write(dir.path(), name, &content));
        let bytes = BytesRead::default();
        for is_state in [false, true] {
            bytes.store(0, Ordering::Relaxed);
            let mut chunks = if is_state {
                let parts = LineReader::open(&input, &bytes).unwrap().into_parts();
                let stream = Stream::new(parts.name, parts.reader, None, 100);
                Chunks(Kind::Stream(Mutex::new(stream)))
            } else {
                Chunks::open(&input, &bytes, 100).unwrap()
            };
            chunks.rest_begun(2);
            let mut buffer = ChunkBuffer::default();
            let mut begun = Vec::new();
            for number in 0..CHUNKS_BEGUN {
                let extent = chunks.read(number, &mut buffer, true).unwrap().unwrap();
                assert!(!extent.ended);
                begun.extend(buffer.lines().map(<[u8]>::to_vec));
                // What is to be read again was not read yet.
                assert_eq!(bytes.load(Ordering::Relaxed), 0, "{name}");
            }
            let mut lines = begun;
            for number in CHUNKS_BEGUN.. {
                let extent = chunks.read(number, &mut buffer, true).unwrap().unwrap();
                lines.extend(buffer.lines().map(<[u8]>::to_vec));
                if extent.ended {
                    break;
                }
            }
            assert_eq!(lines, split(text.as_bytes()), "{name}");
            let read = bytes.load(Ordering::Relaxed);
            assert_eq!(read, content.len() as u64, "{name}");
        }
    }
}
