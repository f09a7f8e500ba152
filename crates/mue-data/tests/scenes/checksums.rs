//! Scenes never change: models, reports and promises were made on them.

use std::thread;

use mue_data::scenes::{Scene, SceneSet, Split};

/// FNV-1a, 64 bits.
fn checksum(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn checksums(scene: &Scene) -> [u64; 3] {
    let hypotheses = scene.hypotheses(8);
    let hypotheses =
        hypotheses.iter().map(|drawn| format!("{} {}\n", drawn.text, drawn.label.word()));
    [
        checksum(scene.image().samples),
        checksum(scene.captions().join("\n").into_bytes()),
        checksum(hypotheses.collect::<String>().into_bytes()),
    ]
}

/// Pictures and sentences of many scenes as three numbers.
fn together(set: SceneSet, scenes: std::ops::Range<u64>) -> [u64; 3] {
    let all: Vec<[u64; 3]> = scenes.map(|index| checksums(&set.scene(index))).collect();
    [0, 1, 2].map(|part| checksum(all.iter().flat_map(|sums| sums[part].to_le_bytes())))
}

#[test]
fn scenes_are_what_they_always_were() {
    let pinned = [
        (
            SceneSet::new(0, Split::Train),
            [0x12c7_ee9f_17a1_c301, 0x7c11_2aec_742a_a274, 0xb6bc_e6a1_b2a6_9126],
        ),
        (
            SceneSet::new(1, Split::Dev),
            [0x00dc_5ed0_e8e7_7d0f, 0xb95a_1de2_3346_daa8, 0xbfe6_df05_3322_24b6],
        ),
        (
            SceneSet::new(u64::MAX, Split::Test),
            [0x75ce_1902_2af5_f143, 0xdd1a_6972_040c_94ab, 0x6e15_9566_4401_5b68],
        ),
    ];
    let found = pinned.map(|(set, _)| (set, together(set, 0..200)));
    assert_eq!(found, pinned, "{found:#x?}");
}

#[test]
fn other_threads_make_the_same_scenes() {
    let set = SceneSet::new(8, Split::Train);
    let here = together(set, 0..40);
    let there: Vec<_> = (0..4).map(|_| thread::spawn(move || together(set, 0..40))).collect();
    for thread in there {
        assert_eq!(thread.join().unwrap(), here);
    }
}

#[test]
fn seeds_and_splits_share_no_scene() {
    let mut seen = std::collections::BTreeMap::new();
    for split in Split::ALL {
        for seed in [0, 1, 2, 1 << 8, 1 << 32, u64::MAX] {
            for index in [0, 1, 2, 1 << 8, 1 << 32, u64::MAX] {
                let picture = SceneSet::new(seed, split).scene(index).image().samples;
                let earlier = seen.insert(picture, (split, seed, index));
                assert_eq!(earlier, None, "{:?}", (split, seed, index));
            }
        }
    }
}
