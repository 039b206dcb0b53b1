//! What is a line.

use std::os::unix::fs::FileExt;

use super::{super::lines::CHUNK, *};

#[test]
fn lines_come_as_they_are() {
    let logs = Logs::new();
    logs.write(b"plain\n\ncarriage return\r\n\xff\xfe\xc3(\na\0b\0\n\t \n");
    let mut lines = Vec::new();
    let mut tail = FileTail::new(&logs.log, None).unwrap();
    tail.read(&mut |line| {
        lines.push((line.text.to_vec(), line.ending));
        ControlFlow::Continue(())
    })
    .unwrap();
    let expected: [&[u8]; 6] = [b"plain", b"", b"carriage return\r", b"\xff\xfe\xc3(", b"a\0b\0", b"\t "];
    assert_eq!(lines, expected.map(|text| (text.to_vec(), Ending::Newline)));
}

#[test]
fn a_line_is_given_when_its_newline_comes() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("one\ntw");
    assert_eq!(follower.read_lines(), ["one"]);
    logs.write("o, still");
    assert_eq!(follower.read_lines(), [""; 0]);
    follower = follower.restart();
    assert_eq!(follower.read_lines(), [""; 0]);
    logs.write(" two\nthree\nfo");
    assert_eq!(follower.read_lines(), ["two, still two", "three"]);
}

#[test]
fn a_line_may_be_of_any_length_and_grow_in_small_steps() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut text = String::from("start ");
    logs.write(&text);
    for step in 0..300 {
        let piece = format!("{step:>1000}");
        logs.write(&piece);
        text.push_str(&piece);
        assert_eq!(follower.read_lines(), [""; 0], "{step}");
        if step % 50 == 0 {
            follower = follower.restart();
        }
    }
    logs.write(" end\nnext\n");
    text.push_str(" end");
    assert_eq!(follower.read_lines(), [text, "next".to_owned()]);
}

#[test]
fn lines_around_the_size_of_the_buffer_are_whole() {
    for size in [CHUNK / 2 - 1, CHUNK / 2, CHUNK / 2 + 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 3 * CHUNK] {
        for before in [0, 1, 10, CHUNK / 2] {
            let logs = Logs::new();
            let lines = ["b".repeat(before), "l".repeat(size), "a".to_owned(), "z".repeat(size), String::new()];
            logs.write(lines.join("\n") + "\n");
            assert_eq!(logs.follow().read_lines(), lines, "{size} {before}");
        }
    }
}

#[test]
fn a_line_of_the_greatest_length_is_whole_and_a_longer_one_is_cut() {
    let logs = Logs::new();
    let whole = "w".repeat(MAX_LINE);
    let mut follower = logs.follow();
    logs.write(&whole);
    logs.write("\nbetween\n");
    logs.write(&whole);
    logs.write("x\nbehind a gap:\n");
    logs.write([0; 1000]);
    logs.write(&whole);
    logs.write("\n");
    assert_eq!(follower.read_lines(), [&whole, "between", &format!("{whole}<Cut>"), "behind a gap:", &whole]);
    logs.write("y".repeat(5 * MAX_LINE));
    assert_eq!(follower.read_lines(), [""; 0]);
    logs.write("\nlast\n");
    assert_eq!(follower.read_lines(), [&format!("{}<Cut>", "y".repeat(MAX_LINE)), "last"]);
    assert_eq!(follower.tail.buffer.capacity(), CHUNK);
}

#[test]
fn nuls_before_a_line_are_dropped_however_many() {
    let logs = Logs::new();
    let file = writer(&logs.log);
    // Only pwrite(2) without O_APPEND leaves a hole.
    let at = |text: &[u8], offset: u64| {
        OpenOptions::new().write(true).open(&logs.log).unwrap().write_all_at(text, offset).unwrap();
    };
    drop(file);
    let mut follower = logs.follow();
    at(b"first\n", 0);
    at(b"second\n", 1000);
    at(b"third\n", 3 * CHUNK as u64 + 17);
    at(b"fourth\n", 1 << 40);
    at(&vec![0; 5 * CHUNK], (1 << 40) + 7);
    at(b"fifth\n", (1 << 40) + 7 + 5 * CHUNK as u64);
    let started = Instant::now();
    assert_eq!(follower.read_lines(), ["first", "second", "third", "fourth", "fifth"]);
    assert!(started.elapsed() < DEADLINE);
}

#[test]
fn space_that_is_reserved_with_nuls_is_read_when_it_is_filled() {
    let logs = Logs::new();
    let file = File::create(&logs.log).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut follower = logs.follow();
    assert_eq!(follower.read_lines(), [""; 0]);
    file.write_all_at(b"one\ntwo\n", 0).unwrap();
    assert_eq!(follower.read_lines(), ["one", "two"]);
    follower = follower.restart();
    file.write_all_at(b"three\n", 8).unwrap();
    assert_eq!(follower.read(), ReadOutcome::default());
    assert_eq!(follower.take(), ["three"]);
}

#[test]
fn reading_can_be_broken_off_after_any_line_and_goes_on_behind_it() {
    let logs = Logs::new();
    let long = "l".repeat(CHUNK + 1);
    let lines = ["one", &long, "", "four", &long, "six"];
    logs.write(lines.join("\n") + "\n");
    let mut position = None;
    for expected in lines {
        let mut tail = FileTail::new(&logs.log, position).unwrap();
        let mut got = Vec::new();
        let outcome = tail.read(&mut |line| {
            got.push(show(line));
            position = Some(line.position());
            ControlFlow::Break(())
        });
        assert_eq!(got, [expected]);
        assert_eq!(outcome.unwrap(), ReadOutcome { more: true, ..ReadOutcome::default() });
        assert_eq!(tail.timeout(), Some(Duration::ZERO));
        assert_eq!(Some(tail.position()), position);
    }
    assert_eq!(Follower::new(&logs.log, position).read_lines(), [""; 0]);
    // And without a restart in between.
    let (mut tail, mut got) = (FileTail::new(&logs.log, None).unwrap(), Vec::new());
    while {
        tail.read(&mut |line| {
            got.push(show(line));
            ControlFlow::Break(())
        })
        .unwrap()
        .more
    } {}
    assert_eq!(got, lines);
}
