//! What the fuzzer found worth keeping: each file once more, by the same law.

use std::path::Path;

use crate::law;

#[test]
fn the_fuzzer_s_corpus_holds_to_the_law() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode_differential");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let frame = std::fs::read(entry.unwrap().path()).unwrap();
        law::check(&frame);
        for draw in 0..12 {
            law::check_other_names(&frame, draw);
        }
        files += 1;
    }
    assert!(files > 50, "half a corpus: {files} files");
}
