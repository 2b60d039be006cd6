//! Tests of names.

use super::*;

#[test]
fn checksum_is_the_specified_one() {
    // 'F' rotated and added through "FILENAMETXT"; the value is what Windows writes for it.
    let sum = b"FILENAMETXT".iter().fold(0u8, |sum, it| {
        let carry: u8 = if sum & 1 != 0 { 0x80 } else { 0 };
        carry.wrapping_add(sum >> 1).wrapping_add(*it)
    });
    assert_eq!(Short(*b"FILENAMETXT").checksum(), sum);
    assert_eq!(Short([b' '; 11]).checksum(), 0xF7);
}

#[test]
fn short_names_follow_the_rules() {
    let names = [
        ".hidden",
        "A+b.c",
        "CONFIG.TXT",
        "Readme.md",
        "config.txt2",
        "a b c d.e f g h",
        "cmdline.txt",
        "kernel8.IMG",
        "longfilename1.txt",
        "longfilename2.txt",
        "LONGFI~1.TXT",
        "noext",
        "été.txt",
        "...x",
        "x.tar.gz",
        "日本語",
    ];
    let stored = store(&names);
    let text: Vec<_> = stored
        .iter()
        .map(|it| format!("{}{}", it.short.text(it.case), it.long.len()))
        .collect();
    let want = [
        "HIDDEN~1.7",
        "A_B~1.C5",
        "CONFIG.TXT0",
        "README.MD9",
        "CONFIG~1.TXT11",
        "ABCD~1.EFG15",
        "cmdline.txt0",
        "kernel8.IMG0",
        "LONGFI~2.TXT17",
        "LONGFI~3.TXT17",
        "LONGFI~1.TXT0",
        "noext0",
        "_T_~1.TXT7",
        "X~1.4",
        "XTAR~1.GZ8",
        "___~1.3",
    ];
    let want: Vec<_> = want
        .iter()
        .map(|it| {
            it.replace("~1.7", "~17")
                .replace("~1.4", "~14")
                .replace("~1.3", "~13")
        })
        .collect();
    assert_eq!(text, want);
}

#[test]
fn a_thousand_alike_stay_apart() {
    let names: Vec<_> = (0..1200)
        .map(|it| format!("a long name {it}.data"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let stored = store(&names);
    let shorts: BTreeSet<_> = stored.iter().map(|it| it.short).collect();
    assert_eq!(shorts.len(), 1200);
    assert_eq!(stored[1199].short.text(0), "ALO~1200.DAT");
}

#[test]
fn long_names_come_back_from_their_slots() {
    for name in [
        "a".repeat(255),
        "exactly13char".to_owned(),
        "Ünï😀".to_owned(),
        "fourteen chars".to_owned(),
    ] {
        let stored = store(&[&name]).remove(0);
        let mut long = LongName::default();
        for slot in stored.long_slots() {
            long.push(&slot);
        }
        assert_eq!(stored.long_slots().count() + 1, stored.slots());
        assert_eq!(long.take(stored.short), Some(name));
    }
}

#[test]
fn slots_that_do_not_belong_are_forgotten() {
    let stored = store(&["a name of thirty-nine units, three slots"]).remove(0);
    let slots: Vec<_> = stored.long_slots().collect();
    let read = |order: &[usize], short| {
        let mut long = LongName::default();
        for it in order {
            long.push(&slots[*it]);
        }
        long.take(short).is_some()
    };
    let short = stored.short;
    assert!(read(&[0, 1, 2, 3], short));
    assert!(read(&[0, 1, 0, 1, 2, 3], short));
    assert!(!read(&[0, 1, 2, 3], Short(*b"OTHER      ")));
    for wrong in [
        &[1, 2, 3][..],
        &[0, 1, 2],
        &[0, 2, 3],
        &[0, 1, 1, 2, 3],
        &[0, 1, 2, 3, 3],
        &[],
    ] {
        assert!(!read(wrong, short), "{wrong:?}");
    }
}

#[test]
fn names_that_fat_cannot_hold_are_refused() {
    for name in ["a:b", "a\\b", "end.", "end ", "tab\t", "q?", "\u{7f}"] {
        assert!(check(name.as_bytes()).is_err(), "{name:?}");
    }
    assert!(check(&[b'a', 0xFF]).is_err());
    assert!(check("fine, [really] + more;=.txt".as_bytes()).is_ok());
}

#[test]
fn case_is_folded_letter_by_letter() {
    assert_eq!(folded("Straße.ÄÖ"), folded("STRAßE.äö"));
    assert_ne!(folded("Straße"), folded("STRASSE"));
}

#[test]
fn code_page_437_is_whole() {
    assert_eq!(CP437.chars().count(), 128);
    assert_eq!(Short(*b"\x05\x81BC    TXT").text(LOWER_BASE), "σübc.TXT");
}
