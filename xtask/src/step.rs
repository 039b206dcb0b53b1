//! A step of a verb: a command with a name, and what the terminal shows of it.
//!
//! A *loud* step shows the output of the command and how long it took. A *quiet* step shows one line that is updated, writes the output
//! to a log file and prints the end of it only if the command fails.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// How many lines of a failed command's log are shown.
const LOG_TAIL: usize = 40;
/// How often a quiet step prints a line where there is no terminal whose line could be updated.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// A named step in progress.
pub(crate) struct Step<'a> {
    name: &'a str,
    begun: Instant,
}

// === impl Step ===

impl<'a> Step<'a> {
    /// Begins a loud step.
    pub(crate) fn loud(name: &'a str) -> Self {
        println!("\n── {name}");
        Self { name, begun: Instant::now() }
    }

    /// Runs a command of a loud step.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        let status = command.status().with_context(|| cannot_start(command))?;
        self.check(status)
    }

    /// Runs a command of a loud step and also passes each line of its standard output to `see`.
    pub(crate) fn watch(&self, command: &mut Command, mut see: impl FnMut(&str)) -> Result<()> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
        if let Some(out) = child.stdout.take() {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            // As bytes, because a test may print text that is not UTF-8.
            while out.read_until(b'\n', &mut line).context("cannot read the command's output")? > 0 {
                let mut terminal = io::stdout().lock();
                terminal.write_all(&line).and_then(|()| terminal.flush()).context("cannot write to the terminal")?;
                see(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        }
        let status = child.wait().with_context(|| cannot_start(command))?;
        self.check(status)
    }

    /// Ends a loud step.
    pub(crate) fn done(self) {
        println!("   {} took {}", self.name, seconds(self.begun.elapsed()));
    }

    fn check(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("step `{}` failed after {} ({status})", self.name, seconds(self.begun.elapsed()))
    }
}

/// Runs a command as a quiet step.
pub(crate) fn quiet(name: &str, command: &mut Command) -> Result<()> {
    let begun = Instant::now();
    let (log_path, mut log) = create_log(name)?;
    let (output, input) = io::pipe().context("cannot make a pipe")?;
    let sink = input.try_clone().context("cannot make a pipe")?;
    let child = command.stdin(Stdio::null()).stdout(input).stderr(sink).spawn();
    // `command` holds the writing ends: while they are open the reader never sees the end of the pipe.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.with_context(|| cannot_start(command))?;

    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut ticker = Ticker::new(name, begun);
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                log.write_all(&line).and_then(|()| log.write_all(b"\n")).context("cannot write the log")?;
                String::from_utf8_lossy(&line).trim().clone_into(&mut ticker.last);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        ticker.tick();
    }
    let status = child.wait().with_context(|| cannot_start(command))?;
    if reader.join().is_err() {
        bail!("step `{name}`: its output could not be read");
    }
    ticker.end(status.success());
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&fs::read(&log_path).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_TAIL)..] {
        eprintln!("    {line}");
    }
    bail!("step `{name}` failed ({status}); its output is in {}", log_path.display())
}

/// Prints one line of information.
pub(crate) fn note(text: &str) {
    println!("· {text}");
}

fn create_log(name: &str) -> Result<(PathBuf, File)> {
    let slug: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = workspace::scratch_dir().join(slug).with_extension("log");
    fs::create_dir_all(workspace::scratch_dir()).context("cannot make a directory for the log")?;
    let log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok((path, log))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().display())
}

/// `42 s`, `3 min 07 s`.
pub(crate) fn seconds(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        format!("{:.1} s", elapsed.as_secs_f32())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// The line of a quiet step.
struct Ticker<'a> {
    name: &'a str,
    begun: Instant,
    shown: Instant,
    last: String,
    terminal: bool,
}

// === impl Ticker ===

impl<'a> Ticker<'a> {
    fn new(name: &'a str, begun: Instant) -> Self {
        let terminal = io::stdout().is_terminal();
        if !terminal {
            println!("· {name} …");
        }
        Self { name, begun, shown: begun, last: String::new(), terminal }
    }

    fn tick(&mut self) {
        let pause = if self.terminal { Duration::from_millis(200) } else { SIGN_OF_LIFE };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let mut line = format!("· {} … {}", self.name, seconds(self.begun.elapsed()));
        if self.terminal {
            let last: String = self.last.chars().filter(|c| !c.is_control()).take(60).collect();
            // Writing to a String cannot fail.
            let _infallible = write!(line, "  {last}");
            print!("\r\x1b[K{line}");
            let _best_effort = io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn end(&self, success: bool) {
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        let outcome = if success { "done" } else { "failed" };
        println!("{start}· {}: {outcome} in {}", self.name, seconds(self.begun.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_readable_units() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn a_failed_quiet_step_names_itself_and_its_log() {
        let error = quiet("fail on purpose", Command::new("sh").args(["-c", "echo because; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`fail on purpose`") && text.contains("fail-on-purpose.log"), "{text}");
    }

    #[test]
    fn a_watched_command_shows_every_line() {
        let mut seen = Vec::new();
        let step = Step { name: "watch", begun: Instant::now() };
        step.watch(Command::new("sh").args(["-c", "echo one; echo two"]), |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["one", "two"]);
    }
}
