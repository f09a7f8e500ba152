//! The vocabulary of scenes and its tokenizer.

use std::collections::BTreeSet;

use mue_data::scenes::{SceneLabel, SceneSet, Split, scenes_prompts, scenes_tokenizer, vocabulary};

#[test]
fn the_vocabulary_is_what_is_said() {
    let set = SceneSet::new(2, Split::Train);
    let prompts = scenes_prompts();
    let mut texts = vec![prompts.caption, prompts.entailment.replace("{hypothesis}", "")];
    texts.extend(SceneLabel::ALL.map(|label| label.word().to_owned()));
    for scene in (0..6000).map(|index| set.scene(index)) {
        texts.extend(scene.captions());
        texts.extend(scene.hypotheses(4).into_iter().map(|hypothesis| hypothesis.text));
    }
    let said: BTreeSet<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
    let words = vocabulary();
    assert!(words.is_sorted());
    assert_eq!(said.into_iter().collect::<Vec<_>>(), words);
}

#[test]
fn sentences_survive_the_tokenizer() {
    let tokenizer = scenes_tokenizer().unwrap();
    assert_eq!(tokenizer.vocab_size(), vocabulary().len() + 4);
    let set = SceneSet::new(2, Split::Train);
    for scene in (0..200).map(|index| set.scene(index)) {
        for caption in scene.captions() {
            let ids = tokenizer.sequence(&caption);
            assert_eq!((ids[0], ids[ids.len() - 1]), (0, 2));
            assert!(ids[1..ids.len() - 1].iter().all(|id| *id > 3), "{caption}: {ids:?}");
            assert_eq!(tokenizer.decode(&ids), caption);
            assert_eq!(tokenizer.pieces(&ids).concat(), caption);
        }
    }
}

#[test]
fn answers_are_single_tokens_and_other_words_unknown() {
    let tokenizer = scenes_tokenizer().unwrap();
    for answer in [" yes", " no", " maybe"] {
        assert!(tokenizer.token_id(answer).is_some_and(|id| id > 3), "{answer}");
    }
    assert_eq!(tokenizer.encode("a Red giraffe?")[2], 3);
    assert_eq!(tokenizer.encode("Red"), tokenizer.encode("red"));
    assert_eq!(tokenizer.encode("<s>").iter().filter(|id| **id == 0).count(), 0);
}

#[test]
fn prompts_ask_what_is_to_be_asked() {
    let tokenizer = scenes_tokenizer().unwrap();
    let prompts = scenes_prompts();
    let caption = prompts.caption_ids(&tokenizer);
    assert_eq!(tokenizer.decode(&caption), "what does the image describe ?");
    for premise in [None, Some("a large red circle in the centre")] {
        let asked = prompts.entailment_ids(&tokenizer, premise, "There is a red ring", 64).unwrap();
        assert_eq!(tokenizer.decode(&asked), "does the image describe there is a red ring ?");
    }
}
