//! Progress for programs: a JSON object a line, and no more than a hundred of them for a stage's way.

use super::{Event, Report};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// A JSON object a line.
pub(super) struct JsonLines {
    out: Mutex<Box<dyn Write + Send>>,
    /// For each stage, how many hundredths were told of.
    told: Mutex<BTreeMap<u64, u64>>,
}

/// Work whose size is unknown is told of this often.
const STEP_BYTES: u64 = 16 << 20;

impl JsonLines {
    /// Returns who writes to `out`.
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: Mutex::new(out),
            told: Mutex::default(),
        }
    }

    /// Returns whether a stage moved by a hundredth since it was last told of.
    fn moved(&self, stage: u64, done: u64, total: Option<u64>) -> bool {
        let step = total.map_or(STEP_BYTES, |it| (it / 100).max(1));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(stage, done / step) != Some(done / step)
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonLines")
    }
}

impl Report for JsonLines {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::Started { stage, name, total } => {
                json!({ "event": "started", "stage": stage, "name": name, "total": total })
            }
            Event::Advanced { stage, done, total } if self.moved(stage, done, total) => {
                json!({ "event": "advanced", "stage": stage, "done": done, "total": total })
            }
            Event::Advanced { .. } => return,
            Event::Noted { stage, text } => {
                json!({ "event": "noted", "stage": stage, "text": text })
            }
            Event::Finished { stage } => json!({ "event": "finished", "stage": stage }),
        };
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more: the work goes on, and its result is a file.
        drop(writeln!(out, "{line}").and_then(|()| out.flush()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stage;
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn events_are_json_lines_and_not_too_many() {
        let shared = Shared::default();
        let report: Arc<dyn Report> = Arc::new(JsonLines::new(Box::new(shared.clone())));
        let stage = Stage::start(&report, "base \"image\"", Some(1000));
        (0..=1000).for_each(|done| stage.at(done, Some(1000)));
        stage.note("a\nb");
        drop(stage);
        let text = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert_eq!(lines.len(), 1 + 101 + 1 + 1);
        assert_eq!(
            (&lines[0]["event"], &lines[0]["name"]),
            (&json!("started"), &json!("base \"image\""))
        );
        assert_eq!(
            (&lines[101]["event"], &lines[101]["done"]),
            (&json!("advanced"), &json!(1000))
        );
        assert_eq!(
            (&lines[102]["text"], &lines[103]["event"]),
            (&json!("a\nb"), &json!("finished"))
        );
    }
}
