//! The digest of a state, computed once more from what docs/FORMAT.md says of it.

use headcount::engine::checkpoint::Loaded;
use xxhash_rust::xxh3::xxh3_128;

use super::scenario::Scenario;

fn put_list(bytes: &mut Vec<u8>, item: &[u8]) {
    bytes.extend((item.len() as u32).to_le_bytes());
    bytes.extend(item);
}

pub fn digest_of(loaded: &Loaded, scenario: &Scenario) -> u128 {
    let partitions = loaded.names.iter().zip(&loaded.admission.partitions);
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort_by_key(|(name, _)| *name);
    let mut bytes = vec![scenario.rules.precision];
    bytes.extend((partitions.len() as u32).to_le_bytes());
    let mut greatest_clock = 0;
    for (name, partition) in partitions {
        put_list(&mut bytes, name.as_bytes());
        bytes.extend(partition.next_offset.to_le_bytes());
        put_list(&mut bytes, &partition.clock);
        // A clock begins with the time that it shows; 0 is none.
        let clock = partition.clock[..4].try_into().unwrap();
        greatest_clock = i64::from(u32::from_le_bytes(clock)).max(greatest_clock);
    }
    bytes.extend(&loaded.admission.ledger);
    let mut stretches: Vec<_> = loaded.stretches.iter().collect();
    stretches.sort_by_key(|stretch| (stretch.page, stretch.rank));
    for stretch in stretches {
        bytes.extend((stretch.page as u16).to_le_bytes());
        bytes.push(stretch.rank);
        bytes.extend(xxh3_128(&stretch.bytes).to_le_bytes());
    }
    let mut windows: Vec<_> = loaded.windows.iter().collect();
    windows.sort_by_key(|(id, ..)| (id.period as usize, id.start));
    for (id, window, sketch) in windows {
        let ends_after = greatest_clock - scenario.rules.retention_s[id.period as usize];
        // No clock, no frame that counts, no sketch.
        let (true, Some(sketch)) = (window.end > ends_after, sketch) else {
            continue;
        };
        bytes.push(id.period as u8);
        bytes.extend(id.start.to_le_bytes());
        bytes.extend(window.frames.to_le_bytes());
        bytes.extend(window.late.to_le_bytes());
        bytes.extend(sketch.to_le_bytes());
    }
    xxh3_128(&bytes)
}
