//! Names that somebody may have meant.

/// The name that is most like one that nobody has, if any is like it.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    // Short names are told apart by their letters, long ones by how they begin.
    let likeness = known.map(|known| {
        let by_letters = strsim::normalized_damerau_levenshtein(&name, known);
        let by_start = strsim::jaro_winkler(&name, known) - 0.15;
        (by_letters.max(by_start), known)
    });
    let best = likeness.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.65).then_some(best.1)
}
