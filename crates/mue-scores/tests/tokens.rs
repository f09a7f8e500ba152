//! Tokens of quotation marks, apostrophes and abbreviations as `pycocoevalcap` 1.2 has them. The
//! long list of captions is among the fixtures of `mue-eval`.

use mue_scores::tokenize;

fn assert_tokens(cases: &[(&str, &str)]) {
    for (caption, text) in cases {
        assert_eq!(tokenize(caption).join(" "), *text, "{caption:?}");
    }
}

#[test]
fn a_curly_apostrophe_never_opens_a_quotation() {
    assert_tokens(&[
        ("’dog’", "'d og"),
        ("a ’small’ sign", "a 's mall sign"),
        ("’nice’", "’n ice"),
        ("’reader’", "'re ader"),
        ("\u{92}dog\u{92}", "'d og"),
        ("'dog' ‘dog’ `dog`", "dog dog dog"),
    ]);
}

#[test]
fn two_quotation_marks_are_one_sign() {
    assert_tokens(&[
        ("“‘stop’”", "``` stop '''"),
        ("“Stop”’s sign", "stop ''' s sign"),
        ("«‹a›»", "``` a '''"),
        ("„‚a‘“ ’‘", "„‚ a ``` '`"),
        ("\u{93}\u{91}dog\u{92}\u{94}", "``` dog '''"),
        ("‘‘a’’ ``a'' «a» \u{93}a\u{94}", "a a a a"),
    ]);
}

#[test]
fn a_straight_apostrophe_pairs_with_its_own_kind_only() {
    assert_tokens(&[
        ("‘Stop’'s sign", "stop 's sign"),
        ("“Stop”'s", "stop 's"),
        ("`'s", "'s"),
        ("‘'til", "'til"),
    ]);
}

#[test]
fn contractions_take_the_apostrophes_of_the_original() {
    assert_tokens(&[
        ("don`t isn‘t DON’T don\u{92}t", "do n`t is n`t do n't do n't"),
        ("i`m dog`s dog\u{92}s", "i m dog s dog 's"),
    ]);
}

#[test]
fn listed_words_keep_the_apostrophes_of_the_original() {
    assert_tokens(&[
        ("c'mon li'l nor'easter s'mores", "c'mon li'l nor'easter s'mores"),
        ("c’mon li’l nor’easter s’mores", "c 'm on li l nor easter s 'm ores"),
        ("ol’ dunkin’ ’til ma’am", "ol’ dunkin’ ’til ma’am"),
        ("o'o o’o o`o", "o'o o’o o`o"),
    ]);
}

#[test]
fn an_abbreviation_that_may_end_a_sentence_wins_over_one_letter() {
    assert_tokens(&[
        ("etc.A Jr.n Co.n b", "etc. a jr. n co. n b"),
        ("etc.ab Jr.nab", "etc.ab jr.nab"),
        ("Co.-b Co.-bc", "co. b co.-bc"),
        ("Mr.A Dr.a St.b vs.c Ph.a", "mr.a dr.a st.b vs.c ph.a"),
    ]);
}

#[test]
fn entities_may_be_in_capitals() {
    assert_tokens(&[
        ("&LT;b&GT; &AMP; &Amp;", "< b > & &"),
        ("&nbsp;a&NBSP; &quot;a&QUOT;", "a a &quot;"),
    ]);
}
